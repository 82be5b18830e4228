/* SPDX-License-Identifier: MIT */
/*
 * supervisor.h - relayd's process: start it, notice its end, start the next.
 *
 *   STARTING --READY--> RUNNING --killed--> (waitpid) --> STARTING, or WAITING when it ran briefly
 *   any --supervisor_shutdown()--> the same, but the end after STOPPED is final: STOPPED
 *
 * A relayd is told everything that is alive before SYNCED, so the first start is no special case.
 * The next one is started only when waitpid() has returned for the one before, since two must not
 * write the same files; a thread in a hung write may delay that (supervisor_status() says so).
 *
 * Life:   supervisor_create(), supervisor_start(), supervisor_shutdown(), finished(), _free().
 *         Freed while relayd runs: relayd sees the link's end, finishes its chunks and exits.
 * Thread: sessiond-lite's loop. SIGCHLD belongs to this file.
 * Source: design.md sections 1 and 6. Test: tests/unit/supervisor.c.
 */
#ifndef TRACERELAY_SESSIOND_LITE_SUPERVISOR_H
#define TRACERELAY_SESSIOND_LITE_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <uv.h>

#include "common/state.h"
#include "sessiond-lite/relayd_link.h"

struct supervisor;

struct supervisor_config {
	const char *relayd; /* the executable; copied */
	uint32_t workers;   /* a pipe is made for each */
	/* Passed with SETUP; borrowed, open as long as the supervisor. */
	int options_fd, status_fd, output_dir_fd, output_lock_fd;
};

struct supervisor_hooks {
	void *context;
	/* A relayd was started and knows the state: pass what is alive. */
	void (*pass_all)(void *context);
	/* It is gone; the link is closed. Slots it had marked done can be freed. */
	void (*died)(void *context);
	void (*ready)(void *context);
	/* The last word after supervisor_shutdown(). !clean: it died more often than was worth
	 * trying again; what is unfinished is repaired at the next start. */
	void (*finished)(void *context, bool clean);
};

/* The link must have supervisor_link_gone() called by its gone handler. */
int supervisor_create(uv_loop_t *loop, const struct supervisor_config *config,
		      const struct supervisor_hooks *hooks, struct state *st,
		      struct relayd_link *link, struct supervisor **ret);
void supervisor_free(struct supervisor *s); /* NULL is a no-op; done when the loop has run */

/* Start relayd for the first time. -ENOENT, -EACCES, ...: it cannot be executed. */
int supervisor_start(struct supervisor *s);
void supervisor_shutdown(struct supervisor *s); /* may be called again */

/* What the link told. */
void supervisor_link_gone(struct supervisor *s, int error);
void supervisor_on_ready(struct supervisor *s);
void supervisor_on_stopped(struct supervisor *s);

enum supervisor_state {
	SUPERVISOR_STARTING, /* recovering, not serving yet */
	SUPERVISOR_RUNNING,
	SUPERVISOR_DYING,    /* killed or leaving, but waitpid() has not returned */
	SUPERVISOR_WAITING,  /* it ran too briefly: a pause before the next start */
	SUPERVISOR_STOPPING, /* finishing the open chunks */
	SUPERVISOR_STOPPED,
};

struct supervisor_status {
	enum supervisor_state state;
	pid_t pid;           /* 0: none */
	uint32_t generation; /* relayds started so far */
	uint32_t restarts;   /* of them after one had died */
	int64_t started_ns;  /* CLOCK_REALTIME of the last start */
	int64_t next_try_ms; /* WAITING: until the next start */
	char last_end[96];   /* how the one before ended, "" if there was none */
};

void supervisor_status(const struct supervisor *s, struct supervisor_status *ret);
const char *supervisor_state_name(enum supervisor_state state);

#endif
