/* SPDX-License-Identifier: MIT */
/* daemon_methods.c - daemon.*: how sessiond-lite and its relayd fare. */
#include "sessiond-lite/methods.h"

#include <unistd.h>

#include "sessiond-lite/clock.h"

/* No parameters; false: the call has been answered. */
static bool no_params(struct call *call)
{
	json_t *response = NULL;
	int r = jsonrpc_request_unpack(call_request(call), &response, "{!}");

	if (r < 0)
		call_bad_params(call, r, response);
	return r == 0;
}

void daemon_method_version(const struct method_subjects *s, struct call *call)
{
	(void)s;
	if (no_params(call))
		call_reply(call, json_pack("{s:s, s:s}", "program", "tracerelay", "version",
					   PACKAGE_VERSION));
}

void daemon_method_config(const struct method_subjects *s, struct call *call)
{
	if (no_params(call))
		call_reply(call, options_to_json(s->options));
}

/* ---- daemon.status ---- */

static json_t *relayd_json(const struct supervisor *supervisor)
{
	struct supervisor_status relayd;

	supervisor_status(supervisor, &relayd);
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:s}", "state",
			 supervisor_state_name(relayd.state), "pid", (json_int_t)relayd.pid,
			 "generation", (json_int_t)relayd.generation, "restarts",
			 (json_int_t)relayd.restarts, "started_ns", (json_int_t)relayd.started_ns,
			 "next_try_ms", (json_int_t)relayd.next_try_ms, "last_end",
			 relayd.last_end);
}

/* The name of the session whose slot it is; NULL: none. */
static const char *session_at(const struct registry *r, uint32_t slot)
{
	struct session_info info;
	size_t position = 0;

	while (registry_next(r, &position, &info))
		if (info.slot == slot)
			return info.spec->name;
	return NULL;
}

static json_t *listeners_json(const struct method_subjects *s)
{
	json_t *list = json_array();
	char text[ADDR_TEXT_MAX];
	struct listener_info info;

	for (size_t i = 0; listener_get(s->listeners, i, &info) == 0; i++) {
		const char *name =
			info.own_session ? session_at(s->registry, info.own_session - 1) : NULL;

		if (json_array_append_new(list, json_pack("{s:s, s:s, s:s?}", "protocol",
							  listener_role_name(info.role), "address",
							  addr_format(&info.at, text), "session",
							  name)) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *counts_json(const struct method_subjects *s)
{
	struct sources_counts sources;
	struct store_counts store;

	sources_counts(s->sources, &sources);
	store_counts(s->store, &store);
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "connections",
			 (json_int_t)store.conversations, "sources", (json_int_t)store.sources,
			 "streams", (json_int_t)store.streams, "leases", (json_int_t)sources.leases,
			 "peers", (json_int_t)sources.peers, "ports_bound",
			 (json_int_t)sources.ports, "leases_waiting", (json_int_t)sources.waiting,
			 "descriptors", (json_int_t)store.descriptors, "descriptors_max",
			 (json_int_t)store.descriptors_max);
}

static json_t *database_json(const struct database *d)
{
	const char *trouble = database_trouble(d);

	return json_pack("{s:s, s:s, s:I, s:s}", "path", database_path(d), "state",
			 *trouble ? "failing" : "ok", "waiting", (json_int_t)database_waiting(d),
			 "trouble", trouble);
}

void daemon_method_status(const struct method_subjects *s, struct call *call)
{
	int64_t started = store_state(s->store)->header->started_ns;
	int64_t uptime = (clock_realtime_ns() - started) / 1000000;

	if (!no_params(call))
		return;
	call_reply(call,
		   json_pack("{s:s, s:I, s:I, s:I, s:s, s:s, s:o, s:o, s:o, s:o}", "version",
			     PACKAGE_VERSION, "pid", (json_int_t)getpid(), "started_ns",
			     (json_int_t)started, "uptime_ms",
			     (json_int_t)(uptime > 0 ? uptime : 0), "run_dir", s->options->run.dir,
			     "output_dir", s->options->output.dir, "relayd",
			     relayd_json(s->supervisor), "listeners", listeners_json(s), "counts",
			     counts_json(s), "database", database_json(s->database)));
}
