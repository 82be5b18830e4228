/* SPDX-License-Identifier: MIT */
/*
 * trace_dat_tail.h - the bytes that make a trace.dat of metadata and regions.
 *
 * Behind the client's metadata stands what the server has to write: the repairs, the table of
 * regions, the clock. This builds it as a short list of writes, from the regions' present ends. The
 * same function serves all occasions, and its result depends on its input only, so doing it again
 * is harmless:
 *   - a chunk is open: all sizes 0, open = true: a kill leaves a file that opens, without events;
 *   - a chunk is finished: the stored bytes;
 *   - a chunk is compacted: the same with the regions' new offsets.
 * Pure: no I/O, no allocation. Thread: any. Source of the rules: doc/protocol.md, "trace.dat".
 */
#ifndef CONSUMER_TRACE_DAT_TAIL_H
#define CONSUMER_TRACE_DAT_TAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "consumer/trace_dat_meta.h"

struct trace_dat_region {
	uint64_t offset; /* in the file; a multiple of the sub-buffer size */
	uint64_t bytes;  /* stored; a multiple of the sub-buffer size (asserted: cut partial pages
			    first) */
};

#define TRACE_DAT_STATS_MAX 1024 /* bytes of a CPU's stats text that are written, at most */

struct trace_dat_tail_input {
	const struct trace_dat_meta *meta;      /* complete (asserted); the tail goes to ->length */
	uint32_t cpus;                          /* >= 1 */
	const struct trace_dat_region *regions; /* [cpus] */
	/* Text like per_cpu/cpuN/stats for `report --stat`; NULL, or [cpus] with NULLs among them.
	 * Not written into v6 files whose client sent its own options. */
	const char *const *stats;
	uint32_t subbuf_size; /* what the pages have; patched into the header where that differs */
	bool open;            /* the end of the regions is not known yet */
};

struct trace_dat_write {
	uint64_t offset;
	size_t len;
	const uint8_t *bytes; /* into the caller's buffer */
};

#define TRACE_DAT_TAIL_WRITES 4

struct trace_dat_tail {
	unsigned
		count; /* of writes, to be done in this order: what points at the body comes last */
	struct trace_dat_write writes[TRACE_DAT_TAIL_WRITES];
	uint64_t end; /* offset behind the body; at most that of the first region with bytes */
	/*
	 * The size that the file must have when it is finished: ftruncate() it, so that no partial
	 * page stands behind the last region (readers of v7 would take it for a section). 0 if
	 * open.
	 */
	uint64_t file_size;
};

/* Bytes of buffer that trace_dat_tail_build() needs, at most. */
size_t trace_dat_tail_bound(uint32_t cpus, bool with_stats);

/*
 * @buffer  trace_dat_tail_bound() bytes (less is asserted), referred to by @ret
 * Return 0; -EMSGSIZE if the body would reach into the first region with bytes.
 * Regions without bytes are written as (0, 0): a reader refuses offsets beyond the end of the file.
 * A CPU count in the metadata that differs from @cpus is patched.
 */
int trace_dat_tail_build(const struct trace_dat_tail_input *in, uint8_t *buffer, size_t cap,
			 struct trace_dat_tail *ret);

/*
 * Reads the table out of a chunk file's first bytes, parsed before (meta->table_at is not 0).
 * @ret_regions  [cpus], by CPU number; those that the table does not name get (0, 0)
 * Return 0; -EBADMSG if the table does not lie within @len, or names a CPU >= @cpus.
 */
int trace_dat_tail_read_table(const uint8_t *bytes, size_t len, const struct trace_dat_meta *meta,
			      uint32_t cpus, struct trace_dat_region *ret_regions);

#endif
