/* SPDX-License-Identifier: MIT */
/*
 * talk.c - replays scripted conversations (*.talk) against the protocol half and its engine.
 *
 *	talk [-v] [-m MODE] SCRIPT...
 *
 * Each script is replayed whole; with what the client sends in a row merged; byte by byte; in
 * seeded random pieces, with sends that find no room; torn down and resumed between all calls; with
 * a kill at every single instant, one replay each; and with random kills. It must give the same
 * answers every time. Time is virtual. -m runs one mode only, as a failure names it.
 *
 * The language; a '#' begins a comment, a '\' at the end of a line goes on below:
 *
 *	limits   handshake-timeout=10s metadata-timeout=60s stall-timeout=60s metadata=64M cpus=4096
 *	connect                     another connection (a script begins with one)
 *	client > BYTES              the client sends
 *	client eof | reset | deaf   closes; resets; sends to it fail
 *	relay  < BYTES              all the relay has sent since, in one write; "nothing" for none
 *	relay  << BYTES             the same, in any number of writes
 *	relay  closed REASON        it took the closing step (enum close_reason), all sent was seen
 *	relay  close REASON [reset] the shell ends it
 *	lease  asked cpus=2 page=4096 transport=tcp protocol=v3
 *	lease  grant 20220 20221    or FIRST+COUNT
 *	lease  refuse EDQUOT
 *	advance 50ms                ms, s, m, h
 *	room   100                  bytes of metadata that the worker takes from now on, all in all
 *	expect KEY=VALUE...         state, protocol, transport, cpus, page, metadata (bytes),
 *	                            metadata-end, unexpected, unread, reset, deadline (ms from now;
 *0: none), or any counter expect metadata BYTES       all of it
 *
 * BYTES: 0a ff  "text\0\n\"\\"  u32:N  zero:N  fill:N[@FROM] (N bytes of an endless pattern)
 *	v1-ports:FIRST+COUNT (also v2-, v3-)  ( BYTES )*N
 */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/counters.h"
#include "tests/talk/talk_relay.h"
#include "tests/talk/talk_script.h"

static const struct talk_script *script;
static const struct talk_line *line;
static const struct talk_mode *mode;
static bool verbose;

