/* SPDX-License-Identifier: MIT */
/* schema.c - tables made once. What must not be touched: see tests/unit/database.c. */
#include "sessiond-lite/schema.h"

#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/unit/registry_rig.h"

Test(schema, made_once)
{
	struct rig rig;
	int64_t objects;

	rig_open(&rig);
	objects = rig_number(&rig, "SELECT count(*) FROM sqlite_schema");
	cr_assert_gt(objects, 5);
	cr_assert_eq(rig_number(&rig, "PRAGMA user_version"), SCHEMA_VERSION);
	cr_assert_eq(rig_number(&rig, "PRAGMA application_id"), SCHEMA_APPLICATION);
	cr_assert_eq(rig_number(&rig, "SELECT next FROM numbers"), 1);
	rig_sql(&rig, "UPDATE numbers SET next = 77");
	rig_reopen(&rig);
	cr_assert_eq(rig_number(&rig, "SELECT count(*) FROM sqlite_schema"), objects);
	cr_assert_eq(rig_number(&rig, "SELECT next FROM numbers"), 77);
	cr_assert_eq(rig_number(&rig, "SELECT count(*) FROM numbers"), 1);
	rig_close(&rig);
}

/* Every statement that looks something up in a big table has an index. */
Test(schema, no_table_is_read_whole)
{
	static const char *const queries[] = {
		"UPDATE chunk SET deleted = 1 WHERE source = 1 AND number <= 2 AND deleted = 0",
		"SELECT path FROM chunk WHERE compact = 1 AND deleted = 0 ORDER BY try_at_ms",
		"UPDATE chunk SET compact = 2 WHERE path = 'x' AND compact = 1",
		"SELECT number FROM chunk WHERE deleted = 1 AND end_ns < 7 LIMIT 8",
		"DELETE FROM chunk WHERE session = 'x'",
		"SELECT chunks FROM total WHERE session = 'x'",
	};
	char sql[256];
	struct rig rig;

	rig_open(&rig);
	for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
		sqlite3_stmt *s;
		sqlite3 *db;
		char path[96];

		snprintf(path, sizeof(path), "%s/catalog.db", rig.dir);
		snprintf(sql, sizeof(sql), "EXPLAIN QUERY PLAN %s", queries[i]);
		cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
		cr_assert_eq(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK, "%s",
			     sqlite3_errmsg(db));
		while (sqlite3_step(s) == SQLITE_ROW) {
			const char *step = (const char *)sqlite3_column_text(s, 3);

			cr_assert_not(strncmp(step, "SCAN", 4) == 0 &&
					      !strstr(step, "chunk_pending"),
				      "%s: %s", queries[i], step);
		}
		sqlite3_finalize(s);
		sqlite3_close(db);
	}
	rig_close(&rig);
}
