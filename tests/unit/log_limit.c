/* SPDX-License-Identifier: MIT */
/* log_limit.c - which lines a limit lets through, in virtual milliseconds. */
#include "common/log_limit.h"

#include <criterion/criterion.h>

static int take_many(struct log_limit *l, int n, uint64_t now_ms)
{
	uint64_t left_out;
	int passed = 0;

	while (n-- > 0)
		passed += log_limit_take(l, now_ms, &left_out);
	return passed;
}

Test(log_limit, lets_the_first_lines_of_a_window_through)
{
	struct log_limit l = LOG_LIMIT_USUAL;

	cr_assert_eq(take_many(&l, 10, 5000), 10);
	cr_assert_eq(take_many(&l, 7, 5000), 0);
	cr_assert_eq(take_many(&l, 1, 5999), 0);
	cr_assert_eq(l.left_out, 8);
}

Test(log_limit, next_window_says_what_was_left_out)
{
	struct log_limit l = LOG_LIMIT(2, 1000);
	uint64_t left_out = 99;

	take_many(&l, 5, 100);
	cr_assert(log_limit_take(&l, 1100, &left_out));
	cr_assert_eq(left_out, 3);
	cr_assert(log_limit_take(&l, 1100, &left_out));
	cr_assert_eq(left_out, 0, "said once");
	cr_assert_not(log_limit_take(&l, 2099, &left_out));
	cr_assert(log_limit_take(&l, 2100, &left_out));
	cr_assert_eq(left_out, 1);
}

Test(log_limit, summary_falls_due_at_the_end_of_the_window)
{
	struct log_limit l = LOG_LIMIT(1, 1000);
	uint64_t left_out;

	cr_assert_eq(log_limit_due(&l), UINT64_MAX);
	take_many(&l, 1, 300);
	cr_assert_eq(log_limit_due(&l), UINT64_MAX, "nothing was left out");
	take_many(&l, 4, 900);
	cr_assert_eq(log_limit_due(&l), 1300);
	cr_assert_eq(log_limit_settle(&l, 1299), 0);
	cr_assert_eq(log_limit_settle(&l, 1300), 4);
	cr_assert_eq(log_limit_settle(&l, 1300), 0, "said once");
	cr_assert_eq(log_limit_due(&l), UINT64_MAX);
	cr_assert(log_limit_take(&l, 1300, &left_out));
	cr_assert_eq(left_out, 0);
}

Test(log_limit, idle_windows_give_no_credit)
{
	struct log_limit l = LOG_LIMIT(3, 1000);

	take_many(&l, 3, 0);
	cr_assert_eq(take_many(&l, 10, 60000), 3);
}

Test(log_limit, clock_read_before_the_window_began)
{
	struct log_limit l = LOG_LIMIT(1, 1000);

	cr_assert_eq(take_many(&l, 1, 5000), 1);
	cr_assert_eq(take_many(&l, 1, 4999), 0,
		     "another thread's earlier reading is in the window");
}
