/* SPDX-License-Identifier: MIT */
/*
 * registry_kills.c - sessiond-lite's registry and catalog at work, killed at random instants: what
 * was answered is in catalog.db, source numbers never come again.
 *
 *   child   a loop with registry, catalog and database: many changes at once, for ever; tells the
 *           parent what it begins and what was answered
 *   parent  kills it, then compares what it was told with what the database says
 *
 * usage: registry_kills [KILLS [SEED]]
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sessiond-lite/catalog.h"
#include "sessiond-lite/registry.h"

#define SESSIONS 12
#define AT_ONCE  16
#define NUMBERS  200000
#define PATIENCE 60 /* seconds without a word from the child */

static char dir[] = "/tmp/tracerelay-registry-kills-XXXXXX";

static void die(const char *what)
{
	fprintf(stderr, "registry_kills: %s: %s (files in %s)\n", what, strerror(errno), dir);
	exit(1);
}

/* What the child says; shorter than PIPE_BUF, so a kill cuts none in two. */
struct word {
	enum { BEGUN, CREATED, DESTROYED, STOPPED, STARTED, REFUSED, KEPT, NUMBER } what;
	uint32_t session;
	uint64_t source, number;
};

/* ---- the child ---- */

static struct child {
	uv_loop_t loop;
	struct state st;
	struct database *database;
	struct registry *registry;
	struct catalog *catalog;
	int out;
	unsigned under_way;
	unsigned seed;
	uint64_t source;
	uint32_t chunk;
} c;

static void say(struct word w)
{
	if (write(c.out, &w, sizeof(w)) != sizeof(w))
		_exit(2);
}

static void on_changed(void *context, uint32_t session)
{
	(void)context, (void)session;
}

static void on_numbers(void *context)
{
	(void)context;
}

static int on_listen(void *context, uint32_t session, const struct addr *at, struct addr *ret,
		     struct refusal *why)
{
	(void)context, (void)session, (void)why;
	*ret = *at;
	return 0;
}

static void on_kept(void *context, const struct link_message *m)
{
	(void)context;
	c.under_way--;
	say((struct word){
		.what = KEPT, .source = m->chunk.source_number, .number = m->chunk.number});
}

static void on_compact(void *context, const char *path)
{
	(void)context;
	/* relayd's answer, maybe */
	catalog_compacted(c.catalog, path, rand_r(&c.seed) % 4 ? 0 : -EAGAIN);
}

struct change {
	struct word word; /* said when it is done */
};

static void on_done(void *context, const struct refusal *why)
{
	struct change *change = context;

	c.under_way--;
	if (why)
		change->word.what = REFUSED;
	say(change->word);
	free(change);
}

static struct session_spec *spec_of(const char *name)
{
	json_t *params = json_pack("{s:s, s:[{s:i}], s:[s]}", "name", name, "match", "port", 7,
				   "listen", "trace-cmd:127.0.0.1:7");
	struct session_spec *spec = NULL;
	struct refusal why;

	if (session_spec_from_json(params, &spec, &why) < 0)
		_exit(3);
	json_decref(params);
	return spec;
}

static void change_session(void)
{
	uint32_t n = (uint32_t)rand_r(&c.seed) % SESSIONS;
	struct change *change = calloc(1, sizeof(*change));
	char name[16];

	snprintf(name, sizeof(name), "s%u", n);
	change->word.session = n;
	say((struct word){.what = BEGUN, .session = n});
	switch (rand_r(&c.seed) % 4) {
	case 0:
	case 1:
		change->word.what = CREATED;
		registry_create_session(c.registry, spec_of(name), on_done, change);
		break;
	case 2:
		change->word.what = rand_r(&c.seed) % 2 ? STOPPED : STARTED;
		registry_set_stopped(c.registry, name, change->word.what == STOPPED, on_done,
				     change);
		break;
	default:
		change->word.what = DESTROYED;
		registry_destroy_session(c.registry, name, rand_r(&c.seed) % 2, on_done, change);
	}
}

