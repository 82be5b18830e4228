/* SPDX-License-Identifier: MIT */
/* repair.c - finds and finishes the chunks of dead daemons; see repair.h. */
#include "consumer/repair.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "common/log.h"
#include "consumer/birth.h"
#include "consumer/ctf_repair.h"
#include "consumer/page.h"
#include "consumer/place_name.h"
#include "consumer/record.h"
#include "consumer/trace_dat_layout.h"
#include "consumer/trace_dat_meta.h"
#include "consumer/trace_dat_scan.h"
#include "consumer/trace_dat_tail.h"

#define DEPTH_MAX   3   /* SESSION/HOST/START-N */
#define SLACK       16u /* zeros that may belong to the end of metadata */
#define PROOF_BYTES ((size_t)4 << 20)
#define INCOMING    ".incoming"

struct repair {
	uv_thread_t thread;
	int output_fd;
	int64_t before_ns;
	repair_event event;
	void *ctx;
};

/* One open chunk under repair. */
struct patient {
	int dir;          /* descriptor of its directory */
	const char *path; /* of the directory, below output.dir */
	unsigned number;
	char open_name[NAME_MAX + 1];
	uint32_t cpus;
	int fd;
	uint64_t size;
	struct record record;
	struct trace_dat_meta meta;
	struct trace_dat_layout layout;
	struct trace_dat_region *regions;
};

/* ---- what is there ---- */

/* Bytes of metadata in a file that has no table yet: up to the last byte that is not zero. */
static size_t metadata_guess(const uint8_t *bytes, size_t len)
{
	while (len && !bytes[len - 1])
		len--;
	return len;
}

static int parse(struct patient *p)
{
	size_t len = (size_t)(p->size < BIRTH_AT ? p->size : BIRTH_AT);
	uint8_t *bytes;
	size_t guess;
	int r;

	if (!len)
		return -ENODATA;
	bytes = mmap(NULL, len, PROT_READ, MAP_SHARED, p->fd, 0);
	if (bytes == MAP_FAILED)
		return -errno;
	r = trace_dat_meta_parse(bytes, len, &p->meta);
	if (r < 0 || !p->meta.table_at) { /* the client may have died inside it: no zeros of ours */
		guess = metadata_guess(bytes, len);
		for (size_t more = 0; more <= SLACK; more++) {
			if (guess + more > len)
				break;
			r = trace_dat_meta_parse(bytes, guess + more, &p->meta);
			if (r == 0 && p->meta.complete)
				break;
		}
	}
	munmap(bytes, len);
	if (r == 0 && !p->meta.complete)
		r = -EBADMSG;
	return r;
}

/* The real sub-buffer size, if the pages prove another than the one claimed. */
static uint32_t sub_buffer(const struct patient *p)
{
	struct page_format format = {.size = p->record.page_size,
				     .commit_size = p->meta.commit_size,
				     .big_endian = p->meta.big_endian};
	uint32_t best;

	if (p->meta.subbuf_size > format.size)
		format.size = p->meta.subbuf_size;
	if (!page_format_valid(&format))
		format.size = PAGE_SIZE_MIN;
	best = format.size;
	for (uint32_t cpu = 0; cpu < p->layout.cpus; cpu++) {
		uint64_t at = trace_dat_layout_region(&p->layout, cpu);
		size_t len = p->size > at ? (size_t)(p->size - at) : 0;
		uint32_t size;
		uint8_t *bytes;

		if (len > PROOF_BYTES)
			len = PROOF_BYTES;
		if (!len)
			continue;
		bytes = mmap(NULL, len, PROT_READ, MAP_SHARED, p->fd, (off_t)at);
		if (bytes == MAP_FAILED)
			continue;
		size = page_prove_size(bytes, len, &format);
		munmap(bytes, len);
		if (size > best && page_proof_holds(size, len, false))
			best = size;
	}
	return best;
}

