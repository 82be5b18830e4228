/* SPDX-License-Identifier: MIT */
/*
 * status_sum.h - ledgers of the status document: of a stream, and of what streams are the sum of.
 *
 * Not every tracer tells every figure. A sum is over those streams that tell it, and null where
 * there are streams and none of them does.
 *
 * Thread: any; plain values. Source: doc/status.md "A ledger". Test: tests/unit/status_document.c.
 */
#ifndef TRACERELAY_RELAYD_STATUS_SUM_H
#define TRACERELAY_RELAYD_STATUS_SUM_H

#include <stdint.h>

#include "common/state.h"
#include "relayd/status_json.h"

/* Figures that only some streams have. */
enum status_tells {
	STATUS_TELLS_PAGES = 1,        /* trace-cmd */
	STATUS_TELLS_PACKETS = 2,      /* LTTng, but its metadata */
	STATUS_TELLS_LOST_EVENTS = 4,  /* trace-cmd; LTTng where it sends indexes */
	STATUS_TELLS_LOST_PACKETS = 8, /* LTTng from minor 8 on, where it sends indexes */
	STATUS_TELLS_INTERVALS = 16,   /* trace-cmd */
	STATUS_TELLS_ALL = 31,
};

/* What a stream, a source, a session, a worker or the whole has, or is the sum of. */
struct status_sum {
	struct stream_ledger ledger; /* pages: trace-cmd's */
	uint64_t packets;            /* LTTng, stored whole */
	uint64_t rate;
	uint64_t in_chunk; /* bytes stored in chunks that are being filled */
	uint64_t metadata; /* bytes stored of LTTng's metadata */
	uint32_t sources, streams, open;
	uint32_t tells; /* enum status_tells */
};

void status_sum_add(struct status_sum *to, const struct status_sum *s);

/* The same members wherever a ledger is shown. */
void status_sum_put(struct json_piece *p, const struct status_sum *s);

#endif
