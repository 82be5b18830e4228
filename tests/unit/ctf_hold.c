/* SPDX-License-Identifier: MIT */
/* ctf_hold.c - a disk that hangs: sockets are read, whole packets discarded, nothing miscounted. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/counters.h"
#include "consumer/ctf_internal.h"
#include "tests/unit/ctf_mortal.h"
#include "tests/unit/ctf_rig.h"

#define DIR_      "ust/uid/0/64-bit/"
#define LEN       4000u
#define BIG       300000u /* more than a pipe holds */
#define ALL       UINT32_MAX
#define MAX_STALL 80u /* ms */

/* ---- a disk that hangs: no splice into a file ends while this says so ---- */

static _Atomic bool hanging;
static bool (*revived)(void); /* it also ends when this says so; NULL: never */

ssize_t splice(int in, loff_t *in_at, int out, loff_t *out_at, size_t len, unsigned flags)
{
	while (out_at && atomic_load(&hanging) && !(revived && revived()))
		ctf_rig_pause();
	return syscall(SYS_splice, in, in_at, out, out_at, len, flags);
}

static uint64_t counter(struct ctf_rig *r, enum counter id)
{
	return counters_sum(r->st.counters, 1, id);
}

static struct ctf_stalled_half stalled(struct ctf_rig *r, unsigned i)
{
	struct ctf_stalled_half h;

	ctf_stalled_read(&r->st.ctf_stream[i].stalled, &h);
	return h;
}

static void begin(struct ctf_rig *r)
{
	ctf_rig_make(r, 13, false);
	r->max_stall_ms = MAX_STALL;
	ctf_rig_start(r);
	ctf_rig_chunk(r, 0, "");
	ctf_rig_stream(r, 0, false, 0, 0);
	ctf_rig_stream(r, 1, false, 0, 0);
	for (unsigned i = 0; i < 2; i++) {
		ctf_rig_send(r, i, i, 0, LEN, ALL);
		ctf_rig_index(r, i, 0, 0, 0);
	}
	ctf_rig_wait(ctf_rig_applied(r) && counter(r, COUNTER_indexes_stored) == 2);
}

static void finish(struct ctf_rig *r)
{
	ctf_rig_close(r, 0);
	ctf_rig_close(r, 1);
	ctf_rig_end_control(r, true);
	ctf_rig_wait(r->finished);
}

/* The packet at which the worker hangs is @len bytes long. */
static void hang(uint32_t len, bool first_is_stored)
{
	struct ctf_rig r;
	uint64_t lost = first_is_stored ? 4 * (uint64_t)BIG : len + 4 * (uint64_t)BIG;

	begin(&r);
	atomic_store(&hanging, true);
	ctf_rig_send(&r, 0, 0, 1, len, ALL);
	ctf_rig_index(&r, 0, 1, 1, 0);
	for (uint64_t seq = 2; seq < 6; seq++) { /* would wait for ever if nobody read */
		ctf_rig_send(&r, 0, 0, seq, BIG, ALL);
		ctf_rig_index(&r, 0, seq, seq, 0);
		ctf_rig_send(&r, 1, 1, seq, BIG, ALL);
		ctf_rig_index(&r, 1, seq, seq, 0);
	}
	ctf_rig_wait(stalled(&r, 0).seq == 5 && stalled(&r, 1).seq == 5);
	cr_assert_eq(stalled(&r, 1).bytes, 4 * BIG);
	cr_assert_eq(stalled(&r, 1).packets, 4);
	cr_assert_eq(counter(&r, COUNTER_connections_held), 2);
	atomic_store(&hanging, false);
	for (unsigned i = 0; i < 2; i++) {
		ctf_rig_send(&r, i, i, 6, LEN, ALL);
		ctf_rig_index(&r, i, 6, 6, 0);
	}
	ctf_rig_wait(ctf_rig_applied(&r));
	finish(&r);
	cr_assert_eq(ctf_rig_half(&r, 0).ledger.discarded[DISCARD_STALL], lost);
	cr_assert_eq(ctf_rig_half(&r, 1).ledger.discarded[DISCARD_STALL], 4 * BIG);
	cr_assert_eq(ctf_rig_half(&r, 0).ledger.received, 2 * LEN + len + 4 * BIG);
	cr_assert_eq(counter(&r, COUNTER_packets_discarded), first_is_stored ? 8 : 9);
	cr_assert_eq(counter(&r, COUNTER_bytes_discarded_stall), lost + 4 * BIG);
	cr_assert_eq(ctf_rig_size(&r, DIR_ "index/ch_0.idx"), 16 + (first_is_stored ? 3 : 2) * 72);
	cr_assert_eq(ctf_rig_size(&r, DIR_ "index/ch_1.idx"), 16 + 2 * 72);
	cr_assert_eq(ctf_rig_size(&r, DIR_ "ch_1"), 2 * (LEN + CTF_RIG_PAD));
	cr_assert_eq(ctf_rig_size(&r, DIR_ "ch_0"),
		     (first_is_stored ? 3 : 2) * (LEN + CTF_RIG_PAD));
	ctf_rig_free(&r);
}

