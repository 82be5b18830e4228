/* SPDX-License-Identifier: MIT */
/*
 * ctf_retire.c - streams that are over long before their source give their slots back.
 *
 * With buffers of each program (--buffers-pid) programs come and go for as long as the session
 * lasts, each with streams of its own. A trace (all streams of one path) retires as a whole:
 *
 *   over       each is closed by its client and complete, no chunk waits for it, no viewer needs it
 *   retiring   committed; then what it did is added to what retired streams did, of the source and
 *              of the open chunk that it is in: one commit, which remembers whose that was
 *   retired    the mark in its slot, by which sessiond-lite takes it out of the list; nothing here
 *              refers to it any more
 *
 * Not at once: as long as its session is not crowded, an ended stream is still listed for a while,
 * and what ends together with its session is recorded stream by stream.
 *
 * One at a time, so that after a kill the one that is remembered is the one that may be half done.
 * It is finished before anything else is done for its source: a chunk's record must not find it
 * twice. Metadata goes last: whether packets have any is judged while it is there.
 */
#include "consumer/ctf_internal.h"

#define CROWD 512 /* streams of a source; above that ended ones are not kept for a while */

int64_t ctf_retire_after_ms = 10000;

/* What it did up to now in a chunk that is closed and not finished, is still to be written down. */
static bool is_frozen_in_one(const struct ctf_source *s, const struct stream_half *h)
{
	const struct ctf_source_half *sh = ctf_source_now(s->ctf);

	for (uint32_t i = 0; h->frozen_number && i < CTF_CHUNKS; i++)
		if (sh->chunk[i].state != CTF_CHUNK_FREE &&
		    (uint32_t)sh->chunk[i].serial == h->frozen_number)
			return true;
	return false;
}

static bool is_over(const struct ctf_stream *t)
{
	const struct ctf_source_half *sh = ctf_source_now(t->source->ctf);
	const struct stream_half *h = stream_now(t->slot);
	struct ctf_stalled_half stalled;

	if (!h->ctf.opened || !ctf_stream_complete(h) || h->ctf.rotating || t->connection)
		return false;
	if (h->ctf.chunk && sh->chunk[h->ctf.chunk - 1].state != CTF_CHUNK_OPEN)
		return false;
	ctf_stalled_read(&t->ctf->stalled, &stalled);
	return stalled.bytes == h->ctf.stalled && !is_frozen_in_one(t->source, h);
}

static bool is_wanted(const struct ctf_stream *t)
{
	const struct ctf_source *s = t->source;
	uint64_t limit = s->worker->config.stall_timeout_ms;

	return state_viewer_needs(s->worker->st, ctf_handle(s->ref.index, s->ref.id),
				  ctf_handle(t->ref.index, t->ref.id), t->slot->cpu,
				  ctf_now_ms() - (int64_t)(limit ? limit : CTF_STALL_MS));
}

static bool has_lingered(struct ctf_stream *t, int64_t now_ms)
{
	if (!t->over_since_ms)
		t->over_since_ms = now_ms;
	return t->source->stream_count > CROWD || now_ms - t->over_since_ms >= ctf_retire_after_ms;
}

/* A viewer that knows the end of a trace's packets has its metadata too, and may never say so. */
static bool trace_may_retire(struct ctf_source *s, uint64_t trace)
{
	bool viewed = s->ctf->live_timer_us && atomic_load(&s->ctf->viewed);
	bool packets = false, lingered = true;
	int64_t now_ms = ctf_now_ms();
	struct ctf_stream *t;

	cds_list_for_each_entry (t, &s->streams, node) {
		if (t->ctf->trace != trace)
			continue;
		if (!is_over(t))
			return false;
		packets = packets || !t->ctf->metadata;
		lingered = has_lingered(t, now_ms) && lingered;
	}
	if (!lingered)
		return false;
	cds_list_for_each_entry (t, &s->streams, node)
		if (viewed && t->ctf->trace == trace && !(packets && t->ctf->metadata) &&
		    is_wanted(t))
			return false;
	return true;
}

/* ---- what it did ---- */

static void add(struct ctf_retired *to, const struct ctf_stream *t, struct stream_ledger l)
{
	if (t->ctf->metadata) {
		to->metadata += l.stored;
		l.pages = 0;
	}
	to->streams++;
	ledger_add(&to->ledger, &l);
}

