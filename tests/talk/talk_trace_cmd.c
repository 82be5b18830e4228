/* SPDX-License-Identifier: MIT */
/* talk_trace_cmd.c - the lines of a script of trace-cmd; its language is described in talk.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/talk/talk_relay.h"

static struct talk_relay relay;
static const struct talk_line *line;

/* ---- names ---- */

static const char *const protocols[PROTOCOL_COUNT] = {
	[PROTOCOL_UNKNOWN] = "unknown",           [PROTOCOL_TRACE_CMD_V1] = "v1",
	[PROTOCOL_TRACE_CMD_V2_2015] = "v2-2015", [PROTOCOL_TRACE_CMD_V2] = "v2",
	[PROTOCOL_TRACE_CMD_V3] = "v3",
};

static const char *transport_name(enum transport t)
{
	return t == TRANSPORT_TCP ? "tcp" : "udp";
}

/* ---- lines ---- */

static void limits(struct talk_relay *r)
{
	const char *at = line->text;
	char key[64], value[64];

	while (talk_script_pair(&at, key, value)) {
		int64_t v = talk_script_quantity(value);

		if (v < 0)
			talk_fail("no quantity: %s", value);
		if (!strcmp(key, "handshake-timeout"))
			r->limits.handshake_timeout_ms = v;
		else if (!strcmp(key, "metadata-timeout"))
			r->limits.metadata_timeout_ms = v;
		else if (!strcmp(key, "stall-timeout"))
			r->limits.stall_timeout_ms = v;
		else if (!strcmp(key, "metadata"))
			r->limits.metadata_max = (uint64_t)v;
		else if (!strcmp(key, "cpus"))
			r->limits.cpus_max = (uint32_t)v;
		else
			talk_fail("no limit: %s", key);
	}
}

static bool counter_of(const struct talk_relay *r, const char *key, uint64_t *ret)
{
	for (int i = 0; i < COUNTER_COUNT; i++) {
		if (strcmp(key, counter_name((enum counter)i)) != 0)
			continue;
		*ret = r->counted[i];
		return true;
	}
	return false;
}

static void expect(struct talk_relay *r)
{
	const struct conversation_half *h = conversation_now(r->slot);
	const char *at = line->text;
	char key[64], value[64], got[64];
	struct trace_cmd s;
	uint64_t count = 0;

	conversation_trace_cmd(r->slot, &s);
	while (talk_script_pair(&at, key, value)) {
		uint64_t n = 0;
		const char *text = NULL;

		if (!strcmp(key, "state"))
			text = trace_cmd_state_name((enum trace_cmd_state)s.state);
		else if (!strcmp(key, "protocol"))
			text = protocols[s.protocol];
		else if (!strcmp(key, "transport"))
			text = transport_name((enum transport)s.transport);
		else if (!strcmp(key, "cpus"))
			n = s.cpus;
		else if (!strcmp(key, "page"))
			n = s.page_size;
		else if (!strcmp(key, "metadata"))
			n = r->metadata_len;
		else if (!strcmp(key, "metadata-end"))
			n = r->metadata_ended;
		else if (!strcmp(key, "unexpected"))
			n = s.unexpected;
		else if (!strcmp(key, "unread"))
			n = conversation_received(h) - h->consumed;
		else if (!strcmp(key, "reset"))
			n = h->closing_reset;
		else if (!strcmp(key, "deadline"))
			n = r->deadline_ms ? (uint64_t)(r->deadline_ms - r->now_ms) : 0;
		else if (counter_of(r, key, &count)) {
			n = count;
			/* A kill behind a commit may cost a count, never double it. */
			if ((r->fate.mode->kill_at || r->fate.mode->kill_1_in) &&
			    n < strtoull(value, NULL, 10))
				continue;
		} else
			talk_fail("nothing is called %s", key);
		if (!text) {
			snprintf(got, sizeof(got), "%llu", (unsigned long long)n);
			text = got;
		}
		if (strcmp(text, value) != 0)
			talk_fail("%s is %s, not %s", key, text, value);
	}
}

