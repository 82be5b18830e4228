/* SPDX-License-Identifier: MIT */
/* options_json.c - a snapshot as JSON, and the exact way back. */
#include <errno.h>

#include "config/option_table.h"
#include "config/options.h"
#include "tests/unit/options_rig.h"

static const json_t *row_of(const json_t *json, const char *name)
{
	const json_t *row;
	size_t i;

	json_array_foreach (json_object_get(json, "options"), i, row)
		if (strcmp(json_string_value(json_object_get(row, "name")), name) == 0)
			return row;
	cr_assert_fail("%s is not there", name);
	return NULL;
}

static void assert_row(const json_t *json, const char *name, const char *want)
{
	json_t *row = json_copy((json_t *)(uintptr_t)row_of(json, name));
	char *dump;

	cr_assert_gt(json_string_length(json_object_get(row, "help")), 10);
	json_object_del(row, "help");
	json_object_del(row, "name");
	dump = json_dumps(row, JSON_SORT_KEYS);
	cr_assert_str_eq(dump, want, "%s", name);
	free(dump);
	json_decref(row);
}

Test(options_json, what_is_in_it)
{
	struct option_env env = rig_root();
	struct options *o = rig_load(&env,
				     "[trace-cmd]\n"
				     "listen = 127.0.0.1:1,\n"
				     "   [::1]:0\n"
				     "[lttng]\n"
				     "allow-clear = off\n",
				     "limits.metadata=2M");
	json_t *json = options_to_json(o);

	cr_assert_not_null(json);
	cr_assert_str_eq(json_string_value(json_object_get(json, "file")), o->file);
	cr_assert_eq(json_array_size(json_object_get(json, "options")), option_rows_count);
	assert_row(
		json, "trace-cmd.listen",
		"{\"default\": \"0.0.0.0:12345, [::]:12345\", \"line\": 2, \"reloadable\": false, "
		"\"served\": true, \"source\": \"file\", \"text\": \"127.0.0.1:1, [::1]:0\", "
		"\"unit\": \"\", \"value\": [\"127.0.0.1:1\", \"[::1]:0\"]}");
	assert_row(json, "lttng.allow-clear",
		   "{\"default\": \"yes\", \"line\": 5, \"reloadable\": true, \"served\": true, "
		   "\"source\": \"file\", \"text\": \"off\", \"unit\": \"\", \"value\": false}");
	assert_row(json, "limits.metadata",
		   "{\"default\": \"64M\", \"reloadable\": true, \"served\": true, \"source\": "
		   "\"--set\", \"text\": \"2M\", \"unit\": \"bytes\", \"value\": 2097152}");
	assert_row(json, "limits.handshake-timeout",
		   "{\"default\": \"10s\", \"reloadable\": true, \"served\": true, \"source\": "
		   "\"default\", \"text\": \"10s\", \"unit\": \"ms\", \"value\": 10000}");
	assert_row(
		json, "relayd.workers",
		"{\"default\": \"number of CPUs\", \"reloadable\": false, \"served\": true, "
		"\"source\": \"default\", \"text\": \"8\", \"unit\": \"threads\", \"value\": 8}");
	json_decref(json);
	options_free(o);
}

Test(options_json, no_file_is_null)
{
	struct option_env env = rig_root();
	struct options *o = rig_load(&env, NULL, NULL);
	json_t *json = options_to_json(o);

	cr_assert(json_is_null(json_object_get(json, "file")));
	json_decref(json);
	options_free(o);
}

/* Through text, as in a memfd. */
static struct options *there_and_back(const struct options *o)
{
	json_t *json = options_to_json(o);
	char *dump = json_dumps(json, 0);
	struct options *back = NULL;
	char *error = NULL;

	json_decref(json);
	json = json_loads(dump, 0, NULL);
	cr_assert_eq(options_from_json(json, &back, &error), 0, "%s", error);
	json_decref(json);
	free(dump);
	return back;
}

