/* SPDX-License-Identifier: MIT */
/* database.c - order, rollback, failures, kills. */
#include "sessiond-lite/database.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include "tests/unit/registry_rig.h"

/* A job that inserts a number, or fails. */
struct piece {
	struct database_job job;
	const char *sql;
	int fail; /* after its sql */
	int error;
	char cause[DATABASE_CAUSE];
	bool told;
	unsigned turn; /* when it was told */
};

static unsigned turns;

static int work(sqlite3 *db, void *context)
{
	struct piece *p = context;
	int r = database_exec(db, p->sql, "");

	return r < 0 ? r : p->fail;
}

static void done(void *context, int error, const char *cause)
{
	struct piece *p = context;

	p->error = error;
	snprintf(p->cause, sizeof(p->cause), "%s", cause);
	p->told = true;
	p->turn = ++turns;
}

static void submit(struct rig *rig, struct piece *p)
{
	p->job = (struct database_job){.work = work, .done = done, .context = p};
	database_submit(rig->database, &p->job);
}

Test(database, in_order_and_alone)
{
	struct piece p[] = {
		{.sql = "CREATE TABLE t (n INTEGER PRIMARY KEY)"},
		{.sql = "INSERT INTO t VALUES (1)"},
		{.sql = "INSERT INTO t VALUES (2)", .fail = -EPERM},
		{.sql = "INSERT INTO t VALUES (1)"},
		{.sql = "INSERT INTO nonsense VALUES (1)"},
		{.sql = "INSERT INTO t VALUES (3)"},
	};
	int want[] = {0, 0, -EPERM, -EEXIST, -EIO, 0};
	struct rig rig;

	rig_open(&rig);
	for (int i = 0; i < 6; i++)
		submit(&rig, &p[i]); /* one batch, since the thread is not there yet */
	cr_assert_eq(database_waiting(rig.database), 6);
	cr_assert_eq(database_start(rig.database), 0);
	rig_until(&rig, &p[5].told);
	for (int i = 0; i < 6; i++) {
		cr_assert_eq(p[i].error, want[i], "%d: %s", i, p[i].cause);
		cr_assert_eq(!*p[i].cause, !p[i].error, "%d", i);
		cr_assert_eq(p[i].turn, (unsigned)i + 1, "told in order");
	}
	cr_assert(strstr(p[4].cause, "nonsense"), "%s", p[4].cause);
	cr_assert_eq(database_waiting(rig.database), 0);
	cr_assert_eq(rig_number(&rig, "SELECT sum(n) FROM t"), 4, "failed work left something");
	rig_close(&rig);
}

/* What SQLite does by itself when the disk fails: nothing of the batch is there. */
Test(database, a_lost_transaction_fails_all_in_it)
{
	struct piece p[] = {{.sql = "CREATE TABLE t (n INTEGER)"},
			    {.sql = "INSERT INTO t VALUES (1)"},
			    {.sql = "ROLLBACK", .fail = -EIO},
			    {.sql = "INSERT INTO t VALUES (2)"},
			    {.sql = "CREATE TABLE u (n INTEGER)"}};
	struct rig rig;

	rig_open(&rig);
	for (int i = 0; i < 4; i++)
		submit(&rig, &p[i]);
	cr_assert_eq(database_start(rig.database), 0);
	rig_until(&rig, &p[3].told);
	for (int i = 0; i < 4; i++)
		cr_assert_eq(p[i].error, -EIO, "%d: %d", i, p[i].error);
	submit(&rig, &p[4]);
	rig_until(&rig, &p[4].told);
	cr_assert_eq(p[4].error, 0, "it goes on");
	cr_assert_eq(rig_number(&rig, "SELECT count(*) FROM sqlite_schema WHERE name = 't'"), 0);
	rig_close(&rig);
}

