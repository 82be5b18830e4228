/* SPDX-License-Identifier: MIT */
/*
 * datagrams.c - moves of UDP streams: recvmmsg() into the state memory, then the file.
 *
 * The array of headers lies in the move itself and is zeroed before: the kernel writes each
 * msg_len, so a killed receive is known exactly. Each datagram holds whole sub-buffers; drops that
 * the kernel counted in front of one (SO_RXQ_OVFL) are marked in its first page, and whatever is
 * no whole sub-buffer is discarded as a protocol error.
 * A first datagram of a stream comes through the inbox: the front loop received it on the port's
 * shared socket. The inbox slot is freed before the move is idle, so it is stored once.
 * Thread: the worker's.
 */
#include "consumer/internal.h"

#include <assert.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <sys/uio.h>
#include <unistd.h>

#define DRAIN_BATCHES 4096u

/* What a batch comes to. */
struct batch {
	struct iovec iov[STATE_BATCH];
	unsigned parts;
	unsigned datagrams;
	uint64_t bytes;  /* received */
	uint64_t usable; /* of it: whole sub-buffers */
	uint64_t drops;  /* counter value behind the last datagram */
	uint64_t told;   /* drops of shared sockets, in front of a first datagram */
	uint64_t marks;
	bool loss_pending; /* drops before a datagram that held no page */
};

static bool drops_of(struct mmsghdr *d, uint64_t *ret)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&d->msg_hdr); c; c = CMSG_NXTHDR(&d->msg_hdr, c)) {
		uint32_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SO_RXQ_OVFL)
			continue;
		memcpy(&n, CMSG_DATA(c), sizeof(n));
		*ret = n;
		return true;
	}
	return false;
}

static void add_datagram(struct batch *b, const struct page_format *format, uint8_t *bytes,
			 size_t len, bool lost_before)
{
	size_t usable = len - len % format->size;

	b->datagrams++;
	b->bytes += len;
	if (lost_before)
		b->loss_pending = true;
	if (!usable)
		return;
	if (b->loss_pending) {
		struct page_header header;

		if (page_read(bytes, usable, format, &header) == 0 && !header.lost)
			b->marks++;
		page_mark_lost(bytes, format);
		b->loss_pending = false;
	}
	b->iov[b->parts++] = (struct iovec){.iov_base = bytes, .iov_len = usable};
	b->usable += usable;
}

/* Everything, at the offset; 0 or negative errno with *ret_done bytes written before it. */
static int write_all(int fd, struct iovec *iov, unsigned parts, uint64_t offset, uint64_t *ret_done)
{
	*ret_done = 0;
	while (parts) {
		ssize_t k = pwritev(fd, iov, (int)parts, (off_t)(offset + *ret_done));

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return k < 0 ? -errno : -EIO;
		*ret_done += (uint64_t)k;
		while (parts && (size_t)k >= iov->iov_len) {
			k -= (ssize_t)iov->iov_len;
			iov++;
			parts--;
		}
		if (parts) {
			iov->iov_base = (uint8_t *)iov->iov_base + k;
			iov->iov_len -= (size_t)k;
		}
	}
	return 0;
}

