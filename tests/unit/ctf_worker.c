/* SPDX-License-Identifier: MIT */
/* ctf_worker.c - the worker's side of LTTng sources: packets, indexes, chunks, kills. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/counters.h"
#include "consumer/ctf_internal.h"
#include "tests/unit/ctf_rig.h"

#define DIR_ CTF_RIG_DIR
#define LEN  4000u
#define ALL  UINT32_MAX

static void begin(struct ctf_rig *r, unsigned minor)
{
	ctf_rig_make(r, minor, false);
	ctf_rig_start(r);
	if (minor > 10)
		ctf_rig_chunk(r, 0, "");
}

static void finish(struct ctf_rig *r)
{
	ctf_rig_end_control(r, true);
	ctf_rig_wait(r->finished);
}

static uint64_t counter(struct ctf_rig *r, enum counter id)
{
	return counters_sum(r->st.counters, 1, id);
}

Test(ctf_worker, ordinary, .timeout = 30)
{
	struct ctf_rig r;

	begin(&r, 13);
	ctf_rig_stream(&r, 0, false, 0, 0);
	ctf_rig_stream(&r, 1, true, 0, 0);
	ctf_rig_order(&r, CTF_ORDER_PUBLISH, -1, 0, 0, 0, NULL, 0);
	ctf_rig_metadata(&r, 1, "0123456789", 6);
	for (unsigned k = 0; k < 5; k++) {
		ctf_rig_send(&r, 0, 0, k, LEN, ALL);
		ctf_rig_index(&r, 0, k, k, 0);
	}
	ctf_rig_wait(ctf_rig_applied(&r));
	ctf_rig_metadata(&r, 1, "abc", 0);
	ctf_rig_order(&r, CTF_ORDER_CLOSE_STREAM, 1, CTF_NONE, 0, 0, NULL, 0);
	ctf_rig_order(&r, CTF_ORDER_CLOSE_STREAM, 0, 4, 0, 0, NULL, 0);
	ctf_rig_close(&r, 0);
	finish(&r);
	ctf_rig_expect(&r, DIR_ "ch_0", 0, 0, 5, LEN);
	ctf_rig_expect_index(&r, DIR_ "index/ch_0.idx", 0, 5, LEN);
	cr_assert_eq(ctf_rig_size(&r, DIR_ "metadata"), 19);
	cr_assert_gt(ctf_rig_size(&r, "chunk.json"), 0);
	cr_assert_eq(ctf_source_now(r.ctf)->published, 2);
	cr_assert_eq(counter(&r, COUNTER_chunks_incomplete), 0);
	cr_assert_eq(r.chunk_bytes, 5 * LEN + 13, "the catalog was told");
	ctf_rig_free(&r);
}

Test(ctf_worker, index_before_data_and_old_minors, .timeout = 30)
{
	static const unsigned minors[] = {3, 4, 7, 8, 10};

	for (unsigned n = 0; n < sizeof(minors) / sizeof(*minors); n++) {
		struct ctf_rig r;

		begin(&r, minors[n]);
		ctf_rig_stream(&r, 0, false, 0, 0);
		ctf_rig_send(&r, 0, 0, 3, LEN, 0);
		for (unsigned k = 0; k < 3; k++) {
			ctf_rig_index(&r, 0, 3 + k, k, 0);
			ctf_rig_send(&r, 0, 0, 3 + k, LEN, ALL);
		}
		ctf_rig_wait(ctf_rig_half(&r, 0).ctf.data_seq == 5);
		ctf_rig_close(&r, 0);
		ctf_rig_order(&r, CTF_ORDER_CLOSE_STREAM, 0, 5, 0, 0, NULL, 0);
		finish(&r);
		ctf_rig_expect(&r, DIR_ "ch_0", 0, 3, 3, LEN);
		if (minors[n] >= 4)
			ctf_rig_expect_index(&r, DIR_ "index/ch_0.idx", 0, 3, LEN);
		else
			cr_assert_eq(ctf_rig_size(&r, DIR_ "index"), -1);
		ctf_rig_free(&r);
	}
}

Test(ctf_worker, partial_packet_is_cut_back, .timeout = 30)
{
	struct ctf_rig r;

	begin(&r, 13);
	ctf_rig_stream(&r, 0, false, 0, 0);
	ctf_rig_send(&r, 0, 0, 0, LEN, ALL);
	ctf_rig_index(&r, 0, 0, 0, 0);
	ctf_rig_index(&r, 0, 1, 1, 0);
	ctf_rig_send(&r, 0, 0, 1, LEN, 32 + 1000);
	ctf_rig_wait(ctf_rig_half(&r, 0).ledger.received == LEN + 1000);
	ctf_rig_close(&r, 0);
	ctf_rig_wait(r.closed);
	ctf_rig_end_control(&r, false);
	ctf_rig_wait(r.finished);
	ctf_rig_expect(&r, DIR_ "ch_0", 0, 0, 1, LEN);
	ctf_rig_expect_index(&r, DIR_ "index/ch_0.idx", 0, 1, LEN);
	cr_assert_eq(ctf_rig_half(&r, 0).ledger.discarded[DISCARD_PARTIAL], 1000);
	cr_assert_eq(counter(&r, COUNTER_chunks_incomplete), 1);
	ctf_rig_free(&r);
}

Test(ctf_worker, tracefiles, .timeout = 30)
{
	struct ctf_rig r;

	begin(&r, 13);
	ctf_rig_stream(&r, 0, false, 2 * LEN + CTF_RIG_PAD, 2); /* two packets a file, two files */
	ctf_rig_stream(&r, 1, false, LEN, 0);                   /* one a file, without end */
	for (unsigned k = 0; k < 5; k++)
		for (unsigned i = 0; i < 2; i++) {
			ctf_rig_send(&r, 0, i, k, LEN, ALL);
			ctf_rig_index(&r, i, k, k, 0);
			ctf_rig_wait(ctf_rig_applied(&r));
		}
	ctf_rig_order(&r, CTF_ORDER_CLOSE_STREAM, 0, 4, 0, 0, NULL, 0);
	ctf_rig_order(&r, CTF_ORDER_CLOSE_STREAM, 1, 4, 0, 0, NULL, 0);
	ctf_rig_close(&r, 0);
	finish(&r);
	ctf_rig_expect(&r, DIR_ "ch_0_0", 0, 4, 1, LEN); /* packets 0 and 1 made way for 4 */
	ctf_rig_expect(&r, DIR_ "ch_0_1", 0, 2, 2, LEN);
	ctf_rig_expect_index(&r, DIR_ "index/ch_0_0.idx", 4, 1, LEN);
	ctf_rig_expect_index(&r, DIR_ "index/ch_0_1.idx", 2, 2, LEN);
	cr_assert_eq(ctf_rig_size(&r, DIR_ "ch_0_2"), -1);
	for (unsigned k = 0; k < 5; k++) {
		char name[80];

		snprintf(name, sizeof(name), DIR_ "ch_1_%u", k);
		ctf_rig_expect(&r, name, 1, k, 1, LEN);
		snprintf(name, sizeof(name), DIR_ "index/ch_1_%u.idx", k);
		ctf_rig_expect_index(&r, name, k, 1, LEN);
	}
	ctf_rig_free(&r);
}

