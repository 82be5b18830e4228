/* SPDX-License-Identifier: MIT */
/*
 * backlog.h - how much the TCP buffers of this machine hold.
 *
 * Of the whole network namespace: on an idle machine that is what was sent and not yet taken by the
 * server. Stateless but for a descriptor, which is kept. Source: /proc/net/sockstat, "TCP: ...
 * mem".
 */
#ifndef TESTS_BENCH_BACKLOG_H
#define TESTS_BENCH_BACKLOG_H

#include <stdint.h>

/* Bytes. Negative errno if the kernel does not say. */
int backlog_read(uint64_t *ret);

/*
 * Rest until they hold no more than so many bytes, or until @deadline_ns (CLOCK_MONOTONIC): many
 * connections would else put everything into them at once, and the measure would be of memory that
 * has gone cold. 0, or negative errno.
 */
int backlog_rest(uint64_t most, int64_t deadline_ns);

#endif
