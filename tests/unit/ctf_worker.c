/* SPDX-License-Identifier: MIT */
/* ctf_worker.c - the worker's side of LTTng sources: packets, indexes, chunks, kills. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/counters.h"
#include "tests/unit/ctf_rig.h"

#define DIR_ "ust/uid/0/64-bit/"
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