Test(ctf_worker, index_behind_the_switch_of_tracefiles, .timeout = 30)
{
	struct ctf_rig r;

	begin(&r, 13);
	ctf_rig_stream(&r, 0, false, LEN, 0);
	ctf_rig_send(&r, 0, 0, 0, LEN, ALL);
	ctf_rig_send(&r, 0, 0, 1, LEN, ALL);
	ctf_rig_wait(ctf_rig_half(&r, 0).ctf.data_seq == 1);
	ctf_rig_index(&r, 0, 0, 0, 0);
	ctf_rig_index(&r, 0, 1, 1, 0);
	ctf_rig_close(&r, 0);
	finish(&r);
	ctf_rig_expect_index(&r, DIR_ "index/ch_0_0.idx", 0, 1, LEN);
	ctf_rig_expect_index(&r, DIR_ "index/ch_0_1.idx", 1, 1, LEN);
	ctf_rig_free(&r);
}

/* Packets 0 and 1 in chunk 0; 2 and 3, of which 2 lies in the old file already, in chunk 1. */
static void rotate(struct ctf_rig *r, enum ctf_close command)
{
	begin(r, 13);
	ctf_rig_stream(r, 0, false, 0, 0);
	ctf_rig_stream(r, 1, true, 0, 0);
	ctf_rig_metadata(r, 1, "metadata", 0);
	for (unsigned k = 0; k < 2; k++) {
		ctf_rig_send(r, 0, 0, k, LEN, ALL);
		ctf_rig_index(r, 0, k, k, 0);
	}
	ctf_rig_send(r, 0, 0, 2, LEN, ALL);
	ctf_rig_wait(ctf_rig_half(r, 0).ctf.data_seq == 2);
	ctf_rig_chunk(r, 1, "");
	ctf_rig_order(r, CTF_ORDER_ROTATE, 0, 1, 2, 1, NULL, 0);
	ctf_rig_index(r, 0, 2, 2, 0);
	ctf_rig_order(r, CTF_ORDER_ROTATE, 1, 1, 0, 1, NULL, 0);
	ctf_rig_metadata(r, 1, "metadata again", 0);
	ctf_rig_order(r, CTF_ORDER_CLOSE_CHUNK, -1, 0, 1700000100, command, NULL, 0);
	ctf_rig_send(r, 0, 0, 3, LEN, ALL);
	ctf_rig_index(r, 0, 3, 3, 0);
	ctf_rig_wait(ctf_rig_applied(r));
	ctf_rig_wait(ctf_source_now(r->ctf)->chunk[0].state == CTF_CHUNK_FREE);
}

