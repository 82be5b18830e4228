/* SPDX-License-Identifier: MIT */
/*
 * database.h - catalog.db, and the one thread that touches it.
 *
 * A disk may take seconds to answer, so SQLite never runs on the loop: work is submitted, done in
 * the database thread in the order it came, and its end is told on the loop. What waits together
 * is committed together, so that a sync is shared; each piece of work is a savepoint of its own
 * and fails alone. When its end is told without an error it is on the disk (WAL, synchronous=FULL).
 *
 * Life:   database_open(), database_run() as needed, database_start(); database_submit() until
 *         database_close(), which finishes what was submitted.
 * Thread: sessiond-lite's loop, but for database_work functions.
 * Errors: SQLite's codes come out as negative errno: -ENOSPC full, -EROFS read-only, -EIO,
 *         -EUCLEAN damaged or no database, -EEXIST a constraint, -EBUSY another program has it.
 * Source: design.md sections 1 and 6. Test: tests/unit/database.c.
 */
#ifndef TRACERELAY_SESSIOND_LITE_DATABASE_H
#define TRACERELAY_SESSIOND_LITE_DATABASE_H

#include <stddef.h>

#include <sqlite3.h>
#include <uv.h>

#include "sessiond-lite/refusal.h"

#define DATABASE_CAUSE 160

struct database;

/*
 * Open or create DIR/catalog.db, see that it can be written, bring its tables up to date. Blocks:
 * for the start, before the loop runs.
 * Return 0; an error as above: why names the file and the cause.
 */
int database_open(uv_loop_t *loop, const char *dir, struct database **ret, struct refusal *why);

/*
 * [database thread] Inside a transaction. It may read and write what context points to: nobody
 * else does until done is called.
 * Return 0, or a negative errno (database_error() makes one): all it did is rolled back.
 */
typedef int database_work(sqlite3 *db, void *context);

/*
 * [loop] The end of it.
 * @error  0: committed; negative errno: rolled back
 * @cause  what SQLite said to it, "" without an error; borrowed for the call
 */
typedef void database_done(void *context, int error, const char *cause);

/* What submitted work consists of; embedded in what its owner keeps until done is called. */
struct database_job {
	database_work *work;
	database_done *done; /* may free the job */
	void *context;
	/* the database's own */
	struct database_job *next;
	int error;
	char cause[DATABASE_CAUSE];
};

/* Before database_start(): do it now, on this thread, as a transaction. why as database_open(). */
int database_run(struct database *d, database_work *work, void *context, struct refusal *why);

int database_start(struct database *d); /* make the thread; 0 or negative errno */

/* Nothing here fails: what can go wrong is told to done. During database_close(), -ESHUTDOWN. */
void database_submit(struct database *d, struct database_job *job);

/*
 * Wait for what was submitted, tell its end (on this thread, now), close. The done functions are
 * still called, so those who submitted are freed after this. NULL is a no-op; the handles are gone
 * when the loop has run.
 */
void database_close(struct database *d);

/* How it fares: "" or the cause of the last failure that was not a constraint's, until a later
 * transaction succeeds. */
const char *database_trouble(const struct database *d);
/* Jobs whose end has not been told: many of them, and the disk is slow. */
size_t database_waiting(const struct database *d);
const char *database_path(const struct database *d);

/* ---- [database thread] for work functions ---- */

/* The negative errno for a code of SQLite; SQLITE_OK, _ROW and _DONE are 0. */
int database_error(int sqlite_code);

/*
 * Prepare and bind, in order, by a format of one letter a parameter: i int64_t, s const char *
 * (NULL is null; borrowed until the statement is finalized).
 */
int database_prepare(sqlite3 *db, sqlite3_stmt **ret, const char *sql, const char *format, ...);

/* Prepare, bind, run to its end, finalize. */
int database_exec(sqlite3 *db, const char *sql, const char *format, ...);

#endif