static void finish_chunk(void)
{
	struct link_message m = {
		.type = LINK_CHUNK,
		.chunk = {.source_number = c.source, .number = ++c.chunk, .bytes = 1, .sparse = 1}};

	snprintf(m.text, sizeof(m.text), "default/host/x-%u/trace.%06u.dat", (unsigned)c.source,
		 c.chunk);
	catalog_chunk(c.catalog, &m);
}

static void take_number(void)
{
	int r = registry_next_source_number(c.registry, &c.source);

	c.under_way--;
	if (r == -EAGAIN)
		return;
	if (r < 0)
		_exit(4);
	c.chunk = 0;
	say((struct word){.what = NUMBER, .number = c.source});
}

static void child(int out, unsigned seed)
{
	struct state_capacity capacity = {
		.conversations = 4, .sources = 4, .streams = 4, .workers = 1};
	struct registry_config registry = {.loop = &c.loop,
					   .st = &c.st,
					   .output_dir_fd = open(dir, O_RDONLY | O_CLOEXEC),
					   .hooks = {.session_changed = on_changed,
						     .numbers_ready = on_numbers,
						     .listen = on_listen,
						     .unlisten = on_changed}};
	struct catalog_config catalog = {
		.loop = &c.loop, .st = &c.st, .hooks = {.kept = on_kept, .compact = on_compact}};
	struct refusal why = {.sentence = ""};

	c.out = out;
	c.seed = seed;
	if (uv_loop_init(&c.loop) < 0 || state_create(&capacity, &c.st) < 0 ||
	    database_open(&c.loop, dir, &c.database, &why) < 0)
		goto fail;
	registry.database = catalog.database = c.database;
	if (registry_create(&registry, &c.registry, &why) < 0 ||
	    catalog_create(&catalog, &c.catalog, &why) < 0 || database_start(c.database) < 0)
		goto fail;
	registry_start(c.registry);
	catalog_relayd_ready(c.catalog);
	take_number();
	for (c.under_way = 0;;) {
		while (c.under_way < AT_ONCE) {
			c.under_way++;
			switch (rand_r(&c.seed) % 4) {
			case 0:
				take_number();
				break;
			case 1:
				change_session();
				break;
			default:
				finish_chunk();
			}
		}
		uv_run(&c.loop, UV_RUN_ONCE);
	}
fail:
	fprintf(stderr, "registry_kills: the child cannot start: %s\n", why.sentence);
	_exit(5);
}

/* ---- the parent ---- */

/* What must hold of a session; after BEGUN nothing until its answer. */
struct belief {
	unsigned begun;
	bool known, present, stopped;
};

static struct belief beliefs[SESSIONS];
static struct key {
	uint64_t source, number;
} kept[NUMBERS];
static unsigned n_kept, n_answers, numbers;
static uint64_t highest;

static void believe(const struct word *w)
{
	struct belief *b = &beliefs[w->session];

	switch (w->what) {
	case BEGUN:
		b->begun++;
		b->known = false;
		return;
	case NUMBER:
		if (w->number <= highest) {
			fprintf(stderr, "registry_kills: number %llu after %llu\n",
				(unsigned long long)w->number, (unsigned long long)highest);
			exit(1);
		}
		highest = w->number;
		numbers++;
		return;
	case KEPT:
		if (n_kept < NUMBERS)
			kept[n_kept++] = (struct key){w->source, w->number};
		return;
	case REFUSED:
		b->begun--;
		return;
	default:
		break;
	}
	b->begun--;
	n_answers++;
	/* Only what nothing else was going on beside tells how it is. */
	b->known = !b->begun;
	b->present = w->what != DESTROYED;
	b->stopped = w->what == STOPPED;
}

