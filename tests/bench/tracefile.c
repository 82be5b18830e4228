/* SPDX-License-Identifier: MIT */
/* tracefile.c - where the pages are in a trace.dat; see tracefile.h. */
#include "tests/bench/tracefile.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CPUS_MAX     65536
#define SECTIONS_MAX 64 /* options sections in a chain */

enum option { OPTION_DONE = 0, OPTION_BUFFER = 3 };

/* A place in the file and the first error; once that is set, reads give 0. */
struct cursor {
	int fd;
	uint64_t at;
	int error;
};

static void cursor_read(struct cursor *c, void *to, size_t n)
{
	ssize_t r;

	memset(to, 0, n);
	if (c->error)
		return;
	r = pread(c->fd, to, n, (off_t)c->at);
	if (r != (ssize_t)n) {
		c->error = r < 0 ? -errno : -EBADMSG;
		memset(to, 0, n);
		return;
	}
	c->at += n;
}

static uint16_t cursor_u16(struct cursor *c)
{
	uint16_t v;

	cursor_read(c, &v, sizeof(v));
	return v;
}

static uint32_t cursor_u32(struct cursor *c)
{
	uint32_t v;

	cursor_read(c, &v, sizeof(v));
	return v;
}

static uint64_t cursor_u64(struct cursor *c)
{
	uint64_t v;

	cursor_read(c, &v, sizeof(v));
	return v;
}

static void cursor_skip(struct cursor *c, uint64_t n)
{
	if (!c->error && n > INT64_MAX - c->at)
		c->error = -EBADMSG;
	if (!c->error)
		c->at += n;
}

/* A NUL-terminated string of less than n bytes. */
static void cursor_string(struct cursor *c, char *to, size_t n)
{
	ssize_t r;
	char *end;

	to[0] = '\0';
	if (c->error)
		return;
	r = pread(c->fd, to, n, (off_t)c->at);
	end = r > 0 ? memchr(to, 0, (size_t)r) : NULL;
	if (!end) {
		c->error = r < 0 ? -errno : -EBADMSG;
		to[0] = '\0';
		return;
	}
	c->at += (uint64_t)(end - to) + 1;
}

static void cursor_expect(struct cursor *c, const char *text, size_t n)
{
	char got[16];

	cursor_read(c, got, n);
	if (!c->error && memcmp(got, text, n) != 0)
		c->error = -EBADMSG;
}

static int put_region(struct tracefile *t, uint32_t cpu, uint64_t offset, uint64_t size)
{
	if (size > INT64_MAX || offset > INT64_MAX - size || t->total > INT64_MAX - size)
		return -EBADMSG;
	t->regions[t->count++] = (struct tracefile_region){cpu, offset, size};
	t->total += size;
	return 0;
}

static int make_room(struct tracefile *t, uint32_t count)
{
	if (count > CPUS_MAX)
		return -EBADMSG;
	free(t->regions); /* of two BUFFER options for the top buffer, the last holds */
	t->count = 0;
	t->total = 0;
	t->regions = calloc(count ? count : 1, sizeof(*t->regions));
	return t->regions ? 0 : -ENOMEM;
}

/* u64 (or u32) length and that many bytes. */
static void skip_sized(struct cursor *c, bool wide)
{
	uint64_t n = wide ? cursor_u64(c) : cursor_u32(c);

	cursor_skip(c, n);
}

static void skip_v6_metadata(struct cursor *c)
{
	char name[256];
	uint32_t n;

	cursor_expect(c, "header_page", 12);
	skip_sized(c, true);
	cursor_expect(c, "header_event", 13);
	skip_sized(c, true);
	for (n = cursor_u32(c); n && !c->error; n--)
		skip_sized(c, true);
	for (n = cursor_u32(c); n && !c->error; n--) {
		cursor_string(c, name, sizeof(name));
		for (uint32_t events = cursor_u32(c); events && !c->error; events--)
			skip_sized(c, true);
	}
	skip_sized(c, false); /* kallsyms */
	skip_sized(c, false); /* printk formats */
	skip_sized(c, true);  /* command lines */
}

static int read_v6(struct cursor *c, struct tracefile *t)
{
	char mark[10];
	uint32_t cpus;
	int r;

	skip_v6_metadata(c);
	cpus = cursor_u32(c);
	cursor_read(c, mark, sizeof(mark));
	if (memcmp(mark, "options  ", sizeof(mark)) == 0) {
		while (cursor_u16(c) != OPTION_DONE && !c->error)
			skip_sized(c, false);
		cursor_read(c, mark, sizeof(mark));
	}
	if (!c->error && memcmp(mark, "flyrecord", sizeof(mark)) != 0)
		return -EBADMSG;
	r = c->error ? c->error : make_room(t, cpus);
	for (uint32_t cpu = 0; r == 0 && cpu < cpus; cpu++) {
		uint64_t offset = cursor_u64(c), size = cursor_u64(c);

		r = c->error ? c->error : put_region(t, cpu, offset, size);
	}
	return r;
}

