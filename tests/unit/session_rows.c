/* SPDX-License-Identifier: MIT */
/* session_rows.c - sessions into the database and back. */
#include "sessiond-lite/session_rows.h"

#include <errno.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/unit/registry_rig.h"

static struct refusal why;

static struct session_spec *spec_of(const char *json)
{
	json_t *params = json_loads(json, 0, NULL);
	struct session_spec *spec;

	cr_assert(params);
	cr_assert_eq(session_spec_from_json(params, &spec, &why), 0, "%s", why.sentence);
	json_decref(params);
	return spec;
}

/* ---- work functions, so that each test is a list of them ---- */

static int64_t id;

static int insert(sqlite3 *db, void *context)
{
	struct session_row row = {.spec = context, .created_ns = 42};

	return session_rows_insert(db, &row, &id);
}

static int stop(sqlite3 *db, void *context)
{
	(void)context;
	return session_rows_set_stopped(db, id, true);
}

static int mark(sqlite3 *db, void *context)
{
	(void)context;
	return session_rows_set_ending(db, id, true);
}

static int remove_keeping(sqlite3 *db, void *context)
{
	return session_rows_delete(db, id, context, false);
}

static int remove_all(sqlite3 *db, void *context)
{
	return session_rows_delete(db, id, context, true);
}

#define ROWS 4

static struct session_row rows[ROWS];
static unsigned n_rows;

static int collect(void *context, const struct session_row *row)
{
	(void)context;
	cr_assert_lt(n_rows, ROWS);
	rows[n_rows++] = *row;
	return 0;
}

static int load(sqlite3 *db, void *context)
{
	(void)context;
	n_rows = 0;
	return session_rows_load(db, collect, NULL, &why);
}

static void forget_rows(void)
{
	while (n_rows)
		session_spec_free(rows[--n_rows].spec);
}

static int run(struct rig *rig, database_work *work, void *context)
{
	struct refusal refusal;

	return database_run(rig->database, work, context, &refusal);
}

Test(session_rows, as_it_was)
{
	struct session_spec *spec =
		spec_of("{\"name\":\"web\",\"match\":[{\"host\":\"w*\",\"addr\":\"10.0.0.0/8\"},"
			"{\"proto\":\"trace-cmd-v3\"},{\"port\":7}],\"listen\":"
			"[\"trace-cmd:127.0.0.1:7\",\"trace-cmd:[::1]:8\"],\"rotate_size\":65536,"
			"\"rotate_time_ms\":1000,\"keep_chunks\":5}");
	json_t *before = json_object(), *after = json_object();
	struct rig rig;

	rig_open(&rig);
	cr_assert_eq(run(&rig, insert, spec), 0);
	rig_reopen(&rig);
	cr_assert_eq(run(&rig, load, NULL), 0);
	cr_assert_eq(n_rows, 1);
	cr_assert_str_eq(rows[0].spec->name, "web");
	cr_assert_eq(rows[0].id, id);
	cr_assert_eq(rows[0].created_ns, 42);
	cr_assert_not(rows[0].stopped || rows[0].ending || rows[0].delete_data);
	cr_assert_eq(session_spec_to_json(spec, before), 0);
	cr_assert_eq(session_spec_to_json(rows[0].spec, after), 0);
	cr_assert(json_equal(before, after));
	forget_rows();
	json_decref(before);
	json_decref(after);
	session_spec_free(spec);
	rig_close(&rig);
}

Test(session_rows, marks)
{
	struct session_spec *spec = spec_of("{\"name\":\"web\"}");
	struct rig rig;

	rig_open(&rig);
	cr_assert_eq(run(&rig, insert, spec), 0);
	cr_assert_eq(run(&rig, stop, NULL), 0);
	cr_assert_eq(run(&rig, mark, NULL), 0);
	cr_assert_eq(run(&rig, load, NULL), 0);
	cr_assert(rows[0].stopped && rows[0].ending && rows[0].delete_data);
	forget_rows();
	session_spec_free(spec);
	rig_close(&rig);
}

