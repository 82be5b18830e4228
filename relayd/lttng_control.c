/* SPDX-License-Identifier: MIT */
/*
 * lttng_control.c - one door from bytes to handlers: the table says what is legal where, and how
 * long it may be. The handlers are in lttng_session.c (who it is, streams) and lttng_stored.c (what
 * is stored, chunks); the messages that are longer than the ring are taken in pieces here.
 */
#include "relayd/lttng_handlers.h"

#include <assert.h>
#include <string.h>

/* ---- answers ---- */

enum lttng_action lttng_wait_for(struct lttng_output *out, enum lttng_wait wait)
{
	out->wait = wait;
	return out->action = LTTNG_WAIT;
}

enum lttng_action lttng_end(struct lttng_control *s, struct lttng_output *out,
			    enum close_reason reason, bool orderly)
{
	s->state = LTTNG_ENDED;
	out->reason = reason;
	out->orderly = orderly;
	return out->action = LTTNG_END;
}

enum lttng_action lttng_took(const struct lttng_step *t)
{
	t->out->consumed = t->size;
	return t->out->action = LTTNG_STEP;
}

struct wire_writer lttng_reply(const struct lttng_step *t)
{
	return wire_writer_init(t->out->reply, STATE_REPLY);
}

enum lttng_action lttng_answer(const struct lttng_step *t, const struct wire_writer *w)
{
	assert(!w->err);
	t->out->reply_len = w->len;
	return lttng_took(t);
}

enum lttng_action lttng_answer_code(const struct lttng_step *t, uint32_t code)
{
	struct wire_writer w = lttng_reply(t);

	lttng_code_encode(&w, code);
	return lttng_answer(t, &w);
}

enum lttng_action lttng_leave(const struct lttng_step *t, enum close_reason reason)
{
	t->s->state = LTTNG_LEAVING;
	t->s->leaving = 1 + reason;
	return t->out->action = LTTNG_STEP;
}

enum lttng_action lttng_refuse(const struct lttng_step *t, uint32_t code, enum close_reason reason)
{
	(void)lttng_answer_code(t, code);
	return lttng_leave(t, reason);
}

bool lttng_order_fits(const struct lttng_step *t, uint32_t bytes)
{
	return ctf_order_size(bytes) <= t->in->room;
}

enum lttng_action lttng_wait_for_room(const struct lttng_step *t)
{
	if (t->in->late)
		return lttng_end(t->s, t->out, CLOSE_metadata_wait, false);
	return lttng_wait_for(t->out, LTTNG_WAIT_ROOM);
}

struct ctf_order *lttng_order(const struct lttng_step *t, enum ctf_order_type type,
			      const struct state_ref *stream)
{
	struct ctf_order *o = &t->out->order;

	o->type = type;
	if (stream) {
		o->stream = 1 + stream->index;
		o->stream_id = stream->id;
	}
	return o;
}

bool lttng_own_stream(const struct lttng_step *t, uint64_t handle, struct state_ref *ret,
		      bool *ret_metadata)
{
	return t->in->view->stream(t->in->view_ctx, handle, ret, ret_metadata);
}

/* ---- the table ---- */

#define IN(state) (1u << (state))
#define ANY_SIZE  UINT32_MAX

