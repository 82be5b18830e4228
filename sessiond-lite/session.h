/* SPDX-License-Identifier: MIT */
/*
 * session.h - a session in memory and its slot; for registry.c and the files that work for it.
 *
 * A session is changed by one operation at a time (`busy`), which begins as a job of the database.
 * It cannot go while a job refers to it: the job that removes it is its last.
 *
 * Owner:  the registry's list; session_forget() frees.
 * Thread: sessiond-lite's loop, but for what a job's work function reads.
 * Source: registry.h. Test: tests/unit/registry.c.
 */
#ifndef TRACERELAY_SESSIOND_LITE_SESSION_H
#define TRACERELAY_SESSIOND_LITE_SESSION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "sessiond-lite/database.h"
#include "sessiond-lite/registry.h"
#include "sessiond-lite/session_rows.h"

#define SESSION_DEFAULT "default"

struct registry {
	struct registry_config config;
	struct state *st;
	struct source_numbers *numbers;
	struct session *first; /* in the order of creation */
	uv_timer_t retry;      /* session_ports.c */
	bool stopped;          /* no hook may be called any more */
	atomic_bool cancel;    /* the same, for a removal in another thread */
};

struct session {
	struct session *next;
	struct registry *registry;
	struct session_row row; /* owns row.spec; id 0: not in the database */
	enum session_state state;
	uint32_t slot;
	bool *listening; /* [n_listeners] */
	/* session_end.c */
	uint32_t sources_left;       /* alive, as counted when the end began */
	bool removing;               /* the last steps are under way */
	char note[REFUSAL_SENTENCE]; /* why the last attempt at them failed */
	uv_work_t work;
	int work_error;
	char work_at[512];
	/* the operation under way, and whom it is for */
	bool busy;
	struct database_job job;
	void (*then)(struct session *s);
	void (*failed)(struct session *s, const struct refusal *why);
	registry_done *done;
	void *context;
	bool stopped_next; /* what it sets row.stopped to */
};

/*
 * A slot, written and published, and the last place in the list.
 * @row  row->spec is taken over on success
 * Return 0; -ENOSPC: no slot; -ENOMEM.
 */
int session_add(struct registry *r, const struct session_row *row, struct session **ret);

/* Out of the list and of the state memory; relayd is told. */
void session_forget(struct session *s);
void session_free(struct session *s); /* memory alone */

struct session *session_by_name(const struct registry *r, const char *name);
struct session_slot *session_slot(const struct session *s);
struct source_count session_count_sources(const struct session *s);
void session_changed(const struct session *s); /* tell relayd */

/*
 * Begin an operation: work in the database thread, then one of the two, unless the registry has
 * been stopped meanwhile.
 * @failed  NULL: the answer is why, and that is all
 */
void session_submit(struct session *s, database_work *work, void (*then)(struct session *s),
		    void (*failed)(struct session *s, const struct refusal *why));

/* Answer whoever the operation is for, once. */
void session_answer(struct session *s, const struct refusal *why);

#endif
