/* SPDX-License-Identifier: MIT */
/*
 * chunk_record.h - the record (trace.json) of a source's chunk, from the state memory.
 *
 * While a chunk is open a hidden record stands beside it: what repair needs to know if both daemons
 * are killed. Thread: the worker's; does I/O.
 */
#ifndef TRACERELAY_CONSUMER_CHUNK_RECORD_H
#define TRACERELAY_CONSUMER_CHUNK_RECORD_H

#include <stdint.h>

#include "consumer/trace_dat_meta.h"

struct consumer_source;

/* The hidden record of an open chunk. 0 or negative errno. */
int chunk_record_open(struct consumer_source *s, unsigned which);
void chunk_record_forget_open(struct consumer_source *s, unsigned which);

/* The record of a frozen chunk, under its final name. @meta: all zero if not understood. */
int chunk_record_write(struct consumer_source *s, unsigned which, const char *name,
		       const struct trace_dat_meta *meta, uint64_t stored);

#endif
