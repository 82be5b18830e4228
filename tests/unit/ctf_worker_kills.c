/* SPDX-License-Identifier: MIT */
/* ctf_worker_kills.c - the worker's side of LTTng sources over SIGKILLs. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/ctf_mortal.h"
#include "tests/unit/ctf_rig.h"

#define DIR_ CTF_RIG_DIR
#define LEN  4000u
#define ALL  UINT32_MAX

static void finish(struct ctf_rig *r)
{
	ctf_rig_end_control(r, true);
	ctf_rig_wait(r->finished);
}

#define KILL_PACKETS 120u

static void run_killed(unsigned seed)
{
	struct ctf_rig r;
	struct ctf_mortal m = {.rig = &r};

	srandom(seed);
	ctf_rig_make(&r, 13, false);
	ctf_rig_chunk(&r, 0, "");
	ctf_rig_stream(&r, 0, false, 0, 0);
	ctf_rig_stream(&r, 2, false, 10 * LEN, 0);
	ctf_rig_stream(&r, 1, true, 0, 0);
	ctf_rig_metadata(&r, 1, "metadata", 4);
	ctf_rig_send(&r, 0, 0, 0, LEN, ALL);
	ctf_mortal_start(&m, 0);
	for (unsigned k = 0; k < KILL_PACKETS; k++) {
		if (k && k != KILL_PACKETS / 2 + 1)
			ctf_rig_send(&r, 0, 0, k, LEN, ALL);
		ctf_rig_index(&r, 0, k, k, 0);
		ctf_rig_send(&r, 0, 2, k, LEN, ALL);
		ctf_rig_index(&r, 2, k, k, 0);
		if (k == KILL_PACKETS / 2) {
			ctf_rig_send(&r, 0, 0, k + 1, LEN, ALL); /* it runs ahead */
			ctf_rig_wait(ctf_rig_half(&r, 0).ctf.data_seq == k + 1);
			ctf_rig_chunk(&r, 1, "");
			ctf_rig_order(&r, CTF_ORDER_ROTATE, 0, 1, k + 1, 1, NULL, 0);
			ctf_rig_order(&r, CTF_ORDER_ROTATE, 2, 1, k + 1, 1, NULL, 0);
			ctf_rig_order(&r, CTF_ORDER_ROTATE, 1, 1, 0, 1, NULL, 0);
			ctf_rig_metadata(&r, 1, "metadata again", 4);
			ctf_rig_order(&r, CTF_ORDER_CLOSE_CHUNK, -1, 0, 1700000100,
				      CTF_CLOSE_ARCHIVE, NULL, 0);
		}
		if (k % 3 == 0) {
			usleep((useconds_t)(random() % 800));
			ctf_mortal_end(&m);
			ctf_mortal_start(&m, 0);
		}
	}
	ctf_rig_order(&r, CTF_ORDER_CLOSE_STREAM, 0, KILL_PACKETS - 1, 0, 0, NULL, 0);
	ctf_rig_order(&r, CTF_ORDER_CLOSE_STREAM, 2, KILL_PACKETS - 1, 0, 0, NULL, 0);
	ctf_rig_order(&r, CTF_ORDER_CLOSE_STREAM, 1, CTF_NONE, 0, 0, NULL, 0);
	ctf_rig_close(&r, 0);
	usleep((useconds_t)(random() % 3000));
	ctf_mortal_end(&m);
	ctf_rig_start(&r);
	finish(&r);
	{
		unsigned half = KILL_PACKETS / 2 + 1;
		char dir[200], path[300];

		ctf_rig_glob(&r, "archives/*-0", dir, sizeof(dir));
		ctf_rig_expect_chunk(&r, dir, 0, half, LEN, 12);
		ctf_rig_glob(&r, "archives/*-1", dir, sizeof(dir));
		ctf_rig_expect_chunk(&r, dir, half, KILL_PACKETS - half, LEN, 18);
		for (unsigned n = 0; n * 9 < KILL_PACKETS - half; n++) {
			unsigned count = KILL_PACKETS - half - n * 9;

			snprintf(path, sizeof(path), "%s/" DIR_ "ch_2_%u", dir, n);
			ctf_rig_expect(&r, path, 2, half + n * 9, count < 9 ? count : 9, LEN);
			snprintf(path, sizeof(path), "%s/" DIR_ "index/ch_2_%u.idx", dir, n);
			ctf_rig_expect_index(&r, path, half + n * 9, count < 9 ? count : 9, LEN);
		}
	}
	ctf_rig_free(&r);
}

Test(ctf_worker_kills, killed_while_packets_flow, .timeout = 120)
{
	for (unsigned seed = 1; seed <= 8; seed++)
		run_killed(seed);
}

/* ---- at every commit ---- */

