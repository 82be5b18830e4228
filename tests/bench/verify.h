/* SPDX-License-Identifier: MIT */
/*
 * verify.h - does what was stored hold exactly what was sent?
 *
 * Reads every page of every region of the files below some paths, compares each byte with what
 * pages.h says belongs there, and adds up what each stream has: pages must follow each other inside
 * a region, and the regions of a stream (of consecutive chunks, say) must join without gap or
 * overlap from page 0 on.
 */
#ifndef TESTS_BENCH_VERIFY_H
#define TESTS_BENCH_VERIFY_H

#include <stdbool.h>
#include <stdint.h>

struct verify_expected {
	uint32_t clients;
	uint32_t cpus;
	uint32_t page_size;
	uint64_t bytes; /* a stream */
	uint64_t seed;
	bool raw;   /* the bare loop's files */
	bool lossy; /* pages may be missing (UDP) and the one behind a gap be marked */
};

struct verify_result {
	uint32_t files;
	uint64_t bytes;         /* compared */
	uint64_t wrong_pages;   /* a byte differs, or the page does not belong where it is */
	uint64_t missing_pages; /* sent and not found */
	uint64_t marked_pages;  /* that say that something is missing before them */
	uint64_t filler_pages;  /* empty ones */
	char first_error[512];  /* "" if there was none */
};

/* Return 0 if all is as expected, -EBADMSG if not, or why it could not be read. */
int verify_paths(char *const *paths, int count, const struct verify_expected *want,
		 struct verify_result *ret);

#endif
