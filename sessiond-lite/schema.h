/* SPDX-License-Identifier: MIT */
/*
 * schema.h - the tables of catalog.db.
 *
 *	numbers   one row: the first source number that no block has been taken from
 *	session   one row a session; id is the order of creation, which decides between rules
 *	rule      a --match each; listener: a --listen each; both go with their session
 *	chunk     a finished chunk each, key (source number, chunk number)
 *	total     chunks and bytes per session name, kept in step by triggers, so that no query
 *counts
 *
 * A chunk names its session by name: files outlive a session that is destroyed without its data.
 * Thread: [database thread]. Test: tests/unit/schema.c.
 */
#ifndef TRACERELAY_SESSIOND_LITE_SCHEMA_H
#define TRACERELAY_SESSIOND_LITE_SCHEMA_H

#include <sqlite3.h>

#define SCHEMA_VERSION 1

/* SQLite's application_id: "trly". A database of somebody else's is left alone. */
#define SCHEMA_APPLICATION 0x74726c79

/*
 * In a transaction: create what is missing. Return 0; -EMEDIUMTYPE: a database of another program;
 * -EPROTO: written by a later version of this one; or as database_error().
 */
int schema_apply(sqlite3 *db);

#endif