static void close_streams(struct ctf_rig *r, uint64_t last)
{
	ctf_rig_order(r, CTF_ORDER_CLOSE_STREAM, 1, CTF_NONE, 0, 0, NULL, 0);
	ctf_rig_order(r, CTF_ORDER_CLOSE_STREAM, 0, last, 0, 0, NULL, 0);
	ctf_rig_close(r, 0);
	finish(r);
}

Test(ctf_worker, archive, .timeout = 30)
{
	struct ctf_rig r;
	char dir[200];

	rotate(&r, CTF_CLOSE_ARCHIVE);
	ctf_rig_glob(&r, "archives/*-0", dir, sizeof(dir));
	ctf_rig_expect_chunk(&r, dir, 0, 2, LEN, 8);
	cr_assert_eq(ctf_rig_size(&r, "ust"), -1);
	ctf_rig_order(&r, CTF_ORDER_ROTATE, 0, 0, 0, 0, NULL, 0);
	ctf_rig_order(&r, CTF_ORDER_ROTATE, 1, 0, 0, 0, NULL, 0);
	ctf_rig_order(&r, CTF_ORDER_CLOSE_CHUNK, -1, 1, 1700000200, CTF_CLOSE_ARCHIVE, NULL, 0);
	close_streams(&r, 3);
	ctf_rig_glob(&r, "archives/*-1", dir, sizeof(dir));
	ctf_rig_expect_chunk(&r, dir, 2, 2, LEN, 14);
	cr_assert_eq(counter(&r, COUNTER_chunks_incomplete), 0);
	ctf_rig_free(&r);
}

/* One of two consumer daemons dies: its streams, which nobody closes, do not keep the old chunk. */
Test(ctf_worker, rotation_without_a_consumer_that_died, .timeout = 30)
{
	struct ctf_rig r;
	char dir[200], path[300];

	begin(&r, 13);
	r.st.ctf_stream[0].by_conversation = 100;
	r.st.ctf_stream[2].by_conversation = 200;
	ctf_rig_stream(&r, 0, false, 0, 0);
	ctf_rig_stream(&r, 2, false, 0, 0);
	ctf_rig_send(&r, 0, 0, 0, LEN, ALL);
	ctf_rig_index(&r, 0, 0, 0, 0);
	ctf_rig_send(&r, 1, 2, 0, LEN, ALL);
	ctf_rig_index(&r, 2, 0, 0, 0);
	ctf_rig_wait(counter(&r, COUNTER_indexes_stored) == 2);
	ctf_rig_order(&r, CTF_ORDER_LEAVE, -1, 200, 0, CLOSE_reset, NULL, 0);
	ctf_rig_chunk(&r, 1, "");
	ctf_rig_order(&r, CTF_ORDER_ROTATE, 0, 1, 1, 1, NULL, 0);
	ctf_rig_order(&r, CTF_ORDER_CLOSE_CHUNK, -1, 0, 1700000100, CTF_CLOSE_ARCHIVE, NULL, 0);
	ctf_rig_wait(ctf_rig_applied(&r));
	ctf_rig_send(&r, 1, 2, 1, LEN, ALL); /* what it had sent before it died */
	ctf_rig_wait(ctf_rig_half(&r, 2).ledger.stored == 2 * LEN);
	cr_assert_eq(counter(&r, COUNTER_chunks_finished), 0);
	ctf_rig_close(&r, 1);
	ctf_rig_wait(counter(&r, COUNTER_chunks_finished) == 1);
	ctf_rig_glob(&r, "archives/*-0", dir, sizeof(dir));
	snprintf(path, sizeof(path), "%s/" DIR_ "ch_2", dir);
	ctf_rig_expect(&r, path, 2, 0, 2, LEN);
	cr_assert_eq(counter(&r, COUNTER_chunks_incomplete), 1);
	ctf_rig_close(&r, 0);
	finish(&r);
	ctf_rig_free(&r);
}

