/* SPDX-License-Identifier: MIT */
/* Plans, and files of blocks on which they are carried out, with a kill between any two steps. */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "consumer/compact_plan.h"

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define TIB ((uint64_t)1 << 40)

static struct compact_plan *plan_of(const struct trace_dat_region *regions, uint32_t cpus,
				    uint64_t tail_end, uint32_t subbuf, uint32_t block)
{
	struct compact_plan *plan;

	cr_assert_eq(compact_plan_new(regions, cpus, tail_end, subbuf, block, &plan), 0);
	return plan;
}

Test(compact_plan, last_hole_first)
{
	const struct trace_dat_region regions[] = {
		{64 * MIB, 8192}, {1 * TIB, 0}, {2 * TIB, 4096}, {0, 0}};
	struct trace_dat_region table[4];
	struct compact_plan *plan = plan_of(regions, 4, 1 * MIB + 7, 4096, 4096);
	struct compact_step step;

	cr_assert_eq(compact_plan_count(plan), 2);
	cr_assert_eq(compact_plan_start_size(plan), 2 * TIB + 4096);
	step = compact_plan_step(plan, 0);
	cr_assert_eq(step.offset, 64 * MIB + 8192);
	cr_assert_eq(step.length, 2 * TIB - 64 * MIB - 8192);
	step = compact_plan_step(plan, 1);
	cr_assert_eq(step.offset, 1 * MIB + 4096);
	cr_assert_eq(step.length, 63 * MIB - 4096);

	compact_plan_table(plan, 0, table);
	cr_assert_eq(table[0].offset, 64 * MIB);
	cr_assert_eq(table[2].offset, 2 * TIB);
	compact_plan_table(plan, 1, table);
	cr_assert_eq(table[0].offset, 64 * MIB);
	cr_assert_eq(table[2].offset, 64 * MIB + 8192);
	compact_plan_table(plan, 2, table);
	cr_assert_eq(table[0].offset, 1 * MIB + 4096);
	cr_assert_eq(table[0].bytes, 8192);
	cr_assert_eq(table[2].offset, 1 * MIB + 4096 + 8192);
	cr_assert_eq(table[2].bytes, 4096);
	cr_assert_eq(table[1].bytes + table[1].offset + table[3].bytes + table[3].offset, 0);
	cr_assert_eq(compact_plan_final_size(plan), 1 * MIB + 4 * 4096);
	compact_plan_free(plan);
}

Test(compact_plan, resume_by_size)
{
	const struct trace_dat_region regions[] = {{64 * MIB, 8192}, {2 * TIB, 4096}};
	struct compact_plan *plan = plan_of(regions, 2, 1 * MIB, 4096, 4096);
	const struct {
		uint64_t size;
		int want;
		uint32_t done;
	} cases[] = {
		{2 * TIB + 8192, 0, 0}, /* not yet cut */
		{2 * TIB + 4096, 0, 0},   {2 * TIB, -ESTALE, 9},
		{64 * MIB + 12288, 0, 1}, {64 * MIB + 12287, -ESTALE, 9},
		{1 * MIB + 12288, 0, 2},  {1 * MIB + 12287, -ESTALE, 9},
		{0, -ESTALE, 9},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t done = 9;

		cr_assert_eq(compact_plan_resume(plan, cases[i].size, &done), cases[i].want,
			     "case %zu", i);
		cr_assert_eq(done, cases[i].done, "case %zu", i);
	}
	compact_plan_free(plan);
}

