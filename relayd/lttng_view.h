/* SPDX-License-Identifier: MIT */
/*
 * lttng_view.h - what an LTTng control conversation asks of the state memory (struct lttng_view).
 *
 * Thread: the front loop's. Nothing here waits, and nothing is written but the check marks of
 * data-pending, which live in the process only: after a kill between BEGIN and END, END answers
 * from whether a half of a packet waits for the other.
 */
#ifndef TRACERELAY_RELAYD_LTTNG_VIEW_H
#define TRACERELAY_RELAYD_LTTNG_VIEW_H

#include "relayd/lttng_control.h"
#include "relayd/relay.h"

/* The ctx of lttng_view: one conversation. */
struct lttng_viewer {
	struct relay *relay;
	struct state_ref source;
	uint64_t *epoch; /* of its last BEGIN_DATA_PENDING */
};

extern const struct lttng_view lttng_view;

#endif
