/* SPDX-License-Identifier: MIT */
/* talk_relay.c - the simulated surroundings of a conversation, and the shell's turn. */
#include "tests/talk/talk_relay.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

static struct talk_relay *running; /* whom a kill would strike */
static jmp_buf death;

/* ---- chance ---- */

static uint64_t chance(struct talk_relay *r)
{
	r->random ^= r->random << 13; /* xorshift64 */
	r->random ^= r->random >> 7;
	r->random ^= r->random << 17;
	return r->random;
}

/* How much of n bytes a system call moves this time. */
static size_t piece(struct talk_relay *r, size_t n)
{
	size_t most = r->mode->piece;

	if (r->mode->seed)
		most = chance(r) % 8 ? 1 + chance(r) % 40 : 1 + chance(r) % 9000;
	return most && most < n ? most : n;
}

/* ---- kills ---- */

/* An instant at which a SIGKILL may strike. */
static void instant(const char *where)
{
	struct talk_relay *r = running;

	(void)where;
	if (!r)
		return;
	r->instants++;
	if (r->instants == r->mode->kill_at ||
	    (r->mode->kill_1_in && chance(r) % r->mode->kill_1_in == 0))
		longjmp(death, 1);
}

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
	r->kills++;
}

static void tear(struct talk_relay *r)
{
	if (r->mode->torn)
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
	instant("behind lease");
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

	instant("before append");
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
	instant("before metadata_end");
	r->metadata_ended = true;
}

static void op_control_ended(void *ctx, struct conversation_slot *c, bool orderly,
			     enum close_reason reason)
{
	struct talk_relay *r = ctx;

	instant("before control_ended");
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

	if (received != r->to_relay_taken)
		talk_fail("received is %llu of %zu bytes", (unsigned long long)received,
			  r->to_relay_taken);
	if (h->consumed > received || received - h->consumed > STATE_RING)
		talk_fail("consumed is out of range");
	for (uint64_t at = h->consumed; at < received; at++)
		if (r->slot->ring[at & (STATE_RING - 1)] != r->to_relay[at])
			talk_fail("the ring is wrong at %llu", (unsigned long long)at);
	if (conversation_sent(h) > h->reply_len || h->reply_len > STATE_REPLY)
		talk_fail("sent is out of range");
	if (h->metadata > r->metadata_len)
		talk_fail("metadata counted before it was appended");
	if (h->closing && (!r->ended || h->closing != 1u + r->reason))
		talk_fail("closing was committed before the end was told");
}

/* ---- system calls ---- */

/* recvmmsg() of one message. 1; 0: nothing there; -1: the connection was reset. */
static int receive(struct talk_relay *r, struct mmsghdr *m)
{
	size_t there = r->to_relay_len - r->to_relay_taken, n = 0, room = 0;

	instant("before receive");
	for (size_t i = 0; i < m->msg_hdr.msg_iovlen; i++)
		room += m->msg_hdr.msg_iov[i].iov_len;
	if (!there && r->client_reset)
		return -1;
	if (!there && !r->client_ended)
		return 0;
	there = there < room ? there : room;
	there = there ? piece(r, there) : 0;
	for (size_t i = 0; i < m->msg_hdr.msg_iovlen && n < there; i++) {
		const struct iovec *v = &m->msg_hdr.msg_iov[i];
		size_t part = there - n < v->iov_len ? there - n : v->iov_len;

		memcpy(v->iov_base, r->to_relay + r->to_relay_taken + n, part);
		n += part;
	}
	r->to_relay_taken += n;
	m->msg_len = (unsigned)n;
	instant("behind receive");
	return 1;
}

/* sendmmsg() of one message. 1; 0: no room; -1: the peer is gone. */
static int transmit(struct talk_relay *r, struct mmsghdr *m)
{
	const struct iovec *v = &m->msg_hdr.msg_iov[0];
	size_t n;

	instant("before send");
	if (r->client_deaf)
		return -1;
	if (r->mode->seed && chance(r) % 5 == 0)
		return 0;
	n = piece(r, v->iov_len);
	r->to_client = realloc(r->to_client, r->to_client_len + n);
	if (!r->to_client)
		abort();
	memcpy(r->to_client + r->to_client_len, v->iov_base, n);
	r->to_client_len += n;
	r->writes++;
	m->msg_len = (unsigned)n;
	instant("behind send");
	return 1;
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
		n = receive(r, m);
		if (n > 0 && m->msg_len && (r->mode->piece || r->mode->seed))
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
		n = transmit(r, m);
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
	p.sent = r->to_client_len + conversation_sent(h);
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
		running = r;
		if (setjmp(death)) {
			running = NULL;
			reborn(r);
			check(r);
			still = 0;
			continue;
		}
		turn(r);
		running = NULL;
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

void talk_relay_client_sends(struct talk_relay *r, const uint8_t *bytes, size_t len)
{
	r->to_relay = realloc(r->to_relay, r->to_relay_len + len + 1);
	if (!r->to_relay)
		abort();
	memcpy(r->to_relay + r->to_relay_len, bytes, len);
	r->to_relay_len += len;
}

void talk_relay_close(struct talk_relay *r, enum close_reason reason, bool reset)
{
	const struct conversation_env env = {.ops = &ops, .ctx = r, .limits = &r->limits};

	while (!conversation_closing(r->slot)) {
		running = r;
		if (!setjmp(death))
			conversation_close(r->slot, reason, reset, &env);
		else
			reborn(r);
		running = NULL;
	}
}

/* ---- life ---- */

static void forget_connection(struct talk_relay *r)
{
	free(r->slot);
	free(r->to_relay);
	free(r->to_client);
	r->slot = NULL;
	r->to_relay = r->to_client = NULL;
}

void talk_relay_start(struct talk_relay *r, const struct talk_mode *mode)
{
	memset(r, 0, sizeof(*r));
	r->mode = mode;
	r->random = mode->seed ? mode->seed * 0x9e3779b97f4a7c15 : 1;
	r->now_ms = 1000000;
	r->limits = (struct trace_cmd_limits){
		.handshake_timeout_ms = 10000,
		.metadata_timeout_ms = 60000,
		.stall_timeout_ms = 60000,
		.metadata_max = 64 * 1024 * 1024,
		.cpus_max = 4096,
	};
	conversation_fault = instant;
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
	r->to_relay_len = r->to_relay_taken = 0;
	r->to_client_len = r->to_client_seen = 0;
	r->writes = 0;
	r->client_ended = r->client_reset = r->client_deaf = false;
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
