/* SPDX-License-Identifier: MIT */
/* live.c - the thread of live viewers over socket pairs; killed and started again. */
#include <criterion/criterion.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "relayd/live.h"
#include "relayd/live_message.h"
#include "relayd/live_turn.h"
#include "tests/unit/live_rig.h"

#define WAIT_MS 10000

static struct live_rig rig;
static struct live *live;
static struct counters *counters;
static _Atomic unsigned closed;

static void on_close(void *ctx, struct state_ref ref)
{
	(void)ctx;
	(void)ref;
	atomic_fetch_add(&closed, 1);
}

static _Atomic unsigned released;
static uint32_t patience_ms;

static void on_release(void *ctx, struct state_ref ref)
{
	(void)ctx;
	cr_assert_eq(ref.index, 0);
	atomic_fetch_add(&released, 1);
}

static void start_with(uint32_t handshake_ms)
{
	struct live_config config = {.st = &rig.st,
				     .output_fd = rig.output,
				     .counters = counters,
				     .handshake_ms = handshake_ms,
				     .patience_ms = patience_ms,
				     .closed = on_close,
				     .released = on_release};

	cr_assert_eq(live_start(&config, &live), 0);
}

static void make(void)
{
	live_rig_make(&rig);
	counters = &rig.st.counters[0];
	start_with(0);
}

static void drop(void)
{
	if (live)
		live_stop(live);
	live_rig_free(&rig);
}

