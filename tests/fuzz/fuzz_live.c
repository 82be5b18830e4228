/* SPDX-License-Identifier: MIT */
/*
 * fuzz_live.c - any bytes as a live viewer, through its protocol half and its engine.
 *
 * Byte 0 seeds the cuts, byte 1 chooses the surroundings, the rest is what the viewer sends. The
 * conversation is held three times: whole, in pieces, and in pieces with kills.
 * Held to: all three give the same bytes and the same end; no reply is longer than its room;
 * metadata is never an empty OK; a reply begins only when the one before is sent.
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relayd/live_turn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NEED(x)                                                \
	do                                                     \
		if (!(x)) {                                    \
			fprintf(stderr, "not true: " #x "\n"); \
			abort();                               \
		}                                              \
	while (0)

#define STREAMS 6u
#define OUT_MAX (8u << 20)
#define IN_MAX  4096u
#define OVER    0x01 /* the client of session 1 is gone */
#define BEACONS 0x02
#define POOR    0x04 /* no memory for long replies */
#define BROKEN  0x08 /* files cannot be read */
#define FULL    0x10 /* few records, short metadata */

enum mode { WHOLE, PIECES, KILLS };

struct world {
	uint8_t how;
	uint8_t *out;
	size_t out_len;
	size_t room;
	uint32_t random;
};

static struct conversation_slot slot;
static struct viewer_slot viewer;
static uint8_t outs[3][OUT_MAX];
static jmp_buf killed;
static uint32_t *dice; /* NULL: nobody is killed */

static uint32_t throw_dice(uint32_t *random)
{
	*random = *random * 1664525u + 1013904223u;
	return *random >> 16;
}

static void maybe_die(const char *where)
{
	(void)where;
	if (dice && throw_dice(dice) % 5 == 0)
		longjmp(killed, 1);
}

/* ---- two sessions; streams 10 to 12 are of 1 (12: metadata), 13 to 15 of 2 ---- */

static bool session(void *ctx, uint64_t handle, struct live_session *ret)
{
	const struct world *w = ctx;

	if (handle != 1 && handle != 2)
		return false;
	*ret = (struct live_session){.entry = {.id = handle, .live_timer_us = 1, .streams = 3},
				     .published = 3};
	ret->over = handle == 1 && w->how & OVER;
	return true;
}

static bool next_session(void *ctx, uint32_t *at, struct live_session *ret)
{
	return session(ctx, ++*at, ret);
}

static bool stream(void *ctx, uint64_t handle, struct live_stream *ret)
{
	(void)ctx;
	if (handle < 10 || handle >= 10 + STREAMS)
		return false;
	*ret = (struct live_stream){.index = (uint32_t)handle - 10,
				    .number = (uint32_t)(handle - 10) % 3};
	ret->entry.id = handle;
	ret->entry.metadata = handle % 3 == 0;
	return true;
}

static void untold(void *ctx, uint64_t of, const struct stream_walk *told, struct live_untold *ret)
{
	(void)ctx;
	*ret = (struct live_untold){.ready = (of + told->from) % 3 == 0,
				    .until = told->from * UINT64_C(1000)};
}

static bool next_stream(void *ctx, uint64_t of, struct stream_walk *walk, struct live_stream *ret)
{
	return walk->from < 3 && stream(ctx, 10 + (of == 1 ? 0 : 3) + walk->from++, ret);
}

static void start(void *ctx, struct viewer_cursor *c, bool now)
{
	(void)ctx;
	c->next = now && !c->metadata ? 2 : 0;
}

static enum live_next next(void *ctx, uint32_t i, struct viewer_cursor *c, struct live_record *ret)
{
	const struct world *w = ctx;

	NEED(i < VIEWER_CURSORS && c->stream >= 10 && !c->metadata);
	if (w->how & BROKEN)
		return LIVE_NEXT_ERROR;
	*ret = (struct live_record){.ts_end = 10 * c->next, .offset = 4096 * c->next};
	if (c->next < (w->how & FULL ? 3 : 20)) {
		c->next++;
		return LIVE_NEXT_RECORD;
	}
	return w->how & BEACONS ? LIVE_NEXT_BEACON : LIVE_NEXT_OVER;
}

static int packet(void *ctx, uint32_t i, const struct viewer_cursor *c, uint64_t offset,
		  uint32_t len, uint8_t *to)
{
	const struct world *w = ctx;

	NEED(i < VIEWER_CURSORS && c->stream >= 10 && len <= LIVE_BODY_MAX);
	NEED(to >= viewer.reply && to + len <= viewer.reply + w->room);
	if (w->how & BROKEN)
		return -5;
	memset(to, (int)offset, len);
	return (int)len;
}

