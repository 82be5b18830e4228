/* SPDX-License-Identifier: MIT */
/* session_rows.c - a session is a row, and a row for each rule and each port of its own. */
#include "sessiond-lite/session_rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sessiond-lite/database.h"

/* ---- load ---- */

/* The JSON array of one text column, parsed by `parse` where it is not plain text. */
static json_t *load_list(sqlite3 *db, const char *sql, int64_t session, bool parse)
{
	json_t *list = json_array(), *value;
	sqlite3_stmt *s;
	int code;

	if (database_prepare(db, &s, sql, "i", session) < 0) {
		json_decref(list);
		return NULL;
	}
	while ((code = sqlite3_step(s)) == SQLITE_ROW) {
		const char *text = (const char *)sqlite3_column_text(s, 0);

		value = !text ? NULL : parse ? json_loads(text, 0, NULL) : json_string(text);
		if (json_array_append_new(list, value) < 0)
			break;
	}
	sqlite3_finalize(s);
	if (code != SQLITE_DONE) {
		json_decref(list);
		return NULL;
	}
	return list;
}

static int load_spec(sqlite3 *db, sqlite3_stmt *s, struct session_spec **ret, struct refusal *why)
{
	int64_t id = sqlite3_column_int64(s, 0);
	const char *name = (const char *)sqlite3_column_text(s, 1);
	/* o takes what it is given, and makes the whole NULL if one of them is. */
	json_t *params = json_pack(
		"{s:s, s:o, s:o, s:I, s:I, s:I}", "name", name ? name : "", "match",
		load_list(db, "SELECT json FROM rule WHERE session = ? ORDER BY position", id,
			  true),
		"listen",
		load_list(db, "SELECT spec FROM listener WHERE session = ? ORDER BY position", id,
			  false),
		"rotate_size", (json_int_t)sqlite3_column_int64(s, 5), "rotate_time_ms",
		(json_int_t)sqlite3_column_int64(s, 6), "keep_chunks",
		(json_int_t)sqlite3_column_int64(s, 7));
	struct refusal inner = {.sentence = "its rows cannot be read"};
	int r = params ? session_spec_from_json(params, ret, &inner) : -EBADMSG;

	json_decref(params);
	if (r < 0)
		refusal_set(why, r, "database", "session \"%s\": %s", name ? name : "",
			    inner.sentence);
	return r == -EINVAL ? -EBADMSG : r;
}

int session_rows_load(sqlite3 *db, session_rows_fn *each, void *context, struct refusal *why)
{
	struct session_row row;
	sqlite3_stmt *s;
	int code, r;

	why->reason = NULL;
	r = database_prepare(db, &s,
			     "SELECT id, name, created_ns, stopped, ending, rotate_size, "
			     "rotate_time_ms, keep_chunks, delete_data FROM session ORDER BY id",
			     "");
	if (r < 0)
		return r;
	while ((code = sqlite3_step(s)) == SQLITE_ROW && r == 0) {
		r = load_spec(db, s, &row.spec, why);
		if (r < 0)
			break;
		row.id = sqlite3_column_int64(s, 0);
		row.created_ns = sqlite3_column_int64(s, 2);
		row.stopped = sqlite3_column_int64(s, 3);
		row.ending = sqlite3_column_int64(s, 4);
		row.delete_data = sqlite3_column_int64(s, 8);
		r = each(context, &row);
	}
	sqlite3_finalize(s);
	return r < 0 ? r : database_error(code);
}

/* ---- change ---- */

static int insert_rule(sqlite3 *db, int64_t id, size_t position, const struct rule *rule)
{
	json_t *json = rule_to_json(rule);
	char *text = json_dumps(json, JSON_COMPACT);
	int r = text ? database_exec(db, "INSERT INTO rule VALUES (?, ?, ?)", "iis", id,
				     (int64_t)position, text)
		     : -ENOMEM;

	free(text);
	json_decref(json);
	return r;
}

int session_rows_insert(sqlite3 *db, const struct session_row *row, int64_t *ret_id)
{
	const struct session_spec *spec = row->spec;
	char text[SESSION_LISTENER_TEXT];
	int64_t id;
	int r = database_exec(db,
			      "INSERT INTO session (name, created_ns, rotate_size, rotate_time_ms, "
			      "keep_chunks) VALUES (?, ?, ?, ?, ?)",
			      "siiii", spec->name, row->created_ns, (int64_t)spec->rotate_size,
			      (int64_t)spec->rotate_time_ms, (int64_t)spec->keep_chunks);

	id = sqlite3_last_insert_rowid(db);
	for (size_t i = 0; r == 0 && i < spec->n_rules; i++)
		r = insert_rule(db, id, i, &spec->rules[i]);
	for (size_t i = 0; r == 0 && i < spec->n_listeners; i++)
		r = database_exec(db, "INSERT INTO listener VALUES (?, ?, ?)", "iis", id,
				  (int64_t)i, session_listener_format(&spec->listeners[i], text));
	if (r == 0)
		*ret_id = id;
	return r;
}

int session_rows_set_stopped(sqlite3 *db, int64_t id, bool stopped)
{
	return database_exec(db, "UPDATE session SET stopped = ? WHERE id = ?", "ii",
			     (int64_t)stopped, id);
}

int session_rows_set_ending(sqlite3 *db, int64_t id, bool delete_data)
{
	return database_exec(db, "UPDATE session SET ending = 1, delete_data = ? WHERE id = ?",
			     "ii", (int64_t)delete_data, id);
}

int session_rows_delete(sqlite3 *db, int64_t id, const char *name, bool delete_data)
{
	int r = 0;

	if (delete_data) {
		r = database_exec(db, "DELETE FROM chunk WHERE session = ?", "s", name);
		if (r == 0)
			r = database_exec(db, "DELETE FROM total WHERE session = ?", "s", name);
	}
	return r < 0 ? r : database_exec(db, "DELETE FROM session WHERE id = ?", "i", id);
}
