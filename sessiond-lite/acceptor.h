/* SPDX-License-Identifier: MIT */
/*
 * acceptor.h - accepting on listening sockets without ever spinning or blocking.
 *
 * A descriptor is kept in reserve: when there are none left, it is closed, the waiting connection
 * is accepted into its place and closed at once (counted as no_descriptors), so that the peer knows
 * and the socket is not readable for ever. If even that fails, all sockets rest for a moment.
 *
 * Life:   acceptor_create(), acceptor_add() for each socket, acceptor_free() closes them all.
 * Owner:  a listening socket belongs to the acceptor; an accepted one to who is told of it.
 * Thread: sessiond-lite's loop.
 * Source: design.md section 1, issue 8 point 9. Test: tests/unit/acceptor.c.
 */
#ifndef TRACERELAY_SESSIOND_LITE_ACCEPTOR_H
#define TRACERELAY_SESSIOND_LITE_ACCEPTOR_H

#include <uv.h>

#include "common/addr.h"
#include "common/counters.h"

struct acceptor;
struct accept_socket;

/*
 * A connection; non-blocking, close-on-exec.
 * @fd  now the callee's
 */
typedef void accept_fn(void *context, int fd, const struct addr *peer);

int acceptor_create(uv_loop_t *loop, struct counters *counters, struct acceptor **ret);
void acceptor_free(struct acceptor *a); /* NULL is a no-op; done when the loop has run */

/*
 * @fd       a listening socket; taken over on success
 * @counter  of the connections that are refused for want of descriptors; those handed on are for
 *           others to count
 */
int acceptor_add(struct acceptor *a, int fd, enum counter counter, accept_fn *on_accept,
		 void *context, struct accept_socket **ret);
void accept_socket_close(struct accept_socket *s);
int accept_socket_fd(const struct accept_socket *s);

/* Take what waits now, all of it. */
void accept_socket_drain(struct accept_socket *s);

#endif
