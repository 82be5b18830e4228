/* SPDX-License-Identifier: MIT */
/*
 * lttng_storm.c - LTTng clients that record nothing and ask as fast as they are answered, until
 * standard input ends.
 *
 *	lttng_storm --control=PORT [--clients=N] [--ask=pending|sessions|streams]
 *
 *	pending   DATA_PENDING and QUIESCENT_CONTROL in turns, all clients at once
 *	sessions  connect, VERSION to CREATE_TRACE_CHUNK, a stream, hang up; again
 *	streams   ADD_STREAM, 100 times a session
 *
 * Says "storm" when all are connected. Talks to 127.0.0.1 only. Prints a line of JSON. Exit: 0
 * done, 1 failed, 2 wrong usage.
 */
#include <err.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/lttng_client.h"

#define FIRST_HOST  UINT32_C(0x7f200001) /* 127.32.0.1 */
#define FIRST       1000000u             /* number of the first session, unlike those that record */
#define STREAMS_MAX 100u

enum kind { PENDING, SESSIONS, STREAMS };

struct client {
	uint32_t address;
	int fd;
	uint64_t handle;
	unsigned streams;
};

static uint16_t port;
static unsigned sessions = FIRST;
static uint64_t requests;

static bool over(void)
{
	struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};

	return poll(&p, 1, 0) != 0;
}

static void begin(struct client *c)
{
	c->fd = open_control(c->address, port, sessions++);
	c->handle = add_stream(c->fd, "ch_0");
	c->streams = 1;
}

static void ask_pending(const struct client *all, unsigned count)
{
	for (unsigned round = 0; round < 2; round++) {
		uint32_t command = round ? CMD_QUIESCENT : CMD_DATA_PENDING;
		uint8_t reply[4];

		for (unsigned i = 0; i < count; i++) {
			struct out o = {.size = 0};

			put_u64(&o, all[i].handle);
			if (command == CMD_DATA_PENDING)
				put_u64(&o, 0);
			send_command(all[i].fd, command, &o);
		}
		for (unsigned i = 0; i < count; i++)
			receive(all[i].fd, reply, sizeof(reply), command);
		requests += count;
	}
}

static void ask_sessions(struct client *all, unsigned count)
{
	for (unsigned i = 0; i < count && !over(); i++) {
		close(all[i].fd);
		begin(&all[i]);
		requests++;
	}
}

static void ask_streams(struct client *all, unsigned count)
{
	char name[16];

	for (unsigned i = 0; i < count; i++) {
		if (all[i].streams == STREAMS_MAX) {
			close(all[i].fd);
			begin(&all[i]);
			continue;
		}
		snprintf(name, sizeof(name), "ch_%u", all[i].streams++);
		(void)add_stream(all[i].fd, name);
		requests++;
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"control", required_argument, NULL, 'C'},
		{"clients", required_argument, NULL, 'n'},
		{"ask", required_argument, NULL, 'a'},
		{NULL, 0, NULL, 0},
	};
	enum kind kind = PENDING;
	uint64_t count = 32;
	struct client *all;
	double begun;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (c == 'C')
			port = (uint16_t)parse_number(optarg);
		else if (c == 'n')
			count = parse_number(optarg);
		else if (c == 'a' && !strcmp(optarg, "pending"))
			kind = PENDING;
		else if (c == 'a' && !strcmp(optarg, "sessions"))
			kind = SESSIONS;
		else if (c == 'a' && !strcmp(optarg, "streams"))
			kind = STREAMS;
		else
			errx(2, "see the head of lttng_storm.c");
	}
	if (!port || !count || count > 10000)
		errx(2, "--control is needed");
	raise_descriptors();
	all = calloc(count, sizeof(*all));
	if (!all)
		err(1, NULL);
	for (unsigned i = 0; i < count; i++) {
		all[i].address = FIRST_HOST + i; /* no peer has too many streams */
		begin(&all[i]);
	}
	puts("storm");
	fflush(stdout);
	begun = now();
	while (!over()) {
		if (kind == PENDING)
			ask_pending(all, (unsigned)count);
		else if (kind == SESSIONS)
			ask_sessions(all, (unsigned)count);
		else
			ask_streams(all, (unsigned)count);
	}
	printf("{\"clients\":%" PRIu64 ",\"requests\":%" PRIu64 ",\"seconds\":%.6f}\n", count,
	       requests, now() - begun);
	free(all);
	return 0;
}
