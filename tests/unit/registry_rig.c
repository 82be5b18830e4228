/* SPDX-License-Identifier: MIT */
/* registry_rig.c - the parts around a registry and a catalog. */
#include "tests/unit/registry_rig.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#define PATIENCE_MS 10000

static int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	cr_assert(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void open_parts(struct rig *rig)
{
	struct state_capacity capacity = {
		.conversations = 8, .sources = 64, .streams = 64, .workers = 1};
	struct refusal why;

	cr_assert_eq(uv_loop_init(&rig->loop), 0);
	rig->dir_fd = open(rig->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert_geq(rig->dir_fd, 0);
	cr_assert_eq(state_create(&capacity, &rig->st), 0);
	cr_assert_eq(database_open(&rig->loop, rig->dir, &rig->database, &why), 0, "%s",
		     why.sentence);
}

static void close_parts(struct rig *rig)
{
	if (rig->registry)
		registry_stop(rig->registry);
	if (rig->catalog)
		catalog_stop(rig->catalog);
	database_close(rig->database);
	uv_run(&rig->loop, UV_RUN_DEFAULT);
	cr_assert_eq(uv_loop_close(&rig->loop), 0, "a handle is left");
	registry_free(rig->registry);
	catalog_free(rig->catalog);
	state_detach(&rig->st);
	close(rig->dir_fd);
	rig->registry = NULL;
	rig->catalog = NULL;
	rig->database = NULL;
}

void rig_open(struct rig *rig)
{
	memset(rig, 0, sizeof(*rig));
	/* The first loop of a process opens descriptors that libuv keeps. */
	cr_assert_eq(uv_loop_init(&rig->loop), 0);
	cr_assert_eq(uv_loop_close(&rig->loop), 0);
	rig->fds_before = count_fds();
	strcpy(rig->dir, "/tmp/tracerelay-rig-XXXXXX");
	cr_assert(mkdtemp(rig->dir));
	open_parts(rig);
}

void rig_reopen(struct rig *rig)
{
	close_parts(rig);
	open_parts(rig);
}

void rig_close(struct rig *rig)
{
	char command[128];

	close_parts(rig);
	snprintf(command, sizeof(command), "rm -rf %s", rig->dir);
	cr_assert_eq(system(command), 0);
	cr_assert_eq(count_fds(), rig->fds_before, "descriptors leaked");
}

/* ---- the registry ---- */

static void on_changed(void *context, uint32_t session)
{
	struct rig *rig = context;

	rig->changed[session]++;
}

static void on_numbers(void *context)
{
	struct rig *rig = context;

	rig->numbers_ready++;
}

static int on_listen(void *context, uint32_t session, const struct addr *at, struct addr *ret,
		     struct refusal *why)
{
	struct rig *rig = context;

	(void)session;
	if (rig->listen_error)
		return refusal_set(why, rig->listen_error, "listen", "port %u is taken", at->port);
	*ret = *at;
	if (!ret->port)
		ret->port = 4242;
	rig->listening++;
	return 0;
}

static void on_unlisten(void *context, uint32_t session)
{
	struct rig *rig = context;

	(void)session;
	rig->unlistened++;
}

static void on_deleted(void *context, const char *session)
{
	struct rig *rig = context;

	snprintf(rig->deleted, sizeof(rig->deleted), "%s", session);
}

static void create_registry(struct rig *rig)
{
	struct registry_config config = {.loop = &rig->loop,
					 .st = &rig->st,
					 .database = rig->database,
					 .output_dir_fd = rig->dir_fd,
					 .hooks = {.context = rig,
						   .session_changed = on_changed,
						   .numbers_ready = on_numbers,
						   .listen = on_listen,
						   .unlisten = on_unlisten,
						   .data_deleted = on_deleted}};
	struct refusal why;

	cr_assert_eq(registry_create(&config, &rig->registry, &why), 0, "%s", why.sentence);
}

static void start(struct rig *rig)
{
	cr_assert_eq(database_start(rig->database), 0);
	if (rig->registry)
		registry_start(rig->registry);
}

void rig_start_registry(struct rig *rig)
{
	create_registry(rig);
	start(rig);
}

uint32_t rig_source(struct rig *rig, uint32_t session_slot)
{
	uint32_t i = 0;

	while (atomic_load(&rig->st.source[i].id))
		i++;
	cr_assert_lt(i, rig->st.header->capacity.sources);
	atomic_store(&rig->st.source[i].session, session_slot + 1);
	atomic_store(&rig->st.source[i].id, atomic_fetch_add(&rig->st.header->next_id, 1));
	if (i >= atomic_load(&rig->st.header->high_source))
		atomic_store(&rig->st.header->high_source, i + 1);
	return i;
}

void rig_source_gone(struct rig *rig, uint32_t source)
{
	uint32_t session = atomic_load(&rig->st.source[source].session);

	atomic_store(&rig->st.source[source].id, 0);
	registry_source_ended(rig->registry, session - 1);
}

/* ---- the catalog ---- */

static void on_kept(void *context, const struct link_message *m)
{
	struct rig *rig = context;

	cr_assert_lt(rig->n_kept, RIG_LOG);
	rig->kept[rig->n_kept].source = m->chunk.source_number;
	rig->kept[rig->n_kept++].number = m->chunk.number;
}

static void on_compact(void *context, const char *path)
{
	struct rig *rig = context;

	cr_assert_lt(rig->n_compact, RIG_LOG);
	snprintf(rig->compact[rig->n_compact++], sizeof(rig->compact[0]), "%s", path);
}

static void create_catalog(struct rig *rig)
{
	struct catalog_config config = {
		.loop = &rig->loop,
		.st = &rig->st,
		.database = rig->database,
		.hooks = {.context = rig, .kept = on_kept, .compact = on_compact}};
	struct refusal why;

	cr_assert_eq(catalog_create(&config, &rig->catalog, &why), 0, "%s", why.sentence);
}

void rig_start_catalog(struct rig *rig)
{
	create_catalog(rig);
	start(rig);
}

void rig_start_both(struct rig *rig)
{
	create_registry(rig);
	create_catalog(rig);
	start(rig);
}

/* ---- the loop ---- */

/* Wakes the loop now and then, so that patience can end. */
static void on_tick(uv_timer_t *t)
{
	(void)t;
}

static void turn_while(struct rig *rig, bool (*go_on)(struct rig *rig, const void *what),
		       const void *what)
{
	uint64_t end = uv_hrtime() / 1000000 + PATIENCE_MS;
	uv_timer_t tick;

	uv_timer_init(&rig->loop, &tick);
	uv_timer_start(&tick, on_tick, 50, 50);
	while (go_on(rig, what)) {
		cr_assert_lt(uv_hrtime() / 1000000, end, "it did not happen");
		uv_run(&rig->loop, UV_RUN_ONCE);
	}
	uv_close((uv_handle_t *)&tick, NULL);
	uv_run(&rig->loop, UV_RUN_NOWAIT);
}

static bool not_set(struct rig *rig, const void *what)
{
	(void)rig;
	return !*(const volatile bool *)what;
}

void rig_until(struct rig *rig, const bool *flag)
{
	turn_while(rig, not_set, flag);
}

struct count {
	const volatile unsigned *count;
	unsigned at_least;
};

static bool too_few(struct rig *rig, const void *what)
{
	const struct count *c = what;

	(void)rig;
	return *c->count < c->at_least;
}

void rig_until_count(struct rig *rig, const unsigned *count, unsigned at_least)
{
	struct count c = {count, at_least};

	turn_while(rig, too_few, &c);
}

static bool waiting(struct rig *rig, const void *what)
{
	(void)what;
	return database_waiting(rig->database);
}

void rig_turn(struct rig *rig)
{
	uv_run(&rig->loop, UV_RUN_NOWAIT);
	turn_while(rig, waiting, NULL);
}

/* ---- the database, from outside ---- */

static sqlite3 *connect_database(struct rig *rig)
{
	char path[96];
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/catalog.db", rig->dir);
	cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
	sqlite3_busy_timeout(db, PATIENCE_MS);
	return db;
}

int64_t rig_number(struct rig *rig, const char *sql)
{
	sqlite3 *db = connect_database(rig);
	sqlite3_stmt *s;
	int64_t n;

	cr_assert_eq(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK, "%s: %s", sql,
		     sqlite3_errmsg(db));
	cr_assert_eq(sqlite3_step(s), SQLITE_ROW, "%s", sql);
	n = sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	sqlite3_close(db);
	return n;
}

void rig_sql(struct rig *rig, const char *sql)
{
	sqlite3 *db = connect_database(rig);
	char *error = NULL;

	cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, &error), SQLITE_OK, "%s: %s", sql, error);
	sqlite3_close(db);
}
