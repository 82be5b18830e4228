/* SPDX-License-Identifier: MIT */
/*
 * registry.h - the sessions, their rules, and the numbers of sources.
 *
 * Sessions are written into the session slots of the state memory by the registry alone; whoever
 * else needs to know of a change is told through the hooks.
 *
 * Life:   registry_create() to registry_free().
 * Thread: sessiond-lite's loop; nothing here blocks on SQLite.
 */
#ifndef TRACERELAY_SESSIOND_LITE_REGISTRY_H
#define TRACERELAY_SESSIOND_LITE_REGISTRY_H

#include <stdint.h>

#include <uv.h>

#include "common/addr.h"
#include "common/state.h"

struct registry;

/* What the registry asks of its surroundings. */
struct registry_hooks {
	void *context;
	/* A session's slot was made, changed or freed: tell relayd. */
	void (*session_changed)(void *context, uint32_t session);
	/* registry_next_source_number() has numbers again. */
	void (*numbers_ready)(void *context);
	/* A session's own control port; session is a slot's index. Errors as listener_add(). */
	int (*listen)(void *context, uint32_t session, const struct addr *at,
		      struct addr *ret_bound);
	void (*unlisten)(void *context, uint32_t session);
};

struct registry_config {
	uv_loop_t *loop;
	struct state *st;
	struct registry_hooks hooks;
};

int registry_create(const struct registry_config *config, struct registry **ret);
void registry_free(struct registry *r); /* NULL is a no-op */

/* What is known of a source when its session is chosen. */
struct match_subject {
	const char *host; /* node name; NULL: none known */
	struct addr peer;
	enum protocol protocol;
	uint16_t local_port;
	uint32_t own_session; /* 1 + index of the session that owns the port, or 0 */
};

/*
 * The first session created whose rules claim the subject, else `default`; the owner of the port,
 * if there is one. Return the slot's index, or -ENOENT: the owner is being destroyed.
 */
int registry_match(struct registry *r, const struct match_subject *subject);

/* A number that no source under this output.dir had or will have; 0: not just now, numbers_ready
 * follows. */
uint64_t registry_next_source_number(struct registry *r);

/* The last word on a source: its slot has been freed. A session that ends waits for its sources.
 * @session  the slot's index */
void registry_source_ended(struct registry *r, uint32_t session);

#endif
