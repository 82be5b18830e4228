/* SPDX-License-Identifier: MIT */
/*
 * registry_rig.h - an output directory, a database and a state memory for one test.
 *
 * Life: rig_open(), then rig_close(), which asserts that no handle and no descriptor is left.
 */
#ifndef TRACERELAY_TESTS_UNIT_REGISTRY_RIG_H
#define TRACERELAY_TESTS_UNIT_REGISTRY_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "common/state.h"
#include "sessiond-lite/catalog.h"
#include "sessiond-lite/database.h"
#include "sessiond-lite/registry.h"

#define RIG_LOG 32

struct rig {
	char dir[64];
	int dir_fd;
	int fds_before;
	uv_loop_t loop;
	struct database *database;
	struct state st;
	struct registry *registry; /* NULL unless started */
	struct catalog *catalog;   /* NULL unless started */

	/* what the registry's hooks were asked */
	unsigned changed[STATE_SESSIONS]; /* times a slot was told of */
	unsigned numbers_ready;
	int listen_error; /* the hook's answer; 0: as if bound */
	unsigned listening, unlistened;
	char deleted[STATE_NAME]; /* data_deleted's */

	/* what the catalog's hooks were told */
	struct {
		uint64_t source;
		uint32_t number;
	} kept[RIG_LOG];
	unsigned n_kept;
	char compact[RIG_LOG][128];
	unsigned n_compact;
};

void rig_open(struct rig *rig);  /* directory, loop, state; the database is open, not started */
void rig_close(struct rig *rig); /* all of it, and the directory removed */

/* What a daemon that was killed leaves: the same directory, everything else new. */
void rig_reopen(struct rig *rig);

/* And the database's thread: one of them, once. */
void rig_start_registry(struct rig *rig);
void rig_start_catalog(struct rig *rig);
void rig_start_both(struct rig *rig);

/* Turn the loop until *flag, at most 10 s (asserted). */
void rig_until(struct rig *rig, const bool *flag);
void rig_until_count(struct rig *rig, const unsigned *count, unsigned at_least);
void rig_turn(struct rig *rig); /* until the database has nothing left to tell */

/* Another connection to the database. */
int64_t rig_number(struct rig *rig, const char *sql); /* asserted to give one */
void rig_sql(struct rig *rig, const char *sql);

/* A source of a session, as the store would make it; its slot's index. */
uint32_t rig_source(struct rig *rig, uint32_t session_slot);
void rig_source_gone(struct rig *rig, uint32_t source); /* and the registry is told */

#endif
