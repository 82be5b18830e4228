/* SPDX-License-Identifier: MIT */
/*
 * lttng_feed.h - an LTTng control conversation with fake answers, and what came of it.
 *
 * Life: a value of the test's, from feed_start(). Streams get the slots 0, 1, ... in the order of
 * their ADD_STREAM. What may differ by how bytes come in is not in the transcript: feeding them
 * whole, in pieces, or with steps repeated as after a kill gives the same bytes there.
 */
#ifndef TRACERELAY_TESTS_UNIT_LTTNG_FEED_H
#define TRACERELAY_TESTS_UNIT_LTTNG_FEED_H

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/wire.h"
#include "relayd/lttng_control.h"

#define FEED_STREAMS 16u
#define FEED_SOURCE  7u
#define FEED_ID      100u /* id of slot 0 */

/* Holds in the daemon and with NDEBUG alike: a broken invariant kills the test. */
#define FEED_NEED(x)                                                                      \
	do {                                                                              \
		if (!(x)) {                                                               \
			fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #x); \
			abort();                                                          \
		}                                                                         \
	} while (0)

struct feed {
	struct lttng_control s;
	struct lttng_limits limits;
	uint8_t in[1 << 18];
	size_t in_len, taken, arrived;
	uint32_t eof;
	int64_t now_ms;
	size_t room;            /* of each step */
	bool late;              /* likewise */
	bool refuse, no_answer; /* what sessiond-lite says */
	/* answers */
	uint32_t streams, metadata; /* bit i: stream i is metadata */
	bool stored, in_flight, exists, no_path;
	uint32_t checked, cleared;
	uint64_t gone; /* the handle of a stream that was */
	bool closing_rotated;
	/* what came of it */
	uint8_t out[1 << 18]; /* replies */
	size_t out_len;
	struct ctf_order orders[512];
	unsigned order_count;
	uint8_t payload[1 << 18];
	size_t payload_len;
	struct lttng_session session;
	struct lttng_stream stream;
	enum lttng_wait wait;
	int64_t deadline_ms;
	bool ended, orderly;
	enum close_reason reason;
	unsigned steps;
};

/* The 32 bits that stand there in the replies. */
static inline uint32_t feed_code_at(const struct feed *f, size_t at)
{
	FEED_NEED(at + 4 <= f->out_len);
	return (uint32_t)f->out[at] << 24 | (uint32_t)f->out[at + 1] << 16 |
	       (uint32_t)f->out[at + 2] << 8 | f->out[at + 3];
}

static inline bool feed_stream(void *ctx, uint64_t handle, struct state_ref *ret,
			       bool *ret_metadata)
{
	struct feed *f = ctx;
	uint32_t index = ctf_handle_index(handle);

	if (index >= f->streams || ctf_handle_id(handle) != FEED_ID + index)
		return false;
	*ret = (struct state_ref){.index = index, .id = FEED_ID + index};
	*ret_metadata = f->metadata >> index & 1;
	return true;
}
static inline bool feed_gone(void *ctx, uint64_t handle)
{
	return handle == ((struct feed *)ctx)->gone && handle;
}
static inline bool feed_stored(void *ctx, uint64_t handle, uint64_t last)
{
	struct feed *f = ctx;

	f->checked |= 1u << ctf_handle_index(handle);
	return f->stored || last == CTF_NONE;
}
static inline void feed_check(void *ctx, uint64_t handle)
{
	((struct feed *)ctx)->checked |= 1u << ctf_handle_index(handle);
}
static inline void feed_check_none(void *ctx)
{
	((struct feed *)ctx)->checked = 0;
	((struct feed *)ctx)->cleared = 1;
}
static inline bool feed_in_flight(void *ctx)
{
	return ((struct feed *)ctx)->in_flight;
}
static inline bool feed_exists(void *ctx, uint64_t id)
{
	(void)id;
	return ((struct feed *)ctx)->exists;
}
static inline void feed_session_path(void *ctx, const struct lttng_session *session, char *buf,
				     size_t cap)
{
	if (!((struct feed *)ctx)->no_path)
		snprintf(buf, cap, "%s/%s-20261121-014843", session->host, session->name);
}
static inline void feed_close_path(void *ctx, const struct lttng_close_chunk *close, bool rotated,
				   char *buf, size_t cap)
{
	struct feed *f = ctx;

	f->closing_rotated = rotated;
	if (!f->no_path)
		snprintf(buf, cap, "chunk-%llu", (unsigned long long)close->id);
}

