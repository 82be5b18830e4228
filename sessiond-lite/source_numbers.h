/* SPDX-License-Identifier: MIT */
/*
 * source_numbers.h - numbers that no source under this output.dir had or will have.
 *
 * Blocks of them are reserved in catalog.db before any of a block is given away, the next block
 * when half of one is used up. What a killed daemon had left of its block is never used.
 *
 * Life:   source_numbers_create() reserves the first block, and so proves that the database can be
 *         written; source_numbers_free() after database_close().
 * Thread: sessiond-lite's loop.
 * Source: design.md section 6. Test: tests/unit/source_numbers.c.
 */
#ifndef TRACERELAY_SESSIOND_LITE_SOURCE_NUMBERS_H
#define TRACERELAY_SESSIOND_LITE_SOURCE_NUMBERS_H

#include <stdint.h>

#include "sessiond-lite/database.h"

#define SOURCE_NUMBERS_BLOCK 1024

struct source_numbers;

/* Before database_start(). @ready: after -EAGAIN was returned, ask again. */
int source_numbers_create(struct database *database, void (*ready)(void *context), void *context,
			  struct source_numbers **ret, struct refusal *why);
void source_numbers_free(struct source_numbers *n); /* NULL is a no-op */

/*
 * 0; -EAGAIN: not just now, ready() follows; -EIO: no more can be reserved, for whatever reason
 * (the log has it; tried again a second later at the earliest, when somebody asks).
 * @now_ms  CLOCK_MONOTONIC
 */
int source_numbers_take(struct source_numbers *n, int64_t now_ms, uint64_t *ret);

#endif
