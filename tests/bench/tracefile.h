/* SPDX-License-Identifier: MIT */
/*
 * tracefile.h - where the pages are in a trace.dat, read without any library.
 *
 * Understands versions 6 and 7 as far as the table of the top buffer, in this machine's byte order,
 * with data that is not compressed. A raw file (the bare loop's) is one region from 0 to its end.
 *
 * Life:   tracefile_open() to tracefile_close(). Thread: any one.
 * Errors: -EBADMSG not a whole trace.dat (yet); -ENOTSUP compressed or foreign; errno of the file.
 */
#ifndef TESTS_BENCH_TRACEFILE_H
#define TESTS_BENCH_TRACEFILE_H

#include <stdbool.h>
#include <stdint.h>

struct tracefile_region {
	uint32_t cpu;
	uint64_t offset; /* bytes in the file */
	uint64_t size;   /* bytes */
};

struct tracefile {
	int fd;
	int version;        /* 6 or 7; 0 raw */
	uint32_t page_size; /* bytes; 0 raw */
	uint32_t count;
	struct tracefile_region *regions; /* owned, count of them */
	uint64_t total;                   /* bytes of all regions */
	uint64_t file_size;
};

int tracefile_open(const char *path, bool raw, struct tracefile *ret);
void tracefile_close(struct tracefile *t);

/* All regions lie inside the file and begin and end on page boundaries. */
bool tracefile_is_whole(const struct tracefile *t);

#endif
