/* SPDX-License-Identifier: MIT */
/* database.c - a queue to the database thread, and back. */
#include "sessiond-lite/database.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sessiond-lite/schema.h"

/* Jobs that share a commit; each holds the others' answers up a little. */
#define BATCH 256
/* Patience with another program (sqlite3, a backup) that has the file locked. */
#define BUSY_MS 5000

struct queue {
	struct database_job *first, **last;
};

struct database {
	char *path;
	sqlite3 *db; /* the thread's once it runs */
	uv_thread_t thread;
	uv_async_t wake;              /* the loop's; freed with d when closed */
	char trouble[DATABASE_CAUSE]; /* the loop's */
	size_t waiting;               /* the loop's */
	/* lock guards what follows */
	uv_mutex_t lock;
	uv_cond_t submitted;
	struct queue in, out;
	bool closing;
	bool started; /* the loop's */
};

static void queue_init(struct queue *q)
{
	q->first = NULL;
	q->last = &q->first;
}

static void queue_add(struct queue *q, struct database_job *job)
{
	job->next = NULL;
	*q->last = job;
	q->last = &job->next;
}

static struct database_job *queue_take(struct queue *q)
{
	struct database_job *job = q->first;

	if (!job)
		return NULL;
	q->first = job->next;
	if (!q->first)
		q->last = &q->first;
	return job;
}

/* ---- SQLite ---- */

int database_error(int code)
{
	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return -EACCES;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EUCLEAN;
	case SQLITE_CONSTRAINT:
		return -EEXIST;
	default:
		return -EIO;
	}
}

static int prepare(sqlite3 *db, sqlite3_stmt **ret, const char *sql, const char *format,
		   va_list args)
{
	sqlite3_stmt *s;
	int code = sqlite3_prepare_v2(db, sql, -1, &s, NULL);

	for (int i = 1; code == SQLITE_OK && *format; i++, format++) {
		switch (*format) {
		case 'i':
			code = sqlite3_bind_int64(s, i, va_arg(args, int64_t));
			break;
		case 's':
			code = sqlite3_bind_text(s, i, va_arg(args, const char *), -1,
						 SQLITE_STATIC);
			break;
		default:
			assert(!"a format of database_prepare()");
		}
	}
	if (code != SQLITE_OK) {
		sqlite3_finalize(s);
		return database_error(code);
	}
	*ret = s;
	return 0;
}

int database_prepare(sqlite3 *db, sqlite3_stmt **ret, const char *sql, const char *format, ...)
{
	va_list args;
	int r;

	va_start(args, format);
	r = prepare(db, ret, sql, format, args);
	va_end(args);
	return r;
}

int database_exec(sqlite3 *db, const char *sql, const char *format, ...)
{
	sqlite3_stmt *s;
	va_list args;
	int r, code;

	va_start(args, format);
	r = prepare(db, &s, sql, format, args);
	va_end(args);
	if (r < 0)
		return r;
	while ((code = sqlite3_step(s)) == SQLITE_ROW)
		;
	sqlite3_finalize(s);
	return database_error(code);
}

static int statement(sqlite3 *db, const char *sql)
{
	return database_error(sqlite3_exec(db, sql, NULL, NULL, NULL));
}

/* ---- the thread ---- */

static void set_error(struct database_job *job, sqlite3 *db, int error)
{
	int code = sqlite3_errcode(db);

	job->error = error;
	/* The work may have failed for a reason of its own. */
	snprintf(job->cause, sizeof(job->cause), "%s",
		 database_error(code) == error ? sqlite3_errmsg(db) : strerror(-error));
}

static void fail_all(struct database_job **jobs, size_t n, sqlite3 *db, int error)
{
	for (size_t i = 0; i < n; i++)
		if (!jobs[i]->error)
			set_error(jobs[i], db, error);
}

/* One piece of work in a savepoint. False: the transaction is gone, and everything in it. */
static bool do_one(sqlite3 *db, struct database_job *job)
{
	int r = statement(db, "SAVEPOINT job");

	if (r == 0) {
		r = job->work(db, job->context);
		if (r < 0)
			set_error(job, db, r);
		if (r < 0 && !sqlite3_get_autocommit(db))
			statement(db, "ROLLBACK TO job");
		if (!sqlite3_get_autocommit(db))
			r = statement(db, "RELEASE job");
	}
	if (r < 0 && !job->error)
		set_error(job, db, r);
	return !sqlite3_get_autocommit(db);
}

static void do_batch(sqlite3 *db, struct database_job **jobs, size_t n)
{
	int r = statement(db, "BEGIN IMMEDIATE");

	if (r < 0) {
		fail_all(jobs, n, db, r);
		return;
	}
	for (size_t i = 0; i < n; i++)
		if (!do_one(db, jobs[i])) {
			/* An I/O error or a full disk rolls everything back. */
			fail_all(jobs, n, db, jobs[i]->error);
			return;
		}
	r = statement(db, "COMMIT");
	if (r < 0) {
		fail_all(jobs, n, db, r);
		if (!sqlite3_get_autocommit(db))
			statement(db, "ROLLBACK");
	}
}