static int find_regions(struct patient *p)
{
	struct page_format format;

	p->record.page_size = sub_buffer(p);
	format = (struct page_format){.size = p->record.page_size,
				      .commit_size = p->meta.commit_size,
				      .big_endian = p->meta.big_endian};
	return trace_dat_scan_regions(p->fd, &p->layout, &format, p->regions);
}

/* ---- what is made of it ---- */

static int write_tail(struct patient *p)
{
	size_t cap = trace_dat_tail_bound(p->layout.cpus, false);
	uint8_t *buffer = malloc(cap);
	struct trace_dat_tail tail;
	int r;

	if (!buffer)
		return -ENOMEM;
	r = trace_dat_tail_build(&(struct trace_dat_tail_input){.meta = &p->meta,
								.cpus = p->layout.cpus,
								.regions = p->regions,
								.subbuf_size = p->record.page_size},
				 buffer, cap, &tail);
	for (unsigned i = 0; r == 0 && i < tail.count; i++) {
		ssize_t n = pwrite(p->fd, tail.writes[i].bytes, tail.writes[i].len,
				   (off_t)tail.writes[i].offset);

		if (n != (ssize_t)tail.writes[i].len)
			r = n < 0 ? -errno : -ENOSPC;
	}
	if (r == 0 && ftruncate(p->fd, (off_t)tail.file_size) < 0)
		r = -errno;
	free(buffer);
	return r;
}

static void scan_headers(struct patient *p, uint32_t cpu, struct record_stream *s)
{
	struct page_format format = {.size = p->record.page_size,
				     .commit_size = p->meta.commit_size,
				     .big_endian = p->meta.big_endian};
	const struct trace_dat_region *region = &p->regions[cpu];
	struct page_totals sum = {0};

	for (uint64_t at = 0; at < region->bytes;) {
		uint64_t left = region->bytes - at;
		size_t len = (size_t)(left < PROOF_BYTES ? left : PROOF_BYTES);
		uint8_t *bytes =
			mmap(NULL, len, PROT_READ, MAP_SHARED, p->fd, (off_t)(region->offset + at));

		if (bytes == MAP_FAILED)
			break;
		page_scan(bytes, len, &format, PAGE_SCAN_ALL, &sum);
		munmap(bytes, len);
		at += len;
	}
	s->ledger = (struct record_ledger){.received = region->bytes,
					   .stored = region->bytes,
					   .pages = sum.pages,
					   .lost_events = sum.lost_events,
					   .lost_intervals = sum.lost_intervals};
	s->time_first = sum.time_first;
	s->time_last = sum.time_last;
}

static void describe(struct patient *p, bool readable, const char *name)
{
	struct record *r = &p->record;
	struct stat sb;

	if (fstat(p->fd, &sb) == 0)
		r->ended = sb.st_mtim;
	for (size_t i = 0; i < r->stream_count; i++)
		if (readable && r->streams[i].cpu < p->layout.cpus)
			scan_headers(p, r->streams[i].cpu, &r->streams[i]);
	r->complete = false;
	r->sparse = true;
	r->format_version = readable ? p->meta.version : 0;
	snprintf(r->file, sizeof(r->file), "%s", name);
	snprintf(r->clock, sizeof(r->clock), "%s", readable ? p->meta.clock : "");
	if (readable && p->meta.host[0])
		place_name_safe(p->meta.host, r->host, sizeof(r->host));
	if (!r->session[0])
		snprintf(r->session, sizeof(r->session), "default");
	snprintf(r->why, sizeof(r->why), "%s",
		 readable ? "both daemons were killed; what had arrived was kept"
			  : "both daemons were killed before its metadata was complete");
}

/* ---- directories ---- */

