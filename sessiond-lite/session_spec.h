/* SPDX-License-Identifier: MIT */
/*
 * session_spec.h - what create-session asks for: name, rules, own control ports, policy.
 *
 * Life:   session_spec_from_json() to session_spec_free(). Plain data.
 * Thread: any; no I/O but what rules.h says.
 * Errors: negative errno and a refusal that names the parameter; outputs only on success.
 * Source: design.md section 7; doc/control.md (session.create). Test: tests/unit/session_spec.c.
 */
#ifndef TRACERELAY_SESSIOND_LITE_SESSION_SPEC_H
#define TRACERELAY_SESSIOND_LITE_SESSION_SPEC_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "common/addr.h"
#include "common/state.h"
#include "sessiond-lite/refusal.h"
#include "sessiond-lite/rules.h"

#define SESSION_LISTENERS_MAX 16u

/* Smallest rotation asked for: less would make more files than data. */
#define SESSION_ROTATE_SIZE_MIN    65536u
#define SESSION_ROTATE_TIME_MIN_MS 1000u

struct session_spec {
	char name[STATE_NAME];
	uint64_t rotate_size;    /* data bytes of a chunk; 0: off */
	uint64_t rotate_time_ms; /* 0: off */
	uint32_t keep_chunks;    /* per source; 0: all */
	size_t n_rules, n_listeners;
	struct rule *rules;     /* [n_rules] */
	struct addr *listeners; /* [n_listeners]: trace-cmd control ports of its own */
};

/* From the parameters of session.create. An unknown one is a mistake, not passed over. */
int session_spec_from_json(const json_t *params, struct session_spec **ret, struct refusal *why);
void session_spec_free(struct session_spec *spec); /* NULL is a no-op */

/* Add the parameters, but for the name, to an object. 0 or -ENOMEM. */
int session_spec_to_json(const struct session_spec *spec, json_t *object);

/* "trace-cmd:127.0.0.1:12346", "trace-cmd:[::]:12346". */
#define SESSION_LISTENER_TEXT (ADDR_TEXT_MAX + 16)
int session_listener_parse(const char *text, struct addr *ret, struct refusal *why);
char *session_listener_format(const struct addr *at, char buf[SESSION_LISTENER_TEXT]);

#endif
