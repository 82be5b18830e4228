/* SPDX-License-Identifier: MIT */
/*
 * consumer_source.c - the machine of one source: everything that is due, in one place.
 *
 *   metadata arrives --> first directory, first chunk file --> written at explicit offsets
 *   metadata complete --> parsed --> (V3) which session? --> final directory
 *   rotation, stop, start --> rotation.c
 *   control ended, all connections handed over, all streams ended --> last chunk frozen
 *   a frozen chunk --> finished, renamed --> announced until the catalog has it --> next or end
 *
 * Every event re-enters consumer_source_run(); it reads what is due from the slots, so that it can
 * be called at any time, by any relayd. Trouble with the disk leaves the state as it is, and the
 * tick comes back to it.
 * Thread: the worker's.
 */
#include "consumer/internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "consumer/trace_dat_meta.h"

/* ---- the object ---- */

static void init_half(const struct source_slot *slot, struct source_half *h)
{
	uint32_t size = slot->page_size;

	/* A page size that no kernel has proves nothing; pages will. */
	if (size < PAGE_SIZE_MIN || size > PAGE_SIZE_MAX || (size & (size - 1)))
		size = PAGE_SIZE_MIN;
	h->sub_buffer = size;
	h->commit_size = 8;
	h->next_chunk = 1;
}

static uint64_t chunk_bytes(const struct consumer_source *s)
{
	struct consumer_stream *t;
	uint64_t sum = 0;

	cds_list_for_each_entry (t, &s->streams, node) {
		const struct stream_half *h = stream_now(t->slot);

		sum += h->ledger.stored - h->chunk_base.stored;
	}
	return sum;
}

struct consumer_source *consumer_source_get(struct worker *w, struct state_ref ref)
{
	struct source_slot *slot = state_source(w->st, ref);
	struct consumer_source *s;

	/* Once finished, sessiond-lite may be giving its slots to another at this moment. */
	if (!slot || slot->protocol == PROTOCOL_LTTNG || w->finished[ref.index] == ref.id ||
	    atomic_load(&slot->worker) != w->config.index + 1 || atomic_load(&slot->done))
		return NULL;
	s = w->source_at[ref.index];
	if (s && s->ref.id == ref.id)
		return s;
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL; /* the next tick of the front loop's look comes again */
	s->worker = w;
	s->run = consumer_source_run;
	s->slot = slot;
	s->ref = ref;
	s->file[0] = s->file[1] = -1;
	CDS_INIT_LIST_HEAD(&s->streams);
	if (trace_dat_layout_init(slot->cpus, w->max_file_size, &s->layout) < 0) {
		log_error("layout", "no room for %u CPUs in one file of this file system",
			  slot->cpus);
		free(s);
		return NULL;
	}
	if (!source_now(slot)->next_chunk) {
		init_half(slot, source_begin(slot));
		source_commit(slot);
	}
	for (uint32_t i = slot->first_stream; i; i = w->st->stream[i - 1].next)
		if (!consumer_stream_new(s, &w->st->stream[i - 1])) {
			consumer_source_drop(s);
			return NULL;
		}
	s->chunk_bytes = chunk_bytes(s);
	cds_list_add_tail(&s->node, &w->sources);
	s->listed = true;
	w->source_at[ref.index] = s;
	return s;
}

void consumer_source_drop(struct consumer_source *s)
{
	struct consumer_stream *t, *next;

	assert(!s->handles);
	for (unsigned i = 0; i < 2; i++)
		if (s->file[i] >= 0)
			close(s->file[i]);
	if (s->listed)
		cds_list_del(&s->node);
	if (s->worker->source_at[s->ref.index] == s)
		s->worker->source_at[s->ref.index] = NULL;
	cds_list_for_each_entry_safe (t, next, &s->streams, node)
		consumer_stream_drop(t);
	free(s);
}

/* ---- metadata ---- */

/* Where a byte of the client's metadata stands in the file: behind what was inserted for it. */
static uint64_t metadata_offset(const struct source_half *h, uint64_t position)
{
	return position < TRACE_DAT_VERSION_AT ? position : position + h->metadata_shift;
}

