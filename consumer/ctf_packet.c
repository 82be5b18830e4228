/* SPDX-License-Identifier: MIT */
/*
 * ctf_packet.c - a packet from its header to its place.
 *
 *   begin   the header is whole: stream, file and offset are decided, committed as struct ctf_data
 *   move    MOVE_PACKET, as in move.c: fill, drain, apply; the values after it are absolute
 *   finish  padding by ftruncate; the stream's half moves on (data_seq); the connection's half goes
 *           back to its header. A repetition finds data_seq there
 *   cut     MOVE_CUT, a move without bytes: its ledger is the stream's after it
 *
 * Bytes behind the payload are never taken. The stream's position is that of whole packets.
 */
#include "consumer/ctf_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/wire.h"

static struct ctf_data data_of(const struct conversation_slot *slot)
{
	struct ctf_data d;

	memcpy(&d, conversation_now(slot)->dialect, sizeof(d));
	return d;
}

/* The guard may look at the connection at any time: ctf_hold.c. */
static void set_data(struct worker *w, struct conversation_slot *slot, const struct ctf_data *d)
{
	struct conversation_half *h;

	uv_mutex_lock(&w->sockets);
	h = conversation_begin(slot);
	memcpy(h->dialect, d, sizeof(*d));
	conversation_commit(slot);
	uv_mutex_unlock(&w->sockets);
}

/* Ready for the next header. */
static void back_to_header(struct worker *w, struct conversation_slot *slot)
{
	struct ctf_data d = {.joined = data_of(slot).joined};
	struct conversation_half *h;

	uv_mutex_lock(&w->sockets);
	h = conversation_begin(slot);
	memcpy(h->dialect, &d, sizeof(d));
	memset(&h->receive, 0, sizeof(h->receive));
	h->received_base = 0;
	conversation_commit(slot);
	uv_mutex_unlock(&w->sockets);
}

static void become_idle(struct worker *w)
{
	struct move_half *m = move_begin(w->slot);

	m->kind = MOVE_IDLE;
	m->n = 0;
	move_commit(w->slot);
}

/* ---- begin ---- */

static void next_tracefile(struct ctf_stream *t)
{
	struct stream_half *h = stream_begin(t->slot);

	h->position = 0;
	h->ctf.file++;
	h->ctf.file_made = 0;
	h->ctf.records = 0;
	stream_commit(t->slot);
}

/* Where the packet goes. Sets phase, cause and offset. */
static void judge(struct ctf_stream *t, struct ctf_data *d)
{
	const struct stream_half *h = stream_now(t->slot);
	struct ctf_source *s = t->source;
	int fd;

	d->phase = CTF_DATA_DISCARD;
	d->cause = DISCARD_DISK;
	if (ctf_source_stopped(s)) {
		d->cause = DISCARD_STOPPED;
		return;
	}
	if (!h->ctf.chunk) {
		d->cause = DISCARD_PROTOCOL;
		return;
	}
	if (source_now(s->slot)->disk_full)
		return;
	if (t->ctf->tracefile_size && h->position &&
	    (h->position > t->ctf->tracefile_size ||
	     d->size > t->ctf->tracefile_size - h->position))
		next_tracefile(t);
	fd = ctf_file_data(t);
	if (fd < 0) {
		ctf_source_disk_trouble(s, fd);
		return;
	}
	d->phase = CTF_DATA_STORE;
	d->offset = stream_now(t->slot)->position;
}

int ctf_packet_begin(struct ctf_connection *c, bool late)
{
	struct wire_reader r = wire_reader_init(c->slot->ring, CTF_DATA_HEADER_SIZE);
	uint64_t max = c->source->worker->config.lttng_packet_max;
	struct ctf_data d = {.joined = data_of(c->slot).joined};
	const struct stream_half *h;
	struct ctf_stream *t;
	uint64_t handle;

	(void)wire_get_u64(&r); /* circuit_id */
	handle = wire_get_u64(&r);
	d.seq = wire_get_u64(&r);
	d.size = wire_get_u32(&r);
	d.padding = wire_get_u32(&r);
	t = ctf_source_stream(c->source, ctf_handle_index(handle), ctf_handle_id(handle));
	if (!t)
		return 1 + CLOSE_unknown_stream;
	if ((uint64_t)d.size + d.padding > (max ? max : CTF_PACKET_MAX))
		return 1 + CLOSE_oversize;
	h = stream_now(t->slot);
	if (!h->ctf.opened && !late)
		return -EAGAIN;
	if (t->ctf->metadata || t->connection ||
	    (h->ctf.any_data && (int64_t)(d.seq - h->ctf.data_seq) <= 0))
		return 1 + CLOSE_protocol;
	if (h->ctf.rotating == 2 && !late)
		return -EAGAIN; /* its rotation waits for the disk */
	d.stream = t->ref.index + 1;
	d.stream_id = t->ref.id;
	if (late) {
		d.phase = CTF_DATA_DISCARD;
		d.cause = DISCARD_STALL;
	} else {
		judge(t, &d);
	}
	set_data(c->worker, c->slot, &d);
	t->connection = c;
	t->fed_by = c->ref.id;
	t->orphan = false;
	return 0;
}

