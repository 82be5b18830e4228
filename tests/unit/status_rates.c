/* SPDX-License-Identifier: MIT */
/* status_rates.c - what came between two looks, by the stream's id and not by its slot alone. */
#include "relayd/status_rates.h"

#include <criterion/criterion.h>

#include "tests/unit/status_state.h"

static struct state st;
static struct status_rates *rates;
static struct stream_slot *slot;

static void start(void)
{
	status_state_make(&st, 16);
	slot = status_state_stream(&st, status_state_source(&st, 0, 2, 0), 0);
	rates = status_rates_new(&st);
	cr_assert(rates);
}

static void stop(void)
{
	status_rates_free(rates);
	state_detach(&st);
}

TestSuite(status_rates, .init = start, .fini = stop);

static uint64_t rate(void)
{
	return status_rates_of(rates, state_ref_of_stream(&st, slot));
}

Test(status_rates, between_two_looks)
{
	status_state_receive(slot, 1 << 20, 1 << 20);
	cr_assert_eq(rate(), 0, "never looked");
	status_rates_sample(rates, 5000);
	cr_assert_eq(rate(), 0, "what came before the first look was not in a known time");
	status_state_receive(slot, (1 << 20) + 500, 1 << 20);
	cr_assert_eq(rate(), 0, "not looked again");
	status_rates_sample(rates, 5500);
	cr_assert_eq(rate(), 1000);
	status_rates_sample(rates, 6500);
	cr_assert_eq(rate(), 0, "silent");
}

Test(status_rates, of_terabytes)
{
	status_rates_sample(rates, 1000);
	status_state_receive(slot, UINT64_C(1) << 62, 0);
	status_rates_sample(rates, 2000);
	cr_assert_eq(rate(), UINT64_C(1) << 62);
}

Test(status_rates, at_the_same_instant)
{
	status_rates_sample(rates, 1000);
	status_state_receive(slot, 4096, 4096);
	status_rates_sample(rates, 1000);
	cr_assert_eq(rate(), 0);
}

Test(status_rates, of_one_that_began_meanwhile)
{
	struct stream_slot *late;

	status_rates_sample(rates, 1000);
	late = status_state_stream(&st, status_state_source(&st, 1, 1, 8), 0);
	status_state_receive(late, 3000, 3000);
	status_rates_sample(rates, 2000);
	cr_assert_eq(status_rates_of(rates, state_ref_of_stream(&st, late)), 3000);
}

Test(status_rates, of_a_slot_that_was_taken_by_another_stream)
{
	struct state_ref old = state_ref_of_stream(&st, slot);

	status_state_receive(slot, 9000, 9000);
	status_rates_sample(rates, 1000);
	atomic_store(&slot->id, 0);
	status_rates_sample(rates, 2000);
	status_state_receive(slot, 100, 100);
	atomic_store(&slot->id, old.id + 100);
	cr_assert_eq(rate(), 0, "not seen yet");
	status_rates_sample(rates, 3000);
	cr_assert_eq(rate(), 100, "neither 0 nor the difference to the other's 9000");
	cr_assert_eq(status_rates_of(rates, old), 0);
	cr_assert_eq(status_rates_of(rates, (struct state_ref){0}), 0);
}
