/* SPDX-License-Identifier: MIT */
/*
 * trace_dat_layout.h - where things lie in a trace.dat chunk while it is written.
 *
 *   0           metadata, then the tail (trace_dat_tail.h)
 *   64 MiB      region of CPU 0, contiguous, growing upwards
 *   + stride    region of CPU 1
 *   ...
 * The file is sparse. Regions start at a fixed place, since data may arrive before the metadata is
 * complete. Thread: any.
 */
#ifndef CONSUMER_TRACE_DAT_LAYOUT_H
#define CONSUMER_TRACE_DAT_LAYOUT_H

#include <stdint.h>

#define TRACE_DAT_DATA_START  ((uint64_t)64 << 20)
#define TRACE_DAT_STRIDE_UNIT ((uint64_t)1 << 20) /* also the largest sub-buffer */
/* A reader counts a region's pages in 31 bits: fewer than 2^31 pages of 4 KiB. */
#define TRACE_DAT_STRIDE_MAX (((uint64_t)8 << 40) - TRACE_DAT_STRIDE_UNIT)

struct trace_dat_layout {
	uint32_t cpus;
	uint64_t stride; /* bytes from region to region = what a region can hold */
};

/*
 * The layout for @cpus regions (1 or more) in files of at most @max_file_size bytes.
 * Return 0; -EFBIG if not even a unit per CPU fits.
 */
int trace_dat_layout_init(uint32_t cpus, uint64_t max_file_size, struct trace_dat_layout *ret);

/* File offset of the region of @cpu, 0 .. cpus-1 (asserted). @cpu = cpus gives the end of the last.
 */
uint64_t trace_dat_layout_region(const struct trace_dat_layout *layout, uint32_t cpu);

/* The most metadata (bytes, as stored) that leaves room for the tail in front of the first region.
 */
uint64_t trace_dat_layout_metadata_max(uint32_t cpus);

/*
 * The largest file that the file system of directory @dirfd takes (ext4 with 4 KiB blocks: 16 TiB
 * less a block), found by ftruncate() on an unlinked temporary file; RLIMIT_FSIZE is respected.
 * Does I/O: a worker's thread, not the front loop. Return 0 or negative errno.
 */
int trace_dat_layout_probe(int dirfd, uint64_t *ret_max_file_size);

#endif
