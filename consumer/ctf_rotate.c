/* SPDX-License-Identifier: MIT */
/*
 * ctf_rotate.c - a stream goes to another chunk.
 *
 *   armed    by CTF_ORDER_ROTATE: rotating = 1
 *   due      the last index before the new chunk has come (or there is no chunk to leave)
 *   copied   packets behind it that lie in the old file are in the new one too: rotating = 2
 *   cut      the old files end where those packets began; then one commit flips the stream
 *
 * Each step can be repeated: what is copied, and where to, follows from the entries that wait.
 */
#include "consumer/ctf_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static bool due(const struct stream_half *h)
{
	if (!h->ctf.rotating)
		return false;
	if (h->ctf.rotating == 2 || !h->ctf.chunk)
		return true;
	if (h->ctf.packet_seq == CTF_NONE)
		return h->ctf.rotate_at == 0;
	return h->ctf.packet_seq + 1 >= h->ctf.rotate_at;
}

bool ctf_rotate_beyond(const struct stream_half *h, uint64_t packet_seq)
{
	return h->ctf.rotating && packet_seq != CTF_NONE && packet_seq >= h->ctf.rotate_at;
}

static int open_file(struct ctf_stream *t, uint32_t chunk, uint64_t number, int flags)
{
	int dir = ctf_stream_dir(t, chunk, false, flags & O_CREAT);
	char name[CTF_NAME + 32];
	int fd;

	if (dir < 0)
		return dir;
	ctf_stream_file_name(t, number, false, name, sizeof(name));
	fd = openat(dir, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC | flags, 0640);
	if (fd < 0)
		fd = -errno;
	close(dir);
	return fd;
}

/* Through memory where the file system cannot do it itself. */
static int copy_range(struct worker *w, int from, uint64_t at, int to, uint64_t to_at, uint64_t len)
{
	while (len) {
		size_t n = len < WORKER_COPY ? (size_t)len : WORKER_COPY;
		ssize_t k = pread(from, w->copy, n, (off_t)at);

		if (k == 0)
			return -EIO;
		if (k > 0)
			k = pwrite(to, w->copy, (size_t)k, (off_t)to_at);
		if (k <= 0)
			return k < 0 ? -errno : -ENOSPC;
		at += (uint64_t)k;
		to_at += (uint64_t)k;
		len -= (uint64_t)k;
	}
	return 0;
}

static int copy_packet(struct ctf_stream *t, const struct ctf_waiting *p, int to, uint64_t to_at)
{
	int from = open_file(t, p->chunk, p->file, 0), r = 0;
	loff_t in = (loff_t)p->offset, out = (loff_t)to_at;
	uint64_t left = p->size;

	if (from < 0)
		return from;
	while (left) {
		ssize_t k = copy_file_range(from, &in, to, &out, (size_t)left, 0);

		if (k <= 0)
			break;
		left -= (uint64_t)k;
	}
	if (left)
		r = copy_range(t->source->worker, from, (uint64_t)in, to, (uint64_t)out, left);
	close(from);
	return r;
}

/* Bytes of the packets that belong to the new chunk. */
static uint64_t ahead(const struct stream_half *h)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < CTF_WAITING; i++)
		if (h->ctf.waiting[i].chunk)
			sum += h->ctf.waiting[i].size;
	return sum;
}

static int copy(struct ctf_stream *t)
{
	const struct stream_half *now = stream_now(t->slot);
	struct stream_half *h;
	uint64_t at = 0;
	int to, r = 0;

	if (now->ctf.to_chunk && ahead(now)) {
		to = open_file(t, now->ctf.to_chunk, 0, O_CREAT);
		if (to < 0)
			return to;
		for (unsigned i = 0; r == 0 && i < CTF_WAITING; i++) {
			if (!now->ctf.waiting[i].chunk)
				continue;
			r = copy_packet(t, &now->ctf.waiting[i], to, at);
			at += now->ctf.waiting[i].size;
		}
		close(to);
		if (r < 0)
			return r;
	}
	h = stream_begin(t->slot);
	h->ctf.rotating = 2;
	stream_commit(t->slot);
	return 0;
}

