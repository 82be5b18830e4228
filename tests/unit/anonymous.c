/* SPDX-License-Identifier: MIT */
/* anonymous.c - data connections that are counted as long as they are silent. */
#include "sessiond-lite/anonymous.h"

#include <criterion/criterion.h>

static struct state st;
static struct anonymous *a;
static struct addr here, there;

static void start(void)
{
	struct state_capacity capacity = {
		.conversations = 16, .sources = 1, .streams = 1, .workers = 1};

	cr_assert_eq(state_create(&capacity, &st), 0);
	cr_assert_eq(state_touch(&st, st.conversation, 16 * sizeof(*st.conversation)), 0);
	cr_assert_eq(anonymous_create(&st, &a), 0);
	cr_assert_eq(addr_parse("10.0.0.1:1", &here), 0);
	cr_assert_eq(addr_parse("10.0.0.2:1", &there), 0);
}

static void stop(void)
{
	anonymous_free(a);
	state_detach(&st);
}

Test(anonymous, counts_by_host)
{
	start();
	cr_assert_not(anonymous_reached(a, &here, 1));
	for (uint32_t i = 0; i < 3; i++)
		cr_assert_eq(anonymous_add(a, i, &here), 0);
	cr_assert_eq(anonymous_add(a, 7, &there), 0);
	here.port = 4711; /* the port plays no part */
	cr_assert(anonymous_reached(a, &here, 3));
	cr_assert_not(anonymous_reached(a, &here, 4));
	cr_assert(anonymous_reached(a, &there, 1));
	cr_assert_not(anonymous_reached(a, &there, 2));
	stop();
}

/* First, last and middle of the list; in any order they were noticed or ended. */
Test(anonymous, who_has_named_a_stream_counts_no_more)
{
	start();
	for (uint32_t i = 0; i < 6; i++)
		cr_assert_eq(anonymous_add(a, i, &here), 0);
	cr_assert(anonymous_reached(a, &here, 6));
	atomic_store(&st.conversation[0].source, 1);
	atomic_store(&st.conversation[3].source, 1);
	atomic_store(&st.conversation[5].source, 1);
	cr_assert_not(anonymous_reached(a, &here, 4));
	cr_assert(anonymous_reached(a, &here, 3));
	anonymous_remove(a, 3); /* known */
	anonymous_remove(a, 4); /* silent */
	anonymous_remove(a, 4);
	cr_assert_not(anonymous_reached(a, &here, 3));
	cr_assert(anonymous_reached(a, &here, 2));
	/* the slot is used again, and silent */
	atomic_store(&st.conversation[3].source, 0);
	cr_assert_eq(anonymous_add(a, 3, &here), 0);
	cr_assert(anonymous_reached(a, &here, 3));
	for (uint32_t i = 0; i < 6; i++)
		anonymous_remove(a, i);
	cr_assert_not(anonymous_reached(a, &here, 1));
	stop();
}

Test(anonymous, one_that_was_never_added)
{
	start();
	anonymous_remove(a, 9);
	cr_assert_not(anonymous_reached(a, &here, 1));
	stop();
}
