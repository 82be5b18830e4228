/* SPDX-License-Identifier: MIT */
/*
 * trace_dat_meta.h - what the metadata at the start of a trace.dat says.
 *
 * Reads the bytes that a client sent before its data (the initial header and everything up to the
 * options), as stored at the start of the chunk file; a finished chunk's first 64 MiB do as well.
 * Nothing is trusted: every length is compared before use, and the work is linear in @len whatever
 * they say. Thread: any. No I/O. Source of the rules: doc/protocol.md, "trace.dat".
 */
#ifndef CONSUMER_TRACE_DAT_META_H
#define CONSUMER_TRACE_DAT_META_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRACE_DAT_HOST_MAX        65 /* Linux node names have at most 64 bytes */
#define TRACE_DAT_CLOCK_MAX       32
#define TRACE_DAT_COMPRESSION_MAX 16
#define TRACE_DAT_WHY_MAX         64

#define TRACE_DAT_PAGE_SIZE_AT 14 /* file offset of the u32 page size, both versions */

/* What a server has to append to v6 metadata before the data mark. */
enum trace_dat_missing {
	TRACE_DAT_MISSING_NOTHING,
	TRACE_DAT_MISSING_CPUS,     /* CPU count, (empty) options */
	TRACE_DAT_MISSING_CMDLINES, /* 8 zero bytes as an empty command-line block, then the same */
};

/* Plain data, no pointers. Offsets are from the file's start. */
struct trace_dat_meta {
	int version;        /* 6 or 7 */
	bool big_endian;    /* of every number in the file */
	uint8_t long_size;  /* of the client's user space (byte 13); the kernel's is commit_size */
	uint32_t page_size; /* as claimed at offset 14; may be wrong, even 0: see subbuf_size */

	/*
	 * From header_page; known when header_page_known. commit_size is 4 or 8. subbuf_size is
	 * data offset + size: what the *top* buffer had, a claim like page_size (page_prove_size()
	 * has the last word). When not known: commit_size = long_size (8 if that is odd too),
	 * subbuf_size = 0.
	 */
	bool header_page_known;
	uint8_t commit_size;
	uint32_t subbuf_size;

	/*
	 * complete: everything a client sends is there. If not, `why` is a phrase for the record,
	 * such as "ends inside kallsyms", and `where` the offset of what is missing; fields that
	 * come later in the file are zero or empty. Nothing can be appended to incomplete metadata.
	 */
	bool complete;
	char why[TRACE_DAT_WHY_MAX];
	uint64_t where;

	/*
	 * Where the tail goes (trace_dat_tail.h): v6: behind the last block. v7: behind the last
	 * section. Equals @len for what a trace-cmd client sends; less if junk follows, which the
	 * tail then overwrites. In a chunk file that has its tail: where that starts, so that the
	 * same tail can be built from it again.
	 */
	uint64_t length;

	enum trace_dat_missing missing; /* v6 only */
	uint64_t done_at; /* v7: offset of the u64 that continues the options chain (0 in a
			     client's) */

	uint32_t cpus;    /* as stated; 0 = not stated */
	uint64_t cpus_at; /* offset of that u32, 0 if not stated */

	/*
	 * In a chunk file that has its tail: the table of regions, trace_dat_tail_read_table()
	 * (trace_dat_tail.h) reads it. table_at = 0 if there is none (a client's own metadata).
	 */
	uint64_t table_at;
	uint32_t table_entries;

	/*
	 * Texts are cut to fit and hold printable ASCII without blanks only (others become '?').
	 * host may still be "..", or contain '/': whoever makes a path of it must look.
	 */
	char host[TRACE_DAT_HOST_MAX];   /* node name in UNAME; empty if none */
	char clock[TRACE_DAT_CLOCK_MAX]; /* bracketed word of TRACECLOCK, else "local" */
	bool clock_known;                /* the client said so */
	char compression[TRACE_DAT_COMPRESSION_MAX]; /* v7: "zstd", "zlib", "none"; v6: "none" */
};

/*
 * True if these first bytes of a stream of metadata are those of trace-cmd 2.8.0-2.8.3, whose
 * version string is empty: "6" must be inserted at TRACE_DAT_VERSION_AT, moving the rest by one
 * byte.
 * @len  must be at least TRACE_DAT_VERSION_AT + 1 for a verdict; less gives false.
 */
#define TRACE_DAT_VERSION_AT 10
bool trace_dat_meta_needs_version(const uint8_t *first, size_t len);

/*
 * Parses metadata (with the version already repaired).
 * @bytes  typically a mapping of the chunk file; its length must be what was received. It is
 * borrowed. Return 0, with @ret filled, also when the metadata is incomplete (ret->complete says
 * so); -EBADMSG if the bytes are no trace.dat of version 6 or 7, or contradict themselves (nobody
 * could read the file); -ENOMEM. @ret is untouched on failure.
 */
int trace_dat_meta_parse(const uint8_t *bytes, size_t len, struct trace_dat_meta *ret);

#endif
