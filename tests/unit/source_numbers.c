/* SPDX-License-Identifier: MIT */
/* source_numbers.c - never twice, and what a failing database does to it. */
#include "sessiond-lite/source_numbers.h"

#include <errno.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/unit/registry_rig.h"

static unsigned ready_calls;

static void ready(void *context)
{
	(void)context;
	ready_calls++;
}

static struct source_numbers *make(struct rig *rig)
{
	struct source_numbers *n;
	struct refusal why;

	cr_assert_eq(source_numbers_create(rig->database, ready, NULL, &n, &why), 0, "%s",
		     why.sentence);
	cr_assert_eq(database_start(rig->database), 0);
	return n;
}

Test(source_numbers, one_after_the_other)
{
	struct source_numbers *n;
	uint64_t got = 0;
	struct rig rig;

	rig_open(&rig);
	n = make(&rig);
	for (uint64_t want = 1; want <= 3 * SOURCE_NUMBERS_BLOCK; want++) {
		if (source_numbers_take(n, 0, &got) == -EAGAIN) {
			rig_turn(&rig);
			cr_assert_eq(source_numbers_take(n, 0, &got), 0);
		}
		cr_assert_eq(got, want);
		rig_turn(&rig); /* so that the next block is there in time */
	}
	cr_assert_eq(ready_calls, 0, "nobody had to wait");
	cr_assert_gt(rig_number(&rig, "SELECT next FROM numbers"), (int64_t)got);
	source_numbers_free(n);
	rig_close(&rig);
}

Test(source_numbers, faster_than_the_disk)
{
	struct source_numbers *n;
	uint64_t got = 0, last = 0;
	struct rig rig;
	int r;

	rig_open(&rig);
	n = make(&rig);
	while ((r = source_numbers_take(n, 0, &got)) == 0)
		last = got;
	cr_assert_eq(r, -EAGAIN);
	/* one block, and another one if the disk was fast */
	cr_assert_eq(last % SOURCE_NUMBERS_BLOCK, 0);
	rig_until_count(&rig, &ready_calls, 1);
	cr_assert_eq(source_numbers_take(n, 0, &got), 0);
	cr_assert_eq(got, last + 1);
	source_numbers_free(n);
	rig_close(&rig);
}

Test(source_numbers, never_twice)
{
	struct source_numbers *n;
	uint64_t got, last = 0;
	struct rig rig;

	rig_open(&rig);
	for (int i = 0; i < 5; i++) {
		n = make(&rig);
		for (int k = 0; k <= i * 300; k++) {
			cr_assert_eq(source_numbers_take(n, 0, &got), 0);
			cr_assert_gt(got, last);
			last = got;
			rig_turn(&rig);
		}
		rig_reopen(&rig);
		source_numbers_free(n);
	}
	rig_close(&rig);
}

Test(source_numbers, a_database_that_fails)
{
	struct source_numbers *n;
	uint64_t got, last = 0;
	struct rig rig;
	int r;

	rig_open(&rig);
	n = make(&rig);
	rig_sql(&rig, "ALTER TABLE numbers RENAME TO away");
	/* what was reserved is given; then whoever asks waits for the answer, which is no */
	while ((r = source_numbers_take(n, 1000, &got)) == 0)
		last = got;
	if (r == -EAGAIN) {
		rig_until_count(&rig, &ready_calls, 1);
		r = source_numbers_take(n, 1000, &got);
	}
	cr_assert_eq(r, -EIO, "%d", r);
	cr_assert_eq(last, SOURCE_NUMBERS_BLOCK);
	/* not asked again for a second, so a burst of clients is no burst of failures */
	cr_assert_eq(source_numbers_take(n, 1999, &got), -EIO);
	cr_assert_eq(database_waiting(rig.database), 0);
	/* then it is tried, and fails again */
	ready_calls = 0;
	cr_assert_eq(source_numbers_take(n, 2000, &got), -EAGAIN);
	rig_until_count(&rig, &ready_calls, 1);
	cr_assert_eq(source_numbers_take(n, 2000, &got), -EIO);
	/* and is cured */
	rig_sql(&rig, "ALTER TABLE away RENAME TO numbers");
	ready_calls = 0;
	cr_assert_eq(source_numbers_take(n, 3000, &got), -EAGAIN);
	rig_until_count(&rig, &ready_calls, 1);
	cr_assert_eq(source_numbers_take(n, 3000, &got), 0);
	cr_assert_eq(got, last + 1);
	source_numbers_free(n);
	rig_close(&rig);
}

Test(source_numbers, a_start_that_cannot_write)
{
	struct source_numbers *n = NULL;
	struct refusal why;
	struct rig rig;

	rig_open(&rig);
	rig_sql(&rig,
		"CREATE TRIGGER no BEFORE UPDATE ON numbers BEGIN SELECT raise(FAIL, 'no'); END");
	cr_assert_lt(source_numbers_create(rig.database, ready, NULL, &n, &why), 0);
	cr_assert_null(n);
	cr_assert(strstr(why.sentence, "catalog.db"), "%s", why.sentence);
	rig_close(&rig);
}