static void closed(struct talk_relay *r)
{
	enum close_reason reason = talk_reason(line->text);

	talk_peer_expect_no_more(&r->peer);
	if (!conversation_closing(r->slot))
		talk_fail("it is open");
	if (r->reason != reason)
		talk_fail("closed for %s, not %s", close_reason_name(r->reason), line->text);
	if (r->orderly != (reason == CLOSE_finished))
		talk_fail("orderly is %d", r->orderly);
	if (!(r->wants & CONVERSATION_ENDED) && r->wants)
		talk_fail("it still wants something");
}

static void asked(struct talk_relay *r)
{
	char key[64], value[64], got[64];
	const char *at = line->text;

	if (!r->asked_once)
		talk_fail("no lease was asked for");
	while (talk_script_pair(&at, key, value)) {
		if (!strcmp(key, "cpus"))
			snprintf(got, sizeof(got), "%u", r->asked.cpus);
		else if (!strcmp(key, "page"))
			snprintf(got, sizeof(got), "%u", r->asked.page_size);
		else if (!strcmp(key, "transport"))
			snprintf(got, sizeof(got), "%s", transport_name(r->asked.transport));
		else if (!strcmp(key, "protocol"))
			snprintf(got, sizeof(got), "%s", protocols[r->asked.protocol]);
		else
			talk_fail("a lease has no %s", key);
		if (strcmp(got, value) != 0)
			talk_fail("%s is %s, not %s", key, got, value);
	}
}

static void grant(struct talk_relay *r)
{
	char *at = line->text, *end;
	unsigned long first, count;
	int n = 0;

	for (; *at; at = end) {
		first = strtoul(at, &end, 10);
		count = *end == '+' ? strtoul(end + 1, &end, 10) : 1;
		if (end == at)
			talk_fail("no ports: %s", at);
		while (count-- && n < (int)TRACE_CMD_CPUS_MAX)
			r->ports[n++] = (uint16_t)first++;
	}
	r->answer = n;
}

static void play(const struct talk_line *l)
{
	struct talk_relay *r = &relay;
	char key[64], value[64];
	const char *at = l->text;

	line = l;
	switch (line->verb) {
	case TALK_LIMITS:
		limits(r);
		break;
	case TALK_CONNECT:
		talk_relay_connect(r);
		break;
	case TALK_CLIENT_SENDS:
		talk_peer_sends(&r->peer, line->bytes, line->len);
		break;
	case TALK_CLIENT_EOF:
		r->peer.client_ended = true;
		break;
	case TALK_CLIENT_RESET:
		r->peer.client_reset = true;
		break;
	case TALK_CLIENT_DEAF:
		r->peer.client_deaf = true;
		break;
	case TALK_RELAY_SENT:
	case TALK_RELAY_SENT_LOOSELY:
		talk_peer_expect(&r->peer, r->fate.mode, line);
		break;
	case TALK_RELAY_CLOSED:
		closed(r);
		break;
	case TALK_RELAY_CLOSE:
		if (talk_script_pair(&at, key, value))
			talk_relay_close(r, talk_reason(key), strstr(at, "reset") != NULL);
		break;
	case TALK_LEASE_ASKED:
		asked(r);
		break;
	case TALK_LEASE_GRANT:
		grant(r);
		break;
	case TALK_LEASE_REFUSE:
		r->answer = talk_errno(line->text);
		break;
	case TALK_ADVANCE:
		talk_relay_advance(r, line->value);
		break;
	case TALK_ROOM:
		r->room = line->value;
		break;
	case TALK_EXPECT:
		expect(r);
		break;
	case TALK_EXPECT_METADATA:
		talk_same_bytes(line, "the metadata", r->metadata, (size_t)r->metadata_len);
		break;
	default:
		talk_fail("a line of LTTng");
	}
}

/* ---- the player ---- */

static void start(const struct talk_mode *mode, const struct talk_script *script)
{
	(void)script;
	talk_relay_start(&relay, mode);
}

static void settle(void)
{
	talk_relay_settle(&relay);
}

static unsigned stop(const struct talk_script *script)
{
	(void)script;
	talk_peer_expect_no_more(&relay.peer);
	talk_relay_stop(&relay);
	return relay.fate.kills;
}

const struct talk_player talk_trace_cmd = {
	.start = start, .play = play, .settle = settle, .stop = stop};
