/* SPDX-License-Identifier: MIT */
/*
 * chunk_record.h - the record (trace.json) of a source's chunk, from the state memory.
 *
 * While a chunk is open its birth certificate stands in the file itself. Thread: the worker's; does
 * I/O.
 */
#ifndef TRACERELAY_CONSUMER_CHUNK_RECORD_H
#define TRACERELAY_CONSUMER_CHUNK_RECORD_H

#include <stdint.h>

#include "consumer/trace_dat_meta.h"

struct consumer_source;

/* The birth certificate of a new chunk (birth.h), into its file. 0 or negative errno. */
int chunk_record_birth(struct consumer_source *s, unsigned which, int fd);

/* The record of a frozen chunk, under its final name. @meta: all zero if not understood. */
int chunk_record_write(struct consumer_source *s, unsigned which, const char *name,
		       const struct trace_dat_meta *meta, uint64_t stored);

#endif