Test(session_rows, names_are_unique_and_ids_grow)
{
	struct session_spec *a = spec_of("{\"name\":\"z\"}"), *b = spec_of("{\"name\":\"b\"}");
	struct rig rig;
	int64_t first;

	rig_open(&rig);
	cr_assert_eq(run(&rig, insert, b), 0);
	first = id;
	cr_assert_eq(run(&rig, insert, b), -EEXIST);
	/* a destroyed one's id is not used again: the order of creation stays true */
	cr_assert_eq(run(&rig, remove_keeping, (void *)"b"), 0);
	cr_assert_eq(run(&rig, insert, a), 0);
	cr_assert_gt(id, first);
	cr_assert_eq(run(&rig, insert, b), 0);
	cr_assert_eq(run(&rig, load, NULL), 0);
	cr_assert_eq(n_rows, 2);
	cr_assert_str_eq(rows[0].spec->name, "z");
	cr_assert_str_eq(rows[1].spec->name, "b");
	forget_rows();
	session_spec_free(a);
	session_spec_free(b);
	rig_close(&rig);
}

static const char chunks[] =
	"INSERT INTO chunk (source, number, session, host, peer, path, protocol, start_ns, end_ns,"
	" bytes, lost, complete, deleted, compact) VALUES"
	" (1, 1, 'web', 'h', '', 'web/h/1/trace.dat', '', 0, 0, 10, 0, 1, 0, 0),"
	" (2, 1, 'db', 'h', '', 'db/h/1/trace.dat', '', 0, 0, 10, 0, 1, 0, 0)";

Test(session_rows, removal)
{
	struct session_spec *spec = spec_of("{\"name\":\"web\",\"match\":[{\"port\":1}],"
					    "\"listen\":[\"trace-cmd:127.0.0.1:7\"]}");
	struct rig rig;

	rig_open(&rig);
	cr_assert_eq(run(&rig, insert, spec), 0);
	rig_sql(&rig, chunks);
	cr_assert_eq(run(&rig, remove_keeping, (void *)"web"), 0);
	cr_assert_eq(rig_number(&rig, "SELECT (SELECT count(*) FROM session) +"
				      "(SELECT count(*) FROM rule) +"
				      "(SELECT count(*) FROM listener)"),
		     0);
	cr_assert_eq(rig_number(&rig, "SELECT count(*) FROM chunk WHERE session = 'web'"), 1,
		     "the files are still there");
	cr_assert_eq(run(&rig, insert, spec), 0);
	cr_assert_eq(run(&rig, remove_all, (void *)"web"), 0);
	cr_assert_eq(rig_number(&rig, "SELECT count(*) FROM chunk WHERE session = 'web'"), 0);
	cr_assert_eq(rig_number(&rig, "SELECT count(*) FROM total WHERE session = 'web'"), 0);
	cr_assert_eq(rig_number(&rig, "SELECT count(*) FROM chunk WHERE session = 'db'"), 1);
	cr_assert_eq(rig_number(&rig, "SELECT bytes FROM total WHERE session = 'db'"), 10);
	session_spec_free(spec);
	rig_close(&rig);
}

Test(session_rows, rows_that_make_no_sense)
{
	static const char *const damage[] = {
		"UPDATE rule SET json = '{\"port\":0}'", "UPDATE rule SET json = 'nonsense'",
		"UPDATE listener SET spec = 'smtp:25'",  "UPDATE session SET name = '../web'",
		"UPDATE session SET rotate_size = -1",
	};
	struct session_spec *spec = spec_of("{\"name\":\"web\",\"match\":[{\"port\":1}],"
					    "\"listen\":[\"trace-cmd:127.0.0.1:7\"]}");
	struct rig rig;

	for (size_t i = 0; i < sizeof(damage) / sizeof(damage[0]); i++) {
		rig_open(&rig);
		cr_assert_eq(run(&rig, insert, spec), 0);
		rig_sql(&rig, damage[i]);
		cr_assert_eq(run(&rig, load, NULL), -EBADMSG, "%s", damage[i]);
		cr_assert(strstr(why.sentence, "web\""), "%s", why.sentence);
		forget_rows();
		rig_close(&rig);
	}
	session_spec_free(spec);
}
