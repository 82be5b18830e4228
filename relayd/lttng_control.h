/* SPDX-License-Identifier: MIT */
/*
 * lttng_control.h - the server's half of an LTTng control conversation, for minors 1 to 15.
 *
 * Pure, as trace_cmd.h is: bytes, a clock reading and answers from memory go in; bytes taken, a
 * reply, an order to the worker and one action come out.
 *
 *   VERSION --VERSION--> CREATE --CREATE_SESSION, source ready--> OPEN <--> METADATA, ROTATE
 *                        CREATE --refused by sessiond-lite------> CREATE
 *   any --a mistake that is answered--> LEAVING --sent--> ENDED
 *   OPEN --snapshot complete----------> LEAVING
 *   any --a mistake, end of file, silence--> ENDED
 *
 * METADATA and ROTATE are inside a long message: it is longer than the ring, and understood in
 * pieces whose borders depend on the message only, never on how it came.
 *
 * Invariants: a step that returns LTTNG_WAIT has changed nothing; every other step takes at most
 *         one message or one piece of one, makes at most one reply and one order; the same state
 *         and bytes give the same order again (a kill may have come between it and the commit),
 *         whatever the views say by then, but for a wait; after LTTNG_END no step follows.
 *         An order comes with consumed > 0, so the ring position behind it names it.
 * Thread: any; it works on its arguments only. relayd: the front loop.
 * Units:  bytes; milliseconds of CLOCK_MONOTONIC; times on the wire in seconds.
 * Source: doc/protocol.md "LTTng". Tests: tests/unit/lttng_control.c, lttng_message.c,
 * tests/fuzz/fuzz_lttng.c.
 */
#ifndef TRACERELAY_RELAYD_LTTNG_CONTROL_H
#define TRACERELAY_RELAYD_LTTNG_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/counters.h"
#include "common/ctf_place.h"
#include "common/state.h"

#define LTTNG_MINOR_MAX 15u

enum lttng_state {
	LTTNG_VERSION = 0, /* zeroed memory: the client speaks first */
	LTTNG_CREATE,      /* version known, no session */
	LTTNG_OPEN,        /* silence is legal for ever */
	LTTNG_METADATA,    /* inside SEND_METADATA */
	LTTNG_ROTATE,      /* inside ROTATE_STREAMS */
	LTTNG_LEAVING,     /* a last reply is on its way */
	LTTNG_ENDED,
	LTTNG_STATE_COUNT
};

/* All that is remembered between steps. Zeroed memory is a new conversation. */
struct lttng_control {
	uint32_t state; /* enum lttng_state */
	uint32_t minor; /* the lower of both sides'; 0: not known yet */
	uint32_t snapshot;
	uint32_t leaving; /* LEAVING: 1 + enum close_reason */
	uint32_t leaving_orderly;
	uint32_t left; /* METADATA: bytes, ROTATE: entries of the message that were not taken yet */
	uint32_t padding;  /* METADATA: zeros behind the packet */
	uint32_t to_chunk; /* ROTATE: `chunk` is set */
	uint64_t stream;   /* METADATA: handle */
	uint64_t chunk;    /* ROTATE: id */
	uint64_t session;  /* from OPEN on: the client's name for it, ctf_handle() of the source */
	uint32_t streams_added;
	uint32_t streams_closed;
	uint32_t chunks_closed;
	uint32_t last_command; /* number of the message taken last; for status and logs */
	int64_t since_ms;      /* our last reply: silence before it was not the peer's */
};
_Static_assert(sizeof(struct lttng_control) <= STATE_DIALECT,
	       "struct lttng_control lies in a half");

/* From the options; a timeout of 0 is none. */
struct lttng_limits {
	uint32_t minor; /* announced, 1 to LTTNG_MINOR_MAX */
	bool allow_clear;
	enum ctf_group group;
	uint64_t message_max;         /* bytes behind a header; of padding too */
	int64_t handshake_timeout_ms; /* silence before there is a session */
	int64_t metadata_timeout_ms;  /* silence inside SEND_METADATA */
	int64_t stall_timeout_ms;     /* silence inside a message that has begun; silence that ends
					 a snapshot of minor <= 10 whose streams are all closed */
};

/* ---- answers from memory: none of these waits, or does I/O ---- */

/* What a handle names. All but the first three may be stale by the time it is looked at. */
struct lttng_stream_view {
	bool found;
	bool mine;                 /* of the conversation's source */
	bool by_this_conversation; /* ADD_STREAM came here */
	bool metadata;             /* it is the metadata of its path */
	bool any_data, any_index;  /* data_seq, index_seq are valid */
	bool closed;
	uint64_t data_seq, index_seq, last_seq;
};

/* The source's side. `mine` views only, so called from OPEN on; ctx is in->view_ctx. */
struct lttng_view {
	void (*stream)(void *ctx, uint64_t handle, struct lttng_stream_view *ret);
	/* Orders up to its CLOSE_CHUNK are not applied, or it is still in the source's table. */
	bool (*chunk_exists)(void *ctx, uint64_t id);
	/* Not all orders of the source are applied. */
	bool (*orders_pending)(void *ctx);
	/*
	 * What to tell the client (below output.dir): where its session lies (minors 11 and up,
	 * asked once the source is ready), and where a chunk will lie when it is closed. 0, or
	 * negative errno: the client is told "". ctf_place_closed() knows.
	 */
	int (*session_path)(void *ctx, char *buf, size_t cap);
	int (*close_path)(void *ctx, uint64_t id, int64_t close_time, enum ctf_close command,
			  char *buf, size_t cap);
	/* Marks on the source's streams, for END_DATA_PENDING; harmless to repeat. */
	void (*clear_checked)(void *ctx);
	void (*set_checked)(void *ctx, uint64_t handle);
	/* Some stream is unchecked and not closed with all its data and indexes stored. */
	bool (*unchecked_pending)(void *ctx);
};

