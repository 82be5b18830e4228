/* SPDX-License-Identifier: MIT */
/*
 * ctf_source.c - the machine of one LTTng source: everything that is due, in one place.
 *
 *   orders applied in order (ctf_order.c) --> streams, metadata, indexes, chunks
 *   packets (ctf_connection.c, ctf_packet.c) --> in place, joined with their indexes
 *   rotations and chunks that are due (ctf_rotate.c, ctf_chunk.c)
 *   control ended, everything applied, data connections closed --> chunks finished, source finished
 *
 * Re-entered by every event; trouble with the disk leaves the state as it is, and the tick comes
 * back to it.
 */
#include "consumer/ctf_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <time.h>

#define TROUBLE_SILENCE_MS  60000               /* between two log lines about one source's files */
#define ROOM_TO_STORE_AGAIN ((uint64_t)1 << 20) /* bytes free before storing is tried again */

void (*ctf_fault)(void);

int64_t ctf_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

bool ctf_source_indexless(const struct ctf_source *s)
{
	return s->ctf->minor < 4 || s->ctf->snapshot;
}

bool ctf_source_stopped(const struct ctf_source *s)
{
	const struct session_slot *session = state_session_of(s->worker->st, s->slot);

	return session && atomic_load(&session->stopped);
}

bool ctf_stream_complete(const struct stream_half *h)
{
	const struct ctf_stream_half *c = &h->ctf;

	if (!c->closed)
		return false;
	return c->last_seq == CTF_NONE ||
	       (c->any_data && (int64_t)(c->data_seq - c->last_seq) >= 0);
}

/* ---- the objects ---- */

static struct ctf_stream *stream_new(struct ctf_source *s, struct stream_slot *slot,
				     struct state_ref ref)
{
	struct ctf_stream *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->source = s;
	t->slot = slot;
	t->ctf = &s->worker->st->ctf_stream[ref.index];
	t->ref = ref;
	t->data.fd = t->index.fd = -1;
	cds_list_add_tail(&t->node, &s->streams);
	s->stream_count++;
	s->worker->ctf_stream_at[ref.index] = t;
	return t;
}

struct ctf_stream *ctf_source_stream(struct ctf_source *s, uint32_t index, uint64_t id)
{
	struct state_ref ref = {.index = index, .id = id};
	struct stream_slot *slot;
	struct ctf_stream *t;

	if (!id || index >= s->worker->st->header->capacity.streams)
		return NULL;
	slot = state_stream(s->worker->st, ref);
	if (!slot || slot->source.index != s->ref.index || slot->source.id != s->ref.id ||
	    atomic_load(&s->worker->st->ctf_stream[index].retired))
		return NULL;
	t = s->worker->ctf_stream_at[index];
	if (t && t->ref.id == id)
		return t;
	return stream_new(s, slot, ref);
}

void ctf_source_forget(struct ctf_stream *t)
{
	struct worker *w = t->source->worker;

	ctf_file_forget(w, &t->data);
	ctf_file_forget(w, &t->index);
	cds_list_del(&t->node);
	t->source->stream_count--;
	if (w->ctf_stream_at[t->ref.index] == t)
		w->ctf_stream_at[t->ref.index] = NULL;
	free(t);
}

/* Those that sessiond-lite has linked since the last look. */
static void know_streams(struct ctf_source *s)
{
	struct worker *w = s->worker;
	struct state_ref ref;

	while (stream_walk_next(w->st, s->ref, &s->known, &ref))
		/* Of one that an earlier relayd had retired sessiond-lite may not have heard. */
		if (!ctf_source_stream(s, ref.index, ref.id) &&
		    atomic_load(&w->st->ctf_stream[ref.index].retired))
			w->config.events->stream_closed(w->config.ctx, ref);
}

struct ctf_source *ctf_source_get(struct worker *w, struct state_ref ref)
{
	struct source_slot *slot = state_source(w->st, ref);
	struct ctf_source *s;

	if (!slot || slot->protocol != PROTOCOL_LTTNG || w->finished[ref.index] == ref.id ||
	    atomic_load(&slot->worker) != w->config.index + 1 || atomic_load(&slot->done))
		return NULL;
	s = w->ctf_source_at[ref.index];
	if (s && s->ref.id == ref.id)
		return s;
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->worker = w;
	s->slot = slot;
	s->ctf = &w->st->ctf_source[ref.index];
	s->ref = ref;
	CDS_INIT_LIST_HEAD(&s->streams);
	CDS_INIT_LIST_HEAD(&s->connections);
	cds_list_add_tail(&s->node, &w->ctf_sources);
	w->ctf_source_at[ref.index] = s;
	know_streams(s);
	ctf_retire_resume(s);
	s->rotating = true;
	(void)ctf_chunk_resume(s); /* trouble with it is met again */
	return s;
}

