/* SPDX-License-Identifier: MIT */
/*
 * fuzz_trace_cmd.c - any bytes as a trace-cmd client, through the protocol half and its engine.
 *
 * Byte 0 chooses the surroundings (below), byte 1 the cuts, the rest is what the client sends. The
 * conversation is held three times: whole, in random pieces, and in random pieces with kills.
 * Held to: all that tests/talk/talk_relay.c checks (ring, positions, effects repeated alike); a
 * reply never follows the port list; all three end alike. V2 may not: what distinguishes its
 * dialects is the cut itself.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/talk/talk_relay.h"

#define REFUSED   0x01 /* no lease */
#define NARROW    0x02 /* low limits */
#define SLOW      0x04 /* the worker takes metadata in small portions */
#define ENDS      0x08 /* end of file behind the last byte; else silence */
#define RESETS    0x10 /* or a reset */
#define LATE      0x20 /* the lease is answered when nothing else moves */
#define ROOM_STEP 1500u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NEED(x)                                     \
	do                                          \
		if (!(x))                           \
			talk_fail("not true: " #x); \
	while (0)

void talk_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	abort();
}

static void answer_lease(struct talk_relay *r, uint8_t how)
{
	struct trace_cmd s;

	conversation_trace_cmd(r->slot, &s);
	if (r->answer || s.state != TRACE_CMD_LEASE)
		return;
	NEED(r->asked_once && r->asked.cpus == s.cpus);
	NEED(s.cpus && s.cpus <= r->limits.cpus_max && s.cpus <= TRACE_CMD_CPUS_MAX);
	r->answer = how & REFUSED ? -28 : (int)s.cpus;
	for (uint32_t i = 0; i < s.cpus; i++)
		r->ports[i] = (uint16_t)(65535 - i); /* as many digits as a port can have */
}

static void hold(struct talk_relay *r, const struct talk_mode *mode, const uint8_t *data,
		 size_t size)
{
	uint8_t how = data[0];
	struct trace_cmd s;
	size_t listed;

	talk_relay_start(r, mode);
	if (how & NARROW)
		r->limits = (struct trace_cmd_limits){1000, 2000, 500, 300, 4};
	if (how & SLOW)
		r->room = 100;
	talk_peer_sends(&r->peer, data + 2, size - 2);
	if (!(how & LATE)) {
		r->peer.client_ended = how & ENDS;
		r->peer.client_reset = how & RESETS;
	}
	talk_relay_settle(r);
	talk_relay_advance(r, TRACE_CMD_MAGIC_MS);
	answer_lease(r, how);
	talk_relay_settle(r);
	listed = r->peer.to_client_len;

	/* Each portion of room is used up, or nothing waits for it. */
	while (r->wants & CONVERSATION_ROOM) {
		uint64_t before = r->metadata_len;

		r->room += ROOM_STEP + TRACE_CMD_MESSAGE_MAX;
		talk_relay_settle(r);
		NEED(r->metadata_len > before || !(r->wants & CONVERSATION_ROOM));
	}
	r->peer.client_ended = how & ENDS;
	r->peer.client_reset = how & RESETS;
	talk_relay_settle(r);
	talk_relay_advance(r, 3600 * 1000);
	NEED(!r->deadline_ms || r->deadline_ms > r->now_ms);

	conversation_trace_cmd(r->slot, &s);
	if (s.state == TRACE_CMD_METADATA || s.state == TRACE_CMD_RECORDING)
		NEED(r->peer.to_client_len == listed);
	NEED(r->metadata_len <= r->limits.metadata_max);
	NEED(!r->orderly || r->reason == CLOSE_finished);
	NEED(r->reason != CLOSE_internal);
	if (how & (ENDS | RESETS))
		NEED(conversation_closing(r->slot));
}

static void alike(const struct talk_relay *a, const struct talk_relay *b)
{
	struct trace_cmd s, t;

	conversation_trace_cmd(a->slot, &s);
	conversation_trace_cmd(b->slot, &t);
	if (s.protocol == PROTOCOL_TRACE_CMD_V2 || s.protocol == PROTOCOL_TRACE_CMD_V2_2015 ||
	    t.protocol == PROTOCOL_TRACE_CMD_V2 || t.protocol == PROTOCOL_TRACE_CMD_V2_2015)
		return;
	NEED(s.protocol == t.protocol && s.state == t.state && s.unexpected == t.unexpected);
	NEED(s.cpus == t.cpus && s.page_size == t.page_size && s.transport == t.transport);
	NEED(a->ended == b->ended && a->orderly == b->orderly && a->reason == b->reason);
	NEED(a->peer.to_client_len == b->peer.to_client_len && a->metadata_len == b->metadata_len);
	NEED(!memcmp(a->peer.to_client, b->peer.to_client, a->peer.to_client_len));
	NEED(!a->metadata_len || !memcmp(a->metadata, b->metadata, a->metadata_len));
	NEED(a->metadata_ended == b->metadata_ended);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct talk_mode whole = {.name = "whole"};
	struct talk_mode pieces = {.name = "pieces"}, storm = {.name = "storm", .kill_1_in = 9};
	struct talk_relay a, b;

	if (size < 2)
		return 0;
	pieces.seed = 1 + data[1];
	storm.seed = 257 + data[1];
	hold(&a, &whole, data, size);
	hold(&b, &pieces, data, size);
	alike(&a, &b);
	talk_relay_stop(&b);
	hold(&b, &storm, data, size);
	alike(&a, &b);
	talk_relay_stop(&b);
	talk_relay_stop(&a);
	return 0;
}