/* trace-cmd 2.8 forgets the version. Known as soon as the first bytes are there. */
static bool check_version(struct consumer_source *s, const struct source_front_half *f)
{
	struct source_half *h;

	if (source_now(s->slot)->version_checked)
		return true;
	if (f->metadata <= TRACE_DAT_VERSION_AT && !f->metadata_complete && !f->control_ended)
		return false;
	h = source_begin(s->slot);
	h->version_checked = 1;
	h->metadata_shift =
		f->metadata > TRACE_DAT_VERSION_AT &&
		trace_dat_meta_needs_version(s->slot->metadata, TRACE_DAT_VERSION_AT + 1);
	if (h->metadata_shift)
		counters_add(s->worker->counters, COUNTER_repaired_version, 1);
	source_commit(s->slot);
	return true;
}

static int write_piece(struct consumer_source *s, int fd, uint64_t position, size_t len)
{
	const struct source_half *h = source_now(s->slot);
	const uint8_t *bytes = s->slot->metadata + position % STATE_METADATA_RING;
	ssize_t n = pwrite(fd, bytes, len, (off_t)metadata_offset(h, position));

	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -ENOSPC;
}

/* Write what the ring holds. 0, or negative errno: the tick tries again. */
static int write_metadata(struct consumer_source *s, const struct source_front_half *f)
{
	int which, fd;

	if (source_now(s->slot)->metadata_written == f->metadata || !check_version(s, f))
		return 0;
	which = chunk_first(s);
	if (which < 0)
		return which;
	fd = chunk_file(s, (unsigned)which);
	if (fd < 0)
		return fd;
	while (source_now(s->slot)->metadata_written < f->metadata) {
		uint64_t at = source_now(s->slot)->metadata_written;
		uint64_t len = f->metadata - at;
		uint64_t to_ring_end = STATE_METADATA_RING - at % STATE_METADATA_RING;
		struct source_half *h;
		int r;

		if (len > to_ring_end)
			len = to_ring_end;
		if (at < TRACE_DAT_VERSION_AT && at + len > TRACE_DAT_VERSION_AT)
			len = TRACE_DAT_VERSION_AT - at;
		r = write_piece(s, fd, at, len);
		if (r == 0 && at + len == TRACE_DAT_VERSION_AT &&
		    source_now(s->slot)->metadata_shift &&
		    pwrite(fd, "6", 1, TRACE_DAT_VERSION_AT) != 1)
			r = -EIO;
		if (r < 0)
			return r;
		h = source_begin(s->slot);
		h->metadata_written = at + len;
		source_commit(s->slot);
		counters_add(s->worker->counters, COUNTER_bytes_metadata, len);
	}
	s->worker->config.events->room(s->worker->config.ctx, s->ref);
	return 0;
}

static bool any_data(const struct consumer_source *s)
{
	struct consumer_stream *t;

	cds_list_for_each_entry (t, &s->streams, node)
		if (stream_now(t->slot)->ledger.received)
			return true;
	return false;
}

/*
 * Understand the metadata when it can be complete: the client said so, its control connection has
 * ended, or (V1 never says so) streams flow, which begin only behind it.
 */
static void parse_metadata(struct consumer_source *s, const struct source_front_half *f)
{
	const struct source_half *h = source_now(s->slot);
	bool final = f->metadata_complete || f->control_ended;
	bool current = h->metadata_parsed_at == h->metadata_written;

	if (h->metadata_bad || h->metadata_written != f->metadata || !h->metadata_written)
		return;
	if (h->metadata_parsed && current)
		return;
	if (!final && !any_data(s))
		return;
	chunk_parse_metadata(s, final);
	h = source_now(s->slot);
	if (h->metadata_bad)
		log_warning("metadata", "source %llu: its metadata is incomplete or not understood",
			    (unsigned long long)s->slot->number);
	if (final)
		state_release(s->worker->st, s->slot->metadata, STATE_METADATA_RING);
}

/* Ask for the session of a client whose host is known now (or never will be). */
static void ask_session(struct consumer_source *s, const struct source_front_half *f, bool tick)
{
	const struct source_half *h = source_now(s->slot);

	if (atomic_load(&s->slot->session))
		return;
	if (!h->metadata_parsed && !h->metadata_bad &&
	    !(f->control_ended && h->metadata_written == f->metadata))
		return;
	if (s->asked && !tick)
		return;
	s->asked = true;
	s->worker->config.events->match(s->worker->config.ctx, s->ref, h->host);
}

