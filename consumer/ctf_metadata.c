/* SPDX-License-Identifier: MIT */
/*
 * ctf_metadata.c - metadata of a trace: pieces at explicit offsets, whole packets counted.
 *
 * It is never discarded because of a full disk: it stays in the ring until there is room.
 */
#include "consumer/ctf_internal.h"

#include <errno.h>
#include <unistd.h>

/* No chunk takes it. */
static void discard(struct ctf_stream *t, size_t len, uint64_t behind)
{
	struct stream_half *h = stream_begin(t->slot);

	h->ledger.received += len;
	h->ledger.discarded[DISCARD_PROTOCOL] += len;
	h->scanned = behind;
	stream_commit(t->slot);
}

int ctf_metadata_append(struct ctf_stream *t, const uint8_t *bytes, size_t len, bool end,
			uint64_t padding, uint64_t behind)
{
	const struct stream_half *now = stream_now(t->slot);
	uint64_t at = now->position + now->ctf.metadata_partial;
	struct stream_half *h;
	ssize_t n = 0;
	int fd;

	if (!now->ctf.chunk) {
		discard(t, len, behind);
		return 0;
	}
	fd = ctf_file_data(t);
	if (fd < 0)
		return fd;
	if (len)
		n = pwrite(fd, bytes, len, (off_t)at);
	if (n < 0)
		return -errno;
	if ((size_t)n != len)
		return -ENOSPC;
	if (end && padding && ftruncate(fd, (off_t)(at + len + padding)) < 0)
		return -errno;
	h = stream_begin(t->slot);
	h->ledger.received += len;
	h->ledger.stored += len;
	if (end) {
		h->position = at + len + padding;
		h->ctf.metadata_partial = 0;
	} else {
		h->ctf.metadata_partial += len;
	}
	h->scanned = behind;
	stream_commit(t->slot);
	counters_add(t->source->worker->counters, COUNTER_bytes_metadata, len);
	return 0;
}

int ctf_metadata_reset(struct ctf_stream *t, uint64_t version, uint64_t behind)
{
	const struct stream_half *now = stream_now(t->slot);
	char name[CTF_NAME + 32];
	struct stream_half *h;
	int dir;

	ctf_file_forget(t->source->worker, &t->data);
	if (now->ctf.chunk && now->ctf.file_made) {
		dir = ctf_stream_dir(t, now->ctf.chunk, false, false);
		if (dir >= 0) {
			/* Whoever reads the old one keeps it. */
			ctf_stream_file_name(t, 0, false, name, sizeof(name));
			unlinkat(dir, name, 0);
			close(dir);
		}
	}
	h = stream_begin(t->slot);
	h->position = 0;
	h->ctf.file_made = 0;
	h->ctf.metadata_partial = 0;
	h->ctf.metadata_version = version;
	h->scanned = behind;
	stream_commit(t->slot);
	if (now->ctf.chunk)
		(void)ctf_file_data(t);
	return 0;
}
