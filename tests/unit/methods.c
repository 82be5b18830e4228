/* SPDX-License-Identifier: MIT */
/* methods.c - requests in, answers out, with every module but relayd behind them. */
#include "sessiond-lite/methods.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/unit/registry_rig.h"

static struct rig rig;
static struct method_subjects subjects;
static struct relayd_link *relayd;
static struct acceptor *acceptor;
static struct options *options;

static void on_message(void *context, const struct link_message *m, int *fds, unsigned n_fds)
{
	(void)context, (void)m, (void)fds, (void)n_fds;
}

static void on_gone(void *context, int error)
{
	(void)context, (void)error;
}

static void on_whatever(void *context)
{
	(void)context;
}

static void on_finished(void *context, bool clean)
{
	(void)context, (void)clean;
}

static void load_options(void)
{
	char dir[128];
	const char *sets[] = {dir, "run.dir=/nowhere", "limits.sources=16"};
	struct options_source source = {.sets = sets, .n_sets = 3};
	char *error = NULL;

	snprintf(dir, sizeof(dir), "output.dir=%s", rig.dir);
	cr_assert_eq(options_load(&source, &options, &error), 0, "%s", error);
}

static void make_modules(void)
{
	struct store_config store = {
		.capacity = {.conversations = 8, .sources = 8, .streams = 8, .workers = 1},
		.conversations_per_peer = 8,
		.descriptors = 1000};
	struct keep_alive keep_alive = {.idle_s = 60, .interval_s = 10, .probes = 6};
	struct sources_config sources = {.ports = {.first_port = 29000, .last_port = 29001},
					 .streams_per_peer = 8};
	struct supervisor_config supervisor = {.relayd = "/nowhere/relayd", .workers = 1};
	struct supervisor_hooks hooks = {NULL, on_whatever, on_whatever, on_whatever, on_finished};
	struct relayd_link_handlers handlers = {on_message, on_gone, NULL};

	cr_assert_eq(store_create(&store, &subjects.store), 0);
	store_state(subjects.store)->header->started_ns = 1;
	cr_assert_eq(relayd_link_create(&rig.loop, subjects.store, &handlers, &relayd), 0);
	cr_assert_eq(acceptor_create(&rig.loop, store_counters(subjects.store), &acceptor), 0);
	cr_assert_eq(
		listener_create(&keep_alive, acceptor, subjects.store, relayd, &subjects.listeners),
		0);
	cr_assert_eq(sources_create(&sources, acceptor, subjects.store, relayd, rig.registry,
				    &subjects.sources),
		     0);
	cr_assert_eq(supervisor_create(&rig.loop, &supervisor, &hooks, store_state(subjects.store),
				       relayd, &subjects.supervisor),
		     0);
}

static void open_rig(void)
{
	rig_open(&rig);
	load_options();
	rig_start_both(&rig);
	make_modules();
	subjects.loop = &rig.loop;
	subjects.registry = rig.registry;
	subjects.catalog = rig.catalog;
	subjects.database = rig.database;
	subjects.options = options;
}

static json_t *last; /* response */

static void close_rig(void)
{
	json_decref(last);
	supervisor_free(subjects.supervisor);
	sources_free(subjects.sources);
	listener_free(subjects.listeners);
	acceptor_free(acceptor);
	relayd_link_free(relayd);
	uv_run(&rig.loop, UV_RUN_NOWAIT);
	uv_run(&rig.loop, UV_RUN_NOWAIT);
	store_free(subjects.store);
	options_free(options);
	rig_close(&rig);
}

TestSuite(methods, .init = open_rig, .fini = close_rig, .timeout = 60);

/* ---- a request ---- */

struct asking {
	bool told;
	json_t *response;
	int error;
};

static void on_answered(void *context, json_t *response, int error)
{
	struct asking *a = context;

	cr_assert_not(a->told);
	a->told = true;
	a->response = response;
	a->error = error;
}

static void begin(struct asking *a, const char *method, const char *params)
{
	struct jsonrpc_request request;
	char line[1024];
	json_t *refusal;
	struct call *call;

	*a = (struct asking){.told = false};
	snprintf(line, sizeof(line),
		 "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"%s\",\"params\":%s}", method, params);
	for (char *c = line; *c; c++)
		if (*c == '\'')
			*c = '"';
	cr_assert_eq(jsonrpc_request_parse(line, strlen(line), &request, &refusal), 0, "%s", line);
	call = call_new(&request, on_answered, a);
	cr_assert(call);
	cr_assert_null(request.document, "taken");
	methods_call(&subjects, call);
}

