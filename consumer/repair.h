/* SPDX-License-Identifier: MIT */
/*
 * repair.h - finishes chunks whose two daemons died together, at the next start.
 *
 * relayd alone may die as it likes: the state memory goes on. If that is gone too (both killed,
 * power lost), an open chunk is found by its hidden name, its regions' ends by extents and page
 * headers, and it gets its table, record and name: readable, marked incomplete.
 *
 * Thread: one of its own, so that a start does not wait for it. Chunks opened since the start are
 * left alone.
 * Source: design.md section 8, promise 2.
 */
#ifndef TRACERELAY_CONSUMER_REPAIR_H
#define TRACERELAY_CONSUMER_REPAIR_H

#include <stdint.h>

#include "consumer/worker.h"

struct repair;

/* [repair's thread] A chunk was repaired; for the catalog. source.id is 0. */
typedef void (*repair_event)(void *ctx, const struct worker_chunk *chunk);

/*
 * Look through output.dir (output_fd is borrowed) for chunks begun before @before_ns
 * (CLOCK_REALTIME). 0 or negative errno: the thread could not be made.
 */
int repair_start(int output_fd, int64_t before_ns, repair_event event, void *ctx,
		 struct repair **ret);
/* Wait for it and free. NULL is a no-op. */
void repair_join(struct repair *r);

/* One pass, here and now: what the thread does. Returns the number of chunks repaired. */
unsigned repair_run(int output_fd, int64_t before_ns, repair_event event, void *ctx);

#endif
