/* SPDX-License-Identifier: MIT */
/*
 * metadata.h - a small, valid head of a trace.dat, as a trace-cmd client would send it.
 *
 * It describes one event ("bench:page", see pages.h), so that trace-cmd report reads what a server
 * made of it. Version 6 for V1 ends after the command lines, since the server writes the rest; for
 * V3 the CPU count and the options follow. Version 7 is not compressed ("none"), and ends with its
 * options section, whose last eight bytes are the pointer that a server fills in.
 *
 * Stateless. Source: doc/protocol.md, "trace.dat".
 */
#ifndef TESTS_BENCH_METADATA_H
#define TESTS_BENCH_METADATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/bench/bytes.h"

struct metadata_about {
	int version;       /* 6 or 7 */
	bool with_options; /* version 6: also CPU count and options (V3); 7 always has them */
	uint32_t cpus;
	uint32_t page_size; /* bytes of a sub-buffer */
	const char *node;   /* host name for the UNAME option; borrowed */
	uint64_t trace_id;
	size_t padding; /* about so many bytes of kallsyms, to be as large as a real one */
};

/* Append the whole metadata to an empty run of bytes. */
void metadata_make(const struct metadata_about *about, struct bytes *to);

#endif
