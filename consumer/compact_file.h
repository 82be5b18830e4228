/* SPDX-License-Identifier: MIT */
/*
 * compact_file.h - what a finished chunk's file says of itself, and its table written anew.
 *
 * Thread: the compactor's. Source: doc/protocol.md, "trace.dat". Test: tests/unit/compactor.c.
 */
#ifndef TRACERELAY_CONSUMER_COMPACT_FILE_H
#define TRACERELAY_CONSUMER_COMPACT_FILE_H

#include <stdint.h>

#include "consumer/compact_plan.h"
#include "consumer/trace_dat_meta.h"

struct compact_file {
	struct trace_dat_meta meta;
	uint32_t cpus;
	struct trace_dat_region *regions; /* [cpus], owned */
	uint64_t tail_end;                /* bytes: where everything but the regions ends */
};

/* @size  of the file. 0, and compact_file_clear() behind it; -EBADMSG: no finished chunk; -ENOMEM,
 * or an errno of mmap(). */
int compact_file_read(int fd, uint64_t size, struct compact_file *ret);
void compact_file_clear(struct compact_file *f);

/* The table of the regions as they lie after @done steps of the plan. 0 or negative errno. */
int compact_file_write_table(int fd, const struct compact_file *f, const struct compact_plan *plan,
			     uint32_t done);

#endif
