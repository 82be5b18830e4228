/* SPDX-License-Identifier: MIT */
/*
 * fuzz_trace_dat_meta.c - metadata of a client into the parser, and what it finds into the tail.
 * Looks for reads outside the bytes, endless chains, and a tail that its own reader does not find.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "consumer/trace_dat_layout.h"
#include "consumer/trace_dat_meta.h"
#include "consumer/trace_dat_tail.h"

#define CPUS 3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The file's first bytes once the tail is written; to be freed. */
static uint8_t *apply(const uint8_t *data, size_t size, const struct trace_dat_tail *tail)
{
	size_t end = tail->end > size ? tail->end : size;
	uint8_t *file = calloc(1, end);

	assert(file);
	if (size)
		memcpy(file, data, size);
	for (unsigned i = 0; i < tail->count; i++) {
		const struct trace_dat_write *w = &tail->writes[i];

		assert(w->offset <= end && w->len <= end - w->offset);
		memcpy(file + w->offset, w->bytes, w->len);
	}
	return file;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct trace_dat_region regions[CPUS] = {{TRACE_DAT_DATA_START, 8192}}, again[CPUS];
	struct trace_dat_meta meta, reread;
	struct trace_dat_tail_input in = {
		.meta = &meta, .cpus = CPUS, .regions = regions, .subbuf_size = 4096};
	struct trace_dat_tail tail;
	uint8_t buffer[1024], *file;

	(void)trace_dat_meta_needs_version(data, size);
	if (trace_dat_meta_parse(data, size, &meta) < 0 || !meta.complete)
		return 0;
	assert(meta.length <= size);
	assert(meta.commit_size == 4 || meta.commit_size == 8);
	if (meta.table_at)
		(void)trace_dat_tail_read_table(data, size, &meta, CPUS, again);

	assert(trace_dat_tail_bound(CPUS, false) <= sizeof(buffer));
	if (trace_dat_tail_build(&in, buffer, sizeof(buffer), &tail) < 0)
		return 0;
	file = apply(data, size, &tail);
	/* The parts of a liar's v7 metadata may lie upon one another; blocks of v6 cannot. */
	if (meta.version == 6) {
		assert(trace_dat_meta_parse(file, tail.end, &reread) == 0 && reread.complete);
		assert(trace_dat_tail_read_table(file, tail.end, &reread, CPUS, again) == 0);
		assert(memcmp(regions, again, sizeof(regions)) == 0);
	}
	free(file);
	return 0;
}
