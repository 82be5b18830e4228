/* SPDX-License-Identifier: MIT */
/*
 * talk_lttng_relay.h - everything around relayd's engine of LTTng control conversations, simulated:
 * connections, sessiond-lite's sources and streams, the worker that applies orders; with kills.
 *
 * The engine is the daemon's (relayd/conn_lttng.c, lttng_orders.c, lttng_view.c) over a real state
 * memory, which is mapped anew behind each kill. Connections are slots 0, 1, ... in the order of
 * their making; stream I has the id 100 + I, source J the id 1 + J.
 */
#ifndef TRACERELAY_TESTS_TALK_LTTNG_RELAY_H
#define TRACERELAY_TESTS_TALK_LTTNG_RELAY_H

#include "relayd/conn.h"
#include "relayd/conversation.h"
#include "tests/talk/talk_peer.h"

#define TALK_CONNECTIONS 4u
#define TALK_SOURCES     64u
#define TALK_STREAMS     64u
#define TALK_ORDERS      4096u

struct talk_connection {
	char name[16]; /* "": none */
	struct talk_peer peer;
	unsigned wants;
	int64_t deadline_ms;
	/* sessiond-lite's answer that is on its way */
	bool answer;
	struct link_message answered;
	struct state_ref source;
	/* what it ordered: indexes into talk_lttng_relay.order */
	unsigned ordered[TALK_ORDERS], orders, seen;
	struct {
		bool told, orderly;
		enum close_reason reason;
	} end; /* of its source, with this connection */
};

struct talk_ordered {
	struct ctf_order head;
	uint32_t source;
	uint32_t hash; /* of its payload */
};

struct talk_lttng_relay {
	struct talk_fate fate;
	struct lttng_limits limits;
	int64_t now_ms;

	struct state st;
	struct talk_connection connection[TALK_CONNECTIONS];
	unsigned connections;
	uint64_t last_id; /* of a connection */

	/* relayd's process memory */
	struct relay relay;
	struct conn conn[TALK_CONNECTIONS];
	struct conn *conn_at[TALK_CONNECTIONS];
	uint64_t checked[TALK_STREAMS];
	struct options options;

	/* sessiond-lite */
	bool hold;
	int refuse;
	unsigned sources, streams;

	/* the worker */
	bool worker_holds;
	uint64_t taken[TALK_SOURCES];  /* position in each ring: orders known here */
	uint64_t behind[TALK_SOURCES]; /* bytes of orders that were never put, but count as such */
	struct talk_ordered order[TALK_ORDERS];
	unsigned orders, applied;

	size_t bytes; /* that all clients sent so far */
};

void talk_lttng_start(struct talk_lttng_relay *r, const struct talk_mode *mode, unsigned minor);
void talk_lttng_stop(struct talk_lttng_relay *r);
struct talk_connection *talk_lttng_connect(struct talk_lttng_relay *r, const char *name);
/* The same name, another connection. */
void talk_lttng_reconnect(struct talk_lttng_relay *r, struct talk_connection *c);
const struct conversation_half *talk_lttng_half(struct talk_lttng_relay *r,
						const struct talk_connection *c);
void talk_lttng_control(struct talk_lttng_relay *r, const struct talk_connection *c,
			struct lttng_control *ret);
void talk_lttng_settle(struct talk_lttng_relay *r);
void talk_lttng_advance(struct talk_lttng_relay *r, uint64_t ms);
void talk_lttng_close(struct talk_lttng_relay *r, struct talk_connection *c,
		      enum close_reason reason);
/* As if so many bytes of orders waited in the first source's ring. */
void talk_lttng_fall_behind(struct talk_lttng_relay *r, uint32_t bytes);
/* All that waits is applied. */
void talk_lttng_apply(struct talk_lttng_relay *r);

#endif
