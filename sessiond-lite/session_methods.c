/* SPDX-License-Identifier: MIT */
/* session_methods.c - session.*: parameters to the registry, sessions to JSON. */
#include "sessiond-lite/methods.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An answer to session.destroy does not wait longer for sources to end. */
#define DESTROY_MS 5000

/* ---- a session as JSON ---- */

static const char *state_name(const struct session_info *info)
{
	if (info->state == SESSION_PENDING)
		return "creating";
	if (info->state == SESSION_ENDING)
		return "ending";
	return info->stopped ? "stopped" : "active";
}

static json_t *session_json(const struct method_subjects *s, const struct session_info *info,
			    const struct source_count sources[STATE_SESSIONS])
{
	struct chunk_total total;
	json_t *o;

	catalog_total(s->catalog, info->spec->name, &total);
	o = json_pack("{s:s, s:s, s:I, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s}", "name",
		      info->spec->name, "state", state_name(info), "created_ns",
		      (json_int_t)info->created_ns, "directory",
		      json_sprintf("%s/%s", s->options->output.dir, info->spec->name), "sources",
		      (json_int_t)sources[info->slot].all, "lttng_sources",
		      (json_int_t)sources[info->slot].lttng, "chunks", (json_int_t)total.chunks,
		      "bytes", (json_int_t)total.bytes, "lost_events", (json_int_t)total.lost,
		      "to_compact", (json_int_t)total.pending, "not_listening",
		      (json_int_t)info->not_listening, "note", info->ending_note);
	if (o && session_spec_to_json(info->spec, o) < 0) {
		json_decref(o);
		return NULL;
	}
	return o;
}

/* ---- simple ones ---- */

/* The parameter "name"; NULL: the call has been answered. */
static const char *name_of(struct call *call)
{
	json_t *response = NULL;
	const char *name;
	int r = jsonrpc_request_unpack(call_request(call), &response, "{s:s !}", "name", &name);

	if (r == 0)
		return name;
	call_bad_params(call, r, response);
	return NULL;
}

void session_method_list(const struct method_subjects *s, struct call *call)
{
	struct source_count sources[STATE_SESSIONS];
	json_t *response = NULL, *list = json_array();
	struct session_info info;
	size_t position = 0;
	int r = jsonrpc_request_unpack(call_request(call), &response, "{!}");

	if (r < 0) {
		json_decref(list);
		call_bad_params(call, r, response);
		return;
	}
	registry_count_sources(s->registry, sources);
	while (registry_next(s->registry, &position, &info))
		r |= json_array_append_new(list, session_json(s, &info, sources));
	if (r) {
		json_decref(list);
		list = NULL;
	}
	call_reply(call, list ? json_pack("{s:o}", "sessions", list) : NULL);
}

void session_method_show(const struct method_subjects *s, struct call *call)
{
	struct source_count sources[STATE_SESSIONS];
	const char *name = name_of(call);
	struct session_info info;
	struct refusal why;

	if (!name)
		return;
	if (registry_find(s->registry, name, &info, &why) < 0) {
		call_refuse(call, &why);
		return;
	}
	registry_count_sources(s->registry, sources);
	call_reply(call, session_json(s, &info, sources));
}

void session_method_rotate(const struct method_subjects *s, struct call *call)
{
	const char *name = name_of(call);
	struct source_count count;
	struct refusal why;

	if (!name)
		return;
	if (registry_rotate(s->registry, name, &count, &why) < 0)
		call_refuse(call, &why);
	else
		call_reply(call,
			   json_pack("{s:I, s:I}", "sources", (json_int_t)(count.all - count.lttng),
				     "lttng_sources", (json_int_t)count.lttng));
}

/* ---- those that the database answers ---- */

/* What a call whose answer comes later needs then. */
struct pending {
	struct method_subjects subjects; /* a copy: control.sock may be closed meanwhile */
	struct call *call;               /* NULL: answered already */
	char name[STATE_NAME];
	uv_timer_t timer; /* session.destroy */
};

static struct pending *pending_new(const struct method_subjects *s, struct call *call,
				   const char *name)
{
	struct pending *p = calloc(1, sizeof(*p));

	if (!p) {
		call_fail(call, JSONRPC_INTERNAL_ERROR, "no memory");
		return NULL;
	}
	p->subjects = *s;
	p->call = call;
	snprintf(p->name, sizeof(p->name), "%s", name);
	return p;
}

/* The answer is the session as it is now. */
static void on_changed(void *context, const struct refusal *why)
{
	struct pending *p = context;
	const struct method_subjects *s = &p->subjects;
	struct source_count sources[STATE_SESSIONS];
	struct session_info info;
	struct refusal gone;

	if (!why && registry_find(s->registry, p->name, &info, &gone) < 0)
		why = &gone;
	if (why) {
		call_refuse(p->call, why);
	} else {
		registry_count_sources(s->registry, sources);
		call_reply(p->call, session_json(s, &info, sources));
	}
	free(p);
}

void session_method_create(const struct method_subjects *s, struct call *call)
{
	struct session_spec *spec;
	struct pending *p;
	struct refusal why;

	if (session_spec_from_json(call_request(call)->params, &spec, &why) < 0) {
		if (strcmp(why.reason, "bad-params") == 0)
			call_fail(call, JSONRPC_INVALID_PARAMS, why.sentence);
		else
			call_refuse(call, &why);
		return;
	}
	p = pending_new(s, call, spec->name);
	if (p)
		registry_create_session(s->registry, spec, on_changed, p);
	else
		session_spec_free(spec);
}

static void set_stopped(const struct method_subjects *s, struct call *call, bool stopped)
{
	const char *name = name_of(call);
	struct pending *p = name ? pending_new(s, call, name) : NULL;

	if (p)
		registry_set_stopped(s->registry, name, stopped, on_changed, p);
}

void session_method_stop(const struct method_subjects *s, struct call *call)
{
	set_stopped(s, call, true);
}

void session_method_start(const struct method_subjects *s, struct call *call)
{
	set_stopped(s, call, false);
}

/* ---- session.destroy ---- */

static void answer_state(struct pending *p, const char *state)
{
	call_reply(p->call, json_pack("{s:s, s:s}", "name", p->name, "state", state));
	p->call = NULL;
}

static void on_late(uv_timer_t *timer)
{
	answer_state(timer->data, "ending");
}

static void on_timer_closed(uv_handle_t *timer)
{
	free(timer->data);
}

static void on_destroyed(void *context, const struct refusal *why)
{
	struct pending *p = context;

	if (p->call && why)
		call_refuse(p->call, why);
	else if (p->call)
		answer_state(p, "destroyed");
	p->call = NULL;
	uv_close((uv_handle_t *)&p->timer, on_timer_closed);
}

void session_method_destroy(const struct method_subjects *s, struct call *call)
{
	json_t *response = NULL;
	int delete_data = 0;
	struct pending *p;
	const char *name;
	int r = jsonrpc_request_unpack(call_request(call), &response, "{s:s, s?:b !}", "name",
				       &name, "delete_data", &delete_data);

	if (r < 0) {
		call_bad_params(call, r, response);
		return;
	}
	p = pending_new(s, call, name);
	if (!p)
		return;
	uv_timer_init(s->loop, &p->timer);
	p->timer.data = p;
	uv_timer_start(&p->timer, on_late, DESTROY_MS, 0);
	registry_destroy_session(s->registry, name, delete_data, on_destroyed, p);
}
