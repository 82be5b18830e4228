/* SPDX-License-Identifier: MIT */
/*
 * session_commands.c - the commands that make, show, change and end sessions.
 *
 * What a session is asked to be is checked here only as far as its form goes (a size is a size);
 * whether it can be is the daemon's to say.
 */
#include "relayctl/commands.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/addr.h"
#include "config/quantity.h"
#include "relayctl/command.h"
#include "relayctl/daemon.h"
#include "relayctl/field.h"
#include "relayctl/human.h"
#include "relayctl/source_table.h"
#include "relayctl/table.h"
#include "relayctl/text.h"

/* {"name": NAME}; NULL: the name is no text (or there is no memory). */
static json_t *name_params(const struct cli *cli)
{
	return json_pack("{s:s}", "name", cli->arguments[0]);
}

static int bad_name(const struct cli *cli)
{
	return cli_fail(cli, EXIT_USAGE, "this name is no UTF-8 text");
}

/* session.show of the session that is named. The exit status. */
static int get_session(const struct cli *cli, json_t **ret)
{
	json_t *params = name_params(cli);

	return params ? daemon_call(cli, "session.show", params, ret) : bad_name(cli);
}

/* ---- create-session ---- */

static int bad_match(const struct cli *cli, const char *what)
{
	return cli_fail(cli, EXIT_USAGE,
			"--match %s: write keys host, addr, proto and port with their values, as "
			"in host=web*,addr=10.0.0.0/8",
			what);
}

/* One KEY=VALUE, into the rule. The exit status. */
static int add_condition(const struct cli *cli, json_t *rule, char *condition)
{
	char *value = strchr(condition, '=');
	struct addr_range range;
	uint64_t port;

	if (!value || !value[1])
		return bad_match(cli, condition);
	*value++ = '\0';
	if (json_object_get(rule, condition))
		return cli_fail(cli, EXIT_USAGE, "--match: %s stands there twice", condition);
	if (strcmp(condition, "port") == 0) {
		if (quantity_parse_count(value, &port) < 0 || port < 1 || port > 65535)
			return cli_fail(cli, EXIT_USAGE, "--match port=%s: a port is 1 to 65535",
					value);
		return json_object_set_new(rule, condition, json_integer((json_int_t)port)) < 0
			       ? cli_no_memory(cli)
			       : EXIT_DONE;
	}
	if (strcmp(condition, "addr") == 0 && addr_range_parse(value, &range) < 0)
		return cli_fail(cli, EXIT_USAGE,
				"--match addr=%s: write an address or a prefix, such as 10.0.0.0/8 "
				"or 2001:db8::/32",
				value);
	if (strcmp(condition, "host") != 0 && strcmp(condition, "addr") != 0 &&
	    strcmp(condition, "proto") != 0)
		return bad_match(cli, condition);
	if (json_object_set_new(rule, condition, json_string(value)) < 0)
		return cli_fail(cli, EXIT_USAGE, "--match %s: the value is no text", condition);
	return EXIT_DONE;
}

/* Commas between brackets belong to a pattern: host=web[1,2]. */
static char *next_condition(char **rest)
{
	char *at = *rest, *start = at;
	bool bracket = false;

	if (!at)
		return NULL;
	for (; *at && (*at != ',' || bracket); at++)
		bracket = *at == '[' ? true : *at == ']' ? false : bracket;
	*rest = *at ? at + 1 : NULL;
	*at = '\0';
	return start;
}

static int add_rule(const struct cli *cli, json_t *match, const char *text)
{
	char *copy = strdup(text), *rest = copy, *condition;
	json_t *rule = json_object();
	int status = copy && rule ? EXIT_DONE : cli_no_memory(cli);

	while (status == EXIT_DONE && (condition = next_condition(&rest)))
		status = add_condition(cli, rule, condition);
	free(copy);
	if (json_array_append_new(match, rule) < 0 && status == EXIT_DONE)
		status = cli_no_memory(cli);
	return status;
}

