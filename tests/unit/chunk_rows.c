/* SPDX-License-Identifier: MIT */
/* chunk_rows.c - keys, totals, and what waits for compaction. */
#include "sessiond-lite/chunk_rows.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/unit/registry_rig.h"

static struct rig rig;

static void open_rig(void)
{
	rig_open(&rig);
}

static void close_rig(void)
{
	rig_close(&rig);
}

TestSuite(chunk_rows, .init = open_rig, .fini = close_rig);

/* ---- each function as work of its own ---- */

static int add_work(sqlite3 *db, void *context)
{
	return chunk_rows_add(db, context);
}

static int delete_work(sqlite3 *db, void *context)
{
	return chunk_rows_delete(db, context);
}

struct pending {
	int64_t now_ms;
	struct chunk_order order[4];
	unsigned n;
	int64_t next_ms;
};

static int pending_work(sqlite3 *db, void *context)
{
	struct pending *p = context;

	return chunk_rows_pending(db, p->now_ms, p->order, &p->n, &p->next_ms);
}

struct verdict {
	const char *path;
	int state; /* enum chunk_compact; -1: gone; -2: try again */
	int64_t now_ms;
};

static int verdict_work(sqlite3 *db, void *context)
{
	struct verdict *v = context;

	return v->state == -1   ? chunk_rows_gone(db, v->path)
	       : v->state == -2 ? chunk_rows_try_again(db, v->path, v->now_ms, 1000, 60000)
				: chunk_rows_compacted(db, v->path, v->state);
}

static int total_work(sqlite3 *db, void *context)
{
	return chunk_rows_total(db, "web", context);
}

static void run(database_work *work, void *context)
{
	struct refusal why;

	cr_assert_eq(database_run(rig.database, work, context, &why), 0, "%s", why.sentence);
}

static struct chunk_row row(uint64_t source, uint64_t number, bool sparse)
{
	struct chunk_row r = {.source = source,
			      .number = number,
			      .peer = "10.0.0.1:5",
			      .protocol = "trace-cmd V3",
			      .start_ns = 1,
			      .end_ns = 2,
			      .bytes = 100,
			      .lost = 3,
			      .complete = true,
			      .sparse = sparse};

	snprintf(r.path, sizeof(r.path), "web/host-%d/x-%d/trace.%06d.dat", (int)source,
		 (int)source, (int)number);
	return r;
}

static void add(uint64_t source, uint64_t number, bool sparse)
{
	struct chunk_row r = row(source, number, sparse);

	run(add_work, &r);
}

static void delete_at(uint64_t source, uint64_t number, int64_t now_ns)
{
	struct chunk_row r = row(source, number, false);

	r.bytes = 0;
	r.lost = 0;
	r.end_ns = now_ns;
	run(delete_work, &r);
}

static struct pending pending(int64_t now_ms, unsigned room)
{
	struct pending p = {.now_ms = now_ms, .n = room};

	run(pending_work, &p);
	return p;
}

static void verdict(uint64_t source, uint64_t number, int state, int64_t now_ms)
{
	struct chunk_row r = row(source, number, true);
	struct verdict v = {.path = r.path, .state = state, .now_ms = now_ms};

	run(verdict_work, &v);
}

static void expect_total(uint64_t chunks, uint64_t waiting)
{
	struct chunk_total t;

	run(total_work, &t);
	cr_assert_eq(t.chunks, chunks, "%d", (int)t.chunks);
	cr_assert_eq(t.bytes, 100 * chunks);
	cr_assert_eq(t.lost, 3 * chunks);
	cr_assert_eq(t.pending, waiting, "%d", (int)t.pending);
	/* and the truth, counted */
	cr_assert_eq(rig_number(&rig, "SELECT count(*) FROM chunk WHERE deleted = 0"),
		     (int64_t)chunks);
	cr_assert_eq(rig_number(&rig, "SELECT count(*) FROM chunk WHERE deleted = 0 AND "
				      "compact = 1"),
		     (int64_t)waiting);
}

/* ---- keeping ---- */

Test(chunk_rows, twice_is_once)
{
	add(7, 1, true);
	add(7, 1, true);
	add(7, 2, false);
	add(8, 1, true);
	expect_total(3, 2);
	cr_assert_eq(rig_number(&rig, "SELECT count(*) FROM chunk WHERE host = 'host-7' AND "
				      "session = 'web' AND peer = '10.0.0.1:5' AND complete = 1 "
				      "AND protocol = 'trace-cmd V3'"),
		     2);
}

Test(chunk_rows, paths_without_a_host)
{
	struct chunk_row r = row(1, 1, false);

	strcpy(r.path, "trace.dat");
	run(add_work, &r);
	strcpy(r.path, "web/trace.dat");
	r.number = 2;
	run(add_work, &r);
	cr_assert_eq(rig_number(&rig, "SELECT count(*) FROM chunk WHERE session = 'trace.dat' AND "
				      "host = ''"),
		     1);
	cr_assert_eq(rig_number(&rig, "SELECT count(*) FROM chunk WHERE session = 'web' AND "
				      "host = 'trace.dat'"),
		     1);
}

/* ---- deleting ---- */

