/* SPDX-License-Identifier: MIT */
/*
 * chunk.c - the files of a source's chunks: made under a hidden name, finished, renamed.
 *
 *   NONE --chunk_begin--> NAMED --chunk_file creates--> OPEN --rotation or end--> CLOSING
 *        --all ends frozen--> FROZEN --chunk_finish--> NONE, and announced (announce.c)
 *
 * The name goes into the state before the file is created, so that a file is created once and
 * opened by name ever after. Finishing only writes what points at the data; each of its parts may
 * be repeated. The record is in place before the data file gets its name.
 * Thread: the worker's; does I/O.
 */
#include "consumer/internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "consumer/chunk_record.h"
#include "consumer/place_name.h"
#include "consumer/trace_dat_meta.h"
#include "consumer/trace_dat_tail.h"

#define FILE_MODE  0640
#define PATH_BYTES (STATE_DIR + 64)

static int64_t realtime_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void open_path(const struct source_half *h, unsigned which, char path[PATH_BYTES])
{
	snprintf(path, PATH_BYTES, "%s/.trace.%06u.open", h->dir, h->chunk[which].number);
}

void chunk_name(uint32_t number, bool numbered, bool readable, char *name, size_t cap)
{
	const char *kind = readable ? "dat" : "partial";

	if (numbered)
		snprintf(name, cap, "trace.%06u.%s", number, kind);
	else
		snprintf(name, cap, "trace.%s", kind);
}

static void record_name(const struct source_chunk *c, char *name, size_t cap)
{
	if (c->numbered)
		snprintf(name, cap, "trace.%06u.json", c->number);
	else
		snprintf(name, cap, "trace.json");
}

static void set_state(struct consumer_source *s, unsigned which, enum chunk_state state)
{
	struct source_half *h = source_begin(s->slot);

	h->chunk[which].state = state;
	source_commit(s->slot);
}

/* Bytes of metadata as they stand in the file. A version that is to be inserted is known, but not
 * there, while nothing is written. */
static uint64_t metadata_in_file(const struct source_half *h)
{
	return h->metadata_written ? h->metadata_written + h->metadata_shift : 0;
}

/*
 * What the client sent, from the chunk before: it is not sent again. With it goes the table of an
 * open chunk, which is the same in both: the metadata points at it.
 */
static int copy_metadata(struct consumer_source *s, int to)
{
	const struct source_half *h = source_now(s->slot);
	uint64_t need = metadata_in_file(h), size = need;
	off_t at = 0;
	int from = -1;

	for (unsigned i = 0; i < 2 && from < 0; i++) {
		if (h->chunk[i].state != CHUNK_OPEN && h->chunk[i].state != CHUNK_CLOSING)
			continue;
		from = chunk_file(s, i);
		if (h->chunk[i].tail)
			size += trace_dat_tail_bound(s->slot->cpus, false);
	}
	if (from < 0)
		return size ? -ENOENT : 0;
	while ((uint64_t)at < size) {
		ssize_t n = pread(from, s->worker->copy, WORKER_COPY, at);

		if (n == 0 && (uint64_t)at >= need)
			return 0;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		if ((uint64_t)n > size - (uint64_t)at)
			n = (ssize_t)(size - (uint64_t)at);
		n = pwrite(to, s->worker->copy, (size_t)n, at);
		if (n < 0)
			return -errno;
		at += n;
	}
	return 0;
}

static int create(struct consumer_source *s, unsigned which, const char *path)
{
	struct worker *w = s->worker;
	int r = place_name_make(w->config.output_fd, source_now(s->slot)->dir);
	int fd;

	if (r < 0)
		return r;
	fd = openat(w->config.output_fd, path, O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);
	if (fd < 0)
		return -errno;
	r = copy_metadata(s, fd);
	if (r == 0)
		r = chunk_record_birth(s, which, fd);
	if (r < 0) {
		close(fd);
		return r;
	}
	set_state(s, which, CHUNK_OPEN);
	return fd;
}

