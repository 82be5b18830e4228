/* SPDX-License-Identifier: MIT */
/* lttng_orders.c - orders put once each, whoever put some in between, and pages as they are needed.
 */
#include "relayd/lttng_orders.h"

#include <criterion/criterion.h>

#define CLIENTS 4u

static struct state st;
static struct ctf_source_slot *source;

static void setup(void)
{
	struct state_capacity capacity = {
		.conversations = CLIENTS, .sources = 1, .streams = 1, .workers = 1};

	cr_assert_eq(state_create(&capacity, &st), 0);
	cr_assert_eq(state_touch(&st, st.conversation, CLIENTS * sizeof(*st.conversation)), 0);
	source = &st.ctf_source[0];
	cr_assert_eq(state_touch(&st, source, offsetof(struct ctf_source_slot, ring)), 0);
	for (unsigned i = 0; i < CLIENTS; i++)
		atomic_store(&st.conversation[i].id, 10 + i);
}

static void teardown(void)
{
	state_detach(&st);
}

TestSuite(lttng_orders, .init = setup, .fini = teardown);

static struct lttng_origin origin_of(unsigned client, uint64_t position)
{
	return (struct lttng_origin){
		.conversation = {.index = client, .id = atomic_load(&st.conversation[client].id)},
		.position = position};
}

static bool put(unsigned client, uint64_t position)
{
	struct lttng_origin origin = origin_of(client, position);
	struct ctf_order o = {.type = CTF_ORDER_PUBLISH, .number = position};

	cr_assert_geq(lttng_orders_room(&st, source), ctf_order_size(0));
	return lttng_orders_put(&st, source, &origin, &o, NULL);
}

static void apply(uint64_t n)
{
	atomic_store(&source->applied, atomic_load(&source->applied) + n);
}

static uint64_t ordered(void)
{
	return ctf_front_now(source)->ordered / ctf_order_size(0);
}

Test(lttng_orders, put_once)
{
	cr_assert(put(0, 24));
	cr_assert_not(put(0, 24));
	cr_assert(put(0, 48));
	cr_assert_not(put(0, 48));
	cr_assert(lttng_orders_pending(source));
	apply(2 * ctf_order_size(0));
	cr_assert_not(lttng_orders_pending(source));
	cr_assert_eq(ordered(), 2);
}

/* A kill behind the order of one, in front of its conversation's commit; the next process hears
 * another first. */
Test(lttng_orders, put_once_though_another_came_between)
{
	cr_assert(put(0, 100));
	cr_assert(put(1, 100)); /* the same position of another connection is another message */
	cr_assert_not(put(0, 100));
	cr_assert_not(put(1, 100));
	cr_assert(put(0, 200));
	cr_assert_not(put(1, 100));
	cr_assert(put(1, 300));
	cr_assert_not(put(0, 200));
	cr_assert_eq(ordered(), 4);
}

/* Kill upon kill, before the first ones had their turn again. */
Test(lttng_orders, put_once_though_all_others_came_between)
{
	for (uint64_t position = 50; position < 500; position += 50) {
		for (unsigned i = 0; i < CLIENTS; i++)
			cr_assert(put(i, position));
		for (unsigned i = 0; i < CLIENTS; i++)
			cr_assert_not(put(i, position), "client %u at %llu", i,
				      (unsigned long long)position);
	}
	cr_assert_eq(ordered(), 9 * CLIENTS);
}

Test(lttng_orders, a_slot_that_is_anothers_by_now_remembers_nothing)
{
	cr_assert(put(0, 100));
	atomic_store(&st.conversation[0].id, 20);
	cr_assert(put(1, 100));
	cr_assert_eq(atomic_load(&st.conversation[0].ordered), 0);
	cr_assert(put(0, 100));
}

/* ---- pages ---- */

static uint8_t pattern(uint64_t order, uint64_t at)
{
	return (uint8_t)(order * 31 + at);
}

static void put_long(uint64_t n, uint32_t bytes)
{
	struct lttng_origin origin = origin_of(0, 100 + n);
	struct ctf_order o = {.type = CTF_ORDER_METADATA, .bytes = bytes, .number = n};
	uint8_t payload[CTF_PIECE];

	for (uint32_t i = 0; i < bytes; i++)
		payload[i] = pattern(n, i);
	cr_assert(lttng_orders_put(&st, source, &origin, &o, payload));
}

/* As the worker reads; what it applied may go. */
static void check_long(uint64_t n, uint32_t bytes)
{
	uint64_t at = atomic_load(&source->applied);
	struct ctf_order o;

	for (size_t i = 0; i < sizeof(o); i++)
		((uint8_t *)&o)[i] = source->ring[(at + i) & (CTF_RING - 1)];
	cr_assert_eq(o.number, n);
	cr_assert_eq(o.bytes, bytes);
	for (uint32_t i = 0; i < bytes; i++)
		cr_assert_eq(source->ring[(at + sizeof(o) + i) & (CTF_RING - 1)], pattern(n, i));
	apply(ctf_order_size(bytes));
}

Test(lttng_orders, the_ring_can_wait)
{
	uint64_t put_n = 0, got_n = 0;
	uint32_t bytes = 3001;

	for (int lap = 0; lap < 5; lap++) {
		while (lttng_orders_room(&st, source) >= ctf_order_size(bytes))
			put_long(put_n++, bytes);
		cr_assert_gt(ctf_front_now(source)->ordered - atomic_load(&source->applied),
			     CTF_RING_ROOM - 2 * CTF_RING_PART);
		while (got_n < put_n)
			check_long(got_n++, bytes);
		put_long(put_n++, 0);
		check_long(got_n++, 0);
		(void)lttng_orders_room(&st, source);
	}
	cr_assert_gt(put_n * bytes, 4 * CTF_RING);
}

/* Then there is as much room as there are pages, and more once there is memory again. */
Test(lttng_orders, no_memory)
{
	struct state poor = st;
	uint64_t n = 0;
	size_t room;

	poor.fd = -1;
	cr_assert_eq(lttng_orders_room(&poor, source), 0);
	cr_assert_not(lttng_orders_last_fits(&poor, source));
	cr_assert_gt(lttng_orders_room(&st, source), CTF_RING / 2);
	while ((room = lttng_orders_room(&poor, source)) >= ctf_order_size(100))
		put_long(n++, 100);
	cr_assert_leq(n * ctf_order_size(100), CTF_RING_PART);
	cr_assert(lttng_orders_last_fits(&poor, source), "some room is kept for the end");
	cr_assert_geq(lttng_orders_room(&st, source), ctf_order_size(CTF_PIECE));
	put_long(n, 100);
}