Test(ctf_worker, clear, .timeout = 30)
{
	struct ctf_rig r;

	rotate(&r, CTF_CLOSE_DELETE);
	close_streams(&r, 3);
	ctf_rig_expect_chunk(&r, ".", 2, 2, LEN, 14);
	cr_assert_eq(r.chunk_bytes / LEN, 2, "of the second chunk only");
	cr_assert_eq(ctf_rig_size(&r, "archives"), -1);
	cr_assert_eq(ctf_rig_size(&r, ".chunk-2"), -1);
	ctf_rig_free(&r);
}

/* The numbers jump over the first packet of the new chunk. */
Test(ctf_worker, rotation_is_jumped_over, .timeout = 30)
{
	struct ctf_rig r;

	begin(&r, 13);
	ctf_rig_stream(&r, 0, false, 0, 0);
	ctf_rig_stream(&r, 1, true, 0, 0);
	ctf_rig_send(&r, 0, 0, 0, LEN, ALL);
	ctf_rig_index(&r, 0, 0, 0, 0);
	ctf_rig_chunk(&r, 1, "");
	ctf_rig_order(&r, CTF_ORDER_ROTATE, 0, 1, 3, 1, NULL, 0);
	ctf_rig_order(&r, CTF_ORDER_ROTATE, 1, 1, 0, 1, NULL, 0);
	ctf_rig_metadata(&r, 1, "metadata again", 0);
	ctf_rig_order(&r, CTF_ORDER_CLOSE_CHUNK, -1, 0, 1700000100, CTF_CLOSE_ARCHIVE, NULL, 0);
	ctf_rig_send(&r, 0, 0, 1, LEN, ALL);
	ctf_rig_index(&r, 0, 1, 5, 7);
	ctf_rig_wait(ctf_rig_applied(&r));
	ctf_rig_wait(ctf_source_now(r.ctf)->chunk[0].state == CTF_CHUNK_FREE);
	cr_assert_eq(ctf_rig_half(&r, 0).ledger.lost_packets, 4);
	cr_assert_eq(ctf_rig_half(&r, 0).ledger.lost_events, 7);
	close_streams(&r, 1);
	{
		char path[300];

		ctf_rig_glob(&r, "archives/*-0/" DIR_ "ch_0", path, sizeof(path));
		ctf_rig_expect(&r, path, 0, 0, 1, LEN);
		ctf_rig_glob(&r, "archives/*-1/" DIR_ "ch_0", path, sizeof(path));
		ctf_rig_expect(&r, path, 0, 1, 1, LEN);
	}
	ctf_rig_free(&r);
}

/* ---- what the tracer lost ---- */

/* A packet with its index; the sequence number is the connection's, `number` the tracer's. */
static void packet(struct ctf_rig *r, unsigned i, uint64_t seq, uint64_t number, uint64_t lost)
{
	ctf_rig_send(r, 0, i, seq, LEN, ALL);
	ctf_rig_index(r, i, seq, number, lost);
	ctf_rig_wait(ctf_rig_applied(r));
}

static void must_have_lost(struct ctf_rig *r, unsigned i, uint64_t events, uint64_t packets)
{
	cr_assert_eq(ctf_rig_half(r, i).ledger.lost_events, events);
	cr_assert_eq(ctf_rig_half(r, i).ledger.lost_packets, packets);
}

