/* SPDX-License-Identifier: MIT */
/*
 * conversation.c - receives and sends of one control connection, in its slot. The steps between
 * them are its dialect's (conversation_trace_cmd.c, conversation_lttng.c).
 *
 * Invariants, at every instant a SIGKILL may choose:
 *   consumed <= received <= consumed + STATE_RING; sent <= reply_len
 *   the live half's headers are the ones that the kernel last wrote to
 *   slot->reply is written only while all of the old reply is sent
 */
#include "relayd/conversation_step.h"

#include <assert.h>
#include <errno.h>

void (*conversation_fault)(const char *where);

void conversation_here(const char *where)
{
	if (conversation_fault)
		conversation_fault(where);
}

void conversation_commit_step(struct conversation_slot *c)
{
	conversation_here("before commit");
	conversation_commit(c);
	conversation_here("behind commit");
}

bool conversation_sending(const struct conversation_half *h)
{
	return conversation_sent(h) < h->reply_len;
}

size_t conversation_unread(const struct conversation_half *h)
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
	conversation_commit_step(c);
}

struct mmsghdr *conversation_prepare_receive(struct conversation_slot *c, int64_t now_ms)
{
	const struct conversation_half *h = conversation_now(c);
	struct conversation_half *next;
	size_t room, at, first;

	room = STATE_RING - conversation_unread(h);
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
	conversation_commit_step(c);
	return &next->receive;
}

struct mmsghdr *conversation_prepare_send_of(struct conversation_slot *c, uint8_t *reply)
{
	const struct conversation_half *h = conversation_now(c);
	struct conversation_half *next;

	if (h->closing || !conversation_sending(h))
		return NULL;
	next = conversation_begin(c);
	next->sent_base = conversation_sent(h);
	memset(&next->send, 0, sizeof(next->send));
	next->send_iov[0].iov_base = reply + next->sent_base;
	next->send_iov[0].iov_len = next->reply_len - next->sent_base;
	next->send.msg_hdr.msg_iov = next->send_iov;
	next->send.msg_hdr.msg_iovlen = 1;
	conversation_commit_step(c);
	return &next->send;
}

struct mmsghdr *conversation_prepare_send(struct conversation_slot *c)
{
	return conversation_prepare_send_of(c, c->reply);
}

void conversation_note_eof(struct conversation_slot *c, enum close_reason reason)
{
	struct conversation_half *next;

	if (conversation_now(c)->eof)
		return;
	next = conversation_begin(c);
	next->eof = 1 + reason;
	conversation_commit_step(c);
}

void conversation_note_unsendable(struct conversation_slot *c)
{
	struct conversation_half *next;

	if (!conversation_sending(conversation_now(c)))
		return;
	next = conversation_begin(c);
	next->sent_base = next->reply_len;
	memset(&next->send, 0, sizeof(next->send));
	conversation_commit_step(c);
}

uint32_t conversation_closing(const struct conversation_slot *c)
{
	return conversation_now(c)->closing;
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

/* ---- for the engines of the dialects ---- */

void conversation_fold(struct conversation_slot *c, int64_t now_ms)
{
	if (!conversation_now(c)->receive.msg_len)
		return;
	fold_receive(conversation_begin(c), now_ms);
	conversation_commit_step(c);
}

void conversation_view_open(struct conversation_view *v, const struct conversation_slot *c)
{
	const struct conversation_half *h = conversation_now(c);
	size_t len = conversation_unread(h), at = h->consumed & (STATE_RING - 1);
	size_t first = STATE_RING - at;

	v->begin = h->consumed;
	v->bytes = c->ring + at;
	if (len <= first)
		return;
	memcpy(v->unwrapped, c->ring + at, first);
	memcpy(v->unwrapped + first, c->ring, len - first);
	v->bytes = v->unwrapped;
}

void conversation_set_reply(struct conversation_half *next, size_t len)
{
	next->reply_len = (uint32_t)len;
	next->sent_base = 0;
	memset(&next->send, 0, sizeof(next->send));
}
