/* SPDX-License-Identifier: MIT */
/* session_ports.c - through the registry's hooks to the listeners. */
#include "sessiond-lite/session_ports.h"

#include <string.h>

#include "common/log.h"

#define RETRY_MS 10000

static int open_one(struct session *s, size_t i, struct refusal *why)
{
	const struct registry_hooks *hooks = &s->registry->config.hooks;
	struct addr *at = &s->row.spec->listeners[i], bound;
	int r = hooks->listen(hooks->context, s->slot, at, &bound, why);

	if (r < 0)
		return r;
	*at = bound; /* of port 0: the same one after a restart */
	s->listening[i] = true;
	return 0;
}

int session_ports_open(struct session *s, struct refusal *why)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->row.spec->n_listeners; i++)
		r = open_one(s, i, why);
	if (r < 0)
		session_ports_close(s);
	return r;
}

void session_ports_close(struct session *s)
{
	const struct registry_hooks *hooks = &s->registry->config.hooks;
	size_t n = s->row.spec->n_listeners;

	if (n)
		hooks->unlisten(hooks->context, s->slot);
	memset(s->listening, 0, n * sizeof(*s->listening));
}

/* True if all are open now. */
static bool reopen(struct session *s, bool first_try)
{
	char text[SESSION_LISTENER_TEXT];
	struct refusal why;
	bool all = true;

	for (size_t i = 0; i < s->row.spec->n_listeners; i++) {
		if (s->listening[i])
			continue;
		session_listener_format(&s->row.spec->listeners[i], text);
		if (open_one(s, i, &why) < 0) {
			all = false;
			if (first_try)
				log_error("not-listening",
					  "session \"%s\" goes without %s until it can be had: %s",
					  s->row.spec->name, text, why.sentence);
		} else if (!first_try) {
			log_info("listening", "session \"%s\" has %s again", s->row.spec->name,
				 text);
		}
	}
	return all;
}

static void try_all(struct registry *r, bool first_try);

static void on_retry(uv_timer_t *timer)
{
	try_all(timer->data, false);
}

static void try_all(struct registry *r, bool first_try)
{
	bool all = true;

	for (struct session *s = r->first; s; s = s->next)
		if (s->state == SESSION_LIVE && !reopen(s, first_try))
			all = false;
	if (!all)
		uv_timer_start(&r->retry, on_retry, RETRY_MS, 0);
}

void session_ports_reopen(struct registry *r)
{
	try_all(r, true);
}