/* Each option but the default's, from the file or --set: the fields are the same to the bit. */
Test(options_json, round_trip_is_exact)
{
	static const char file[] =
		"[run]\ndir = /run/x\nuser =\n[output]\ndir = /srv/\xc3\xa9 #x\n"
		"[trace-cmd]\nlisten = 127.0.0.1:0, [fe80::1%lo]:7\nstream-ports = 1000-2000\n"
		"udp-linger = 11ms\n[lttng]\ncontrol =\ndata = 127.0.0.1:9\nlive = [::1]:10\n"
		"protocol = 2.10\ngroup = session\nallow-clear = no\nmax-stall = 12ms\n"
		"open-files = 100\nmetadata-wait = 65537\nanonymous-sockets = 3\n"
		"[relayd]\nworkers = 63\n[limits]\nhandshake-timeout = 13ms\n"
		"metadata-timeout = 14ms\nstall-timeout = 15ms\nkeep-alive = 1s/2s/3\n"
		"metadata = 65539\nmessage = 65541\nsources = 17\n";
	struct option_env env = rig_root();
	struct options *o = rig_load(&env, file, "log.level=debug");
	struct options *back = there_and_back(o);
	json_t *a = options_to_json(o), *b = options_to_json(back);

	cr_assert(json_equal(a, b));
	cr_assert_str_eq(back->run.dir, "/run/x");
	cr_assert_str_eq(back->run.user, "");
	cr_assert_str_eq(back->output.dir, "/srv/\xc3\xa9");
	cr_assert_str_eq(back->file, o->file);
	cr_assert_eq(back->trace_cmd.listen.count, 2);
	cr_assert_eq(memcmp(back->trace_cmd.listen.at, o->trace_cmd.listen.at,
			    2 * sizeof(struct sockaddr_storage)),
		     0);
	cr_assert_eq(back->lttng.control.count, 0);
	cr_assert_eq(memcmp(&back->trace_cmd.stream_ports, &o->trace_cmd.stream_ports,
			    sizeof(struct option_ports)),
		     0);
	cr_assert_eq(back->trace_cmd.udp_linger_ms, 11);
	cr_assert_eq(back->lttng.protocol.minor, 10);
	cr_assert_eq(back->lttng.group, OPTION_GROUP_SESSION);
	cr_assert_eq(back->lttng.allow_clear, false);
	cr_assert_eq(back->lttng.max_stall_ms, 12);
	cr_assert_eq(back->lttng.open_files, 100);
	cr_assert_eq(back->lttng.metadata_wait, 65537);
	cr_assert_eq(back->lttng.anonymous_sockets, 3);
	cr_assert_eq(back->relayd.workers, 63);
	cr_assert_eq(back->limits.handshake_timeout_ms, 13);
	cr_assert_eq(back->limits.metadata_timeout_ms, 14);
	cr_assert_eq(back->limits.stall_timeout_ms, 15);
	cr_assert_eq(back->limits.keep_alive.idle_s, 1);
	cr_assert_eq(back->limits.keep_alive.interval_s, 2);
	cr_assert_eq(back->limits.keep_alive.count, 3);
	cr_assert_eq(back->limits.metadata, 65539);
	cr_assert_eq(back->limits.message, 65541);
	cr_assert_eq(back->limits.sources, 17);
	cr_assert_eq(back->limits.streams_per_peer, 4096);
	cr_assert_eq(back->log.level, LOG_LEVEL_DEBUG);
	cr_assert_eq(back->log.target, o->log.target);
	json_decref(a);
	json_decref(b);
	options_free(o);
	options_free(back);
}

/* relayd has become run.user by then, and an interface may have gone: nothing is asked again. */
Test(options_json, reading_asks_nothing_of_the_system)
{
	struct option_env env = rig_root();
	struct options *o = rig_load(&env, NULL, "trace-cmd.listen=[fe80::1%4711]:7");
	struct options *back = there_and_back(o);

	cr_assert_str_eq(back->run.user, "tracerelay");
	cr_assert_str_eq(back->run.dir, "/run/tracerelay");
	options_free(o);
	options_free(back);
}

static struct options *change_and_read(json_t *json, const char *name, const char *key,
				       json_t *value, const char *want_error)
{
	json_t *row = (json_t *)(uintptr_t)row_of(json, name);
	struct options *back = (void *)&back;
	char *error = NULL;

	if (value)
		json_object_set_new(row, key, value);
	else
		json_object_del(row, key);
	if (!want_error) {
		cr_assert_eq(options_from_json(json, &back, &error), 0, "%s", error);
		return back;
	}
	cr_assert_eq(options_from_json(json, &back, &error), -EINVAL);
	cr_assert_eq(back, (void *)&back, "output on failure");
	cr_assert_str_eq(error, want_error);
	free(error);
	return NULL;
}

Test(options_json, refused)
{
	struct option_env env = rig_root();
	struct options *o = rig_load(&env, NULL, NULL);
	json_t *json = options_to_json(o);
	struct options *back;
	char *error;

	change_and_read(json, "limits.sources", "value", json_integer(0),
			"options: limits.sources is less than 1");
	change_and_read(json, "limits.sources", "value", NULL,
			"options: limits.sources is not as it should be");
	options_free(change_and_read(json, "limits.sources", "value", json_integer(5), NULL));
	change_and_read(json, "limits.sources", "source", json_string("rumour"),
			"options: limits.sources is not as it should be");
	options_free(
		change_and_read(json, "limits.sources", "source", json_string("default"), NULL));
	change_and_read(json, "limits.sources", "text", json_null(),
			"options: limits.sources is not as it should be");
	options_free(change_and_read(json, "limits.sources", "text", json_string("5"), NULL));
	change_and_read(json, "limits.sources", "line", json_string("5"),
			"options: limits.sources is not as it should be");
	options_free(change_and_read(json, "limits.sources", "line", NULL, NULL));
	change_and_read(json, "limits.sources", "name", json_string("limits.metadata"),
			"options: limits.metadata is there twice");
	json_object_del(json, "options");
	cr_assert_eq(options_from_json(json, &back, &error), -EINVAL);
	cr_assert_str_eq(error, "options: there is no array of options");
	free(error);
	json_decref(json);
	options_free(o);
}

/* sessiond-lite and relayd may be of different versions while one is being replaced. */
Test(options_json, other_versions)
{
	struct option_env env = rig_root();
	struct options *o = rig_load(&env, NULL, "limits.sources=5");
	json_t *json = options_to_json(o);
	struct options *back =
		change_and_read(json, "limits.sources", "name", json_string("limits.new"), NULL);

	cr_assert_eq(back->limits.sources, 65536, "missing: the default");
	options_free(back);
	options_free(o);
	json_decref(json);
}
