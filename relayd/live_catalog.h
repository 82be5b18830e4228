/* SPDX-License-Identifier: MIT */
/*
 * live_catalog.h - what the state memory says of LTTng sources, in the terms of live viewers.
 *
 * Every call copies what it needs and looks at the slot's id before and after, so that an answer
 * is of one source or stream, as it was at some moment of the call.
 * Thread: any; read-only.
 * Source: common/state_ctf.h. Test: tests/unit/live_catalog.c.
 */
#ifndef TRACERELAY_RELAYD_LIVE_CATALOG_H
#define TRACERELAY_RELAYD_LIVE_CATALOG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/state.h"
#include "relayd/live_viewer.h"

/* A session as viewers see it: a source of LTTng that is no snapshot. False: there is none. */
bool live_catalog_session(const struct state *st, uint64_t handle, struct live_session *ret);

/* The next one, in slot *at or behind, whose client is still there; *at moves behind it. */
bool live_catalog_next_session(const struct state *st, uint32_t *at, struct live_session *ret);

/* The next stream of a session, if it has its name already. */
bool live_catalog_next_stream(const struct state *st, uint64_t session, struct stream_walk *walk,
			      struct live_stream *ret);
bool live_catalog_stream(const struct state *st, uint64_t handle, struct live_stream *ret);

/* Of the streams behind those that a viewer was told of. */
void live_catalog_untold(const struct state *st, uint64_t session, const struct stream_walk *told,
			 struct live_untold *ret);

/* Where a stream's files are and how far they are filled. */
struct live_where {
	struct stream_half stream;
	struct ctf_source_half source;
	uint64_t tracefile_size, tracefile_count;
	char path[CTF_PATH], name[CTF_NAME];
	uint64_t last_serial, last_file; /* the file being filled, or filled last */
	bool over;                       /* nothing will be added */
};

bool live_catalog_where(const struct state *st, uint64_t handle, struct live_where *ret);

/* The directory of the chunk with this serial number, NULL: nobody knows. *ret_moving_to: where it
 * may be already, or "". */
const char *live_where_dir(const struct live_where *w, uint64_t serial, const char **ret_moving_to);
/* The oldest chunk behind this one that has a directory; 0: none. */
uint64_t live_where_next(const struct live_where *w, uint64_t serial);

#endif
