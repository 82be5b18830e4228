/* SPDX-License-Identifier: MIT */
/*
 * talk_relay.h - everything around the engine of a conversation, simulated: the client's end of the
 * connection, the kernel that writes msg_len, sessiond-lite's leases, the worker's metadata, and
 * the shell that takes turns; with kills between any two writes.
 *
 * What would outlive relayd (kernel, sessiond-lite, state memory) outlives a kill here; everything
 * else is lost, and the state memory even moves to another address.
 *
 * Every difference from the rules (an effect repeated with other arguments, bytes lost or twice in
 * the ring, metadata out of place) goes to talk_fail(), which does not return.
 */
#ifndef TRACERELAY_TESTS_TALK_RELAY_H
#define TRACERELAY_TESTS_TALK_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relayd/conversation.h"
#include "tests/talk/talk_peer.h"

struct talk_relay {
	struct talk_fate fate;
	struct trace_cmd_limits limits;
	int64_t now_ms;

	/* state memory */
	struct conversation_slot *slot;

	struct talk_peer peer;

	/* sessiond-lite */
	struct conversation_lease asked;
	bool asked_once;
	int answer; /* as of lease_answer() */
	uint16_t ports[TRACE_CMD_CPUS_MAX];

	/* the source's worker */
	uint8_t *metadata;
	uint64_t metadata_len, metadata_cap, room;
	bool metadata_ended;

	/* the end of it */
	bool ended, orderly;
	enum close_reason reason;
	unsigned wants;
	int64_t deadline_ms;
	uint64_t counted[COUNTER_COUNT];
};

void talk_relay_start(struct talk_relay *r, const struct talk_mode *mode);
void talk_relay_stop(struct talk_relay *r);
void talk_relay_connect(struct talk_relay *r); /* a new connection; what was is forgotten */

/* Take turns until nothing moves any more. */
void talk_relay_settle(struct talk_relay *r);
/* Let time pass, with a turn at each deadline. */
void talk_relay_advance(struct talk_relay *r, uint64_t ms);
void talk_relay_close(struct talk_relay *r, enum close_reason reason, bool reset);

#endif
