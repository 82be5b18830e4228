/* SPDX-License-Identifier: MIT */
/*
 * rules.h - which session claims a client.
 *
 * A rule is one --match: its keys are ANDed. A session has several rules, which are ORed. The
 * order among sessions, `default` and the ports that belong to one session are the registry's.
 *
 *	host  a pattern with * ? [] over the whole node name, upper and lower case told apart
 *	addr  a prefix (10.0.0.0/8) or an address; an IPv4 one matches IPv4 peers only
 *	proto trace-cmd (every version), trace-cmd-v1, trace-cmd-v2 (both dialects), trace-cmd-v3,
 *lttng port  the port of ours that the client connected to
 *
 * A rule with host matches only a client whose node name is known: V3 of trace-cmd tells it (when
 * its metadata is complete), and LTTng from protocol 2.4 on. Others never do, so such a rule never
 * claims them.
 *
 * Pure: no I/O but for the interface of a link-local address, looked up when a rule is read.
 * Thread: any. Errors: negative errno; outputs only on success.
 * Source: design.md section 7. Test: tests/unit/rules.c.
 */
#ifndef TRACERELAY_SESSIOND_LITE_RULES_H
#define TRACERELAY_SESSIOND_LITE_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "common/addr.h"
#include "common/state.h"
#include "sessiond-lite/refusal.h"

#define RULE_HOST_MAX    256u /* bytes, NUL included */
#define RULES_MAX        64u  /* of one session */
#define RULE_ADDR_TEXT   80u
#define SESSION_NAME_MAX (STATE_NAME - 1) /* characters */

/* What is known of a source when its session is chosen. */
struct match_subject {
	const char *host; /* node name; NULL: none known */
	struct addr peer;
	enum protocol protocol;
	uint16_t local_port;
	uint32_t own_session; /* 1 + index of the session that owns the port, or 0 */
};

struct rule {
	char host[RULE_HOST_MAX];       /* "": any */
	char addr_text[RULE_ADDR_TEXT]; /* as it was written; "": any */
	struct addr_range addr;
	uint32_t protocols; /* a bit (1 << enum protocol) each */
	const char *proto;  /* the name for them; NULL: any */
	uint16_t port;      /* 0: any */
};

bool rule_matches(const struct rule *rule, const struct match_subject *subject);

/* Whether one of n rules matches; without rules: no. */
bool rules_match(const struct rule *rules, size_t n, const struct match_subject *subject);

/*
 * From {"host": "web*", "addr": "10.0.0.0/8", "proto": "trace-cmd", "port": 12345}, each key
 * optional, at least one there.
 * Return 0; -EINVAL: why, naming the key.
 */
int rule_from_json(const json_t *object, struct rule *ret, struct refusal *why);

/* What rule_from_json() reads; NULL without memory. */
json_t *rule_to_json(const struct rule *rule);

/*
 * A session's name is a directory's name too: a letter or a digit, then letters, digits, '.', '_'
 * and '-', at most SESSION_NAME_MAX, and no file of ours (catalog.db and what SQLite puts beside).
 * Return 0; -EINVAL: why.
 */
int session_name_check(const char *name, struct refusal *why);

#endif