/* ---- what is asked of sessiond-lite ---- */

/* CREATE_SESSION, checked. For struct ctf_source_slot. */
struct lttng_session {
	struct ctf_key key; /* zeros: minors <= 10 */
	uint32_t minor;
	uint32_t live_timer_us; /* 0: not live */
	bool snapshot;
	bool name_has_time;
	bool has_chunk; /* chunk is set: another consumer daemon of the session made it */
	uint64_t chunk;
	uint32_t trace_format;               /* 1: CTF 1.8; 2: CTF 2 (minor 15) */
	char name[CTF_NAME], host[CTF_NAME]; /* "": minors <= 3 */
	char base_path[CTF_PATH];
};

/* ADD_STREAM, checked. For struct ctf_stream_slot. */
struct lttng_stream {
	bool metadata;
	uint64_t tracefile_size, tracefile_count; /* 0: no limit */
	char name[CTF_NAME];
	char path[CTF_PATH];
};

enum lttng_answer { LTTNG_ANSWER_NONE = 0, LTTNG_ANSWER_READY, LTTNG_ANSWER_REFUSED };

struct lttng_input {
	const uint8_t *bytes; /* everything received and not taken yet, in one piece */
	size_t len;
	/* Nothing will come behind these bytes: 0, or 1 + enum close_reason, where 1 (CLOSE_none)
	 * is an ordinary end of file. */
	uint32_t eof;
	bool sending; /* the last reply is not sent: only the clock is looked at */
	bool empty;   /* the socket was found empty at now_ms; otherwise no silence is believed */
	int64_t now_ms;
	int64_t last_byte_ms; /* when the last byte came, or the connection */
	size_t room;          /* free bytes in the source's ring of orders; from OPEN on */
	/* The answer to a WAIT_SOURCE or WAIT_STREAM of the message at `bytes`. It is used up by
	 * the step that takes bytes: a refused client may try again, and that is another request.
	 */
	enum lttng_answer source, stream;
	enum close_reason refusal; /* of either, REFUSED */
	uint32_t source_index;     /* source READY: its slot */
	uint64_t source_id;
	uint32_t stream_index; /* stream READY: its slot */
	uint64_t stream_id;
	const struct lttng_view *view;
	void *view_ctx;
	const struct lttng_limits *limits;
};

enum lttng_action {
	LTTNG_WAIT, /* nothing can be done before `wait` comes */
	LTTNG_STEP, /* bytes were taken, a reply or an order made, or the state moved */
	LTTNG_END,  /* the conversation is over: reason, orderly */
};

enum lttng_wait {
	LTTNG_WAIT_BYTES,
	LTTNG_WAIT_SOURCE, /* session */
	LTTNG_WAIT_STREAM, /* stream */
	LTTNG_WAIT_ROOM,   /* for `room_needed` bytes of orders */
	LTTNG_WAIT_SENT,   /* the reply */
};

struct lttng_output {
	uint8_t *reply; /* in: STATE_REPLY bytes to write a reply into; untouched if in->sending */
	/* Down to `beacon` the step's answer, zeroed at its beginning. */
	enum lttng_action action;
	size_t consumed;  /* bytes taken, <= len */
	size_t reply_len; /* bytes to send in one write; 0: nothing */
	enum lttng_wait wait;
	size_t room_needed;       /* WAIT_ROOM */
	int64_t deadline_ms;      /* WAIT: when silence ends it; 0: never */
	struct ctf_order order;   /* type 0: none */
	const uint8_t *payload;   /* order.bytes of them, inside in->bytes */
	enum close_reason reason; /* END */
	bool orderly;             /* END: the client had finished */
	/* For counters. */
	uint32_t command;      /* the message whose last byte was taken, 0: none */
	size_t metadata_bytes; /* of packets, padding not counted */
	bool beacon;           /* the INDEX order is one */
	bool refused; /* CREATE_SESSION or ADD_STREAM was refused: in->refusal, or reason */
	/* Not zeroed. What is waited for; valid also in the step that has the answer, so that the
	 * slot can be filled then: before the order is put and the reply sent. */
	struct lttng_session session; /* WAIT_SOURCE */
	struct lttng_stream stream;   /* WAIT_STREAM */
};

/*
 * Do the next thing. Call it again until it returns LTTNG_WAIT or LTTNG_END (asserted: not behind
 * the latter).
 */
enum lttng_action lttng_control_step(struct lttng_control *s, const struct lttng_input *in,
				     struct lttng_output *out);

/* "open"; for status, logs and tests. */
const char *lttng_state_name(enum lttng_state state);

/* "ADD_STREAM"; "?" for a number that is none. */
const char *lttng_command_name(uint32_t command);

#endif
