/* SPDX-License-Identifier: MIT */
/*
 * session_rows.h - sessions as catalog.db has them.
 *
 * Thread: [database thread], inside a transaction, all of it.
 * Errors: as database.h; session_rows_load() fails with -EBADMSG if a row makes no sense.
 * Source: schema.h. Test: tests/unit/session_rows.c.
 */
#ifndef TRACERELAY_SESSIOND_LITE_SESSION_ROWS_H
#define TRACERELAY_SESSIOND_LITE_SESSION_ROWS_H

#include <stdbool.h>
#include <stdint.h>

#include <sqlite3.h>

#include "sessiond-lite/refusal.h"
#include "sessiond-lite/session_spec.h"

struct session_row {
	int64_t id; /* grows in the order of creation */
	struct session_spec *spec;
	int64_t created_ns;
	bool stopped;
	bool ending; /* destroy-session has been answered for, or would have been */
	bool delete_data;
};

/* Each session in the order of creation; row->spec is the callee's. A negative return ends it. */
typedef int session_rows_fn(void *context, const struct session_row *row);
int session_rows_load(sqlite3 *db, session_rows_fn *each, void *context, struct refusal *why);

int session_rows_insert(sqlite3 *db, const struct session_row *row, int64_t *ret_id);
int session_rows_set_stopped(sqlite3 *db, int64_t id, bool stopped);
int session_rows_set_ending(sqlite3 *db, int64_t id, bool delete_data);

/* The session, and what is known of its chunks if their files are gone too. */
int session_rows_delete(sqlite3 *db, int64_t id, const char *name, bool delete_data);

#endif
