/* SPDX-License-Identifier: MIT */
/* session.c - the list, the slots, the jobs. */
#include "sessiond-lite/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"

/* ---- slots ---- */

struct session_slot *session_slot(const struct session *s)
{
	return &s->registry->st->session[s->slot];
}

void session_changed(const struct session *s)
{
	const struct registry_hooks *hooks = &s->registry->config.hooks;

	hooks->session_changed(hooks->context, s->slot);
}

/* A connection that came to a port of the slot's last session would be taken for the next one's. */
static bool slot_is_claimed(const struct state *st, uint32_t index)
{
	uint32_t high = atomic_load(&st->header->high_conversation);

	for (uint32_t i = 0; i < high; i++)
		if (atomic_load(&st->conversation[i].id) &&
		    st->conversation[i].own_session == index + 1)
			return true;
	return false;
}

static int find_slot(const struct state *st, uint32_t *ret)
{
	for (uint32_t i = 0; i < STATE_SESSIONS; i++)
		if (!atomic_load(&st->session[i].id) && !slot_is_claimed(st, i)) {
			*ret = i;
			return 0;
		}
	return -ENOSPC;
}

/* The id comes last: with it the slot can be seen. */
static void publish(const struct session *s)
{
	struct state_header *header = s->registry->st->header;
	struct session_slot *slot = session_slot(s);
	const struct session_spec *spec = s->row.spec;

	memcpy(slot->name, spec->name, sizeof(slot->name));
	atomic_store(&slot->stopped, s->row.stopped);
	atomic_store(&slot->ending, s->row.ending);
	atomic_store(&slot->keep_chunks, spec->keep_chunks);
	atomic_store(&slot->rotation_orders, 0);
	atomic_store(&slot->rotate_size, spec->rotate_size);
	atomic_store(&slot->rotate_time_ms, spec->rotate_time_ms);
	if (s->slot >= atomic_load(&header->high_session))
		atomic_store(&header->high_session, s->slot + 1);
	atomic_store_explicit(&slot->id, atomic_fetch_add(&header->next_id, 1),
			      memory_order_release);
}

void registry_count_sources(const struct registry *r, struct source_count ret[STATE_SESSIONS])
{
	uint32_t high = atomic_load(&r->st->header->high_source);

	memset(ret, 0, STATE_SESSIONS * sizeof(*ret));
	for (uint32_t i = 0; i < high; i++) {
		const struct source_slot *source = &r->st->source[i];
		uint32_t session = atomic_load(&source->id) ? atomic_load(&source->session) : 0;

		if (!session)
			continue;
		ret[session - 1].all++;
		ret[session - 1].lttng += source->protocol == PROTOCOL_LTTNG;
	}
}

struct source_count session_count_sources(const struct session *s)
{
	struct source_count counts[STATE_SESSIONS];

	registry_count_sources(s->registry, counts);
	return counts[s->slot];
}

/* ---- the list ---- */

void session_free(struct session *s)
{
	session_spec_free(s->row.spec);
	free(s->listening);
	free(s);
}

int session_add(struct registry *r, const struct session_row *row, struct session **ret)
{
	struct session *s = calloc(1, sizeof(*s)), **place;
	size_t n = row->spec->n_listeners;
	int error = -ENOMEM;

	if (!s)
		return -ENOMEM;
	s->registry = r;
	s->listening = calloc(n ? n : 1, sizeof(*s->listening));
	if (s->listening)
		error = find_slot(r->st, &s->slot);
	if (error < 0) {
		session_free(s);
		return error;
	}
	s->row = *row;
	publish(s);
	for (place = &r->first; *place;)
		place = &(*place)->next;
	*place = s;
	*ret = s;
	return 0;
}

void session_forget(struct session *s)
{
	struct session **place = &s->registry->first;

	while (*place != s)
		place = &(*place)->next;
	*place = s->next;
	atomic_store(&session_slot(s)->id, 0);
	session_changed(s);
	session_free(s);
}

struct session *session_by_name(const struct registry *r, const char *name)
{
	struct session *s = r->first;

	while (s && strcmp(s->row.spec->name, name) != 0)
		s = s->next;
	return s;
}

/* ---- operations ---- */

void session_answer(struct session *s, const struct refusal *why)
{
	registry_done *done = s->done;

	s->done = NULL;
	if (done)
		done(s->context, why);
}

static void on_done(void *context, int error, const char *cause)
{
	static struct log_limit limit = LOG_LIMIT_USUAL;
	struct session *s = context;
	const char *path = database_path(s->registry->config.database);
	struct refusal why;

	s->busy = false;
	if (s->registry->stopped) {
		refusal_set(&why, -ESHUTDOWN, "shutdown", "the relay is being shut down");
		session_answer(s, &why);
		return;
	}
	if (error == 0) {
		s->then(s);
		return;
	}
	refusal_set(&why, error, "database", "nothing was changed, since %s cannot be written: %s",
		    path, cause);
	log_limited(&limit, LOG_LEVEL_ERROR, NULL, "database-failed", "session \"%s\": %s",
		    s->row.spec->name, why.sentence);
	if (s->failed)
		s->failed(s, &why);
	else
		session_answer(s, &why);
}

void session_submit(struct session *s, database_work *work, void (*then)(struct session *s),
		    void (*failed)(struct session *s, const struct refusal *why))
{
	s->busy = true;
	s->then = then;
	s->failed = failed;
	s->job = (struct database_job){.work = work, .done = on_done, .context = s};
	database_submit(s->registry->config.database, &s->job);
}