Test(ctf_worker, losses_are_increases_and_gaps, .timeout = 30)
{
	const uint64_t far = UINT64_C(1) << 40;
	struct ctf_rig r;

	begin(&r, 13);
	ctf_rig_stream(&r, 0, false, 0, 0);
	ctf_rig_stream(&r, 2, false, 0, 0);
	packet(&r, 0, 0, 0, 0);
	must_have_lost(&r, 0, 0, 0);
	packet(&r, 0, 1, 1, 7);
	packet(&r, 0, 2, 2, 7);
	must_have_lost(&r, 0, 7, 0);
	packet(&r, 0, 3, 6, 10);
	must_have_lost(&r, 0, 10, 3);
	ctf_rig_index(&r, 0, 3, 6, 10); /* again */
	packet(&r, 0, 4, 1, 2);         /* both go back */
	must_have_lost(&r, 0, 10, 3);
	packet(&r, 0, 5, 2, 2 + far);
	must_have_lost(&r, 0, 10 + far, 3);
	packet(&r, 2, 0, 5, 100); /* lost before the first one */
	packet(&r, 2, 1, 6, 100);
	must_have_lost(&r, 2, 100, 0);
	cr_assert_eq(ctf_rig_half(&r, 2).ledger.lost_packets_at_start, 5);
	cr_assert_eq(ctf_rig_half(&r, 0).ledger.lost_packets_at_start, 0);
	cr_assert_eq(counter(&r, COUNTER_tracer_events_lost), 110 + far);
	cr_assert_eq(counter(&r, COUNTER_tracer_packets_lost), 8);
	ctf_rig_close(&r, 0);
	ctf_rig_end_control(&r, false);
	ctf_rig_wait(r.finished);
	ctf_rig_free(&r);
}

Test(ctf_worker, losses_that_old_minors_tell, .timeout = 30)
{
	struct ctf_rig r;

	begin(&r, 7);
	ctf_rig_stream(&r, 0, false, 0, 0);
	packet(&r, 0, 0, 0, 4);
	packet(&r, 0, 1, 9, 5);
	must_have_lost(&r, 0, 5, 0);
	ctf_rig_close(&r, 0);
	ctf_rig_end_control(&r, false);
	ctf_rig_wait(r.finished);
	ctf_rig_free(&r);
}

/* `lttng clear` throws away what stands in the ring buffers too: that is no loss. */
Test(ctf_worker, packets_cleared_are_not_lost, .timeout = 30)
{
	struct ctf_rig r;

	begin(&r, 13);
	ctf_rig_stream(&r, 0, false, 0, 0);
	ctf_rig_stream(&r, 2, false, 0, 0);
	packet(&r, 0, 0, 0, 1);
	packet(&r, 0, 1, 3, 1);
	must_have_lost(&r, 0, 1, 2);
	ctf_rig_chunk(&r, 1, "");
	ctf_rig_order(&r, CTF_ORDER_ROTATE, 0, 1, 4, 1, NULL, 0);
	ctf_rig_order(&r, CTF_ORDER_ROTATE, 2, 1, 0, 1, NULL, 0);
	ctf_rig_order(&r, CTF_ORDER_CLOSE_CHUNK, -1, 0, 1700000100, CTF_CLOSE_DELETE, NULL, 0);
	packet(&r, 0, 2, 9, 2);
	packet(&r, 2, 0, 6, 0);
	must_have_lost(&r, 0, 2, 2);
	must_have_lost(&r, 2, 0, 0);
	cr_assert_eq(ctf_rig_half(&r, 2).ledger.lost_packets_at_start, 0);
	packet(&r, 0, 3, 11, 2);
	must_have_lost(&r, 0, 2, 3);
	ctf_rig_chunk(&r, 2, "");
	ctf_rig_order(&r, CTF_ORDER_ROTATE, 0, 2, 12, 1, NULL, 0);
	ctf_rig_order(&r, CTF_ORDER_ROTATE, 2, 2, 7, 1, NULL, 0);
	ctf_rig_order(&r, CTF_ORDER_CLOSE_CHUNK, -1, 1, 1700000100, CTF_CLOSE_ARCHIVE, NULL, 0);
	packet(&r, 0, 4, 13, 2);
	must_have_lost(&r, 0, 2, 4);
	ctf_rig_close(&r, 0);
	ctf_rig_end_control(&r, false);
	ctf_rig_wait(r.finished);
	ctf_rig_free(&r);
}

