/* SPDX-License-Identifier: MIT */
/*
 * live.h - the thread that serves live viewers (babeltrace2's lttng-live), any number of them.
 *
 * It reads the state memory and the files below output.dir, and writes nothing but the slots of
 * its own connections (conversations of role CONVERSATION_LTTNG_LIVE, and the viewer slots beside
 * them). A viewer that does not read waits alone; no source ever waits for a viewer.
 *
 * Life:   live_start() to live_stop(), or to the process's end.
 * Thread: live_connection(), live_release(): any; closed(), released(): the live thread; the rest:
 * whoever started it. Source: doc/protocol.md "LTTng live", doc/architecture.md. Test:
 * tests/unit/live.c.
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
	uint32_t patience_ms;      /* with viewers that take nothing of a source that has ended;
				      0: without limit */
	/* A connection is over: its socket is closed, its slot done. On the live thread. */
	void (*closed)(void *ctx, struct state_ref conversation);
	/* See live_release(). On the live thread. */
	void (*released)(void *ctx, struct state_ref source);
	void *ctx;
};

/* 0 or negative errno. */
int live_start(const struct live_config *config, struct live **ret);

/*
 * Serve a connection, new or inherited. Owns fd from now on, if 0 is returned; -ENOMEM: it is
 * still the caller's. One that is served already is left as it is (and this fd closed).
 */
int live_connection(struct live *l, struct state_ref conversation, int fd);

/*
 * A source has ended: released() is called when each viewer that is attached to it has been told
 * all of it, has left, or has got nothing for patience_ms. At once if there is none, and if its
 * session is being destroyed. Viewers count whose connections were handed over before.
 * -ENOMEM: released() will not be called.
 */
int live_release(struct live *l, struct state_ref source);

/* Close all connections (CLOSE_shutdown, closed() is called for each), end the thread. */
void live_stop(struct live *l);

#endif
