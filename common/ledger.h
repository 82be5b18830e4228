/* SPDX-License-Identifier: MIT */
/*
 * ledger.h - what came in on a stream and what became of it, and sums of that.
 *
 * Bytes: received = stored + sum of discarded, whenever no move is under way. Beside it, never
 * summed with it: what the traced kernel and this host lost.
 *
 * Thread: any; plain values, which lie in the state memory (state.h says who writes them).
 * Source: design.md section 2 "Ledger"; doc/status.md "A ledger".
 */
#ifndef TRACERELAY_COMMON_LEDGER_H
#define TRACERELAY_COMMON_LEDGER_H

#include <stdint.h>

#include "common/discard.h"

struct stream_ledger {
	uint64_t received;
	uint64_t stored;
	uint64_t discarded[DISCARD_COUNT];
	uint64_t pages;        /* page headers read; LTTng: packets */
	uint64_t lost_events;  /* by the traced kernel or LTTng's tracer, counted */
	uint64_t lost_packets; /* LTTng: overwritten by its tracer: gaps of packet_seq_num */
	uint64_t lost_packets_at_start; /* before the first that came: numbers begin at 0 */
	uint64_t lost_intervals;    /* loss marks without a count seen in pages, ours included */
	uint64_t marks;             /* loss marks that we made; intervals of the traced kernel:
				       lost_intervals - marks */
	uint64_t datagrams;         /* received */
	uint64_t datagrams_dropped; /* by this host */
};

void ledger_add(struct stream_ledger *to, const struct stream_ledger *l);

/* What happened since it was @base. */
struct stream_ledger ledger_since(const struct stream_ledger *now,
				  const struct stream_ledger *base);

#endif