/* The files of the old chunk end where the first packet of the new one began. */
static int cut(struct ctf_stream *t)
{
	const struct stream_half *now = stream_now(t->slot);
	const struct ctf_waiting *q = now->ctf.waiting;

	for (unsigned i = 0; now->ctf.to_chunk && i < CTF_WAITING && q[i].chunk; i++) {
		int fd, r;

		if (i && q[i - 1].file == q[i].file)
			continue;
		fd = open_file(t, q[i].chunk, q[i].file, 0);
		if (fd == -ENOENT)
			continue;
		if (fd < 0)
			return fd;
		r = ftruncate(fd, (off_t)q[i].offset) < 0 ? -errno : 0;
		close(fd);
		if (r < 0)
			return r;
	}
	if (t->ctf->metadata && now->ctf.metadata_partial && now->ctf.file_made) {
		int fd = ctf_file_data(t);

		if (fd >= 0 && ftruncate(fd, (off_t)now->position) < 0)
			return -errno;
	}
	return 0;
}

/* What it did in the chunk it leaves. */
static void freeze(struct stream_half *h)
{
	if (!h->ctf.chunk)
		return;
	h->frozen = ledger_since(&h->ledger, &h->chunk_base);
	h->frozen_number = (uint32_t)h->ctf.chunk_serial;
	h->chunk_base = h->ledger;
}

static void flip(struct ctf_stream *t, uint32_t to)
{
	const struct ctf_source_half *sh = ctf_source_now(t->source->ctf);
	struct stream_half *h = stream_begin(t->slot);
	uint64_t bytes = ahead(h), at = 0;
	uint32_t packets = 0;

	for (unsigned i = 0; to && i < CTF_WAITING; i++) {
		struct ctf_waiting *p = &h->ctf.waiting[i];

		if (!p->chunk)
			continue;
		p->chunk = to;
		p->file = 0;
		p->offset = at;
		at += p->size;
		packets++;
	}
	freeze(h);
	if (bytes && to && h->frozen_number) { /* they count there */
		uint64_t n = bytes < h->frozen.stored ? bytes : h->frozen.stored;

		h->frozen.stored -= n;
		h->frozen.received -= n;
		h->frozen.pages -= packets < h->frozen.pages ? packets : h->frozen.pages;
		h->chunk_base.stored -= n;
		h->chunk_base.received -= n;
		h->chunk_base.pages -=
			packets < h->chunk_base.pages ? packets : h->chunk_base.pages;
	}
	if (h->ctf.chunk) {
		h->ctf.left_serial = h->ctf.chunk_serial;
		h->ctf.left_file = h->ctf.file;
	}
	h->ctf.chunk = to;
	h->ctf.chunk_serial = to ? sh->chunk[to - 1].serial : 0;
	h->chunk_number = (uint32_t)h->ctf.chunk_serial;
	h->ctf.file = 0;
	h->ctf.file_made = to && bytes;
	h->ctf.records = 0;
	h->ctf.metadata_partial = 0;
	h->position = to ? at : 0;
	h->ctf.rotating = 0;
	stream_commit(t->slot);
	ctf_file_forget(t->source->worker, &t->data);
	if (to)
		(void)ctf_file_data(t); /* as an empty file; made later if this fails */
}

int ctf_rotate_now(struct ctf_stream *t)
{
	int r;

	if (t->connection)
		return -EAGAIN; /* a packet that is half here: when it is whole */
	if (stream_now(t->slot)->ctf.rotating == 1) {
		r = copy(t);
		if (r < 0)
			return r;
	}
	r = cut(t);
	if (r < 0)
		return r;
	flip(t, stream_now(t->slot)->ctf.to_chunk);
	return 0;
}

int ctf_rotate_due(struct ctf_stream *t)
{
	return due(stream_now(t->slot)) ? ctf_rotate_now(t) : 0;
}

int ctf_rotate_arm(struct ctf_stream *t, uint32_t to_chunk, uint64_t at, bool now, uint64_t behind)
{
	struct stream_half *h;

	if (stream_now(t->slot)->ctf.rotating) { /* overtaken by the next one */
		int r = ctf_rotate_now(t);

		if (r < 0)
			return r;
	}
	if (to_chunk && to_chunk == stream_now(t->slot)->ctf.chunk)
		return 0;
	h = stream_begin(t->slot);
	t->source->rotating = true;
	h->ctf.rotating = 1;
	h->ctf.to_chunk = to_chunk;
	h->ctf.rotate_at = now ? 0 : at;
	h->scanned = behind;
	stream_commit(t->slot);
	return 0;
}

void ctf_rotate_leave(struct ctf_stream *t)
{
	if (stream_now(t->slot)->ctf.chunk)
		flip(t, 0);
}
