/* SPDX-License-Identifier: MIT */
/*
 * lttng_load.c - many LTTng clients in one epoll loop: N sessions of protocol 2.13 with two streams
 * each. Every session sends a packet of 64 KiB, its index, awaits the reply, and begins again with
 * the other stream, as a consumer daemon does. After --seconds (or --bytes in all) each asks
 * whether something is pending until nothing is: what is counted is stored.
 *
 *	lttng_load --control=PORT --data=PORT [--sessions=N] [--seconds=S] [--bytes=N]
 *	           [--backlog=BYTES] [--give-up=S] [--prime] [--server-cpu=PID,...]
 *	           [--wait]
 *
 * --backlog    rest while this machine's TCP buffers hold more: real clients' are elsewhere
 * --prime      a packet of each stream is stored before anything is measured, so that no file is
 *              made meanwhile
 * --give-up    end so many seconds after the beginning, whatever is pending then: "ended":false
 * --wait       say "open" when all sessions are, and begin at a line from standard input
 *
 * Sixteen sessions come from one address of 127.16.0.0/12, as from one host. Talks to 127.0.0.1
 * only. Prints a line of JSON. Exit: 0 done, 1 failed, 2 wrong usage.
 */
#include <endian.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/backlog.h"
#include "tests/bench/lttng_client.h"
#include "tests/bench/server_cpu.h"

#define PACKET      65536u /* bytes */
#define DATA_HEADER 32u
#define STREAMS     2u
#define OF_A_HOST   16u                  /* sessions that come from one address */
#define FIRST_HOST  UINT32_C(0x7f100001) /* 127.16.0.1 */

struct session {
	int control, data;
	uint64_t handle[STREAMS], seq[STREAMS]; /* seq: of the next packet */
	unsigned stream;                        /* whose packet is on its way */
	size_t sent;                            /* bytes of it, header included */
	uint8_t header[DATA_HEADER];
	size_t replied; /* bytes of the index' reply */
	bool stopped;
	double since; /* its packet is on its way */
	uint64_t packets;
};

static uint8_t payload[PACKET];
static uint64_t total;     /* bytes of packets acknowledged */
static uint64_t backlog;   /* bytes; 0: without limit */
static uint64_t unchecked; /* bytes sent since it was looked at */
static double waited_most; /* seconds from the first byte of a packet to its index' reply */

