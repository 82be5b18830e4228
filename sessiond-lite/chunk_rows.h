/* SPDX-License-Identifier: MIT */
/*
 * chunk_rows.h - finished chunks as catalog.db has them.
 *
 * A chunk is PENDING until relayd has compacted it; DONE and SPARSE are final.
 * Thread: [database thread], inside a transaction, all of it.
 * Errors: as database.h. Units: _ms of CLOCK_MONOTONIC of this run.
 * Source: schema.h. Test: tests/unit/chunk_rows.c.
 */
#ifndef TRACERELAY_SESSIOND_LITE_CHUNK_ROWS_H
#define TRACERELAY_SESSIOND_LITE_CHUNK_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

/* Numbers stand in the database. */
enum chunk_compact {
	CHUNK_COMPACT_NONE = 0,    /* never had holes */
	CHUNK_COMPACT_PENDING = 1, /* to be compacted */
	CHUNK_COMPACT_DONE = 2,
	CHUNK_COMPACT_SPARSE = 3, /* the file system cannot do it: sparse for ever */
};

#define CHUNK_PATH 512 /* bytes, NUL included */

struct chunk_row {
	uint64_t source, number; /* the key */
	char path[CHUNK_PATH];   /* SESSION/HOST/..., below output.dir */
	char peer[72];
	const char *protocol;
	int64_t start_ns, end_ns;
	uint64_t bytes, lost;
	bool complete, sparse;
};

/* A chunk that is there already, or was deleted, is left as it is. */
int chunk_rows_add(sqlite3 *db, const struct chunk_row *row);

/* This chunk of its source is gone, and with it all older ones. Rows of chunks deleted more than a
 * day before row->end_ns (the time now) are forgotten, a few a call. */
int chunk_rows_delete(sqlite3 *db, const struct chunk_row *row);

/* At the start: everything pending may be tried at once. */
int chunk_rows_reset_tries(sqlite3 *db);

struct chunk_order {
	uint64_t source, number;
	char path[CHUNK_PATH];
};

/*
 * Pending chunks whose time has come, the longest waiting first.
 * @ret         room for *n; *n comes out as how many there are
 * @ret_next_ms when the next one's time comes, INT64_MAX if there is none
 */
int chunk_rows_pending(sqlite3 *db, int64_t now_ms, struct chunk_order *ret, unsigned *n,
		       int64_t *ret_next_ms);

/* The answer to an order; gone: the file is not there any more. */
int chunk_rows_compacted(sqlite3 *db, const char *path, enum chunk_compact state);
int chunk_rows_gone(sqlite3 *db, const char *path);

/* Try again after a delay that doubles with each time, from min_ms to max_ms. */
int chunk_rows_try_again(sqlite3 *db, const char *path, int64_t now_ms, int64_t min_ms,
			 int64_t max_ms);

/* What there is of a session: chunks that are not deleted. */
struct chunk_total {
	uint64_t chunks, bytes;
	uint64_t lost;    /* events */
	uint64_t pending; /* chunks */
};

/* All 0 if there is nothing. */
int chunk_rows_total(sqlite3 *db, const char *session, struct chunk_total *ret);
int chunk_rows_each_total(sqlite3 *db,
			  int (*each)(void *context, const char *session,
				      const struct chunk_total *total),
			  void *context);

/* SESSION of SESSION/HOST/...; cut to fit. */
void chunk_rows_session_of(const char *path, char *ret, size_t size);

#endif
