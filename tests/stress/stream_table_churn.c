/* SPDX-License-Identifier: MIT */
/*
 * stream_table_churn.c - one thread adds and removes streams, others find and walk.
 *
 * Every entry's fields follow from its number, so that one of freed or half-written memory shows.
 * A third of the leases stay for ever: nobody may miss one of them, whatever is resized meanwhile.
 *
 * usage: stream_table_churn [CHANGES]
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <urcu.h>

#include "relayd/stream_table.h"

#define LEASES  3000u
#define FINDERS 2
#define WALKERS 2

static struct stream_table *table;
static atomic_bool enough;
static _Atomic unsigned long finds, walks;

static void fail(const char *what, uint32_t number)
{
	fprintf(stderr, "stream_table_churn: lease %u: %s\n", number, what);
	abort();
}

static bool stays(uint32_t number)
{
	return number % 3 == 0;
}

/* 250 hosts share the ports. */
static void lease_of(uint32_t number, struct addr *ret_peer, uint16_t *ret_port,
		     enum transport *ret_transport)
{
	char text[32];

	snprintf(text, sizeof(text), "127.0.1.%u:7", number % 250);
	if (addr_parse(text, ret_peer) < 0)
		fail("no address", number);
	*ret_port = (uint16_t)(30000 + number / 500);
	*ret_transport = number / 250 % 2 ? TRANSPORT_UDP : TRANSPORT_TCP;
}

static struct stream_entry entry_of(uint32_t number, uint64_t id)
{
	return (struct stream_entry){.stream = {.index = number, .id = id},
				     .source = {.index = number / 2, .id = id * 3},
				     .worker = number % 5,
				     .cpu = number % 7};
}

/* What comes out is what once was put in. The number, or the program ends. */
static uint32_t check(const struct stream_entry *e)
{
	uint32_t number = e->stream.index;
	struct stream_entry want = entry_of(number, e->stream.id);

	if (number >= LEASES || e->source.index != want.source.index ||
	    e->source.id != want.source.id || e->worker != want.worker || e->cpu != want.cpu ||
	    !e->stream.id)
		fail("an entry that nobody added", number);
	return number;
}

static void add(uint32_t number, uint64_t id)
{
	struct stream_entry entry = entry_of(number, id);
	enum transport transport;
	struct addr peer;
	uint16_t port;

	lease_of(number, &peer, &port, &transport);
	if (stream_table_add(table, &peer, port, transport, &entry) < 0)
		fail("cannot be added", number);
}

static void drop(uint32_t number, uint64_t id)
{
	enum transport transport;
	struct addr peer;
	uint16_t port;

	lease_of(number, &peer, &port, &transport);
	if (stream_table_remove(table, &peer, port, transport, id + 1) ||
	    !stream_table_remove(table, &peer, port, transport, id))
		fail("cannot be removed", number);
}

static void *find(void *arg)
{
	unsigned long seed = (unsigned long)arg;
	struct stream_entry entry;
	enum transport transport;
	struct addr peer;
	uint16_t port;

	rcu_register_thread();
	while (!atomic_load(&enough)) {
		uint32_t number;

		seed = seed * 6364136223846793005u + 1442695040888963407u;
		number = (uint32_t)(seed >> 33) % LEASES;
		lease_of(number, &peer, &port, &transport);
		if (!stream_table_find(table, &peer, port, transport, &entry)) {
			if (stays(number))
				fail("was not found", number);
		} else if (check(&entry) != number) {
			fail("another was found", number);
		}
		finds++;
	}
	rcu_unregister_thread();
	return NULL;
}

static void see(void *ctx, const struct stream_entry *entry)
{
	unsigned char *seen = ctx;
	uint32_t number = check(entry);

	if (seen[number]++ && stays(number))
		fail("was seen twice", number);
}

static void *walk(void *arg)
{
	unsigned char seen[LEASES];

	(void)arg;
	rcu_register_thread();
	while (!atomic_load(&enough)) {
		for (uint32_t i = 0; i < LEASES; i++)
			seen[i] = 0;
		stream_table_walk(table, see, seen);
		for (uint32_t i = 0; i < LEASES; i++)
			if (stays(i) && !seen[i])
				fail("was missed by a walk", i);
		(void)stream_table_count(table);
		walks++;
	}
	rcu_unregister_thread();
	return NULL;
}

static void churn(unsigned long changes)
{
	static uint64_t id_of[LEASES]; /* 0: not there */
	uint64_t next_id = LEASES + 1;
	unsigned long seed = 1;

	for (unsigned long i = 0; i < changes; i++) {
		uint32_t number;

		seed = seed * 6364136223846793005u + 1442695040888963407u;
		number = (uint32_t)(seed >> 33) % LEASES;
		if (stays(number))
			continue;
		if (id_of[number]) {
			drop(number, id_of[number]);
			id_of[number] = 0;
		} else {
			add(number, next_id);
			id_of[number] = next_id++;
		}
	}
}

int main(int argc, char **argv)
{
	unsigned long changes = argc > 1 ? strtoul(argv[1], NULL, 10) : 150000;
	pthread_t thread[FINDERS + WALKERS];

	rcu_register_thread();
	if (stream_table_new(&table) < 0)
		return 1;
	for (uint32_t i = 0; i < LEASES; i += 3)
		add(i, i + 1);
	for (unsigned long i = 0; i < FINDERS + WALKERS; i++)
		if (pthread_create(&thread[i], NULL, i < FINDERS ? find : walk, (void *)(i + 1)))
			return 1;
	churn(changes);
	atomic_store(&enough, true);
	for (unsigned i = 0; i < FINDERS + WALKERS; i++)
		pthread_join(thread[i], NULL);
	stream_table_free(table);
	rcu_unregister_thread();
	printf("%lu changes, %lu finds, %lu walks\n", changes, (unsigned long)finds,
	       (unsigned long)walks);
	return finds && walks ? 0 : 1;
}
