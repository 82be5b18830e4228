/* SPDX-License-Identifier: MIT */
/*
 * fleet.h - many clients in one epoll loop.
 *
 * Life:   fleet_new(), then open, send, close in this order, then fleet_free().
 * Thread: the only one. Times are of CLOCK_MONOTONIC in ns.
 * Errors: the first client that fails fails the call: negative errno, and a sentence on stderr.
 *         -ETIMEDOUT when the deadline passes.
 */
#ifndef TESTS_BENCH_FLEET_H
#define TESTS_BENCH_FLEET_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/bench/client.h"

struct fleet; /* opaque */

/* The setup is copied; its epoll field is set here. The deadline holds for all calls. */
struct fleet *fleet_new(const struct client_setup *setup, uint32_t clients, uint64_t deadline_ns);
void fleet_free(struct fleet *f);

/*
 * Connect every client, send its metadata and connect all its streams.
 * @in_flight	so many clients at most are on their way at once
 */
int fleet_open(struct fleet *f, uint32_t in_flight);

struct fleet_sending {
	uint64_t goal;      /* bytes on each stream, all that was sent before included */
	bool close_streams; /* each as soon as it has sent */
	bool say_close;     /* each client as soon as its last stream is closed */
	uint32_t datagram;  /* UDP: bytes of one; 0 for TCP */
	uint64_t
		backlog; /* TCP: rest while all TCP buffers of this machine hold more; 0 no limit */
	uint64_t rate;   /* UDP: bytes a second over all streams; 0 as fast as it goes */
};

/* Send pages on all streams at once. Every one gets a turn before any gets the next. */
int fleet_send(struct fleet *f, const struct fleet_sending *how);

/* Close what is open, CLOSE included, and wait until it is out. */
int fleet_close(struct fleet *f);

uint64_t fleet_now(void);

#endif