/* ---- the end ---- */

static bool stream_over(const struct consumer_stream *t, const struct source_front_half *f)
{
	if (stream_now(t->slot)->state == STREAM_ENDED)
		return true;
	return f->drained && !atomic_load(&t->slot->connected) && t->fd < 0;
}

static int64_t monotonic_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void end_streams(struct consumer_source *s)
{
	struct consumer_stream *t;

	cds_list_for_each_entry (t, &s->streams, node)
		if (stream_now(t->slot)->state != STREAM_ENDED)
			consumer_stream_end(t);
}

/* UDP has no end mark: what comes within the linger is still taken. */
static bool linger_over(struct consumer_source *s)
{
	if (s->slot->transport != TRANSPORT_UDP)
		return true;
	if (!source_now(s->slot)->linger_until_ms) {
		struct source_half *h = source_begin(s->slot);

		h->linger_until_ms = monotonic_ms() + (int64_t)s->worker->config.udp_linger_ms;
		source_commit(s->slot);
	}
	return monotonic_ms() >= source_now(s->slot)->linger_until_ms;
}

/* What came in time may wait unread: on the shared sockets, in a descriptor that is on its way here
 * (after a restart), in the streams' own queues. */
static bool drained(struct consumer_source *s, const struct source_front_half *f)
{
	struct consumer_stream *t;

	if (s->slot->transport != TRANSPORT_UDP)
		return f->drained;
	if (!f->drained) {
		if (!s->asked_drain)
			s->worker->config.events->drain(s->worker->config.ctx, s->ref);
		s->asked_drain = true;
		return false;
	}
	cds_list_for_each_entry (t, &s->streams, node)
		if (atomic_load(&t->slot->connected) && t->fd < 0 &&
		    stream_now(t->slot)->state != STREAM_ENDED)
			return false;
	cds_list_for_each_entry (t, &s->streams, node)
		if (stream_now(t->slot)->state != STREAM_ENDED)
			datagrams_drain(t);
	return true;
}

/* True if nothing more can come for this source; *ret_why is 0 or the reason it is incomplete. */
static bool at_end(struct consumer_source *s, const struct source_front_half *f, uint32_t *ret_why)
{
	const struct session_slot *session = state_session_of(s->worker->st, s->slot);
	struct consumer_stream *t;

	if (s->worker->stopping || (session && atomic_load(&session->ending))) {
		end_streams(s);
		*ret_why = s->worker->stopping ? CLOSE_shutdown : CLOSE_session_destroyed;
		if (f->control_ended && f->closed_in_order && f->drained)
			*ret_why = 0;
		return true;
	}
	if (!f->control_ended || !linger_over(s) || !drained(s, f))
		return false;
	if (s->slot->transport == TRANSPORT_UDP)
		end_streams(s);
	cds_list_for_each_entry (t, &s->streams, node)
		if (!stream_over(t, f))
			return false;
	*ret_why = f->closed_in_order ? 0 : f->control_ended;
	return true;
}

static bool chunk_in(const struct source_half *h, enum chunk_state low, enum chunk_state high)
{
	for (unsigned i = 0; i < 2; i++)
		if (h->chunk[i].state >= low && h->chunk[i].state <= high)
			return true;
	return false;
}

static void finish_chunks(struct consumer_source *s)
{
	if (!source_now(s->slot)->placed)
		return;
	for (unsigned i = 0; i < 2; i++) {
		int r;

		if (source_now(s->slot)->chunk[i].state != CHUNK_FROZEN)
			continue;
		r = chunk_finish(s, i);
		if (r < 0 && r != -EBUSY && !s->disk_logged) {
			log_error("finish",
				  "source %llu: chunk %u cannot be finished now: %s; tried again",
				  (unsigned long long)s->slot->number,
				  source_now(s->slot)->chunk[i].number, strerror(-r));
			s->disk_logged = true;
		}
	}
}

/* Behind this its slots, and those of its streams, are not touched here any more. */
static void leave(struct consumer_source *s)
{
	struct worker *w = s->worker;
	struct state_ref ref = s->ref;

	w->finished[ref.index] = ref.id;
	consumer_source_drop(s);
	w->config.events->finished(w->config.ctx, ref);
}

