/* SPDX-License-Identifier: MIT */
/*
 * catalog.h - what is known of finished chunks, in catalog.db, and the order to compact them.
 *
 * relayd repeats a LINK_CHUNK until it is told that the chunk is kept, so a chunk may come twice;
 * its key is (source number, chunk number). A chunk that is sparse is compacted by relayd, a few
 * orders at a time; what is not done yet stands in the database, so that nothing is forgotten.
 *
 * Life:   catalog_create(), catalog_relayd_ready() at each start of relayd, catalog_stop(),
 *         database_close(), the loop's last run, catalog_free().
 * Thread: sessiond-lite's loop; SQLite's work is done in the database thread.
 * Source: design.md section 5. Test: tests/unit/catalog.c.
 */
#ifndef TRACERELAY_SESSIOND_LITE_CATALOG_H
#define TRACERELAY_SESSIOND_LITE_CATALOG_H

#include <stdint.h>

#include <uv.h>

#include "common/link.h"
#include "common/state.h"
#include "sessiond-lite/chunk_rows.h"
#include "sessiond-lite/database.h"
#include "sessiond-lite/refusal.h"

struct catalog;

struct catalog_hooks {
	void *context;
	/* A chunk given to catalog_chunk() will survive us: relayd need not repeat it.
	 * @chunk  a copy without items; type, ref, chunk and text as they came */
	void (*kept)(void *context, const struct link_message *chunk);
	/* Order relayd to compact the trace.dat at path, below output.dir (LINK_COMPACT). */
	void (*compact)(void *context, const char *path);
};

struct catalog_config {
	uv_loop_t *loop;
	struct state *st;          /* tells a chunk's peer */
	struct database *database; /* borrowed; open, not started yet */
	struct catalog_hooks hooks;
};

int catalog_create(const struct catalog_config *config, struct catalog **ret, struct refusal *why);
/* No more orders. Before the loop's last run and database_close(). */
void catalog_stop(struct catalog *c);
void catalog_free(struct catalog *c); /* NULL is a no-op. After the loop's last run */

/* A LINK_CHUNK; may be repeated, the key is (source_number, number). */
void catalog_chunk(struct catalog *c, const struct link_message *m);

/* A LINK_COMPACTED: error 0, -EOPNOTSUPP (it stays sparse), else it is tried again later. */
void catalog_compacted(struct catalog *c, const char *path, int error);

/* A relayd serves: what was ordered of the one before is ordered again. */
void catalog_relayd_ready(struct catalog *c);

/* What there is of a session: all 0 if nothing. From memory: as of what was kept so far. */
void catalog_total(const struct catalog *c, const char *session, struct chunk_total *ret);

/* A session's data was deleted, and so were its rows. */
void catalog_forget(struct catalog *c, const char *session);

#endif
