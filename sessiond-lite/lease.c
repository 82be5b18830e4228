/* SPDX-License-Identifier: MIT */
/*
 * lease.c - a bitmap and a queue of resting ports for each peer.
 *
 * Invariants of a peer:
 *  - a bit of `busy` is set exactly for ports that are held (entry.stream.id != 0) or rest;
 *  - the resting ones are in the queue head..tail, in the order of their release;
 *  - no bit below `lowest` is clear;
 *  - it is in the list of idle peers exactly while it holds nothing. That list is in the order of
 *    the last release, since time never goes back.
 */
#include "sessiond-lite/lease.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define NOBODY    UINT32_MAX
#define WORD_BITS 64u

struct entry {
	uint64_t id;    /* of the stream that holds it, 0 while it rests or is free */
	uint32_t index; /* of that stream; resting: the next in the queue */
	uint32_t unused;
	int64_t released_ms;
};

struct peer {
	struct addr host;  /* port 0 */
	struct peer *next; /* in the bucket */
	struct peer *idle_prev, *idle_next;
	uint32_t held;
	uint32_t capacity; /* ports that entry and busy cover; a multiple of WORD_BITS */
	uint32_t lowest;
	uint32_t head, tail; /* resting */
	int64_t last_release_ms;
	struct entry *entry;
	uint64_t *busy;
};

struct lease_table {
	struct lease_config config;
	uint32_t pool; /* ports */
	uint64_t seed;
	struct peer **bucket;
	size_t buckets; /* a power of two */
	size_t peers, leases;
	struct peer *idle_first, *idle_last;
};

int lease_table_create(const struct lease_config *config, struct lease_table **ret)
{
	struct lease_table *t = calloc(1, sizeof(*t));

	assert(config->first_port && config->first_port <= config->last_port);
	if (!t)
		return -ENOMEM;
	t->config = *config;
	t->pool = (uint32_t)(config->last_port - config->first_port) + 1;
	t->buckets = 64;
	t->bucket = calloc(t->buckets, sizeof(*t->bucket));
	if (!t->bucket) {
		free(t);
		return -ENOMEM;
	}
	if (getrandom(&t->seed, sizeof(t->seed), GRND_NONBLOCK) != sizeof(t->seed))
		t->seed = (uint64_t)(uintptr_t)t;
	*ret = t;
	return 0;
}

static void peer_free(struct peer *p)
{
	free(p->entry);
	free(p->busy);
	free(p);
}

void lease_table_free(struct lease_table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->buckets; i++)
		while (t->bucket[i]) {
			struct peer *p = t->bucket[i];

			t->bucket[i] = p->next;
			peer_free(p);
		}
	free(t->bucket);
	free(t);
}

static struct peer **bucket_of(const struct lease_table *t, const struct addr *host)
{
	return &t->bucket[addr_hash_host(host, t->seed) & (t->buckets - 1)];
}

static struct peer *peer_find(const struct lease_table *t, const struct addr *host)
{
	for (struct peer *p = *bucket_of(t, host); p; p = p->next)
		if (addr_same_host(&p->host, host))
			return p;
	return NULL;
}

static void idle_add(struct lease_table *t, struct peer *p)
{
	p->idle_next = NULL;
	p->idle_prev = t->idle_last;
	*(t->idle_last ? &t->idle_last->idle_next : &t->idle_first) = p;
	t->idle_last = p;
}

static void idle_remove(struct lease_table *t, struct peer *p)
{
	*(p->idle_prev ? &p->idle_prev->idle_next : &t->idle_first) = p->idle_next;
	*(p->idle_next ? &p->idle_next->idle_prev : &t->idle_last) = p->idle_prev;
}

/* Twice as many buckets once there are as many peers; without memory the chains get longer. */
static void grow(struct lease_table *t)
{
	struct peer **old = t->bucket;
	size_t n = t->buckets;
	struct peer **bucket;

	if (t->peers < n)
		return;
	bucket = calloc(2 * n, sizeof(*bucket));
	if (!bucket)
		return;
	t->bucket = bucket;
	t->buckets = 2 * n;
	for (size_t i = 0; i < n; i++)
		while (old[i]) {
			struct peer *p = old[i], **b = bucket_of(t, &p->host);

			old[i] = p->next;
			p->next = *b;
			*b = p;
		}
	free(old);
}

static struct peer *peer_get(struct lease_table *t, const struct addr *host, int64_t now_ms)
{
	struct peer *p = peer_find(t, host);
	struct peer **b;