Test(compact_plan, nothing_to_do)
{
	const struct trace_dat_region none[] = {{64 * MIB, 0}, {1 * TIB, 0}};
	const struct trace_dat_region dense[] = {{12288, 4096}, {16384, 4096}};
	struct compact_plan *plan = plan_of(none, 2, 5000, 4096, 4096);
	uint32_t done = 9;

	cr_assert_eq(compact_plan_count(plan), 0);
	cr_assert_eq(compact_plan_start_size(plan), 5000, "the metadata and the tail stay");
	cr_assert_eq(compact_plan_final_size(plan), 5000);
	cr_assert_eq(compact_plan_resume(plan, 5000, &done), 0);
	cr_assert_eq(done, 0);
	compact_plan_free(plan);

	plan = plan_of(dense, 2, 8193, 4096, 4096);
	cr_assert_eq(compact_plan_count(plan), 0);
	cr_assert_eq(compact_plan_start_size(plan), 20480);
	compact_plan_free(plan);
	compact_plan_free(NULL);
}

Test(compact_plan, aligned_to_the_larger_unit)
{
	const struct trace_dat_region regions[] = {{64 * MIB, 3 * 16 * KIB}, {128 * MIB, 16 * KIB}};
	const uint32_t units[][2] = {{16384, 4096}, {16384, 65536}, {4096, 4096}};

	for (int i = 0; i < 3; i++) {
		uint32_t unit = units[i][0] > units[i][1] ? units[i][0] : units[i][1];
		struct compact_plan *plan = plan_of(regions, 2, 100001, units[i][0], units[i][1]);
		struct trace_dat_region table[2];

		for (uint32_t s = 0; s < compact_plan_count(plan); s++) {
			cr_assert_eq(compact_plan_step(plan, s).offset % unit, 0);
			cr_assert_eq(compact_plan_step(plan, s).length % unit, 0);
		}
		compact_plan_table(plan, compact_plan_count(plan), table);
		cr_assert_eq(table[0].offset, (100001 + unit - 1) / unit * unit);
		cr_assert_eq(table[1].offset % unit, 0);
		cr_assert_lt(table[1].offset - table[0].offset - table[0].bytes, unit);
		compact_plan_free(plan);
	}
}

Test(compact_plan, refuses_what_is_no_finished_chunk)
{
	static const struct trace_dat_region bad[][2] = {
		{{64 * MIB, 8192}, {64 * MIB + 4096, 4096}}, /* overlap */
		{{4096, 4096}, {64 * MIB, 4096}},            /* in the tail */
		{{64 * MIB + 512, 4096}, {0, 0}},            /* not aligned */
		{{64 * MIB, 4095}, {0, 0}},
		{{UINT64_MAX - 4095, 4096}, {0, 0}},
		{{64 * MIB, UINT64_MAX - 4095}, {0, 0}},
		{{INT64_MAX / 4096 * 4096, 4096}, {64 * MIB, 4096}},
	};
	struct compact_plan *plan = (void *)1;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_eq(compact_plan_new(bad[i], 2, 8192, 4096, 4096, &plan), -EINVAL,
			     "case %zu", i);
	cr_assert_eq(compact_plan_new(bad[3], 0, 8192, 3000, 4096, &plan), -EINVAL);
	cr_assert_eq((size_t)plan, 1, "output on failure");
}

/* ---- a file of 4 KiB blocks, each a number; 0 = hole ---- */

#define BLOCKS 2000
#define CPUS   5

struct model {
	unsigned block[BLOCKS];
	uint64_t size; /* bytes */
};

static void collapse(struct model *f, struct compact_step s)
{
	uint64_t from = s.offset / 4096, n = s.length / 4096, blocks = f->size / 4096;

	cr_assert_eq(s.offset % 4096 + s.length % 4096, 0);
	cr_assert_lt(s.offset + s.length, f->size, "the kernel refuses to reach the end");
	for (uint64_t i = from; i < from + n; i++)
		cr_assert_eq(f->block[i], 0, "data taken out");
	memmove(f->block + from, f->block + from + n, (blocks - from - n) * sizeof(f->block[0]));
	f->size -= s.length;
}

static void check_table(const struct model *f, const struct trace_dat_region *table,
			const struct trace_dat_region *first)
{
	for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
		cr_assert_eq(table[cpu].bytes, first[cpu].bytes);
		cr_assert_leq(table[cpu].offset + table[cpu].bytes, f->size);
		for (uint64_t i = 0; i < table[cpu].bytes / 4096; i++)
			cr_assert_eq(f->block[table[cpu].offset / 4096 + i], cpu * 1000 + i + 1);
	}
}

