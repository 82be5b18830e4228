/* SPDX-License-Identifier: MIT */
/* talk_relay.c - the simulated surroundings of a conversation, and the shell's turn. */
#include "tests/talk/talk_relay.h"

#include <stdlib.h>
#include <string.h>

/* ---- kills ---- */

/* Another process maps the state memory: same bytes, another address, no pointer holds. */
static void reborn(struct talk_relay *r)
{
	struct conversation_slot *moved = aligned_alloc(STATE_PAGE, sizeof(*moved));

	if (!moved)
		abort();
	memcpy(moved, r->slot, sizeof(*moved));
	memset(r->slot, 0xee, sizeof(*moved));
	free(r->slot);
	r->slot = moved;
	r->wants = 0;
	r->deadline_ms = 0;
	r->fate.kills++;
}

static void tear(struct talk_relay *r)
{
	if (r->fate.mode->torn)
		reborn(r);
	conversation_open(r->slot);
}

/* ---- the shell's operations ---- */

static void op_lease(void *ctx, struct conversation_slot *c, const struct conversation_lease *want)
{
	struct talk_relay *r = ctx;

	(void)c;
	if (r->asked_once && memcmp(&r->asked, want, sizeof(*want)) != 0)
		talk_fail("the lease was asked for again with other words");
	r->asked = *want;
	r->asked_once = true;
	talk_instant("behind lease");
}

static int op_lease_answer(void *ctx, struct conversation_slot *c, uint16_t *ports, uint32_t max)
{
	struct talk_relay *r = ctx;

	(void)c;
	if (r->answer > 0) {
		if ((uint32_t)r->answer > max)
			talk_fail("more ports than fit");
		memcpy(ports, r->ports, (size_t)r->answer * sizeof(*ports));
	}
	return r->answer;
}

static size_t op_metadata_room(void *ctx, struct conversation_slot *c, uint64_t position)
{
	struct talk_relay *r = ctx;
	uint64_t room = r->room > position ? r->room - position : 0;

	(void)c;
	return room < STATE_METADATA_RING ? (size_t)room : STATE_METADATA_RING;
}

static void op_metadata_append(void *ctx, struct conversation_slot *c, uint64_t position,
			       const uint8_t *bytes, size_t len)
{
	struct talk_relay *r = ctx;
	size_t known;

	talk_instant("before append");
	if (r->metadata_ended)
		talk_fail("metadata behind its end");
	if (position > r->metadata_len)
		talk_fail("a hole in the metadata at %llu", (unsigned long long)r->metadata_len);
	if (len > op_metadata_room(r, c, position))
		talk_fail("more metadata than there is room");
	if (position + len > r->metadata_cap) {
		r->metadata_cap = (position + len) * 2;
		r->metadata = realloc(r->metadata, r->metadata_cap);
		if (!r->metadata)
			abort();
	}
	known = r->metadata_len - position < len ? (size_t)(r->metadata_len - position) : len;
	if (known && memcmp(r->metadata + position, bytes, known) != 0)
		talk_fail("metadata repeated with other bytes");
	memcpy(r->metadata + position, bytes, len);
	if (position + len > r->metadata_len)
		r->metadata_len = position + len;
}

static void op_metadata_end(void *ctx, struct conversation_slot *c)
{
	struct talk_relay *r = ctx;

	(void)c;
	talk_instant("before metadata_end");
	r->metadata_ended = true;
}

static void op_control_ended(void *ctx, struct conversation_slot *c, bool orderly,
			     enum close_reason reason)
{
	struct talk_relay *r = ctx;

	talk_instant("before control_ended");
	if (conversation_closing(c))
		talk_fail("the end was told behind the closing step");
	if (r->ended && (r->orderly != orderly || r->reason != reason))
		talk_fail("ended twice: %s and %s", close_reason_name(r->reason),
			  close_reason_name(reason));
	r->ended = true;
	r->orderly = orderly;
	r->reason = reason;
}

static void op_count(void *ctx, enum counter id, uint64_t n)
{
	((struct talk_relay *)ctx)->counted[id] += n;
}

static const struct conversation_ops ops = {
	.lease = op_lease,
	.lease_answer = op_lease_answer,
	.metadata_room = op_metadata_room,
	.metadata_append = op_metadata_append,
	.metadata_end = op_metadata_end,
	.control_ended = op_control_ended,
	.count = op_count,
};

/* ---- what must hold at every instant ---- */

static void check(const struct talk_relay *r)
{
	const struct conversation_half *h = conversation_now(r->slot);
	uint64_t received = conversation_received(h);

	if (received != r->peer.to_relay_taken)
		talk_fail("received is %llu of %zu bytes", (unsigned long long)received,
			  r->peer.to_relay_taken);
	if (h->consumed > received || received - h->consumed > STATE_RING)
		talk_fail("consumed is out of range");
	for (uint64_t at = h->consumed; at < received; at++)
		if (r->slot->ring[at & (STATE_RING - 1)] != r->peer.to_relay[at])
			talk_fail("the ring is wrong at %llu", (unsigned long long)at);
	if (conversation_sent(h) > h->reply_len || h->reply_len > STATE_REPLY)
		talk_fail("sent is out of range");
	if (h->metadata > r->metadata_len)
		talk_fail("metadata counted before it was appended");
	if (h->closing && (!r->ended || h->closing != 1u + r->reason))
		talk_fail("closing was committed before the end was told");
}

/* ---- turns ---- */

