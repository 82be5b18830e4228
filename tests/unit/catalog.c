/* SPDX-License-Identifier: MIT */
/* catalog.c - chunks are kept once, compaction is ordered until it is done. */
#include "sessiond-lite/catalog.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/unit/registry_rig.h"

static struct rig rig;

static void open_rig(void)
{
	rig_open(&rig);
	rig_start_catalog(&rig);
}

static void close_rig(void)
{
	rig_close(&rig);
}

TestSuite(catalog, .init = open_rig, .fini = close_rig, .timeout = 60);

static void restart(void)
{
	rig_reopen(&rig);
	rig_start_catalog(&rig);
}

static struct link_message chunk(uint64_t source, uint32_t number)
{
	struct link_message m = {.type = LINK_CHUNK,
				 .chunk = {.source_number = source,
					   .bytes = 1000,
					   .lost = 2,
					   .start_ns = 1,
					   .end_ns = 2,
					   .number = number,
					   .complete = 1,
					   .sparse = 1,
					   .protocol = PROTOCOL_TRACE_CMD_V3}};

	snprintf(m.text, sizeof(m.text), "web/host/x-%d/trace.%06u.dat", (int)source, number);
	return m;
}

/* Keep it and wait for relayd's answer. */
static void keep(uint64_t source, uint32_t number)
{
	struct link_message m = chunk(source, number);
	unsigned before = rig.n_kept;

	catalog_chunk(rig.catalog, &m);
	rig_until_count(&rig, &rig.n_kept, before + 1);
	cr_assert_eq(rig.kept[before].source, source);
	cr_assert_eq(rig.kept[before].number, number);
	rig_turn(&rig);
}

static void compacted(uint64_t source, uint32_t number, int error)
{
	struct link_message m = chunk(source, number);

	catalog_compacted(rig.catalog, m.text, error);
	rig_turn(&rig);
	rig_turn(&rig);
}

static void expect_order(unsigned i, uint64_t source, uint32_t number)
{
	struct link_message m = chunk(source, number);

	rig_until_count(&rig, &rig.n_compact, i + 1);
	cr_assert_str_eq(rig.compact[i], m.text);
}

static struct chunk_total total(void)
{
	struct chunk_total t;

	catalog_total(rig.catalog, "web", &t);
	return t;
}

/* ---- keeping ---- */

Test(catalog, kept_means_on_the_disk)
{
	keep(7, 1);
	cr_assert_eq(rig_number(&rig, "SELECT count(*) FROM chunk WHERE source = 7 AND number = 1"),
		     1);
	cr_assert_eq(total().chunks, 1);
	cr_assert_eq(total().bytes, 1000);
	cr_assert_eq(total().lost, 2);
	cr_assert_eq(total().pending, 1);
}

Test(catalog, said_twice_is_kept_once_and_answered_twice)
{
	struct link_message m = chunk(7, 1);

	catalog_chunk(rig.catalog, &m);
	catalog_chunk(rig.catalog, &m);
	rig_until_count(&rig, &rig.n_kept, 2);
	keep(7, 1);
	cr_assert_eq(total().chunks, 1);
	restart();
	keep(7, 1);
	cr_assert_eq(total().chunks, 1);
	cr_assert_eq(rig_number(&rig, "SELECT count(*) FROM chunk"), 1);
}

Test(catalog, the_peer_comes_from_the_slot)
{
	struct link_message m = chunk(7, 1);
	struct source_slot *slot = &rig.st.source[rig_source(&rig, 0)];

	cr_assert_eq(addr_parse("10.1.2.3:99", &slot->peer), 0);
	m.ref = state_ref_of_source(&rig.st, slot);
	catalog_chunk(rig.catalog, &m);
	rig_until_count(&rig, &rig.n_kept, 1);
	cr_assert_eq(rig_number(&rig, "SELECT peer = '10.1.2.3:99' AND host = 'host' AND session = "
				      "'web' AND protocol = 'trace-cmd V3' FROM chunk"),
		     1);
}

Test(catalog, deleted_by_keep_chunks)
{
	struct link_message m = chunk(7, 1);

	keep(7, 1);
	keep(7, 2);
	m.chunk = (struct link_chunk){.source_number = 7, .number = 1, .deleted = 1};
	catalog_chunk(rig.catalog, &m);
	rig_until_count(&rig, &rig.n_kept, 3);
	cr_assert_eq(total().chunks, 1);
	cr_assert_eq(total().bytes, 1000);
	cr_assert_eq(rig_number(&rig, "SELECT deleted FROM chunk WHERE number = 1"), 1);
}

Test(catalog, what_cannot_be_written_is_not_kept)
{
	struct link_message m = chunk(7, 1);

	rig_sql(&rig, "ALTER TABLE chunk RENAME TO away");
	catalog_chunk(rig.catalog, &m);
	rig_turn(&rig);
	cr_assert_eq(rig.n_kept, 0);
	cr_assert_eq(total().chunks, 0);
	rig_sql(&rig, "ALTER TABLE away RENAME TO chunk");
	keep(7, 1); /* relayd says it again */
	cr_assert_eq(total().chunks, 1);
}

/* What is stopped keeps on keeping, but calls nobody. */
Test(catalog, at_the_end)
{
	struct link_message m = chunk(7, 1);

	catalog_chunk(rig.catalog, &m);
	rig_reopen(&rig);
	cr_assert_eq(rig.n_kept, 0);
	rig_start_catalog(&rig);
	cr_assert_eq(total().chunks, 1);
}

