/* SPDX-License-Identifier: MIT */
/*
 * live.h - the thread that serves live viewers (babeltrace2's lttng-live), any number of them.
 *
 * It reads the state memory and the files below output.dir, and writes nothing but the slots of
 * its own connections (conversations of role CONVERSATION_LTTNG_LIVE, and the viewer slots beside
 * them). A viewer that does not read waits alone; no source ever waits for a viewer.
 *
 * Life:   live_start() to live_stop(), or to the process's end.
 * Thread: live_connection(): any; closed(): the live thread; the rest: whoever started it.
 * Source: doc/protocol.md "LTTng live", doc/architecture.md. Test: tests/unit/live.c.
 */
#ifndef TRACERELAY_RELAYD_LIVE_H
#define TRACERELAY_RELAYD_LIVE_H

#include <stdint.h>

#include "common/counters.h"
#include "common/state.h"

struct live;

struct live_config {
	const struct state *st;    /* borrowed, as are the others */
	int output_fd;             /* output.dir */
	struct counters *counters; /* a shard */
	uint32_t handshake_ms;     /* a connection that does not say CONNECT is closed; 0: never */
	/* A connection is over: its socket is closed, its slot done. On the live thread. */
	void (*closed)(void *ctx, struct state_ref conversation);
	void *ctx;
};

/* 0 or negative errno. */
int live_start(const struct live_config *config, struct live **ret);

/*
 * Serve a connection, new or inherited. Owns fd from now on, if 0 is returned; -ENOMEM: it is
 * still the caller's. One that is served already is left as it is (and this fd closed).
 */
int live_connection(struct live *l, struct state_ref conversation, int fd);

/* Close all connections (CLOSE_shutdown, closed() is called for each), end the thread. */
void live_stop(struct live *l);

#endif