static bool has_metadata(const struct ctf_stream *t)
{
	const struct ctf_stream *m;

	cds_list_for_each_entry (m, &t->source->streams, node) {
		const struct stream_half *h = stream_now(m->slot);

		if (m->ctf->metadata && m->ctf->trace == t->ctf->trace &&
		    h->ctf.chunk == stream_now(t->slot)->ctf.chunk &&
		    h->ledger.stored > h->chunk_base.stored)
			return true;
	}
	return false;
}

static void add_to_chunk(struct ctf_chunk *chunk, const struct ctf_stream *t)
{
	const struct stream_half *h = stream_now(t->slot);
	struct stream_ledger l = ledger_since(&h->ledger, &h->chunk_base);

	add(&chunk->retired, t, l);
	for (unsigned i = 0; i < DISCARD_COUNT; i++)
		if (l.discarded[i])
			chunk->retired_discards = 1 + i;
	if (!t->ctf->metadata && l.stored && !has_metadata(t))
		chunk->retired_bare = 1;
}

static void count(struct ctf_stream *t)
{
	struct ctf_source *s = t->source;
	const struct stream_half *h = stream_now(t->slot);
	struct ctf_source_half *sh;

	if (ctf_source_now(s->ctf)->retired_last == t->ref.id)
		return;
	sh = ctf_source_begin(s->ctf);
	add(&sh->retired, t, h->ledger);
	if (h->ctf.chunk)
		add_to_chunk(&sh->chunk[h->ctf.chunk - 1], t);
	sh->retired_last = t->ref.id;
	ctf_source_commit(s->ctf);
	counters_add(s->worker->counters, COUNTER_streams_retired, 1);
}

/* ---- its end ---- */

/* It is retiring. */
static void finish(struct ctf_stream *t)
{
	struct worker *w = t->source->worker;
	struct ctf_stream_slot *slot = t->ctf;
	struct state_ref ref = t->ref;

	count(t);
	ctf_source_forget(t);
	atomic_store_explicit(&slot->retired, 1, memory_order_release);
	w->config.events->stream_closed(w->config.ctx, ref);
}

static void retire(struct ctf_stream *t)
{
	struct stream_half *h;

	ctf_index_give_up(t);
	if (stream_now(t->slot)->ctf.chunk)
		ctf_file_sweep(t, stream_now(t->slot)->ctf.chunk, stream_now(t->slot)->ctf.file);
	h = stream_begin(t->slot);
	h->ctf.retiring = 1;
	h->state = STREAM_ENDED;
	stream_commit(t->slot);
	finish(t);
}

static void retire_some(struct ctf_source *s, uint64_t trace, bool metadata)
{
	struct ctf_stream *t, *next;

	cds_list_for_each_entry_safe (t, next, &s->streams, node)
		if (t->ctf->trace == trace && (t->ctf->metadata != 0) == metadata)
			retire(t);
}

/* The trace of some stream that is over, and that was not looked at before it in the list. */
static bool is_first_of_trace(const struct ctf_stream *of)
{
	const struct ctf_stream *t;

	cds_list_for_each_entry (t, &of->source->streams, node)
		if (t == of || t->ctf->trace == of->ctf->trace)
			break;
	return t == of;
}

/* The next trace that may, among streams from this number on; false: there is none. */
static bool retire_next_trace(struct ctf_source *s, uint32_t *from)
{
	struct ctf_stream *t;

	cds_list_for_each_entry (t, &s->streams, node) {
		uint64_t trace = t->ctf->trace;

		if (t->slot->cpu < *from || !is_over(t) || !is_first_of_trace(t) ||
		    !trace_may_retire(s, trace))
			continue;
		*from = t->slot->cpu + 1;
		retire_some(s, trace, false);
		retire_some(s, trace, true);
		return true;
	}
	return false;
}

void ctf_retire_resume(struct ctf_source *s)
{
	struct ctf_stream *t, *next;

	cds_list_for_each_entry_safe (t, next, &s->streams, node)
		if (stream_now(t->slot)->ctf.retiring)
			finish(t);
}

void ctf_retire_run(struct ctf_source *s)
{
	uint32_t from = 0;

	if (s->ending || source_now(s->slot)->finished)
		return;
	while (retire_next_trace(s, &from))
		;
}