Test(compact_plan, any_kill_any_table)
{
	srand(1);
	for (int round = 0; round < 300; round++) {
		uint32_t subbuf = round % 3 ? 4096 : 16384;
		uint64_t tail_end = 4096 * (uint64_t)(rand() % 20) + (uint64_t)(rand() % 4096);
		struct trace_dat_region first[CPUS], in_file[CPUS], table[CPUS];
		uint32_t done, order = (uint32_t)rand() % CPUS;
		struct compact_plan *plan;
		struct model f = {0};
		uint64_t final;

		for (uint32_t i = 0; i < CPUS; i++) {
			uint32_t cpu = (i + order) % CPUS; /* regions in any order */
			uint64_t at = (uint64_t)(40 + i * 360);

			first[cpu].offset = at * 4096;
			first[cpu].bytes = rand() % 4 ? (uint64_t)(rand() % 80) * subbuf : 0;
			for (uint64_t b = 0; b < first[cpu].bytes / 4096; b++)
				f.block[at + b] = cpu * 1000 + (unsigned)b + 1;
		}
		plan = plan_of(first, CPUS, tail_end, subbuf, 4096);
		f.size = compact_plan_start_size(plan) + (rand() % 2 ? 40960 : 0);
		final = compact_plan_final_size(plan);
		compact_plan_free(plan);
		memcpy(in_file, first, sizeof(first));

		for (;;) { /* each turn is a new process: it knows the file's table and size */
			plan = plan_of(in_file, CPUS, tail_end, subbuf, 4096);
			cr_assert_eq(compact_plan_resume(plan, f.size, &done), 0);
			cr_assert_leq(done, 1);
			compact_plan_table(plan, done, table);
			check_table(&f, table, first);
			memcpy(in_file, table, sizeof(table));
			if (done == compact_plan_count(plan))
				break;
			if (f.size > compact_plan_start_size(plan))
				f.size = compact_plan_start_size(plan);
			collapse(&f, compact_plan_step(plan, done));
			if (rand() % 2) { /* not killed before it wrote the table */
				compact_plan_table(plan, done + 1, in_file);
				check_table(&f, in_file, first);
			}
			compact_plan_free(plan);
		}
		compact_plan_free(plan);
		plan = plan_of(first, CPUS, tail_end, subbuf, 4096);
		/* From the very first table, too. */
		if (compact_plan_count(plan) > 0) {
			cr_assert_eq(f.size, final);
			cr_assert_eq(compact_plan_resume(plan, f.size, &done), 0);
			cr_assert_eq(done, compact_plan_count(plan));
		}
		compact_plan_table(plan, compact_plan_count(plan), table);
		check_table(&f, table, first);
		compact_plan_free(plan);
	}
}

Test(compact_plan, apparent_size_of_a_thousand_cpus)
{
	static struct trace_dat_region regions[1024];
	uint64_t data = 0;
	struct compact_plan *plan;

	for (uint32_t i = 0; i < 1024; i++) {
		regions[i] = (struct trace_dat_region){64 * MIB + i * 16383 * MIB,
						       4096 * (uint64_t)(i % 7)};
		data += regions[i].bytes;
	}
	plan = plan_of(regions, 1024, 6 * MIB, 4096, 4096);
	cr_assert_leq(compact_plan_final_size(plan), 6 * MIB + data + 4096);
	compact_plan_free(plan);
}

Test(compact_plan, steps_beyond_the_last, .signal = SIGABRT)
{
	const struct trace_dat_region regions[] = {{64 * MIB, 8192}};
	struct compact_plan *plan = plan_of(regions, 1, 8192, 4096, 4096);

	(void)compact_plan_step(plan, compact_plan_count(plan));
}
