/* SPDX-License-Identifier: MIT */
/*
 * lttng_orders.h - the front loop's end of a source's ring of orders (common/state_ctf.h).
 *
 * Memory: pages of the ring are made before they are written; the worker gives them back.
 * Thread: the front loop's; only it puts orders. `applied` is the worker's.
 * Test: tests/unit/lttng_orders.c.
 */
#ifndef TRACERELAY_RELAYD_LTTNG_ORDERS_H
#define TRACERELAY_RELAYD_LTTNG_ORDERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/state.h"

/* Whose message puts an order: taken again after a kill, it finds itself there. */
struct lttng_origin {
	struct state_ref conversation;
	uint64_t position; /* in its ring, behind the part of the message that puts it */
};

/* Bytes that are free in the ring, for orders with their headers; less if there is no memory for
 * its pages. */
size_t lttng_orders_room(const struct state *st, struct ctf_source_slot *s);
/* Whether the last order of a connection fits: some room is kept for those. */
bool lttng_orders_last_fits(const struct state *st, struct ctf_source_slot *s);

/*
 * Put an order; @payload has order->bytes bytes, and ctf_order_size() of them fit (asserted).
 * Harmless to repeat for the same origin, also behind orders of other conversations and any number
 * of kills. True: it was put now.
 */
bool lttng_orders_put(const struct state *st, struct ctf_source_slot *s,
		      const struct lttng_origin *origin, const struct ctf_order *order,
		      const uint8_t *payload);

/* Whether the worker has not yet applied all that was ordered. */
bool lttng_orders_pending(const struct ctf_source_slot *s);

#endif