/* ---- moves ---- */

/* The connection's and the stream's halves as they are after the whole move. */
static void apply(struct worker *w, struct ctf_stream *t, struct conversation_slot *slot)
{
	const struct move_half *m = move_now(w->slot);
	struct stream_half *h = stream_begin(t->slot);
	struct ctf_data d;

	h->ledger.received = m->ledger.received + m->n;
	h->ledger.stored = m->ledger.stored + (m->store ? m->n : 0);
	memcpy(h->ledger.discarded, m->ledger.discarded, sizeof(h->ledger.discarded));
	if (!m->store)
		h->ledger.discarded[m->cause] += m->n;
	stream_commit(t->slot);
	d = data_of(slot);
	d.done = (uint32_t)(m->done + m->n);
	set_data(w, slot, &d);
}

/*
 * The disk refused: the packet is discarded whole. Its beginning counts as discarded in the values
 * before the rest of this move, which is @left bytes in the pipe.
 */
static void turn_into_discard(struct worker *w, struct conversation_slot *slot, size_t left)
{
	struct ctf_data d = data_of(slot);
	struct move_half *m = move_begin(w->slot);
	uint64_t in = m->n - left;

	m->store = 0;
	m->cause = DISCARD_DISK;
	m->ledger.received += in;
	m->ledger.stored -= m->done;
	m->ledger.discarded[DISCARD_DISK] += m->done + in;
	counters_add(w->counters, COUNTER_bytes_stored, -m->done);
	counters_add(w->counters, COUNTER_bytes_discarded_disk, m->done + in);
	m->done += in;
	m->n = left;
	move_commit(w->slot);
	d.phase = CTF_DATA_DISCARD;
	d.cause = DISCARD_DISK;
	set_data(w, slot, &d);
}

/* Drain and apply the committed move; @left bytes of it are in the pipe. */
static void complete(struct ctf_stream *t, struct conversation_slot *slot, size_t left)
{
	struct worker *w = t->source->worker;
	const struct move_half *m = move_now(w->slot);
	struct ctf_data d = data_of(slot);

	if (m->store) {
		int fd = ctf_file_data(t);
		loff_t offset = (loff_t)(d.offset + m->done + m->n - left);
		int r = fd < 0 ? fd : move_drain(w, fd, &offset, &left);

		if (r < 0) {
			ctf_source_disk_trouble(t->source, r);
			turn_into_discard(w, slot, left);
		} else {
			counters_add(w->counters, COUNTER_bytes_stored, m->n);
		}
	}
	m = move_now(w->slot);
	if (!m->store) {
		d = data_of(slot);
		if (d.phase == CTF_DATA_STORE) { /* a kill came in the middle of the turning */
			d.phase = CTF_DATA_DISCARD;
			d.cause = m->cause;
			set_data(w, slot, &d);
		}
		(void)move_drain(w, w->null_fd, NULL, &left);
		counters_add(w->counters, COUNTER_bytes_discarded_disk + m->cause, m->n);
	}
	apply(w, t, slot);
	become_idle(w);
}

static struct ctf_stream *stream_of(struct ctf_source *s, const struct ctf_data *d)
{
	return d->stream ? ctf_source_stream(s, d->stream - 1, d->stream_id) : NULL;
}

