/* SPDX-License-Identifier: MIT */
/* source_numbers.c - the block in use, and the one that is being reserved. */
#include "sessiond-lite/source_numbers.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "common/log.h"

#define RETRY_MS 1000

struct source_numbers {
	struct database *database;
	void (*ready)(void *context);
	void *context;
	uint64_t next, end; /* what is left of the block in use */
	uint64_t spare;     /* first of the block in reserve; 0: none */
	bool awaited;       /* somebody was told -EAGAIN */
	int error;          /* of the last reservation */
	int64_t failed_ms;  /* when that was noticed; 0: not yet */
	bool reserving;
	struct database_job job;
	uint64_t reserved; /* the job's: first of the new block */
};

static int reserve(sqlite3 *db, void *context)
{
	struct source_numbers *n = context;
	sqlite3_stmt *s;
	int code, r;

	r = database_prepare(db, &s, "UPDATE numbers SET next = next + ?1 RETURNING next - ?1", "i",
			     (int64_t)SOURCE_NUMBERS_BLOCK);
	if (r < 0)
		return r;
	code = sqlite3_step(s);
	if (code == SQLITE_ROW) {
		n->reserved = (uint64_t)sqlite3_column_int64(s, 0);
		code = sqlite3_step(s);
	}
	sqlite3_finalize(s);
	if (code != SQLITE_DONE)
		return database_error(code);
	return n->reserved ? 0 : -EUCLEAN;
}

static void on_reserved(void *context, int error, const char *cause)
{
	struct source_numbers *n = context;
	bool awaited = n->awaited;

	n->reserving = false;
	n->awaited = false;
	n->error = error < 0 ? -EIO : 0;
	n->failed_ms = 0;
	if (error == 0)
		n->spare = n->reserved;
	else if (error != -ESHUTDOWN)
		log_error("numbers-failed", "no source numbers can be reserved in %s: %s",
			  database_path(n->database), cause);
	if (awaited && error != -ESHUTDOWN)
		n->ready(n->context);
}

static void order_block(struct source_numbers *n)
{
	n->reserving = true;
	n->reserved = 0;
	n->job = (struct database_job){.work = reserve, .done = on_reserved, .context = n};
	database_submit(n->database, &n->job);
}

int source_numbers_create(struct database *database, void (*ready)(void *context), void *context,
			  struct source_numbers **ret, struct refusal *why)
{
	struct source_numbers *n = calloc(1, sizeof(*n));
	int r;

	if (!n)
		return refusal_set(why, -ENOMEM, "no-memory", "no memory");
	n->database = database;
	n->ready = ready;
	n->context = context;
	r = database_run(database, reserve, n, why);
	if (r < 0) {
		free(n);
		return r;
	}
	n->next = n->reserved;
	n->end = n->next + SOURCE_NUMBERS_BLOCK;
	*ret = n;
	return 0;
}

void source_numbers_free(struct source_numbers *n)
{
	free(n);
}

/* Whether the last failure is recent enough to be the answer. */
static bool failed_lately(struct source_numbers *n, int64_t now_ms)
{
	if (!n->error)
		return false;
	if (!n->failed_ms)
		n->failed_ms = now_ms;
	return now_ms - n->failed_ms < RETRY_MS;
}

int source_numbers_take(struct source_numbers *n, int64_t now_ms, uint64_t *ret)
{
	if (n->next == n->end && n->spare) {
		n->next = n->spare;
		n->end = n->next + SOURCE_NUMBERS_BLOCK;
		n->spare = 0;
	}
	if (!n->spare && !n->reserving && n->end - n->next <= SOURCE_NUMBERS_BLOCK / 2 &&
	    !failed_lately(n, now_ms))
		order_block(n);
	if (n->next < n->end) {
		*ret = n->next++;
		return 0;
	}
	if (!n->reserving)
		return n->error;
	n->awaited = true;
	return -EAGAIN;
}
