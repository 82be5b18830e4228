/* SPDX-License-Identifier: MIT */
/*
 * ctf_hold.c - a data connection while its worker hangs in the disk: read, discarded, given back.
 *
 *   guard   begin: the record says where in a packet the connection is
 *           discard: bytes are received and counted, packet by packet (struct ctf_stalled)
 *   worker  join: what it was storing is cut off, the streams' ledgers take the counts, the
 *           connection goes on from where the record is
 *
 * Steps: the kernel writes into the record how much came; a stream's count is absolute, told by its
 *           value before the receive. The worker's commit of `joined` ends the hold.
 * Thread: the guard's, or the worker's where it says so; both under worker->sockets. What the
 *           worker commits of a connection's half it commits under that lock, and never holds it
 *           over a call that may wait for the disk.
 * Source: issue B point 3; doc/architecture.md "LTTng sources". Test: tests/unit/ctf_hold.c.
 */
#include "consumer/ctf_internal.h"

#include <errno.h>
#include <sys/socket.h>

#include "common/wire.h"

static struct ctf_data data_of(const struct conversation_slot *slot)
{
	struct ctf_data d;

	memcpy(&d, conversation_now(slot)->dialect, sizeof(d));
	return d;
}

static bool in_force(const struct conversation_slot *slot)
{
	return ctf_hold_now(&slot->hold)->serial == data_of(slot).joined + 1;
}

static struct ctf_stalled *stalled_of(const struct ctf_connection *c, const struct ctf_hold_half *h)
{
	return &c->worker->st->ctf_stream[h->stream - 1].stalled;
}

/* ---- the record: guard or worker, under the lock ---- */

/* Numbers wrap; none is before everything. */
static bool seen(uint64_t any, uint64_t last, uint64_t seq)
{
	return any && (int64_t)(seq - last) <= 0;
}

/*
 * The header is whole. False: only the worker can judge it (it closes the connection). True: the
 * packet is begun, or, if it has no payload, over.
 */
static bool begin_packet(struct ctf_connection *c, struct ctf_hold_half *h)
{
	const struct state *st = c->worker->st;
	struct wire_reader r = wire_reader_init(c->slot->hold.header, CTF_DATA_HEADER_SIZE);
	uint64_t max = c->worker->config.lttng_packet_max, handle;
	const struct ctf_stalled_half *stalled;
	struct stream_slot *stream;
	struct stream_half now;
	struct state_ref ref;

	(void)wire_get_u64(&r); /* circuit_id */
	handle = wire_get_u64(&r);
	ref = (struct state_ref){.index = ctf_handle_index(handle), .id = ctf_handle_id(handle)};
	h->seq = wire_get_u64(&r);
	h->size = wire_get_u32(&r);
	h->padding = wire_get_u32(&r);
	stream = ref.index < st->header->capacity.streams ? state_stream(st, ref) : NULL;
	if (!stream || 1 + stream->source.index != atomic_load(&c->slot->source) ||
	    st->ctf_stream[ref.index].metadata ||
	    (uint64_t)h->size + h->padding > (max ? max : CTF_PACKET_MAX))
		return false;
	stream_read(stream, &now);
	stalled = ctf_stalled_now(&st->ctf_stream[ref.index].stalled);
	if (seen(now.ctf.any_data, now.ctf.data_seq, h->seq) ||
	    (seen(stalled->any, stalled->seq, h->seq) &&
	     (h->size || stalled->seq != h->seq))) /* counted already, before a kill */
		return false;
	h->stream = ref.index + 1;
	h->stream_id = ref.id;
	h->phase = CTF_DATA_DISCARD;
	h->done = 0;
	h->before = *stalled;
	return true;
}

/* @n bytes more of the packet were discarded. What is set is absolute: harmless to repeat. */
static void count(struct ctf_connection *c, const struct ctf_hold_half *h, uint32_t n)
{
	struct ctf_stalled *s = stalled_of(c, h);
	struct ctf_stalled_half *next = ctf_stalled_begin(s);

	*next = h->before;
	next->bytes += n;
	if (h->done + n == h->size) {
		next->packets++;
		next->seq = h->seq;
		next->any = 1;
	}
	ctf_stalled_commit(s);
	ctf_fault_point();
}

