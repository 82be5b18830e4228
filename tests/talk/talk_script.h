/* SPDX-License-Identifier: MIT */
/*
 * talk_script.h - a conversation as it is written in a *.talk file (language: head of talk.c).
 * Life: talk_script_load() to talk_script_free(). A mistake in the script ends the program with
 * its line, since nothing can be tested then.
 */
#ifndef TRACERELAY_TESTS_TALK_SCRIPT_H
#define TRACERELAY_TESTS_TALK_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum talk_verb {
	TALK_LIMITS, /* text: KEY=VALUE... */
	TALK_CONNECT,
	TALK_CLIENT_SENDS, /* bytes */
	TALK_CLIENT_EOF,
	TALK_CLIENT_RESET,
	TALK_CLIENT_DEAF,        /* sends to it fail from now on */
	TALK_RELAY_SENT,         /* bytes */
	TALK_RELAY_SENT_LOOSELY, /* bytes */
	TALK_RELAY_CLOSED,       /* text: REASON */
	TALK_RELAY_CLOSE,        /* text: REASON [reset] */
	TALK_LEASE_ASKED,        /* text: KEY=VALUE... */
	TALK_LEASE_GRANT,        /* text: PORT... or FIRST+COUNT */
	TALK_LEASE_REFUSE,       /* text: -errno's name */
	TALK_ADVANCE,            /* number: milliseconds */
	TALK_ROOM,               /* number: bytes of metadata the worker can take altogether */
	TALK_EXPECT,             /* text: KEY=VALUE... */
	TALK_EXPECT_METADATA,    /* bytes */
	/* LTTng */
	TALK_LTTNG,      /* text: KEY=VALUE...; the first line of its scripts */
	TALK_USE,        /* text: a connection's name */
	TALK_LEASE_HOLD, /* sessiond-lite answers later */
	TALK_WORKER,     /* text: holds | applies | data STREAM SEQ */
	TALK_ORDER,      /* text: TYPE KEY=VALUE... */
};

struct talk_line {
	int number; /* in the file, from 1 */
	enum talk_verb verb;
	char *text; /* owned; "" if none */
	uint64_t value;
	uint8_t *bytes; /* owned */
	size_t len;
};

struct talk_script {
	const char *path;
	struct talk_line *line; /* owned */
	size_t lines;
	unsigned minor, minor_last; /* LTTng: the one that is played, and the last to play */
};

/* @minor: of LTTng, as which the script is read; 0: as the first that it names. */
void talk_script_load(const char *path, unsigned minor, struct talk_script *ret);
void talk_script_free(struct talk_script *s);

/* "10s", "64M", "500": with s, m, h (to milliseconds) or K, M (to bytes); else -1. */
int64_t talk_script_quantity(const char *text);

/* The next KEY=VALUE (or KEY alone, with value "") of a text; false at its end. */
bool talk_script_pair(const char **at, char key[64], char value[64]);

#endif
