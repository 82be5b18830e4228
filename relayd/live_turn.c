/* SPDX-License-Identifier: MIT */
/* live_turn.c - see live_turn.h. */
#include "relayd/live_turn.h"

#include <assert.h>

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
	uint64_t len = conversation_received(h) - h->consumed;

	assert(len <= STATE_RING);
	if (len > LIVE_REQUEST_MAX)
		len = LIVE_REQUEST_MAX;
	for (uint64_t i = 0; i < len; i++)
		to[i] = c->ring[(h->consumed + i) & (STATE_RING - 1)];
	return (size_t)len;
}

void live_turn_close(struct conversation_slot *c, enum close_reason reason)
{
	struct conversation_half *next;

	if (conversation_now(c)->closing)
		return;
	next = conversation_begin(c);
	next->closing = 1 + (uint32_t)reason;
	commit(c);
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
	if (conversation_sent(h) < h->reply_len)
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
	fault("behind the reply");
	memcpy(next->dialect, &s, sizeof(s));
	next->consumed += out.consumed;
	next->reply_len = (uint32_t)out.reply_len;
	next->sent_base = 0;
	memset(&next->send, 0, sizeof(next->send));
	commit(c);
	live_viewer_apply(&s, v);
	fault("behind apply");
	return CONVERSATION_SEND;
}

struct mmsghdr *live_turn_prepare_send(struct conversation_slot *c, struct viewer_slot *v)
{
	const struct conversation_half *h = conversation_now(c);
	struct conversation_half *next;

	if (h->closing || conversation_sent(h) >= h->reply_len)
		return NULL;
	next = conversation_begin(c);
	next->sent_base = conversation_sent(h);
	memset(&next->send, 0, sizeof(next->send));
	next->send_iov[0].iov_base = v->reply + next->sent_base;
	next->send_iov[0].iov_len = next->reply_len - next->sent_base;
	next->send.msg_hdr.msg_iov = next->send_iov;
	next->send.msg_hdr.msg_iovlen = 1;
	commit(c);
	return &next->send;
}
