/* SPDX-License-Identifier: MIT */
/*
 * status.c - the status thread: one document a connection, whoever else reads slowly or not at all.
 */
#include "relayd/status.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "relayd/relay.h"
#include "tests/unit/status_state.h"

#define PLACES 64 /* READERS_MAX of status.c */

static struct relay relay; /* the thread reads it until the process ends */
static struct sockaddr_un at = {.sun_family = AF_UNIX};
static socklen_t at_len;

/* An abstract address: no file is left behind. */
static int listener(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int n = snprintf(at.sun_path + 1, sizeof(at.sun_path) - 1, "tracerelay-test-%d", getpid());

	at_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
	cr_assert_eq(bind(fd, (struct sockaddr *)&at, at_len), 0);
	cr_assert_eq(listen(fd, 512), 0);
	return fd;
}

/* @sources  of 16 streams each */
static void start(uint32_t sources)
{
	json_t *json = json_pack("{s[]}", "options");
	char *error = NULL;

	status_state_make(&relay.st, sources * 16 + 1);
	relay.st.header->capacity.workers = 0; /* there are no threads here; counters stay */
	status_state_session(&relay.st, 0, "default");
	for (uint32_t i = 0; i < sources; i++)
		status_state_source(&relay.st, i, 16, i * 16);
	relay.counters = relay.st.counters;
	relay.synced = true;
	cr_assert_eq(options_from_json(json, &relay.options, &error), 0, "%s", error);
	cr_assert_eq(stream_table_new(&relay.streams), 0);
	cr_assert_eq(status_start(&relay, listener()), 0);
	json_decref(json);
}

static int connect_one(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert_eq(connect(fd, (struct sockaddr *)&at, at_len), 0);
	return fd;
}

/* To the end of file; NULL: it ended before the document was whole. */
static json_t *read_document(int fd)
{
	char *text = NULL;
	size_t len = 0;
	json_t *json;
	ssize_t n;

	do {
		struct pollfd p = {.fd = fd, .events = POLLIN};

		text = realloc(text, len + 65536);
		cr_assert(text);
		cr_assert_eq(poll(&p, 1, 20000), 1, "nothing comes");
		n = read(fd, text + len, 65536);
		len += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	json = json_loadb(text, len, 0, NULL);
	free(text);
	close(fd);
	return json;
}

static json_int_t member(const json_t *document, const char *object, const char *key)
{
	return json_integer_value(json_object_get(json_object_get(document, object), key));
}

TestSuite(status, .timeout = 120);

Test(status, a_document_a_connection)
{
	json_t *document;

	start(2);
	for (int i = 0; i < 5; i++) {
		document = read_document(connect_one());
		cr_assert(document);
		cr_assert_eq(json_integer_value(json_object_get(document, "pid")), getpid());
		cr_assert_eq(json_array_size(json_object_get(document, "streams")), 32);
		cr_assert(json_is_true(json_object_get(document, "synced")));
		cr_assert(json_is_integer(
			json_object_get(json_object_get(document, "limits"), "limits.sources")));
		cr_assert_eq(member(document, "readers", "documents"), i);
		json_decref(document);
	}
}

/* What was there before the connection is in its document. */
Test(status, is_never_older_than_the_connection)
{
	struct stream_slot *slot;

	start(1);
	slot = status_state_stream(&relay.st, &relay.st.source[0], 0);
	for (uint64_t i = 1; i < 200; i++) {
		json_t *document;

		status_state_receive(slot, i, i);
		document = read_document(connect_one());
		cr_assert_eq(member(document, "totals", "received"), (json_int_t)i);
		json_decref(document);
	}
}

Test(status, many_readers_at_once)
{
	int fd[PLACES];

	start(40);
	for (int i = 0; i < PLACES; i++)
		fd[i] = connect_one();
	for (int i = PLACES - 1; i >= 0; i--) {
		json_t *document = read_document(fd[i]);

		cr_assert(document, "reader %d", i);
		cr_assert_eq(json_array_size(json_object_get(document, "streams")), 640);
		json_decref(document);
	}
}

/* Documents larger than a socket's buffer, and readers that hold all places without reading. */
Test(status, readers_that_do_not_read_give_their_places)
{
	int stalled[PLACES];
	json_t *document = NULL;

	start(200);
	for (int i = 0; i < PLACES; i++)
		stalled[i] = connect_one();
	for (int i = 0; i < 100 && !document; i++) {
		document = read_document(connect_one());
		(void)poll(NULL, 0, 20);
	}
	cr_assert(document, "turned away for 2 s");
	cr_assert_geq(member(document, "readers", "given_up") +
			      member(document, "readers", "turned_away"),
		      1);
	json_decref(document);
	for (int i = 0; i < PLACES; i++)
		close(stalled[i]);
}

Test(status, readers_that_go_away)
{
	json_t *document;

	start(50);
	for (int i = 0; i < 100; i++) {
		char byte;
		int fd = connect_one();

		if (i % 2)
			(void)!read(fd, &byte, 1);
		close(fd);
	}
	document = read_document(connect_one());
	cr_assert(document);
	json_decref(document);
}

/* ---- while workers write ---- */

static atomic_bool enough;

/* As a worker: each step is balanced, the idle half is not until it is committed. */
static void *write_steps(void *arg)
{
	struct stream_slot *slot = arg;

	for (uint64_t i = 0; !atomic_load(&enough); i++) {
		struct stream_half *h = stream_begin(slot);

		h->state = STREAM_OPEN;
		h->ledger.received += 3;
		h->ledger.stored += i % 4;
		h->ledger.discarded[i % DISCARD_COUNT] += 3 - i % 4;
		stream_commit(slot);
	}
	return NULL;
}

static uint64_t all_of(const json_t *ledger)
{
	uint64_t sum = (uint64_t)json_integer_value(json_object_get(ledger, "stored"));
	const char *cause;
	json_t *n;

	json_object_foreach (json_object_get(ledger, "discarded"), cause, n)
		sum += (uint64_t)json_integer_value(n);
	return sum;
}

static void check_balance(const json_t *ledger)
{
	uint64_t received = (uint64_t)json_integer_value(json_object_get(ledger, "received"));

	cr_assert_eq(received, all_of(ledger), "received %lu", received);
}

Test(status, ledgers_balance_while_they_are_written)
{
	pthread_t writer[4];
	uint64_t before = 0;

	start(4);
	for (int i = 0; i < 4; i++)
		cr_assert_eq(pthread_create(&writer[i], NULL, write_steps,
					    status_state_stream(&relay.st, &relay.st.source[i],
								(uint32_t)i)),
			     0);
	for (int i = 0; i < 200; i++) {
		json_t *document = read_document(connect_one()), *one;
		uint64_t received = (uint64_t)member(document, "totals", "received");
		size_t j;

		json_array_foreach (json_object_get(document, "streams"), j, one)
			check_balance(one);
		json_array_foreach (json_object_get(document, "sources"), j, one)
			check_balance(one);
		check_balance(json_object_get(document, "totals"));
		cr_assert_geq(received, before, "never less than before");
		before = received;
		json_decref(document);
	}
	cr_assert_gt(before, 0);
	atomic_store(&enough, true);
	for (int i = 0; i < 4; i++)
		pthread_join(writer[i], NULL);
}

/* One that sends something before it reads is served all the same. */
Test(status, readers_that_talk)
{
	int fd;
	json_t *document;

	start(1);
	fd = connect_one();
	(void)send(fd, "GET / HTTP/1.0\r\n\r\n", 18, MSG_NOSIGNAL); /* or all is sent already */
	document = read_document(fd);
	cr_assert(document);
	json_decref(document);
}
