/* SPDX-License-Identifier: MIT */
/*
 * registry.h - the sessions: who belongs to which, and what becomes of them.
 *
 * Kept three times: in catalog.db, which outlives us; in memory, where the loop looks; and in the
 * session slots of the state memory, where relayd looks. Only the registry writes those. A change
 * goes to the database first (in its thread), then to memory and slot, then the asker is told; a
 * new session's slot alone comes first, since its own port may be connected to at once.
 *
 *   PENDING --committed--> LIVE --destroy--> ENDING --last source gone--> removed
 *      `--not committed--> ENDING (nothing in the database)
 *
 * Life:   registry_create(), registry_start(), registry_stop(), database_close(), the loop's last
 *         run, registry_free().
 * Thread: sessiond-lite's loop; nothing here blocks on SQLite, but registry_create().
 * Source: design.md sections 3 and 7. Test: tests/unit/registry.c.
 */
#ifndef TRACERELAY_SESSIOND_LITE_REGISTRY_H
#define TRACERELAY_SESSIOND_LITE_REGISTRY_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "common/addr.h"
#include "common/state.h"
#include "sessiond-lite/database.h"
#include "sessiond-lite/refusal.h"
#include "sessiond-lite/rules.h"
#include "sessiond-lite/session_spec.h"

struct registry;

/* What the registry asks of its surroundings. */
struct registry_hooks {
	void *context;
	/* A session's slot was made, changed or freed: tell relayd. */
	void (*session_changed)(void *context, uint32_t session);
	/* registry_next_source_number() said -EAGAIN: ask again. */
	void (*numbers_ready)(void *context);
	/* A session's own control port; session is a slot's index. Errors as listener_add(), and
	 * why says who has the port. */
	int (*listen)(void *context, uint32_t session, const struct addr *at,
		      struct addr *ret_bound, struct refusal *why);
	void (*unlisten)(void *context, uint32_t session);
	/* destroy-session has deleted the data, and what catalog.db knew of it. May be NULL. */
	void (*data_deleted)(void *context, const char *session);
};

struct registry_config {
	uv_loop_t *loop;
	struct state *st;
	struct database *database; /* borrowed; open, not started yet */
	int output_dir_fd;         /* borrowed; destroy-session removes below it */
	struct registry_hooks hooks;
};

/* Load the sessions, `default` among them, and write their slots; no hook is called. why names the
 * file and the cause. Before database_start(). */
int registry_create(const struct registry_config *config, struct registry **ret,
		    struct refusal *why);

/* Once hooks may be called and the database was started: open the sessions' own ports (those that
 * cannot be are logged and tried again), go on with what was being destroyed. */
void registry_start(struct registry *r);

/* No more timers, no more removals. Before the loop's last run and database_close(). */
void registry_stop(struct registry *r);
void registry_free(struct registry *r); /* NULL is a no-op. After the loop's last run */

/*
 * The first session created whose rules claim the subject, else `default`; the owner of the port,
 * if there is one. Return the slot's index, or -ECANCELED: the owner is being destroyed.
 */
int registry_match(struct registry *r, const struct match_subject *subject);

/* A number that no source under this output.dir had or will have. 0; -EAGAIN: not just now,
 * numbers_ready follows; -EIO: the database fails, no source can begin. */
int registry_next_source_number(struct registry *r, uint64_t *ret);

/* The last word on a source: its slot has been freed. A session that ends waits for its sources.
 * @session  the slot's index */
void registry_source_ended(struct registry *r, uint32_t session);

/* ---- what control.sock asks for ---- */

/* The answer, in a later turn of the loop or before the call returns. refusal: NULL, or why not. */
typedef void registry_done(void *context, const struct refusal *refusal);

/* @spec  taken */
void registry_create_session(struct registry *r, struct session_spec *spec, registry_done *done,
			     void *context);
void registry_set_stopped(struct registry *r, const char *name, bool stopped, registry_done *done,
			  void *context);

struct source_count {
	uint32_t all, lttng; /* of these */
};

/* 0, and its sources: those of trace-cmd will close a chunk, those of LTTng will not, since only
 * their clients can order that. -ENOENT; -EPERM: it is stopped, or has sources of LTTng only. */
int registry_rotate(struct registry *r, const char *name, struct source_count *ret,
		    struct refusal *why);

/* done comes when the last source is gone, and the data if it is to be deleted: that may last. */
void registry_destroy_session(struct registry *r, const char *name, bool delete_data,
			      registry_done *done, void *context);

enum session_state { SESSION_PENDING, SESSION_LIVE, SESSION_ENDING };

/* What is known of a session; borrowed until the loop turns. */
struct session_info {
	const struct session_spec *spec;
	enum session_state state;
	bool stopped;
	int64_t created_ns;      /* CLOCK_REALTIME */
	uint32_t slot;           /* index */
	size_t not_listening;    /* of its own ports */
	const char *ending_note; /* why it cannot end, "" if nothing hinders it */
};

/* In the order of their creation; false: there are no more. Begin with *position 0. */
bool registry_next(const struct registry *r, size_t *position, struct session_info *ret);
/* Sources alive, by the index of their session's slot. */
void registry_count_sources(const struct registry *r, struct source_count ret[STATE_SESSIONS]);

/* 0; -ENOENT: why. */
int registry_find(const struct registry *r, const char *name, struct session_info *ret,
		  struct refusal *why);

#endif