static int metadata(void *ctx, uint32_t i, struct viewer_cursor *c, uint8_t *to, uint32_t max,
		    bool *ret_over)
{
	const struct world *w = ctx;
	uint32_t left = (w->how & FULL ? 500 : 5000) - (uint32_t)c->next;

	NEED(i < VIEWER_CURSORS && c->metadata);
	*ret_over = w->how & OVER;
	if (w->how & BROKEN)
		return -5;
	left = left < 1000 ? left : 1000;
	NEED(left <= max);
	NEED(!to || to + left <= viewer.reply + w->room);
	if (to)
		memset(to, 'm', left);
	c->next += left;
	return (int)left;
}

static int room(void *ctx, size_t len)
{
	struct world *w = ctx;

	NEED(len <= VIEWER_REPLY);
	if (w->how & POOR && len > 10000)
		return -12;
	w->room = len > w->room ? len : w->room;
	return 0;
}

static const struct live_facts facts = {
	.next_session = next_session,
	.session = session,
	.next_stream = next_stream,
	.untold = untold,
	.stream = stream,
	.start = start,
	.next = next,
	.packet = packet,
	.metadata = metadata,
	.room = room,
};

/* ---- the conversation ---- */

/* As the kernel would do it; a kill may strike behind it, which changes nothing. */
static void receive(struct mmsghdr *m, const uint8_t **from, size_t *left, size_t max)
{
	for (size_t i = 0; i < m->msg_hdr.msg_iovlen && *left && max; i++) {
		size_t n = m->msg_hdr.msg_iov[i].iov_len;

		n = n < *left ? n : *left;
		n = n < max ? n : max;
		memcpy(m->msg_hdr.msg_iov[i].iov_base, *from, n);
		*from += n;
		*left -= n;
		max -= n;
		m->msg_len += (unsigned)n;
	}
}

static void transmit(struct world *w, struct mmsghdr *m, size_t max)
{
	size_t n = m->msg_hdr.msg_iov[0].iov_len;

	n = n < max ? n : max;
	if (w->out_len + n <= OUT_MAX) /* beyond, only its length is compared */
		memcpy(w->out + w->out_len, m->msg_hdr.msg_iov[0].iov_base, n);
	w->out_len += n;
	m->msg_len = (unsigned)n;
}

/* The bytes of one conversation; its end. */
static uint32_t hold(struct world *w, enum mode mode, const uint8_t *bytes, size_t size)
{
	static const uint8_t *volatile from;
	static volatile size_t left;
	struct mmsghdr *m;
	unsigned wants;

	memset(&slot, 0, offsetof(struct conversation_slot, ring));
	memset(&viewer, 0, offsetof(struct viewer_slot, reply));
	slot.id = 3;
	slot.accepted_ms = 1;
	from = bytes;
	left = size;
	dice = mode == KILLS ? &w->random : NULL;
	conversation_fault = maybe_die;
	(void)setjmp(killed);
	live_turn_open(&slot, &viewer);
	for (;;) {
		wants = live_turn_run(&slot, &viewer, &facts, w);
		if (wants & CONVERSATION_ENDED)
			break;
		if (wants & CONVERSATION_SEND) {
			m = live_turn_prepare_send(&slot, &viewer);
			NEED(m);
			transmit(w, m, mode == WHOLE ? SIZE_MAX : 1 + throw_dice(&w->random) * 8);
			continue;
		}
		m = conversation_prepare_receive(&slot, 1);
		if (m && left) {
			const uint8_t *f = from;
			size_t l = left;

			receive(m, &f, &l,
				mode == WHOLE ? SIZE_MAX : 1 + throw_dice(&w->random) % 50);
			from = f;
			left = l;
		} else {
			conversation_note_eof(&slot, CLOSE_none);
		}
	}
	dice = NULL;
	conversation_fault = NULL;
	return conversation_closing(&slot);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t end[3];
	size_t len[3];

	if (size < 2 || size > IN_MAX)
		return 0;
	for (enum mode mode = WHOLE; mode <= KILLS; mode++) {
		struct world w = {.how = data[1], .out = outs[mode], .random = data[0]};

		end[mode] = hold(&w, mode, data + 2, size - 2);
		len[mode] = w.out_len;
	}
	NEED(end[0] == end[1] && end[1] == end[2]);
	NEED(len[0] == len[1] && len[1] == len[2]);
	if (len[0] > OUT_MAX)
		return 0;
	NEED(memcmp(outs[0], outs[1], len[0]) == 0);
	NEED(memcmp(outs[0], outs[2], len[0]) == 0);
	return 0;
}
