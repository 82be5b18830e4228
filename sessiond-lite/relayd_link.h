/* SPDX-License-Identifier: MIT */
/*
 * relayd_link.h - the connection to relayd: what is sent stays in order, what comes is handed on.
 *
 * Messages wait in one queue while relayd is slow to read, and are sent once a turn of the loop, so
 * that descriptors accepted in one turn travel together, at most 253 a message. Without a relayd,
 * and when one is gone, everything sent is forgotten: the next one is told all that is alive.
 *
 * Life:   relayd_link_create(), then open and close once for each relayd, then _free().
 * Thread: sessiond-lite's loop.
 * Source: common/link.h, design.md section 1. Test: tests/unit/relayd_link.c.
 */
#ifndef TRACERELAY_SESSIOND_LITE_RELAYD_LINK_H
#define TRACERELAY_SESSIOND_LITE_RELAYD_LINK_H

#include <stdbool.h>
#include <stddef.h>

#include <uv.h>

#include "common/link.h"
#include "sessiond-lite/store.h"

struct relayd_link;

struct relayd_link_handlers {
	/* A message. Descriptors beside it are closed afterwards, save those set to -1. */
	void (*message)(void *context, const struct link_message *m, int *fds, unsigned n_fds);
	/* End of file or an error: nothing can be sent any more. Close it. */
	void (*gone)(void *context, int error);
	void *context;
};

int relayd_link_create(uv_loop_t *loop, struct store *store,
		       const struct relayd_link_handlers *handlers, struct relayd_link **ret);
void relayd_link_free(struct relayd_link *l); /* NULL is a no-op; done when the loop has run */

int relayd_link_open(struct relayd_link *l, int fd); /* takes fd over, on failure too */
void relayd_link_close(struct relayd_link *l);       /* may be called again */

/* Take all that has been received so far, when the other side is known to be gone. */
void relayd_link_drain(struct relayd_link *l);
bool relayd_link_is_open(const struct relayd_link *l);

/* Without descriptors. Items beyond m->items are not looked at. */
void relayd_link_send(struct relayd_link *l, const struct link_message *m);

/* With n descriptors (at most LINK_ITEMS): duplicated for the queue, or lent, which means that they
 * stay open until the link is closed. */
void relayd_link_send_fds(struct relayd_link *l, const struct link_message *m, const int *fds,
			  unsigned n);
void relayd_link_send_lent(struct relayd_link *l, const struct link_message *m, const int *fds,
			   unsigned n);

/* CONVERSATIONS and STREAMS: a slot with the descriptor held for it. */
void relayd_link_conversation(struct relayd_link *l, struct state_ref ref);
void relayd_link_stream(struct relayd_link *l, struct state_ref ref);

/* SHARED: a socket that stays open until the link is closed. */
void relayd_link_shared(struct relayd_link *l, const struct link_item *item, int fd);

size_t relayd_link_waiting(const struct relayd_link *l); /* messages not sent yet */

#endif
