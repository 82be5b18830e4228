/* SPDX-License-Identifier: MIT */
/*
 * ctf_index.c - index files, and the join of a packet with its index.
 *
 * A record is the packet's offset and then the message's bytes as they came. It goes to the index
 * file that stands beside the packet's own tracefile. Its place is absolute; in an index file that
 * is no longer being filled it is told by the file, whose last record may be this one.
 */
#include "consumer/ctf_internal.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/wire.h"

#define INDEX_MAGIC  0xC1F1DCC1u
#define INDEX_HEADER 16u
#define INDEX_OLD    56u
#define INDEX_NEW    72u

struct told {
	uint64_t packet_size, timestamp_end, events_discarded, class_id, packet_seq;
};

static int decode(const uint8_t *bytes, size_t len, struct told *ret)
{
	struct wire_reader r = wire_reader_init(bytes, len);
	struct told m;

	m.packet_size = wire_get_u64(&r);
	(void)wire_get_u64(&r); /* content_size */
	(void)wire_get_u64(&r); /* timestamp_begin */
	m.timestamp_end = wire_get_u64(&r);
	m.events_discarded = wire_get_u64(&r);
	m.class_id = wire_get_u64(&r);
	m.packet_seq = CTF_NONE;
	if (wire_left(&r)) {
		(void)wire_get_u64(&r); /* stream_instance_id */
		m.packet_seq = wire_get_u64(&r);
	}
	*ret = m;
	return wire_end(&r);
}

static int put(int fd, const uint8_t *bytes, size_t len, uint64_t at)
{
	ssize_t n = pwrite(fd, bytes, len, (off_t)at);

	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -ENOSPC;
}

/* How many records there are before the one with this offset, told by the file. */
static int count_records(int fd, uint32_t record, uint64_t offset, uint64_t *ret)
{
	uint8_t last[8];
	struct wire_reader r = wire_reader_init(last, sizeof(last));
	struct stat sb;
	uint64_t n;

	if (fstat(fd, &sb) < 0)
		return -errno;
	n = (uint64_t)sb.st_size < INDEX_HEADER ? 0
						: ((uint64_t)sb.st_size - INDEX_HEADER) / record;
	if (n && pread(fd, last, sizeof(last), (off_t)(INDEX_HEADER + (n - 1) * record)) == 8 &&
	    wire_get_u64(&r) == offset)
		n--;
	*ret = n;
	return 0;
}

static int write_record(struct ctf_stream *t, const struct ctf_waiting *p, const uint8_t *bytes,
			size_t len)
{
	uint32_t record = t->source->ctf->minor >= 8 ? INDEX_NEW : INDEX_OLD;
	const struct ctf_stream_half *c = &stream_now(t->slot)->ctf;
	const struct ctf_source_half *sh = ctf_source_now(t->source->ctf);
	bool current = p->chunk == c->chunk && p->file == c->file;
	uint8_t out[INDEX_NEW];
	struct wire_writer wr;
	uint64_t n = c->records;
	int fd, r;

	if (len + 8 != record)
		return -EBADMSG;
	fd = ctf_file_index(t, p->chunk, sh->chunk[p->chunk - 1].serial, p->file);
	if (fd < 0)
		return fd;
	if (!current) {
		r = count_records(fd, record, p->offset, &n);
		if (r < 0)
			return r;
	}
	if (n == 0) {
		wr = wire_writer_init(out, sizeof(out));
		wire_put_u32(&wr, INDEX_MAGIC);
		wire_put_u32(&wr, 1);
		wire_put_u32(&wr, record == INDEX_NEW);
		wire_put_u32(&wr, record);
		r = put(fd, out, wr.len, 0);
		if (r < 0)
			return r;
	}
	wr = wire_writer_init(out, sizeof(out));
	wire_put_u64(&wr, p->offset);
	wire_put_bytes(&wr, bytes, len);
	return put(fd, out, wr.len, INDEX_HEADER + n * record);
}

/* The tracefile of a packet has made way for another. */
static bool overwritten(const struct ctf_stream *t, const struct ctf_waiting *p)
{
	const struct ctf_stream_half *c = &stream_now(t->slot)->ctf;

	return t->ctf->tracefile_size && t->ctf->tracefile_count && p->chunk == c->chunk &&
	       p->file + t->ctf->tracefile_count <= c->file;
}

static int find(const struct stream_half *h, uint64_t seq)
{
	for (int i = 0; i < (int)CTF_WAITING; i++)
		if (h->ctf.waiting[i].chunk && h->ctf.waiting[i].seq == seq)
			return i;
	return -1;
}

/* Packets that its tracer overwrote in front of this one. A stream's numbers begin at 0. */
static uint64_t packets_missing(const struct ctf_stream_half *c, uint64_t packet_seq)
{
	uint64_t next = c->packet_seq == CTF_NONE ? 0 : c->packet_seq + 1;

	return !c->cleared && packet_seq != CTF_NONE && packet_seq > next ? packet_seq - next : 0;
}

/* Indexes were dropped here, for want of room: what their numbers would have said is not missing.
 */
static bool dropped_since(const struct ctf_stream *t, const struct ctf_stream_half *c)
{
	uint64_t dropped = atomic_load(&t->ctf->index_dropped);

	return dropped && (!c->any_index || (int64_t)(dropped - 1 - c->index_seq) > 0);
}

/* What the tracer says it lost, since the last time. A number that goes back tells nothing but
 * where to count from. Those that are missing before the first one are told apart, since neither
 * lttng nor babeltrace2 counts them. */
