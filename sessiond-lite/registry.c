/* SPDX-License-Identifier: MIT */
/* registry.c - what is asked of the sessions, and how they come and go. */
#include "sessiond-lite/registry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "sessiond-lite/clock.h"
#include "sessiond-lite/session.h"
#include "sessiond-lite/session_end.h"
#include "sessiond-lite/session_ports.h"
#include "sessiond-lite/source_numbers.h"

/* ---- operations ---- */

/* A session that may be changed now, or NULL and why not. */
static struct session *to_change(const struct registry *r, const char *name, struct refusal *why)
{
	struct session_info info;
	struct session *s;

	if (registry_find(r, name, &info, why) < 0)
		return NULL;
	s = session_by_name(r, name);
	if (s->state == SESSION_ENDING) {
		refusal_set(why, -EBUSY, "ending", "session \"%s\" is being destroyed", name);
		return NULL;
	}
	if (s->busy) {
		refusal_set(why, -EBUSY, "busy",
			    "session \"%s\" is being changed by somebody else just now; try again",
			    name);
		return NULL;
	}
	return s;
}

static void created(struct session *s)
{
	s->state = SESSION_LIVE;
	log_info("session-created", "session \"%s\" was created", s->row.spec->name);
	session_changed(s);
	session_answer(s, NULL);
}

static void not_created(struct session *s, const struct refusal *why)
{
	s->row.id = 0;
	session_answer(s, why);
	session_end_begin(s); /* a client may have come to its port already */
}

static int insert(sqlite3 *db, void *context)
{
	struct session *s = context;

	return session_rows_insert(db, &s->row, &s->row.id);
}

static int begin_create(struct registry *r, struct session_spec *spec, struct session **ret,
			struct refusal *why)
{
	struct session_row row = {.spec = spec, .created_ns = clock_realtime_ns()};
	const struct session *other = session_by_name(r, spec->name);
	int error;

	if (other && other->state == SESSION_ENDING)
		return refusal_set(
			why, -EEXIST, "ending",
			"session \"%s\" is still being destroyed; wait until it is gone, or "
			"take another name",
			spec->name);
	if (other)
		return refusal_set(why, -EEXIST, "exists",
				   "session \"%s\" exists already; relayctl show %s shows it",
				   spec->name, spec->name);
	error = session_add(r, &row, ret);
	if (error == -ENOSPC)
		return refusal_set(
			why, error, "too-many",
			"there are %u sessions, and no more are possible; destroy one first",
			STATE_SESSIONS);
	return error < 0 ? refusal_set(why, error, "no-memory", "no memory") : 0;
}

void registry_create_session(struct registry *r, struct session_spec *spec, registry_done *done,
			     void *context)
{
	struct session *s;
	struct refusal why;

	if (begin_create(r, spec, &s, &why) < 0) {
		session_spec_free(spec);
		done(context, &why);
		return;
	}
	s->state = SESSION_PENDING;
	if (session_ports_open(s, &why) < 0) {
		session_forget(s);
		done(context, &why);
		return;
	}
	s->done = done;
	s->context = context;
	session_submit(s, insert, created, not_created);
}

static void stopped_or_started(struct session *s)
{
	s->row.stopped = s->stopped_next;
	atomic_store(&session_slot(s)->stopped, s->row.stopped);
	log_info("session-changed", "session \"%s\" was %s", s->row.spec->name,
		 s->row.stopped ? "stopped" : "started");
	session_changed(s);
	session_answer(s, NULL);
}

static int set_stopped(sqlite3 *db, void *context)
{
	struct session *s = context;

	return session_rows_set_stopped(db, s->row.id, s->stopped_next);
}

void registry_set_stopped(struct registry *r, const char *name, bool stopped, registry_done *done,
			  void *context)
{
	struct refusal why;
	struct session *s = to_change(r, name, &why);

	if (!s) {
		done(context, &why);
		return;
	}
	if (s->row.stopped == stopped) {
		done(context, NULL);
		return;
	}
	s->stopped_next = stopped;
	s->done = done;
	s->context = context;
	session_submit(s, set_stopped, stopped_or_started, NULL);
}

int registry_rotate(struct registry *r, const char *name, struct source_count *ret,
		    struct refusal *why)
{
	struct session *s = to_change(r, name, why);
	struct source_count count;

	if (!s)
		return -ENOENT;
	if (s->row.stopped)
		return refusal_set(
			why, -EPERM, "stopped",
			"session \"%s\" is stopped, so it has no open chunk; relayctl start %s "
			"starts it",
			name, name);
	count = session_count_sources(s);
	if (count.lttng && count.lttng == count.all)
		return refusal_set(
			why, -EPERM, "lttng",
			"session \"%s\" has sources of LTTng only, and only their own client can "
			"order a rotation: use lttng rotate or lttng enable-rotation on their "
			"hosts",
			name);
	atomic_fetch_add(&session_slot(s)->rotation_orders, 1);
	session_changed(s);
	*ret = count;
	return 0;
}

static void ending(struct session *s)
{
	log_info("session-ending", "session \"%s\" is being destroyed", s->row.spec->name);
	session_end_begin(s);
}

static int mark_ending(sqlite3 *db, void *context)
{
	struct session *s = context;

	return session_rows_set_ending(db, s->row.id, s->row.delete_data);
}