int chunk_file(struct consumer_source *s, unsigned which)
{
	const struct source_half *h = source_now(s->slot);
	char path[PATH_BYTES];
	int fd;

	assert(which < 2);
	if (s->file[which] >= 0)
		return s->file[which];
	open_path(h, which, path);
	switch (h->chunk[which].state) {
	case CHUNK_NAMED:
		fd = create(s, which, path);
		break;
	case CHUNK_OPEN:
	case CHUNK_CLOSING:
	case CHUNK_FROZEN:
		fd = openat(s->worker->config.output_fd, path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			fd = -errno;
		break;
	default:
		fd = -ENOENT;
	}
	if (fd >= 0)
		s->file[which] = fd;
	return fd;
}

/* Named, or open behind another open one: no stream fills it yet. */
static bool is_next(const struct source_half *h, unsigned which)
{
	const struct source_chunk *c = &h->chunk[which], *other = &h->chunk[1 - which];

	return c->state == CHUNK_NAMED ||
	       (c->state == CHUNK_OPEN && other->state == CHUNK_OPEN && c->number > other->number);
}

int chunk_begin(struct consumer_source *s, unsigned *ret_which)
{
	const struct source_half *now = source_now(s->slot);
	unsigned which;
	int fd;

	/* One that was named or opened before the rotation could begin is taken up again. */
	for (which = 0; which < 2 && !is_next(now, which); which++)
		;
	for (unsigned i = 0; i < 2 && which == 2; i++)
		if (now->chunk[i].state == CHUNK_NONE)
			which = i;
	if (which == 2)
		return -EBUSY;
	if (now->chunk[which].state == CHUNK_NONE) {
		struct source_half *h = source_begin(s->slot);

		if (!h->next_chunk)
			h->next_chunk = 1;
		h->chunk[which] = (struct source_chunk){
			.state = CHUNK_NAMED,
			.number = h->next_chunk++,
			.tail = h->chunk[1 - which].state != CHUNK_NONE && h->chunk[1 - which].tail,
			.start_ns = realtime_ns()};
		source_commit(s->slot);
	}
	fd = chunk_file(s, which);
	if (fd < 0)
		return fd;
	*ret_which = which;
	return 0;
}

/* The chunk whose file takes metadata: the first one, made now if need be. 0..1 or errno. */
int chunk_first(struct consumer_source *s)
{
	const struct source_half *h = source_now(s->slot);
	unsigned which;
	int r;

	for (which = 0; which < 2; which++)
		if (h->chunk[which].state == CHUNK_OPEN)
			return (int)which;
	r = place_first(s);
	if (r == 0)
		r = chunk_begin(s, &which);
	return r < 0 ? r : (int)which;
}

int chunk_data_file(struct consumer_source *s, unsigned which)
{
	int r = 0;

	/* Pages overtake the metadata: then they begin the first chunk. */
	if (source_now(s->slot)->chunk[which].state == CHUNK_NONE)
		r = chunk_first(s);
	return r < 0 ? r : chunk_file(s, which);
}

/* ---- metadata ---- */

static int map_metadata(struct consumer_source *s, unsigned which, const uint8_t **ret,
			size_t *ret_len)
{
	const struct source_half *h = source_now(s->slot);
	size_t len = (size_t)metadata_in_file(h);
	int fd = chunk_file(s, which);
	struct stat sb;
	void *base;

	if (fd < 0)
		return fd;
	if (h->chunk[which].tail) { /* the metadata may point at what stands behind it */
		if (fstat(fd, &sb) < 0)
			return -errno;
		len = (size_t)(sb.st_size < (off_t)TRACE_DAT_DATA_START
				       ? sb.st_size
				       : (off_t)TRACE_DAT_DATA_START);
	}
	if (!len)
		return -ENODATA;
	base = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED)
		return -errno;
	*ret = base;
	*ret_len = len;
	return 0;
}

/* ---- finishing ---- */