static int add_quantity(const struct cli *cli, json_t *params, const char *option, const char *key,
			int (*parse)(const char *, uint64_t *), const char *example)
{
	const char *text = cli_option(cli, option);
	uint64_t value;

	if (!text)
		return EXIT_DONE;
	if (parse(text, &value) < 0)
		return cli_fail(cli, EXIT_USAGE, "%s %s: write %s", option, text, example);
	if (json_object_set_new(params, key, json_integer((json_int_t)value)) < 0)
		return cli_no_memory(cli);
	return EXIT_DONE;
}

static int add_policy(const struct cli *cli, json_t *params)
{
	int status = add_quantity(cli, params, "--rotate-size", "rotate_size", quantity_parse_size,
				  "a size such as 64M or 1G");

	if (status == EXIT_DONE)
		status = add_quantity(cli, params, "--rotate-time", "rotate_time_ms",
				      quantity_parse_duration, "a time such as 90s, 10m or 1h");
	if (status == EXIT_DONE)
		status = add_quantity(cli, params, "--keep-chunks", "keep_chunks",
				      quantity_parse_count, "a number");
	return status;
}

static int add_lists(const struct cli *cli, json_t *match, json_t *listen)
{
	int status = EXIT_DONE;

	for (size_t i = 0; i < cli->n_given && status == EXIT_DONE; i++) {
		const struct cli_given *g = &cli->given[i];

		if (strcmp(g->option->name, "--match") == 0)
			status = add_rule(cli, match, g->value);
		else if (strcmp(g->option->name, "--listen") == 0 &&
			 json_array_append_new(listen, json_string(g->value)) < 0)
			status = cli_fail(cli, EXIT_USAGE, "--listen: the value is no text");
	}
	return status;
}

int run_create_session(struct cli *cli)
{
	json_t *match = json_array(), *listen = json_array(), *result = NULL;
	json_t *params = name_params(cli);
	int status = params ? add_lists(cli, match, listen) : bad_name(cli);

	if (status == EXIT_DONE)
		status = add_policy(cli, params);
	if (status == EXIT_DONE && json_array_size(match))
		json_object_set(params, "match", match);
	if (status == EXIT_DONE && json_array_size(listen))
		json_object_set(params, "listen", listen);
	json_decref(match);
	json_decref(listen);
	if (status != EXIT_DONE) {
		json_decref(params);
		return status;
	}
	status = daemon_call(cli, "session.create", params, &result);
	if (status == EXIT_DONE && cli->json)
		status = cli_print_json(cli, result);
	json_decref(result);
	return status;
}

/* ---- list, show ---- */

static const char *size_or_off(uint64_t bytes, char buf[QUANTITY_TEXT_MAX])
{
	return bytes ? quantity_format_size(bytes, buf) : "-";
}

static const char *time_or_off(uint64_t ms, char buf[QUANTITY_TEXT_MAX])
{
	return ms ? quantity_format_duration(ms, buf) : "-";
}

static const char *count_or_all(uint64_t n, char buf[QUANTITY_TEXT_MAX])
{
	return n ? quantity_format_count(n, buf) : "all";
}

/* "host=web*,addr=10.0.0.0/8" as it would be typed. */
static void print_rule(const json_t *rule, char *buf, size_t size)
{
	const char *key;
	size_t len = 0;
	json_t *value;

	buf[0] = '\0';
	json_object_foreach ((json_t *)rule, key, value) {
		const char *comma = len ? "," : "";
		int n;

		if (json_is_integer(value))
			n = snprintf(buf + len, size - len, "%s%s=%" JSON_INTEGER_FORMAT, comma,
				     key, json_integer_value(value));
		else
			n = snprintf(buf + len, size - len, "%s%s=%s", comma, key,
				     field_text(rule, key));
		if (n < 0 || (size_t)n >= size - len)
			return;
		len += (size_t)n;
	}
}