static int read_v7_buffer(struct cursor *c, struct tracefile *t)
{
	struct cursor section = {.fd = c->fd, .at = cursor_u64(c), .error = c->error};
	char name[256], clock[256];
	uint32_t count;
	int r;

	(void)cursor_u16(&section);
	if (cursor_u16(&section) & 1)
		return -ENOTSUP; /* compressed */
	cursor_string(c, name, sizeof(name));
	cursor_string(c, clock, sizeof(clock));
	(void)cursor_u32(c); /* page size: readers take the header's */
	count = cursor_u32(c);
	if (c->error || section.error)
		return c->error ? c->error : section.error;
	if (name[0])
		return 0; /* not the top buffer */
	r = make_room(t, count);
	for (uint32_t i = 0; r == 0 && i < count; i++) {
		uint32_t cpu = cursor_u32(c);
		uint64_t offset = cursor_u64(c), size = cursor_u64(c);

		r = c->error ? c->error : put_region(t, cpu, offset, size);
	}
	return r;
}

static int read_v7(struct cursor *c, struct tracefile *t)
{
	char text[64];
	int sections = 0;
	uint64_t next;

	cursor_string(c, text, sizeof(text)); /* compression and its version */
	cursor_string(c, text, sizeof(text));
	next = cursor_u64(c);
	while (next && !c->error) {
		if (++sections > SECTIONS_MAX)
			return -EBADMSG;
		c->at = next;
		if (cursor_u16(c) != 0)
			return -EBADMSG;
		cursor_skip(c, 14);
		for (;;) {
			uint16_t id = cursor_u16(c);
			uint32_t size = cursor_u32(c);
			uint64_t begin = c->at;

			if (c->error)
				return c->error;
			if (id == OPTION_DONE) {
				next = cursor_u64(c);
				break;
			}
			if (id == OPTION_BUFFER) {
				int r = read_v7_buffer(c, t);

				if (r < 0)
					return r;
			}
			c->at = begin;
			cursor_skip(c, size);
		}
	}
	if (c->error)
		return c->error;
	return t->regions ? 0 : -EBADMSG; /* the server has not written its table yet */
}

static int read_head(struct cursor *c, struct tracefile *t)
{
	const uint16_t one = 1;
	uint8_t endian_and_long[2];
	char version[8];

	cursor_expect(c, "\x17\x08\x44tracing", 10);
	cursor_string(c, version, sizeof(version));
	cursor_read(c, endian_and_long, 2);
	t->page_size = cursor_u32(c);
	if (c->error)
		return c->error;
	if ((endian_and_long[0] == 0) != (*(const uint8_t *)&one == 1))
		return -ENOTSUP;
	t->version = atoi(version);
	if (t->version == 6)
		return read_v6(c, t);
	return t->version == 7 ? read_v7(c, t) : -ENOTSUP;
}

int tracefile_open(const char *path, bool raw, struct tracefile *ret)
{
	struct tracefile t = {.fd = open(path, O_RDONLY | O_CLOEXEC)};
	struct cursor c = {.fd = t.fd};
	struct stat st;
	int r;

	if (t.fd < 0)
		return -errno;
	if (fstat(t.fd, &st) < 0) {
		r = -errno;
		goto fail;
	}
	t.file_size = (uint64_t)st.st_size;
	if (raw) {
		r = make_room(&t, 1);
		if (r == 0)
			r = put_region(&t, 0, 0, t.file_size);
	} else {
		r = read_head(&c, &t);
	}
	if (r < 0)
		goto fail;
	*ret = t;
	return 0;
fail:
	tracefile_close(&t);
	return r;
}

void tracefile_close(struct tracefile *t)
{
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
	free(t->regions);
	t->regions = NULL;
}

bool tracefile_is_whole(const struct tracefile *t)
{
	for (uint32_t i = 0; i < t->count; i++) {
		const struct tracefile_region *r = &t->regions[i];

		if (r->size && (r->offset > t->file_size || r->size > t->file_size - r->offset))
			return false;
		if (t->page_size && r->size && (r->offset % t->page_size || r->size % t->page_size))
			return false;
	}
	return true;
}
