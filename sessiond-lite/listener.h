/* SPDX-License-Identifier: MIT */
/*
 * listener.h - the ports that conversations come in on: trace-cmd.listen, lttng.control, .data and
 * .live, and the sessions' own (trace-cmd).
 *
 * What is accepted gets a slot, is kept in the store and passed to relayd; not a byte is read here.
 *
 * Life:   listener_create() to listener_free(), which closes all ports.
 * Thread: sessiond-lite's loop.
 * Source: design.md sections 1 and 7. Test: tests/unit/listener.c.
 */
#ifndef TRACERELAY_SESSIOND_LITE_LISTENER_H
#define TRACERELAY_SESSIOND_LITE_LISTENER_H

#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "sessiond-lite/acceptor.h"
#include "sessiond-lite/bound_socket.h"
#include "sessiond-lite/relayd_link.h"
#include "sessiond-lite/store.h"

struct listeners;

int listener_create(const struct keep_alive *keep_alive, struct acceptor *acceptor,
		    struct store *store, struct relayd_link *link, struct listeners **ret);
void listener_free(struct listeners *l); /* NULL is a no-op */

/*
 * Listen on one more address. An IPv6 one takes no IPv4 peers.
 * @role         what is spoken there
 * @own_session  1 + index of the session that all its clients belong to, or 0
 * @ret_bound    the address as bound, which tells the port where 0 was asked for; may be NULL
 * Return 0; -EADDRINUSE, -EACCES, -EADDRNOTAVAIL, -EAFNOSUPPORT and the like; -EMFILE; -ENOMEM.
 */
int listener_add(struct listeners *l, const struct addr *at, enum conversation_role role,
		 uint32_t own_session, struct addr *ret_bound);

/* Accept at once what waits on the ports of a role: before relayd decides that nothing more comes.
 */
void listener_drain(struct listeners *l, enum conversation_role role);

/* Close the ports of a session (destroy-session). What was accepted stays. */
void listener_remove(struct listeners *l, uint32_t own_session);

/* Close all: the relay is being shut down. */
void listener_remove_all(struct listeners *l);

struct listener_info {
	struct addr at;
	enum conversation_role role;
	uint32_t own_session;
};

/* The i-th address listened on, in the order they were added. 0 or -ENOENT. */
int listener_get(const struct listeners *l, size_t i, struct listener_info *ret);

/* trace-cmd, lttng-control, lttng-data, lttng-live */
const char *listener_role_name(enum conversation_role role);

#endif