static int print_sessions(const struct cli *cli, json_t *list)
{
	static const struct table_column columns[] = {
		{"SESSION", false},    {"STATE", false}, {"SOURCES", true}, {"CHUNKS", true},
		{"STORED", true},      {"RULES", true},  {"PORTS", true},   {"ROTATE-SIZE", true},
		{"ROTATE-TIME", true}, {"KEEP", true},
	};
	struct table *t = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	char buf[QUANTITY_TEXT_MAX], count[HUMAN_MAX];
	json_t *one;
	size_t i;
	int r;

	json_array_foreach (list, i, one) {
		table_cell(t, field_text(one, "name"));
		table_cell(t, field_text(one, "state"));
		table_cellf(t, "%" PRIu64, field_number(one, "sources"));
		table_cell(t, human_count(field_number(one, "chunks"), count));
		source_table_bytes(t, field_number(one, "bytes"));
		table_cellf(t, "%zu", json_array_size(field_of(one, "match")));
		table_cellf(t, "%zu", json_array_size(field_of(one, "listen")));
		if (field_number(one, "not_listening"))
			table_mark(t);
		table_cell(t, size_or_off(field_number(one, "rotate_size"), buf));
		table_cell(t, time_or_off(field_number(one, "rotate_time_ms"), buf));
		table_cell(t, count_or_all(field_number(one, "keep_chunks"), buf));
	}
	r = table_print(t, cli->out, cli_colour(cli));
	table_free(t);
	return r < 0 ? cli_no_memory(cli) : EXIT_DONE;
}

/* "list SESSION": the row, and who is in it now. */
static int list_one(struct cli *cli)
{
	json_t *session = NULL, *document = NULL, *list;
	int status = get_session(cli, &session);

	if (status != EXIT_DONE || cli->json) {
		if (status == EXIT_DONE)
			status = cli_print_json(cli, session);
		json_decref(session);
		return status;
	}
	list = json_pack("[O]", session);
	status = print_sessions(cli, list);
	json_decref(list);
	if (status == EXIT_DONE)
		status = daemon_status(cli, DAEMON_PATIENCE_MS, &document);
	if (status == EXIT_DONE) {
		fputc('\n', cli->out);
		status = source_table_print(cli, document, cli->arguments[0]);
	}
	json_decref(document);
	json_decref(session);
	return status;
}

int run_list(struct cli *cli)
{
	json_t *result = NULL;
	int status;

	if (cli->n_arguments)
		return list_one(cli);
	status = daemon_call(cli, "session.list", NULL, &result);
	if (status == EXIT_DONE)
		status = cli->json ? cli_print_json(cli, result)
				   : print_sessions(cli, field_of(result, "sessions"));
	json_decref(result);
	return status;
}

/* "name          value"; the value comes from elsewhere. */
static void print_pair(const struct cli *cli, const char *name, const char *value)
{
	size_t width;
	char *clean = text_clean(value, &width);

	fprintf(cli->out, "%-14s%s\n", name, clean ? clean : "?");
	free(clean);
}

static void print_policy(const struct cli *cli, const json_t *session)
{
	char buf[QUANTITY_TEXT_MAX];

	print_pair(cli, "rotate-size", size_or_off(field_number(session, "rotate_size"), buf));
	print_pair(cli, "rotate-time", time_or_off(field_number(session, "rotate_time_ms"), buf));
	print_pair(cli, "keep-chunks", count_or_all(field_number(session, "keep_chunks"), buf));
}

static void print_stored(const struct cli *cli, const json_t *session)
{
	char buf[HUMAN_MAX];

	print_pair(cli, "sources", human_count(field_number(session, "sources"), buf));
	if (field_number(session, "lttng_sources"))
		print_pair(cli, "of LTTng",
			   human_count(field_number(session, "lttng_sources"), buf));
	print_pair(cli, "chunks", human_count(field_number(session, "chunks"), buf));
	print_pair(cli, "stored", human_bytes(field_number(session, "bytes"), buf));
	print_pair(cli, "lost events", human_count(field_number(session, "lost_events"), buf));
	if (field_number(session, "to_compact"))
		print_pair(cli, "to compact",
			   human_count(field_number(session, "to_compact"), buf));
}

