/* SPDX-License-Identifier: MIT */
/*
 * bound_socket.h - sockets bound to an address of ours, ready for peers.
 *
 * Life:   what is returned belongs to the caller; close-on-exec and non-blocking, all of them.
 * Thread: any.
 * Errors: negative errno of the call that failed; outputs only on success.
 * Source: design.md sections 4 and 7 (limits.keep-alive). Test: tests/unit/bound_socket.c.
 */
#ifndef TRACERELAY_SESSIOND_LITE_BOUND_SOCKET_H
#define TRACERELAY_SESSIOND_LITE_BOUND_SOCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "common/addr.h"

/* When a silent host is given up: limits.keep-alive. */
struct keep_alive {
	uint32_t idle_s, interval_s, probes;
};

enum bound_family {
	BOUND_AS_WRITTEN, /* the address's own family; IPv6 takes no IPv4 peers */
	BOUND_DUAL,       /* an IPv6 socket that takes IPv4 peers too; the address is a wildcard */
};

/*
 * A listening TCP socket. Keep-alive and TCP_NODELAY are set here, since Linux hands them down to
 * what is accepted.
 */
int bound_socket_listen(const struct addr *a, enum bound_family family,
			const struct keep_alive *keep_alive, int *ret_fd);

/*
 * A UDP socket that streams' own sockets can join (bound_socket_join()): SO_REUSEPORT, with a
 * program on the group that leaves every datagram on this one, the first. -EADDRINUSE also when
 * somebody else would share the port.
 * @beside_ours  a socket of ours has the port already, for other addresses
 */
int bound_socket_datagram(const struct addr *a, enum bound_family family, bool beside_ours,
			  int *ret_fd);

/*
 * A UDP socket beside `shared`, on the same address, connected to peer: what peer sends comes to
 * it, what others send stays on `shared`.
 */
int bound_socket_join(int shared, const struct addr *peer, int *ret_fd);

/* The address it is bound to. */
int bound_socket_address(int fd, struct addr *ret);

#endif