static void ready_for_header(struct ctf_hold_half *h)
{
	h->phase = CTF_DATA_HEADER;
	h->got = 0;
}

/* A packet that consists of padding is over at once. */
static void take_header(struct ctf_connection *c, struct ctf_hold_half *h)
{
	if (!begin_packet(c, h)) {
		c->deaf = true;
	} else if (!h->size) {
		if (!seen(h->before.any, h->before.seq, h->seq))
			count(c, h, 0);
		ready_for_header(h);
	}
}

/* What the receive brought becomes part of the record. */
static void fold(struct ctf_connection *c)
{
	struct ctf_hold *hold = &c->slot->hold;
	const struct ctf_hold_half *now = ctf_hold_now(hold);
	uint32_t n = now->receive.msg_len;
	struct ctf_hold_half *h;

	if (!n)
		return;
	if (now->phase == CTF_DATA_DISCARD)
		count(c, now, n);
	h = ctf_hold_begin(hold);
	memset(&h->receive, 0, sizeof(h->receive));
	if (h->phase == CTF_DATA_HEADER) {
		h->got += n;
		if (h->got == CTF_DATA_HEADER_SIZE)
			take_header(c, h);
	} else {
		h->done += n;
		h->before = *ctf_stalled_now(stalled_of(c, h));
		if (h->done == h->size)
			ready_for_header(h);
	}
	ctf_hold_commit(hold);
	ctf_fault_point();
}

/* ---- the guard ---- */

void ctf_hold_start(struct ctf_connection *c)
{
	struct ctf_hold *hold = &c->slot->hold;
	struct ctf_data d = data_of(c->slot);
	const struct conversation_half *now = conversation_now(c->slot);
	struct ctf_hold_half *h;

	c->held = true;
	c->deaf = false;
	if (in_force(c->slot)) { /* of an earlier relayd */
		fold(c);
		return;
	}
	h = ctf_hold_begin(hold);
	memset(h, 0, sizeof(*h));
	h->serial = d.joined + 1;
	if (d.phase == CTF_DATA_HEADER) {
		h->got = (uint32_t)conversation_received(now);
		memcpy(hold->header, c->slot->ring, h->got);
		if (h->got == CTF_DATA_HEADER_SIZE)
			take_header(c, h);
	} else if (c->taken < d.size) {
		h->phase = CTF_DATA_DISCARD;
		h->size = d.size;
		h->padding = d.padding;
		h->done = c->taken;
		h->stream = d.stream;
		h->stream_id = d.stream_id;
		h->seq = d.seq;
		h->before = *ctf_stalled_now(stalled_of(c, h));
	} /* else the worker has all of the packet */
	ctf_hold_commit(hold);
	ctf_fault_point();
}

/* Bytes received; 0: nothing now. */
static size_t receive(struct ctf_connection *c, void *scratch, size_t cap)
{
	struct ctf_hold *hold = &c->slot->hold;
	struct ctf_hold_half *h = ctf_hold_begin(hold);
	uint32_t got = h->got < CTF_DATA_HEADER_SIZE ? h->got : CTF_DATA_HEADER_SIZE;
	int r;

	memset(&h->receive, 0, sizeof(h->receive));
	if (h->phase == CTF_DATA_HEADER) {
		h->receive_iov[0] = (struct iovec){.iov_base = hold->header + got,
						   .iov_len = CTF_DATA_HEADER_SIZE - got};
	} else {
		size_t left = h->size - h->done;

		h->receive_iov[0] =
			(struct iovec){.iov_base = scratch, .iov_len = left < cap ? left : cap};
	}
	h->receive.msg_hdr.msg_iov = h->receive_iov;
	h->receive.msg_hdr.msg_iovlen = 1;
	ctf_hold_commit(hold);
	ctf_fault_point();
	do
		r = recvmmsg(c->fd, &h->receive, 1, MSG_DONTWAIT, NULL);
	while (r < 0 && errno == EINTR);
	ctf_fault_point();
	if (r < 0 && errno == EAGAIN)
		return 0;
	if (r < 0 || !h->receive.msg_len) { /* its end, which the worker will see as well */
		c->deaf = true;
		return 0;
	}
	return h->receive.msg_len;
}