/* False: it lived to the end. */
static bool run_mortal(unsigned life, enum ctf_close command, bool viewed)
{
	struct source_half h;
	struct ctf_rig r;
	char dir[200];
	struct ctf_mortal m = {.rig = &r};

	ctf_rig_make(&r, 13, false);
	atomic_store(&r.ctf->viewed, viewed);
	ctf_rig_chunk(&r, 0, "");
	ctf_rig_stream(&r, 0, false, 0, 0);
	ctf_rig_stream(&r, 1, true, 0, 0);
	ctf_rig_stream(&r, 2, false, LEN, 1);
	ctf_rig_metadata(&r, 1, "metadata", 4);
	ctf_rig_send(&r, 0, 0, 0, LEN, ALL);
	ctf_mortal_start(&m, life);
	ctf_rig_send(&r, 0, 0, 1, LEN, ALL);
	ctf_rig_send(&r, 0, 2, 0, LEN, ALL);
	ctf_rig_index(&r, 0, 0, 0, 0);
	ctf_rig_index(&r, 2, 0, 0, 3);
	ctf_rig_send(&r, 0, 2, 1, LEN, ALL);
	ctf_rig_index(&r, 2, 1, 3, 10);
	ctf_mortal_wait(&m, ctf_rig_half(&r, 2).ctf.data_seq == 1);
	ctf_rig_chunk(&r, 1, "");
	ctf_rig_order(&r, CTF_ORDER_ROTATE, 0, 1, 1, 1, NULL, 0);
	ctf_rig_order(&r, CTF_ORDER_ROTATE, 2, 1, 4, 1, NULL, 0);
	ctf_rig_order(&r, CTF_ORDER_ROTATE, 1, 1, 0, 1, NULL, 0);
	ctf_rig_metadata(&r, 1, "metadata again", 4);
	ctf_rig_index(&r, 0, 1, 1, 0);
	ctf_rig_order(&r, CTF_ORDER_CLOSE_CHUNK, -1, 0, 1700000100, command, NULL, 0);
	ctf_rig_order(&r, CTF_ORDER_RESET, 1, 0, 1, 0, NULL, 0);
	ctf_rig_metadata(&r, 1, "third", 0);
	ctf_rig_send(&r, 0, 0, 2, LEN, ALL);
	ctf_rig_index(&r, 0, 2, 2, 0);
	ctf_mortal_wait(&m, ctf_rig_applied(&r));
	ctf_rig_order(&r, CTF_ORDER_CLOSE_STREAM, 0, 2, 0, 0, NULL, 0);
	ctf_rig_order(&r, CTF_ORDER_CLOSE_STREAM, 2, 1, 0, 0, NULL, 0);
	ctf_rig_order(&r, CTF_ORDER_CLOSE_STREAM, 1, CTF_NONE, 0, 0, NULL, 0);
	ctf_rig_send(&r, 0, 0, 3, LEN, 32 + 500); /* never comes whole */
	ctf_mortal_wait(&m, ctf_rig_half(&r, 0).ledger.received == 3 * LEN + 500);
	ctf_rig_close(&r, 0);
	ctf_rig_end_control(&r, true);
	ctf_mortal_wait(&m, (source_read(r.source, &h), h.finished));
	ctf_mortal_end(&m);
	if (command == CTF_CLOSE_ARCHIVE) {
		ctf_rig_glob(&r, "archives/*-0", dir, sizeof(dir));
		ctf_rig_expect_chunk(&r, dir, 0, 1, LEN, 12);
		snprintf(dir + strlen(dir), 100, "/" DIR_ "ch_2_0");
		ctf_rig_expect(&r, dir, 2, 1, 1, LEN);
		ctf_rig_glob(&r, "archives/*-0", dir, sizeof(dir));
		snprintf(dir + strlen(dir), 100, "/" DIR_ ".ch_2_0.gone");
		cr_assert_eq(ctf_rig_size(&r, dir), -1);
		ctf_rig_glob(&r, "archives/*-1", dir, sizeof(dir));
		ctf_rig_expect_chunk(&r, dir, 1, 2, LEN, 5);
	} else {
		ctf_rig_expect_chunk(&r, ".", 1, 2, LEN, 5);
		cr_assert_eq(ctf_rig_size(&r, ".chunk-2"), -1);
		cr_assert_eq(ctf_rig_size(&r, ".cleared-1"), -1);
	}
	cr_assert_eq(ctf_rig_half(&r, 0).ledger.discarded[DISCARD_PARTIAL], 500);
	cr_assert_eq(ctf_rig_half(&r, 0).ledger.stored, 3 * LEN, "life %u", life);
	cr_assert_eq(ctf_rig_half(&r, 1).ledger.stored, 8 + 14 + 5);
	cr_assert_eq(ctf_rig_half(&r, 2).ledger.lost_events, 10, "life %u", life);
	cr_assert_eq(ctf_rig_half(&r, 2).ledger.lost_packets, 2, "life %u", life);
	ctf_rig_free(&r);
	return m.died;
}

static bool run_unseen(unsigned life)
{
	return run_mortal(life, life % 2 ? CTF_CLOSE_ARCHIVE : CTF_CLOSE_DELETE, false);
}

Test(ctf_worker_kills, killed_at_every_commit, .timeout = 300)
{
	cr_assert_gt(ctf_mortal_lives(run_unseen), 150);
}

static bool run_viewed(unsigned life)
{
	return run_mortal(life, life % 2 ? CTF_CLOSE_DELETE : CTF_CLOSE_ARCHIVE, true);
}

Test(ctf_worker_kills, killed_at_every_commit_under_a_viewer, .timeout = 300)
{
	cr_assert_gt(ctf_mortal_lives(run_viewed), 150);
}