/* Regions as frozen, and the bytes that were stored and received in them all. */
static void frozen_regions(struct consumer_source *s, unsigned which,
			   struct trace_dat_region *regions, uint64_t *ret_stored,
			   uint64_t *ret_received)
{
	uint32_t number = source_now(s->slot)->chunk[which].number;
	struct consumer_stream *t;

	*ret_stored = *ret_received = 0;
	cds_list_for_each_entry (t, &s->streams, node) {
		const struct stream_half *h = stream_now(t->slot);

		if (h->frozen_number != number)
			continue;
		*ret_received += h->frozen.received;
		if (!h->frozen_end)
			continue;
		regions[t->slot->cpu] = (struct trace_dat_region){
			.offset = trace_dat_layout_region(&s->layout, t->slot->cpu),
			.bytes = h->frozen_end};
		*ret_stored += h->frozen_end;
	}
}

/*
 * Write what makes a trace.dat of metadata and regions. Of an open chunk (all regions 0): if both
 * daemons are killed the file says itself where its metadata ends. Of a finished one: and cut the
 * file behind its last region.
 */
static int write_tail(struct consumer_source *s, unsigned which, const struct trace_dat_meta *meta,
		      const struct trace_dat_region *regions, bool open)
{
	const struct source_half *h = source_now(s->slot);
	uint32_t cpus = s->slot->cpus;
	size_t cap = trace_dat_tail_bound(cpus, false);
	uint8_t *buffer = malloc(cap);
	struct trace_dat_tail tail;
	int fd = chunk_file(s, which);
	int r;

	if (!buffer)
		return -ENOMEM;
	r = trace_dat_tail_build(&(struct trace_dat_tail_input){.meta = meta,

								.cpus = cpus,
								.regions = regions,
								.subbuf_size = h->sub_buffer,
								.open = open},
				 buffer, cap, &tail);
	for (unsigned i = 0; r == 0 && i < tail.count; i++) {
		const struct trace_dat_write *t = &tail.writes[i];
		ssize_t n = pwrite(fd, t->bytes, t->len, (off_t)t->offset);

		if (n != (ssize_t)t->len)
			r = n < 0 ? -errno : -ENOSPC;
	}
	if (r == 0 && !open && ftruncate(fd, (off_t)tail.file_size) < 0)
		r = -errno;
	free(buffer);
	return r;
}

static void write_open_tail(struct consumer_source *s, unsigned which,
			    const struct trace_dat_meta *meta)
{
	struct trace_dat_region *none = calloc(s->slot->cpus, sizeof(*none));
	struct source_half *h;

	if (!none)
		return;
	h = source_begin(s->slot);
	h->chunk[which].tail = 1;
	source_commit(s->slot);
	(void)write_tail(s, which, meta, none, true); /* only repair would miss it */
	free(none);
}

static unsigned any_open(const struct source_half *h)
{
	for (unsigned i = 0; i < 2; i++)
		if (h->chunk[i].state >= CHUNK_OPEN && h->chunk[i].state <= CHUNK_FROZEN)
			return i;
	return 2;
}

void chunk_parse_metadata(struct consumer_source *s, bool final)
{
	unsigned which = any_open(source_now(s->slot));
	struct trace_dat_meta meta;
	const uint8_t *bytes;
	struct source_half *h;
	size_t len;
	int r;

	if (which == 2 || map_metadata(s, which, &bytes, &len) < 0)
		return;
	r = trace_dat_meta_parse(bytes, len, &meta);
	munmap((void *)bytes, len);
	if (r == -ENOMEM || ((r < 0 || !meta.complete) && !final))
		return;
	h = source_begin(s->slot);
	if (r < 0 || !meta.complete) {
		h->metadata_bad = 1;
	} else {
		h->metadata_parsed = 1;
		h->metadata_parsed_at = h->metadata_written;
		h->commit_size = meta.commit_size;
		h->big_endian = meta.big_endian;
		if (meta.subbuf_size > h->sub_buffer && !h->sub_buffer_proven &&
		    page_format_valid(&(struct page_format){.size = meta.subbuf_size,
							    .commit_size = meta.commit_size,
							    .big_endian = meta.big_endian}))
			h->sub_buffer = meta.subbuf_size;
		if (meta.missing == TRACE_DAT_MISSING_CMDLINES)
			counters_add(s->worker->counters, COUNTER_repaired_cmdlines, 1);
		place_name_safe(meta.host, h->host, sizeof(h->host));
	}
	source_commit(s->slot);
	if (final && source_now(s->slot)->metadata_parsed)
		write_open_tail(s, which, &meta);
}