/* An accepted connection in slot i; the viewer's end. *ret_ours: a duplicate of ours, or NULL. */
static int connection(uint32_t i, int *ret_ours)
{
	struct conversation_slot *slot = &rig.st.conversation[i];
	struct state_ref ref = {.index = i};
	int pair[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	memset(slot, 0, sizeof(*slot));
	slot->role = CONVERSATION_LTTNG_LIVE;
	slot->accepted_ms = 1;
	ref.id = atomic_fetch_add(&rig.st.header->next_id, 1);
	atomic_store(&slot->id, ref.id);
	if (ret_ours)
		*ret_ours = dup(pair[1]);
	if (live)
		cr_assert_eq(live_connection(live, ref, pair[1]), 0);
	else
		close(pair[1]);
	return pair[0];
}

static void read_exactly(int fd, void *to, size_t len)
{
	for (size_t done = 0; done < len;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ssize_t n;

		cr_assert_eq(poll(&p, 1, WAIT_MS), 1, "no answer: %zu of %zu", done, len);
		n = read(fd, (uint8_t *)to + done, len - done);
		cr_assert_gt(n, 0, "%zu of %zu", done, len);
		done += (size_t)n;
	}
}

static bool at_end(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint8_t byte;

	return poll(&p, 1, WAIT_MS) == 1 && read(fd, &byte, 1) <= 0;
}

static uint8_t reply[VIEWER_REPLY];

static uint32_t be32(size_t at)
{
	struct wire_reader r = wire_reader_init(reply + at, 4);

	return wire_get_u32(&r);
}

static void say(int fd, struct live_request m)
{
	uint8_t bytes[LIVE_REQUEST_MAX];
	struct wire_writer w = wire_writer_init(bytes, sizeof(bytes));

	live_request_encode(&w, &m);
	cr_assert_eq(write(fd, bytes, w.len), (ssize_t)w.len);
}

#define ASK(fd, len, ...)                                    \
	do {                                                 \
		say(fd, (struct live_request){__VA_ARGS__}); \
		read_exactly(fd, reply, len);                \
	} while (0)

static void greet(int fd)
{
	ASK(fd, 20, .command = LIVE_CONNECT, .id = UINT64_MAX, .major = 2, .minor = 4, .type = 1);
	cr_assert_eq(be32(12), 4);
	ASK(fd, 4, .command = LIVE_CREATE_SESSION);
	cr_assert_eq(be32(0), LIVE_CREATE_OK);
}

static void wait_closed(unsigned n)
{
	/* The viewer's end saw the end of file first; the callback comes right behind. */
	for (int i = 0; i < WAIT_MS && atomic_load(&closed) < n; i++)
		poll(NULL, 0, 1);
	cr_assert_eq(atomic_load(&closed), n);
}

static uint64_t session, data, text;

static void record_something(void)
{
	session = live_rig_session(&rig, 0, "s", "vm/s");
	data = live_rig_stream(&rig, 0, "ch_0", 0);
	text = live_rig_stream(&rig, 0, "metadata", 0);
	live_rig_publish(&rig, 0, 2);
	live_rig_packet(&rig, data, true);
	live_rig_packet(&rig, data, true);
	live_rig_metadata(&rig, text, 100, 'm');
}

static void attach(int fd)
{
	ASK(fd, 8 + 2 * LIVE_STREAM_ENTRY, .command = LIVE_ATTACH_SESSION, .id = session,
	    .seek = LIVE_SEEK_BEGINNING);
	cr_assert_eq(be32(0), LIVE_ATTACH_OK);
	cr_assert_eq(be32(4), 2);
}

static void expect_packet(int fd, uint8_t n)
{
	ASK(fd, 64, .command = LIVE_GET_NEXT_INDEX, .id = data);
	cr_assert_eq(be32(56), LIVE_INDEX_OK, "%u", be32(56));
	cr_assert_eq(be32(4), n * RIG_PACKET, "packet %u", n);
	ASK(fd, 12 + RIG_PACKET, .command = LIVE_GET_PACKET, .id = data, .offset = n * RIG_PACKET,
	    .len = RIG_PACKET);
	cr_assert_eq(be32(0), LIVE_PACKET_OK);
	cr_assert_eq(reply[12], n);
	cr_assert_eq(reply[11 + RIG_PACKET], n);
}

TestSuite(live, .init = make, .fini = drop);

Test(live, two_viewers_see_a_session_from_its_beginning_to_its_end)
{
	int a = connection(0, NULL), b = connection(1, NULL);

	record_something();
	greet(a);
	greet(b);
	attach(a);
	attach(b);
	ASK(a, 4 + LIVE_SESSION_ENTRY, .command = LIVE_LIST_SESSIONS);
	cr_assert_eq(be32(4 + 12), 2, "clients");
	ASK(a, 12 + RIG_METADATA, .command = LIVE_GET_METADATA, .id = text);
	cr_assert_eq(be32(8), LIVE_METADATA_OK);
	cr_assert_eq(reply[12 + 37], 'm');
	ASK(a, 12, .command = LIVE_GET_METADATA, .id = text);
	cr_assert_eq(be32(8), LIVE_METADATA_NONE);
	expect_packet(a, 0);
	expect_packet(b, 0);
	expect_packet(b, 1);
	live_rig_begin(&rig, data)->state = STREAM_ENDED;
	live_rig_commit(&rig, data);
	live_rig_controls(&rig, 0, 0);
	ASK(b, 64, .command = LIVE_GET_NEXT_INDEX, .id = data);
	cr_assert_eq(be32(56), LIVE_INDEX_HUP);
	ASK(b, 8, .command = LIVE_GET_NEW_STREAMS, .id = session);
	cr_assert_eq(be32(0), LIVE_STREAMS_HUP);
	expect_packet(a, 1);
	close(a);
	wait_closed(1);
	cr_assert_eq(atomic_load(&rig.st.conversation[0].done), 1);
	cr_assert_eq(atomic_load(&counters->closed[CLOSE_eof]), 1);
	close(b);
	wait_closed(2);
	cr_assert_eq(atomic_load(&counters->v[COUNTER_connections_live]), 2);
}

static void release(void)
{
	struct state_ref ref = {.index = 0, .id = ctf_handle_id(session)};

	cr_assert_eq(live_release(live, ref), 0);
}

static void wait_released(unsigned n)
{
	for (int i = 0; i < WAIT_MS && atomic_load(&released) < n; i++)
		poll(NULL, 0, 1);
	cr_assert_eq(atomic_load(&released), n);
}

static void end_all(void)
{
	live_rig_begin(&rig, data)->state = STREAM_ENDED;
	live_rig_commit(&rig, data);
	live_rig_controls(&rig, 0, 0);
}

Test(live, a_source_is_kept_until_its_viewers_have_seen_its_end)
{
	int a = connection(0, NULL), b = connection(1, NULL);

	record_something();
	greet(a);
	greet(b);
	attach(a);
	attach(b);
	expect_packet(a, 0);
	end_all();
	release();
	ASK(a, 8, .command = LIVE_GET_NEW_STREAMS, .id = session);
	cr_assert_eq(be32(0), LIVE_STREAMS_HUP);
	close(b);
	wait_closed(1);
	expect_packet(a, 1);
	poll(NULL, 0, 300); /* several looks: there is one that has not heard of its stream's end */
	cr_assert_eq(atomic_load(&released), 0);
	ASK(a, 64, .command = LIVE_GET_NEXT_INDEX, .id = data);
	cr_assert_eq(be32(56), LIVE_INDEX_HUP);
	wait_released(1);
	release(); /* nobody */
	wait_released(2);
	close(a);
	wait_closed(2);
}

Test(live, a_source_is_not_kept_for_who_takes_nothing)
{
	int a = connection(0, NULL);

	live_stop(live);
	patience_ms = 200;
	close(a);
	start_with(0);
	atomic_store(&closed, 0);
	a = connection(0, NULL);
	record_something();
	greet(a);
	attach(a);
	end_all();
	release();
	ASK(a, 4, .command = LIVE_LIST_SESSIONS);
	wait_released(1);
	close(a);
}

Test(live, half_a_header_freezes_nobody)
{
	int half = connection(0, NULL), whole = connection(1, NULL);

	cr_assert_eq(write(half, "\0\0\0\0\0\0\0\x14", 8), 8);
	greet(whole);
	cr_assert_eq(write(half, "\0\0\0\1\0\0\0\0", 8), 8);
	ASK(whole, 4, .command = LIVE_LIST_SESSIONS);
	cr_assert_eq(write(half, "\0\0\0\0\0\0\0\0\0\0\0\2\0\0\0\4\0\0\0\1", 20), 20);
	read_exactly(half, reply, 20);
	cr_assert_eq(be32(8), 2);
	close(half);
	close(whole);
	wait_closed(2);
}

Test(live, who_does_not_read_waits_alone)
{
	int lazy = connection(0, NULL), other = connection(1, NULL), small = 4096;

	record_something();
	for (int i = 2; i < 40; i++)
		live_rig_packet(&rig, data, true);
	setsockopt(lazy, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	greet(lazy);
	attach(lazy);
	ASK(lazy, 64, .command = LIVE_GET_NEXT_INDEX, .id = data);
	for (int i = 0; i < 20; i++) /* 20 times 160 KiB, none read; requests wait too */
		say(lazy, (struct live_request){
				  .command = LIVE_GET_PACKET, .id = data, .len = 40 * RIG_PACKET});
	greet(other);
	attach(other);
	for (uint8_t n = 0; n < 40; n++)
		expect_packet(other, n);
	for (int i = 0; i < 20; i++) {
		read_exactly(lazy, reply, 12 + 40 * RIG_PACKET);
		cr_assert_eq(be32(0), LIVE_PACKET_OK);
		for (uint32_t n = 0; n < 40; n++)
			cr_assert_eq(reply[12 + n * RIG_PACKET + 5], n);
	}
	close(lazy);
	close(other);
	wait_closed(2);
}

Test(live, nonsense_and_silence_end_a_connection)
{
	int fd = connection(0, NULL);

	cr_assert_eq(write(fd, "GET / HTTP/1.1\r\n\r\n", 18), 18);
	cr_assert(at_end(fd));
	wait_closed(1);
	cr_assert_eq(atomic_load(&counters->closed[CLOSE_protocol]), 1);
	close(fd);
	live_stop(live);
	start_with(1);
	fd = connection(1, NULL); /* accepted long ago */
	cr_assert(at_end(fd));
	wait_closed(2);
	cr_assert_eq(atomic_load(&counters->closed[CLOSE_handshake_timeout]), 1);
	close(fd);
}

Test(live, stopping_closes_what_is_open)
{
	int fd = connection(0, NULL), twice;
	struct state_ref ref = {.index = 0, .id = atomic_load(&rig.st.conversation[0].id)};

	greet(fd);
	twice = dup(fd);
	cr_assert_eq(live_connection(live, ref, twice), 0); /* handed over again: not a new one */
	ASK(fd, 4, .command = LIVE_LIST_SESSIONS);
	live_stop(live);
	live = NULL;
	cr_assert(at_end(fd));
	cr_assert_eq(atomic_load(&closed), 1);
	cr_assert_eq(atomic_load(&counters->closed[CLOSE_shutdown]), 1);
	close(fd);
}

/* A thread that vanishes inside a step, as all of its process would. */
static _Thread_local int points_left = -1;

static void maybe_die(const char *where)
{
	(void)where;
	if (points_left > 0 && --points_left == 0)
		pthread_exit(NULL);
}

struct doomed {
	struct conversation_slot *slot;
	struct viewer_slot *memory;
	int fd;
	int points;
};

static bool no_session(void *ctx, uint64_t handle, struct live_session *ret)
{
	(void)ctx;
	(void)handle;
	(void)ret;
	return false;
}

static bool no_next_session(void *ctx, uint32_t *at, struct live_session *ret)
{
	(void)ctx;
	(void)at;
	(void)ret;
	return false;
}

static int any_room(void *ctx, size_t len)
{
	(void)ctx;
	(void)len;
	return 0;
}

static const struct live_facts no_facts = {
	.session = no_session, .next_session = no_next_session, .room = any_room};

/* Turns as live.c takes them, until the connection has nothing more to say for now. */
static void *take_turns(void *arg)
{
	struct doomed *d = arg;
	struct mmsghdr *m;
	unsigned wants;

	points_left = d->points;
	live_turn_open(d->slot, d->memory);
	m = conversation_prepare_receive(d->slot, 1);
	if (m)
		(void)recvmmsg(d->fd, m, 1, MSG_DONTWAIT, NULL);
	do {
		wants = live_turn_run(d->slot, d->memory, &no_facts, NULL);
		while ((m = live_turn_prepare_send(d->slot, d->memory))) {
			/* Piece by piece, so that it also dies inside a reply. */
			m->msg_hdr.msg_iov[0].iov_len = 1 + m->msg_hdr.msg_iov[0].iov_len / 2;
			if (m->msg_hdr.msg_iov[0].iov_len > 3)
				m->msg_hdr.msg_iov[0].iov_len = 3;
			cr_assert_eq(sendmmsg(d->fd, m, 1, MSG_DONTWAIT), 1);
		}
	} while (wants == CONVERSATION_SEND);
	points_left = -1;
	return d;
}

/* Killed at every point of a conversation in turn, it says the same. */
Test(live, every_kill_is_survived)
{
	bool all = false;

	live_stop(live);
	live = NULL;
	for (int points = 1; !all; points++) {
		struct doomed d = {.slot = &rig.st.conversation[2], .memory = &rig.st.viewer[2]};
		int fd = connection(2, &d.fd);
		pthread_t thread;
		void *ret;

		memset(d.memory, 0, offsetof(struct viewer_slot, reply));
		say(fd, (struct live_request){
				.command = LIVE_CONNECT, .major = 2, .minor = 4, .type = 1});
		say(fd, (struct live_request){.command = LIVE_CREATE_SESSION});
		say(fd, (struct live_request){.command = LIVE_LIST_SESSIONS});
		say(fd, (struct live_request){.command = LIVE_ATTACH_SESSION, .seek = 2});
		d.points = points;
		conversation_fault = maybe_die;
		cr_assert_eq(pthread_create(&thread, NULL, take_turns, &d), 0);
		pthread_join(thread, &ret);
		all = ret != NULL;
		d.points = -1;
		take_turns(&d);
		conversation_fault = NULL;
		read_exactly(fd, reply, 20 + 4 + 4 + 8);
		cr_assert_eq(be32(8), 2, "at %d", points);
		cr_assert_eq(be32(12), 4, "at %d", points);
		cr_assert_eq(be32(20), LIVE_CREATE_OK, "at %d", points);
		cr_assert_eq(be32(24), 0, "at %d", points);
		cr_assert_eq(be32(28), LIVE_ATTACH_UNKNOWN, "at %d", points);
		shutdown(d.fd, SHUT_RDWR);
		close(d.fd);
		cr_assert(at_end(fd), "nothing twice, at %d", points);
		close(fd);
		cr_assert(all || points < 1000);
		if (all)
			cr_assert_gt(points, 20);
	}
}

/* The next process goes on in the middle of a session: the first one is a child that is killed. */
Test(live, the_next_process_goes_on_where_the_viewer_is)
{
	struct state_ref ref = {.index = 0};
	int ours, fd, ready[2];
	pid_t child;

	live_stop(live);
	live = NULL;
	record_something();
	fd = connection(0, &ours);
	ref.id = atomic_load(&rig.st.conversation[0].id);
	cr_assert_eq(pipe(ready), 0);
	child = fork();
	cr_assert_geq(child, 0);
	if (child == 0) {
		start_with(0);
		(void)live_connection(live, ref, dup(ours));
		_exit((int)read(ready[0], &(uint8_t){0}, 1)); /* never: it is killed */
	}
	greet(fd);
	attach(fd);
	expect_packet(fd, 0);
	/* A request lies there, whole or half understood, when it dies. */
	say(fd, (struct live_request){.command = LIVE_GET_NEXT_INDEX, .id = data});
	cr_assert_eq(kill(child, SIGKILL), 0);
	cr_assert_eq(waitpid(child, NULL, 0), child);
	start_with(0);
	cr_assert_eq(live_connection(live, ref, ours), 0);
	read_exactly(fd, reply, 64);
	cr_assert_eq(be32(56), LIVE_INDEX_OK);
	cr_assert_eq(be32(4), RIG_PACKET, "the second packet");
	ASK(fd, 12 + 1, .command = LIVE_GET_PACKET, .id = data, .offset = RIG_PACKET, .len = 1);
	cr_assert_eq(be32(0), LIVE_PACKET_OK);
	cr_assert_eq(reply[12], 1);
	ASK(fd, 64, .command = LIVE_GET_NEXT_INDEX, .id = data);
	cr_assert_eq(be32(56), LIVE_INDEX_RETRY);
	close(fd);
	wait_closed(1);
	close(ready[0]);
	close(ready[1]);
}