/* Chunks of V3 clients whose host was not known yet lie in .incoming/N. */
static int move_out(const struct repair *r, struct patient *p, char *ret_path, size_t cap)
{
	char start[32], host[RECORD_NAME_MAX], session[RECORD_NAME_MAX];
	struct tm tm;
	char *slash;
	int err, n;

	snprintf(ret_path, cap, "%s", p->path);
	if (strncmp(p->path, INCOMING "/", strlen(INCOMING) + 1) != 0)
		return 0;
	gmtime_r(&p->record.started.tv_sec, &tm);
	strftime(start, sizeof(start), "%Y%m%d-%H%M%S", &tm);
	place_name_safe(p->record.host, host, sizeof(host));
	place_name_safe(p->record.session, session, sizeof(session));
	n = snprintf(ret_path, cap, "%s/%s/%s-%llu", session, host, start,
		     (unsigned long long)p->record.source);
	if (n < 0 || (size_t)n >= cap)
		return -ENAMETOOLONG;
	slash = strrchr(ret_path, '/');
	*slash = '\0';
	err = place_name_make(r->output_fd, ret_path);
	*slash = '/';
	if (err < 0)
		return err;
	if (renameat2(r->output_fd, p->path, r->output_fd, ret_path, RENAME_NOREPLACE) < 0)
		return -errno;
	return 0;
}

static void announce(const struct repair *r, const struct patient *p, const char *path,
		     const char *name, bool readable)
{
	struct worker_chunk c = {
		.source_number = p->record.source,
		.number = p->number,
		.sparse = readable,
		.start_ns =
			(int64_t)p->record.started.tv_sec * 1000000000 + p->record.started.tv_nsec,
		.end_ns = (int64_t)p->record.ended.tv_sec * 1000000000 + p->record.ended.tv_nsec};

	for (size_t i = 0; i < p->record.stream_count; i++) {
		c.bytes += p->record.streams[i].ledger.stored;
		c.lost += p->record.streams[i].ledger.lost_events;
	}
	if (snprintf(c.path, sizeof(c.path), "%s/%s", path, name) < (int)sizeof(c.path) && r->event)
		r->event(r->ctx, &c);
}

/* ---- one chunk ---- */

static int finish(const struct repair *r, struct patient *p, bool readable)
{
	char name[64], json[64], path[512];
	int err = 0;

	if (p->number == 1) {
		snprintf(name, sizeof(name), "trace.%s", readable ? "dat" : "partial");
		snprintf(json, sizeof(json), "trace.json");
	} else {
		snprintf(name, sizeof(name), "trace.%06u.%s", p->number,
			 readable ? "dat" : "partial");
		snprintf(json, sizeof(json), "trace.%06u.json", p->number);
	}
	if (readable)
		err = write_tail(p);
	if (err < 0)
		return err;
	describe(p, readable, name);
	err = record_write(p->dir, json, &p->record);
	if (err < 0)
		return err;
	if (renameat2(p->dir, p->open_name, p->dir, name, RENAME_NOREPLACE) < 0)
		return -errno;
	err = move_out(r, p, path, sizeof(path));
	if (err < 0)
		return err;
	log_warning("repaired", "%s/%s: %s", path, name, p->record.why);
	announce(r, p, path, name, readable);
	return 0;
}

/* No certificate, so no page was stored yet: being made now, or its maker died over it. */
static int remove_unborn(const struct repair *r, const struct patient *p)
{
	struct stat sb;

	if (fstat(p->fd, &sb) < 0)
		return -errno;
	if ((int64_t)sb.st_mtim.tv_sec * 1000000000 + sb.st_mtim.tv_nsec >= r->before_ns)
		return 0;
	return unlinkat(p->dir, p->open_name, 0) < 0 ? -errno : 0;
}

