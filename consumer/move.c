/* SPDX-License-Identifier: MIT */
/*
 * move.c - one move: socket, pipe, final place in the file (or /dev/null).
 *
 *   fill   n = 0 is committed, then the socket is spliced into the worker's empty pipe
 *   drain  n = what came is committed, then the pipe is spliced to its place
 *   apply  the stream's half is set to absolute values (before + n), then the move is idle
 *
 * After a SIGKILL the kernel knows the rest: with n = 0 the pipe holds what was taken from the
 * socket; with n > 0 it holds what is not yet in place. The stream shows bytes as stored only when
 * they are (promise 1), and applying twice is harmless.
 * Thread: the worker's.
 */
#include "consumer/internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

static size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t pipe_holds(const struct worker *w)
{
	int n = 0;

	if (ioctl(w->config.pipe_read, FIONREAD, &n) < 0)
		return 0;
	return (size_t)n;
}

static uint64_t place_in_file(const struct consumer_stream *t, uint64_t position)
{
	return trace_dat_layout_region(&t->source->layout, t->slot->cpu) + position;
}

/* Set the stream to what it is after the whole move. Harmless to repeat until the move is idle. */
static void apply(struct worker *w, struct consumer_stream *t)
{
	const struct move_half *m = move_now(w->slot);
	struct stream_half *h = stream_begin(t->slot);

	h->state = STREAM_OPEN;
	h->ledger.received = m->ledger.received + m->n;
	if (m->kind == MOVE_STORE) {
		h->position = m->position + m->n;
		h->ledger.stored = m->ledger.stored + m->n;
	} else {
		h->position = m->position;
		h->ledger.stored = m->ledger.stored;
		h->ledger.discarded[m->cause] = m->ledger.discarded[m->cause] + m->n;
		if (m->n) {
			h->loss_due = 1;
			h->loss_at = h->position;
		}
	}
	stream_commit(t->slot);
}

static void become_idle(struct worker *w)
{
	struct move_half *m = move_begin(w->slot);

	m->kind = MOVE_IDLE;
	m->n = 0;
	move_commit(w->slot);
}

int move_drain(const struct worker *w, int out_fd, loff_t *offset, size_t *left)
{
	while (*left) {
		ssize_t k = splice(w->config.pipe_read, NULL, out_fd, offset, *left,
				   SPLICE_F_MOVE | SPLICE_F_MORE);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		if (k == 0)
			return -EIO; /* the pipe holds less than it said */
		*left -= (size_t)k;
	}
	return 0;
}

/*
 * The disk refused. What of this move is in the file is cut back to a page boundary, and the rest
 * becomes a discard of what the pipe holds: a step of its own, whose "before" already counts what
 * was cut, so that before + n are the true sums after it.
 */
static void turn_into_discard(struct worker *w, struct consumer_stream *t, size_t left)
{
	uint32_t page = source_now(t->source->slot)->sub_buffer;
	struct move_half *m = move_begin(w->slot);
	uint64_t n = m->n;
	uint64_t end = m->position + n - left;
	uint64_t keep = end - end % page;

	m->kind = MOVE_DISCARD;
	m->cause = DISCARD_DISK;
	m->ledger.received += n - left;
	m->ledger.stored += keep - m->position; /* may take back bytes of earlier moves */
	m->ledger.discarded[DISCARD_DISK] += m->position + n - keep - left;
	counters_add(w->counters, COUNTER_bytes_stored, keep - m->position);
	counters_add(w->counters, COUNTER_bytes_discarded_disk, m->position + n - keep - left);
	m->position = keep;
	m->n = left;
	move_commit(w->slot);
}

/* Drain and apply the committed move; @left bytes of it are still in the pipe. */
static void complete(struct worker *w, struct consumer_stream *t, size_t left)
{
	const struct move_half *m = move_now(w->slot);

	if (m->kind == MOVE_STORE) {
		int fd = chunk_data_file(t->source, stream_now(t->slot)->chunk);
		loff_t offset = (loff_t)(place_in_file(t, m->position) + m->n - left);
		int r = fd < 0 ? fd : move_drain(w, fd, &offset, &left);

		if (r < 0) {
			disk_trouble_note(t->source, r);
			turn_into_discard(w, t, left);
		}
	}
	m = move_now(w->slot);
	if (m->kind == MOVE_DISCARD) {
		(void)move_drain(w, w->null_fd, NULL, &left);
		counters_add(w->counters, COUNTER_bytes_discarded_disk + m->cause, m->n);
	} else {
		counters_add(w->counters, COUNTER_bytes_stored, m->n);
		t->source->chunk_bytes += m->n;
	}
	apply(w, t);
	become_idle(w);
}

