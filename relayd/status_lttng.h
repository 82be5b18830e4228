/* SPDX-License-Identifier: MIT */
/*
 * status_lttng.h - what the status document says of LTTng's slots, beside what all sources have.
 *
 * Slots may be freed and given to another at any moment: a caller checks the id of the source or
 * stream behind it, and throws away what it got if that has changed.
 *
 * Thread: any; nothing waits for a writer. Source: doc/status.md. Test: tests/unit/status_lttng.c.
 */
#ifndef TRACERELAY_RELAYD_STATUS_LTTNG_H
#define TRACERELAY_RELAYD_STATUS_LTTNG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/state.h"
#include "relayd/status_sum.h"

#define STATUS_PROTOCOL_MAX 32u
#define STATUS_STREAM_NAME  (CTF_PATH + CTF_NAME + 1)

struct status_lttng {
	uint32_t minor; /* 0: not known yet, and nothing else is */
	bool live, snapshot;
	char session_name[CTF_NAME], host[CTF_NAME]; /* "": the client did not tell */
};

void status_lttng_source(const struct state *st, uint32_t index, struct status_lttng *ret);

/* "streaming", "live", "snapshot"; NULL: not known yet. */
const char *status_lttng_mode(const struct status_lttng *source);

/* "LTTng 2.13"; without a minor "LTTng". */
char *status_lttng_protocol(uint32_t minor, char buf[STATUS_PROTOCOL_MAX]);

/*
 * A stream of this source: its name as PATH/CHANNEL_CPU ("" until it has been told), and what its
 * half h adds to the source. `tells` and what follows from the half are set, the rest is as it was.
 */
void status_lttng_stream(const struct state *st, uint32_t index, const struct status_lttng *source,
			 const struct stream_half *h, char name[STATUS_STREAM_NAME],
			 struct status_sum *sum);

/* What a source's worker says of the whole of it, at one moment. */
struct status_whole {
	uint32_t count; /* commits of what this was read from */
	uint32_t chunk; /* number of the chunk that new streams go to, else of the last; 0: none */
	bool open;      /* there is one that they go to */
	/* Streams that have given their slots back: so many, the id of the last of them, and what
	 * they did. It is part of the source's sum, in which they are no streams any more. */
	uint64_t retired, last_retired;
	struct status_sum sum;
};
void status_lttng_whole(const struct state *st, uint32_t index, const struct status_lttng *source,
			struct status_whole *ret);
/* False: the worker has said something new. */
bool status_lttng_is_still(const struct state *st, uint32_t index,
			   const struct status_whole *whole);

/* Is what the stream did among what retired ones did? */
bool status_lttng_is_retired(const struct state *st, struct state_ref stream,
			     const struct status_whole *whole);

/* How many viewers are attached to each source. @viewers  zeroed, [header->high_source] of now or
 * before. */
void status_lttng_viewers(const struct state *st, uint32_t *viewers, uint32_t n);

#endif