static const struct command {
	unsigned states;
	uint32_t minor;              /* the first that has it */
	uint32_t body_min, body_max; /* bytes */
	lttng_handler handle;        /* NULL: taken in pieces */
} commands[LTTNG_COMMAND_COUNT] = {
	[LTTNG_VERSION] = {IN(LTTNG_NEW), 0, 8, 8, lttng_on_version},
	[LTTNG_GET_CONFIGURATION] = {IN(LTTNG_READY) | IN(LTTNG_SESSION), 12, 8, 8,
				     lttng_on_configuration},
	[LTTNG_CREATE_SESSION] = {IN(LTTNG_READY), 1, 0, 8192, lttng_on_create_session},
	[LTTNG_START_DATA] = {IN(LTTNG_READY) | IN(LTTNG_SESSION), 1, 0, 64, lttng_on_start_data},
	[LTTNG_ADD_STREAM] = {IN(LTTNG_SESSION), 1, 32, 8192, lttng_on_add_stream},
	[LTTNG_STREAMS_SENT] = {IN(LTTNG_SESSION), 4, 0, 0, lttng_on_streams_sent},
	[LTTNG_SEND_METADATA] = {IN(LTTNG_SESSION), 1, LTTNG_METADATA_HEAD, ANY_SIZE, NULL},
	[LTTNG_RESET_METADATA] = {IN(LTTNG_SESSION), 8, 16, 16, lttng_on_reset_metadata},
	[LTTNG_SEND_INDEX] = {IN(LTTNG_SESSION), 4, 64, 80, lttng_on_index},
	[LTTNG_CLOSE_STREAM] = {IN(LTTNG_SESSION), 1, 16, 16, lttng_on_close_stream},
	[LTTNG_DATA_PENDING] = {IN(LTTNG_SESSION), 1, 16, 16, lttng_on_data_pending},
	[LTTNG_QUIESCENT] = {IN(LTTNG_SESSION), 1, 8, 8, lttng_on_quiescent},
	[LTTNG_BEGIN_DATA_PENDING] = {IN(LTTNG_SESSION), 1, 8, 8, lttng_on_begin_data_pending},
	[LTTNG_END_DATA_PENDING] = {IN(LTTNG_SESSION), 1, 8, 8, lttng_on_end_data_pending},
	[LTTNG_CREATE_CHUNK] = {IN(LTTNG_SESSION), 11, 20, 20 + CTF_NAME, lttng_on_create_chunk},
	[LTTNG_CLOSE_CHUNK] = {IN(LTTNG_SESSION), 11, 21, 21, lttng_on_close_chunk},
	[LTTNG_CHUNK_EXISTS] = {IN(LTTNG_SESSION), 11, 8, 8, lttng_on_chunk_exists},
	[LTTNG_ROTATE_STREAMS] = {IN(LTTNG_SESSION), 11, 13, ANY_SIZE, NULL},
};

/* ---- messages in pieces ---- */

/* The next piece of metadata, or the end of its packet. */
static enum lttng_action metadata_piece(const struct lttng_step *t)
{
	struct lttng_control *s = t->s;
	struct state_ref ref;
	struct ctf_order *o;
	uint32_t n = s->left < CTF_PIECE ? (uint32_t)s->left : CTF_PIECE;
	bool metadata;

	/* Never less, whatever has come: taken again after a kill, when more may be there, the
	 * piece must end where it ended before, or its order would be put twice. */
	if (t->in->len < n)
		return lttng_wait_for(t->out, LTTNG_WAIT_BYTES);
	/* What lttng.metadata-wait does not allow stays free. */
	if (!lttng_order_fits(t, n + LTTNG_ORDERS_SHARE - (uint32_t)t->in->limits->metadata_wait))
		return lttng_wait_for_room(t);
	if (!lttng_own_stream(t, s->stream, &ref, &metadata))
		return lttng_end(s, t->out, CLOSE_unknown_stream, false);
	o = lttng_order(t, CTF_ORDER_METADATA, &ref);
	o->bytes = n;
	t->out->payload = t->in->bytes;
	s->left -= n;
	if (!s->left) {
		o->flag = 1;
		o->value = s->padding;
		s->command = 0;
	}
	t->out->consumed = n;
	return t->out->action = LTTNG_STEP;
}

static enum lttng_action begin_metadata(const struct lttng_step *t, uint64_t size)
{
	struct wire_reader r =
		wire_reader_init(t->in->bytes + LTTNG_HEADER_SIZE, LTTNG_METADATA_HEAD);
	struct lttng_metadata m;
	struct state_ref ref;
	bool metadata;

	if (t->in->len < LTTNG_HEADER_SIZE + LTTNG_METADATA_HEAD)
		return lttng_wait_for(t->out, LTTNG_WAIT_BYTES);
	(void)lttng_metadata_decode(&r, &m);
	if (!lttng_own_stream(t, m.stream, &ref, &metadata))
		return lttng_end(t->s, t->out, CLOSE_unknown_stream, false);
	if (!metadata || m.padding > t->in->limits->message_max)
		return lttng_end(t->s, t->out, CLOSE_protocol, false);
	t->s->command = LTTNG_SEND_METADATA;
	t->s->stream = m.stream;
	t->s->padding = m.padding;
	t->s->left = size - LTTNG_METADATA_HEAD;
	t->out->consumed = LTTNG_HEADER_SIZE + LTTNG_METADATA_HEAD;
	return t->out->action = LTTNG_STEP;
}

