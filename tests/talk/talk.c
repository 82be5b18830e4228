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
 * A script of LTTng begins with a line of its own:
 *
 *	lttng    minor=4-7 [clear=no]  announced; played for each of them
 *	connect                        another connection in the place of the present one
 *	use b                          the lines behind are of that connection; made if it is new
 *	lease    hold | refuse EDQUOT | grant    what sessiond-lite does from now on (grant)
 *	worker   holds | applies       orders wait from now on; none waits any more
 *	worker   data STREAM SEQ       the packet is stored
 *	worker   behind BYTES          as if so many bytes of orders waited; it holds
 *	order    TYPE KEY=VALUE...     the connection's next order: stream, number, value, flag,
 *bytes order    nothing               it has no further one limits   also message=1M; expect also
 *streams, sources, orders (of all connections)
 *
 * It is also cut behind every byte, and what was ordered, and by whom, must be the same in every
 * replay.
 *
 * BYTES: 0a ff  "text\0\n\"\\"  u32:N  zero:N  fill:N[@FROM] (N bytes of an endless pattern)
 *	v1-ports:FIRST+COUNT (also v2-, v3-)  ( BYTES )*N
 *	u64:N  minor  stream:N  session:N (handles)  field:N"text" (garbage behind it)
 *	NAME[ BYTES ]  a message with its header: VERSION, ADD_STREAM, ... or cmd:N; NAME=SIZE[ ...
 *] claims another size
 */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/counters.h"
#include "tests/talk/talk.h"

#define KILLS_LTTNG 400u

static const struct talk_script *script;
static const struct talk_line *line;
static const struct talk_mode *mode;
static bool verbose;
static bool known_layout; /* a minor that differs from the one before in its number only */

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

/* ---- for the players ---- */

enum close_reason talk_reason(const char *name)
{
	for (int i = CLOSE_none + 1; i < CLOSE_REASON_COUNT; i++)
		if (!strcmp(name, close_reason_name((enum close_reason)i)))
			return (enum close_reason)i;
	talk_fail("no close reason: %s", name);
}

int talk_errno(const char *name)
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

static void dump(const char *what, const uint8_t *bytes, size_t len)
{
	fprintf(stderr, "%s (%zu bytes):", what, len);
	for (size_t i = 0; i < len && i < 64; i++)
		fprintf(stderr, " %02x", bytes[i]);
	fprintf(stderr, "%s\n", len > 64 ? " ..." : "");
}

void talk_same_bytes(const struct talk_line *l, const char *what, const uint8_t *got,
		     size_t got_len)
{
	if (got_len == l->len && (!got_len || !memcmp(got, l->bytes, got_len)))
		return;
	dump("expected", l->bytes, l->len);
	dump("got     ", got, got_len);
	talk_fail("%s is not what was expected", what);
}

bool talk_mode_is_plain(const struct talk_mode *m)
{
	return !m->piece && !m->seed && !m->merged && !m->kill_at;
}

/* ---- replays ---- */

static bool from_client(const struct talk_line *l)
{
	return l->verb == TALK_CLIENT_SENDS || l->verb == TALK_CLIENT_EOF || l->verb == TALK_USE;
}

static bool of_lttng(void)
{
	return script->line[0].verb == TALK_LTTNG;
}

/* One replay. Return how many kills it had. */
static unsigned play(const struct talk_mode *m)
{
	const struct talk_player *player = of_lttng() ? &talk_lttng : &talk_trace_cmd;
	const struct talk_line *end = script->line + script->lines;

	mode = m;
	line = NULL;
	player->start(m, script);
	if (!of_lttng())
		player->settle();
	for (line = script->line; line < end; line++) {
		bool more = line + 1 < end && from_client(line) && from_client(line + 1);

		player->play(line);
		if (!(more && m->merged))
			player->settle();
	}
	line = end - 1;
	return player->stop(script);
}

static size_t client_bytes(void)
{
	size_t n = 0;

	for (size_t i = 0; i < script->lines; i++)
		if (script->line[i].verb == TALK_CLIENT_SENDS)
			n += script->line[i].len;
	return n;
}

/* A kill at each instant in turn, until a replay ends before the instant. Of LTTng, whose state
 * memory costs more, at so many of them; -m takes them all. */
static unsigned play_kills(struct talk_mode m, bool all)
{
	unsigned step = 1, kills = 0;

	m.kill_at = UINT_MAX;
	play(&m);
	if (of_lttng() && !all)
		step = 1 + talk_instants / KILLS_LTTNG;
	for (m.kill_at = 1 + talk_instants % step; play(&m); m.kill_at += step)
		kills++;
	return kills;
}

/* Cut behind each byte; of long scripts behind every so many. */
static unsigned play_cuts(void)
{
	struct talk_mode m = {.name = "cut", .cut = true};
	size_t all = client_bytes(), step = 1 + all / 400;
	unsigned n = 0;

	for (; m.cut_at < all; m.cut_at += step, n++)
		play(&m);
	return n;
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
		/* Each byte of LTTng would map all of the state memory anew. */
		if (plain[i].torn && plain[i].piece && of_lttng() && client_bytes() > 600)
			continue;
		play(&plain[i]);
		replays++;
	}
	for (uint64_t seed = 1; seed <= 16 && chosen(only, "pieces"); seed++, replays++)
		play(&(struct talk_mode){.name = "pieces", .seed = seed});
	if (known_layout && !only)
		return;
	for (uint64_t seed = 1; seed <= 4 && chosen(only, "torn-pieces"); seed++, replays++)
		play(&(struct talk_mode){.name = "torn-pieces", .seed = seed, .torn = true});
	for (uint64_t seed = 1; seed <= 24 && chosen(only, "storm"); seed++, replays++)
		kills += play(&(struct talk_mode){
			.name = "storm", .seed = seed, .kill_1_in = seed % 2 ? 7 : 23});
	if (chosen(only, "cut") && of_lttng())
		replays += play_cuts();
	if (chosen(only, "kill"))
		kills += play_kills((struct talk_mode){.name = "kill"}, only);
	if (chosen(only, "kill-merged"))
		kills +=
			play_kills((struct talk_mode){.name = "kill-merged", .merged = true}, only);
	if (chosen(only, "kill-bytes") && client_bytes() <= 120)
		kills += play_kills((struct talk_mode){.name = "kill-bytes", .piece = 1}, only);
	if (verbose)
		printf("%s: %u replays, %u kills%s%.0u\n", script->path, replays, kills,
		       script->minor ? ", minor " : "", script->minor);
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
	setenv("TZ", "UTC0", 1); /* times are part of names in replies */
	for (; i < argc; i++) {
		unsigned minor = 0;

		do {
			talk_script_load(argv[i], minor, &s);
			script = &s;
			known_layout = minor;
			play_all(only);
			minor = s.minor < s.minor_last ? s.minor + 1 : 0;
			talk_script_free(&s);
		} while (minor);
	}
	return 0;
}
