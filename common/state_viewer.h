/* SPDX-License-Identifier: MIT */
/*
 * state_viewer.h - what a connection of a live viewer (LTTng) needs in the state memory.
 *
 * A viewer_slot lies beside the conversation_slot of the same index and lives and ends with it. It
 * has no halves of its own: the conversation's half is the truth, and says what counts here.
 *
 * Cursors and attachments are appended by writing free entries first; they count from the moment
 *         the conversation has consumed the request that they were born of. One entry that a
 *         request changes stands in the conversation's half with its new value (struct viewer
 *         in relayd/live_viewer.h) and is copied to its place behind the commit, again after a
 * kill. Reply:  made whole before the commit that begins its sending, immutable until it is sent;
 * its pages are given back then. Writer: relayd's live thread, all of it. The slot is zeroed,
 * whatever it held, when the viewer says CONNECT. Source: doc/protocol.md "LTTng live".
 */
#ifndef TRACERELAY_COMMON_STATE_VIEWER_H
#define TRACERELAY_COMMON_STATE_VIEWER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/stream_walk.h"

#define VIEWER_SESSIONS 64u      /* sessions that one viewer can be attached to */
#define VIEWER_CURSORS  1024u    /* streams of those */
#define VIEWER_REPLY    4587520u /* bytes: VIEWER_CURSORS entries of 4371 in a list, and some */

/* A session that the viewer is attached to. */
struct viewer_attachment {
	uint64_t session;        /* its handle; 0: free */
	uint64_t born;           /* ring position behind the request that made it */
	struct stream_walk told; /* of its streams: behind the last that the viewer knows */
	uint64_t over;           /* the viewer has been told that it is over */
};

/* A stream that the viewer has been told of. */
struct viewer_cursor {
	uint64_t stream;   /* its handle; 0: free */
	uint64_t born;     /* ring position behind the request that made it */
	uint64_t session;  /* handle of its attachment's session */
	uint64_t attached; /* and `born` of that attachment */
	uint64_t trace;
	uint32_t metadata;
	uint32_t over; /* the viewer has been told that it is over */
	/* The file it is in: that of the last record given. Serial 0: before the first chunk. */
	uint64_t serial;
	uint64_t file;
	uint64_t next;    /* record in there that is next; metadata: bytes of the file passed */
	uint64_t content; /* metadata: bytes without packet headers and padding, sent so far */
	uint64_t skip;    /* metadata: such bytes at `next` that were sent out of an earlier file */
	uint64_t version; /* metadata */
	uint64_t time;    /* latest time told */
};

struct viewer_slot {
	struct viewer_attachment attachment[VIEWER_SESSIONS];
	struct viewer_cursor cursor[VIEWER_CURSORS];
	_Alignas(4096) uint8_t reply[VIEWER_REPLY];
};

struct state;

/*
 * May a viewer still want something of this stream (its handle, its number) of this session (its
 * handle)? One that has asked for nothing since @silent_ms (CLOCK_MONOTONIC) does not count.
 * Any thread; a viewer that attaches meanwhile may be missed.
 */
bool state_viewer_needs(const struct state *st, uint64_t session, uint64_t stream, uint32_t number,
			int64_t silent_ms);

#endif
