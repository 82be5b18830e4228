/* SPDX-License-Identifier: MIT */
/*
 * stream_walk.h - the streams of a source, one after the other, while sessiond-lite changes the
 * list.
 *
 * A source's streams are linked in the order of their numbers (stream_slot.cpu). New ones are
 * linked at the end; those of LTTng may be taken out anywhere, and their slots be another's soon.
 * A walk remembers the number that it has come to, so it can begin anew when it finds itself on a
 * slot that left the list: it gives each stream once, in order, those that come meanwhile too.
 *
 * Thread: any; plain bytes, nothing to free. Source: common/state.h "streams".
 * Test: tests/unit/stream_walk.c, tests/stress/stream_walk_churn.c.
 */
#ifndef TRACERELAY_COMMON_STREAM_WALK_H
#define TRACERELAY_COMMON_STREAM_WALK_H

#include <stdbool.h>
#include <stdint.h>

struct state;
struct state_ref;

/* All zero: before the first. Setting `from` alone skips those with a lower number. */
struct stream_walk {
	uint32_t from; /* the least number that is to come */
	uint32_t at;   /* 1 + slot index of the last that was given; 0: begin at the list's head */
	uint64_t id;   /* and its id */
};

/* The next one. False: there is none behind it now, or the source's slot is another's. @source is
 * inside the table. */
bool stream_walk_next(const struct state *st, struct state_ref source, struct stream_walk *w,
		      struct state_ref *ret);

#endif
