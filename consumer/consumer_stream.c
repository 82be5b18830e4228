/* SPDX-License-Identifier: MIT */
/*
 * consumer_stream.c - a stream's descriptor and its turn.
 *
 * One move a turn: level-triggered polling comes back to whoever has more, after everybody else
 * had a turn, so no stream starves another. The end is a step before anything is closed: the half
 * says ENDED, then the handle leaves the loop, the connection is shut down (a duplicate is held by
 * sessiond-lite, so close() alone would send no FIN), closed, and the slot says so.
 * Thread: the worker's.
 */
#include "consumer/internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define DATAGRAM_TURNS 4 /* batches a turn */

struct consumer_stream *consumer_stream_new(struct consumer_source *s, struct stream_slot *slot)
{
	struct consumer_stream *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->source = s;
	t->slot = slot;
	t->ref = state_ref_of_stream(s->worker->st, slot);
	t->fd = -1;
	cds_list_add_tail(&t->node, &s->streams);
	s->worker->stream_at[t->ref.index] = t;
	/* With its very first chunk a stream's number is 1; the slot starts as all zeros. */
	if (!stream_now(slot)->chunk_number && stream_now(slot)->chunk != STREAM_NO_CHUNK) {
		struct stream_half *h = stream_begin(slot);

		h->chunk_number = 1;
		stream_commit(slot);
	}
	return t;
}

/* The descriptor is out of the loop: nothing more is read from it. */
static void on_closed(uv_handle_t *handle)
{
	struct consumer_stream *t = handle->data;
	struct consumer_source *s = t->source;
	struct worker *w = s->worker;

	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
	t->polling = t->closing = false;
	atomic_fetch_sub(&w->open_streams, 1);
	atomic_store(&t->slot->closed, stream_now(t->slot)->state == STREAM_ENDED);
	if (stream_now(t->slot)->state == STREAM_ENDED)
		w->config.events->stream_closed(w->config.ctx, t->ref);
	if (--s->handles)
		return;
	worker_turn_begin(w);
	s->run(s); /* its end waits for this */
	worker_turn_end(w);
	if (w->stopping)
		uv_async_send(&w->wake);
}

static void leave_loop(struct consumer_stream *t)
{
	if (!t->polling || t->closing)
		return;
	t->closing = true;
	uv_poll_stop(&t->poll);
	uv_close((uv_handle_t *)&t->poll, on_closed);
}

void consumer_stream_end(struct consumer_stream *t)
{
	struct stream_half *h;

	if (t->slot->transport == TRANSPORT_UDP)
		datagrams_note_tail(t);
	h = stream_begin(t->slot);
	h->state = STREAM_ENDED;
	stream_commit(t->slot);
	if (t->fd >= 0 && t->slot->transport == TRANSPORT_TCP)
		shutdown(t->fd, SHUT_RDWR);
	leave_loop(t);
}

void consumer_stream_drop(struct consumer_stream *t)
{
	struct worker *w = t->source->worker;

	cds_list_del(&t->node);
	if (w->stream_at[t->ref.index] == t)
		w->stream_at[t->ref.index] = NULL;
	free(t);
}

/* What follows from a move: headers, page boundaries, rotation. */
static void after_move(struct consumer_stream *t)
{
	struct consumer_source *s = t->source;
	const struct stream_half *h = stream_now(t->slot);
	const struct session_slot *session;
	uint64_t size;

	if (h->position - h->scanned >= WORKER_SCAN_EVERY)
		scan_stream(t);
	if (source_view_switching(s, stream_now(t->slot))) {
		s->run(s);
		return;
	}
	session = state_session_of(s->worker->st, s->slot);
	size = session ? atomic_load(&session->rotate_size) : 0;
	if ((size && s->chunk_bytes >= size) ||
	    s->layout.stride - stream_now(t->slot)->position < WORKER_MOVE_MAX)
		s->run(s);
}

/* A session that was started again, before the worker was told: what comes now is stored. */
static void before_move(struct consumer_stream *t)
{
	if (stream_now(t->slot)->chunk == STREAM_NO_CHUNK)
		rotation_switch(t);
}

static void turn_of_datagrams(struct consumer_stream *t)
{
	before_move(t);
	for (unsigned i = 0; i < DATAGRAM_TURNS; i++)
		if (move_datagrams(t) <= 0)
			break;
	after_move(t);
}

static void turn_of_pages(struct consumer_stream *t)
{
	struct consumer_source *s = t->source;
	ssize_t n;

	before_move(t);
	n = move_stream(t);
	if (n == -EAGAIN)
		return;
	if (n > 0) {
		after_move(t);
		return;
	}
	if (n < 0)
		log_info("stream-failed", "source %llu CPU %u: %s",
			 (unsigned long long)s->slot->number, t->slot->cpu, strerror((int)-n));
	consumer_stream_end(t);
	s->run(s);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
	struct consumer_stream *t = poll->data;
	struct worker *w = t->source->worker;

	(void)status; /* an error shows in the move itself */
	(void)events;
	if (t->closing)
		return;
	worker_turn_begin(w);
	if (t->slot->transport == TRANSPORT_UDP)
		turn_of_datagrams(t);
	else
		turn_of_pages(t);
	worker_turn_end(w);
}

void consumer_stream_attach(struct consumer_stream *t, int fd)
{
	struct worker *w = t->source->worker;
	struct stream_half *h;

	if (t->fd >= 0) {
		close(fd);
		return;
	}
	if (stream_now(t->slot)->state == STREAM_ENDED) { /* a killed relayd had got so far */
		if (t->slot->transport == TRANSPORT_TCP)
			shutdown(fd, SHUT_RDWR);
		close(fd);
		atomic_store(&t->slot->closed, 1);
		w->config.events->stream_closed(w->config.ctx, t->ref);
		return;
	}
	if (uv_poll_init(&w->loop, &t->poll, fd) < 0) {
		close(fd);
		return;
	}
	t->poll.data = t;
	t->fd = fd;
	t->polling = true;
	t->source->handles++;
	atomic_fetch_add(&w->open_streams, 1);
	h = stream_begin(t->slot);
	h->state = STREAM_OPEN;
	stream_commit(t->slot);
	uv_poll_start(&t->poll, UV_READABLE, on_ready);
}