/* The whole response; to be decref'd. */
static json_t *ask(const char *method, const char *params)
{
	struct asking a;

	begin(&a, method, params);
	rig_until(&rig, &a.told);
	cr_assert_eq(a.error, 0);
	cr_assert(a.response);
	cr_assert_eq(json_integer_value(json_object_get(a.response, "id")), 7);
	return a.response;
}

/* It is a result; borrowed until the next one. */
static json_t *result(const char *method, const char *params)
{
	json_t *r;

	json_decref(last);
	last = ask(method, params);
	r = json_object_get(last, "result");
	cr_assert(r, "%s %s: %s", method, params, json_dumps(last, 0));
	return r;
}

static void refused(const char *method, const char *params, int code, const char *reason)
{
	json_t *response = ask(method, params), *error = json_object_get(response, "error");
	json_t *got = json_object_get(json_object_get(error, "data"), "reason");

	cr_assert(error, "%s %s was not refused", method, params);
	cr_assert_eq(json_integer_value(json_object_get(error, "code")), code, "%s %s: %s", method,
		     params, json_dumps(error, 0));
	cr_assert_gt(json_string_length(json_object_get(error, "message")), 5);
	if (reason)
		cr_assert_str_eq(json_string_value(got), reason);
	else
		cr_assert_null(got);
	json_decref(response);
}

static const char *text(json_t *o, const char *key)
{
	const char *t = json_string_value(json_object_get(o, key));

	cr_assert(t, "no %s in %s", key, json_dumps(o, 0));
	return t;
}

static int64_t number(json_t *o, const char *key)
{
	json_t *n = json_object_get(o, key);

	cr_assert(json_is_integer(n), "no %s in %s", key, json_dumps(o, 0));
	return json_integer_value(n);
}

/* ---- sessions ---- */

Test(methods, a_session_from_create_to_destroy)
{
	json_t *r;
	char dir[128];

	r = result("session.create", "{'name':'web','match':[{'host':'w*'}],'listen':"
				     "['trace-cmd:127.0.0.1:0'],'rotate_size':65536,"
				     "'rotate_time_ms':1000,'keep_chunks':3}");
	cr_assert_str_eq(text(r, "name"), "web");
	cr_assert_str_eq(text(r, "state"), "active");
	snprintf(dir, sizeof(dir), "%s/web", rig.dir);
	cr_assert_str_eq(text(r, "directory"), dir);
	cr_assert_gt(number(r, "created_ns"), 0);
	cr_assert_eq(number(r, "rotate_size"), 65536);
	cr_assert_eq(number(r, "rotate_time_ms"), 1000);
	cr_assert_eq(number(r, "keep_chunks"), 3);
	cr_assert_eq(number(r, "sources") + number(r, "chunks") + number(r, "bytes") +
			     number(r, "lost_events") + number(r, "to_compact") +
			     number(r, "not_listening"),
		     0);
	cr_assert_str_empty(text(r, "note"));
	cr_assert_str_eq(json_string_value(json_array_get(json_object_get(r, "listen"), 0)),
			 "trace-cmd:127.0.0.1:4242");
	cr_assert_str_eq(text(json_array_get(json_object_get(r, "match"), 0), "host"), "w*");

	cr_assert_str_eq(text(result("session.stop", "{'name':'web'}"), "state"), "stopped");
	refused("session.rotate", "{'name':'web'}", JSONRPC_REFUSED, "stopped");
	cr_assert_str_eq(text(result("session.start", "{'name':'web'}"), "state"), "active");
	cr_assert_eq(number(result("session.rotate", "{'name':'web'}"), "sources"), 0);
	r = result("session.destroy", "{'name':'web'}");
	cr_assert_str_eq(text(r, "name"), "web");
	cr_assert_str_eq(text(r, "state"), "destroyed");
	refused("session.show", "{'name':'web'}", JSONRPC_REFUSED, "not-found");
}