static void thread_main(void *arg)
{
	struct database *d = arg;
	struct database_job *jobs[BATCH];
	size_t n;

	for (;;) {
		uv_mutex_lock(&d->lock);
		while (!d->in.first && !d->closing)
			uv_cond_wait(&d->submitted, &d->lock);
		for (n = 0; n < BATCH && d->in.first; n++)
			jobs[n] = queue_take(&d->in);
		uv_mutex_unlock(&d->lock);
		if (!n)
			return; /* closing, and nothing is left */
		do_batch(d->db, jobs, n);
		uv_mutex_lock(&d->lock);
		for (size_t i = 0; i < n; i++)
			queue_add(&d->out, jobs[i]);
		uv_mutex_unlock(&d->lock);
		uv_async_send(&d->wake);
	}
}

/* ---- the loop ---- */

static void note(struct database *d, const struct database_job *job)
{
	/* A constraint, or what the work itself found wrong, is no trouble of the database. */
	if (!job->error)
		d->trouble[0] = '\0';
	else if (job->error != -EEXIST && job->error != -ENOENT)
		snprintf(d->trouble, sizeof(d->trouble), "%s", job->cause);
}

static void tell(struct database *d)
{
	struct database_job *job;

	for (;;) {
		uv_mutex_lock(&d->lock);
		job = queue_take(&d->out);
		uv_mutex_unlock(&d->lock);
		if (!job)
			return;
		d->waiting--;
		note(d, job);
		if (job->done) /* job may be freed in it */
			job->done(job->context, job->error, job->error ? job->cause : "");
	}
}

static void on_wake(uv_async_t *wake)
{
	tell(wake->data);
}

void database_submit(struct database *d, struct database_job *job)
{
	job->error = 0;
	job->cause[0] = '\0';
	d->waiting++;
	uv_mutex_lock(&d->lock);
	if (d->closing) {
		/* A done function of database_close() wanted more. */
		job->error = -ESHUTDOWN;
		queue_add(&d->out, job);
	} else {
		queue_add(&d->in, job);
		uv_cond_signal(&d->submitted);
	}
	uv_mutex_unlock(&d->lock);
}

/* ---- life ---- */

static void destroy(struct database *d)
{
	sqlite3_close(d->db);
	uv_cond_destroy(&d->submitted);
	uv_mutex_destroy(&d->lock);
	free(d->path);
	free(d);
}

static int refuse(const char *path, int error, const char *cause, struct refusal *why)
{
	return refusal_set(why, error, "database", "%s cannot be used: %s", path, cause);
}

int database_run(struct database *d, database_work *work, void *context, struct refusal *why)
{
	struct database_job job = {.work = work, .context = context};
	struct database_job *jobs[] = {&job};

	assert(!d->started);
	do_batch(d->db, jobs, 1);
	return job.error ? refuse(d->path, job.error, job.cause, why) : 0;
}

static int apply_schema(sqlite3 *db, void *context)
{
	(void)context;
	return schema_apply(db);
}

/* Settings of this connection; a transaction would refuse them. */
static int set_up(sqlite3 *db)
{
	int r;

	sqlite3_extended_result_codes(db, 1);
	sqlite3_busy_timeout(db, BUSY_MS);
	r = statement(db, "PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL");
	return r < 0 ? r : statement(db, "PRAGMA journal_mode = WAL");
}

/* The file is made here, since SQLite would let everybody read it. */
static int create_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static int open_file(struct database *d, struct refusal *why)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX;
	int r = create_file(d->path);

	if (r < 0)
		return refuse(d->path, r, strerror(-r), why);
	r = database_error(sqlite3_open_v2(d->path, &d->db, flags, NULL));
	if (r == 0)
		r = set_up(d->db);
	if (r < 0)
		return refuse(d->path, r, d->db ? sqlite3_errmsg(d->db) : strerror(-r), why);
	r = database_run(d, apply_schema, NULL, why);
	if (r == -EMEDIUMTYPE)
		return refuse(d->path, r, "it is a database of another program; move it away", why);
	if (r == -EPROTO)
		return refuse(d->path, r,
			      "a later version of tracerelay wrote it; use that version", why);
	return r;
}

int database_open(uv_loop_t *loop, const char *dir, struct database **ret, struct refusal *why)
{
	struct database *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return refuse(dir, -ENOMEM, "no memory", why);
	queue_init(&d->in);
	queue_init(&d->out);
	uv_mutex_init(&d->lock);
	uv_cond_init(&d->submitted);
	if (asprintf(&d->path, "%s/catalog.db", dir) < 0) {
		d->path = NULL;
		r = refuse(dir, -ENOMEM, "no memory", why);
		goto fail;
	}
	r = open_file(d, why);
	if (r == 0 && (r = uv_async_init(loop, &d->wake, on_wake)) < 0)
		refuse(d->path, r, uv_strerror(r), why);
	if (r < 0)
		goto fail;
	d->wake.data = d;
	*ret = d;
	return 0;
fail:
	destroy(d);
	return r;
}

int database_start(struct database *d)
{
	int r = uv_thread_create(&d->thread, thread_main, d);

	d->started = r == 0;
	return r;
}

static void on_closed(uv_handle_t *wake)
{
	destroy(wake->data);
}

void database_close(struct database *d)
{
	if (!d)
		return;
	if (d->started) {
		uv_mutex_lock(&d->lock);
		d->closing = true;
		uv_cond_signal(&d->submitted);
		uv_mutex_unlock(&d->lock);
		uv_thread_join(&d->thread);
		tell(d);
	}
	sqlite3_close(d->db);
	d->db = NULL;
	uv_close((uv_handle_t *)&d->wake, on_closed);
}

const char *database_trouble(const struct database *d)
{
	return d->trouble;
}

size_t database_waiting(const struct database *d)
{
	return d->waiting;
}

const char *database_path(const struct database *d)
{
	return d->path;
}
