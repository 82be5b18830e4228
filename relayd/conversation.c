/* SPDX-License-Identifier: MIT */
/*
 * conversation.c - receives, steps and sends of one control connection, in its slot.
 *
 * Invariants, at every instant a SIGKILL may choose:
 *   consumed <= received <= consumed + STATE_RING; sent <= reply_len
 *   the live half's headers are the ones that the kernel last wrote to
 *   slot->reply is written only while all of the old reply is sent
 *   metadata counts bytes whose append came before
 */
#include "relayd/conversation.h"

#include <assert.h>
#include <errno.h>

void (*conversation_fault)(const char *where);

static void fault(const char *where)
{
	if (conversation_fault)
		conversation_fault(where);
}

static void commit(struct conversation_slot *c)
{
	fault("before commit");
	conversation_commit(c);
	fault("behind commit");
}

static bool sending(const struct conversation_half *h)
{
	return conversation_sent(h) < h->reply_len;
}

static size_t unread(const struct conversation_half *h)
{
	uint64_t n = conversation_received(h) - h->consumed;

	assert(n <= STATE_RING);
	return (size_t)n;
}

/* Take over what the last receive brought; the header is then free for the next one. */
static void fold_receive(struct conversation_half *h, int64_t now_ms)
{
	if (h->receive.msg_len) {
		h->received_base += h->receive.msg_len;
		h->last_byte_ms = now_ms;
	}
	memset(&h->receive, 0, sizeof(h->receive));
}

void conversation_open(struct conversation_slot *c)
{
	struct conversation_half *next;

	if (conversation_now(c)->last_byte_ms)
		return;
	next = conversation_begin(c);
	next->last_byte_ms = c->accepted_ms; /* silence is counted from the accept */
	commit(c);
}

struct mmsghdr *conversation_prepare_receive(struct conversation_slot *c, int64_t now_ms)
{
	const struct conversation_half *h = conversation_now(c);
	struct conversation_half *next;
	size_t room, at, first;

	room = STATE_RING - unread(h);
	if (h->closing || h->eof || !room)
		return NULL;
	at = conversation_received(h) & (STATE_RING - 1);
	first = room < STATE_RING - at ? room : STATE_RING - at;

	next = conversation_begin(c);
	fold_receive(next, now_ms);
	next->receive_iov[0] = (struct iovec){.iov_base = c->ring + at, .iov_len = first};
	next->receive_iov[1] = (struct iovec){.iov_base = c->ring, .iov_len = room - first};
	next->receive.msg_hdr.msg_iov = next->receive_iov;
	next->receive.msg_hdr.msg_iovlen = room > first ? 2 : 1;
	commit(c);
	return &next->receive;
}

struct mmsghdr *conversation_prepare_send(struct conversation_slot *c)
{
	const struct conversation_half *h = conversation_now(c);
	struct conversation_half *next;

	if (h->closing || !sending(h))
		return NULL;
	next = conversation_begin(c);
	next->sent_base = conversation_sent(h);
	memset(&next->send, 0, sizeof(next->send));
	next->send_iov[0].iov_base = c->reply + next->sent_base;
	next->send_iov[0].iov_len = next->reply_len - next->sent_base;
	next->send.msg_hdr.msg_iov = next->send_iov;
	next->send.msg_hdr.msg_iovlen = 1;
	commit(c);
	return &next->send;
}

void conversation_note_eof(struct conversation_slot *c, enum close_reason reason)
{
	struct conversation_half *next;

	if (conversation_now(c)->eof)
		return;
	next = conversation_begin(c);
	next->eof = 1 + reason;
	commit(c);
}

void conversation_note_unsendable(struct conversation_slot *c)
{
	struct conversation_half *next;

	if (!sending(conversation_now(c)))
		return;
	next = conversation_begin(c);
	next->sent_base = next->reply_len;
	memset(&next->send, 0, sizeof(next->send));
	commit(c);
}

uint32_t conversation_closing(const struct conversation_slot *c)
{
	return conversation_now(c)->closing;
}

void conversation_trace_cmd(const struct conversation_slot *c, struct trace_cmd *ret)
{
	memcpy(ret, conversation_now(c)->dialect, sizeof(*ret));
}

enum close_reason conversation_refusal(int error)
{
	switch (error) {
	case -EADDRNOTAVAIL:
		return CLOSE_ports_exhausted;
	case -EUSERS:
		return CLOSE_sources_limit;
	case -EDQUOT:
		return CLOSE_streams_limit;
	case -EMFILE:
	case -ENFILE:
		return CLOSE_no_descriptors;
	case -ENOMEM:
		return CLOSE_no_memory;
	case -ENOSPC:
	case -ENOBUFS:
		return CLOSE_no_slot;
	case -ECANCELED:
		return CLOSE_session_destroyed;
	case -EIO:
		return CLOSE_disk;
	case -EPERM:
		return CLOSE_session_stopped;
	case -ESHUTDOWN:
		return CLOSE_shutdown;
	default:
		return CLOSE_internal;
	}
}

void conversation_close(struct conversation_slot *c, enum close_reason reason, bool reset,
			const struct conversation_env *env)
{
	struct conversation_half *next;

	if (conversation_now(c)->closing)
		return;
	env->ops->control_ended(env->ctx, c, false, reason);
	next = conversation_begin(c);
	next->closing = 1 + reason;
	next->closing_reset = reset;
	commit(c);
}

/* ---- steps ---- */

/* One call of run(): what holds for all its steps, since nothing is received meanwhile. */
struct turn {
	struct conversation_slot *c;
	const struct conversation_env *env;
	int64_t now_ms;
	bool empty;
	uint64_t begin;      /* ring position of view[0] */
	const uint8_t *view; /* all unread bytes in one piece */
	uint8_t unwrapped[STATE_RING];
	uint16_t ports[TRACE_CMD_CPUS_MAX];
};

