/* SPDX-License-Identifier: MIT */
/*
 * shared_ports.h - the ports of the pool: bound when first leased, then kept.
 *
 * One dual-stack socket of the kind asked for, or one for each family where the system keeps them
 * apart. A port that somebody else on this machine uses is left alone for a while. TCP ports are
 * accepted on here; UDP ports are read by relayd, which is passed them.
 *
 * Life:   shared_ports_create() to _free(), which closes all sockets.
 * Thread: sessiond-lite's loop.
 * Source: design.md section 4. Test: tests/unit/shared_ports.c.
 */
#ifndef TRACERELAY_SESSIOND_LITE_SHARED_PORTS_H
#define TRACERELAY_SESSIOND_LITE_SHARED_PORTS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/state.h"
#include "sessiond-lite/acceptor.h"
#include "sessiond-lite/bound_socket.h"
#include "sessiond-lite/relayd_link.h"
#include "sessiond-lite/store.h"

struct shared_ports;

struct shared_ports_config {
	uint16_t first_port, last_port;
	struct keep_alive keep_alive;
	bool families_apart; /* never a dual-stack socket; else only where there is no such thing */
};

/* A data connection (TCP); fd is now the callee's. */
typedef void shared_ports_fn(void *context, int fd, const struct addr *peer, uint16_t port);

int shared_ports_create(const struct shared_ports_config *config, struct acceptor *acceptor,
			struct store *store, struct relayd_link *link, shared_ports_fn *on_accept,
			void *context, struct shared_ports **ret);
void shared_ports_free(struct shared_ports *p); /* NULL is a no-op */

/*
 * Bind a port of the pool, if it is not bound already; a UDP port is passed to relayd.
 * Return 0; -EADDRINUSE: somebody else's; -EMFILE and other errors of socket(2) and bind(2).
 */
int shared_ports_bind(struct shared_ports *p, uint16_t port, enum transport transport,
		      int64_t now_ms);

/* Accept what waits on a TCP port. */
void shared_ports_drain(struct shared_ports *p, uint16_t port);

/* Pass all UDP ports to relayd (a new one). */
void shared_ports_pass(struct shared_ports *p);

/*
 * A socket of its own for what `peer` sends to a bound UDP port; see bound_socket_join().
 * @local  the address that the peer's control connection came to: its datagrams come there too
 */
int shared_ports_join(struct shared_ports *p, uint16_t port, const struct addr *peer,
		      const struct addr *local, int *ret_fd);

uint32_t shared_ports_bound(const struct shared_ports *p); /* sockets */

#endif