/* The last step. False: not while a descriptor is being closed, which comes back here. */
static bool become_finished(struct consumer_source *s)
{
	struct source_half *h;

	if (s->handles)
		return false;
	h = source_begin(s->slot);
	h->finished = 1;
	source_commit(s->slot);
	counters_add(s->worker->counters, COUNTER_sources_ended, 1);
	leave(s);
	return true;
}

/* The last steps. True: the object is gone. */
static bool end_source(struct consumer_source *s, const struct source_front_half *f)
{
	uint32_t why;

	if (!at_end(s, f, &why))
		return false;
	if (chunk_in(source_now(s->slot), CHUNK_CLOSING, CHUNK_FROZEN)) { /* the one before */
		rotation_run(s);
		finish_chunks(s);
	}
	if (chunk_in(source_now(s->slot), CHUNK_CLOSING, CHUNK_FROZEN)) /* the disk refuses: */
		return s->worker->stopping && become_finished(s); /* the next start repairs it */
	if (any_data(s) && !chunk_in(source_now(s->slot), CHUNK_NAMED, CHUNK_OPEN) &&
	    !source_now(s->slot)->ended && chunk_first(s) < 0)
		return false; /* data without metadata: a chunk for the record */
	if (chunk_in(source_now(s->slot), CHUNK_NAMED, CHUNK_OPEN)) {
		struct source_half *h;

		rotation_freeze_last(s, why);
		if (why)
			counters_add(s->worker->counters, COUNTER_sources_incomplete, 1);
		h = source_begin(s->slot);
		h->ended = 1;
		source_commit(s->slot);
		finish_chunks(s);
	}
	/* At a shutdown a disk that refuses is not waited for: the next start repairs the chunk. */
	if (!s->worker->stopping && chunk_in(source_now(s->slot), CHUNK_NAMED, CHUNK_FROZEN))
		return false;
	/* At a shutdown the catalog hears of it, but nobody waits for its answer. */
	if (!s->worker->stopping && announce_pending(s, 0))
		return false;
	return become_finished(s);
}

/* ---- the machine ---- */

static void run(struct consumer_source *s, bool tick)
{
	struct source_front_half f;
	int r;

	source_front_read(&s->slot->front, &f);
	if (source_now(s->slot)->finished) { /* a killed relayd had got so far */
		if (s->handles)
			end_streams(s); /* one that connected since */
		else
			leave(s);
		return;
	}
	if (place_resume(s) < 0)
		return;
	r = write_metadata(s, &f);
	if (r < 0 && !s->disk_logged)
		disk_trouble_note(s, r);
	parse_metadata(s, &f);
	ask_session(s, &f, tick);
	if (source_now(s->slot)->metadata_parsed || source_now(s->slot)->metadata_bad ||
	    s->slot->protocol != PROTOCOL_TRACE_CMD_V3 || f.control_ended)
		(void)place_final(s);
	rotation_run(s);
	finish_chunks(s);
	if (tick || !s->announced)
		announce_again(s);
	s->announced = true;
	retention_run(s);
	(void)end_source(s, &f);
}

void consumer_source_run(struct consumer_source *s)
{
	run(s, false);
}

/* Streams that go on although the control connection is gone, and not in order. */
static void count_orphan(struct consumer_source *s)
{
	struct source_front_half f;
	struct consumer_stream *t;

	source_front_read(&s->slot->front, &f);
	if (s->orphan || !f.control_ended || f.closed_in_order ||
	    s->slot->transport != TRANSPORT_TCP)
		return;
	cds_list_for_each_entry (t, &s->streams, node)
		s->orphan = s->orphan || t->fd >= 0;
	counters_add(s->worker->counters, COUNTER_sources_orphaned, s->orphan);
}

void consumer_source_tick(struct consumer_source *s)
{
	struct consumer_stream *t;

	disk_trouble_retry(s);
	count_orphan(s);
	s->asked_drain = false;
	if (!source_now(s->slot)->disk_full)
		s->disk_logged = false;
	cds_list_for_each_entry (t, &s->streams, node)
		scan_stream(t);
	run(s, true);
}