static void note_losses(struct ctf_stream *t, struct stream_half *h, const struct told *m)
{
	struct counters *counters = t->source->worker->counters;
	uint64_t packets = dropped_since(t, &h->ctf) ? 0 : packets_missing(&h->ctf, m->packet_seq);
	uint64_t events = m->events_discarded > h->ctf.lost_events
				  ? m->events_discarded - h->ctf.lost_events
				  : 0;

	h->ledger.lost_events += events;
	if (h->ctf.packet_seq == CTF_NONE)
		h->ledger.lost_packets_at_start += packets;
	else
		h->ledger.lost_packets += packets;
	h->ctf.lost_events = m->events_discarded;
	h->ctf.packet_seq = m->packet_seq;
	h->ctf.packet_serial = h->ctf.chunk_serial;
	h->ctf.cleared = 0;
	counters_add(counters, COUNTER_tracer_events_lost, events);
	counters_add(counters, COUNTER_tracer_packets_lost, packets);
}

static void beacon(struct ctf_stream *t, const struct told *m, uint64_t behind)
{
	struct stream_half *h = stream_begin(t->slot);

	h->ctf.beacon_end = m->timestamp_end;
	h->ctf.class_id = m->class_id;
	h->scanned = behind;
	stream_commit(t->slot);
	counters_add(t->source->worker->counters, COUNTER_beacons, 1);
}

/* The index has had its effect on the files. @at: its entry, or -1. */
static void settle(struct ctf_stream *t, uint64_t seq, const struct told *m, int at, bool stored,
		   uint64_t behind)
{
	struct stream_half *h = stream_begin(t->slot);
	struct ctf_waiting *q = h->ctf.waiting;
	unsigned over = 0;

	note_losses(t, h, m);
	h->ctf.class_id = m->class_id;
	h->ctf.beacon_end = 0;
	h->ctf.any_index = 1;
	h->ctf.index_seq = seq;
	if (at >= 0 && stored && q[at].chunk == h->ctf.chunk && q[at].file == h->ctf.file)
		h->ctf.records++;
	/* Indexes come in order: what is older gets none any more. */
	while (over < CTF_WAITING && q[over].chunk && (int64_t)(q[over].seq - seq) <= 0)
		over++;
	memmove(q, q + over, (CTF_WAITING - over) * sizeof(*q));
	memset(q + CTF_WAITING - over, 0, over * sizeof(*q));
	h->scanned = behind;
	stream_commit(t->slot);
	counters_add(t->source->worker->counters, COUNTER_packets_unindexed, over - (at >= 0));
	counters_add(t->source->worker->counters,
		     stored ? COUNTER_indexes_stored : COUNTER_indexes_dropped, 1);
}

int ctf_index_apply(struct ctf_stream *t, uint64_t seq, const uint8_t *bytes, size_t len,
		    uint64_t behind)
{
	const struct stream_half *h = stream_now(t->slot);
	bool stored = false;
	struct told m;
	int at, r;

	if (decode(bytes, len, &m) < 0 || ctf_source_indexless(t->source))
		return 0;
	if (m.packet_size == 0) {
		beacon(t, &m, behind);
		return 0;
	}
	if (h->ctf.any_index && (int64_t)(seq - h->ctf.index_seq) <= 0)
		return 0;
	if (ctf_rotate_beyond(h, m.packet_seq)) { /* the numbers jumped over the first packet */
		r = ctf_rotate_now(t);
		if (r < 0)
			return r;
		h = stream_now(t->slot);
	}
	at = find(h, seq);
	if (at < 0 && !(h->ctf.any_data && (int64_t)(seq - h->ctf.data_seq) <= 0))
		return -EAGAIN;
	if (at >= 0 && !overwritten(t, &h->ctf.waiting[at])) {
		r = write_record(t, &h->ctf.waiting[at], bytes, len);
		if (r < 0 && r != -EBADMSG) {
			ctf_source_disk_trouble(t->source, r);
			if (ctf_source_disk_is_full(r) && !t->source->worker->stopping)
				return r; /* waits for room; else the packet stays without */
		}
		stored = r == 0;
	}
	settle(t, seq, &m, at, stored, behind);
	return 0;
}

void ctf_index_drop(struct ctf_stream *t, const uint8_t *bytes, size_t len, uint64_t behind)
{
	struct stream_half *h;
	struct told m;

	if (decode(bytes, len, &m) == 0 && m.packet_size) {
		h = stream_begin(t->slot);
		note_losses(t, h, &m);
		h->scanned = behind;
		stream_commit(t->slot);
	}
	counters_add(t->source->worker->counters, COUNTER_indexes_dropped, 1);
}

/* The front loop dropped the index of the last packet, and no order is left: nothing comes any more
 * that a packet could wait for. */
bool ctf_index_is_lost(const struct ctf_stream *t)
{
	const struct ctf_stream_half *c = &stream_now(t->slot)->ctf;
	uint64_t dropped = atomic_load(&t->ctf->index_dropped);

	return dropped && c->any_data && (int64_t)(dropped - 1 - c->data_seq) >= 0 &&
	       ctf_order_all_applied(t->source);
}

void ctf_index_give_up(struct ctf_stream *t)
{
	struct stream_half *h;
	unsigned n = 0;

	for (unsigned i = 0; i < CTF_WAITING; i++)
		n += stream_now(t->slot)->ctf.waiting[i].chunk != 0;
	if (!n)
		return;
	h = stream_begin(t->slot);
	memset(h->ctf.waiting, 0, sizeof(h->ctf.waiting));
	stream_commit(t->slot);
	counters_add(t->source->worker->counters, COUNTER_packets_unindexed, n);
}