Test(methods, counts_of_a_session)
{
	struct link_message m = {
		.type = LINK_CHUNK,
		.chunk = {.source_number = 1, .number = 1, .bytes = 70, .lost = 4, .sparse = 1},
		.text = "default/host/x-1/trace.dat"};
	json_t *r;

	catalog_chunk(rig.catalog, &m);
	rig_until_count(&rig, &rig.n_kept, 1);
	rig_source(&rig, 0);
	rig_source(&rig, 0);
	r = result("session.show", "{'name':'default'}");
	cr_assert_eq(number(r, "sources"), 2);
	cr_assert_eq(number(r, "chunks"), 1);
	cr_assert_eq(number(r, "bytes"), 70);
	cr_assert_eq(number(r, "lost_events"), 4);
	cr_assert_eq(number(r, "to_compact"), 1);
	cr_assert_eq(number(r, "lttng_sources"), 0);
	cr_assert_eq(number(result("session.rotate", "{'name':'default'}"), "sources"), 2);
	rig.st.source[rig_source(&rig, 0)].protocol = PROTOCOL_LTTNG;
	r = result("session.show", "{'name':'default'}");
	cr_assert_eq(number(r, "sources"), 3);
	cr_assert_eq(number(r, "lttng_sources"), 1);
	r = result("session.rotate", "{'name':'default'}");
	cr_assert_eq(number(r, "sources"), 2);
	cr_assert_eq(number(r, "lttng_sources"), 1);
}

Test(methods, list)
{
	json_t *list, *one;

	result("session.create", "{'name':'b'}");
	result("session.create", "{'name':'a'}");
	list = json_object_get(result("session.list", "{}"), "sessions");
	cr_assert_eq(json_array_size(list), 3);
	cr_assert_str_eq(text(json_array_get(list, 0), "name"), "default");
	cr_assert_str_eq(text(json_array_get(list, 1), "name"), "b");
	cr_assert_str_eq(text(json_array_get(list, 2), "name"), "a");
	one = json_incref(json_array_get(list, 2));
	cr_assert(json_equal(one, result("session.show", "{'name':'a'}")));
	json_decref(one);
}

Test(methods, destroy_says_that_it_takes_long)
{
	struct asking first;
	uint32_t source;
	json_t *r;

	result("session.create", "{'name':'web'}");
	source = rig_source(&rig, 1);
	begin(&first, "session.destroy", "{'name':'web','delete_data':true}");
	rig_until(&rig, &first.told); /* five seconds */
	r = json_object_get(first.response, "result");
	cr_assert_str_eq(text(r, "state"), "ending");
	cr_assert_str_eq(text(result("session.show", "{'name':'web'}"), "state"), "ending");
	refused("session.destroy", "{'name':'web'}", JSONRPC_REFUSED, "ending");
	rig_source_gone(&rig, source);
	rig_turn(&rig);
	while (rig.deleted[0] == '\0')
		uv_run(&rig.loop, UV_RUN_ONCE);
	refused("session.show", "{'name':'web'}", JSONRPC_REFUSED, "not-found");
	json_decref(first.response);
}

Test(methods, refusals)
{
	refused("session.create", "{'name':'default'}", JSONRPC_REFUSED, "exists");
	refused("session.create", "{'name':'../x'}", JSONRPC_REFUSED, "bad-name");
	refused("session.create", "{'name':'x','match':[{'port':0}]}", JSONRPC_REFUSED, "bad-rule");
	refused("session.create", "{'name':'x','listen':['x']}", JSONRPC_REFUSED, "bad-listen");
	refused("session.create", "{'name':'x','what':1}", JSONRPC_INVALID_PARAMS, NULL);
	refused("session.create", "{}", JSONRPC_INVALID_PARAMS, NULL);
	refused("session.create", "['x']", JSONRPC_INVALID_PARAMS, NULL);
	rig.listen_error = -EADDRINUSE;
	refused("session.create", "{'name':'x','listen':['trace-cmd:127.0.0.1:7']}",
		JSONRPC_REFUSED, "listen");
	refused("session.destroy", "{'name':'default'}", JSONRPC_REFUSED, "default");
	refused("session.destroy", "{'name':'x'}", JSONRPC_REFUSED, "not-found");
	refused("session.destroy", "{'name':'x','delete_data':1}", JSONRPC_INVALID_PARAMS, NULL);
	refused("session.stop", "{'name':'x'}", JSONRPC_REFUSED, "not-found");
	refused("session.start", "{'name':'x'}", JSONRPC_REFUSED, "not-found");
	refused("session.rotate", "{'name':'x'}", JSONRPC_REFUSED, "not-found");
	refused("session.show", "{}", JSONRPC_INVALID_PARAMS, NULL);
	refused("session.show", "{'name':7}", JSONRPC_INVALID_PARAMS, NULL);
	refused("session.show", "{'name':'default','more':1}", JSONRPC_INVALID_PARAMS, NULL);
	refused("session.list", "{'name':'default'}", JSONRPC_INVALID_PARAMS, NULL);
	refused("daemon.status", "{'name':'default'}", JSONRPC_INVALID_PARAMS, NULL);
	refused("session.rename", "{}", JSONRPC_METHOD_NOT_FOUND, NULL);
	rig_sql(&rig, "ALTER TABLE session RENAME TO away");
	refused("session.stop", "{'name':'default'}", JSONRPC_REFUSED, "database");
}

