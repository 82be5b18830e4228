/* SPDX-License-Identifier: MIT */
/*
 * live_viewer.h - the protocol half of one live viewer's connection: requests in, replies out.
 *
 *   HELLO --CONNECT--> CONNECTED --CREATE_SESSION--> SESSION
 *
 * It holds nothing between calls but struct live_viewer (in the conversation's half) and its
 * viewer_slot (common/state_viewer.h), and asks struct live_facts for everything about sessions,
 * streams and files. A request that is taken again after a kill has the same effect.
 * Rules:  a viewer sees streams of sessions it is attached to, nothing else. Every reply begins
 *         with where the viewer's own cursors are; several viewers know nothing of each other.
 * Thread: relayd's live thread. No I/O but what the facts do.
 * Source: doc/protocol.md "LTTng live". Tests: tests/unit/live_viewer.c, tests/fuzz/fuzz_live.c.
 */
#ifndef TRACERELAY_RELAYD_LIVE_VIEWER_H
#define TRACERELAY_RELAYD_LIVE_VIEWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/counters.h"
#include "common/state.h"
#include "relayd/live_message.h"

enum live_viewer_state { LIVE_VIEWER_HELLO = 0, LIVE_VIEWER_CONNECTED, LIVE_VIEWER_SESSION };

/* conversation_half.dialect of a viewer. */
struct live_viewer {
	uint32_t state; /* enum live_viewer_state */
	uint32_t minor;
	uint32_t cursors, attachments; /* entries of the slot that were ever used */
	/* What the last request changed; live_viewer_apply() puts it there. 1 + index of a
	 * cursor, or VIEWER_CURSORS + 1 + index of an attachment, 0: nothing. */
	uint32_t change;
	uint32_t unused;
	union {
		struct viewer_cursor cursor;
		struct viewer_attachment attachment;
	} value;
};
_Static_assert(sizeof(struct live_viewer) <= STATE_DIALECT, "no room for it");

struct live_session {
	struct live_session_entry entry; /* streams: those that are published and there */
	uint64_t published;              /* streams with a lower number are */
	bool over; /* its client is gone: published streams are all it will ever have */
};

struct live_stream {
	struct live_stream_entry entry;
	uint32_t index;  /* of its slot */
	uint32_t number; /* among its session's; never comes again */
};

/* Published streams that a viewer has not been told of. */
struct live_untold {
	bool ready; /* one of them has a packet and its metadata, or is over: it is to be told */
	uint64_t until; /* the others have no event before this time; UINT64_MAX: there are none */
};

enum live_next {
	LIVE_NEXT_RECORD,  /* and the cursor stands behind it */
	LIVE_NEXT_NOTHING, /* not yet */
	LIVE_NEXT_BEACON,  /* nothing happened until ts_end of the record */
	LIVE_NEXT_OVER,    /* nothing will come */
	LIVE_NEXT_ERROR,
};

/* What the machine asks. @i: index of the cursor in the viewer's slot. */
struct live_facts {
	/* Sessions that can be listed: the next at *at or behind, and *at moves behind it. */
	bool (*next_session)(void *ctx, uint32_t *at, struct live_session *ret);
	/* False: there is no such session (any more). */
	bool (*session)(void *ctx, uint64_t handle, struct live_session *ret);
	/* The next stream of a session; false: none (yet). */
	bool (*next_stream)(void *ctx, uint64_t session, struct stream_walk *walk,
			    struct live_stream *ret);
	/* Of all streams behind `told`. */
	void (*untold)(void *ctx, uint64_t session, const struct stream_walk *told,
		       struct live_untold *ret);
	/* The same as next_stream() for one by its handle; false: it is gone. */
	bool (*stream)(void *ctx, uint64_t handle, struct live_stream *ret);
	/* Put a new cursor where it begins. @now: behind what is stored. */
	void (*start)(void *ctx, struct viewer_cursor *c, bool now);
	enum live_next (*next)(void *ctx, uint32_t i, struct viewer_cursor *c,
			       struct live_record *ret);
	/* Bytes of the file that the last record came from: len, or negative errno. */
	int (*packet)(void *ctx, uint32_t i, const struct viewer_cursor *c, uint64_t offset,
		      uint32_t len, uint8_t *to);
	/* Whole packets of metadata that come next, and the cursor behind them: bytes, 0: none;
	 * negative errno. `to` NULL: only whether there are any. *ret_over: nothing will come. */
	int (*metadata)(void *ctx, uint32_t i, struct viewer_cursor *c, uint8_t *to, uint32_t max,
			bool *ret_over);
	/* Memory for a reply of so many bytes: 0 or -ENOMEM. */
	int (*room)(void *ctx, size_t len);
};

struct live_viewer_input {
	const uint8_t *bytes; /* all unread ones */
	size_t len;
	uint64_t position; /* of bytes[0] in the connection */
	uint64_t id;       /* of the conversation */
	bool eof;
	const struct live_facts *facts;
	void *ctx;
};

enum live_viewer_action {
	LIVE_VIEWER_WAIT,  /* nothing has changed */
	LIVE_VIEWER_REPLY, /* a request is answered: reply_len bytes in the slot */
	LIVE_VIEWER_END,
};

struct live_viewer_output {
	enum live_viewer_action action;
	size_t consumed;
	size_t reply_len;
	enum close_reason reason; /* END */
};

/* One request, if it is whole. Only when all of the last reply is sent, and its change applied. */
void live_viewer_step(struct live_viewer *s, struct viewer_slot *v,
		      const struct live_viewer_input *in, struct live_viewer_output *out);

/* Behind the commit of a step, and before the next one. May be repeated. */
void live_viewer_apply(const struct live_viewer *s, struct viewer_slot *v);

/* Is the viewer attached to this session? @consumed: ring position up to which it is understood. */
bool live_viewer_attached(const struct live_viewer *s, const struct viewer_slot *v,
			  uint64_t consumed, uint64_t session);

/* The same, and it has not been told that the session and all its streams are over. */
bool live_viewer_needs(const struct live_viewer *s, const struct viewer_slot *v, uint64_t consumed,
		       uint64_t session);

#endif
