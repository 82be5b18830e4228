/* SPDX-License-Identifier: MIT */
/* stream_walk.c - walking along a source's streams while the list changes. */
#include "common/stream_walk.h"

#include <criterion/criterion.h>

#include "common/state.h"

#define STREAMS 8u

static struct state st;
static const struct state_ref source = {.index = 1, .id = 50};

static void make(void)
{
	struct state_capacity capacity = {
		.conversations = 1, .sources = 3, .streams = STREAMS, .workers = 1};

	cr_assert_eq(state_create(&capacity, &st), 0);
	atomic_store(&st.source[1].id, source.id);
}

static void free_state(void)
{
	state_detach(&st);
}

TestSuite(stream_walk, .init = make, .fini = free_state, .timeout = 10);

static void put(uint32_t index, uint32_t number, uint64_t id, uint32_t next)
{
	struct stream_slot *s = &st.stream[index];

	s->source = source;
	s->cpu = number;
	atomic_store(&s->next, next);
	atomic_store(&s->id, id);
}

/* Slots 5, 2, 4 with numbers 0, 1, 2. */
static void three(void)
{
	put(5, 0, 100, 1 + 2);
	put(2, 1, 101, 1 + 4);
	put(4, 2, 102, 0);
	atomic_store(&st.source[1].first_stream, 1 + 5);
}

/* The id of the next one, 0: none. */
static uint64_t next(struct stream_walk *w)
{
	struct state_ref ref;

	if (!stream_walk_next(&st, source, w, &ref))
		return 0;
	cr_assert_eq(atomic_load(&st.stream[ref.index].id), ref.id);
	return ref.id;
}

Test(stream_walk, in_order_and_those_that_come_meanwhile)
{
	struct stream_walk w = {0};

	cr_assert_eq(next(&w), 0, "an empty list");
	three();
	cr_assert_eq(next(&w), 100);
	cr_assert_eq(next(&w), 101);
	cr_assert_eq(next(&w), 102);
	cr_assert_eq(next(&w), 0);
	cr_assert_eq(next(&w), 0);
	put(0, 3, 103, 0);
	atomic_store(&st.stream[4].next, 1 + 0);
	cr_assert_eq(next(&w), 103);
	cr_assert_eq(next(&w), 0);
}

Test(stream_walk, from_a_number_on)
{
	struct stream_walk w = {.from = 2};

	three();
	cr_assert_eq(next(&w), 102);
	cr_assert_eq(next(&w), 0);
	w = (struct stream_walk){.from = 9};
	cr_assert_eq(next(&w), 0);
}

static void take_out(uint32_t index, _Atomic uint32_t *link)
{
	atomic_store(link, atomic_load(&st.stream[index].next));
	atomic_store(&st.stream[index].id, 0);
}

Test(stream_walk, the_one_it_stands_on_is_taken_out)
{
	struct stream_walk w = {0};

	three();
	cr_assert_eq(next(&w), 100);
	cr_assert_eq(next(&w), 101);
	take_out(2, &st.stream[5].next);
	cr_assert_eq(next(&w), 102);
	take_out(4, &st.stream[5].next);
	cr_assert_eq(next(&w), 0);
	put(2, 3, 104, 0); /* the same slot again, as the last */
	atomic_store(&st.stream[5].next, 1 + 2);
	cr_assert_eq(next(&w), 104);
	cr_assert_eq(next(&w), 0);
}

Test(stream_walk, the_slot_it_stands_on_is_another_source_s)
{
	struct stream_walk w = {0};

	three();
	cr_assert_eq(next(&w), 100);
	cr_assert_eq(next(&w), 101);
	take_out(2, &st.stream[5].next);
	put(2, 0, 105, 1 + 7);
	st.stream[2].source = (struct state_ref){.index = 0, .id = 49};
	put(7, 1, 106, 0);
	st.stream[7].source = st.stream[2].source;
	cr_assert_eq(next(&w), 102);
	cr_assert_eq(next(&w), 0);
}

Test(stream_walk, its_source_is_gone)
{
	struct stream_walk w = {0};

	three();
	cr_assert_eq(next(&w), 100);
	atomic_store(&st.stream[2].id, 0);
	atomic_store(&st.source[1].id, 0);
	cr_assert_eq(next(&w), 0);
}

/* No list at all: nobody is held by it. */
Test(stream_walk, rings_and_links_to_nowhere)
{
	struct stream_walk w = {0};

	three();
	atomic_store(&st.stream[4].next, 1 + 5);
	cr_assert_eq(next(&w), 100);
	cr_assert_eq(next(&w), 101);
	cr_assert_eq(next(&w), 102);
	cr_assert_eq(next(&w), 0);
	atomic_store(&st.stream[4].next, UINT32_MAX);
	cr_assert_eq(next(&w), 0);
}