/* Store (or discard) the batch of the committed move and set the stream to absolute values. */
static void complete(struct worker *w, struct consumer_stream *t, struct batch *b)
{
	const struct move_half *m = move_now(w->slot);
	uint32_t page = source_now(t->source->slot)->sub_buffer;
	struct stream_half *h;
	uint64_t stored = 0, dropped;

	if (m->store && b->parts) {
		int fd = chunk_data_file(t->source, stream_now(t->slot)->chunk);
		uint64_t at =
			trace_dat_layout_region(&t->source->layout, t->slot->cpu) + m->position;
		int r = fd < 0 ? fd : write_all(fd, b->iov, b->parts, at, &stored);

		if (r < 0)
			disk_trouble_note(t->source, r);
		stored -= stored % page;
	}
	h = stream_begin(t->slot);
	h->state = STREAM_OPEN;
	h->position = m->position + stored;
	h->ledger.received = m->ledger.received + b->bytes;
	h->ledger.stored = m->ledger.stored + stored;
	for (unsigned i = 0; i < DISCARD_COUNT; i++)
		h->ledger.discarded[i] = m->ledger.discarded[i];
	h->ledger.discarded[DISCARD_PROTOCOL] += b->bytes - b->usable;
	h->ledger.discarded[m->cause] += b->usable - stored;
	h->ledger.datagrams = m->ledger.datagrams + b->datagrams;
	dropped = b->drops - h->drop_counter + b->told;
	h->ledger.datagrams_dropped = m->ledger.datagrams_dropped + dropped;
	h->ledger.marks = m->ledger.marks + (stored ? b->marks : 0);
	if (b->loss_pending || stored < b->usable) {
		h->loss_due = 1;
		h->loss_at = h->position;
	}
	counters_add(w->counters, COUNTER_bytes_received, b->bytes);
	counters_add(w->counters, COUNTER_bytes_stored, stored);
	counters_add(w->counters, COUNTER_bytes_discarded_protocol, b->bytes - b->usable);
	counters_add(w->counters, COUNTER_bytes_discarded_disk + m->cause, b->usable - stored);
	counters_add(w->counters, COUNTER_datagrams_received, b->datagrams);
	counters_add(w->counters, COUNTER_datagrams_dropped, dropped);
	counters_add(w->counters, COUNTER_pages_marked, stored ? b->marks : 0);
	h->drop_counter = b->drops;
	t->source->chunk_bytes += stored;
	stream_commit(t->slot);
}

static void become_idle(struct worker *w)
{
	struct move_half *m = move_begin(w->slot);

	m->kind = MOVE_IDLE;
	move_commit(w->slot);
}

/* The batch that the kernel left in the committed move. */
static void collect(struct worker *w, struct consumer_stream *t, struct batch *ret)
{
	struct move_half *m = &w->slot->half[atomic_load(&w->slot->count) & 1];
	struct page_format format;

	*ret = (struct batch){.drops = stream_now(t->slot)->drop_counter};
	for (unsigned i = 0; i < STATE_BATCH; i++)
		scan_datagram(t, w->slot->buffer[i], m->datagram[i].msg_len);
	format = source_view_format(source_now(t->source->slot));
	for (unsigned i = 0; i < STATE_BATCH; i++) {
		uint64_t drops = ret->drops;

		if (!m->datagram[i].msg_len)
			continue; /* unused, or an empty datagram */
		/* The pointer may be a dead relayd's. */
		m->datagram[i].msg_hdr.msg_control = w->slot->control[m - w->slot->half][i];
		(void)drops_of(&m->datagram[i], &drops);
		add_datagram(ret, &format, w->slot->buffer[i], m->datagram[i].msg_len,
			     drops > ret->drops);
		ret->drops = drops;
	}
}

/* The common fields of both kinds of move; returned for the rest, not yet committed. */
static struct move_half *begin(struct worker *w, struct consumer_stream *t, enum move_kind kind)
{
	const struct stream_half *h = stream_now(t->slot);
	bool no_chunk = h->chunk == STREAM_NO_CHUNK;
	struct move_half *m;

	if (h->loss_due && h->loss_at != h->position) {
		scan_stream(t);
		h = stream_now(t->slot);
	}
	m = move_begin(w->slot);
	m->kind = kind;
	m->store = !no_chunk && !source_now(t->source->slot)->disk_full;
	m->cause = no_chunk ? DISCARD_STOPPED : DISCARD_DISK;
	m->stream = t->ref;
	m->n = 0;
	m->position = h->position;
	m->ledger = h->ledger;
	return m;
}

ssize_t move_datagrams(struct consumer_stream *t)
{
	struct worker *w = t->source->worker;
	struct move_half *m = begin(w, t, MOVE_DATAGRAMS);
	unsigned idle = (unsigned)(m - w->slot->half);
	struct batch b;
	int n;

	memset(m->datagram, 0, sizeof(m->datagram));
	for (unsigned i = 0; i < STATE_BATCH; i++) {
		m->datagram_iov[i] = (struct iovec){w->slot->buffer[i], STATE_DATAGRAM};
		m->datagram[i].msg_hdr.msg_iov = &m->datagram_iov[i];
		m->datagram[i].msg_hdr.msg_iovlen = 1;
		m->datagram[i].msg_hdr.msg_control = w->slot->control[idle][i];
		m->datagram[i].msg_hdr.msg_controllen = sizeof(w->slot->control[idle][i]);
	}
	move_commit(w->slot);
	n = recvmmsg(t->fd, m->datagram, STATE_BATCH, MSG_DONTWAIT, NULL);
	if (n < 0) {
		int r = -errno;

		/* A port unreachable of ours that came back means nothing here. */
		return r == -ECONNREFUSED ? -EAGAIN : r;
	}
	collect(w, t, &b);
	complete(w, t, &b);
	become_idle(w);
	return b.bytes ? (ssize_t)b.bytes : 1; /* empty ones: there may be more behind them */
}