static void drop(struct ctf_source *s)
{
	struct ctf_stream *t, *next;

	assert(cds_list_empty(&s->connections));
	cds_list_for_each_entry_safe (t, next, &s->streams, node)
		ctf_source_forget(t);
	cds_list_del(&s->node);
	if (s->due)
		cds_list_del(&s->due_node);
	if (s->worker->ctf_source_at[s->ref.index] == s)
		s->worker->ctf_source_at[s->ref.index] = NULL;
	free(s);
}

/* ---- trouble with the disk ---- */

bool ctf_source_disk_is_full(int error)
{
	return error == -ENOSPC || error == -EDQUOT;
}

void ctf_source_disk_trouble(struct ctf_source *s, int error)
{
	bool full = ctf_source_disk_is_full(error);
	struct source_half *h;

	if (!s->trouble_ms) {
		counters_add(s->worker->counters,
			     full ? COUNTER_disk_full_episodes : COUNTER_disk_errors, 1);
		log_error("disk",
			  "source %llu: %s; its packets are discarded and counted until there is "
			  "room (make room below output.dir)",
			  (unsigned long long)s->slot->number, strerror(-error));
		s->trouble_ms = ctf_now_ms();
	}
	if (!full || source_now(s->slot)->disk_full)
		return;
	h = source_begin(s->slot);
	h->disk_full = 1;
	source_commit(s->slot);
}

static void retry_disk(struct ctf_source *s)
{
	struct source_half *h;
	struct statvfs fs;

	if (!source_now(s->slot)->disk_full) {
		if (s->trouble_ms && ctf_now_ms() - s->trouble_ms > TROUBLE_SILENCE_MS)
			s->trouble_ms = 0;
		return;
	}
	if (fstatvfs(s->worker->config.output_fd, &fs) == 0 &&
	    (uint64_t)fs.f_bavail * fs.f_frsize < ROOM_TO_STORE_AGAIN)
		return;
	h = source_begin(s->slot);
	h->disk_full = 0;
	source_commit(s->slot);
}

/* ---- the end ---- */

/* Everything that the client announced is here, and it will say no more. */
static bool all_complete(struct ctf_source *s)
{
	struct ctf_stream *t;

	cds_list_for_each_entry (t, &s->streams, node)
		if (stream_now(t->slot)->ctf.opened && !ctf_stream_complete(stream_now(t->slot)))
			return false;
	return true;
}

#define LOOK_AGAIN_MS 200 /* less than a tick */

/*
 * A data connection may still bring what is missing: one of ours that is on its way here (after a
 * restart), or one of this host whose first header has not been read yet. The latter may be another
 * session's that never sends: it is not waited for longer than for a packet that has begun.
 *
 * The first answer is always that it may: by the next tick one look serves all who asked.
 */
bool ctf_source_may_come(struct ctf_source *s)
{
	uint64_t limit = s->worker->config.stall_timeout_ms;
	struct ctf_arrivals *arrivals = s->worker->ctf_arrivals;
	int64_t now = ctf_now_ms(), recent = now - LOOK_AGAIN_MS;

	if (!s->incomplete_since_ms) {
		s->incomplete_since_ms = now;
		return true;
	}
	ctf_arrivals_look(arrivals,
			  recent > s->incomplete_since_ms ? recent : s->incomplete_since_ms, now);
	if (ctf_arrivals_of_source(arrivals, s->ref))
		return true;
	return ctf_arrivals_of_host(arrivals, &s->slot->peer) &&
	       now - s->incomplete_since_ms < (int64_t)(limit ? limit : CTF_STALL_MS);
}

static void end_connections(struct ctf_source *s, enum close_reason why)
{
	struct ctf_connection *c, *next;

	cds_list_for_each_entry_safe (c, next, &s->connections, node)
		ctf_connection_end(c, why);
}