Test(ctf_worker, snapshot, .timeout = 30)
{
	struct ctf_rig r;

	ctf_rig_make(&r, 13, true);
	ctf_rig_start(&r);
	ctf_rig_chunk(&r, 0, "snapshot-1");
	ctf_rig_stream(&r, 0, false, 0, 0);
	ctf_rig_send(&r, 0, 0, 4, LEN, ALL);
	ctf_rig_order(&r, CTF_ORDER_CLOSE_STREAM, 0, 5, 0, 0, NULL, 0);
	ctf_rig_stream(&r, 1, true, 0, 0);
	ctf_rig_metadata(&r, 1, "metadata", 0);
	ctf_rig_order(&r, CTF_ORDER_CLOSE_STREAM, 1, CTF_NONE, 0, 0, NULL, 0);
	ctf_rig_order(&r, CTF_ORDER_CLOSE_CHUNK, -1, 0, 1700000100, CTF_CLOSE_STAY, NULL, 0);
	ctf_rig_wait(ctf_rig_applied(&r));
	cr_assert_eq(ctf_source_now(r.ctf)->chunk[0].state, CTF_CHUNK_CLOSED);
	ctf_rig_send(&r, 0, 0, 5, LEN, ALL); /* behind its CLOSE_STREAM */
	finish(&r);                          /* although the data connection stays open */
	ctf_rig_expect(&r, "snapshot-1/" DIR_ "ch_0", 0, 4, 2, LEN);
	cr_assert_eq(ctf_rig_size(&r, "snapshot-1/" DIR_ "index"), -1);
	cr_assert_gt(ctf_rig_size(&r, "snapshot-1/chunk.json"), 0);
	cr_assert_eq(counter(&r, COUNTER_chunks_incomplete), 0);
	ctf_rig_free(&r);
}

static struct ctf_rig *talking;

/* The client's last words, and the end of control, while the worker is at the first ones. */
static void say_the_rest(void)
{
	struct ctf_rig *r = talking;

	ctf_fault = NULL;
	ctf_rig_stream(r, 0, false, 0, 0);
	ctf_rig_order(r, CTF_ORDER_CLOSE_STREAM, 0, 0, 0, 0, NULL, 0);
	ctf_rig_order(r, CTF_ORDER_CLOSE_CHUNK, -1, 0, 1700000100, CTF_CLOSE_STAY, NULL, 0);
	ctf_rig_end_control(r, true);
}

/* All of control is over before the data connection is looked at. */
Test(ctf_worker, control_ends_in_the_middle_of_a_turn, .timeout = 30)
{
	struct ctf_rig r;

	ctf_rig_make(&r, 13, true);
	r.st.conversation[0].peer = r.source->peer;
	atomic_store(&r.st.header->high_conversation, 1);
	talking = &r;
	ctf_fault = say_the_rest;
	ctf_rig_start(&r);
	ctf_rig_chunk(&r, 0, "snapshot-1");
	ctf_rig_wait(ctf_rig_applied(&r) && !ctf_fault);
	ctf_rig_send(&r, 0, 0, 0, LEN, ALL);
	ctf_rig_wait(r.finished);
	ctf_rig_expect(&r, "snapshot-1/" DIR_ "ch_0", 0, 0, 1, LEN);
	cr_assert_eq(counter(&r, COUNTER_sources_incomplete), 0);
	ctf_rig_free(&r);
}

Test(ctf_worker, stopped_session, .timeout = 30)
{
	struct ctf_rig r;

	begin(&r, 13);
	ctf_rig_stream(&r, 0, false, 0, 0);
	ctf_rig_send(&r, 0, 0, 0, LEN, ALL);
	ctf_rig_index(&r, 0, 0, 0, 0);
	ctf_rig_wait(ctf_rig_applied(&r));
	atomic_store(&r.session->stopped, 1);
	ctf_rig_send(&r, 0, 0, 1, LEN, ALL);
	ctf_rig_index(&r, 0, 1, 1, 0);
	ctf_rig_wait(ctf_rig_applied(&r));
	atomic_store(&r.session->stopped, 0);
	ctf_rig_send(&r, 0, 0, 2, LEN, ALL);
	ctf_rig_index(&r, 0, 2, 2, 0);
	ctf_rig_wait(ctf_rig_applied(&r));
	ctf_rig_close(&r, 0);
	finish(&r);
	cr_assert_eq(ctf_rig_size(&r, DIR_ "ch_0"), 2 * (LEN + CTF_RIG_PAD));
	cr_assert_eq(ctf_rig_size(&r, DIR_ "index/ch_0.idx"), 16 + 2 * 72);
	cr_assert_eq(ctf_rig_half(&r, 0).ledger.discarded[DISCARD_STOPPED], LEN);
	cr_assert_eq(ctf_rig_half(&r, 0).ctf.index_seq, 2);
	ctf_rig_free(&r);
}