static int rename_into_place(struct consumer_source *s, unsigned which)
{
	int output = s->worker->config.output_fd;
	const struct source_half *h = source_now(s->slot);
	char from[PATH_BYTES], to[PATH_BYTES + 1], name[64];

	open_path(h, which, from);
	chunk_name(h->chunk[which].number, h->chunk[which].numbered, h->metadata_parsed, name,
		   sizeof(name));
	snprintf(to, sizeof(to), "%s/%s", h->dir, name);
	if (renameat2(output, from, output, to, RENAME_NOREPLACE) < 0 && errno != ENOENT)
		return -errno; /* ENOENT: a killed relayd had renamed it */
	return 0;
}

static void close_file(struct consumer_source *s, unsigned which)
{
	if (s->file[which] >= 0)
		close(s->file[which]);
	s->file[which] = -1;
}

/* A chunk in which nothing arrived, behind others: as if it had never been. */
static void forget(struct consumer_source *s, unsigned which)
{
	struct source_half *h;
	char path[PATH_BYTES];

	open_path(source_now(s->slot), which, path);
	close_file(s, which);
	(void)unlinkat(s->worker->config.output_fd, path, 0);
	h = source_begin(s->slot);
	if (h->chunk[which].number + 1 == h->next_chunk)
		h->next_chunk--;
	h->chunk[which].state = CHUNK_NONE;
	source_commit(s->slot);
}

void chunk_forget_next(struct consumer_source *s, unsigned present)
{
	if (is_next(source_now(s->slot), 1 - present))
		forget(s, 1 - present);
}

int chunk_finish(struct consumer_source *s, unsigned which)
{
	const struct source_half *h = source_now(s->slot);
	struct trace_dat_region *regions = calloc(s->slot->cpus, sizeof(*regions));
	struct trace_dat_meta meta = {0};
	const uint8_t *bytes;
	char name[64];
	uint64_t stored, received;
	size_t len;
	int r;

	if (!regions)
		return -ENOMEM;
	if (announce_full(s)) {
		r = -EBUSY;
		goto out;
	}
	frozen_regions(s, which, regions, &stored, &received);
	if (!received && h->chunk[which].number > 1 && h->chunk[which].last) {
		forget(s, which);
		free(regions);
		return 0;
	}
	r = chunk_file(s, which);
	if (r == -ENOENT) /* renamed before a kill: only the state did not get to say so */
		goto renamed;
	if (r < 0)
		goto out;
	if (h->metadata_written) {
		r = map_metadata(s, which, &bytes, &len);
		if (r < 0)
			goto out;
		if (trace_dat_meta_parse(bytes, len, &meta) < 0)
			memset(&meta, 0, sizeof(meta));
		munmap((void *)bytes, len);
	}
	if (h->metadata_parsed && meta.complete) {
		r = write_tail(s, which, &meta, regions, false);
		if (r < 0)
			goto out;
	}
	record_name(&h->chunk[which], name, sizeof(name));
	r = chunk_record_write(s, which, name, &meta, stored);
	if (r < 0)
		goto out;
	r = rename_into_place(s, which);
	if (r < 0)
		goto out;
renamed:
	close_file(s, which);
	announce_add(s, which);
	counters_add(s->worker->counters, COUNTER_chunks_finished, 1);
	if (h->chunk[which].why || !h->metadata_parsed)
		counters_add(s->worker->counters, COUNTER_chunks_incomplete, 1);
	r = 0;
out:
	free(regions);
	return r;
}