/* True if nothing more can come. */
static bool at_end(struct ctf_source *s)
{
	const struct session_slot *session = state_session_of(s->worker->st, s->slot);
	struct source_front_half f;

	source_front_read(&s->slot->front, &f);
	if (s->worker->stopping || (session && atomic_load(&session->ending))) {
		s->ending = true;
		end_connections(s, s->worker->stopping ? CLOSE_shutdown : CLOSE_session_destroyed);
		return cds_list_empty(&s->connections);
	}
	if (!f.control_ended || !f.drained)
		return false;
	/* What it said last may have come since this turn's first look. */
	know_streams(s);
	while (ctf_order_apply(s))
		;
	/* Some clients leave the data connections of their snapshots open for ever. */
	if (ctf_order_all_applied(s) && all_complete(s))
		end_connections(s, CLOSE_finished);
	if (!cds_list_empty(&s->connections))
		return false;
	if (!all_complete(s) && ctf_source_may_come(s))
		return false;
	s->ending = true;
	return true;
}

/* Behind this its slots are not touched here any more. */
static void finish(struct ctf_source *s)
{
	struct worker *w = s->worker;
	struct state_ref ref = s->ref;
	struct source_half *h;
	struct ctf_stream *t;

	if (!source_now(s->slot)->finished) {
		if (ctf_order_all_applied(s))
			ctf_session_dir_leave(s);
		cds_list_for_each_entry (t, &s->streams, node) {
			struct stream_half *sh = stream_begin(t->slot);

			sh->state = STREAM_ENDED;
			stream_commit(t->slot);
			atomic_store(&t->slot->closed, 1);
		}
		counters_add(w->counters, COUNTER_sources_ended, 1);
		counters_add(w->counters, COUNTER_sources_incomplete, !all_complete(s));
		h = source_begin(s->slot);
		h->ended = h->finished = 1;
		source_commit(s->slot);
	}
	w->finished[ref.index] = ref.id;
	drop(s);
	w->config.events->finished(w->config.ctx, ref);
}

/* True: the object is gone. */
static bool end(struct ctf_source *s)
{
	struct ctf_stream *t;
	int r;

	if (!at_end(s))
		return false;
	know_streams(s);
	while (ctf_order_apply(s)) /* with the source's end they wait for nothing any more */
		;
	if (!ctf_order_all_applied(s) && !s->worker->stopping)
		return false; /* the disk refuses */
	cds_list_for_each_entry (t, &s->streams, node) {
		if (stream_now(t->slot)->ctf.rotating && ctf_rotate_due(t) < 0 &&
		    !s->worker->stopping)
			return false;
	}
	cds_list_for_each_entry (t, &s->streams, node)
		ctf_index_give_up(t);
	r = ctf_chunk_finish_all(s);
	if (r < 0 && !s->worker->stopping) {
		ctf_source_disk_trouble(s, r);
		return false;
	}
	if (ctf_announce_pending(s) && !s->worker->stopping) {
		ctf_announce_run(s);
		return false; /* its slot is what is said again */
	}
	finish(s);
	return true;
}

/* ---- the machine ---- */

/* Rotations that are due. A stream whose connection is gone waits for no index any more. */
static void rotate(struct ctf_source *s)
{
	struct ctf_stream *t;

	if (!s->rotating)
		return;
	s->rotating = false;
	cds_list_for_each_entry (t, &s->streams, node) {
		if (!stream_now(t->slot)->ctf.rotating)
			continue;
		if ((t->orphan && ctf_order_all_applied(s)) || ctf_index_is_lost(t))
			(void)ctf_rotate_now(t);
		else
			(void)ctf_rotate_due(t);
		s->rotating = s->rotating || stream_now(t->slot)->ctf.rotating;
	}
}

static void run(struct ctf_source *s)
{
	int r;

	if (source_now(s->slot)->finished) { /* a killed relayd had got so far */
		end_connections(s, CLOSE_finished);
		if (cds_list_empty(&s->connections))
			finish(s);
		return;
	}
	know_streams(s);
	r = ctf_chunk_run(s); /* a move that was begun comes first */
	(void)ctf_order_apply(s);
	ctf_connection_resume(s);
	rotate(s);
	if (r == 0)
		r = ctf_chunk_run(s);
	if (r < 0)
		ctf_source_disk_trouble(s, r);
	ctf_announce_run(s);
	(void)end(s);
}

void ctf_source_run(struct ctf_source *s)
{
	struct worker *w = s->worker;
	struct state_ref ref = s->ref;

	if (s->running)
		return;
	s->running = true;
	run(s);
	s = w->ctf_source_at[ref.index];
	if (s && s->ref.id == ref.id)
		s->running = false;
}

void ctf_source_tick(struct ctf_source *s)
{
	retry_disk(s);
	ctf_connection_tick(s);
	ctf_retire_run(s);
	ctf_source_run(s);
}