Test(chunk_rows, deleting_takes_the_older_ones_along)
{
	for (uint64_t n = 1; n <= 5; n++)
		add(7, n, n != 2);
	add(8, 1, true);
	expect_total(6, 5);
	delete_at(7, 3, 10);
	expect_total(3, 3);
	cr_assert_eq(rig_number(&rig, "SELECT group_concat(number) = '4,5' FROM chunk WHERE "
				      "source = 7 AND deleted = 0"),
		     1);
	delete_at(7, 3, 20);
	expect_total(3, 3);
}

Test(chunk_rows, a_late_arrival_of_a_deleted_one)
{
	delete_at(7, 1, 10);
	add(7, 1, true);
	expect_total(0, 0);
	cr_assert_eq(pending(0, 4).n, 0);
}

Test(chunk_rows, deleted_ones_are_forgotten_in_time)
{
	int64_t day = INT64_C(86400) * 1000000000;

	for (uint64_t n = 1; n <= 6; n++) {
		add(7, n, false);
		delete_at(7, n, (int64_t)n);
	}
	add(7, 7, false);
	cr_assert_eq(rig_number(&rig, "SELECT count(*) FROM chunk"), 7);
	delete_at(7, 6, day + 4); /* of 4 the day is over exactly, not more */
	cr_assert_eq(rig_number(&rig, "SELECT count(*) FROM chunk"), 4);
	cr_assert_eq(rig_number(&rig, "SELECT min(number) FROM chunk"), 4);
	expect_total(1, 0);
}

/* ---- compaction ---- */

Test(chunk_rows, pending_in_order_and_no_more_than_asked)
{
	struct pending p;

	for (uint64_t n = 1; n <= 5; n++)
		add(7, n, n != 3);
	p = pending(0, 2);
	cr_assert_eq(p.n, 2);
	cr_assert_eq(p.order[0].source, 7);
	cr_assert_str_eq(p.order[0].path, "web/host-7/x-7/trace.000001.dat");
	cr_assert_eq(p.order[1].number, 2);
	cr_assert_leq(p.next_ms, 0, "there are more");
	p = pending(0, 4);
	cr_assert_eq(p.n, 4);
	cr_assert_eq(p.next_ms, INT64_MAX);
}

Test(chunk_rows, verdicts)
{
	for (uint64_t n = 1; n <= 4; n++)
		add(7, n, true);
	verdict(7, 1, CHUNK_COMPACT_DONE, 0);
	expect_total(4, 3);
	verdict(7, 2, CHUNK_COMPACT_SPARSE, 0);
	expect_total(4, 2);
	verdict(7, 3, -1, 0);
	expect_total(3, 1);
	/* said again, and of what nobody knows */
	verdict(7, 1, CHUNK_COMPACT_SPARSE, 0);
	verdict(7, 1, -1, 0);
	verdict(9, 9, CHUNK_COMPACT_DONE, 0);
	expect_total(3, 1);
	cr_assert_eq(rig_number(&rig, "SELECT compact FROM chunk WHERE number = 1"),
		     CHUNK_COMPACT_DONE);
	cr_assert_eq(pending(0, 4).order[0].number, 4);
	/* of one that keep-chunks removed meanwhile */
	add(9, 1, true);
	delete_at(9, 1, 10);
	verdict(9, 1, CHUNK_COMPACT_DONE, 0);
	expect_total(3, 1);
}

Test(chunk_rows, tries_wait_longer_each_time)
{
	static const int64_t want[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
	int64_t now = 5;
	struct pending p;

	add(7, 1, true);
	for (int i = 0; i < 8; i++) {
		verdict(7, 1, -2, now);
		p = pending(now, 4);
		cr_assert_eq(p.n, 0);
		cr_assert_eq(p.next_ms - now, want[i], "%d", i);
		now = p.next_ms;
		cr_assert_eq(pending(now - 1, 4).n, 0);
		cr_assert_eq(pending(now, 4).n, 1);
	}
	for (int i = 0; i < 60; i++) /* no shift beyond the number's width */
		verdict(7, 1, -2, now);
	cr_assert_eq(pending(now, 4).next_ms - now, 60000);
}

static int reset_work(sqlite3 *db, void *context)
{
	(void)context;
	return chunk_rows_reset_tries(db);
}

Test(chunk_rows, a_start_tries_all_at_once)
{
	struct pending p;

	add(7, 1, true);
	verdict(7, 1, -2, 1000000);
	verdict(7, 1, -2, 1000000);
	run(reset_work, NULL);
	p = pending(0, 4); /* the clock began anew */
	cr_assert_eq(p.n, 1);
	verdict(7, 1, -2, 0);
	cr_assert_eq(pending(0, 4).next_ms, 1000);
}

/* ---- totals ---- */

static int count_totals(void *context, const char *session, const struct chunk_total *total)
{
	unsigned *n = context;

	cr_assert(strcmp(session, "web") == 0 || strcmp(session, "db") == 0);
	cr_assert_eq(total->bytes, 100);
	++*n;
	return 0;
}

static int each_work(sqlite3 *db, void *context)
{
	return chunk_rows_each_total(db, count_totals, context);
}

Test(chunk_rows, totals_by_session)
{
	struct chunk_row r = row(1, 1, false);
	unsigned n = 0;

	add(7, 1, false);
	snprintf(r.path, sizeof(r.path), "db/h/trace.dat");
	run(add_work, &r);
	run(each_work, &n);
	cr_assert_eq(n, 2);
}