/* The worker has all of the packet: it is stored when the disk goes on. */
Test(ctf_hold, hangs_behind_a_whole_packet, .timeout = 30)
{
	hang(LEN, true);
}

/* Half of it is in the socket: discarded, cut off. */
Test(ctf_hold, hangs_inside_a_packet, .timeout = 30)
{
	hang(BIG, false);
}

/* The disk comes back while a packet is being discarded: the worker discards the rest. */
Test(ctf_hold, joins_inside_a_packet, .timeout = 30)
{
	struct ctf_rig r;

	begin(&r);
	atomic_store(&hanging, true);
	ctf_rig_send(&r, 0, 0, 1, LEN, ALL);
	ctf_rig_send(&r, 1, 1, 1, BIG, 32 + 1000); /* its beginning */
	ctf_rig_send(&r, 0, 0, 2, LEN, 20);        /* half a header */
	ctf_rig_wait(stalled(&r, 1).bytes == 1000);
	ctf_rig_wait(counter(&r, COUNTER_connections_held) == 2);
	atomic_store(&hanging, false);
	ctf_rig_send_rest(&r, 1, 1, 1, BIG, 32 + 1000);
	ctf_rig_send_rest(&r, 0, 0, 2, LEN, 20);
	for (unsigned i = 0; i < 2; i++)
		ctf_rig_send(&r, i, i, 3, LEN, ALL);
	for (uint64_t seq = 1; seq < 4; seq++) {
		ctf_rig_index(&r, 0, seq, seq, 0);
		if (seq != 2)
			ctf_rig_index(&r, 1, seq, seq, 0);
	}
	ctf_rig_wait(ctf_rig_applied(&r));
	finish(&r);
	ctf_rig_expect(&r, DIR_ "ch_0", 0, 0, 4, LEN);
	cr_assert_eq(ctf_rig_half(&r, 1).ledger.discarded[DISCARD_STALL], BIG);
	cr_assert_eq(ctf_rig_size(&r, DIR_ "ch_1"), 2 * (LEN + CTF_RIG_PAD));
	cr_assert_eq(ctf_rig_size(&r, DIR_ "index/ch_1.idx"), 16 + 2 * 72);
	ctf_rig_free(&r);
}

/* What the guard cannot judge waits for the worker, and closes only its own connection. */
Test(ctf_hold, garbage_waits_for_the_worker, .timeout = 30)
{
	struct ctf_rig r;

	begin(&r);
	atomic_store(&hanging, true);
	ctf_rig_send(&r, 0, 0, 1, LEN, ALL);
	ctf_rig_send(&r, 1, 3, 7, LEN, ALL); /* of a stream that is not there */
	ctf_rig_wait(counter(&r, COUNTER_connections_held) == 1);
	ctf_rig_send(&r, 0, 0, 2, BIG, ALL);
	ctf_rig_wait(stalled(&r, 0).seq == 2);
	cr_assert_eq(r.closed, 0);
	atomic_store(&hanging, false);
	ctf_rig_wait(r.closed == 1);
	cr_assert(atomic_load(&r.st.conversation[1].done));
	cr_assert_not(atomic_load(&r.st.conversation[0].done));
	finish(&r);
	ctf_rig_free(&r);
}

/* A connection that comes while its worker hangs. */
Test(ctf_hold, new_connection_of_a_hanging_worker, .timeout = 30)
{
	struct ctf_rig r;

	ctf_rig_make(&r, 13, false);
	r.max_stall_ms = MAX_STALL;
	ctf_rig_start(&r);
	ctf_rig_chunk(&r, 0, "");
	ctf_rig_stream(&r, 0, false, 0, 0);
	ctf_rig_send(&r, 0, 0, 0, LEN, ALL);
	ctf_rig_wait(ctf_rig_half(&r, 0).ledger.stored == LEN);
	atomic_store(&hanging, true);
	ctf_rig_send(&r, 0, 0, 1, LEN, ALL);
	ctf_rig_wait(counter(&r, COUNTER_bytes_received) == 2 * LEN);
	ctf_rig_stream(&r, 1, false, 0, 0);
	for (uint64_t seq = 0; seq < 5; seq++)
		ctf_rig_send(&r, 1, 1, seq, BIG, ALL);
	ctf_rig_wait(stalled(&r, 1).seq == 4);
	atomic_store(&hanging, false);
	ctf_rig_send(&r, 1, 1, 5, LEN, ALL);
	ctf_rig_wait(ctf_rig_half(&r, 1).ledger.stored == LEN);
	finish(&r);
	ctf_rig_expect(&r, DIR_ "ch_0", 0, 0, 2, LEN);
	ctf_rig_expect(&r, DIR_ "ch_1", 1, 5, 1, LEN);
	cr_assert_eq(ctf_rig_half(&r, 1).ledger.discarded[DISCARD_STALL], 5 * BIG);
	ctf_rig_free(&r);
}

