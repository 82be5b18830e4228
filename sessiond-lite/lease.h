/* SPDX-License-Identifier: MIT */
/*
 * lease.h - which stream of which peer may use which port of the pool.
 *
 * A port is leased per (peer's host, port): two hosts use the same port at the same time, so the
 * pool limits one host, never the number of hosts. Given are the lowest ports that the peer neither
 * holds nor held in the last minute, so that a late connection of a dead client does not meet the
 * next one's lease. Only when no other port is left are those given that rest, the longest rested
 * first: a small pool serves one client after the other without a wait.
 *
 * Pure: time is an argument, and whether a port can be used is asked through a function.
 * Life:   lease_table_create() to _free(). A peer's entry goes a minute after its last lease.
 * Thread: sessiond-lite's loop.
 * Cost:   a hash look-up, and a bitmap scan from the peer's lowest free port. Memory per peer grows
 *         with the highest port it was given, 24 bytes a port.
 * Units:  milliseconds of a clock that never goes back.
 * Source: design.md section 4. Test: tests/unit/lease.c.
 */
#ifndef TRACERELAY_SESSIOND_LITE_LEASE_H
#define TRACERELAY_SESSIOND_LITE_LEASE_H

#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/state.h"

struct lease_table;

struct lease_config {
	uint16_t first_port, last_port; /* the pool, both ends included */
	uint32_t per_peer;              /* ports one host may hold at once */
	int64_t rest_ms;                /* how long a port rests after its lease */
};

/*
 * Make a port usable for this kind of stream (bind it; it then stays so).
 * Return 0; -EADDRINUSE: somebody else on this machine has it, take another; any other error ends
 * the taking.
 */
typedef int lease_bind_fn(void *context, uint16_t port, enum transport transport);

struct lease_request {
	const struct addr *peer;
	enum transport transport;
	uint32_t n;                      /* ports, at least 1 */
	const struct state_ref *streams; /* [n]: who gets them, in this order */
	lease_bind_fn *bind;
	void *context;
};

int lease_table_create(const struct lease_config *config, struct lease_table **ret);
void lease_table_free(struct lease_table *t); /* NULL is a no-op */

/*
 * All or nothing.
 * @ret_ports  [n]
 * Return 0; -EDQUOT: more than per_peer; -EADDRNOTAVAIL: no port is left for this peer; -ENOMEM;
 * what bind() said.
 */
int lease_take(struct lease_table *t, const struct lease_request *rq, int64_t now_ms,
	       uint16_t *ret_ports);

/* The stream that a connection from this peer to this port belongs to. 0 or -ENOENT. */
int lease_find(const struct lease_table *t, const struct addr *peer, uint16_t port,
	       struct state_ref *ret_stream);

/* The port's rest begins. A lease that does not exist is a programmer's mistake. */
void lease_end(struct lease_table *t, const struct addr *peer, uint16_t port, int64_t now_ms);

/* Forget peers whose last port has rested enough; lease_take() does it too, a few at a time. */
void lease_forget(struct lease_table *t, int64_t now_ms);

uint32_t lease_held(const struct lease_table *t, const struct addr *peer); /* by one host */
size_t lease_count(const struct lease_table *t);                           /* leases */
size_t lease_peer_count(const struct lease_table *t);                      /* peers remembered */

#endif
