/* SPDX-License-Identifier: MIT */
/*
 * status_churn.c - status documents while everything they are made of changes.
 *
 *   main     plays sessiond-lite and the front loop: clients come and go all the time, so that
 * slots change hands, streams enter and leave the stream table workers  (two threads) commit steps
 * to the sources they were given, then give them back readers  (three) connect, read a document,
 * and check it; the status thread is the real one
 *
 * All facts about a source follow from its number, so a row of two owners shows. In each document
 * received = stored + discarded, and sums are those of the very rows that are listed.
 *
 * usage: status_churn [SECONDS]
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <urcu.h>

#include "relayd/relay.h"
#include "relayd/status.h"
#include "sessiond-lite/store.h"

#define SOURCES     96u
#define CPUS_MAX    8u
#define WORKERS     2
#define READERS     3
#define BURST       64u   /* steps of one stream in a row */
#define STEPS       4096u /* of a source's life */
#define STEP_BYTES  3
#define FIRST_PORT  30000u
#define CONTROL     12345u
#define MIN_PER_RUN 5u /* documents */

/* A source that is alive, by its slot; with main or with a worker, never with both. */
struct client {
	struct mpsc_node node;
	struct state_ref source, conversation;
	struct state_ref stream[CPUS_MAX];
	uint64_t number;
	unsigned steps; /* the worker's */
	bool alive;     /* main's */
};

struct playing_worker {
	pthread_t thread;
	struct mpsc given;
};

static struct relay relay; /* the status thread reads it until the process ends */
static struct store *store;
static struct client client[SOURCES];
static struct playing_worker worker[WORKERS];
static struct mpsc returned;
static struct sockaddr_un at = {.sun_family = AF_UNIX};
static socklen_t at_len;
static int null_fd;
static atomic_bool enough, drained;
static _Atomic unsigned long documents, rows;
static _Atomic uint64_t received;

static _Noreturn __attribute__((format(printf, 1, 2))) void fail(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "status_churn: ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n");
	abort();
}

/* ---- what follows from a number ---- */

static uint32_t cpus_of(uint64_t number)
{
	return 1 + (uint32_t)(number % CPUS_MAX);
}

static uint32_t port_of(uint64_t number, uint32_t cpu)
{
	return FIRST_PORT + (uint32_t)(number % 1000) * CPUS_MAX + cpu;
}

static void peer_text(uint64_t number, char text[ADDR_TEXT_MAX])
{
	snprintf(text, ADDR_TEXT_MAX, "10.%u.%u.%u:%u", (unsigned)(number >> 16 & 255),
		 (unsigned)(number >> 8 & 255), (unsigned)(number & 255),
		 1 + (unsigned)(number % 60000));
}

static struct addr peer_of(uint64_t number)
{
	char text[ADDR_TEXT_MAX];
	struct addr a;

	peer_text(number, text);
	if (addr_parse(text, &a) < 0)
		fail("no address: %s", text);
	return a;
}

/* ---- main: sessiond-lite and the front loop ---- */

static uint32_t draw(uint32_t below)
{
	static uint64_t seed = 1;

	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % below;
}

static void begin_conversation(struct client *c)
{
	struct store_conversation what = {.peer = peer_of(c->number), .now_ms = 1};

	what.local = what.peer;
	what.local.port = CONTROL;
	if (store_conversation_add(store, fcntl(null_fd, F_DUPFD_CLOEXEC, 0), &what,
				   &c->conversation) < 0)
		fail("no conversation");
}

static void fill_in(struct client *c)
{
	struct source_slot *slot = &relay.st.source[c->source.index];
	uint32_t cpus = cpus_of(c->number);

	slot->cpus = cpus;
	slot->number = c->number;
	slot->conversation = c->conversation;
	slot->peer = peer_of(c->number);
	slot->protocol = PROTOCOL_TRACE_CMD_V3;
	slot->first_stream = 1 + c->stream[0].index;
	slot->start_ns = (int64_t)c->number * 1000000000;
	atomic_store(&slot->session, 1);
	for (uint32_t i = 0; i < cpus; i++) {
		struct stream_slot *stream = &relay.st.stream[c->stream[i].index];

		stream->source = c->source;
		stream->next = i + 1 < cpus ? 1 + c->stream[i + 1].index : 0;
		stream->cpu = i;
		stream->port = (uint16_t)port_of(c->number, i);
	}
}

