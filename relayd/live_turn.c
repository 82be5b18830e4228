/* SPDX-License-Identifier: MIT */
/* live_turn.c - see live_turn.h. */
#include "relayd/live_turn.h"

#include "relayd/conversation_step.h"

void live_turn_viewer(const struct conversation_slot *c, struct live_viewer *ret)
{
	memcpy(ret, conversation_now(c)->dialect, sizeof(*ret));
}

static void apply(struct conversation_slot *c, struct viewer_slot *v)
{
	struct live_viewer s;

	live_turn_viewer(c, &s);
	live_viewer_apply(&s, v);
}

void live_turn_open(struct conversation_slot *c, struct viewer_slot *v)
{
	conversation_open(c);
	apply(c, v);
}

/* The beginning of the unread bytes, as much as a request can be. */
static size_t view(const struct conversation_slot *c, uint8_t *to)
{
	const struct conversation_half *h = conversation_now(c);
	size_t len = conversation_unread(h);

	if (len > LIVE_REQUEST_MAX)
		len = LIVE_REQUEST_MAX;
	for (size_t i = 0; i < len; i++)
		to[i] = c->ring[(h->consumed + i) & (STATE_RING - 1)];
	return len;
}

void live_turn_close(struct conversation_slot *c, enum close_reason reason)
{
	struct conversation_half *next;

	if (conversation_now(c)->closing)
		return;
	next = conversation_begin(c);
	next->closing = 1 + (uint32_t)reason;
	conversation_commit_step(c);
}

/* The peer said FIN: an end; anything else that ended the receiving is its own reason. */
static enum close_reason end_reason(const struct conversation_half *h, enum close_reason reason)
{
	bool by_eof = reason == CLOSE_eof || reason == CLOSE_eof_in_handshake;

	return by_eof && h->eof > 1 ? (enum close_reason)(h->eof - 1) : reason;
}

unsigned live_turn_run(struct conversation_slot *c, struct viewer_slot *v,
		       const struct live_facts *facts, void *ctx)
{
	const struct conversation_half *h = conversation_now(c);
	uint8_t bytes[LIVE_REQUEST_MAX];
	struct live_viewer_input in = {.bytes = bytes, .facts = facts, .ctx = ctx};
	struct live_viewer_output out;
	struct conversation_half *next;
	struct live_viewer s;

	if (h->closing)
		return CONVERSATION_ENDED;
	if (conversation_sending(h))
		return CONVERSATION_SEND;
	in.len = view(c, bytes);
	in.position = h->consumed;
	in.id = atomic_load(&c->id);
	in.eof = h->eof;
	next = conversation_begin(c);
	memcpy(&s, next->dialect, sizeof(s));
	live_viewer_step(&s, v, &in, &out);
	if (out.action == LIVE_VIEWER_WAIT)
		return CONVERSATION_RECEIVE;
	if (out.action == LIVE_VIEWER_END) {
		live_turn_close(c, end_reason(conversation_now(c), out.reason));
		return CONVERSATION_ENDED;
	}
	conversation_here("behind the reply");
	memcpy(next->dialect, &s, sizeof(s));
	next->consumed += out.consumed;
	conversation_set_reply(next, out.reply_len);
	conversation_commit_step(c);
	live_viewer_apply(&s, v);
	conversation_here("behind apply");
	return CONVERSATION_SEND;
}

struct mmsghdr *live_turn_prepare_send(struct conversation_slot *c, struct viewer_slot *v)
{
	return conversation_prepare_send_of(c, v->reply);
}
