/* SPDX-License-Identifier: MIT */
/*
 * live_rig.h - state memory and files of LTTng sources as the daemons would leave them, for tests
 * of live viewers. Packets are RIG_PACKET bytes of the record's number; record n ends at time n+1
 * (counted through all files of a stream).
 */
#ifndef TESTS_UNIT_LIVE_RIG_H
#define TESTS_UNIT_LIVE_RIG_H

#include "common/state.h"

#define RIG_PACKET   4096u
#define RIG_METADATA 512u /* bytes of a metadata packet */

struct live_rig {
	char dir[40];
	int output;
	struct state st;
};

void live_rig_make(struct live_rig *r);
void live_rig_free(struct live_rig *r); /* files too */

/* A live session in slot 0..3, chunk 1 is open at place. Its handle. */
uint64_t live_rig_session(struct live_rig *r, uint32_t source, const char *name, const char *place);
/* Chunk table entry of a source: serial 0 frees it. */
void live_rig_chunk(struct live_rig *r, uint32_t source, uint32_t entry, uint64_t serial,
		    const char *place);
void live_rig_controls(struct live_rig *r, uint32_t source, uint32_t controls);
void live_rig_publish(struct live_rig *r, uint32_t source, uint64_t streams);
void live_rig_forget(struct live_rig *r, uint64_t session); /* slots of it are free again */

/* A stream in the current chunk; count 0: one file without limit. Its handle. */
uint64_t live_rig_stream(struct live_rig *r, uint32_t source, const char *name, uint64_t count);
struct stream_half *live_rig_begin(struct live_rig *r, uint64_t stream);
void live_rig_commit(struct live_rig *r, uint64_t stream);

/* One more packet with its record in the file being filled; seen: it is counted in the state. */
void live_rig_packet(struct live_rig *r, uint64_t stream, bool seen);
/* Go on in the next tracefile; or in the chunk of a table entry. */
void live_rig_next_file(struct live_rig *r, uint64_t stream);
void live_rig_next_chunk(struct live_rig *r, uint64_t stream, uint32_t entry);
/* A metadata packet with so many bytes of text, each of them `c`. */
void live_rig_metadata(struct live_rig *r, uint64_t stream, uint32_t text, char c);

#endif