static const struct lttng_view feed_view = {
	.stream = feed_stream,
	.gone = feed_gone,
	.stored = feed_stored,
	.check = feed_check,
	.check_none = feed_check_none,
	.in_flight = feed_in_flight,
	.chunk_exists = feed_exists,
	.session_path = feed_session_path,
	.close_path = feed_close_path,
};

static inline void feed_start(struct feed *f, uint32_t minor)
{
	memset(f, 0, sizeof(*f));
	f->limits = (struct lttng_limits){
		.minor = minor,
		.allow_clear = true,
		.message_max = 1 << 20,
		.handshake_timeout_ms = 10000,
		.stall_timeout_ms = 60000,
		.metadata_wait = LTTNG_ORDERS_SHARE,
	};
	f->now_ms = 1000000;
	f->room = CTF_RING;
}

/* In the middle of a session, with that many streams; the last is metadata. */
static inline void feed_open(struct feed *f, uint32_t minor, uint32_t streams)
{
	feed_start(f, minor);
	f->s.state = LTTNG_SESSION;
	f->s.minor = minor;
	f->s.source = 1 + FEED_SOURCE;
	f->s.source_id = 1;
	f->s.streams = f->streams = streams;
	f->s.chunks = minor >= 11; /* chunk 0 */
	f->metadata = streams ? 1u << (streams - 1) : 0;
}

static inline uint64_t feed_handle(uint32_t index)
{
	return ctf_handle(index, FEED_ID + index);
}

static inline void feed_input(const struct feed *f, struct lttng_input *in)
{
	*in = (struct lttng_input){
		.bytes = f->in + f->taken,
		.len = f->arrived - f->taken,
		.eof = f->arrived == f->in_len ? f->eof : 0,
		.empty = true,
		.now_ms = f->now_ms,
		.last_byte_ms = 1000000,
		.room = f->room,
		.late = f->late,
		.view = &feed_view,
		.view_ctx = (void *)(uintptr_t)f,
		.limits = &f->limits,
	};
	if (in->len > STATE_RING)
		in->len = STATE_RING;
}

/* One step, committed or not. What comes of it is left in out and s. */
static inline enum lttng_action feed_try(struct feed *f, struct lttng_control *s,
					 struct lttng_output *out, uint8_t reply[STATE_REPLY])
{
	struct lttng_control before = *s;
	struct lttng_input in;
	enum lttng_action action;

	feed_input(f, &in);
	*out = (struct lttng_output){.reply = reply};
	action = lttng_control_step(s, &in, out);
	if (action == LTTNG_WAIT && !f->no_answer &&
	    (out->wait == LTTNG_WAIT_SOURCE || out->wait == LTTNG_WAIT_STREAM)) {
		FEED_NEED(!memcmp(&before, s, sizeof(before)));
		in.grant = f->refuse ? LTTNG_GRANT_REFUSED : LTTNG_GRANT_READY;
		in.refusal = f->refuse ? CLOSE_no_memory : CLOSE_streams_limit;
		in.granted = (struct state_ref){.index = FEED_SOURCE, .id = 1};
		if (out->wait == LTTNG_WAIT_STREAM) {
			in.granted.index = f->streams;
			in.granted.id = FEED_ID + f->streams;
			if (f->streams == FEED_STREAMS)
				in.grant = LTTNG_GRANT_REFUSED;
		}
		action = lttng_control_step(s, &in, out);
	}
	FEED_NEED(action == out->action);
	FEED_NEED(out->consumed <= in.len && out->reply_len <= STATE_REPLY);
	if (action == LTTNG_WAIT) {
		FEED_NEED(!memcmp(&before, s, sizeof(before)));
		FEED_NEED(!out->consumed && !out->reply_len && !out->order.type);
	} else if (action == LTTNG_STEP) { /* it comes to an end */
		FEED_NEED(out->consumed || memcmp(&before, s, sizeof(before)));
	}
	if (out->order.type) {
		FEED_NEED(ctf_order_size(out->order.bytes) <= f->room);
		FEED_NEED(out->order.bytes <= CTF_PIECE);
		FEED_NEED(out->order.stream <= f->streams + 1);
		if (out->order.bytes && (char *)out->payload != out->text)
			FEED_NEED(out->payload >= in.bytes &&
				  out->payload + out->order.bytes <= in.bytes + in.len);
	}
	return action;
}