/* ---- hostile and unlucky peers ---- */

Test(ctf_worker, bad_headers_close_the_connection, .timeout = 30)
{
	static const struct {
		unsigned stream;
		uint64_t seq;
		uint32_t len, cut;
	} bad[] = {{3, 1, LEN, ALL}, {0, 0, LEN, ALL}, {1, 1, LEN, ALL}, {0, 1, 65u << 20, 40}};

	for (unsigned n = 0; n < sizeof(bad) / sizeof(*bad); n++) {
		struct ctf_rig r;

		begin(&r, 13);
		ctf_rig_stream(&r, 0, false, 0, 0);
		ctf_rig_stream(&r, 1, true, 0, 0);
		ctf_rig_send(&r, 0, 0, 0, LEN, ALL);
		ctf_rig_index(&r, 0, 0, 0, 0);
		ctf_rig_wait(ctf_rig_applied(&r));
		ctf_rig_send(&r, 0, bad[n].stream, bad[n].seq, bad[n].len, 32);
		ctf_rig_wait(r.closed);
		cr_assert(atomic_load(&r.st.conversation[0].done));
		ctf_rig_end_control(&r, false);
		ctf_rig_wait(r.finished);
		ctf_rig_expect(&r, DIR_ "ch_0", 0, 0, 1, LEN);
		ctf_rig_expect_index(&r, DIR_ "index/ch_0.idx", 0, 1, LEN);
		ctf_rig_free(&r);
	}
}

Test(ctf_worker, one_stream_on_two_connections, .timeout = 30)
{
	struct ctf_rig r;

	begin(&r, 13);
	ctf_rig_stream(&r, 0, false, 0, 0);
	ctf_rig_send(&r, 0, 0, 0, LEN, 32 + 100);
	ctf_rig_wait(ctf_rig_half(&r, 0).ledger.received == 100);
	ctf_rig_send(&r, 1, 0, 1, LEN, ALL);
	ctf_rig_wait(r.closed);
	cr_assert(atomic_load(&r.st.conversation[1].done));
	cr_assert_not(atomic_load(&r.st.conversation[0].done));
	ctf_rig_close(&r, 0);
	finish(&r);
	cr_assert_eq(ctf_rig_size(&r, DIR_ "ch_0"), 0);
	ctf_rig_free(&r);
}

/* A header that comes before its stream is announced waits; then its packet is taken. */
Test(ctf_worker, header_waits_for_its_stream, .timeout = 30)
{
	struct ctf_rig r;

	begin(&r, 13);
	ctf_rig_stream(&r, 0, false, 0, 0);
	ctf_rig_index(&r, 0, 0, 0, 0); /* blocks what comes behind it */
	ctf_rig_stream(&r, 1, false, 0, 0);
	ctf_rig_send(&r, 0, 1, 0, LEN, ALL);
	ctf_rig_send(&r, 1, 0, 0, LEN, ALL);
	ctf_rig_index(&r, 1, 0, 0, 0);
	ctf_rig_wait(ctf_rig_applied(&r));
	ctf_rig_close(&r, 0);
	ctf_rig_close(&r, 1);
	finish(&r);
	ctf_rig_expect(&r, DIR_ "ch_1", 1, 0, 1, LEN);
	ctf_rig_expect_index(&r, DIR_ "index/ch_1.idx", 0, 1, LEN);
	ctf_rig_free(&r);
}

Test(ctf_worker, directory_of_another_owner, .timeout = 30)
{
	struct ctf_rig r;
	char path[100];
	FILE *f;

	ctf_rig_make(&r, 13, false);
	snprintf(path, sizeof(path), "mkdir -p %s/default/vm/s1", r.dir);
	cr_assert_eq(system(path), 0);
	snprintf(path, sizeof(path), "%s/default/vm/s1/.session", r.dir);
	f = fopen(path, "w");
	fputs("somebody else\n", f);
	fclose(f);
	ctf_rig_start(&r);
	ctf_rig_chunk(&r, 0, "");
	ctf_rig_wait(ctf_rig_applied(&r));
	cr_assert_str_eq(source_now(r.source)->dir, "default/vm/s1-2");
	finish(&r);
	ctf_rig_free(&r);
}