/* The next stream of a rotation; behind the last the reply. */
static enum lttng_action rotation_entry(const struct lttng_step *t)
{
	struct wire_reader r = wire_reader_init(t->in->bytes, LTTNG_ROTATION_ENTRY);
	struct lttng_control *s = t->s;
	struct lttng_step entry = *t;
	struct lttng_pair pair;
	struct state_ref ref;
	struct ctf_order *o;
	bool metadata;

	entry.size = 0;
	if (!s->left) {
		s->command = 0;
		return lttng_answer_code(&entry, LTTNG_OK);
	}
	if (t->in->len < LTTNG_ROTATION_ENTRY)
		return lttng_wait_for(t->out, LTTNG_WAIT_BYTES);
	if (!lttng_order_fits(t, 0))
		return lttng_wait_for_room(t);
	(void)lttng_pair_decode(&r, &pair);
	entry.size = LTTNG_ROTATION_ENTRY;
	if (!lttng_own_stream(t, pair.first, &ref, &metadata))
		return lttng_refuse(&entry, LTTNG_INVALID, CLOSE_unknown_stream);
	o = lttng_order(t, CTF_ORDER_ROTATE, &ref);
	o->flag = s->has_chunk;
	o->number = s->chunk_id;
	o->value = pair.second;
	s->left -= LTTNG_ROTATION_ENTRY;
	return lttng_took(&entry);
}

static enum lttng_action begin_rotation(const struct lttng_step *t, uint64_t size)
{
	struct wire_reader r = wire_reader_init(t->in->bytes, t->in->len), head;
	struct lttng_rotation m;
	size_t head_len;

	wire_skip(&r, LTTNG_HEADER_SIZE);
	head = r;
	head_len = lttng_rotation_head(size, wire_get_u32(&r));
	if (r.err)
		return lttng_wait_for(t->out, LTTNG_WAIT_BYTES);
	if (!head_len)
		return lttng_end(t->s, t->out, CLOSE_protocol, false);
	if (wire_left(&head) < head_len)
		return lttng_wait_for(t->out, LTTNG_WAIT_BYTES);
	head = wire_sub(&head, head_len);
	(void)lttng_rotation_decode(&head, &m);
	t->s->command = LTTNG_ROTATE_STREAMS;
	t->s->has_chunk = m.has_chunk;
	t->s->chunk_id = m.chunk_id;
	t->s->left = size - head_len;
	t->out->consumed = LTTNG_HEADER_SIZE + head_len;
	return t->out->action = LTTNG_STEP;
}

/* ---- the step ---- */

static enum lttng_action message(struct lttng_step *t)
{
	struct wire_reader r = wire_reader_init(t->in->bytes, t->in->len);
	const struct command *c = NULL;
	struct lttng_header header;
	struct wire_reader body;

	if (t->s->command == LTTNG_SEND_METADATA)
		return metadata_piece(t);
	if (t->s->command == LTTNG_ROTATE_STREAMS)
		return rotation_entry(t);
	if (lttng_header_decode(&r, &header) < 0)
		return lttng_wait_for(t->out, LTTNG_WAIT_BYTES);
	t->size = LTTNG_HEADER_SIZE;
	if (header.command < LTTNG_COMMAND_COUNT)
		c = &commands[header.command];
	if (header.size > t->in->limits->message_max)
		return lttng_end(t->s, t->out, CLOSE_oversize, false);
	if (!c || !(c->states & IN(t->s->state)) || t->s->minor < c->minor)
		return lttng_refuse(t, LTTNG_UNKNOWN, CLOSE_protocol);
	if (header.size < c->body_min || header.size > c->body_max)
		return lttng_end(t->s, t->out, CLOSE_protocol, false);
	if (header.command == LTTNG_SEND_METADATA)
		return begin_metadata(t, header.size);
	if (header.command == LTTNG_ROTATE_STREAMS)
		return begin_rotation(t, header.size);
	if (wire_left(&r) < header.size)
		return lttng_wait_for(t->out, LTTNG_WAIT_BYTES);
	body = wire_sub(&r, header.size);
	t->size += header.size;
	return c->handle(t, &body);
}

