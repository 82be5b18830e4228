/* SPDX-License-Identifier: MIT */
/*
 * ctf_guard.h - no data socket of LTTng is left unread for longer than lttng.max-stall.
 *
 * A client host sends all its sessions' packets from one thread: a socket that is not read stops
 * them all. When workers hang in the disk, the guard reads their sockets and discards whole
 * packets, counted (DISCARD_STALL), until the worker is back (consumer/ctf_hold.c).
 *
 * Life:   ctf_guard_start() when the workers run; ctf_guard_stop() before the first worker_free().
 * Thread: one of its own, asleep while no worker is busy for long.
 * Source: design.md section 7 (lttng.max-stall), issue B point 3. Test: tests/unit/ctf_hold.c,
 *         tests/wire/slow_disk.py.
 */
#ifndef TRACERELAY_CONSUMER_CTF_GUARD_H
#define TRACERELAY_CONSUMER_CTF_GUARD_H

#include <stdint.h>

#include "consumer/worker.h"

struct ctf_guard;

/* @workers borrowed, n of them. @max_stall_ms at least 1. 0, -ENOMEM or another negative errno. */
int ctf_guard_start(struct worker **workers, unsigned n, uint64_t max_stall_ms,
		    struct ctf_guard **ret);
/* [any] Join the thread and free; NULL is a no-op. */
void ctf_guard_stop(struct ctf_guard *g);

#endif