static void free_inbox(struct worker *w, unsigned index)
{
	struct inbox_slot *slot = &w->st->inbox[index];
	struct inbox_half *h = inbox_begin(slot);

	h->state = INBOX_FREE;
	inbox_commit(slot);
	w->config.events->inbox_freed(w->config.ctx);
}

void datagrams_refuse(struct worker *w, unsigned inbox)
{
	counters_add(w->counters, COUNTER_datagrams_stray, 1);
	free_inbox(w, inbox);
}

static void complete_inbox(struct worker *w, struct consumer_stream *t)
{
	const struct move_half *m = move_now(w->slot);
	struct inbox_slot *slot = &w->st->inbox[m->inbox];
	const struct inbox_half *in = inbox_now(slot);

	if (in->state == INBOX_ASSIGNED && in->stream.id == t->ref.id &&
	    in->sequence == m->inbox_sequence) {
		struct batch b = {.drops = stream_now(t->slot)->drop_counter, .told = in->drops};
		struct page_format format;

		scan_datagram(t, slot->buffer, in->datagram.msg_len);
		format = source_view_format(source_now(t->source->slot));
		if (in->datagram.msg_len)
			add_datagram(&b, &format, slot->buffer, in->datagram.msg_len,
				     in->drops > 0);
		else
			b.loss_pending = in->drops > 0;
		complete(w, t, &b);
		free_inbox(w, m->inbox);
	}
	become_idle(w);
}

void move_inbox(struct consumer_stream *t, unsigned inbox)
{
	struct worker *w = t->source->worker;
	struct move_half *m = begin(w, t, MOVE_INBOX);

	m->inbox = inbox;
	m->inbox_sequence = inbox_now(&w->st->inbox[inbox])->sequence;
	move_commit(w->slot);
	complete_inbox(w, t);
}

void datagrams_drain(struct consumer_stream *t)
{
	/* As many as its queue may have held; a sender that does not stop is not waited for. */
	for (unsigned i = 0; t->fd >= 0 && i < DRAIN_BATCHES && move_datagrams(t) > 0; i++)
		;
}

void datagrams_recover(struct consumer_stream *t)
{
	struct worker *w = t->source->worker;
	struct batch b;

	counters_add(w->counters, COUNTER_recovered_moves, 1);
	if (move_now(w->slot)->kind == MOVE_INBOX) {
		complete_inbox(w, t);
		return;
	}
	collect(w, t, &b);
	/* The stream may have been set already; then its drop counter is the new one. */
	if (stream_now(t->slot)->ledger.received != move_now(w->slot)->ledger.received + b.bytes)
		complete(w, t, &b);
	become_idle(w);
}

void datagrams_note_tail(struct consumer_stream *t)
{
	uint32_t info[SK_MEMINFO_VARS];
	socklen_t len = sizeof(info);
	const struct stream_half *now = stream_now(t->slot);
	struct stream_half *h;

	if (t->fd < 0 || getsockopt(t->fd, SOL_SOCKET, SO_MEMINFO, info, &len) < 0 ||
	    len < (SK_MEMINFO_DROPS + 1) * sizeof(info[0]) ||
	    info[SK_MEMINFO_DROPS] <= now->drop_counter)
		return;
	h = stream_begin(t->slot);
	h->ledger.datagrams_dropped += info[SK_MEMINFO_DROPS] - h->drop_counter;
	counters_add(t->source->worker->counters, COUNTER_datagrams_dropped,
		     info[SK_MEMINFO_DROPS] - h->drop_counter);
	h->drop_counter = info[SK_MEMINFO_DROPS];
	stream_commit(t->slot);
}
