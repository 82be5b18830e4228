/* SPDX-License-Identifier: MIT */
/*
 * arrival.h - wait until a server has put every client's trace.dat in place.
 *
 * A file has arrived when it has a final name (nothing in its path below the directory is hidden),
 * its table can be read and names all the bytes that its client sent, and they lie inside it. So a
 * file that a server fills under its final name does not count before it is whole.
 */
#ifndef TESTS_BENCH_ARRIVAL_H
#define TESTS_BENCH_ARRIVAL_H

#include <stdint.h>

/*
 * Look below `directory` again and again, at most every half millisecond, until `clients` files
 * with `bytes` each are there. Return 0, -ETIMEDOUT (with a sentence on stderr), or why it cannot
 * look.
 */
int arrival_wait(const char *directory, uint32_t clients, uint64_t bytes, uint64_t deadline_ns);

#endif
