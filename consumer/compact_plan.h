/* SPDX-License-Identifier: MIT */
/*
 * compact_plan.h - which holes to take out of a finished chunk, and in which order.
 *
 * Holes go last first, so those still to come stay where they are. The file's size tells how many
 * are done, so a kill between two steps needs no note of ours: plan again from a table that the
 * file had (the first or any later one: the plan then is the rest of the first plan), and ask
 * compact_plan_resume().
 * Pure; the worker does fallocate(). Thread: any.
 */
#ifndef CONSUMER_COMPACT_PLAN_H
#define CONSUMER_COMPACT_PLAN_H

#include <stddef.h>
#include <stdint.h>

#include "consumer/trace_dat_tail.h"

struct compact_step {
	uint64_t offset; /* FALLOC_FL_COLLAPSE_RANGE(offset, length) */
	uint64_t length;
};

struct compact_plan; /* opaque */

/*
 * @regions      [cpus] of the finished chunk, as in its table; those without bytes are ignored
 * @tail_end     trace_dat_tail.end
 * @subbuf_size, @block_size  powers of two; everything stays aligned to the larger one
 * Return 0 and a plan (free with compact_plan_free()); -EINVAL if regions overlap one another or
 * the tail, or are not aligned; -ENOMEM.
 */
int compact_plan_new(const struct trace_dat_region *regions, uint32_t cpus, uint64_t tail_end,
		     uint32_t subbuf_size, uint32_t block_size, struct compact_plan **ret);
void compact_plan_free(struct compact_plan *plan); /* NULL is a no-op */

/* The size to ftruncate() the file to before the first step: the end of its last region (of the
 * tail, if no region has bytes). The same as trace_dat_tail.file_size. */
uint64_t compact_plan_start_size(const struct compact_plan *plan);

/* The apparent size after the last step. */
uint64_t compact_plan_final_size(const struct compact_plan *plan);

/* Number of steps; 0 if there is nothing to gain. Then the steps, 0 .. count-1, in order. */
uint32_t compact_plan_count(const struct compact_plan *plan);
struct compact_step compact_plan_step(const struct compact_plan *plan, uint32_t step);

/*
 * The table once the first @steps_done steps are done (0: the one given).
 * @ret_regions  [cpus], by CPU; those without bytes get (0, 0)
 */
void compact_plan_table(const struct compact_plan *plan, uint32_t steps_done,
			struct trace_dat_region *ret_regions);

/*
 * How many steps a file of @file_size bytes has behind it, 0 .. count; sizes above the start size
 * count as 0 (not yet truncated). The table in the file may be one step behind: write it again.
 * Return -ESTALE if no step ends with this size: the file is not what the plan was made for.
 */
int compact_plan_resume(const struct compact_plan *plan, uint64_t file_size, uint32_t *ret_done);

#endif