/* Bytes from the socket into the pipe; 0: the end; negative errno. */
static ssize_t fill(struct ctf_connection *c, uint32_t done, size_t limit)
{
	struct worker *w = c->worker;
	ssize_t k = -1;

	uv_mutex_lock(&w->sockets);
	errno = EAGAIN;
	if (!c->held) {
		do
			k = splice(c->fd, NULL, w->config.pipe_write, NULL, limit,
				   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
		while (k < 0 && errno == EINTR);
		c->unread_since = 0;
		c->taken = done + (k > 0 ? (uint32_t)k : 0);
	}
	if (k < 0)
		k = -errno;
	uv_mutex_unlock(&w->sockets);
	return k;
}

ssize_t ctf_packet_move(struct ctf_connection *c)
{
	struct worker *w = c->source->worker;
	struct ctf_data d = data_of(c->slot);
	struct ctf_stream *t = stream_of(c->source, &d);
	size_t limit = d.size - d.done;
	struct move_half *m;
	ssize_t k;

	if (!t)
		return -ESTALE;
	if (limit > WORKER_MOVE_MAX)
		limit = WORKER_MOVE_MAX;
	if (limit > w->pipe_size)
		limit = w->pipe_size;
	m = move_begin(w->slot);
	m->kind = MOVE_PACKET;
	m->cause = d.cause;
	m->store = d.phase == CTF_DATA_STORE;
	m->stream = t->ref;
	m->connection = c->ref;
	m->n = 0;
	m->done = d.done;
	m->position = d.offset;
	m->ledger = stream_now(t->slot)->ledger;
	move_commit(w->slot);
	k = fill(c, d.done, limit);
	if (k <= 0) {
		become_idle(w);
		return k;
	}
	m = move_begin(w->slot);
	m->n = (uint64_t)k;
	move_commit(w->slot);
	counters_add(w->counters, COUNTER_bytes_received, (uint64_t)k);
	complete(t, c->slot, (size_t)k);
	return k;
}

/* ---- finish ---- */

static void add_waiting(struct ctf_stream *t, struct stream_half *h, const struct ctf_data *d)
{
	struct ctf_waiting *q = h->ctf.waiting;

	if (q[CTF_WAITING - 1].chunk) { /* its index did not come with its successor's */
		memmove(q, q + 1, (CTF_WAITING - 1) * sizeof(*q));
		memset(&q[CTF_WAITING - 1], 0, sizeof(*q));
		counters_add(t->source->worker->counters, COUNTER_packets_unindexed, 1);
	}
	for (unsigned i = 0; i < CTF_WAITING; i++) {
		if (q[i].chunk)
			continue;
		q[i] = (struct ctf_waiting){.seq = d->seq,
					    .offset = d->offset,
					    .size = (uint64_t)d->size + d->padding,
					    .file = h->ctf.file,
					    .chunk = h->ctf.chunk};
		return;
	}
}

/* Cut the file back to whole packets. */
static int cut_file(struct ctf_stream *t)
{
	int fd = stream_now(t->slot)->ctf.file_made ? ctf_file_data(t) : -ENOENT;

	if (fd < 0)
		return fd;
	return ftruncate(fd, (off_t)stream_now(t->slot)->position) < 0 ? -errno : 0;
}

/* The payload is in place, its padding is not possible: the packet is discarded whole, as a move
 * without bytes. False if this is not the case. */
static bool pad(struct ctf_stream *t, struct conversation_slot *slot, const struct ctf_data *d)
{
	struct worker *w = t->source->worker;
	int fd = ctf_file_data(t);
	struct move_half *m;
	int r = fd;

	if (fd >= 0)
		r = !d->padding || ftruncate(fd, (off_t)(d->offset + d->size + d->padding)) == 0
			    ? 0
			    : -errno;
	if (r >= 0)
		return true;
	ctf_source_disk_trouble(t->source, r);
	m = move_begin(w->slot);
	m->kind = MOVE_PACKET;
	m->store = 1;
	m->stream = t->ref;
	m->connection = state_ref_of_conversation(w->st, slot);
	m->n = 0;
	m->done = d->done;
	m->ledger = stream_now(t->slot)->ledger;
	move_commit(w->slot);
	turn_into_discard(w, slot, 0);
	complete(t, slot, 0);
	return false;
}

void ctf_packet_finish(struct ctf_source *s, struct conversation_slot *slot)
{
	struct ctf_data d = data_of(slot);
	struct ctf_stream *t = stream_of(s, &d);
	struct worker *w = s->worker;
	const struct stream_half *now;
	struct stream_half *h;
	bool stored;

	if (!t) {
		back_to_header(w, slot);
		return;
	}
	now = stream_now(t->slot);
	if (!now->ctf.any_data || now->ctf.data_seq != d.seq) {
		stored = d.phase == CTF_DATA_STORE && pad(t, slot, &d);
		if (!stored)
			(void)cut_file(t);
		h = stream_begin(t->slot);
		h->ctf.any_data = 1;
		h->ctf.data_seq = d.seq;
		if (stored) {
			h->position = d.offset + d.size + d.padding;
			h->ledger.pages++;
			if (!ctf_source_indexless(s))
				add_waiting(t, h, &d);
		}
		stream_commit(t->slot);
		counters_add(s->worker->counters,
			     stored ? COUNTER_packets_stored : COUNTER_packets_discarded, 1);
	}
	back_to_header(w, slot);
	t->connection = NULL;
}

/* ---- cut ---- */

static void apply_cut(struct ctf_stream *t, struct conversation_slot *slot)
{
	struct worker *w = t->source->worker;
	const struct move_half *m = move_now(w->slot);
	struct stream_half *h;

	(void)cut_file(t);
	h = stream_begin(t->slot);
	h->ledger.received = m->ledger.received;
	h->ledger.stored = m->ledger.stored;
	memcpy(h->ledger.discarded, m->ledger.discarded, sizeof(h->ledger.discarded));
	stream_commit(t->slot);
	back_to_header(w, slot);
	become_idle(w);
}

void ctf_packet_cut(struct ctf_source *s, struct conversation_slot *slot, enum discard cause)
{
	struct ctf_data d = data_of(slot);
	struct ctf_stream *t = stream_of(s, &d);
	struct worker *w = s->worker;
	struct move_half *m;

	if (d.phase == CTF_DATA_HEADER)
		return;
	if (!t) {
		back_to_header(w, slot);
		return;
	}
	if (d.done == d.size) { /* nothing of it is missing */
		ctf_packet_finish(s, slot);
		return;
	}
	m = move_begin(w->slot);
	m->kind = MOVE_CUT;
	m->cause = cause;
	m->store = 0;
	m->stream = t->ref;
	m->connection = state_ref_of_conversation(w->st, slot);
	m->n = 0;
	m->done = d.done;
	m->ledger = stream_now(t->slot)->ledger;
	if (d.phase == CTF_DATA_STORE) {
		m->ledger.stored -= d.done;
		m->ledger.discarded[cause] += d.done;
	}
	move_commit(w->slot);
	if (d.phase == CTF_DATA_STORE) {
		counters_add(w->counters, COUNTER_bytes_stored, -(uint64_t)d.done);
		counters_add(w->counters, COUNTER_bytes_discarded_disk + cause, d.done);
	}
	if (cause != DISCARD_STALL) /* else whoever discards its end counts it */
		counters_add(w->counters, COUNTER_packets_discarded, 1);
	apply_cut(t, slot);
	t->connection = NULL;
}

/* ---- recovery ---- */

void ctf_packet_look_back(struct worker *w)
{
	const struct move_half *m = move_now(w->slot);
	int left = 0;

	if (m->kind != MOVE_PACKET)
		return;
	if (!m->n && ioctl(w->config.pipe_read, FIONREAD, &left) < 0)
		left = 0;
	w->left_connection = m->connection;
	w->left_taken = (uint32_t)(m->done + m->n + (uint64_t)left);
}

void ctf_packet_recover(struct worker *w)
{
	const struct move_half *m = move_now(w->slot);
	struct stream_slot *stream = state_stream(w->st, m->stream);
	struct conversation_slot *slot = state_conversation(w->st, m->connection);
	struct ctf_source *s = stream ? ctf_source_get(w, stream->source) : NULL;
	struct ctf_stream *t = s ? ctf_source_stream(s, m->stream.index, m->stream.id) : NULL;
	int left = 0;

	if (!t || !slot) {
		uint64_t lost = move_abandon(w);

		if (lost)
			log_error("move-without-stream",
				  "%llu bytes of a packet were found, their stream was not",
				  (unsigned long long)lost);
		return;
	}
	if (m->kind == MOVE_CUT) {
		apply_cut(t, slot);
		return;
	}
	if (ioctl(w->config.pipe_read, FIONREAD, &left) < 0)
		left = 0;
	if (m->n == 0) {
		struct move_half *next;

		if (!left && m->store == (data_of(slot).phase == CTF_DATA_STORE)) {
			become_idle(w);
			return;
		}
		next = move_begin(w->slot);
		next->n = (uint64_t)left;
		move_commit(w->slot);
		counters_add(w->counters, COUNTER_bytes_received, (uint64_t)left);
	}
	counters_add(w->counters, COUNTER_recovered_moves, 1);
	counters_add(w->counters, COUNTER_recovered_bytes, (uint64_t)left);
	complete(t, slot, (size_t)left);
}
