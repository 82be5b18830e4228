/* SPDX-License-Identifier: MIT */
/*
 * conversation_trace_cmd.c - the steps of a trace-cmd conversation: what trace_cmd.h makes of the
 * bytes, its effects, its commit.
 *
 * Invariant: metadata counts bytes whose append came before.
 */
#include "relayd/conversation_step.h"

void conversation_trace_cmd(const struct conversation_slot *c, struct trace_cmd *ret)
{
	memcpy(ret, conversation_now(c)->dialect, sizeof(*ret));
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
	conversation_commit_step(c);
}

/* ---- steps ---- */

/* One call of run(): what holds for all its steps, since nothing is received meanwhile. */
struct turn {
	struct conversation_slot *c;
	const struct conversation_env *env;
	int64_t now_ms;
	bool empty;
	struct conversation_view view;
	uint16_t ports[TRACE_CMD_CPUS_MAX];
};

static void turn_input(struct turn *t, const struct trace_cmd *s, const struct conversation_half *h,
		       struct trace_cmd_input *in)
{
	const struct conversation_ops *ops = t->env->ops;
	int n;

	*in = (struct trace_cmd_input){
		.bytes = t->view.bytes + (h->consumed - t->view.begin),
		.len = conversation_unread(h),
		.eof = h->eof,
		.sending = conversation_sending(h),
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
		conversation_here("behind append");
		next->metadata += out->payload_len;
	} else if (out->action == TRACE_CMD_METADATA_END) {
		ops->metadata_end(ctx, t->c);
		conversation_here("behind metadata_end");
	} else if (out->action == TRACE_CMD_END) {
		ops->control_ended(ctx, t->c, out->orderly, out->reason);
		conversation_here("behind control_ended");
		next->closing = 1 + out->reason;
	}
	memcpy(next->dialect, s, sizeof(*s));
	next->consumed += out->consumed;
	if (out->reply_len)
		conversation_set_reply(next, out->reply_len);
	conversation_commit_step(t->c);

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

	if (!h->eof && conversation_unread(h) < STATE_RING)
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
	conversation_fold(c, now_ms);
	conversation_view_open(&t.view, c);
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
