/* SPDX-License-Identifier: MIT */
/* chunk_rows.c - one statement a function, nearly. */
#include "sessiond-lite/chunk_rows.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "sessiond-lite/database.h"

void chunk_rows_session_of(const char *path, char *ret, size_t size)
{
	snprintf(ret, size, "%.*s", (int)strcspn(path, "/"), path);
}

/* HOST of SESSION/HOST/... */
static void host_of(const char *path, char *ret, size_t size)
{
	path += strcspn(path, "/");
	path += *path == '/';
	chunk_rows_session_of(path, ret, size);
}

static int insert(sqlite3 *db, const struct chunk_row *row, bool deleted)
{
	char session[CHUNK_PATH], host[CHUNK_PATH];
	int64_t compact = row->sparse && !deleted ? CHUNK_COMPACT_PENDING : CHUNK_COMPACT_NONE;

	chunk_rows_session_of(row->path, session, sizeof(session));
	host_of(row->path, host, sizeof(host));
	return database_exec(db,
			     "INSERT INTO chunk (source, number, session, host, peer, path, "
			     "protocol, start_ns, end_ns, bytes, lost, complete, deleted, compact) "
			     "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
			     "ON CONFLICT (source, number) DO NOTHING",
			     "iisssssiiiiiii", (int64_t)row->source, (int64_t)row->number, session,
			     host, row->peer, row->path, row->protocol, row->start_ns, row->end_ns,
			     (int64_t)row->bytes, (int64_t)row->lost, (int64_t)row->complete,
			     (int64_t)deleted, compact);
}

int chunk_rows_add(sqlite3 *db, const struct chunk_row *row)
{
	return insert(db, row, false);
}

int chunk_rows_delete(sqlite3 *db, const struct chunk_row *row)
{
	/* The news of an older one's deletion may have died with a relayd. */
	int r = database_exec(db,
			      "UPDATE chunk SET deleted = 1, end_ns = ? "
			      "WHERE source = ? AND number <= ? AND deleted = 0",
			      "iii", row->end_ns, (int64_t)row->source, (int64_t)row->number);

	/* Its own arrival may still come, repeated: remember that it is gone. */
	if (r == 0)
		r = insert(db, row, true);
	if (r == 0)
		r = database_exec(db,
				  "DELETE FROM chunk WHERE (source, number) IN (SELECT source, "
				  "number FROM chunk WHERE deleted = 1 AND end_ns < ? LIMIT 8)",
				  "i", row->end_ns - INT64_C(86400) * 1000000000);
	return r;
}

int chunk_rows_reset_tries(sqlite3 *db)
{
	return database_exec(db,
			     "UPDATE chunk SET tries = 0, try_at_ms = 0 "
			     "WHERE compact = 1 AND deleted = 0 AND try_at_ms <> 0",
			     "");
}

int chunk_rows_pending(sqlite3 *db, int64_t now_ms, struct chunk_order *ret, unsigned *n,
		       int64_t *ret_next_ms)
{
	unsigned room = *n, found = 0;
	int64_t next = INT64_MAX;
	sqlite3_stmt *s;
	int code;
	int r = database_prepare(db, &s,
				 "SELECT source, number, path, try_at_ms FROM chunk "
				 "WHERE compact = 1 AND deleted = 0 ORDER BY try_at_ms LIMIT ?",
				 "i", (int64_t)room + 1);

	if (r < 0)
		return r;
	while ((code = sqlite3_step(s)) == SQLITE_ROW) {
		const char *path = (const char *)sqlite3_column_text(s, 2);

		if (found == room || sqlite3_column_int64(s, 3) > now_ms) {
			next = sqlite3_column_int64(s, 3);
			code = SQLITE_DONE;
			break;
		}
		ret[found].source = (uint64_t)sqlite3_column_int64(s, 0);
		ret[found].number = (uint64_t)sqlite3_column_int64(s, 1);
		snprintf(ret[found++].path, CHUNK_PATH, "%s", path ? path : "");
	}
	sqlite3_finalize(s);
	if (code != SQLITE_DONE)
		return database_error(code);
	*n = found;
	*ret_next_ms = next;
	return 0;
}

int chunk_rows_compacted(sqlite3 *db, const char *path, enum chunk_compact state)
{
	return database_exec(db, "UPDATE chunk SET compact = ? WHERE path = ? AND compact = 1",
			     "is", (int64_t)state, path);
}

int chunk_rows_gone(sqlite3 *db, const char *path)
{
	return database_exec(db, "UPDATE chunk SET deleted = 1 WHERE path = ? AND compact = 1", "s",
			     path);
}

int chunk_rows_try_again(sqlite3 *db, const char *path, int64_t now_ms, int64_t min_ms,
			 int64_t max_ms)
{
	return database_exec(db,
			     "UPDATE chunk SET tries = tries + 1, "
			     "try_at_ms = ? + min(?, ? << min(tries, 30)) "
			     "WHERE path = ? AND compact = 1",
			     "iiis", now_ms, max_ms, min_ms, path);
}

static void read_total(sqlite3_stmt *s, struct chunk_total *ret)
{
	ret->chunks = (uint64_t)sqlite3_column_int64(s, 1);
	ret->bytes = (uint64_t)sqlite3_column_int64(s, 2);
	ret->lost = (uint64_t)sqlite3_column_int64(s, 3);
	ret->pending = (uint64_t)sqlite3_column_int64(s, 4);
}

int chunk_rows_total(sqlite3 *db, const char *session, struct chunk_total *ret)
{
	struct chunk_total total = {0};
	sqlite3_stmt *s;
	int code;
	int r = database_prepare(db, &s,
				 "SELECT session, chunks, bytes, lost, pending FROM total "
				 "WHERE session = ?",
				 "s", session);

	if (r < 0)
		return r;
	code = sqlite3_step(s);
	if (code == SQLITE_ROW)
		read_total(s, &total);
	sqlite3_finalize(s);
	if (code == SQLITE_ROW || code == SQLITE_DONE)
		*ret = total;
	return database_error(code);
}

int chunk_rows_each_total(sqlite3 *db,
			  int (*each)(void *context, const char *session,
				      const struct chunk_total *total),
			  void *context)
{
	struct chunk_total total;
	sqlite3_stmt *s;
	int code = SQLITE_DONE;
	int r = database_prepare(db, &s, "SELECT session, chunks, bytes, lost, pending FROM total",
				 "");

	if (r < 0)
		return r;
	while (r == 0 && (code = sqlite3_step(s)) == SQLITE_ROW) {
		const char *session = (const char *)sqlite3_column_text(s, 0);

		read_total(s, &total);
		r = session ? each(context, session, &total) : -ENOMEM;
	}
	sqlite3_finalize(s);
	return r < 0 ? r : database_error(code);
}
