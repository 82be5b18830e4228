/* SPDX-License-Identifier: MIT */
/*
 * rotation.c - from one chunk to the next, on sub-buffer boundaries, coherent over a source.
 *
 * When a rotation is due the next chunk's file is made first, metadata and all; then the present
 * chunk is CLOSING: each stream goes on to the end of its page and switches there, in one step
 * that freezes its old end (idle streams at once). When all have switched the chunk is FROZEN.
 * A stopped session is a rotation after which streams fill no chunk (STREAM_NO_CHUNK) until start.
 * Thread: the worker's.
 */
#include "consumer/internal.h"

#include <assert.h>
#include <time.h>

static int64_t realtime_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static unsigned closing_chunk(const struct source_half *h)
{
	for (unsigned i = 0; i < 2; i++)
		if (h->chunk[i].state == CHUNK_CLOSING)
			return i;
	return 2;
}

static bool rotates(const struct session_slot *session)
{
	return atomic_load(&session->rotate_size) || atomic_load(&session->rotate_time_ms);
}

/* A page that never became whole: only at a stream's end. */
static void cut_partial(struct consumer_stream *t)
{
	uint32_t page = source_now(t->source->slot)->sub_buffer;
	const struct stream_half *now = stream_now(t->slot);
	uint64_t part = now->chunk == STREAM_NO_CHUNK ? 0 : now->position % page;
	struct stream_half *h;

	if (!part)
		return;
	h = stream_begin(t->slot);
	h->position -= part;
	h->ledger.stored -= part;
	h->ledger.discarded[DISCARD_PARTIAL] += part;
	stream_commit(t->slot);
	counters_add(t->source->worker->counters, COUNTER_bytes_stored, -part);
	counters_add(t->source->worker->counters, COUNTER_bytes_discarded_partial, part);
}

/*
 * The one step in which a stream leaves chunk number @from (0: it filled none) for @to (0, 1 or
 * STREAM_NO_CHUNK). What was discarded meanwhile counts in the chunk that comes next.
 */
static void leave_chunk(struct consumer_stream *t, uint32_t from_number, unsigned to,
			uint32_t to_number)
{
	struct stream_half *h;

	scan_stream_end(t);
	h = stream_begin(t->slot);
	if (from_number) {
		h->frozen_number = from_number;
		h->frozen_end = h->chunk == STREAM_NO_CHUNK ? 0 : h->position;
		h->frozen_first_time = h->first_time;
		h->frozen_last_time = h->last_time;
		h->frozen = ledger_since(&h->ledger, &h->chunk_base);
		h->chunk_base = h->ledger;
	}
	h->chunk = to;
	h->chunk_number = to_number;
	h->position = 0;
	h->scanned = 0;
	h->loss_at = 0; /* a mark still due stands before the first page now */
	h->first_time = h->last_time = 0;
	stream_commit(t->slot);
}

/* A chunk that was still empty is left without freezing anything. */
static void leave_untouched_chunk(struct consumer_stream *t)
{
	struct stream_half *h = stream_begin(t->slot);

	h->chunk = STREAM_NO_CHUNK;
	stream_commit(t->slot);
}

/*
 * May the stream switch now? Not inside a stored page, nor (TCP) inside a page of which the
 * beginning was discarded because the session was stopped. Datagrams hold whole pages.
 */
static bool on_boundary(const struct consumer_stream *t, const struct stream_half *h)
{
	uint32_t page = source_now(t->source->slot)->sub_buffer;

	if (h->chunk != STREAM_NO_CHUNK)
		return h->position % page == 0;
	return t->slot->transport == TRANSPORT_UDP || h->ledger.received % page == 0;
}

void rotation_switch(struct consumer_stream *t)
{
	struct consumer_source *s = t->source;
	const struct source_half *sh = source_now(s->slot);
	unsigned to = source_view_stopped(s) ? 2 : source_view_current_chunk(sh);
	uint32_t from;

	if (!source_view_switching(s, stream_now(t->slot)))
		return;
	if (stream_now(t->slot)->state == STREAM_ENDED)
		cut_partial(t);
	if (!on_boundary(t, stream_now(t->slot)))
		return;
	from = stream_now(t->slot)->chunk == STREAM_NO_CHUNK
		       ? 0
		       : sh->chunk[stream_now(t->slot)->chunk].number;
	if (to == 2)
		leave_chunk(t, from, STREAM_NO_CHUNK, 0);
	else
		leave_chunk(t, from, to, sh->chunk[to].number);
}

static void freeze(struct consumer_source *s, unsigned which, bool last, uint32_t why)
{
	const struct session_slot *session = state_session_of(s->worker->st, s->slot);
	struct source_half *h = source_begin(s->slot);
	struct source_chunk *c = &h->chunk[which];

	c->state = CHUNK_FROZEN;
	c->end_ns = realtime_ns();
	c->last = last;
	c->why = why;
	c->sub_buffer = h->sub_buffer;
	c->numbered = !(last && c->number == 1 && !(session && rotates(session)));
	source_commit(s->slot);
}