/* One number; -1: no row. */
static int64_t ask(sqlite3 *db, const char *sql, const char *format, int64_t a, int64_t b)
{
	sqlite3_stmt *s;
	int64_t n = -1;
	int code;

	if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) != SQLITE_OK) {
		fprintf(stderr, "registry_kills: %s: %s\n", sql, sqlite3_errmsg(db));
		exit(1);
	}
	if (*format)
		sqlite3_bind_int64(s, 1, a);
	if (*format && format[1])
		sqlite3_bind_int64(s, 2, b);
	code = sqlite3_step(s);
	if (code == SQLITE_ROW)
		n = sqlite3_column_int64(s, 0);
	else if (code != SQLITE_DONE)
		die(sqlite3_errmsg(db));
	sqlite3_finalize(s);
	return n;
}

static void compare(unsigned from_kept)
{
	char path[64], sql[128];
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/catalog.db", dir);
	if (sqlite3_open(path, &db) != SQLITE_OK)
		die("catalog.db");
	for (uint32_t i = 0; i < SESSIONS; i++) {
		int64_t stopped;

		snprintf(sql, sizeof(sql), "SELECT stopped FROM session WHERE name = 's%u'", i);
		stopped = ask(db, sql, "", 0, 0);
		if (beliefs[i].known && ((stopped >= 0) != beliefs[i].present ||
					 (beliefs[i].present && stopped != beliefs[i].stopped))) {
			fprintf(stderr,
				"registry_kills: s%u was answered for as %s%s, but is %lld\n", i,
				beliefs[i].present ? "present" : "gone",
				beliefs[i].stopped ? ", stopped" : "", (long long)stopped);
			exit(1);
		}
		beliefs[i].begun = 0;
		beliefs[i].known = false; /* what was begun may have been done, or goes on */
	}
	for (unsigned i = from_kept; i < n_kept; i++)
		if (ask(db, "SELECT bytes FROM chunk WHERE source = ? AND number = ?", "ii",
			(int64_t)kept[i].source, (int64_t)kept[i].number) != 1)
			die("a chunk that was kept is not there");
	if (n_kept && ask(db, "SELECT chunks FROM total WHERE session = 'default'", "", 0, 0) !=
			      ask(db, "SELECT count(*) FROM chunk", "", 0, 0))
		die("totals are wrong");
	if (n_kept && ask(db, "SELECT pending FROM total WHERE session = 'default'", "", 0, 0) !=
			      ask(db, "SELECT count(*) FROM chunk WHERE compact = 1", "", 0, 0))
		die("totals of what waits are wrong");
	if (ask(db, "SELECT count(*) FROM rule WHERE session NOT IN (SELECT id FROM session)", "",
		0, 0))
		die("rules without a session");
	sqlite3_close(db);
}

static void round_trip(unsigned seed)
{
	unsigned from_kept = n_kept, words = 0, want = (unsigned)rand_r(&seed) % 400;
	struct word w;
	int fds[2], status;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		die("pipe");
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		close(fds[0]);
		child(fds[1], seed);
	}
	close(fds[1]);
	alarm(PATIENCE);
	while (words < want && read(fds[0], &w, sizeof(w)) == sizeof(w)) {
		believe(&w);
		words++;
	}
	/* somewhere inside of what comes next */
	nanosleep(&(struct timespec){.tv_nsec = rand_r(&seed) % 3000000}, NULL);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	if (!WIFSIGNALED(status)) {
		fprintf(stderr, "registry_kills: the child ended by itself: %d\n",
			WEXITSTATUS(status));
		exit(1);
	}
	while (read(fds[0], &w, sizeof(w)) == sizeof(w))
		believe(&w);
	alarm(0);
	close(fds[0]);
	compare(from_kept);
}

int main(int argc, char **argv)
{
	unsigned kills = argc > 1 ? (unsigned)atoi(argv[1]) : 60;
	unsigned seed = argc > 2 ? (unsigned)atoi(argv[2]) : 1;
	char command[96];

	if (!mkdtemp(dir))
		die("mkdtemp");
	for (unsigned i = 0; i < kills; i++)
		round_trip(seed * 1000 + i);
	compare(0);
	printf("registry_kills: %u kills, %u changes of sessions answered, %u chunks kept, %u "
	       "numbers\n",
	       kills, n_answers, n_kept, numbers);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command) != 0 || !n_answers || !n_kept || !numbers;
}