/* A packet whose stream cannot be opened, since there is no room, is not waited for either. */
Test(ctf_hold, header_waits_for_the_disk, .timeout = 30)
{
	struct ctf_rig r;

	begin(&r);
	ctf_rig_index(&r, 0, 9, 9, 0); /* its packet never comes: what is behind it waits */
	ctf_rig_stream(&r, 2, false, 0, 0);
	ctf_rig_send(&r, 1, 2, 0, BIG, ALL);
	ctf_rig_send(&r, 1, 2, 1, BIG, ALL);
	ctf_rig_wait(ctf_rig_half(&r, 2).ctf.any_data && ctf_rig_half(&r, 2).ctf.data_seq == 1);
	cr_assert_eq(ctf_rig_half(&r, 2).ledger.discarded[DISCARD_STALL], 2 * BIG);
	finish(&r);
	ctf_rig_free(&r);
}

/* ---- kills ---- */

#define KILL_PACKETS 6u

static struct ctf_rig *mortal;

/* The disk hangs until most of the second stream's packets are discarded: by the guard, or by the
 * worker, if it meets them late. */
static bool most_are_discarded(void)
{
	return stalled(mortal, 1).seq >= KILL_PACKETS - 2 ||
	       ctf_rig_half(mortal, 1).ctf.data_seq >= KILL_PACKETS - 2;
}

static void hang_the_disk(struct ctf_rig *r, bool successor)
{
	(void)successor;
	mortal = r;
	revived = most_are_discarded;
	atomic_store(&hanging, true);
}

/* True: the process died at its commit number @life. */
static bool run(unsigned life)
{
	struct ctf_rig r;
	struct ctf_mortal m = {.rig = &r, .before = hang_the_disk};
	uint64_t total = 0;

	ctf_rig_make(&r, 13, false);
	r.max_stall_ms = 40;
	ctf_rig_chunk(&r, 0, "");
	ctf_rig_stream(&r, 0, false, 0, 0);
	ctf_rig_stream(&r, 1, false, 0, 0);
	for (uint64_t seq = 0; seq < KILL_PACKETS; seq++)
		for (unsigned i = 0; i < 2; i++) {
			ctf_rig_send(&r, i, i, seq, LEN, ALL);
			ctf_rig_index(&r, i, seq, seq, 0);
			total += LEN;
		}
	ctf_mortal_start(&m, life);
	for (unsigned k = 0;
	     !ctf_rig_applied(&r) || ctf_rig_half(&r, 0).ctf.index_seq != KILL_PACKETS - 1 ||
	     ctf_rig_half(&r, 1).ctf.index_seq != KILL_PACKETS - 1;
	     k++) {
		cr_assert_lt(k, 8000, "life %u: waited in vain; discarded up to %llu and %llu",
			     life, (unsigned long long)stalled(&r, 0).seq,
			     (unsigned long long)stalled(&r, 1).seq);
		ctf_mortal_look(&m);
		ctf_rig_pause();
	}
	ctf_mortal_end(&m);
	ctf_rig_start(&r);
	finish(&r);
	total = 2 * KILL_PACKETS * (uint64_t)LEN;
	for (unsigned i = 0; i < 2; i++) {
		struct stream_half h = ctf_rig_half(&r, i);
		uint64_t packets = h.ledger.stored / LEN;
		char path[40];

		cr_assert_eq(h.ledger.received, total / 2, "life %u, stream %u", life, i);
		cr_assert_eq(h.ledger.stored + h.ledger.discarded[DISCARD_STALL], h.ledger.received,
			     "life %u, stream %u", life, i);
		snprintf(path, sizeof(path), DIR_ "ch_%u", i);
		cr_assert_eq(ctf_rig_size(&r, path), (int64_t)(packets * (LEN + CTF_RIG_PAD)),
			     "life %u, stream %u: %llu bytes stored, the file has %lld", life, i,
			     (unsigned long long)h.ledger.stored,
			     (long long)ctf_rig_size(&r, path));
		snprintf(path, sizeof(path), DIR_ "index/ch_%u.idx", i);
		cr_assert_eq(ctf_rig_size(&r, path), packets ? (int64_t)(16 + packets * 72) : -1,
			     "life %u, stream %u", life, i);
	}
	ctf_rig_free(&r);
	return m.died;
}

Test(ctf_hold, killed_at_every_commit, .timeout = 300)
{
	cr_assert_gt(ctf_mortal_lives(run), 60);
}
