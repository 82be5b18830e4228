/* SPDX-License-Identifier: MIT */
/* lttng_orders.c - bytes into the ring first, then the step that makes them an order. */
#include "relayd/lttng_orders.h"

#include <assert.h>
#include <string.h>

size_t lttng_orders_room(const struct ctf_source_slot *s)
{
	uint64_t waiting =
		ctf_front_now(s)->ordered - atomic_load_explicit(&s->applied, memory_order_acquire);

	return waiting < CTF_RING_ROOM ? (size_t)(CTF_RING_ROOM - waiting) : 0;
}

static void put(struct ctf_source_slot *s, uint64_t position, const void *bytes, size_t len)
{
	size_t at = position & (CTF_RING - 1);
	size_t first = len < CTF_RING - at ? len : CTF_RING - at;

	if (!len)
		return;
	memcpy(s->ring + at, bytes, first);
	memcpy(s->ring, (const uint8_t *)bytes + first, len - first);
}

bool lttng_orders_put(struct ctf_source_slot *s, const struct lttng_origin *origin,
		      const struct ctf_order *order, const uint8_t *payload)
{
	static const uint8_t zeros[8];
	const struct ctf_front_half *now = ctf_front_now(s);
	uint32_t size = ctf_order_size(order->bytes);
	uint32_t used = (uint32_t)sizeof(*order) + order->bytes;
	struct ctf_front_half *next;

	if (now->by_conversation == origin->conversation && now->by_position == origin->position)
		return false;
	assert(size <= lttng_orders_room(s));
	put(s, now->ordered, order, sizeof(*order));
	put(s, now->ordered + sizeof(*order), payload, order->bytes);
	put(s, now->ordered + used, zeros, size - used);
	next = ctf_front_begin(s);
	next->ordered += size;
	next->by_conversation = origin->conversation;
	next->by_position = origin->position;
	ctf_front_commit(s);
	return true;
}

bool lttng_orders_pending(const struct ctf_source_slot *s)
{
	return ctf_front_now(s)->ordered != atomic_load_explicit(&s->applied, memory_order_acquire);
}