/* What to do with the stream's next bytes, and how many of them at most. */
struct verdict {
	bool store;
	enum discard cause;
	size_t limit; /* bytes */
};

static struct verdict judge(const struct consumer_stream *t, const struct stream_half *h)
{
	const struct consumer_source *s = t->source;
	const struct source_half *sh = source_now(s->slot);
	uint32_t page = sh->sub_buffer;
	size_t to_page_end = page - (size_t)(h->ledger.received % page);
	bool aligned = h->ledger.received % page == h->position % page;
	struct verdict v = {.limit = min_size(WORKER_MOVE_MAX, s->worker->pipe_size)};

	if (h->chunk == STREAM_NO_CHUNK) {
		v.cause = DISCARD_STOPPED;
		v.limit = source_view_switching(s, h) ? min_size(v.limit, to_page_end) : v.limit;
	} else if (sh->disk_full) {
		v.cause = DISCARD_DISK;
	} else if (h->position >= s->layout.stride) { /* full, and rotation is not possible yet */
		v.cause = DISCARD_DISK;
		v.limit = min_size(v.limit, to_page_end);
	} else if (!aligned) { /* the rest of a page whose beginning was discarded */
		v.cause = DISCARD_DISK;
		v.limit = min_size(v.limit, to_page_end);
	} else {
		v.store = true;
		v.limit = min_size(v.limit, s->layout.stride - h->position);
		if (source_view_switching(s, h))
			v.limit = min_size(v.limit, to_page_end);
	}
	if (sh->disk_full && v.limit > to_page_end)
		v.limit -= (v.limit - to_page_end) % page; /* end on a page: ready to store again */
	return v;
}

ssize_t move_stream(struct consumer_stream *t)
{
	struct worker *w = t->source->worker;
	const struct stream_half *h = stream_now(t->slot);
	struct verdict v = judge(t, h);
	struct move_half *m;
	ssize_t k;

	assert(v.limit > 0);
	if (!v.store && h->loss_due && h->loss_at != h->position) {
		scan_stream(t); /* the mark that is due on a stored page, before the next is */
		h = stream_now(t->slot);
	}
	m = move_begin(w->slot);
	m->kind = v.store ? MOVE_STORE : MOVE_DISCARD;
	m->cause = v.cause;
	m->stream = t->ref;
	m->n = 0;
	m->position = h->position;
	m->ledger = h->ledger;
	move_commit(w->slot);

	do
		k = splice(t->fd, NULL, w->config.pipe_write, NULL, v.limit,
			   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	while (k < 0 && errno == EINTR);
	if (k <= 0)
		return k < 0 ? -errno : 0;

	m = move_begin(w->slot);
	m->n = (uint64_t)k;
	move_commit(w->slot);
	counters_add(w->counters, COUNTER_bytes_received, (uint64_t)k);
	complete(w, t, (size_t)k);
	return k;
}

static void recover_pipe(struct worker *w, struct consumer_stream *t)
{
	size_t left = pipe_holds(w);
	struct move_half *m;

	if (move_now(w->slot)->n == 0) {
		if (!left) {
			become_idle(w);
			return;
		}
		m = move_begin(w->slot);
		m->n = left;
		move_commit(w->slot);
		counters_add(w->counters, COUNTER_bytes_received, left);
	}
	counters_add(w->counters, COUNTER_recovered_moves, 1);
	counters_add(w->counters, COUNTER_recovered_bytes, left);
	complete(w, t, left);
}

void move_recover(struct consumer_stream *t)
{
	recover_pipe(t->source->worker, t);
}

uint64_t move_abandon(struct worker *w)
{
	const struct move_half *m = move_now(w->slot);
	size_t left = pipe_holds(w);
	uint64_t lost = left;

	for (unsigned i = 0; m->kind == MOVE_DATAGRAMS && i < STATE_BATCH; i++)
		lost += m->datagram[i].msg_len;
	(void)move_drain(w, w->null_fd, NULL, &left);
	become_idle(w);
	return lost;
}
