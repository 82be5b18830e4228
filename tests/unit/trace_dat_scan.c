/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "consumer/trace_dat_scan.h"
#include "tests/unit/trace_dat_sample.h"

#define CPUS 6

static const struct trace_dat_layout layout = {.cpus = CPUS, .stride = (uint64_t)1 << 30};

/* @count pages into the region of @cpu from page @first on. */
static void put_pages(int fd, uint32_t cpu, unsigned first, unsigned count,
		      const struct page_format *f)
{
	uint8_t *page = malloc(f->size);

	for (unsigned i = first; i < first + count; i++) {
		off_t at = (off_t)(trace_dat_layout_region(&layout, cpu) + (uint64_t)i * f->size);

		sample_page(page, f, 1000 + i, 4000);
		cr_assert_eq(pwrite(fd, page, f->size, at), f->size);
	}
	free(page);
}

static int new_chunk(void)
{
	int fd = memfd_create("chunk", MFD_CLOEXEC);

	cr_assert_geq(fd, 0);
	cr_assert_eq(pwrite(fd, "metadata", 8, 0), 8);
	return fd;
}

ParameterizedTestParameters(trace_dat_scan, ends)
{
	static struct page_format formats[] = {
		{4096, 8, false}, {4096, 4, true}, {16384, 8, false}, {65536, 8, true}};

	return cr_make_param_array(struct page_format, formats, 4);
}

ParameterizedTest(struct page_format *f, trace_dat_scan, ends)
{
	struct trace_dat_region r[CPUS];
	uint8_t *page = calloc(1, f->size);
	int fd = new_chunk();
	uint64_t at;

	put_pages(fd, 0, 0, 3, f);
	/* CPU 1: nothing. CPU 2: a last page of which 3000 bytes came. */
	put_pages(fd, 2, 0, 2, f);
	at = trace_dat_layout_region(&layout, 2) + 2 * (uint64_t)f->size;
	sample_page(page, f, 5000, 4000);
	cr_assert_eq(pwrite(fd, page, 3000, (off_t)at), 3000);
	/* CPU 3: written zeros behind the last page. */
	put_pages(fd, 3, 0, 4, f);
	memset(page, 0, f->size);
	at = trace_dat_layout_region(&layout, 3);
	for (unsigned i = 4; i < 9; i++)
		cr_assert_eq(pwrite(fd, page, f->size, (off_t)(at + i * (uint64_t)f->size)),
			     f->size);
	/* CPU 4: only zeros. */
	at = trace_dat_layout_region(&layout, 4);
	cr_assert_eq(pwrite(fd, page, f->size, (off_t)at), f->size);
	/* CPU 5: the last page is cut by the end of the file. */
	put_pages(fd, 5, 0, 2, f);
	at = trace_dat_layout_region(&layout, 5) + f->size;
	cr_assert_eq(ftruncate(fd, (off_t)at + 4090), 0);

	cr_assert_eq(trace_dat_scan_regions(fd, &layout, f, r), 0);
	for (uint32_t cpu = 0; cpu < CPUS; cpu++)
		cr_assert_eq(r[cpu].offset, trace_dat_layout_region(&layout, cpu));
	cr_assert_eq(r[0].bytes, 3 * (uint64_t)f->size);
	cr_assert_eq(r[1].bytes, 0);
	cr_assert_eq(r[2].bytes, 2 * (uint64_t)f->size);
	cr_assert_eq(r[3].bytes, 4 * (uint64_t)f->size);
	cr_assert_eq(r[4].bytes, 0);
	cr_assert_eq(r[5].bytes, f->size);
	free(page);
	close(fd);
}

/* A hole or an unwritten page inside a region is not its end. */
Test(trace_dat_scan, holes_inside)
{
	struct page_format f = {.size = 4096, .commit_size = 8};
	struct trace_dat_region r[CPUS];
	int fd = new_chunk();

	put_pages(fd, 0, 0, 2, &f);
	put_pages(fd, 0, 100, 1, &f);
	put_pages(fd, 1, 7, 1, &f);
	cr_assert_eq(trace_dat_scan_regions(fd, &layout, &f, r), 0);
	cr_assert_eq(r[0].bytes, 101 * 4096);
	cr_assert_eq(r[1].bytes, 8 * 4096);
	cr_assert_eq(r[2].bytes, 0);
	close(fd);
}

/* Many written zeros, as where the file system knows no holes. */
Test(trace_dat_scan, end_is_bisected)
{
	struct page_format f = {.size = 4096, .commit_size = 8};
	struct trace_dat_region r[CPUS];
	static const uint8_t zeros[1 << 20];
	int fd = new_chunk();

	for (unsigned i = 0; i < 40; i++)
		cr_assert_eq(
			pwrite(fd, zeros, sizeof(zeros),
			       (off_t)(trace_dat_layout_region(&layout, 0) + i * sizeof(zeros))),
			sizeof(zeros));
	cr_assert_eq(trace_dat_scan_regions(fd, &layout, &f, r), 0);
	cr_assert_eq(r[0].bytes, 0);
	put_pages(fd, 0, 0, 321, &f);
	cr_assert_eq(trace_dat_scan_regions(fd, &layout, &f, r), 0);
	cr_assert_eq(r[0].bytes, 321 * 4096);
	close(fd);
}

Test(trace_dat_scan, nothing_stored)
{
	struct page_format f = {.size = 4096, .commit_size = 8};
	struct trace_dat_region r[CPUS];
	int fd = new_chunk();

	cr_assert_eq(trace_dat_scan_regions(fd, &layout, &f, r), 0);
	for (uint32_t cpu = 0; cpu < CPUS; cpu++)
		cr_assert_eq(r[cpu].bytes, 0);
	close(fd);
	cr_assert_eq(trace_dat_scan_regions(fd, &layout, &f, r), -EBADF);
}