Test(database, many)
{
	enum { N = 2000 };
	static struct piece p[N];
	struct piece first = {.sql = "CREATE TABLE t (n INTEGER)"};
	struct rig rig;

	rig_open(&rig);
	cr_assert_eq(database_start(rig.database), 0);
	submit(&rig, &first);
	for (int i = 0; i < N; i++) {
		p[i].sql = "INSERT INTO t VALUES (1)";
		submit(&rig, &p[i]);
	}
	rig_until(&rig, &p[N - 1].told);
	for (int i = 0; i < N; i++)
		cr_assert(p[i].told && !p[i].error);
	cr_assert_eq(rig_number(&rig, "SELECT count(*) FROM t"), N);
	rig_close(&rig);
}

Test(database, close_finishes)
{
	struct piece p[] = {{.sql = "CREATE TABLE t (n INTEGER)"},
			    {.sql = "INSERT INTO t VALUES (1)"}};
	struct rig rig;

	rig_open(&rig);
	cr_assert_eq(database_start(rig.database), 0);
	submit(&rig, &p[0]);
	submit(&rig, &p[1]);
	rig_reopen(&rig);
	cr_assert(p[0].told && p[1].told);
	cr_assert_eq(p[1].error, 0);
	cr_assert_eq(rig_number(&rig, "SELECT n FROM t"), 1);
	rig_close(&rig);
}

/* Work submitted by a done function while the database is being closed. */
static struct rig *closing_rig;
static struct piece late = {.sql = "SELECT 1"};

static void submit_more(void *context, int error, const char *cause)
{
	done(context, error, cause);
	submit(closing_rig, &late);
}

Test(database, nothing_new_while_closing)
{
	struct piece p = {.sql = "SELECT 1"};
	struct rig rig;

	rig_open(&rig);
	closing_rig = &rig;
	cr_assert_eq(database_start(rig.database), 0);
	p.job = (struct database_job){.work = work, .done = submit_more, .context = &p};
	database_submit(rig.database, &p.job);
	rig_close(&rig);
	cr_assert(late.told);
	cr_assert_eq(late.error, -ESHUTDOWN);
}

Test(database, trouble_comes_and_goes)
{
	struct piece p[] = {{.sql = "CREATE TABLE t (n INTEGER PRIMARY KEY)"},
			    {.sql = "INSERT INTO t VALUES (1)"},
			    {.sql = "INSERT INTO t VALUES (1)"},
			    {.sql = "INSERT INTO nonsense VALUES (1)"},
			    {.sql = "INSERT INTO t VALUES (2)"}};
	struct rig rig;

	rig_open(&rig);
	cr_assert_eq(database_start(rig.database), 0);
	for (int i = 0; i < 3; i++)
		submit(&rig, &p[i]);
	rig_until(&rig, &p[2].told);
	cr_assert_eq(p[2].error, -EEXIST);
	cr_assert_str_empty(database_trouble(rig.database), "a constraint is no trouble");
	submit(&rig, &p[3]);
	rig_until(&rig, &p[3].told);
	cr_assert(strstr(database_trouble(rig.database), "nonsense"));
	submit(&rig, &p[4]);
	rig_until(&rig, &p[4].told);
	cr_assert_str_empty(database_trouble(rig.database));
	rig_close(&rig);
}

/* ---- the file ---- */

Test(database, only_we_and_our_group_read_it)
{
	struct rig rig;
	struct stat sb;
	mode_t mask = umask(0);

	rig_open(&rig);
	umask(mask);
	cr_assert_eq(fstatat(rig.dir_fd, "catalog.db", &sb, 0), 0);
	cr_assert_eq(sb.st_mode & 0777, 0640);
	cr_assert_eq(fstatat(rig.dir_fd, "catalog.db-wal", &sb, 0), 0);
	cr_assert_eq(sb.st_mode & 0777, 0640);
	rig_close(&rig);
}

/* What cannot be opened: the file is named, and why. */
static void refuses(struct rig *rig, int error, const char *part)
{
	struct database *d = NULL;
	struct refusal why;
	int r = database_open(&rig->loop, rig->dir, &d, &why);

	cr_assert_eq(r, error, "%d: %s", r, why.sentence);
	cr_assert_null(d);
	cr_assert_str_eq(why.reason, "database");
	cr_assert(strstr(why.sentence, "/catalog.db"), "%s", why.sentence);
	cr_assert(strstr(why.sentence, part), "%s", why.sentence);
}

