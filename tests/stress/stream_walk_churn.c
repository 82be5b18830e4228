/* SPDX-License-Identifier: MIT */
/*
 * stream_walk_churn.c - streams of LTTng come and go, threads walk along them.
 *
 *   main     plays sessiond-lite, with its store: adds streams to some sources and takes them out
 *            anywhere, so that slots go from one source to another all the time
 *   walkers  walk along each source from its head, and along one without ever beginning anew
 *
 * What belongs to whom follows from the source's number, which each stream carries. Every third
 * stream stays: no walk may miss one that was there when it began.
 *
 * usage: stream_walk_churn [CHANGES]
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/stream_walk.h"
#include "common/tsan.h"
#include "sessiond-lite/store.h"

#define SOURCES 4u
#define PASSING 24u /* of a source, at a time */
#define STAYING 12u /* of a source, in the end */
#define WALKERS 3

/* A source's list, as main keeps it. */
struct list {
	struct state_ref source;
	struct state_ref stream[PASSING + STAYING]; /* in the order of the list */
	bool stays[PASSING + STAYING];
	uint32_t n;
	_Atomic uint32_t staying; /* so many stay by now */
};

static struct list lists[SOURCES];
static const struct state *st;
static atomic_bool enough;
static _Atomic unsigned long walks;

static void fail(const char *what, unsigned source, unsigned long long number)
{
	fprintf(stderr, "stream_walk_churn: source %u, stream %llu: %s\n", source, number, what);
	abort();
}

/* Who asked for a stream is its source here, and the position that it stays. */
TSAN_READS_RACILY static bool stays(const volatile struct ctf_stream_slot *c)
{
	return c->by_position != 0;
}

TSAN_READS_RACILY static uint64_t owner(const volatile struct ctf_stream_slot *c)
{
	return c->by_conversation;
}

/* What it looks at may be another's by the time: then its id says so. */
static void walk(unsigned i)
{
	uint32_t had = atomic_load(&lists[i].staying), found = 0;
	struct stream_walk w = {0};
	struct state_ref ref;
	uint32_t number = 0;

	while (stream_walk_next(st, lists[i].source, &w, &ref)) {
		bool stay = stays(&st->ctf_stream[ref.index]);
		uint64_t whose = owner(&st->ctf_stream[ref.index]);

		RACY_READS_END_HERE();
		if (w.from <= number)
			fail("is out of order", i, w.from);
		number = w.from;
		if (atomic_load(&st->stream[ref.index].id) != ref.id)
			continue;
		if (whose != 1 + i)
			fail("is of another source", i, w.from);
		found += stay;
	}
	if (found < had)
		fail("so many stay, and not all were found", i, had);
	atomic_fetch_add(&walks, 1);
}

static void *walker(void *arg)
{
	struct stream_walk w = {0};
	struct state_ref ref;
	uint32_t last = 0;

	(void)arg;
	while (!atomic_load(&enough)) {
		for (unsigned i = 0; i < SOURCES; i++)
			walk(i);
		while (stream_walk_next(st, lists[0].source, &w, &ref)) {
			if (w.from <= last)
				fail("came twice", 0, w.from);
			last = w.from;
		}
	}
	return NULL;
}

static void add(struct store *s, unsigned i, bool stay)
{
	struct list *l = &lists[i];
	uint32_t last = l->n ? 1 + l->stream[l->n - 1].index : 0;

	if (store_ctf_stream_add(s, l->source, last, 1 + i, stay, &l->stream[l->n]) < 0)
		fail("cannot be added", i, l->n);
	l->stays[l->n++] = stay;
	if (stay)
		atomic_fetch_add(&l->staying, 1);
}

static void drop(struct store *s, unsigned i, uint32_t k)
{
	struct list *l = &lists[i];

	store_ctf_stream_drop(s, l->stream[k], k ? 1 + l->stream[k - 1].index : 0);
	for (l->n--; k < l->n; k++) {
		l->stream[k] = l->stream[k + 1];
		l->stays[k] = l->stays[k + 1];
	}
}

static void change(struct store *s)
{
	unsigned i = (unsigned)random() % SOURCES;
	struct list *l = &lists[i];
	uint32_t staying = atomic_load(&l->staying), k;

	if (l->n - staying < PASSING && (random() & 1 || !(l->n - staying))) {
		add(s, i, staying < STAYING && random() % 64 == 0);
		return;
	}
	k = (uint32_t)random() % l->n;
	if (!l->stays[k])
		drop(s, i, k);
}

int main(int argc, char **argv)
{
	struct store_config config = {.capacity = {.conversations = 1,
						   .sources = SOURCES,
						   .streams = SOURCES * (PASSING + STAYING),
						   .workers = 1},
				      .descriptors = 1000};
	unsigned long changes = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;
	pthread_t threads[WALKERS];
	struct store *s;

	if (store_create(&config, &s) < 0)
		fail("no store", 0, 0);
	st = store_state(s);
	for (unsigned i = 0; i < SOURCES; i++) {
		if (store_ctf_source_reserve(s, &lists[i].source) < 0)
			fail("no source", i, 0);
		store_source_publish(s, lists[i].source, 0, NULL);
	}
	for (unsigned i = 0; i < WALKERS; i++)
		pthread_create(&threads[i], NULL, walker, NULL);
	for (unsigned long n = 0; n < changes || atomic_load(&walks) < 100; n++)
		change(s);
	atomic_store(&enough, true);
	for (unsigned i = 0; i < WALKERS; i++)
		pthread_join(threads[i], NULL);
	printf("stream_walk_churn: %lu walks beside %lu changes\n", atomic_load(&walks), changes);
	store_free(s);
	return 0;
}