static inline void feed_take(struct feed *f, const struct lttng_control *s,
			     const struct lttng_output *out)
{
	const struct ctf_order *o = &out->order;

	f->s = *s;
	f->taken += out->consumed;
	f->steps++;
	if (o->type == CTF_ORDER_STREAM) {
		f->metadata |= (uint32_t)!strcmp(out->stream.name, "metadata") << f->streams;
		f->streams++;
		f->stream = out->stream;
	}
	if (s->state == LTTNG_SESSION && *out->session.name)
		f->session = out->session;
	if (o->type) {
		FEED_NEED(f->order_count < sizeof(f->orders) / sizeof(f->orders[0]));
		f->orders[f->order_count++] = *o;
		FEED_NEED(o->bytes <= sizeof(f->payload) - f->payload_len);
		if (o->bytes)
			memcpy(f->payload + f->payload_len, out->payload, o->bytes);
		f->payload_len += o->bytes;
	}
	FEED_NEED(out->reply_len <= sizeof(f->out) - f->out_len);
	memcpy(f->out + f->out_len, out->reply, out->reply_len);
	f->out_len += out->reply_len;
	if (out->action == LTTNG_END) {
		f->ended = true;
		f->orderly = out->orderly;
		f->reason = out->reason;
	}
}

/* All that can be done with the first `arrived` bytes. */
static inline void feed_run(struct feed *f, size_t arrived)
{
	uint8_t reply[STATE_REPLY];
	struct lttng_output out;
	struct lttng_control s;

	f->arrived = arrived;
	while (!f->ended) {
		s = f->s;
		if (feed_try(f, &s, &out, reply) == LTTNG_WAIT) {
			f->wait = out.wait;
			f->deadline_ms = out.deadline_ms;
			if (*out.session.name)
				f->session = out.session;
			return;
		}
		feed_take(f, &s, &out);
		FEED_NEED(f->steps < 100000);
	}
}

static inline void feed_whole(struct feed *f)
{
	feed_run(f, f->in_len);
}

static inline void feed_bytewise(struct feed *f)
{
	for (size_t n = 0; n <= f->in_len && !f->ended; n++)
		feed_run(f, n);
}

/* ---- what a client sends ---- */

static inline struct wire_writer feed_body(struct feed *f)
{
	return wire_writer_init(f->in + f->in_len + LTTNG_HEADER_SIZE,
				sizeof(f->in) - f->in_len - LTTNG_HEADER_SIZE);
}

/* The header in front of a body that feed_body() was filled with. */
static inline void feed_message(struct feed *f, uint32_t command, const struct wire_writer *body)
{
	struct wire_writer w = wire_writer_init(f->in + f->in_len, LTTNG_HEADER_SIZE);

	FEED_NEED(!body->err);
	wire_put_u64(&w, 0);
	wire_put_u64(&w, body->len);
	wire_put_u32(&w, command);
	wire_put_u32(&w, 0);
	f->in_len += LTTNG_HEADER_SIZE + body->len;
}

static inline void feed_numbers(struct feed *f, uint32_t command, unsigned n, uint64_t a,
				uint64_t b)
{
	struct wire_writer w = feed_body(f);

	if (n > 0)
		wire_put_u64(&w, a);
	if (n > 1)
		wire_put_u64(&w, b);
	feed_message(f, command, &w);
}

static inline void feed_version(struct feed *f, uint32_t major, uint32_t minor)
{
	struct wire_writer w = feed_body(f);

	wire_put_u32(&w, major);
	wire_put_u32(&w, minor);
	feed_message(f, LTTNG_VERSION, &w);
}

/* A text in a field of n bytes with garbage behind its NUL. */
static inline void feed_field(struct wire_writer *w, const char *text, size_t n)
{
	wire_put_str(w, text);
	for (size_t i = strlen(text) + 1; i < n; i++)
		wire_put_u8(w, 0xdf);
}