/* Everybody out of the closing chunk? */
static void finish_switching(struct consumer_source *s, unsigned which)
{
	struct consumer_stream *t;
	bool all = true;

	cds_list_for_each_entry (t, &s->streams, node) {
		if (stream_now(t->slot)->chunk == which)
			rotation_switch(t);
		if (stream_now(t->slot)->chunk == which)
			all = false;
	}
	if (all) {
		s->chunk_bytes = 0;
		freeze(s, which, false, 0);
	}
}

/* Which counter a due rotation is counted under; COUNTER_COUNT: none is due. */
static enum counter due(const struct consumer_source *s, const struct session_slot *session,
			const struct source_chunk *c)
{
	uint64_t size = atomic_load(&session->rotate_size);
	uint64_t time_ms = atomic_load(&session->rotate_time_ms);
	struct consumer_stream *t;

	if (atomic_load(&session->rotation_orders) != source_now(s->slot)->rotation_done)
		return COUNTER_rotations_asked;
	if (size && s->chunk_bytes >= size)
		return COUNTER_rotations_size;
	if (time_ms && s->chunk_bytes && realtime_ns() - c->start_ns >= (int64_t)time_ms * 1000000)
		return COUNTER_rotations_time;
	cds_list_for_each_entry (t, &s->streams, node)
		if (s->layout.stride - stream_now(t->slot)->position < WORKER_MOVE_MAX)
			return COUNTER_rotations_region;
	return COUNTER_COUNT;
}

static bool any_stored(const struct consumer_source *s)
{
	struct consumer_stream *t;

	cds_list_for_each_entry (t, &s->streams, node)
		if (stream_now(t->slot)->chunk != STREAM_NO_CHUNK && stream_now(t->slot)->position)
			return true;
	return false;
}

/* Open the next chunk and close the present one. False if that is not possible now. */
static bool begin_rotation(struct consumer_source *s, unsigned present)
{
	const struct session_slot *session = state_session_of(s->worker->st, s->slot);
	struct consumer_stream *t;
	struct source_half *h;
	unsigned next;

	if (!source_now(s->slot)->metadata_parsed || !source_now(s->slot)->placed)
		return false;
	/* Chunks are cut at sub-buffers: their size must be known, as far as pages can tell. */
	cds_list_for_each_entry (t, &s->streams, node)
		scan_stream(t);
	if (chunk_begin(s, &next) < 0)
		return false; /* tried again at the next tick */
	h = source_begin(s->slot);
	h->chunk[present].state = CHUNK_CLOSING;
	if (session)
		h->rotation_done = atomic_load(&session->rotation_orders);
	source_commit(s->slot);
	return true;
}

/* Streams of a stopped session fill no chunk, those of a started one do. */
static void follow_session(struct consumer_source *s)
{
	const struct source_half *h = source_now(s->slot);
	unsigned present = source_view_current_chunk(h);
	struct consumer_stream *t;

	if (present == 2)
		return;
	if (!source_view_stopped(s)) {
		cds_list_for_each_entry (t, &s->streams, node)
			if (stream_now(t->slot)->chunk == STREAM_NO_CHUNK)
				rotation_switch(t);
	} else if (any_stored(s)) {
		if (begin_rotation(s, present))
			finish_switching(s, present);
	} else {
		cds_list_for_each_entry (t, &s->streams, node)
			if (stream_now(t->slot)->chunk != STREAM_NO_CHUNK)
				leave_untouched_chunk(t);
	}
}

void rotation_run(struct consumer_source *s)
{
	const struct session_slot *session = state_session_of(s->worker->st, s->slot);
	const struct source_half *h = source_now(s->slot);
	unsigned closing = closing_chunk(h);
	unsigned present = source_view_current_chunk(h);
	enum counter why;

	if (closing != 2) {
		finish_switching(s, closing);
		return;
	}
	if (!session || present == 2)
		return;
	follow_session(s);
	if (source_view_stopped(s) || closing_chunk(source_now(s->slot)) != 2)
		return;
	why = due(s, session, &h->chunk[present]);
	if (why == COUNTER_COUNT)
		return;
	if (why == COUNTER_rotations_asked && !any_stored(s)) { /* nothing to rotate: obeyed */
		struct source_half *n = source_begin(s->slot);

		n->rotation_done = atomic_load(&session->rotation_orders);
		source_commit(s->slot);
		return;
	}
	if (!begin_rotation(s, present))
		return;
	counters_add(s->worker->counters, why, 1);
	finish_switching(s, present);
}

void rotation_freeze_last(struct consumer_source *s, uint32_t why)
{
	unsigned present = source_view_current_chunk(source_now(s->slot));
	struct consumer_stream *t;
	uint32_t number;

	if (present == 2)
		return;
	number = source_now(s->slot)->chunk[present].number;
	cds_list_for_each_entry (t, &s->streams, node) {
		/* A killed relayd had frozen it: done again, it would freeze an empty end. */
		if (stream_now(t->slot)->frozen_number == number)
			continue;
		cut_partial(t);
		leave_chunk(t, number, STREAM_NO_CHUNK, 0);
	}
	freeze(s, present, true, why);
}