static double own_cpu(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void begin_packet(struct session *s)
{
	uint64_t numbers[3] = {0, htobe64(s->handle[s->stream]), htobe64(s->seq[s->stream])};
	uint32_t sizes[2] = {htobe32(PACKET), 0};

	memcpy(s->header, numbers, sizeof(numbers));
	memcpy(s->header + sizeof(numbers), sizes, sizeof(sizes));
	s->sent = s->replied = 0;
	s->since = now();
}

static void open_session(struct session *s, unsigned number, uint16_t control, uint16_t data)
{
	uint32_t address = FIRST_HOST + number / OF_A_HOST;
	struct out o = {.size = 0};
	uint8_t reply[4];

	s->control = open_control(address, control, number);
	s->data = connect_from(address, data);
	s->handle[0] = add_stream(s->control, "ch_0");
	s->handle[1] = add_stream(s->control, "ch_1");
	ask(s->control, CMD_STREAMS_SENT, &o, reply, 4, 0);
	begin_packet(s);
}

static void send_index(struct session *s)
{
	uint64_t seq = s->seq[s->stream];
	struct out o = {.size = 0};

	put_u64(&o, s->handle[s->stream]);
	put_u64(&o, seq);
	put_u64(&o, PACKET * 8);
	put_u64(&o, PACKET * 8);
	put_u64(&o, seq * 1000 + 1);
	put_u64(&o, seq * 1000 + 999);
	put_u64(&o, 0);
	put_u64(&o, 0);
	put_u64(&o, s->stream);
	put_u64(&o, seq);
	send_command(s->control, CMD_SEND_INDEX, &o);
}

/* All sessions rest, packets that are under way too: it is part of what they wait. */
static void rest(void)
{
	unchecked = 0;
	if (backlog_rest(backlog, INT64_MAX) < 0)
		errx(1, "--backlog: the kernel does not say what its TCP buffers hold");
}

/* Send what the socket takes; the index behind the last byte. */
static void go_on(struct session *s)
{
	struct iovec part[2];
	struct msghdr m = {.msg_iov = part};
	size_t in_payload = s->sent > DATA_HEADER ? s->sent - DATA_HEADER : 0;
	ssize_t r;

	if (s->stopped || s->sent == DATA_HEADER + PACKET)
		return;
	if (s->sent < DATA_HEADER)
		part[m.msg_iovlen++] = (struct iovec){s->header + s->sent, DATA_HEADER - s->sent};
	part[m.msg_iovlen++] = (struct iovec){payload + in_payload, PACKET - in_payload};
	r = sendmsg(s->data, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (r < 0 && errno != EAGAIN)
		err(1, "data");
	if (r > 0) {
		s->sent += (size_t)r;
		unchecked += (size_t)r;
	}
	if (s->sent == DATA_HEADER + PACKET)
		send_index(s);
}

/* The index' reply; then the next packet, unless it is over. True if the session has stopped. */
static bool take_reply(struct session *s, bool over)
{
	uint8_t reply[4];
	ssize_t r = recv(s->control, reply + s->replied, 4 - s->replied, MSG_DONTWAIT);

	if (r == 0 || (r < 0 && errno != EAGAIN))
		errx(1, "the relay hangs up");
	if (r < 0)
		return false;
	if (r != 4 || u32_at(reply) != REPLY_OK)
		errx(1, "SEND_INDEX: a reply of %zd bytes, code %u", r, u32_at(reply));
	total += PACKET;
	s->packets++;
	if (now() - s->since > waited_most)
		waited_most = now() - s->since;
	s->seq[s->stream]++;
	if (over) {
		s->stopped = true;
		return true;
	}
	s->stream = (s->stream + 1) % STREAMS;
	begin_packet(s);
	go_on(s);
	return false;
}

/* Until nothing of any session is pending. All are asked, then all answers read. False: some still
 * is at @deadline (0: none). */
static bool await_stored(const struct session *all, unsigned count, double deadline)
{
	bool *stored = calloc(count, sizeof(*stored));
	unsigned left = count;
	uint8_t reply[4];

	if (!stored)
		err(1, NULL);
	while (left && !(deadline && now() >= deadline)) {
		for (unsigned i = 0; i < count; i++) {
			struct out o = {.size = 0};

			put_u64(&o, all[i].handle[all[i].stream]);
			put_u64(&o, all[i].seq[all[i].stream] - 1);
			if (!stored[i])
				send_command(all[i].control, CMD_DATA_PENDING, &o);
		}
		for (unsigned i = 0; i < count; i++) {
			if (stored[i])
				continue;
			receive(all[i].control, reply, sizeof(reply), CMD_DATA_PENDING);
			stored[i] = u32_at(reply) != 1;
			left -= stored[i];
		}
		usleep(20000); /* the real ones wait ten times as long */
	}
	free(stored);
	return !left;
}

static void watch(int epoll, int fd, uint32_t events, uint64_t key)
{
	struct epoll_event e = {.events = events, .data.u64 = key};

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) < 0)
		err(1, "epoll_ctl");
}

/* Key: session times two, plus one for its control connection. */
static void run(struct session *all, unsigned count, double seconds, uint64_t limit,
		double deadline)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event events[256];
	double end = now() + seconds;
	unsigned running = count;

	for (unsigned i = 0; i < count; i++) {
		all[i].since = now();
		watch(epoll, all[i].data, EPOLLOUT | EPOLLET, 2 * (uint64_t)i);
		watch(epoll, all[i].control, EPOLLIN, 2 * (uint64_t)i + 1);
		go_on(&all[i]);
	}
	while (running && !(deadline && now() >= deadline)) {
		int n = epoll_wait(epoll, events, 256, TIMEOUT_S * 1000);

		if (n <= 0)
			errx(1, "the relay is silent");
		for (int i = 0; i < n; i++) {
			struct session *s = &all[events[i].data.u64 / 2];

			if (backlog && unchecked > backlog / 16)
				rest();
			if (events[i].data.u64 % 2 == 0)
				go_on(s);
			else if (take_reply(s, now() >= end || (limit && total >= limit)))
				running--;
		}
	}
	close(epoll);
}

