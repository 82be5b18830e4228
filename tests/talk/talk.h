/* SPDX-License-Identifier: MIT */
/*
 * talk.h - what the two players of scripts share: how a replay cuts and kills, and how it fails.
 *
 * A player has the surroundings of one protocol's conversations: talk_trace_cmd.c, talk_lttng.c.
 */
#ifndef TRACERELAY_TESTS_TALK_TALK_H
#define TRACERELAY_TESTS_TALK_TALK_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/counters.h"
#include "tests/talk/talk_script.h"

/* How a replay cuts, and kills. */
struct talk_mode {
	const char *name;
	size_t piece;       /* bytes of a receive, a send; 0: all there are */
	uint64_t seed;      /* other than 0: pieces of random lengths, sends that find no room */
	bool merged;        /* what the client sends in a row is there before the relay looks */
	bool torn;          /* killed and resumed between all calls */
	unsigned kill_at;   /* killed once, at that instant (1, 2, ...); 0: not */
	unsigned kill_1_in; /* killed at random, once in so many instants; 0: not */
	bool cut;           /* LTTng: the clients end behind so many bytes: */
	size_t cut_at;
};

extern unsigned talk_instants; /* at which a kill could have struck the last replay */

struct talk_player {
	void (*start)(const struct talk_mode *mode, const struct talk_script *script);
	void (*play)(const struct talk_line *line);
	/* Take turns until nothing moves any more. */
	void (*settle)(void);
	/* Nothing may be left that the script does not know. Return how many kills there were. */
	unsigned (*stop)(const struct talk_script *script);
};
extern const struct talk_player talk_trace_cmd, talk_lttng;

/* Says what is wrong and where, and ends the program. */
__attribute__((noreturn, format(printf, 1, 2))) void talk_fail(const char *fmt, ...);

void talk_same_bytes(const struct talk_line *line, const char *what, const uint8_t *got,
		     size_t got_len);
enum close_reason talk_reason(const char *name);
int talk_errno(const char *name); /* negative */
/* The mode cuts nothing, so that a reply comes in one write. */
bool talk_mode_is_plain(const struct talk_mode *mode);

#endif
