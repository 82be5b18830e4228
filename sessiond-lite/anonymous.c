/* SPDX-License-Identifier: MIT */
/*
 * anonymous.c - a count of all data connections a host, and a list of those that may be silent.
 *
 * Links are 1 + slot index, so that calloc()'s zeros mean none; an entry is in the list if
 * `listed`.
 */
#include "sessiond-lite/anonymous.h"

#include <errno.h>
#include <stdlib.h>

#include "sessiond-lite/peer_tally.h"

struct entry {
	struct addr peer;
	uint32_t next, prev; /* in the list */
	bool used, listed;
};

struct anonymous {
	const struct state *st;
	struct peer_tally *all; /* data connections, silent or not */
	struct entry *entry;    /* [capacity.conversations] */
	uint32_t first;
};

int anonymous_create(const struct state *st, struct anonymous **ret)
{
	struct anonymous *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->st = st;
	a->entry = calloc(st->header->capacity.conversations, sizeof(*a->entry));
	if (!a->entry || peer_tally_create(&a->all) < 0) {
		anonymous_free(a);
		return -ENOMEM;
	}
	*ret = a;
	return 0;
}

void anonymous_free(struct anonymous *a)
{
	if (!a)
		return;
	peer_tally_free(a->all);
	free(a->entry);
	free(a);
}

static void unlist(struct anonymous *a, struct entry *e)
{
	*(e->prev ? &a->entry[e->prev - 1].next : &a->first) = e->next;
	if (e->next)
		a->entry[e->next - 1].prev = e->prev;
	e->listed = false;
}

int anonymous_add(struct anonymous *a, uint32_t index, const struct addr *peer)
{
	int r = peer_tally_add(a->all, peer);

	if (r < 0)
		return r;
	a->entry[index] =
		(struct entry){.peer = *peer, .next = a->first, .used = true, .listed = true};
	if (a->first)
		a->entry[a->first - 1].prev = 1 + index;
	a->first = 1 + index;
	return 0;
}

void anonymous_remove(struct anonymous *a, uint32_t index)
{
	struct entry *e = &a->entry[index];

	if (!e->used)
		return;
	if (e->listed)
		unlist(a, e);
	peer_tally_remove(a->all, &e->peer);
	e->used = false;
}

bool anonymous_reached(struct anonymous *a, const struct addr *peer, uint32_t most)
{
	uint32_t n = 0, next;

	if (peer_tally_get(a->all, peer) < most)
		return false;
	for (uint32_t at = a->first; at; at = next) {
		struct entry *e = &a->entry[at - 1];

		next = e->next;
		if (atomic_load(&a->st->conversation[at - 1].source))
			unlist(a, e);
		else
			n += addr_same_host(&e->peer, peer);
	}
	return n >= most;
}