static void come(void)
{
	static uint64_t number;
	struct client new = {.number = ++number, .alive = true}, *c;
	uint32_t cpus = cpus_of(number);
	struct source_slot *slot;

	if (store_source_reserve(store, cpus, &new.source, new.stream) < 0)
		fail("no slots");
	begin_conversation(&new);
	fill_in(&new);
	store_source_publish(store, new.source, cpus, new.stream);
	atomic_store(&relay.st.conversation[new.conversation.index].source, 1 + new.source.index);
	c = &client[new.source.index];
	*c = new;
	slot = state_source(&relay.st, c->source);
	atomic_store(&slot->worker, 1 + (uint32_t)(number % WORKERS));
	for (uint32_t i = 0; i < cpus; i++) {
		struct stream_entry entry = {.stream = c->stream[i], .source = c->source, .cpu = i};

		if (stream_table_add(relay.streams, &slot->peer, (uint16_t)port_of(number, i),
				     TRANSPORT_TCP, &entry) < 0)
			fail("a lease twice");
	}
	mpsc_push(&worker[number % WORKERS].given, &c->node);
}

static void go(struct mpsc_node *node, void *unused)
{
	struct client *c = caa_container_of(node, struct client, node);
	struct source_slot *slot = state_source(&relay.st, c->source);
	bool control_first = draw(2);

	(void)unused;
	for (uint32_t i = 0; i < cpus_of(c->number); i++)
		if (!stream_table_remove(relay.streams, &slot->peer,
					 (uint16_t)port_of(c->number, i), TRANSPORT_TCP,
					 c->stream[i].id))
			fail("a lease is gone");
	atomic_store(&slot->done, 1);
	if (control_first)
		store_conversation_drop(store, c->conversation);
	store_source_drop(store, c->source);
	if (!control_first)
		store_conversation_drop(store, c->conversation);
	c->alive = false;
}

/* Metadata comes in somewhere. */
static void talk(void)
{
	struct client *c = &client[draw(SOURCES)];
	struct conversation_slot *conversation;
	struct conversation_half *h;
	struct source_front_half *f;
	struct source_slot *slot;

	if (!c->alive)
		return;
	conversation = state_conversation(&relay.st, c->conversation);
	h = conversation_begin(conversation);
	h->received_base += 100;
	h->last_byte_ms++;
	conversation_commit(conversation);
	slot = state_source(&relay.st, c->source);
	f = source_front_begin(&slot->front);
	f->metadata += 100;
	f->metadata_complete = f->metadata > 1000;
	source_front_commit(&slot->front);
}

static void churn(time_t seconds)
{
	struct store_counts counts;
	struct timespec now, end;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += seconds;
	do {
		store_counts(store, &counts);
		/* Now and then nobody is left, and the tables begin anew. */
		for (uint32_t want = draw(50) ? draw(SOURCES) : 0; counts.sources++ < want;)
			come();
		for (unsigned i = 0; i < 20; i++)
			talk();
		mpsc_drain(&returned, go, NULL);
		sched_yield();
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec < end.tv_sec ||
		 (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec));
}

/* ---- workers ---- */

/* Balanced in each commit, and not before it. */
static void step(const struct client *c, unsigned n)
{
	uint32_t cpu = n / BURST % cpus_of(c->number);
	struct stream_slot *slot = state_stream(&relay.st, c->stream[cpu]);
	struct stream_half *h = stream_begin(slot);
	struct source_slot *source;

	h->state = STREAM_OPEN;
	h->ledger.received += STEP_BYTES;
	h->ledger.stored += n % (STEP_BYTES + 1);
	h->ledger.discarded[n % DISCARD_COUNT] += STEP_BYTES - n % (STEP_BYTES + 1);
	stream_commit(slot);
	if (n % 16 == 0) {
		struct source_half *s;

		source = state_source(&relay.st, c->source);
		s = source_begin(source);
		s->chunk[0] = (struct source_chunk){.state = CHUNK_OPEN, .number = n};
		snprintf(s->host, sizeof(s->host), "host%llu", (unsigned long long)c->number);
		source_commit(source);
	}
}