Test(ctf_worker, metadata_begins_anew, .timeout = 30)
{
	struct ctf_rig r;

	begin(&r, 13);
	ctf_rig_stream(&r, 1, true, 0, 0);
	ctf_rig_metadata(&r, 1, "the first one", 10);
	ctf_rig_order(&r, CTF_ORDER_RESET, 1, 0, 1, 0, NULL, 0);
	ctf_rig_metadata(&r, 1, "second", 2);
	ctf_rig_order(&r, CTF_ORDER_CLOSE_STREAM, 1, CTF_NONE, 0, 0, NULL, 0);
	finish(&r);
	cr_assert_eq(ctf_rig_size(&r, DIR_ "metadata"), 8);
	cr_assert_eq(ctf_rig_half(&r, 1).ctf.metadata_version, 1);
	ctf_rig_free(&r);
}

/* More orders than the ring holds: room is told. */
Test(ctf_worker, ring_wraps_around, .timeout = 60)
{
	struct ctf_rig r;
	char text[CTF_PIECE + 1];

	begin(&r, 13);
	ctf_rig_stream(&r, 1, true, 0, 0);
	memset(text, 'x', CTF_PIECE);
	text[CTF_PIECE] = '\0';
	for (unsigned k = 0; k < 600; k++) {
		ctf_rig_wait(ctf_front_now(r.ctf)->ordered - atomic_load(&r.ctf->applied) <
			     CTF_RING_ROOM - 3 * CTF_PIECE);
		ctf_rig_metadata(&r, 1, text, 0);
	}
	finish(&r);
	cr_assert_eq(ctf_rig_size(&r, DIR_ "metadata"), 600 * (int64_t)CTF_PIECE);
	ctf_rig_free(&r);
}

Test(ctf_worker, disk_full, .timeout = 30)
{
	struct ctf_rig r;
	char ballast[80];
	int64_t position;
	uint64_t lost;
	FILE *f;

	ctf_rig_make(&r, 13, false);
	close(r.output);
	if (mount("none", r.dir, "tmpfs", 0, "size=4m") < 0)
		cr_skip_test("no right to mount a tmpfs");
	r.output = open(r.dir, O_RDONLY | O_DIRECTORY);
	ctf_rig_start(&r);
	ctf_rig_chunk(&r, 0, "");
	ctf_rig_stream(&r, 0, false, 0, 0);
	ctf_rig_send(&r, 0, 0, 0, LEN, ALL);
	ctf_rig_index(&r, 0, 0, 0, 0);
	ctf_rig_wait(ctf_rig_applied(&r));
	snprintf(ballast, sizeof(ballast), "%s/ballast", r.dir);
	f = fopen(ballast, "w");
	for (unsigned i = 0; i < 8000 && fwrite(ballast, 1, sizeof(ballast), f); i++)
		;
	for (unsigned i = 0; i < 60000; i++)
		fwrite(ballast, 1, sizeof(ballast), f);
	fclose(f);
	for (unsigned k = 1; k < 20; k++) {
		ctf_rig_send(&r, 0, 0, k, 100000, ALL);
		ctf_rig_wait(ctf_rig_half(&r, 0).ctf.data_seq == k);
	}
	lost = ctf_rig_half(&r, 0).ledger.discarded[DISCARD_DISK];
	cr_assert_gt(lost, 0);
	cr_assert_eq(lost % 100000, 0);
	unlink(ballast);
	ctf_rig_wait(!source_now(r.source)->disk_full);
	ctf_rig_send(&r, 0, 0, 20, LEN, ALL);
	ctf_rig_wait(ctf_rig_half(&r, 0).ctf.data_seq == 20);
	cr_assert_eq(ctf_rig_half(&r, 0).ledger.discarded[DISCARD_DISK], lost);
	position = (int64_t)ctf_rig_half(&r, 0).position;
	ctf_rig_close(&r, 0);
	finish(&r);
	cr_assert_eq(ctf_rig_size(&r, DIR_ "ch_0"), position);
	ctf_rig_stop(&r);
	close(r.output);
	cr_assert_eq(umount(r.dir), 0);
	r.output = open("/dev/null", O_RDONLY);
	ctf_rig_free(&r);
}
