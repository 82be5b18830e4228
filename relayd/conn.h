/* SPDX-License-Identifier: MIT */
/*
 * conn.h - a control connection as its shell and its dialects see it; everybody else: relay.h.
 *
 * The shell (conn.c) has the socket and the timer, and takes turns; the dialect understands what
 * came and brings its effects about. Which dialect it is says the slot's role.
 * Thread: the front loop's.
 */
#ifndef TRACERELAY_RELAYD_CONN_H
#define TRACERELAY_RELAYD_CONN_H

#include <stdbool.h>
#include <stdint.h>
#include <urcu/hlist.h>
#include <urcu/list.h>
#include <uv.h>

#include "common/state.h"
#include "relayd/relay.h"

struct conn_dialect {
	/* As conversation_run(): understand what there is. A set of enum conversation_want. */
	unsigned (*run)(struct conn *c, int64_t now_ms, bool empty, int64_t *ret_deadline_ms);
	/* Commit the closing step for a reason that is not the peer's. */
	void (*close)(struct conn *c, enum close_reason reason);
	/* The source it speaks for, or NULL. */
	struct source_slot *(*source)(struct conn *c);
	/* May pages of the slot that nothing stands in be given back now? */
	bool (*idle)(struct conn *c);
};

struct conn {
	struct relay *relay;
	const struct conn_dialect *dialect;
	struct conversation_slot *slot;
	struct state_ref ref;
	int fd;
	uv_poll_t poll;
	uv_timer_t timer;
	unsigned handles; /* not yet closed */
	int polled;       /* events asked of the loop */
	bool closing;
	bool gave_back; /* the memory that only the beginning needed */
	/* The answers of sessiond-lite that do not stand in slots. */
	int refused; /* a negative errno, 0: none */
	bool asked;  /* a request is on its way */
	/* LTTng: the source, or the stream that the message at this position asked for. */
	struct state_ref granted;
	uint64_t granted_position;
	uint64_t check_epoch;  /* of its last BEGIN_DATA_PENDING */
	bool source_moved;     /* in this turn: its worker is to look */
	int64_t room_since_ms; /* CLOCK_MONOTONIC: an order has waited for room; 0: none does */
	bool room_late;        /* for too long: the disk must be stuck */
	/* conn_speakers.h */
	struct cds_hlist_node speaker;
	struct cds_list_head waiting;
	uint32_t speaks_for; /* 1 + index of a source */
	bool waits;
};

extern const struct conn_dialect conn_trace_cmd; /* conn_trace_cmd.c */
extern const struct conn_dialect conn_lttng;     /* conn_lttng.c */

struct conn *conn_of_slot(struct relay *r, const struct conversation_slot *slot);

#endif