static void *work(void *arg)
{
	struct playing_worker *w = arg;
	struct client *mine[SOURCES];
	unsigned n = 0;

	while (!atomic_load(&drained)) {
		struct mpsc_node *node = mpsc_pop(&w->given);

		if (node) {
			mine[n] = caa_container_of(node, struct client, node);
			mine[n++]->steps = 0;
		}
		for (unsigned i = 0; i < n;) {
			struct client *c = mine[i];

			do
				step(c, c->steps);
			while (++c->steps % BURST);
			if (c->steps < STEPS && !atomic_load(&enough)) {
				i++;
				continue;
			}
			mine[i] = mine[--n];
			mpsc_push(&returned, &c->node);
		}
		if (!n)
			sched_yield();
	}
	return NULL;
}

/* ---- readers ---- */

static uint64_t number_in(const json_t *row, const char *key)
{
	const json_t *value = json_object_get(row, key);

	if (!json_is_integer(value))
		fail("%s is no number", key);
	return (uint64_t)json_integer_value(value);
}

/* What a row received; all of it was stored or discarded. */
static uint64_t balance(const json_t *row, const char *what)
{
	uint64_t all = number_in(row, "received"), sum = number_in(row, "stored");
	const char *cause;
	json_t *n;

	json_object_foreach (json_object_get(row, "discarded"), cause, n)
		sum += (uint64_t)json_integer_value(n);
	if (all != sum)
		fail("%s: %llu received, %llu stored or discarded", what, (unsigned long long)all,
		     (unsigned long long)sum);
	return all;
}

static void check_peer(const json_t *row, uint64_t number)
{
	const char *got = json_string_value(json_object_get(row, "peer"));
	char want[ADDR_TEXT_MAX];

	peer_text(number, want);
	if (!got || strcmp(got, want) != 0)
		fail("source %llu has peer %s", (unsigned long long)number, got ? got : "none");
}

/* The rows of one source's streams: their sum. */
static uint64_t check_streams(const json_t *streams, uint64_t number)
{
	uint64_t sum = 0;
	uint32_t n = 0;
	json_t *row;
	size_t i;

	json_array_foreach (streams, i, row) {
		if (number_in(row, "source") != number)
			continue;
		if (number_in(row, "cpu") != n || number_in(row, "port") != port_of(number, n))
			fail("source %llu: its stream %u is CPU %llu, port %llu",
			     (unsigned long long)number, n,
			     (unsigned long long)number_in(row, "cpu"),
			     (unsigned long long)number_in(row, "port"));
		sum += balance(row, "a stream");
		n++;
		rows++;
	}
	if (n > cpus_of(number))
		fail("source %llu has %u streams", (unsigned long long)number, n);
	return sum;
}

static void check_host(const json_t *row, uint64_t number)
{
	const char *got = json_string_value(json_object_get(row, "host"));
	char want[40];

	snprintf(want, sizeof(want), "host%llu", (unsigned long long)number);
	if (got && strcmp(got, want) != 0)
		fail("source %llu has host %s", (unsigned long long)number, got);
}

static void check_connections(const json_t *document)
{
	json_t *row, *source;
	size_t i;

	json_array_foreach (json_object_get(document, "connections"), i, row) {
		source = json_object_get(row, "source");
		if (json_is_integer(source))
			check_peer(row, (uint64_t)json_integer_value(source));
	}
}

