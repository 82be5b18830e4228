/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "consumer/trace_dat_layout.h"
#include "consumer/trace_dat_tail.h"

#define MIB ((uint64_t)1 << 20)
#define TIB ((uint64_t)1 << 40)

Test(trace_dat_layout, strides)
{
	static const struct {
		uint32_t cpus;
		uint64_t max, stride;
	} cases[] = {
		{1, INT64_MAX, TRACE_DAT_STRIDE_MAX},
		{1024, INT64_MAX, TRACE_DAT_STRIDE_MAX},
		{1, 16 * TIB - 4096, TRACE_DAT_STRIDE_MAX},
		{2, 16 * TIB - 4096, 8 * TIB - 33 * MIB},
		{1024, 16 * TIB - 4096, 16 * 1024 * MIB - MIB},
		{4, 64 * MIB + 4 * MIB, MIB},
		{4, 64 * MIB + 8 * MIB - 1, MIB},
		{4, 64 * MIB + 8 * MIB, 2 * MIB},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct trace_dat_layout l;

		cr_assert_eq(trace_dat_layout_init(cases[i].cpus, cases[i].max, &l), 0);
		cr_assert_eq(l.stride, cases[i].stride, "case %zu: %llu MiB", i,
			     (unsigned long long)(l.stride / MIB));
		cr_assert_eq(l.stride % MIB, 0);
		cr_assert_lt(l.stride / 4096, (uint64_t)1 << 31);
		cr_assert_eq(trace_dat_layout_region(&l, 0), 64 * MIB);
		cr_assert_leq(trace_dat_layout_region(&l, l.cpus), cases[i].max);
		for (uint32_t cpu = 0; cpu < l.cpus; cpu++)
			cr_assert_eq(trace_dat_layout_region(&l, cpu) + l.stride,
				     trace_dat_layout_region(&l, cpu + 1));
	}
}

Test(trace_dat_layout, too_small_a_file_system)
{
	struct trace_dat_layout l = {.cpus = 77};

	cr_assert_eq(trace_dat_layout_init(4, 64 * MIB + 4 * MIB - 1, &l), -EFBIG);
	cr_assert_eq(trace_dat_layout_init(1, 64 * MIB, &l), -EFBIG);
	cr_assert_eq(trace_dat_layout_init(1, 0, &l), -EFBIG);
	cr_assert_eq(l.cpus, 77, "output on failure");
}

Test(trace_dat_layout, metadata_and_tail_end_before_the_data)
{
	for (uint32_t cpus = 1; cpus <= 4096; cpus *= 2) {
		uint64_t max = trace_dat_layout_metadata_max(cpus);

		cr_assert_gt(max, 48 * MIB);
		cr_assert_leq(max + trace_dat_tail_bound(cpus, true), TRACE_DAT_DATA_START);
	}
	cr_assert_eq(trace_dat_layout_metadata_max(1u << 20), 0);
}

static int temporary_file(void)
{
	char name[] = "/tmp/tracerelay-test-XXXXXX";
	int fd = mkstemp(name);

	cr_assert_geq(fd, 0);
	unlink(name);
	return fd;
}

Test(trace_dat_layout, probe_finds_the_edge)
{
	int dir = open("/tmp", O_RDONLY | O_DIRECTORY), fd = temporary_file();
	uint64_t max;

	cr_assert_eq(trace_dat_layout_probe(dir, &max), 0);
	cr_assert_gt(max, 64 * MIB);
	cr_assert_eq(ftruncate(fd, (off_t)max), 0);
	if (max < INT64_MAX)
		cr_assert_lt(ftruncate(fd, (off_t)max + 1), 0);
	close(fd);
	close(dir);
}

Test(trace_dat_layout, probe_respects_the_process_limit)
{
	struct rlimit limit = {.rlim_cur = 100 * MIB + 5, .rlim_max = RLIM_INFINITY};
	int dir = open("/tmp", O_RDONLY | O_DIRECTORY);
	uint64_t max;

	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	cr_assert_eq(trace_dat_layout_probe(dir, &max), 0); /* and no SIGXFSZ */
	cr_assert_eq(max, 100 * MIB + 5);
	close(dir);
}

Test(trace_dat_layout, probe_needs_a_directory)
{
	uint64_t max = 1;

	cr_assert_lt(trace_dat_layout_probe(-1, &max), 0);
	cr_assert_eq(max, 1);
}