void registry_destroy_session(struct registry *r, const char *name, bool delete_data,
			      registry_done *done, void *context)
{
	struct session *s = session_by_name(r, name);
	struct refusal why;

	if (strcmp(name, SESSION_DEFAULT) == 0) {
		refusal_set(
			&why, -EPERM, "default",
			"session \"default\" cannot be destroyed, since it takes every client that "
			"no other session claims; relayctl stop default stops it");
		done(context, &why);
		return;
	}
	/* One whose end failed may be destroyed again, with its data or without. */
	if (!s || s->state != SESSION_ENDING || !s->note[0] || s->busy)
		s = to_change(r, name, &why);
	if (!s) {
		done(context, &why);
		return;
	}
	s->row.delete_data = delete_data;
	s->done = done;
	s->context = context;
	session_submit(s, mark_ending, ending, NULL);
}

void registry_source_ended(struct registry *r, uint32_t session)
{
	for (struct session *s = r->first; s; s = s->next)
		if (s->slot == session) {
			if (s->sources_left)
				s->sources_left--;
			session_end_step(s);
			return;
		}
}

/* ---- questions ---- */

int registry_match(struct registry *r, const struct match_subject *subject)
{
	if (subject->own_session) {
		for (const struct session *s = r->first; s; s = s->next)
			if (s->slot + 1 == subject->own_session && s->state != SESSION_ENDING)
				return (int)s->slot;
		return -ECANCELED;
	}
	for (const struct session *s = r->first; s; s = s->next)
		if (s->state == SESSION_LIVE &&
		    rules_match(s->row.spec->rules, s->row.spec->n_rules, subject))
			return (int)s->slot;
	return (int)session_by_name(r, SESSION_DEFAULT)->slot;
}

int registry_next_source_number(struct registry *r, uint64_t *ret)
{
	return source_numbers_take(r->numbers, clock_monotonic_ms(), ret);
}

static void describe(const struct session *s, struct session_info *ret)
{
	*ret = (struct session_info){.spec = s->row.spec,
				     .state = s->state,
				     .stopped = s->row.stopped,
				     .created_ns = s->row.created_ns,
				     .slot = s->slot,
				     .ending_note = s->note};
	for (size_t i = 0; i < s->row.spec->n_listeners; i++)
		ret->not_listening += !s->listening[i];
}

bool registry_next(const struct registry *r, size_t *position, struct session_info *ret)
{
	const struct session *s = r->first;

	for (size_t i = 0; s && i < *position; i++)
		s = s->next;
	if (!s)
		return false;
	++*position;
	describe(s, ret);
	return true;
}

int registry_find(const struct registry *r, const char *name, struct session_info *ret,
		  struct refusal *why)
{
	const struct session *s = session_by_name(r, name);

	if (!s)
		return refusal_set(
			why, -ENOENT, "not-found",
			"session \"%.80s\" does not exist; relayctl list shows the sessions", name);
	describe(s, ret);
	return 0;
}

/* ---- life ---- */

struct load {
	struct registry *registry;
	struct refusal why;
};

static int load_one(void *context, const struct session_row *row)
{
	struct registry *r = context;
	struct session *s;
	int error = session_add(r, row, &s);

	if (error < 0) {
		session_spec_free(row->spec);
		return error;
	}
	s->state = row->ending ? SESSION_ENDING : SESSION_LIVE;
	return 0;
}

static int make_default(sqlite3 *db)
{
	struct session_spec spec = {.name = SESSION_DEFAULT};
	struct session_row row = {.spec = &spec, .created_ns = clock_realtime_ns()};
	int64_t id;
	int r = session_rows_insert(db, &row, &id);

	return r == -EEXIST ? 0 : r;
}

static int load(sqlite3 *db, void *context)
{
	struct load *l = context;
	int r = make_default(db);

	return r < 0 ? r : session_rows_load(db, load_one, l->registry, &l->why);
}

static void on_numbers(void *context)
{
	struct registry *r = context;

	if (!r->stopped)
		r->config.hooks.numbers_ready(r->config.hooks.context);
}

int registry_create(const struct registry_config *config, struct registry **ret,
		    struct refusal *why)
{
	struct registry *r = calloc(1, sizeof(*r));
	struct load l = {.registry = r};
	int error;

	if (!r)
		return refusal_set(why, -ENOMEM, "no-memory", "no memory");
	r->config = *config;
	r->st = config->st;
	error = database_run(config->database, load, &l, why);
	if (error < 0 && l.why.reason)
		refusal_set(why, error, "database", "%s cannot be used: %s",
			    database_path(config->database), l.why.sentence);
	if (error == 0)
		error = source_numbers_create(config->database, on_numbers, r, &r->numbers, why);
	if (error < 0) {
		registry_free(r);
		return error;
	}
	uv_timer_init(config->loop, &r->retry);
	r->retry.data = r;
	*ret = r;
	return 0;
}

void registry_start(struct registry *r)
{
	struct session *next;

	session_ports_reopen(r);
	for (struct session *s = r->first; s; s = next) {
		next = s->next;
		session_end_step(s);
	}
}

void registry_stop(struct registry *r)
{
	struct refusal why;

	r->stopped = true;
	atomic_store(&r->cancel, true);
	/* Those that are under way are answered when they are done. */
	refusal_set(&why, -ESHUTDOWN, "shutdown",
		    "the relay is being shut down; what is ending has ended when it starts again");
	for (struct session *s = r->first; s; s = s->next)
		if (!s->busy)
			session_answer(s, &why);
	uv_close((uv_handle_t *)&r->retry, NULL);
}

void registry_free(struct registry *r)
{
	struct session *s;

	if (!r)
		return;
	while ((s = r->first)) {
		r->first = s->next;
		session_free(s);
	}
	source_numbers_free(r->numbers);
	free(r);
}