/* The database is closed behind the rig's back, changed, and must be refused. */
static void shut(struct rig *rig)
{
	database_close(rig->database);
	rig->database = NULL;
	uv_run(&rig->loop, UV_RUN_DEFAULT);
}

Test(database, somebody_elses)
{
	struct rig rig;

	rig_open(&rig);
	shut(&rig);
	rig_sql(&rig, "PRAGMA application_id = 7");
	refuses(&rig, -EMEDIUMTYPE, "another program");
	rig_close(&rig);
}

Test(database, somebody_elses_without_a_name)
{
	struct rig rig;

	rig_open(&rig);
	shut(&rig);
	cr_assert_eq(unlinkat(rig.dir_fd, "catalog.db", 0), 0);
	rig_sql(&rig, "CREATE TABLE contacts (name TEXT)");
	refuses(&rig, -EMEDIUMTYPE, "another program");
	cr_assert_eq(rig_number(&rig, "SELECT count(*) FROM sqlite_schema"), 1, "it was changed");
	rig_close(&rig);
}

Test(database, a_later_versions)
{
	struct rig rig;

	rig_open(&rig);
	shut(&rig);
	rig_sql(&rig, "PRAGMA user_version = 1000");
	refuses(&rig, -EPROTO, "later version");
	rig_close(&rig);
}

Test(database, garbage)
{
	struct rig rig;
	char junk[8192];
	int fd;

	rig_open(&rig);
	shut(&rig);
	memset(junk, 'x', sizeof(junk));
	fd = openat(rig.dir_fd, "catalog.db", O_WRONLY);
	cr_assert_eq(write(fd, junk, sizeof(junk)), sizeof(junk));
	close(fd);
	refuses(&rig, -EUCLEAN, "not a database");
	rig_close(&rig);
}

Test(database, not_ours_to_write)
{
	struct rig rig;
	bool root = geteuid() == 0;

	rig_open(&rig);
	shut(&rig);
	if (root)
		cr_assert_eq(chmod(rig.dir, 0755), 0);
	cr_assert_eq(fchmodat(rig.dir_fd, "catalog.db", 0444, 0), 0);
	if (root)
		cr_assert_eq(seteuid(65534), 0);
	refuses(&rig, -EACCES, "Permission denied");
	if (root)
		cr_assert_eq(seteuid(0), 0);
	rig_close(&rig);
}

Test(database, a_directory_in_its_place)
{
	struct rig rig;

	rig_open(&rig);
	shut(&rig);
	cr_assert_eq(unlinkat(rig.dir_fd, "catalog.db", 0), 0);
	cr_assert_eq(mkdirat(rig.dir_fd, "catalog.db", 0755), 0);
	refuses(&rig, -EISDIR, "directory");
	rig_close(&rig);
}

/* ---- codes ---- */

struct code {
	int sqlite, error;
};

ParameterizedTestParameters(database, codes)
{
	static struct code cases[] = {
		{SQLITE_OK, 0},
		{SQLITE_DONE, 0},
		{SQLITE_ROW, 0},
		{SQLITE_FULL, -ENOSPC},
		{SQLITE_READONLY, -EROFS},
		{SQLITE_READONLY_DBMOVED, -EROFS},
		{SQLITE_BUSY_SNAPSHOT, -EBUSY},
		{SQLITE_IOERR_WRITE, -EIO},
		{SQLITE_NOMEM, -ENOMEM},
		{SQLITE_CORRUPT_INDEX, -EUCLEAN},
		{SQLITE_NOTADB, -EUCLEAN},
		{SQLITE_CANTOPEN, -EACCES},
		{SQLITE_CONSTRAINT_UNIQUE, -EEXIST},
		{SQLITE_MISUSE, -EIO},
	};

	return cr_make_param_array(struct code, cases, sizeof(cases) / sizeof(cases[0]));
}

