/* SPDX-License-Identifier: MIT */
/*
 * record.h - the record beside a chunk (trace.json): what it is, what was stored, what was lost.
 *
 * Written for people, tools, repair and the catalog; doc/trace-json.md is its schema.
 * Life: plain data; the streams array is the caller's, except after
 * record_from_json()/record_read(), which allocate it: then record_free() frees it. Thread: any.
 * Units: bytes, unless the name says.
 */
#ifndef CONSUMER_RECORD_H
#define CONSUMER_RECORD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "common/discard.h"

#define RECORD_FORMAT 1 /* of the record itself; readers refuse greater ones */

/* The ledger of a stream within this chunk. received = stored + sum of discarded, always. */
struct record_ledger {
	uint64_t received;
	uint64_t stored;
	uint64_t discarded[DISCARD_COUNT]; /* by enum discard */
	uint64_t pages;                    /* stored ones */
	uint64_t lost_events;              /* by the traced kernel, as far as it counted */
	uint64_t lost_intervals;           /* times it lost events without a count */
	uint64_t datagrams_dropped;        /* by this host */
};

struct record_stream {
	uint32_t cpu;
	struct record_ledger ledger;
	uint64_t time_first, time_last; /* header times (trace clock) of its pages; 0, 0 if none */
};

#define RECORD_NAME_MAX 256
#define RECORD_PEER_MAX 64
#define RECORD_WORD_MAX 32
#define RECORD_WHY_MAX  128

struct record {
	uint64_t source; /* source number N */
	uint32_t chunk;  /* 1, 2, ... within the source */
	char session[RECORD_NAME_MAX];
	char host[RECORD_NAME_MAX];      /* as in the path */
	char peer[RECORD_PEER_MAX];      /* numeric address and port of the control connection */
	char protocol[RECORD_WORD_MAX];  /* "trace-cmd V3" */
	char transport[RECORD_WORD_MAX]; /* of the data: "tcp", "udp" */
	char file[RECORD_NAME_MAX];      /* name of the data file beside the record */
	struct timespec started, ended;  /* of the chunk, CLOCK_REALTIME */
	bool complete;
	char why[RECORD_WHY_MAX]; /* not complete: the reason, a phrase; else empty */
	bool sparse;              /* true until compacted */
	struct timespec synced;   /* when fsync() had returned; tv_sec 0 = not yet */
	int format_version;       /* of the trace.dat: 6 or 7; 0 = not known */
	char clock[RECORD_WORD_MAX];
	uint32_t page_size; /* sub-buffer size */
	size_t stream_count;
	struct record_stream *streams; /* by CPU */
};

/* True if received = stored + discarded. */
bool record_ledger_balanced(const struct record_ledger *ledger);

/* Adds @b to @sum, field by field. */
void record_ledger_add(struct record_ledger *sum, const struct record_ledger *b);

/* The ledger as a JSON object, as status.sock shows it too. A new reference, or NULL: no memory. */
json_t *record_ledger_to_json(const struct record_ledger *ledger);

/* A new reference, or NULL: no memory. Texts that are no UTF-8 get '?' for what is wrong. */
json_t *record_to_json(const struct record *record);

/*
 * The reverse; members that it does not know are ignored, absent ones are zero.
 * Return 0; -EBADMSG if it is no record; -EPROTONOSUPPORT if its format is newer; -ENOMEM.
 * @ret is to be freed with record_free().
 */
int record_from_json(const json_t *json, struct record *ret);
void record_free(struct record *record); /* frees streams, zeroes the rest */

/*
 * Writes the record as @name in directory @dirfd: a hidden temporary file beside it, renamed over
 * the old record if there is one. Not synced: the record is written before the data file gets its
 * name, and can be made again. Does I/O: a worker's thread. Return 0 or negative errno; on failure
 * nothing of it is left.
 */
int record_write(int dirfd, const char *name, const struct record *record);

/* Reads it back. Return 0, negative errno of the I/O, or as record_from_json(). */
int record_read(int dirfd, const char *name, struct record *ret);

#endif