static void print_session(const struct cli *cli, const json_t *session)
{
	char text[1024], buf[HUMAN_MAX];
	json_t *one;
	size_t i;

	print_pair(cli, "session", field_text(session, "name"));
	print_pair(cli, "state", field_text(session, "state"));
	if (*field_text(session, "note"))
		print_pair(cli, "note", field_text(session, "note"));
	print_pair(cli, "created",
		   human_time_of((int64_t)field_number(session, "created_ns"), buf));
	print_pair(cli, "directory", field_text(session, "directory"));
	print_stored(cli, session);
	json_array_foreach (field_of(session, "match"), i, one) {
		print_rule(one, text, sizeof(text));
		print_pair(cli, "match", text);
	}
	json_array_foreach (field_of(session, "listen"), i, one)
		print_pair(cli, "listen", json_string_value(one));
	if (field_number(session, "not_listening"))
		print_pair(cli, "attention",
			   "not all of these ports can be listened to; the log says why");
	print_policy(cli, session);
	if (field_number(session, "lttng_sources") &&
	    (field_number(session, "rotate_size") || field_number(session, "rotate_time_ms") ||
	     field_number(session, "keep_chunks")))
		print_pair(cli, "attention",
			   "its sources of LTTng are not rotated so; lttng enable-rotation and "
			   "lttng rotate on their hosts do it");
}

int run_show(struct cli *cli)
{
	json_t *result = NULL;
	int status = get_session(cli, &result);

	if (status == EXIT_DONE && cli->json)
		status = cli_print_json(cli, result);
	else if (status == EXIT_DONE)
		print_session(cli, result);
	json_decref(result);
	return status;
}

/* ---- orders ---- */

static int order(struct cli *cli, const char *method)
{
	json_t *params = name_params(cli), *result = NULL;
	int status;

	if (!params)
		return bad_name(cli);
	status = daemon_call(cli, method, params, &result);
	if (status == EXIT_DONE && cli->json)
		status = cli_print_json(cli, result);
	json_decref(result);
	return status;
}

int run_start(struct cli *cli)
{
	return order(cli, "session.start");
}

int run_stop(struct cli *cli)
{
	return order(cli, "session.stop");
}

/* In a session of both, LTTng's sources are left alone: that is said, and no failure. */
int run_rotate(struct cli *cli)
{
	json_t *params = name_params(cli), *result = NULL;
	uint64_t lttng;
	int status;

	if (!params)
		return bad_name(cli);
	status = daemon_call(cli, "session.rotate", params, &result);
	lttng = field_number(result, "lttng_sources");
	if (status == EXIT_DONE && cli->json)
		status = cli_print_json(cli, result);
	else if (status == EXIT_DONE && lttng)
		fprintf(cli->out,
			"rotated: %" PRIu64 " sources of trace-cmd; not rotated: %" PRIu64
			" of LTTng, which only their own clients can order (lttng rotate)\n",
			field_number(result, "sources"), lttng);
	json_decref(result);
	return status;
}

int run_destroy_session(struct cli *cli)
{
	bool delete_data = cli_option(cli, "--delete-data") != NULL;
	json_t *params =
		json_pack("{s:s s:b}", "name", cli->arguments[0], "delete_data", delete_data);
	json_t *result = NULL;
	int status;

	if (!params)
		return bad_name(cli);
	status = daemon_call(cli, "session.destroy", params, &result);
	if (status == EXIT_DONE && cli->json)
		status = cli_print_json(cli, result);
	else if (status == EXIT_DONE && strcmp(field_text(result, "state"), "ending") == 0)
		fputs("The session ends when its sources have finished their chunks.\n", cli->out);
	json_decref(result);
	return status;
}