/* ---- the daemon ---- */

Test(methods, status)
{
	json_t *r, *part;
	struct addr at;

	cr_assert_eq(addr_parse("127.0.0.1:0", &at), 0);
	cr_assert_eq(listener_add(subjects.listeners, &at, CONVERSATION_TRACE_CMD, 0, NULL), 0);
	result("session.create", "{'name':'web'}");
	cr_assert_eq(listener_add(subjects.listeners, &at, CONVERSATION_TRACE_CMD, 2, NULL), 0);
	cr_assert_eq(listener_add(subjects.listeners, &at, CONVERSATION_LTTNG_DATA, 0, NULL), 0);
	r = result("daemon.status", "{}");
	cr_assert_str_eq(text(r, "version"), PACKAGE_VERSION);
	cr_assert_eq(number(r, "pid"), getpid());
	cr_assert_eq(number(r, "started_ns"), 1);
	cr_assert_gt(number(r, "uptime_ms"), 0);
	cr_assert_str_eq(text(r, "run_dir"), "/nowhere");
	cr_assert_str_eq(text(r, "output_dir"), rig.dir);
	part = json_object_get(r, "relayd");
	cr_assert_gt(strlen(text(part, "state")), 0);
	cr_assert_eq(number(part, "pid") + number(part, "restarts"), 0);
	part = json_object_get(r, "listeners");
	cr_assert_eq(json_array_size(part), 3);
	cr_assert_str_eq(text(json_array_get(part, 2), "protocol"), "lttng-data");
	cr_assert_str_eq(text(json_array_get(part, 0), "protocol"), "trace-cmd");
	cr_assert(strstr(text(json_array_get(part, 0), "address"), "127.0.0.1:"));
	cr_assert(json_is_null(json_object_get(json_array_get(part, 0), "session")));
	cr_assert_str_eq(text(json_array_get(part, 1), "session"), "web");
	part = json_object_get(r, "counts");
	cr_assert_eq(number(part, "descriptors_max"), 1000);
	cr_assert_eq(number(part, "connections") + number(part, "sources") + number(part, "leases"),
		     0);
	part = json_object_get(r, "database");
	cr_assert_str_eq(text(part, "state"), "ok");
	cr_assert_str_eq(text(part, "path"), database_path(rig.database));
	cr_assert_str_empty(text(part, "trouble"));
	cr_assert_eq(number(part, "waiting"), 0);

	rig_sql(&rig, "ALTER TABLE session RENAME TO away");
	refused("session.stop", "{'name':'default'}", JSONRPC_REFUSED, "database");
	part = json_object_get(result("daemon.status", "{}"), "database");
	cr_assert_str_eq(text(part, "state"), "failing");
	cr_assert(strstr(text(part, "trouble"), "no such table"));
}

Test(methods, config_and_version)
{
	json_t *r = result("daemon.config", "{}"), *all = options_to_json(options);

	cr_assert(json_equal(r, all));
	json_decref(all);
	r = result("daemon.version", "{}");
	cr_assert_str_eq(text(r, "version"), PACKAGE_VERSION);
	cr_assert_str_eq(text(r, "program"), "tracerelay");
}

/* ---- calls ---- */

Test(methods, an_abandoned_call_is_still_done)
{
	struct asking a;
	struct jsonrpc_request request;
	static const char line[] = "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"session.create\","
				   "\"params\":{\"name\":\"web\"}}";
	json_t *refusal;
	struct call *call;

	a = (struct asking){.told = false};
	cr_assert_eq(jsonrpc_request_parse(line, strlen(line), &request, &refusal), 0);
	call = call_new(&request, on_answered, &a);
	methods_call(&subjects, call);
	call_abandon(call);
	rig_turn(&rig);
	cr_assert_not(a.told);
	cr_assert_str_eq(text(result("session.show", "{'name':'web'}"), "state"), "active");
}

Test(methods, a_notification_gets_no_response)
{
	struct jsonrpc_request request;
	static const char line[] = "{\"jsonrpc\":\"2.0\",\"method\":\"session.create\","
				   "\"params\":{\"name\":\"web\"}}";
	struct asking a = {.told = false};
	json_t *refusal;

	cr_assert_eq(jsonrpc_request_parse(line, strlen(line), &request, &refusal), 0);
	methods_call(&subjects, call_new(&request, on_answered, &a));
	rig_until(&rig, &a.told);
	cr_assert_null(a.response);
	cr_assert_eq(a.error, 0);
	result("session.show", "{'name':'web'}");
}
