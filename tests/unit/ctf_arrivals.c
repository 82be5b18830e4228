/* SPDX-License-Identifier: MIT */
/* ctf_arrivals.c - one look at all data connections on their way. */
#include "consumer/ctf_arrivals.h"

#include <criterion/criterion.h>

#define CONVERSATIONS 200u

static struct state st;
static struct ctf_arrivals *arrivals;

static void setup(void)
{
	struct state_capacity capacity = {
		.conversations = CONVERSATIONS, .sources = 3, .streams = 1, .workers = 1};

	cr_assert_eq(state_create(&capacity, &st), 0);
	cr_assert_eq(ctf_arrivals_new(&st, &arrivals), 0);
	atomic_store(&st.header->high_conversation, CONVERSATIONS);
}

static void teardown(void)
{
	ctf_arrivals_free(arrivals);
	state_detach(&st);
}

TestSuite(ctf_arrivals, .init = setup, .fini = teardown, .timeout = 10);

static struct addr host(unsigned n)
{
	struct addr ret;
	char text[40];

	snprintf(text, sizeof(text), "127.0.%u.%u:4711", n / 250, 1 + n % 250);
	cr_assert_eq(addr_parse(text, &ret), 0);
	return ret;
}

static void connection(uint32_t i, unsigned from, uint32_t source)
{
	struct conversation_slot *c = &st.conversation[i];

	atomic_store(&c->role, CONVERSATION_LTTNG_DATA);
	c->peer = host(from);
	atomic_store(&c->source, source);
	atomic_store(&c->id, 10 + i);
}

static bool of_source(uint32_t index)
{
	return ctf_arrivals_of_source(arrivals, (struct state_ref){.index = index, .id = 1});
}

static bool of_host(unsigned n)
{
	struct addr h = host(n);

	return ctf_arrivals_of_host(arrivals, &h);
}

Test(ctf_arrivals, whose_they_are)
{
	connection(0, 1, 2); /* of the source in slot 1 */
	connection(1, 2, 0);
	connection(2, 3, 0);
	atomic_store(&st.conversation[2].done, 1);
	connection(3, 4, 0);
	atomic_store(&st.conversation[3].role, CONVERSATION_LTTNG_CONTROL);
	ctf_arrivals_look(arrivals, 100, 100);
	cr_assert(of_source(1));
	cr_assert_not(of_source(0));
	cr_assert_not(of_host(1), "it has said whose it is");
	cr_assert(of_host(2));
	cr_assert_not(of_host(3), "closed");
	cr_assert_not(of_host(4), "no data connection");
}

Test(ctf_arrivals, a_look_is_used_while_it_is_new_enough)
{
	ctf_arrivals_look(arrivals, 100, 100);
	connection(0, 1, 2);
	connection(1, 2, 0);
	ctf_arrivals_look(arrivals, 99, 120);
	cr_assert_not(of_source(1));
	cr_assert_not(of_host(2));
	ctf_arrivals_look(arrivals, 101, 120);
	cr_assert(of_source(1));
	cr_assert(of_host(2));
	atomic_store(&st.conversation[0].done, 1);
	atomic_store(&st.conversation[1].id, 0);
	ctf_arrivals_look(arrivals, 120, 121);
	cr_assert(of_source(1), "that of 120 is new enough");
	ctf_arrivals_look(arrivals, 121, 121);
	cr_assert_not(of_source(1));
	cr_assert_not(of_host(2));
}

Test(ctf_arrivals, many_hosts)
{
	for (uint32_t i = 0; i < CONVERSATIONS; i++)
		connection(i, i, 0);
	ctf_arrivals_look(arrivals, 1, 1);
	for (uint32_t i = 0; i < CONVERSATIONS; i++)
		cr_assert(of_host(i), "%u", i);
	cr_assert_not(of_host(CONVERSATIONS));
}
