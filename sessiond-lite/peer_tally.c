/* SPDX-License-Identifier: MIT */
/* peer_tally.c - chains in buckets, of which there are never fewer than hosts. */
#include "sessiond-lite/peer_tally.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/random.h>

struct tally {
	struct addr host;
	uint32_t n;
	struct tally *next;
};

struct peer_tally {
	struct tally **bucket;
	size_t buckets; /* a power of two */
	size_t hosts;
	uint64_t seed;
};

int peer_tally_create(struct peer_tally **ret)
{
	struct peer_tally *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
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

void peer_tally_free(struct peer_tally *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->buckets; i++)
		while (t->bucket[i]) {
			struct tally *e = t->bucket[i];

			t->bucket[i] = e->next;
			free(e);
		}
	free(t->bucket);
	free(t);
}

/* Where the pointer to the host's entry stands, or would stand. */
static struct tally **place_of(const struct peer_tally *t, const struct addr *peer)
{
	struct tally **at = &t->bucket[addr_hash_host(peer, t->seed) & (t->buckets - 1)];

	while (*at && !addr_same_host(&(*at)->host, peer))
		at = &(*at)->next;
	return at;
}

uint32_t peer_tally_get(const struct peer_tally *t, const struct addr *peer)
{
	const struct tally *e = *place_of(t, peer);

	return e ? e->n : 0;
}

/* Without memory the chains get longer; nothing else happens. */
static void grow(struct peer_tally *t)
{
	struct tally **old = t->bucket;
	struct tally **bucket = calloc(2 * t->buckets, sizeof(*bucket));
	size_t n = t->buckets;

	if (!bucket)
		return;
	t->bucket = bucket;
	t->buckets *= 2;
	for (size_t i = 0; i < n; i++)
		while (old[i]) {
			struct tally *e = old[i];
			struct tally **at;

			old[i] = e->next;
			e->next = NULL;
			at = place_of(t, &e->host);
			*at = e;
		}
	free(old);
}

int peer_tally_add(struct peer_tally *t, const struct addr *peer)
{
	struct tally **at = place_of(t, peer);
	struct tally *e = *at;

	if (!e) {
		e = calloc(1, sizeof(*e));
		if (!e)
			return -ENOMEM;
		e->host = *peer;
		*at = e;
		if (++t->hosts > t->buckets)
			grow(t);
	}
	e->n++;
	return 0;
}

void peer_tally_remove(struct peer_tally *t, const struct addr *peer)
{
	struct tally **at = place_of(t, peer);
	struct tally *e = *at;

	assert(e && e->n);
	if (--e->n)
		return;
	*at = e->next;
	free(e);
	t->hosts--;
}