void talk_fail(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s:%d: in mode %s", script->path, line ? line->number : 0, mode->name);
	if (mode->kill_at)
		fprintf(stderr, "@%u", mode->kill_at);
	if (mode->seed)
		fprintf(stderr, ":%llu", (unsigned long long)mode->seed);
	fprintf(stderr, ": ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

/* ---- names ---- */

static const char *const protocols[PROTOCOL_COUNT] = {
	[PROTOCOL_UNKNOWN] = "unknown",           [PROTOCOL_TRACE_CMD_V1] = "v1",
	[PROTOCOL_TRACE_CMD_V2_2015] = "v2-2015", [PROTOCOL_TRACE_CMD_V2] = "v2",
	[PROTOCOL_TRACE_CMD_V3] = "v3",
};

static enum close_reason reason_of(const char *name)
{
	for (int i = CLOSE_none + 1; i < CLOSE_REASON_COUNT; i++)
		if (!strcmp(name, close_reason_name((enum close_reason)i)))
			return (enum close_reason)i;
	talk_fail("no close reason: %s", name);
}

static int errno_of(const char *name)
{
	static const struct {
		const char *name;
		int value;
	} names[] = {{"EADDRNOTAVAIL", EADDRNOTAVAIL},
		     {"EUSERS", EUSERS},
		     {"EDQUOT", EDQUOT},
		     {"EMFILE", EMFILE},
		     {"ENOMEM", ENOMEM},
		     {"ENOSPC", ENOSPC},
		     {"ECANCELED", ECANCELED},
		     {"EPERM", EPERM},
		     {"ESHUTDOWN", ESHUTDOWN},
		     {"EIO", EIO}};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(name, names[i].name))
			return -names[i].value;
	talk_fail("no error: %s", name);
}

static const char *transport_name(enum transport t)
{
	return t == TRANSPORT_TCP ? "tcp" : "udp";
}

/* ---- lines ---- */

static void dump(const char *what, const uint8_t *bytes, size_t len)
{
	fprintf(stderr, "%s (%zu bytes):", what, len);
	for (size_t i = 0; i < len && i < 64; i++)
		fprintf(stderr, " %02x", bytes[i]);
	fprintf(stderr, "%s\n", len > 64 ? " ..." : "");
}

static void same_bytes(const char *what, const uint8_t *got, size_t got_len)
{
	if (got_len == line->len && (!got_len || !memcmp(got, line->bytes, got_len)))
		return;
	dump("expected", line->bytes, line->len);
	dump("got     ", got, got_len);
	talk_fail("%s is not what was expected", what);
}

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
			if ((mode->kill_at || mode->kill_1_in) && n < strtoull(value, NULL, 10))
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

static void sent(struct talk_relay *r)
{
	bool exact = line->verb == TALK_RELAY_SENT && !mode->piece && !mode->seed &&
		     !mode->merged && !mode->kill_at;

	same_bytes("what the relay sent", r->to_client + r->to_client_seen,
		   r->to_client_len - r->to_client_seen);
	if (exact && line->len && r->writes != 1)
		talk_fail("the reply came in %u writes", r->writes);
	r->to_client_seen = r->to_client_len;
	r->writes = 0;
}

static void closed(struct talk_relay *r)
{
	enum close_reason reason = reason_of(line->text);

	if (r->to_client_seen != r->to_client_len && !r->client_deaf)
		talk_fail("%zu bytes were sent that the script does not know",
			  r->to_client_len - r->to_client_seen);
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

static void play_line(struct talk_relay *r)
{
	char key[64], value[64];
	const char *at = line->text;

	switch (line->verb) {
	case TALK_LIMITS:
		limits(r);
		break;
	case TALK_CONNECT:
		talk_relay_connect(r);
		break;
	case TALK_CLIENT_SENDS:
		talk_relay_client_sends(r, line->bytes, line->len);
		break;
	case TALK_CLIENT_EOF:
		r->client_ended = true;
		break;
	case TALK_CLIENT_RESET:
		r->client_reset = true;
		break;
	case TALK_CLIENT_DEAF:
		r->client_deaf = true;
		break;
	case TALK_RELAY_SENT:
	case TALK_RELAY_SENT_LOOSELY:
		sent(r);
		break;
	case TALK_RELAY_CLOSED:
		closed(r);
		break;
	case TALK_RELAY_CLOSE:
		if (talk_script_pair(&at, key, value))
			talk_relay_close(r, reason_of(key), strstr(at, "reset") != NULL);
		break;
	case TALK_LEASE_ASKED:
		asked(r);
		break;
	case TALK_LEASE_GRANT:
		grant(r);
		break;
	case TALK_LEASE_REFUSE:
		r->answer = errno_of(line->text);
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
		same_bytes("the metadata", r->metadata, (size_t)r->metadata_len);
		break;
	}
}

static bool from_client(const struct talk_line *l)
{
	return l->verb == TALK_CLIENT_SENDS || l->verb == TALK_CLIENT_EOF;
}

/* One replay. Return how many kills it had. */
static unsigned play(const struct talk_mode *m)
{
	const struct talk_line *end = script->line + script->lines;
	struct talk_relay r;

	mode = m;
	talk_relay_start(&r, m);
	line = NULL;
	talk_relay_settle(&r);
	for (line = script->line; line < end; line++) {
		bool more = line + 1 < end && from_client(line) && from_client(line + 1);

		play_line(&r);
		if (!(more && m->merged))
			talk_relay_settle(&r);
	}
	line = end - 1;
	if (r.to_client_seen != r.to_client_len && !r.client_deaf)
		talk_fail("the relay sent %zu bytes more than the script has",
			  r.to_client_len - r.to_client_seen);
	talk_relay_stop(&r);
	return r.kills;
}

static size_t client_bytes(void)
{
	size_t n = 0;

	for (size_t i = 0; i < script->lines; i++)
		if (script->line[i].verb == TALK_CLIENT_SENDS)
			n += script->line[i].len;
	return n;
}

/* A kill at each instant in turn, until a replay ends before the instant. */
static unsigned play_kills(struct talk_mode m)
{
	for (m.kill_at = 1; play(&m); m.kill_at++)
		;
	return m.kill_at - 1;
}

static bool chosen(const char *only, const char *name)
{
	return !only || !strcmp(only, name);
}

static void play_all(const char *only)
{
	static const struct talk_mode plain[] = {
		{.name = "whole"},
		{.name = "merged", .merged = true},
		{.name = "bytes", .piece = 1},
		{.name = "torn", .torn = true},
		{.name = "torn-bytes", .torn = true, .piece = 1},
	};
	unsigned replays = 0, kills = 0;

	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
		if (!chosen(only, plain[i].name))
			continue;
		play(&plain[i]);
		replays++;
	}
	for (uint64_t seed = 1; seed <= 16 && chosen(only, "pieces"); seed++, replays++)
		play(&(struct talk_mode){.name = "pieces", .seed = seed});
	for (uint64_t seed = 1; seed <= 4 && chosen(only, "torn-pieces"); seed++, replays++)
		play(&(struct talk_mode){.name = "torn-pieces", .seed = seed, .torn = true});
	for (uint64_t seed = 1; seed <= 24 && chosen(only, "storm"); seed++, replays++)
		kills += play(&(struct talk_mode){
			.name = "storm", .seed = seed, .kill_1_in = seed % 2 ? 7 : 23});
	if (chosen(only, "kill"))
		kills += play_kills((struct talk_mode){.name = "kill"});
	if (chosen(only, "kill-merged"))
		kills += play_kills((struct talk_mode){.name = "kill-merged", .merged = true});
	if (chosen(only, "kill-bytes") && client_bytes() <= 120)
		kills += play_kills((struct talk_mode){.name = "kill-bytes", .piece = 1});
	if (verbose)
		printf("%s: %u replays, %u kills\n", script->path, replays, kills);
}

int main(int argc, char **argv)
{
	const char *only = NULL;
	struct talk_script s;
	int i = 1;

	for (; i < argc && argv[i][0] == '-'; i++) {
		if (!strcmp(argv[i], "-v"))
			verbose = true;
		else if (!strcmp(argv[i], "-m") && i + 1 < argc)
			only = argv[++i];
		else
			break;
	}
	if (i >= argc) {
		fprintf(stderr, "usage: talk [-v] [-m MODE] SCRIPT...\n");
		return 2;
	}
	for (; i < argc; i++) {
		talk_script_load(argv[i], &s);
		script = &s;
		play_all(only);
		talk_script_free(&s);
	}
	return 0;
}
