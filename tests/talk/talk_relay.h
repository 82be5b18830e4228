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

/* How a replay cuts, and kills. */
struct talk_mode {
	const char *name;
	size_t piece;       /* bytes of a receive, a send; 0: all there are */
	uint64_t seed;      /* other than 0: pieces of random lengths, sends that find no room */
	bool merged;        /* what the client sends in a row is there before the relay looks */
	bool torn;          /* killed and resumed between all calls */
	unsigned kill_at;   /* killed once, at that instant (1, 2, ...); 0: not */
	unsigned kill_1_in; /* killed at random, once in so many instants; 0: not */
};

struct talk_relay {
	const struct talk_mode *mode;
	struct trace_cmd_limits limits;
	int64_t now_ms;
	uint64_t random;

	/* state memory */
	struct conversation_slot *slot;

	/* the connection, as the kernel has it */
	uint8_t *to_relay; /* all that the client sent */
	size_t to_relay_len, to_relay_taken;
	bool client_ended, client_reset, client_deaf;
	uint8_t *to_client;                   /* all that the relay sent */
	size_t to_client_len, to_client_seen; /* seen: by the script */
	unsigned writes;                      /* since the script looked */

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

	unsigned instants, kills; /* seen so far; suffered */
};

void talk_relay_start(struct talk_relay *r, const struct talk_mode *mode);
void talk_relay_stop(struct talk_relay *r);
void talk_relay_connect(struct talk_relay *r); /* a new connection; what was is forgotten */

void talk_relay_client_sends(struct talk_relay *r, const uint8_t *bytes, size_t len);

/* Take turns until nothing moves any more. */
void talk_relay_settle(struct talk_relay *r);
/* Let time pass, with a turn at each deadline. */
void talk_relay_advance(struct talk_relay *r, uint64_t ms);
void talk_relay_close(struct talk_relay *r, enum close_reason reason, bool reset);

/* Provided by talk.c: says what is wrong and where, and ends the program. */
__attribute__((noreturn, format(printf, 1, 2))) void talk_fail(const char *fmt, ...);

#endif
