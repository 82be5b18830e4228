/* SPDX-License-Identifier: MIT */
/*
 * lttng_control.h - the server's half of an LTTng control conversation.
 *
 * Pure, as trace_cmd.h: bytes, a clock reading and answers from memory go in; bytes taken, a reply
 * and an order for the worker come out. All it remembers is the plain bytes of struct
 * lttng_control, which lie in the conversation's half in the state memory.
 *
 *   NEW --VERSION--> READY --CREATE_SESSION--> SESSION --(snapshot done)--> LEAVING --> ENDED
 *   any --the peer's mistake--> LEAVING (a reply is on its way) or ENDED
 *
 * Invariants: a step that returns LTTNG_WAIT has changed nothing; every other takes at most one
 *         message, or one piece of a long one (metadata, rotations), makes at most one reply and
 *         at most one order. No reply waits for the disk. Where a piece of a message ends depends
 *         on the message alone: taken again after a kill, it is the same, and so is its order.
 * Thread: any; it works on its arguments only. relayd: the front loop.
 * Units:  bytes; milliseconds of CLOCK_MONOTONIC.
 * Source: doc/protocol.md "LTTng: control". Tests: tests/unit/lttng_control.c, fuzz_lttng.c.
 */
#ifndef TRACERELAY_RELAYD_LTTNG_CONTROL_H
#define TRACERELAY_RELAYD_LTTNG_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/counters.h"
#include "common/state.h"
#include "relayd/lttng_message.h"

enum lttng_state {
	LTTNG_NEW = 0, /* zeroed memory: VERSION is due */
	LTTNG_READY,   /* CREATE_SESSION is due */
	LTTNG_SESSION,
	LTTNG_LEAVING, /* a last reply is on its way */
	LTTNG_ENDED,
};

/* All that is remembered between steps. Zeroed memory is a new conversation. */
struct lttng_control {
	uint32_t state; /* enum lttng_state */
	uint32_t minor;
	uint32_t source; /* 1 + index of its slot */
	uint32_t snapshot;
	uint64_t source_id;
	uint32_t streams, streams_closed; /* that it added and closed */
	uint32_t chunk_closed;            /* CLOSE_TRACE_CHUNK came last */
	uint32_t rotated;                 /* chunks that it archived */
	uint32_t leaving;                 /* 1 + enum close_reason */
	uint32_t chunks;                  /* that it created; with ids from first to last */
	uint64_t chunk_first, chunk_last;
	/* The long message that is being taken, 0: none. */
	uint32_t command;
	uint32_t padding;   /* metadata: behind the packet */
	uint32_t has_chunk; /* rotation */
	uint64_t left;      /* bytes */
	uint64_t stream;    /* metadata: handle */
	uint64_t chunk_id;  /* rotation */
	int64_t since_ms;   /* our last reply */
};
_Static_assert(sizeof(struct lttng_control) <= STATE_DIALECT,
	       "struct lttng_control lies in a half");

struct lttng_limits {
	uint32_t minor; /* announced */
	bool allow_clear;
	uint64_t message_max;
	int64_t handshake_timeout_ms, stall_timeout_ms; /* 0: none */
	int64_t max_stall_ms; /* an order that has waited so long for room waits no longer; 0: none
			       */
	uint64_t metadata_wait; /* bytes; at most LTTNG_ORDERS_SHARE */
};

/* Index records may fill half of the ring of orders; the other half is metadata's, and what else is
 * never dropped. */
#define LTTNG_ORDERS_SHARE  (CTF_RING / 2)
#define LTTNG_ROOM_AGAIN_MS 200 /* a wait for room looks again: nobody tells of memory */

/* What is true now, answered from memory; every call may come again. */
struct lttng_view {
	/* Whether the handle is a stream of this conversation's source, and which slot it is in. */
	bool (*stream)(void *ctx, uint64_t handle, struct state_ref *ret, bool *ret_metadata);
	/* Whether a stream of that handle may have been, and has been retired. */
	bool (*gone)(void *ctx, uint64_t handle);
	/* DATA_PENDING: the stream is stored up to that packet, index included where there is one;
	 * the stream counts as checked. */
	bool (*stored)(void *ctx, uint64_t handle, uint64_t last_seq);
	void (*check)(void *ctx, uint64_t handle); /* QUIESCENT: it counts as checked */
	void (*check_none)(void *ctx);             /* BEGIN: none is checked any more */
	bool (*in_flight)(
		void *ctx); /* END: orders wait, or an unchecked stream misses something */
	bool (*chunk_exists)(void *ctx, uint64_t id);
	/* Paths for replies, below output.dir; "" if they do not fit. */
	void (*session_path)(void *ctx, const struct lttng_session *session, char *buf, size_t cap);
	void (*close_path)(void *ctx, const struct lttng_close_chunk *close, bool rotated,
			   char *buf, size_t cap);
};

enum lttng_grant { LTTNG_GRANT_NONE = 0, LTTNG_GRANT_READY, LTTNG_GRANT_REFUSED };

struct lttng_input {
	const uint8_t *bytes; /* everything received and not taken yet, in one piece */
	size_t len;
	uint32_t eof; /* nothing comes behind these bytes: 0, or 1 + enum close_reason (1: EOF) */
	bool sending; /* the last reply is not sent: nothing else is done */
	bool empty;   /* the socket was found empty at now_ms; only then is silence believed */
	int64_t now_ms, last_byte_ms;
	size_t room; /* bytes that an order may have, its header included */
	bool late;   /* there was none for so long that the disk must be stuck */
	/* The answer to what the last step waited for. */
	enum lttng_grant grant;
	struct state_ref granted;  /* READY: the source, or the stream */
	enum close_reason refusal; /* REFUSED: why */
	const struct lttng_view *view;
	void *view_ctx;
	const struct lttng_limits *limits;
};

enum lttng_action { LTTNG_WAIT, LTTNG_STEP, LTTNG_END };

enum lttng_wait {
	LTTNG_WAIT_BYTES,
	LTTNG_WAIT_SOURCE, /* out->session says which */
	LTTNG_WAIT_STREAM, /* out->stream says which */
	LTTNG_WAIT_ROOM,   /* for an order */
	LTTNG_WAIT_SENT,
};

struct lttng_output {
	uint8_t *reply; /* in: STATE_REPLY bytes; untouched if in->sending */
	/* All below is the step's answer, zeroed at its beginning. */
	enum lttng_action action;
	size_t consumed, reply_len;
	struct ctf_order order; /* type 0: none */
	const uint8_t *payload; /* of it: inside in->bytes, or in text */
	enum lttng_wait wait;
	int64_t deadline_ms; /* WAIT: look again then; 0: never */
	struct lttng_session session;
	struct lttng_stream stream;
	char text[CTF_NAME];
	struct state_ref
		dropped;      /* the stream whose index is dropped for want of room; id 0: none */
	uint64_t dropped_seq; /* which: its net_seq_num */
	enum close_reason reason; /* END */
	bool orderly;             /* END: not inside a message */
};

/*
 * Do the next thing. Call it again until it returns LTTNG_WAIT or LTTNG_END (asserted: not behind
 * the latter).
 */
enum lttng_action lttng_control_step(struct lttng_control *s, const struct lttng_input *in,
				     struct lttng_output *out);

#endif