Test(catalog, totals_outlive_us)
{
	keep(7, 1);
	keep(8, 1);
	restart();
	cr_assert_eq(total().chunks, 2);
	cr_assert_eq(total().pending, 2);
	catalog_forget(rig.catalog, "web");
	cr_assert_eq(total().chunks, 0);
	catalog_forget(rig.catalog, "web");
	catalog_forget(rig.catalog, "nosuch");
}

/* ---- compaction ---- */

Test(catalog, nothing_is_ordered_without_relayd)
{
	keep(7, 1);
	cr_assert_eq(rig.n_compact, 0);
	catalog_relayd_ready(rig.catalog);
	expect_order(0, 7, 1);
}

Test(catalog, dense_chunks_are_left_alone)
{
	struct link_message m = chunk(7, 1);

	catalog_relayd_ready(rig.catalog);
	m.chunk.sparse = 0;
	catalog_chunk(rig.catalog, &m);
	rig_until_count(&rig, &rig.n_kept, 1);
	keep(7, 2);
	expect_order(0, 7, 2);
	cr_assert_eq(total().pending, 1);
}

Test(catalog, a_few_at_a_time)
{
	catalog_relayd_ready(rig.catalog);
	for (uint32_t n = 1; n <= 5; n++)
		keep(7, n);
	cr_assert_eq(rig.n_compact, 2);
	for (uint32_t n = 1; n <= 5; n++) {
		expect_order(n - 1, 7, n);
		compacted(7, n, 0);
		cr_assert_eq(rig.n_compact, n + 2 < 5 ? n + 2 : 5);
		cr_assert_eq(total().pending, 5 - n);
	}
	cr_assert_eq(rig_number(&rig, "SELECT sum(compact) FROM chunk"), 5 * CHUNK_COMPACT_DONE);
}

Test(catalog, what_cannot_be_compacted_stays)
{
	catalog_relayd_ready(rig.catalog);
	keep(7, 1);
	expect_order(0, 7, 1);
	compacted(7, 1, -EOPNOTSUPP);
	cr_assert_eq(total().pending, 0);
	cr_assert_eq(total().chunks, 1);
	restart();
	catalog_relayd_ready(rig.catalog);
	rig_turn(&rig);
	cr_assert_eq(rig.n_compact, 1, "for ever");
	cr_assert_eq(rig_number(&rig, "SELECT compact FROM chunk"), CHUNK_COMPACT_SPARSE);
}

Test(catalog, a_file_that_is_gone)
{
	catalog_relayd_ready(rig.catalog);
	keep(7, 1);
	expect_order(0, 7, 1);
	compacted(7, 1, -ENOENT);
	cr_assert_eq(total().chunks, 0);
	cr_assert_eq(rig_number(&rig, "SELECT deleted FROM chunk"), 1);
}

Test(catalog, a_file_in_use_is_tried_again)
{
	int64_t try_at;

	catalog_relayd_ready(rig.catalog);
	keep(7, 1);
	expect_order(0, 7, 1);
	compacted(7, 1, -EAGAIN);
	cr_assert_eq(rig.n_compact, 1, "not at once");
	cr_assert_eq(total().pending, 1);
	try_at = rig_number(&rig, "SELECT try_at_ms FROM chunk");
	cr_assert_gt(try_at, 0);
	/* the others go on meanwhile */
	keep(7, 2);
	expect_order(1, 7, 2);
	compacted(7, 2, 0);
	expect_order(2, 7, 1); /* a second later */
	cr_assert_geq((int64_t)(uv_hrtime() / 1000000), try_at);
	compacted(7, 1, -EIO);
	cr_assert_eq(total().pending, 1);
	cr_assert_eq(rig_number(&rig, "SELECT tries FROM chunk WHERE number = 1"), 2);
}

Test(catalog, another_relayd_is_told_again)
{
	catalog_relayd_ready(rig.catalog);
	keep(7, 1);
	expect_order(0, 7, 1);
	catalog_relayd_ready(rig.catalog);
	expect_order(1, 7, 1);
	/* it may also finish what an earlier one began, unasked */
	keep(7, 2);
	compacted(7, 2, 0);
	compacted(7, 1, 0);
	compacted(7, 1, 0);
	cr_assert_eq(total().pending, 0);
}

Test(catalog, an_answer_that_comes_unasked)
{
	keep(7, 1);
	compacted(7, 1, 0); /* before this daemon gave any order */
	cr_assert_eq(total().pending, 0);
	catalog_relayd_ready(rig.catalog);
	rig_turn(&rig);
	cr_assert_eq(rig.n_compact, 0);
}

Test(catalog, a_start_goes_on_with_what_waits)
{
	keep(7, 1);
	keep(7, 2);
	catalog_relayd_ready(rig.catalog);
	expect_order(1, 7, 2);
	compacted(7, 1, -EAGAIN);
	compacted(7, 2, 0);
	rig.n_compact = 0;
	/* the clock of the run before was far ahead */
	rig_sql(&rig, "UPDATE chunk SET try_at_ms = 1 << 60 WHERE number = 1");
	restart();
	catalog_relayd_ready(rig.catalog);
	expect_order(0, 7, 1);
	rig_turn(&rig);
	cr_assert_eq(rig.n_compact, 1);
}

Test(catalog, an_answer_that_cannot_be_written)
{
	catalog_relayd_ready(rig.catalog);
	keep(7, 1);
	expect_order(0, 7, 1);
	rig_sql(&rig, "ALTER TABLE chunk RENAME TO away");
	compacted(7, 1, 0);
	rig_sql(&rig, "ALTER TABLE away RENAME TO chunk");
	expect_order(1, 7, 1); /* done again, which does no harm */
	compacted(7, 1, 0);
	cr_assert_eq(total().pending, 0);
}
