/* SPDX-License-Identifier: MIT */
/* schema.c - the statements that make the tables, a list for each version. */
#include "sessiond-lite/schema.h"

#include <errno.h>
#include <stdint.h>

#include "sessiond-lite/database.h"

#define TEXT_OF(x)  #x
#define TEXT_OF_(x) TEXT_OF(x)

static const char version_1[] =
	"CREATE TABLE numbers (next INTEGER NOT NULL);"
	"INSERT INTO numbers VALUES (1);"

	"CREATE TABLE session ("
	"  id INTEGER PRIMARY KEY AUTOINCREMENT,"
	"  name TEXT NOT NULL UNIQUE,"
	"  created_ns INTEGER NOT NULL,"
	"  stopped INTEGER NOT NULL DEFAULT 0,"
	"  ending INTEGER NOT NULL DEFAULT 0,"      /* destroy-session: finish at the next start */
	"  delete_data INTEGER NOT NULL DEFAULT 0," /* of which this is part */
	"  rotate_size INTEGER NOT NULL,"
	"  rotate_time_ms INTEGER NOT NULL,"
	"  keep_chunks INTEGER NOT NULL);"

	"CREATE TABLE rule ("
	"  session INTEGER NOT NULL REFERENCES session (id) ON DELETE CASCADE,"
	"  position INTEGER NOT NULL,"
	"  json TEXT NOT NULL," /* as session.create took it */
	"  PRIMARY KEY (session, position)) WITHOUT ROWID;"

	"CREATE TABLE listener ("
	"  session INTEGER NOT NULL REFERENCES session (id) ON DELETE CASCADE,"
	"  position INTEGER NOT NULL,"
	"  spec TEXT NOT NULL," /* PROTO:ADDR:PORT with the port that was bound */
	"  PRIMARY KEY (session, position)) WITHOUT ROWID;"

	"CREATE TABLE chunk ("
	"  source INTEGER NOT NULL,"
	"  number INTEGER NOT NULL,"
	"  session TEXT NOT NULL,"
	"  host TEXT NOT NULL,"
	"  peer TEXT NOT NULL,"
	"  path TEXT NOT NULL," /* below output.dir */
	"  protocol TEXT NOT NULL,"
	"  start_ns INTEGER NOT NULL,"
	"  end_ns INTEGER NOT NULL,"
	"  bytes INTEGER NOT NULL,"
	"  lost INTEGER NOT NULL,"
	"  complete INTEGER NOT NULL,"
	"  deleted INTEGER NOT NULL,"
	"  compact INTEGER NOT NULL," /* enum chunk_compact */
	"  tries INTEGER NOT NULL DEFAULT 0,"
	"  try_at_ms INTEGER NOT NULL DEFAULT 0," /* CLOCK_MONOTONIC of this run */
	"  PRIMARY KEY (source, number)) WITHOUT ROWID;"
	"CREATE INDEX chunk_pending ON chunk (try_at_ms) WHERE compact = 1 AND deleted = 0;"
	"CREATE INDEX chunk_path ON chunk (path);"
	"CREATE INDEX chunk_deleted ON chunk (end_ns) WHERE deleted = 1;"
	"CREATE INDEX chunk_session ON chunk (session);"

	"CREATE TABLE total ("
	"  session TEXT PRIMARY KEY,"
	"  chunks INTEGER NOT NULL,"
	"  bytes INTEGER NOT NULL,"
	"  lost INTEGER NOT NULL,"
	"  pending INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TRIGGER chunk_added AFTER INSERT ON chunk WHEN new.deleted = 0 BEGIN"
	"  INSERT INTO total VALUES (new.session, 1, new.bytes, new.lost, new.compact = 1)"
	"    ON CONFLICT (session) DO UPDATE SET chunks = chunks + 1, bytes = bytes + new.bytes,"
	"      lost = lost + new.lost, pending = pending + (new.compact = 1); END;"
	"CREATE TRIGGER chunk_gone AFTER UPDATE OF deleted ON chunk"
	"  WHEN old.deleted = 0 AND new.deleted = 1 BEGIN"
	"  UPDATE total SET chunks = chunks - 1, bytes = bytes - old.bytes, lost = lost - old.lost,"
	"      pending = pending - (old.compact = 1)"
	"    WHERE session = old.session; END;"
	"CREATE TRIGGER chunk_compacted AFTER UPDATE OF compact ON chunk"
	"  WHEN old.deleted = 0 AND old.compact = 1 AND new.compact <> 1 BEGIN"
	"  UPDATE total SET pending = pending - 1 WHERE session = old.session; END;"

	"PRAGMA application_id = " TEXT_OF_(SCHEMA_APPLICATION) ";"
								"PRAGMA user_version = 1;";

static int number_of(sqlite3 *db, const char *pragma, int64_t *ret)
{
	sqlite3_stmt *s;
	int r = database_prepare(db, &s, pragma, "");

	if (r < 0)
		return r;
	r = sqlite3_step(s);
	if (r == SQLITE_ROW)
		*ret = sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	return r == SQLITE_ROW ? 0 : r == SQLITE_DONE ? -EIO : database_error(r);
}

int schema_apply(sqlite3 *db)
{
	int64_t application, version, tables;
	int r = number_of(db, "PRAGMA application_id", &application);

	if (r == 0)
		r = number_of(db, "PRAGMA user_version", &version);
	if (r == 0)
		r = number_of(db, "SELECT count(*) FROM sqlite_schema", &tables);
	if (r < 0)
		return r;
	if (application != SCHEMA_APPLICATION && (application || version || tables))
		return -EMEDIUMTYPE;
	if (version > SCHEMA_VERSION)
		return -EPROTO;
	if (version == SCHEMA_VERSION)
		return 0;
	return database_error(sqlite3_exec(db, version_1, NULL, NULL, NULL));
}