static bool receive_all(struct talk_relay *r)
{
	struct mmsghdr *m;
	bool empty = false;
	int n;

	for (;;) {
		tear(r);
		m = conversation_prepare_receive(r->slot, r->now_ms);
		if (!m)
			return false;
		n = talk_peer_receive(&r->peer, &r->fate, m);
		if (n > 0 && m->msg_len && (r->fate.mode->piece || r->fate.mode->seed))
			return false; /* the budget is spent: look at this piece alone */
		if (n > 0 && m->msg_len)
			continue;
		if (n > 0)
			conversation_note_eof(r->slot, CLOSE_none);
		else if (n < 0)
			conversation_note_eof(r->slot, CLOSE_reset);
		else
			empty = true;
		return empty;
	}
}

static void send_all(struct talk_relay *r)
{
	struct mmsghdr *m;
	int n;

	for (;;) {
		tear(r);
		m = conversation_prepare_send(r->slot);
		if (!m)
			return;
		n = talk_peer_transmit(&r->peer, &r->fate, m);
		if (n < 0)
			conversation_note_unsendable(r->slot);
		if (n <= 0)
			return;
	}
}

/* One turn, as the head of conversation.h has it. */
static void turn(struct talk_relay *r)
{
	const struct conversation_env env = {.ops = &ops, .ctx = r, .limits = &r->limits};
	bool empty;

	conversation_open(r->slot);
	empty = receive_all(r);
	tear(r);
	r->wants = conversation_run(r->slot, r->now_ms, empty, &env, &r->deadline_ms);
	send_all(r);
	tear(r);
	r->wants = conversation_run(r->slot, r->now_ms, empty, &env, &r->deadline_ms);
}

/* What a turn can change. */
struct progress {
	uint64_t received, consumed, sent, metadata;
	uint32_t replies, state, eof, closing;
	uint64_t options_left;
};

static struct progress progress(const struct talk_relay *r)
{
	const struct conversation_half *h = conversation_now(r->slot);
	struct progress p;
	struct trace_cmd s;

	memset(&p, 0, sizeof(p));
	conversation_trace_cmd(r->slot, &s);
	p.received = conversation_received(h);
	p.consumed = h->consumed;
	p.sent = r->peer.to_client_len + conversation_sent(h);
	p.metadata = h->metadata;
	p.replies = h->reply_len;
	p.state = s.state;
	p.eof = h->eof;
	p.closing = h->closing;
	return p;
}

static bool moving(struct talk_relay *r, const struct progress *before)
{
	struct progress now = progress(r);

	return memcmp(before, &now, sizeof(now)) != 0 || r->wants & CONVERSATION_SEND;
}

void talk_relay_settle(struct talk_relay *r)
{
	struct progress before;
	volatile unsigned still = 0;

	do {
		before = progress(r);
		talk_alive = &r->fate;
		if (setjmp(talk_death)) {
			talk_alive = NULL;
			reborn(r);
			check(r);
			still = 0;
			continue;
		}
		turn(r);
		talk_alive = NULL;
		check(r);
		/* Random sends may find no room a few times in a row. */
		still = moving(r, &before) ? 0 : still + 1;
	} while (still < 2);
}

void talk_relay_advance(struct talk_relay *r, uint64_t ms)
{
	int64_t until = r->now_ms + (int64_t)ms;
	unsigned guard = 0;

	talk_relay_settle(r);
	while (r->now_ms < until) {
		int64_t to = until;

		if (r->deadline_ms && r->deadline_ms < until)
			to = r->deadline_ms;
		if (to <= r->now_ms && ++guard > 3)
			talk_fail("a deadline that nothing happens at");
		if (to > r->now_ms) {
			r->now_ms = to;
			guard = 0;
		}
		talk_relay_settle(r);
	}
}

void talk_relay_close(struct talk_relay *r, enum close_reason reason, bool reset)
{
	const struct conversation_env env = {.ops = &ops, .ctx = r, .limits = &r->limits};

	while (!conversation_closing(r->slot)) {
		talk_alive = &r->fate;
		if (!setjmp(talk_death))
			conversation_close(r->slot, reason, reset, &env);
		else
			reborn(r);
		talk_alive = NULL;
	}
}

/* ---- life ---- */

static void forget_connection(struct talk_relay *r)
{
	free(r->slot);
	r->slot = NULL;
	talk_peer_free(&r->peer);
}

void talk_relay_start(struct talk_relay *r, const struct talk_mode *mode)
{
	memset(r, 0, sizeof(*r));
	talk_fate_start(&r->fate, mode);
	r->now_ms = 1000000;
	r->limits = (struct trace_cmd_limits){
		.handshake_timeout_ms = 10000,
		.metadata_timeout_ms = 60000,
		.stall_timeout_ms = 60000,
		.metadata_max = 64 * 1024 * 1024,
		.cpus_max = 4096,
	};
	conversation_fault = talk_instant;
	talk_relay_connect(r);
}

void talk_relay_connect(struct talk_relay *r)
{
	forget_connection(r);
	r->slot = aligned_alloc(STATE_PAGE, sizeof(*r->slot));
	if (!r->slot)
		abort();
	memset(r->slot, 0, sizeof(*r->slot));
	r->slot->accepted_ms = r->now_ms;
	memset(&r->asked, 0, sizeof(r->asked));
	r->asked_once = false;
	r->answer = 0;
	r->metadata_len = 0;
	r->room = UINT64_MAX;
	r->metadata_ended = false;
	r->ended = r->orderly = false;
	r->reason = CLOSE_none;
	r->wants = 0;
	r->deadline_ms = 0;
	memset(r->counted, 0, sizeof(r->counted));
}

void talk_relay_stop(struct talk_relay *r)
{
	forget_connection(r);
	free(r->metadata);
	conversation_fault = NULL;
}