static void turn_view(struct turn *t)
{
	const struct conversation_half *h = conversation_now(t->c);
	size_t len = unread(h), at = h->consumed & (STATE_RING - 1), first = STATE_RING - at;

	t->begin = h->consumed;
	t->view = t->c->ring + at;
	if (len <= first)
		return;
	memcpy(t->unwrapped, t->c->ring + at, first);
	memcpy(t->unwrapped + first, t->c->ring, len - first);
	t->view = t->unwrapped;
}

static void turn_input(struct turn *t, const struct trace_cmd *s, const struct conversation_half *h,
		       struct trace_cmd_input *in)
{
	const struct conversation_ops *ops = t->env->ops;
	int n;

	*in = (struct trace_cmd_input){
		.bytes = t->view + (h->consumed - t->begin),
		.len = unread(h),
		.eof = h->eof,
		.sending = sending(h),
		.empty = t->empty,
		.now_ms = t->now_ms,
		.last_byte_ms = h->last_byte_ms,
		.metadata = h->metadata,
		.limits = t->env->limits,
	};
	if (in->sending)
		return;
	if (s->state == TRACE_CMD_METADATA)
		in->room = ops->metadata_room(t->env->ctx, t->c, h->metadata);
	if (s->state != TRACE_CMD_LEASE)
		return;
	n = ops->lease_answer(t->env->ctx, t->c, t->ports, TRACE_CMD_CPUS_MAX);
	if (!n)
		return;
	in->grant = TRACE_CMD_GRANT_PORTS;
	in->ports = t->ports;
	in->port_count = (uint32_t)n;
	if (n > 0 && in->port_count == s->cpus)
		return;
	in->grant = TRACE_CMD_GRANT_REFUSED;
	in->refusal = n < 0 ? conversation_refusal(n) : CLOSE_internal;
}

/* A step was made: its effects, then its commit. */
static void turn_take(struct turn *t, struct conversation_half *next, const struct trace_cmd *s,
		      const struct trace_cmd_output *out)
{
	const struct conversation_ops *ops = t->env->ops;
	void *ctx = t->env->ctx;

	if (out->action == TRACE_CMD_GIVE_METADATA) {
		ops->metadata_append(ctx, t->c, next->metadata, out->payload, out->payload_len);
		fault("behind append");
		next->metadata += out->payload_len;
	} else if (out->action == TRACE_CMD_METADATA_END) {
		ops->metadata_end(ctx, t->c);
		fault("behind metadata_end");
	} else if (out->action == TRACE_CMD_END) {
		ops->control_ended(ctx, t->c, out->orderly, out->reason);
		fault("behind control_ended");
		next->closing = 1 + out->reason;
	}
	memcpy(next->dialect, s, sizeof(*s));
	next->consumed += out->consumed;
	if (out->reply_len) {
		next->reply_len = (uint32_t)out->reply_len;
		next->sent_base = 0;
		memset(&next->send, 0, sizeof(next->send));
	}
	commit(t->c);

	if (out->payload_len)
		ops->count(ctx, COUNTER_bytes_metadata, out->payload_len);
	if (out->renegotiated)
		ops->count(ctx, COUNTER_versions_renegotiated, 1);
	if (out->unexpected)
		ops->count(ctx, COUNTER_messages_unexpected, 1);
}

/* Nothing more can be done: what is missing? */
static unsigned turn_wants(struct turn *t, const struct trace_cmd *s,
			   const struct trace_cmd_output *out)
{
	const struct conversation_half *h = conversation_now(t->c);
	unsigned wants = 0;

	if (!h->eof && unread(h) < STATE_RING)
		wants |= CONVERSATION_RECEIVE;
	if (out->wait == TRACE_CMD_WAIT_SENT)
		wants |= CONVERSATION_SEND;
	if (out->wait == TRACE_CMD_WAIT_ROOM)
		wants |= CONVERSATION_ROOM;
	if (out->wait == TRACE_CMD_WAIT_LEASE) {
		struct conversation_lease want = {
			.cpus = s->cpus,
			.page_size = s->page_size,
			.protocol = (enum protocol)s->protocol,
			.transport = (enum transport)s->transport,
		};

		wants |= CONVERSATION_LEASE;
		t->env->ops->lease(t->env->ctx, t->c, &want);
	}
	return wants;
}

unsigned conversation_run(struct conversation_slot *c, int64_t now_ms, bool empty,
			  const struct conversation_env *env, int64_t *ret_deadline_ms)
{
	struct turn t;
	struct trace_cmd_output out = {.reply = c->reply};
	struct conversation_half *next;
	struct trace_cmd_input in;
	struct trace_cmd s;

	t.c = c;
	t.env = env;
	t.now_ms = now_ms;
	t.empty = empty;
	*ret_deadline_ms = 0;
	if (conversation_now(c)->closing)
		return CONVERSATION_ENDED;
	if (conversation_now(c)->receive.msg_len) { /* so that the time of these bytes is known */
		fold_receive(conversation_begin(c), now_ms);
		commit(c);
	}
	turn_view(&t);
	for (;;) {
		next = conversation_begin(c);
		memcpy(&s, next->dialect, sizeof(s));
		turn_input(&t, &s, next, &in);
		if (trace_cmd_step(&s, &in, &out) == TRACE_CMD_WAIT)
			break;
		turn_take(&t, next, &s, &out);
		if (out.action == TRACE_CMD_END)
			return CONVERSATION_ENDED;
	}
	*ret_deadline_ms = out.deadline_ms;
	return turn_wants(&t, &s, &out);
}