ParameterizedTest(struct code *c, database, codes)
{
	cr_assert_eq(database_error(c->sqlite), c->error, "%d", c->sqlite);
}

/* ---- a full disk ---- */

Test(database, a_full_disk_fails_and_heals)
{
	struct piece p[] = {{.sql = "CREATE TABLE t (b BLOB)"},
			    {.sql = "INSERT INTO t VALUES (zeroblob(1000000))"},
			    {.sql = "INSERT INTO t VALUES (zeroblob(10))"}};
	struct rig rig;

	rig_open(&rig);
	cr_assert_eq(database_start(rig.database), 0);
	submit(&rig, &p[0]);
	rig_until(&rig, &p[0].told);
	/* pages of 4 KiB: room for 100 more or so */
	submit(&rig, &(struct piece){.sql = "PRAGMA max_page_count = 100"});
	rig_turn(&rig);
	submit(&rig, &p[1]);
	rig_until(&rig, &p[1].told);
	cr_assert_eq(p[1].error, -ENOSPC, "%s", p[1].cause);
	cr_assert(strstr(database_trouble(rig.database), "full"));
	submit(&rig, &p[2]);
	rig_until(&rig, &p[2].told);
	cr_assert_eq(p[2].error, 0, "%s", p[2].cause);
	cr_assert_eq(rig_number(&rig, "SELECT count(*) FROM t"), 1);
	rig_close(&rig);
}

/* ---- kills ---- */

/* [child] Insert 1, 2, 3 ... and write each number down when its commit was told. */
static void told_number(void *context, int error, const char *cause)
{
	(void)cause;
	if (error || write(*(int *)context, "x", 1) != 1)
		_exit(1);
}

static int insert_next(sqlite3 *db, void *context)
{
	(void)context;
	return database_exec(db, "INSERT INTO t SELECT ifnull(max(n), 0) + 1 FROM t", "");
}

static void insert_for_ever(const char *dir, int out)
{
	enum { AT_ONCE = 8 };
	static struct database_job jobs[AT_ONCE];
	struct database *d;
	struct refusal why;
	uv_loop_t loop;

	if (uv_loop_init(&loop) < 0 || database_open(&loop, dir, &d, &why) < 0 ||
	    database_start(d) < 0)
		_exit(1);
	for (;;) {
		for (int i = 0; i < AT_ONCE; i++) {
			jobs[i] = (struct database_job){
				.work = insert_next, .done = told_number, .context = &out};
			database_submit(d, &jobs[i]);
		}
		while (database_waiting(d))
			uv_run(&loop, UV_RUN_ONCE);
	}
}

Test(database, what_was_told_survives_a_kill, .timeout = 120)
{
	struct piece p = {.sql = "CREATE TABLE t (n INTEGER PRIMARY KEY)"};
	int64_t told = 0;
	struct rig rig;

	rig_open(&rig);
	cr_assert_eq(database_start(rig.database), 0);
	submit(&rig, &p);
	rig_until(&rig, &p.told);
	shut(&rig);
	srand(1);
	for (int round = 0; round < 20; round++) {
		int pipe_fds[2], wait_for = rand() % 100;
		pid_t child;
		char c;

		cr_assert_eq(pipe(pipe_fds), 0);
		child = fork();
		if (!child) {
			close(pipe_fds[0]);
			insert_for_ever(rig.dir, pipe_fds[1]);
		}
		close(pipe_fds[1]);
		for (int i = 0; i <= wait_for; i++, told++)
			cr_assert_eq(read(pipe_fds[0], &c, 1), 1, "the child failed");
		kill(child, SIGKILL);
		cr_assert_eq(waitpid(child, NULL, 0), child);
		while (read(pipe_fds[0], &c, 1) == 1)
			told++;
		close(pipe_fds[0]);
		cr_assert_geq(rig_number(&rig, "SELECT count(*) FROM t"), told);
		cr_assert_eq(rig_number(&rig, "SELECT count(*) - max(n) FROM t"), 0);
		told = rig_number(&rig, "SELECT count(*) FROM t");
	}
	rig_close(&rig);
}