size_t ctf_hold_discard(struct ctf_connection *c, void *scratch, size_t cap, size_t budget)
{
	struct counters *counters = c->worker->counters;
	size_t total = 0, n;

	while (!c->deaf && total < budget) {
		bool payload = ctf_hold_now(&c->slot->hold)->phase == CTF_DATA_DISCARD;

		n = receive(c, scratch, cap);
		if (!n)
			break;
		total += n;
		fold(c);
		if (!payload)
			continue;
		counters_add(counters, COUNTER_bytes_received, n);
		counters_add(counters, COUNTER_bytes_discarded_stall, n);
		counters_add(counters, COUNTER_packets_discarded,
			     ctf_hold_now(&c->slot->hold)->phase == CTF_DATA_HEADER);
	}
	return total;
}

/* ---- the worker ---- */

static void take_counts(struct ctf_stream *t)
{
	const struct ctf_stalled_half *x = ctf_stalled_now(&t->ctf->stalled);
	const struct stream_half *now = stream_now(t->slot);
	bool newer = x->any && !seen(now->ctf.any_data, now->ctf.data_seq, x->seq);
	struct stream_half *h;

	if (now->ctf.stalled == x->bytes && !newer)
		return;
	h = stream_begin(t->slot);
	h->ledger.received += x->bytes - h->ctf.stalled;
	h->ledger.discarded[DISCARD_STALL] += x->bytes - h->ctf.stalled;
	h->ctf.stalled = x->bytes;
	if (newer) {
		h->ctf.any_data = 1;
		h->ctf.data_seq = x->seq;
	}
	stream_commit(t->slot);
}

static void take_all_counts(struct ctf_source *s)
{
	struct stream_walk walk = {0};
	struct state_ref ref;

	while (stream_walk_next(s->worker->st, s->ref, &walk, &ref)) {
		struct ctf_stream *t = ctf_source_stream(s, ref.index, ref.id);

		if (t)
			take_counts(t);
	}
}

/* The connection is where the record is. */
static void go_on(struct ctf_connection *c)
{
	const struct ctf_hold_half *now = ctf_hold_now(&c->slot->hold);
	struct ctf_data d = {.joined = now->serial};
	struct conversation_half *h;
	struct ctf_stream *t;

	if (now->phase == CTF_DATA_HEADER)
		memcpy(c->slot->ring, c->slot->hold.header, now->got);
	h = conversation_begin(c->slot);
	memset(&h->receive, 0, sizeof(h->receive));
	h->received_base = now->phase == CTF_DATA_HEADER ? now->got : CTF_DATA_HEADER_SIZE;
	if (now->phase == CTF_DATA_DISCARD) {
		d.phase = CTF_DATA_DISCARD;
		d.cause = DISCARD_STALL;
		d.size = now->size;
		d.padding = now->padding;
		d.done = now->done;
		d.stream = now->stream;
		d.stream_id = now->stream_id;
		d.seq = now->seq;
	}
	memcpy(h->dialect, &d, sizeof(d));
	conversation_commit(c->slot);
	c->taken = d.done;
	t = d.stream ? ctf_source_stream(c->source, d.stream - 1, d.stream_id) : NULL;
	if (t) {
		t->connection = c;
		t->fed_by = c->ref.id;
		t->orphan = false;
	}
}

bool ctf_hold_join(struct ctf_connection *c)
{
	struct worker *w = c->worker;
	bool held;

	uv_mutex_lock(&w->sockets);
	held = c->held || in_force(c->slot);
	if (held)
		fold(c);
	uv_mutex_unlock(&w->sockets);
	if (!held)
		return false;
	/* Of the packet it was at, bytes are missing; or it is whole. The guard goes on meanwhile.
	 */
	ctf_packet_cut(c->source, c->slot, DISCARD_STALL);
	uv_mutex_lock(&w->sockets);
	fold(c);
	take_all_counts(c->source);
	go_on(c);
	c->held = false;
	c->unread_since = 0;
	c->progress_ms = ctf_now_ms();
	uv_mutex_unlock(&w->sockets);
	return true;
}