	if (p)
		return p;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	grow(t);
	p->host = *host;
	p->host.port = 0;
	p->head = p->tail = NOBODY;
	p->last_release_ms = now_ms;
	b = bucket_of(t, host);
	p->next = *b;
	*b = p;
	t->peers++;
	idle_add(t, p);
	return p;
}

static void peer_forget(struct lease_table *t, struct peer *p)
{
	struct peer **at = bucket_of(t, &p->host);

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	idle_remove(t, p);
	t->peers--;
	peer_free(p);
}

static bool rested(const struct lease_table *t, int64_t since_ms, int64_t now_ms)
{
	return now_ms - since_ms >= t->config.rest_ms;
}

static void forget_some(struct lease_table *t, int64_t now_ms, size_t most)
{
	while (most-- && t->idle_first && rested(t, t->idle_first->last_release_ms, now_ms))
		peer_forget(t, t->idle_first);
}

void lease_forget(struct lease_table *t, int64_t now_ms)
{
	forget_some(t, now_ms, SIZE_MAX);
}

/* The port at `at` joins the queue. */
static void rest(struct peer *p, uint32_t at, int64_t now_ms)
{
	p->entry[at].released_ms = now_ms;
	p->entry[at].index = NOBODY;
	*(p->head == NOBODY ? &p->head : &p->entry[p->tail].index) = at;
	p->tail = at;
}

/* The port at `at`, which has just left the queue, is its first again. */
static void rest_on(struct peer *p, uint32_t at)
{
	p->entry[at].index = p->head;
	if (p->head == NOBODY)
		p->tail = at;
	p->head = at;
}

/* The port at `at` leaves the queue; `before` stands ahead of it, or NOBODY. */
static void queue_remove(struct peer *p, uint32_t before, uint32_t at)
{
	uint32_t next = p->entry[at].index;

	*(before == NOBODY ? &p->head : &p->entry[before].index) = next;
	if (p->tail == at)
		p->tail = before;
}

static void set_free(struct peer *p, uint32_t at)
{
	p->busy[at / WORD_BITS] &= ~(UINT64_C(1) << (at % WORD_BITS));
	if (at < p->lowest)
		p->lowest = at;
}

static void wake_rested(const struct lease_table *t, struct peer *p, int64_t now_ms)
{
	while (p->head != NOBODY && rested(t, p->entry[p->head].released_ms, now_ms)) {
		uint32_t at = p->head;

		queue_remove(p, NOBODY, at);
		set_free(p, at);
	}
}

/* Room for the port at `at`, which is inside the pool. */
static int cover(struct peer *p, uint32_t at)
{
	uint32_t n = p->capacity ? p->capacity : WORD_BITS;
	struct entry *entry;
	uint64_t *busy;

	while (n <= at)
		n *= 2;
	if (n == p->capacity)
		return 0;
	entry = realloc(p->entry, n * sizeof(*entry));
	if (!entry)
		return -ENOMEM;
	p->entry = entry;
	busy = realloc(p->busy, n / WORD_BITS * sizeof(*busy));
	if (!busy)
		return -ENOMEM;
	p->busy = busy;
	memset(entry + p->capacity, 0, (n - p->capacity) * sizeof(*entry));
	memset(busy + p->capacity / WORD_BITS, 0, (n - p->capacity) / WORD_BITS * sizeof(*busy));
	p->capacity = n;
	return 0;
}

/* The lowest port from `at` on that is neither held nor rests; may be the pool's end. */
static uint32_t next_free(const struct lease_table *t, const struct peer *p, uint32_t at)
{
	while (at < p->capacity && at < t->pool) {
		uint64_t free_bits = ~p->busy[at / WORD_BITS] & (UINT64_MAX << (at % WORD_BITS));

		if (free_bits)
			return at - at % WORD_BITS + (uint32_t)__builtin_ctzll(free_bits);
		at += WORD_BITS - at % WORD_BITS;
	}
	return at;
}

static void hold(struct lease_table *t, struct peer *p, uint32_t at, struct state_ref stream)
{
	p->busy[at / WORD_BITS] |= UINT64_C(1) << (at % WORD_BITS);
	p->entry[at].id = stream.id;
	p->entry[at].index = stream.index;
	if (!p->held++)
		idle_remove(t, p);
	t->leases++;
}

