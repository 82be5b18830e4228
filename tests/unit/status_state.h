/* SPDX-License-Identifier: MIT */
/* status_state.h - a state memory as both daemons would fill it, for tests that read it. */
#ifndef TRACERELAY_TESTS_UNIT_STATUS_STATE_H
#define TRACERELAY_TESTS_UNIT_STATUS_STATE_H

#include "common/state.h"

/* Room for that many streams, and a quarter of it sources; two workers. */
void status_state_make(struct state *st, uint32_t streams);

/* Session slot @index; it is alive from now on. */
struct session_slot *status_state_session(struct state *st, uint32_t index, const char *name);

/*
 * Source slot @index with streams in slots first_stream + cpus - 1 down to first_stream, so that
 * the order of slots is not that of CPUs. Number 100 + index, of the session in slot 0, on worker
 * 0, recording.
 */
struct source_slot *status_state_source(struct state *st, uint32_t index, uint32_t cpus,
					uint32_t first_stream);

/*
 * Source slot @index as LTTng's, with its streams in slots first_stream, first_stream + 1, ...: the
 * metadata of "ust/uid/1000/64-bit", then channels. Number 100 + index, of the session in slot 0.
 */
struct source_slot *status_state_lttng(struct state *st, uint32_t index, uint32_t minor,
				       uint32_t streams, uint32_t first_stream);

/* The stream of a CPU. */
struct stream_slot *status_state_stream(const struct state *st, const struct source_slot *source,
					uint32_t cpu);

/* One step: it has received so much, of which so much was stored, the rest was no page. */
void status_state_receive(struct stream_slot *slot, uint64_t received, uint64_t stored);

#endif
