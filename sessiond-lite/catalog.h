/* SPDX-License-Identifier: MIT */
/*
 * catalog.h - what is known of finished chunks, in SQLite.
 *
 * Thread: sessiond-lite's loop; SQLite's work is done elsewhere.
 */
#ifndef TRACERELAY_SESSIOND_LITE_CATALOG_H
#define TRACERELAY_SESSIOND_LITE_CATALOG_H

#include "common/link.h"

struct catalog;

struct catalog_hooks {
	void *context;
	/* A chunk given to catalog_chunk() will survive us: relayd need not repeat it. */
	void (*kept)(void *context, const struct link_message *chunk);
};

int catalog_create(const struct catalog_hooks *hooks, struct catalog **ret);
void catalog_free(struct catalog *c); /* NULL is a no-op */

/* A LINK_CHUNK; may be repeated, the key is (source_number, number). */
void catalog_chunk(struct catalog *c, const struct link_message *chunk);

/* A LINK_COMPACTED: error 0, -EOPNOTSUPP (it stays sparse), else it is tried again later. */
void catalog_compacted(struct catalog *c, const char *path, int error);

#endif