/* 1: repaired; 0: not ours to repair; negative errno. */
static int repair_chunk(const struct repair *r, int dir, const char *path, const char *open_name)
{
	struct patient p = {.dir = dir, .path = path, .fd = -1};
	uint64_t max_file_size;
	bool readable;
	struct stat sb;
	int err;

	if (sscanf(open_name, ".trace.%6u.open", &p.number) != 1)
		return 0;
	snprintf(p.open_name, sizeof(p.open_name), "%s", open_name);
	p.fd = openat(dir, open_name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (p.fd < 0)
		return errno == ENOENT ? 0 : -errno; /* it was finished just now */
	err = birth_read(p.fd, &p.record, &p.cpus);
	if (err == -ENODATA)
		err = remove_unborn(r, &p);
	if (err < 0 || !p.cpus) {
		close(p.fd);
		return err;
	}
	if ((int64_t)p.record.started.tv_sec * 1000000000 + p.record.started.tv_nsec >=
	    r->before_ns)
		goto out; /* being written now */
	if (fstat(p.fd, &sb) < 0) {
		err = -errno;
		goto out;
	}
	p.size = (uint64_t)sb.st_size;
	err = trace_dat_layout_probe(dir, &max_file_size);
	if (err == 0)
		err = trace_dat_layout_init(p.cpus, max_file_size, &p.layout);
	if (err < 0)
		goto out;
	free(p.record.streams); /* as at birth: none */
	p.regions = calloc(p.layout.cpus, sizeof(*p.regions));
	p.record.streams = calloc(p.layout.cpus, sizeof(*p.record.streams));
	if (!p.regions || !p.record.streams) {
		err = -ENOMEM;
		goto out;
	}
	p.record.stream_count = p.layout.cpus;
	for (uint32_t i = 0; i < p.layout.cpus; i++)
		p.record.streams[i].cpu = i;
	readable = parse(&p) == 0 && find_regions(&p) == 0;
	err = finish(r, &p, readable);
	if (err == 0)
		err = 1;
out:
	if (p.fd >= 0)
		close(p.fd);
	free(p.regions);
	record_free(&p.record);
	return err;
}

/* ---- the walk ---- */

static bool is_open_chunk(const char *name)
{
	size_t len = strlen(name);

	return len > 12 && strncmp(name, ".trace.", 7) == 0 && strcmp(name + len - 5, ".open") == 0;
}

static unsigned walk(const struct repair *r, int parent, const char *name, const char *path,
		     int depth)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	unsigned repaired = 0;
	struct dirent *e;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return 0;
	}
	while ((e = readdir(d))) {
		char below[512];
		int err;

		if (is_open_chunk(e->d_name)) {
			err = repair_chunk(r, dirfd(d), path, e->d_name);
			repaired += err > 0;
			if (err < 0)
				log_error("repair", "%s/%s cannot be repaired: %s", path, e->d_name,
					  strerror(-err));
			continue;
		}
		if (depth == DEPTH_MAX || (e->d_type != DT_DIR && e->d_type != DT_UNKNOWN) ||
		    (e->d_name[0] == '.' && (depth > 0 || strcmp(e->d_name, INCOMING) != 0)))
			continue;
		if (snprintf(below, sizeof(below), "%s%s%s", path, *path ? "/" : "", e->d_name) <
		    (int)sizeof(below))
			repaired += walk(r, dirfd(d), e->d_name, below, depth + 1);
	}
	closedir(d);
	return repaired;
}

unsigned repair_run(int output_fd, int64_t before_ns, repair_event event, void *ctx)
{
	struct repair r = {
		.output_fd = output_fd, .before_ns = before_ns, .event = event, .ctx = ctx};

	return walk(&r, output_fd, ".", "", 0) + ctf_repair_run(output_fd, before_ns);
}

static void thread_main(void *arg)
{
	struct repair *r = arg;

	repair_run(r->output_fd, r->before_ns, r->event, r->ctx);
}

int repair_start(int output_fd, int64_t before_ns, repair_event event, void *ctx,
		 struct repair **ret)
{
	struct repair *r = calloc(1, sizeof(*r));
	int err;

	if (!r)
		return -ENOMEM;
	*r = (struct repair){
		.output_fd = output_fd, .before_ns = before_ns, .event = event, .ctx = ctx};
	err = uv_thread_create(&r->thread, thread_main, r);
	if (err < 0) {
		free(r);
		return err;
	}
	*ret = r;
	return 0;
}

void repair_join(struct repair *r)
{
	if (!r)
		return;
	uv_thread_join(&r->thread);
	free(r);
}