static void check(const json_t *document)
{
	const json_t *streams = json_object_get(document, "streams");
	const json_t *totals = json_object_get(document, "totals");
	uint64_t sum = 0;
	json_t *row;
	size_t i;

	json_array_foreach (json_object_get(document, "sources"), i, row) {
		uint64_t number = number_in(row, "number");
		uint64_t sum_of_row = balance(row, "a source");

		check_peer(row, number);
		check_host(row, number);
		if (number_in(row, "cpus") != cpus_of(number))
			fail("source %llu has %llu CPUs", (unsigned long long)number,
			     (unsigned long long)number_in(row, "cpus"));
		if (sum_of_row != check_streams(streams, number))
			fail("source %llu is not the sum of its streams",
			     (unsigned long long)number);
		sum += sum_of_row;
	}
	if (sum != balance(totals, "the totals"))
		fail("the totals are not the sum of the sources");
	json_array_foreach (json_object_get(document, "sessions"), i, row)
		if (balance(row, "a session") != sum)
			fail("the session is not the sum of its sources");
	check_connections(document);
	received += sum;
}

static json_t *read_document(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	json_t *document;
	json_error_t error;

	if (fd < 0 || connect(fd, (struct sockaddr *)&at, at_len) < 0)
		fail("status.sock does not answer");
	document = json_loadfd(fd, 0, &error);
	close(fd);
	if (!document)
		fail("no document: %s", error.text);
	return document;
}

static void *read_all(void *unused)
{
	(void)unused;
	while (!atomic_load(&enough)) {
		json_t *document = read_document();

		check(document);
		json_decref(document);
		documents++;
	}
	return NULL;
}

/* ---- */

static void start_status(void)
{
	json_t *json = json_pack("{s[]}", "options");
	char *error = NULL;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int n = snprintf(at.sun_path + 1, sizeof(at.sun_path) - 1, "tracerelay-churn-%d", getpid());

	at_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, at_len) < 0 || listen(fd, 64) < 0 ||
	    options_from_json(json, &relay.options, &error) < 0 ||
	    stream_table_new(&relay.streams) < 0 || status_start(&relay, fd) < 0)
		fail("the status thread cannot be started");
	json_decref(json);
}

static void start(void)
{
	struct store_config config = {.capacity = {.conversations = SOURCES,
						   .sources = SOURCES,
						   .streams = SOURCES * CPUS_MAX},
				      .conversations_per_peer = SOURCES,
				      .descriptors = 1u << 30};

	null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null_fd < 0 || store_create(&config, &store) < 0)
		fail("no state memory");
	relay.st = *store_state(store);
	relay.counters = relay.st.counters;
	strcpy(relay.st.session[0].name, "default");
	atomic_store(&relay.st.session[0].id, store_new_id(store));
	atomic_store(&relay.st.header->high_session, 1);
	mpsc_init(&returned);
	start_status();
	for (unsigned i = 0; i < WORKERS; i++) {
		mpsc_init(&worker[i].given);
		if (pthread_create(&worker[i].thread, NULL, work, &worker[i]))
			fail("no thread");
	}
}

int main(int argc, char **argv)
{
	time_t seconds = argc > 1 ? atoi(argv[1]) : 3;
	pthread_t reader[READERS];
	struct store_counts counts;

	rcu_register_thread();
	start();
	for (unsigned i = 0; i < READERS; i++)
		if (pthread_create(&reader[i], NULL, read_all, NULL))
			fail("no thread");
	churn(seconds);
	atomic_store(&enough, true);
	for (unsigned i = 0; i < READERS; i++)
		pthread_join(reader[i], NULL);
	do { /* what the workers still have comes back */
		mpsc_drain(&returned, go, NULL);
		store_counts(store, &counts);
	} while (counts.sources);
	atomic_store(&drained, true);
	for (unsigned i = 0; i < WORKERS; i++)
		pthread_join(worker[i].thread, NULL);
	if (counts.streams || counts.conversations || stream_table_count(relay.streams))
		fail("something is left");
	rcu_unregister_thread();
	printf("%lu documents with %lu rows of streams\n", (unsigned long)documents,
	       (unsigned long)rows);
	return documents >= MIN_PER_RUN && rows && received ? 0 : 1;
}