static inline void feed_create(struct feed *f, uint32_t minor, const char *name, const char *host,
			       const char *base, bool snapshot)
{
	struct wire_writer w = feed_body(f);

	if (minor >= 4 && minor <= 10) {
		feed_field(&w, name, 255);
		feed_field(&w, host, 64);
		wire_put_u32(&w, 0);
		wire_put_u32(&w, snapshot);
	} else if (minor >= 11) {
		wire_put_u32(&w, (uint32_t)strlen(name) + 1);
		wire_put_u32(&w, (uint32_t)strlen(host) + 1);
		wire_put_u32(&w, (uint32_t)strlen(base) + 1);
		wire_put_u32(&w, 0);
		wire_put_u8(&w, snapshot);
		wire_put_u8(&w, 0);
		for (int i = 0; i < 16; i++)
			wire_put_u8(&w, 0xd8);
		wire_put_u64(&w, 3);
		wire_put_u64(&w, 0x6b00f87b);
		wire_put_u8(&w, 0);
		wire_put_u64(&w, 0);
		if (minor >= 15)
			wire_put_u32(&w, 1);
		wire_put_str(&w, name);
		wire_put_str(&w, host);
		wire_put_str(&w, base);
	}
	feed_message(f, LTTNG_CREATE_SESSION, &w);
}

static inline void feed_add(struct feed *f, uint32_t minor, const char *name, const char *path)
{
	struct wire_writer w = feed_body(f);

	if (minor >= 11) {
		wire_put_u32(&w, (uint32_t)strlen(name) + 1);
		wire_put_u32(&w, (uint32_t)strlen(path) + 1);
		wire_put_u64(&w, 0);
		wire_put_u64(&w, 0);
		wire_put_u64(&w, 0);
		wire_put_str(&w, name);
		wire_put_str(&w, path);
	} else {
		feed_field(&w, name, 264);
		feed_field(&w, path, 4096);
		if (minor >= 2) {
			wire_put_u64(&w, 0);
			wire_put_u64(&w, 0);
		}
	}
	feed_message(f, LTTNG_ADD_STREAM, &w);
}

static inline void feed_metadata(struct feed *f, uint64_t handle, uint32_t n, uint32_t padding)
{
	struct wire_writer w = feed_body(f);

	wire_put_u64(&w, handle);
	wire_put_u32(&w, padding);
	for (uint32_t i = 0; i < n; i++)
		wire_put_u8(&w, (uint8_t)(i * 7 + i / 256));
	feed_message(f, LTTNG_SEND_METADATA, &w);
}

static inline void feed_index(struct feed *f, uint32_t minor, uint64_t handle, uint64_t seq,
			      uint64_t packet_size)
{
	struct wire_writer w = feed_body(f);

	wire_put_u64(&w, handle);
	wire_put_u64(&w, seq);
	wire_put_u64(&w, packet_size);
	for (int i = 0; i < (minor >= 8 ? 7 : 5); i++)
		wire_put_u64(&w, (uint64_t)i);
	feed_message(f, LTTNG_SEND_INDEX, &w);
}

/* To chunk 1 at packet 5, all of the first `streams`. */
static inline void feed_rotate(struct feed *f, uint32_t streams, unsigned padding)
{
	struct wire_writer w = feed_body(f);

	wire_put_u32(&w, streams);
	wire_put_u8(&w, 1);
	for (unsigned i = 0; i < padding; i++)
		wire_put_u8(&w, 0xdf);
	wire_put_u64(&w, 1);
	for (uint32_t i = 0; i < streams; i++) {
		wire_put_u64(&w, feed_handle(i));
		wire_put_u64(&w, 5);
	}
	feed_message(f, LTTNG_ROTATE_STREAMS, &w);
}

static inline void feed_chunk(struct feed *f, uint64_t id, const char *name)
{
	struct wire_writer w = feed_body(f);

	wire_put_u64(&w, id);
	wire_put_u64(&w, 0x6b00f87b);
	wire_put_u32(&w, *name ? (uint32_t)strlen(name) + 1 : 0);
	if (*name)
		wire_put_str(&w, name);
	feed_message(f, LTTNG_CREATE_CHUNK, &w);
}

static inline void feed_close_chunk(struct feed *f, uint64_t id, bool set, uint32_t command)
{
	struct wire_writer w = feed_body(f);

	wire_put_u64(&w, id);
	wire_put_u64(&w, 0x6b00f8a5);
	wire_put_u8(&w, set);
	wire_put_u32(&w, command);
	feed_message(f, LTTNG_CLOSE_CHUNK, &w);
}

#endif
