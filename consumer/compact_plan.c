/* SPDX-License-Identifier: MIT */
/* compact_plan.c - see compact_plan.h. */
#include "consumer/compact_plan.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* A region with bytes, and the hole in front of it that a step takes out. */
struct part {
	uint64_t offset; /* of the region, before any step */
	uint64_t bytes;
	uint64_t hole; /* length taken out; 0 = no step */
	uint64_t hole_at;
	uint32_t cpu;
};

struct compact_plan {
	uint64_t tail_end;
	uint32_t cpus;
	uint32_t count; /* of steps */
	uint32_t parts;
	struct part part[]; /* in the order of the file */
};

static int by_offset(const void *a, const void *b)
{
	const struct part *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static bool is_power_of_two(uint64_t n)
{
	return n && (n & (n - 1)) == 0;
}

/* Puts in the holes. -EINVAL if a region starts before the end of what precedes it. */
static int find_holes(struct compact_plan *plan, uint64_t tail_end, uint64_t align)
{
	uint64_t end = tail_end;

	for (uint32_t i = 0; i < plan->parts; i++) {
		struct part *p = &plan->part[i];
		uint64_t from;

		if (p->offset < end)
			return -EINVAL;
		from = (end + align - 1) & ~(align - 1);
		if (p->offset > from) {
			p->hole_at = from;
			p->hole = (p->offset - from) & ~(align - 1);
			plan->count += p->hole > 0;
		}
		end = p->offset + p->bytes;
	}
	return 0;
}

int compact_plan_new(const struct trace_dat_region *regions, uint32_t cpus, uint64_t tail_end,
		     uint32_t subbuf_size, uint32_t block_size, struct compact_plan **ret)
{
	const uint64_t offset_max =
		INT64_MAX / 4; /* no file reaches it; sums below stay in range */
	struct compact_plan *plan;
	int err = -EINVAL;

	assert(is_power_of_two(block_size));
	if (!is_power_of_two(subbuf_size) || tail_end > offset_max)
		return -EINVAL;
	plan = calloc(1, sizeof(*plan) + cpus * sizeof(plan->part[0]));
	if (!plan)
		return -ENOMEM;
	plan->cpus = cpus;
	plan->tail_end = tail_end;
	for (uint32_t i = 0; i < cpus; i++) {
		const struct trace_dat_region *r = &regions[i];

		if (r->bytes == 0)
			continue;
		if (r->offset > offset_max || r->bytes > offset_max || r->offset % subbuf_size ||
		    r->bytes % subbuf_size)
			goto fail;
		plan->part[plan->parts++] =
			(struct part){.offset = r->offset, .bytes = r->bytes, .cpu = i};
	}
	qsort(plan->part, plan->parts, sizeof(plan->part[0]), by_offset);
	err = find_holes(plan, tail_end, subbuf_size > block_size ? subbuf_size : block_size);
	if (err < 0)
		goto fail;
	*ret = plan;
	return 0;
fail:
	free(plan);
	return err;
}

void compact_plan_free(struct compact_plan *plan)
{
	free(plan);
}

uint64_t compact_plan_start_size(const struct compact_plan *plan)
{
	const struct part *last = plan->part + plan->parts - 1;

	return plan->parts ? last->offset + last->bytes : plan->tail_end;
}

uint64_t compact_plan_final_size(const struct compact_plan *plan)
{
	uint64_t size = compact_plan_start_size(plan);

	for (uint32_t i = 0; i < plan->parts; i++)
		size -= plan->part[i].hole;
	return size;
}

uint32_t compact_plan_count(const struct compact_plan *plan)
{
	return plan->count;
}

struct compact_step compact_plan_step(const struct compact_plan *plan, uint32_t step)
{
	assert(step < plan->count);
	for (uint32_t i = plan->parts; i-- > 0;) {
		const struct part *p = &plan->part[i];

		if (p->hole && step-- == 0)
			return (struct compact_step){.offset = p->hole_at, .length = p->hole};
	}
	assert(!"count is the number of holes");
	return (struct compact_step){0, 0};
}

void compact_plan_table(const struct compact_plan *plan, uint32_t steps_done,
			struct trace_dat_region *ret_regions)
{
	uint32_t holes_left = plan->count - steps_done; /* in the order of the file */
	uint64_t shift = 0;

	assert(steps_done <= plan->count);
	memset(ret_regions, 0, plan->cpus * sizeof(*ret_regions));
	for (uint32_t i = 0; i < plan->parts; i++) {
		const struct part *p = &plan->part[i];

		if (p->hole && holes_left > 0)
			holes_left--;
		else
			shift += p->hole;
		ret_regions[p->cpu] = (struct trace_dat_region){p->offset - shift, p->bytes};
	}
}

int compact_plan_resume(const struct compact_plan *plan, uint64_t file_size, uint32_t *ret_done)
{
	uint64_t size = compact_plan_start_size(plan);
	uint32_t done = 0;

	if (file_size >= size) {
		*ret_done = 0;
		return 0;
	}
	for (uint32_t i = plan->parts; i-- > 0;) {
		if (!plan->part[i].hole)
			continue;
		size -= plan->part[i].hole;
		done++;
		if (size == file_size) {
			*ret_done = done;
			return 0;
		}
	}
	return -ESTALE;
}