static int64_t patience(const struct lttng_control *s, const struct lttng_input *in)
{
	const struct lttng_limits *l = in->limits;

	if (s->state < LTTNG_SESSION)
		return l->handshake_timeout_ms;
	if (in->len || s->command || s->state == LTTNG_LEAVING || in->sending)
		return l->stall_timeout_ms;
	/* Nothing but silence ends an old client's snapshot: it never closes its connections. */
	if (s->snapshot && s->minor < 11 && s->streams && s->streams <= s->streams_closed)
		return l->stall_timeout_ms;
	return 0;
}

/* What came before our last reply was not the peer's silence. */
static int64_t silent_since(const struct lttng_control *s, const struct lttng_input *in)
{
	return s->since_ms > in->last_byte_ms ? s->since_ms : in->last_byte_ms;
}

static enum lttng_action left(struct lttng_control *s, struct lttng_output *out)
{
	enum close_reason reason = (enum close_reason)(s->leaving - 1);

	return lttng_end(s, out, reason, reason == CLOSE_snapshot_done);
}

/* The reply is not sent: a peer that never reads must not keep its connection for ever. */
static enum lttng_action unsent(struct lttng_control *s, const struct lttng_input *in,
				struct lttng_output *out)
{
	int64_t limit = patience(s, in);

	(void)lttng_wait_for(out, LTTNG_WAIT_SENT);
	if (!limit)
		return out->action;
	out->deadline_ms = silent_since(s, in) + limit;
	if (in->now_ms < out->deadline_ms)
		return out->action;
	if (s->state == LTTNG_LEAVING)
		return left(s, out);
	return lttng_end(s, out,
			 s->state < LTTNG_SESSION ? CLOSE_handshake_timeout : CLOSE_stall_timeout,
			 false);
}

/* Bytes are missing: is it the end, or silence for too long? */
static enum lttng_action bytes_missing(struct lttng_control *s, const struct lttng_input *in,
				       struct lttng_output *out)
{
	bool inside = in->len || s->command;
	int64_t limit = patience(s, in);
	enum close_reason reason = in->eof ? (enum close_reason)(in->eof - 1) : CLOSE_none;

	/* Whoever leaves in order has closed its streams. */
	if (in->eof && reason == CLOSE_none)
		reason = s->state < LTTNG_SESSION                   ? CLOSE_eof_in_handshake
			 : inside || s->streams > s->streams_closed ? CLOSE_eof_without_close
								    : CLOSE_finished;
	if (in->eof)
		return lttng_end(s, out, reason, reason == CLOSE_finished);
	if (!limit)
		return out->action;
	out->deadline_ms = silent_since(s, in) + limit;
	if (!in->empty || in->now_ms < out->deadline_ms)
		return out->action;
	if (s->state < LTTNG_SESSION)
		return lttng_end(s, out, CLOSE_handshake_timeout, false);
	if (inside)
		return lttng_end(s, out, CLOSE_stall_timeout, false);
	return lttng_end(s, out, CLOSE_snapshot_done, true);
}

enum lttng_action lttng_control_step(struct lttng_control *s, const struct lttng_input *in,
				     struct lttng_output *out)
{
	struct lttng_step t = {.s = s, .in = in, .out = out};
	uint8_t *reply = out->reply;

	assert(s->state != LTTNG_ENDED);
	*out = (struct lttng_output){.reply = reply};
	if (in->sending)
		return unsent(s, in, out);
	if (s->state == LTTNG_LEAVING)
		return left(s, out);
	if (message(&t) == LTTNG_WAIT && out->wait == LTTNG_WAIT_BYTES)
		return bytes_missing(s, in, out);
	if (out->action == LTTNG_WAIT && out->wait == LTTNG_WAIT_ROOM)
		out->deadline_ms = in->now_ms + LTTNG_ROOM_AGAIN_MS;
	if (out->reply_len)
		s->since_ms = in->now_ms;
	return out->action;
}
