/* SPDX-License-Identifier: MIT */
/*
 * lttng_orders.c - bytes into the ring first, then the step that makes them an order.
 *
 * Invariants, at every instant a SIGKILL may choose:
 *   applied <= ordered <= touched <= applied + CTF_RING_ROOM
 *   an order that a conversation has put and may put again is the last of its source, or the last
 *   of that conversation, which then remembers it itself
 */
#include "relayd/lttng_orders.h"

#include <assert.h>
#include <string.h>

#define KEPT      2048u /* bytes: for the ends of connections */
#define ORDER_MAX (sizeof(struct ctf_order) + CTF_PIECE + KEPT)

static uint64_t applied(const struct ctf_source_slot *s)
{
	return atomic_load_explicit(&s->applied, memory_order_acquire);
}

/* ---- room ---- */

/* Pages for one more order; none that the worker may still give back. */
static void make(const struct state *st, struct ctf_source_slot *s)
{
	const struct ctf_front_half *now = ctf_front_now(s);
	uint64_t to = now->touched, most = applied(s) + CTF_RING_ROOM;

	while (to - now->ordered < ORDER_MAX && to + CTF_RING_PART <= most &&
	       state_touch(st, s->ring + (to & (CTF_RING - 1)), CTF_RING_PART) == 0)
		to += CTF_RING_PART;
	if (to == now->touched)
		return;
	ctf_front_begin(s)->touched = to;
	ctf_front_commit(s);
}

/* What is free of the ring, if an order of any size has its pages; else what has pages. */
static size_t all_room(const struct state *st, struct ctf_source_slot *s)
{
	const struct ctf_front_half *now = ctf_front_now(s);

	if (now->touched - now->ordered < ORDER_MAX) {
		make(st, s);
		now = ctf_front_now(s);
	}
	if (now->touched - now->ordered < ORDER_MAX)
		return (size_t)(now->touched - now->ordered);
	return (size_t)(CTF_RING_ROOM - (now->ordered - applied(s)));
}

size_t lttng_orders_room(const struct state *st, struct ctf_source_slot *s)
{
	size_t room = all_room(st, s);

	return room > KEPT ? room - KEPT : 0;
}

bool lttng_orders_last_fits(const struct state *st, struct ctf_source_slot *s)
{
	return ctf_order_size(0) <= all_room(st, s);
}

/* ---- orders ---- */

static void put(struct ctf_source_slot *s, uint64_t position, const void *bytes, size_t len)
{
	size_t at = position & (CTF_RING - 1);
	size_t first = len < CTF_RING - at ? len : CTF_RING - at;

	if (!len)
		return;
	memcpy(s->ring + at, bytes, first);
	memcpy(s->ring, (const uint8_t *)bytes + first, len - first);
}

static bool is_there(const struct state *st, const struct ctf_front_half *now,
		     const struct lttng_origin *origin)
{
	const struct conversation_slot *c = state_conversation(st, origin->conversation);

	if (now->by_conversation == origin->conversation.id && now->by_position == origin->position)
		return true;
	return c && atomic_load(&c->ordered) == origin->position;
}

/* The last order was another conversation's: that one remembers it from here on. */
static void remember(const struct state *st, const struct ctf_front_half *now,
		     const struct lttng_origin *origin)
{
	struct state_ref last = {.index = now->by_index, .id = now->by_conversation};
	struct conversation_slot *c;

	if (last.id == origin->conversation.id)
		return;
	c = state_conversation(st, last);
	if (c)
		atomic_store(&c->ordered, now->by_position);
}

bool lttng_orders_put(const struct state *st, struct ctf_source_slot *s,
		      const struct lttng_origin *origin, const struct ctf_order *order,
		      const uint8_t *payload)
{
	static const uint8_t zeros[8];
	const struct ctf_front_half *now = ctf_front_now(s);
	uint32_t size = ctf_order_size(order->bytes);
	uint32_t used = (uint32_t)sizeof(*order) + order->bytes;
	struct ctf_front_half *next;

	if (is_there(st, now, origin))
		return false;
	assert(size <= now->touched - now->ordered);
	remember(st, now, origin);
	put(s, now->ordered, order, sizeof(*order));
	put(s, now->ordered + sizeof(*order), payload, order->bytes);
	put(s, now->ordered + used, zeros, size - used);
	next = ctf_front_begin(s);
	next->ordered += size;
	next->by_conversation = origin->conversation.id;
	next->by_index = origin->conversation.index;
	next->by_position = origin->position;
	ctf_front_commit(s);
	return true;
}

bool lttng_orders_pending(const struct ctf_source_slot *s)
{
	return ctf_front_now(s)->ordered != applied(s);
}