/* A packet of each stream, stored; then it is as if nothing had been sent. Bytes of them. */
static uint64_t prime(struct session *all, unsigned count)
{
	for (unsigned k = 0; k < STREAMS; k++) {
		for (unsigned i = 0; i < count; i++) {
			all[i].stopped = false;
			all[i].stream = k;
			begin_packet(&all[i]);
		}
		run(all, count, 0, 0, 0);
		await_stored(all, count, 0);
	}
	for (unsigned i = 0; i < count; i++) {
		all[i].stopped = false;
		all[i].packets = 0;
		begin_packet(&all[i]);
	}
	total = 0;
	waited_most = 0;
	return (uint64_t)count * STREAMS * PACKET;
}

/* Bytes of the session that got the least. */
static uint64_t least(const struct session *all, uint64_t count)
{
	uint64_t n = all[0].packets;

	for (uint64_t i = 1; i < count; i++)
		if (all[i].packets < n)
			n = all[i].packets;
	return n * PACKET;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"control", required_argument, NULL, 'C'},
		{"data", required_argument, NULL, 'D'},
		{"sessions", required_argument, NULL, 'n'},
		{"seconds", required_argument, NULL, 's'},
		{"bytes", required_argument, NULL, 'b'},
		{"backlog", required_argument, NULL, 'l'},
		{"give-up", required_argument, NULL, 'g'},
		{"server-cpu", required_argument, NULL, 'p'},
		{"prime", no_argument, NULL, 'r'},
		{"wait", no_argument, NULL, 'w'},
		{NULL, 0, NULL, 0},
	};
	uint64_t control = 0, data = 0, sessions = 1, seconds = 10, limit = 0;
	uint64_t give_up = 0, primed = 0;
	struct server_cpu cpu = {.count = 0};
	struct session *all;
	bool wait = false, first = false, stored;
	double deadline, begun, used, running, client, opening = now();
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		switch (c) {
		case 'C':
			control = parse_number(optarg);
			break;
		case 'D':
			data = parse_number(optarg);
			break;
		case 'n':
			sessions = parse_number(optarg);
			break;
		case 's':
			seconds = parse_number(optarg);
			break;
		case 'b':
			limit = parse_number(optarg);
			break;
		case 'l':
			backlog = parse_number(optarg);
			break;
		case 'g':
			give_up = parse_number(optarg);
			break;
		case 'r':
			first = true;
			break;
		case 'w':
			wait = true;
			break;
		case 'p':
			if (server_cpu_parse(optarg, &cpu) == 0)
				break;
			/* fall through */
		default:
			errx(2, "see the head of lttng_load.c");
		}
	}
	if (!control || !data || control > 65535 || data > 65535 || !sessions || sessions > 100000)
		errx(2, "--control and --data are needed");
	raise_descriptors();
	memset(payload, 0x5a, sizeof(payload));
	all = calloc(sessions, sizeof(*all));
	if (!all)
		err(1, NULL);
	for (unsigned i = 0; i < sessions; i++)
		open_session(&all[i], i, (uint16_t)control, (uint16_t)data);
	if (first)
		primed = prime(all, (unsigned)sessions);
	opening = now() - opening;
	if (wait) {
		puts("open");
		fflush(stdout);
		if (getchar() == EOF)
			return 1;
	}
	used = server_cpu_seconds(&cpu);
	client = own_cpu();
	begun = now();
	deadline = give_up ? begun + (double)give_up : 0;
	run(all, (unsigned)sessions, (double)seconds, limit, deadline);
	running = now() - begun;
	stored = await_stored(all, (unsigned)sessions, deadline);
	begun = now() - begun;
	used = server_cpu_seconds(&cpu) - used;
	client = own_cpu() - client;
	printf("{\"sessions\":%" PRIu64 ",\"bytes\":%" PRIu64
	       ",\"opening_s\":%.6f,\"running_s\":%.6f,\"seconds\":%.6f,\"client_cpu_s\":%.6f"
	       ",\"server_cpu_s\":%.6f,\"least\":%" PRIu64
	       ",\"waited_most_s\":%.6f,\"primed\":%" PRIu64 ",\"ended\":%s}\n",
	       sessions, total, opening, running, begun, client, used, least(all, sessions),
	       waited_most, primed, stored ? "true" : "false");
	for (unsigned i = 0; i < sessions; i++) {
		close(all[i].control);
		close(all[i].data);
	}
	free(all);
	return 0;
}