static void unhold(struct lease_table *t, struct peer *p, uint32_t at)
{
	p->entry[at].id = 0;
	t->leases--;
	if (!--p->held)
		idle_add(t, p);
}

/* Up to n fresh ports. Return how many, or a negative errno; those taken so far are in ret. */
static int take_fresh(struct lease_table *t, struct peer *p, const struct lease_request *rq,
		      uint16_t *ret_ports, uint32_t *done)
{
	uint32_t at = next_free(t, p, p->lowest);
	int r;

	p->lowest = at;
	for (; *done < rq->n && at < t->pool; at = next_free(t, p, at + 1)) {
		uint16_t port = (uint16_t)(t->config.first_port + at);

		r = cover(p, at);
		if (r < 0)
			return r;
		r = rq->bind(rq->context, port, rq->transport);
		if (r == -EADDRINUSE)
			continue;
		if (r < 0)
			return r;
		hold(t, p, at, rq->streams[*done]);
		ret_ports[(*done)++] = port;
	}
	return 0;
}

/* The same among those that rest, the longest rested first. */
static int take_resting(struct lease_table *t, struct peer *p, const struct lease_request *rq,
			uint16_t *ret_ports, uint32_t *done)
{
	uint32_t before = NOBODY, at = p->head;
	int r;

	while (*done < rq->n && at != NOBODY) {
		uint16_t port = (uint16_t)(t->config.first_port + at);
		uint32_t next = at == p->tail ? NOBODY : p->entry[at].index;

		r = rq->bind(rq->context, port, rq->transport);
		if (r < 0 && r != -EADDRINUSE)
			return r;
		if (r == 0) {
			queue_remove(p, before, at);
			hold(t, p, at, rq->streams[*done]);
			ret_ports[(*done)++] = port;
		} else {
			before = at;
		}
		at = next;
	}
	return 0;
}

int lease_take(struct lease_table *t, const struct lease_request *rq, int64_t now_ms,
	       uint16_t *ret_ports)
{
	struct peer *p;
	uint32_t done = 0, fresh;
	int r;

	assert(rq->n);
	if (rq->n > t->config.per_peer)
		return -EDQUOT;
	forget_some(t, now_ms, 2);
	p = peer_get(t, rq->peer, now_ms);
	if (!p)
		return -ENOMEM;
	if (rq->n > t->config.per_peer - p->held)
		return -EDQUOT;
	wake_rested(t, p, now_ms);
	r = take_fresh(t, p, rq, ret_ports, &done);
	fresh = done;
	if (r == 0 && done < rq->n)
		r = take_resting(t, p, rq, ret_ports, &done);
	if (r == 0 && done < rq->n)
		r = -EADDRNOTAVAIL;
	while (r < 0 && done--) {
		uint32_t at = (uint32_t)(ret_ports[done] - t->config.first_port);

		p->last_release_ms = now_ms;
		unhold(t, p, at);
		if (done < fresh) /* nobody was told of it, so it needs no rest */
			set_free(p, at);
		else
			rest_on(p, at);
	}
	return r;
}

static struct entry *entry_of(const struct lease_table *t, const struct peer *p, uint16_t port)
{
	uint32_t at = (uint32_t)(port - t->config.first_port);

	if (port < t->config.first_port || at >= p->capacity || !p->entry[at].id)
		return NULL;
	return &p->entry[at];
}

int lease_find(const struct lease_table *t, const struct addr *peer, uint16_t port,
	       struct state_ref *ret_stream)
{
	const struct peer *p = peer_find(t, peer);
	const struct entry *e = p ? entry_of(t, p, port) : NULL;

	if (!e)
		return -ENOENT;
	*ret_stream = (struct state_ref){.index = e->index, .id = e->id};
	return 0;
}

void lease_end(struct lease_table *t, const struct addr *peer, uint16_t port, int64_t now_ms)
{
	struct peer *p = peer_find(t, peer);
	struct entry *e = p ? entry_of(t, p, port) : NULL;
	uint32_t at;

	assert(e);
	at = (uint32_t)(e - p->entry);
	p->last_release_ms = now_ms;
	unhold(t, p, at);
	rest(p, at, now_ms);
}

uint32_t lease_held(const struct lease_table *t, const struct addr *peer)
{
	const struct peer *p = peer_find(t, peer);

	return p ? p->held : 0;
}

size_t lease_count(const struct lease_table *t)
{
	return t->leases;
}

size_t lease_peer_count(const struct lease_table *t)
{
	return t->peers;
}
