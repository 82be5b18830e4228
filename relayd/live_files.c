/* SPDX-License-Identifier: MIT */
/*
 * live_files.c - see live_files.h.
 *
 * Tracefiles are numbered from 0 in each chunk and never wrap in the state; only their names do
 * (number % count). A chunk is known by its serial, which only grows.
 */
#include "relayd/live_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/ctf_place.h"
#include "relayd/live_catalog.h"

#define INDEX_HEADER     16u
#define RECORD_MAX       256u
#define RECORD_MIN       56u
#define INDEX_MAGIC      0xC1F1DCC1u
#define METADATA_MAGIC   0x75D11D57u
#define METADATA_HEADER  37u
#define FILES_PER_LOOKUP 64u /* passed over in one call; the viewer asks again */

/* The file of a cursor. All zero but the descriptors: none. */
struct live_file {
	uint64_t stream, born; /* whose: another cursor in the same entry has other files */
	uint64_t serial, file, version;
	bool gone; /* its name is another's by now */
	int dir, index, data;
	uint32_t record_size;
	/* What must be known of the stream when its slot is gone. */
	uint64_t tracefile_size, tracefile_count;
	char name[CTF_NAME];
	/* Metadata: there was nothing for a cursor here while this much was visible. */
	uint64_t nothing_at, nothing_below;
};

struct live_files {
	const struct state *st;
	int output_fd;
	struct live_where where; /* of the last look: large, hence here */
	struct live_file file[VIEWER_CURSORS];
};

static const struct live_file no_file = {.dir = -1, .index = -1, .data = -1};

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void shut(struct live_file *f)
{
	close_fd(f->dir);
	close_fd(f->index);
	close_fd(f->data);
	*f = no_file;
}

struct live_files *live_files_new(const struct state *st, int output_fd)
{
	struct live_files *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->st = st;
	f->output_fd = output_fd;
	for (uint32_t i = 0; i < VIEWER_CURSORS; i++)
		f->file[i] = no_file;
	return f;
}

void live_files_free(struct live_files *f)
{
	if (!f)
		return;
	for (uint32_t i = 0; i < VIEWER_CURSORS; i++)
		shut(&f->file[i]);
	free(f);
}

/* ---- opening ---- */

static int read_all(int fd, void *to, size_t len, uint64_t offset)
{
	size_t done = 0;

	if (offset > INT64_MAX - len)
		return -EINVAL;
	while (done < len) {
		ssize_t n = pread(fd, (uint8_t *)to + done, len - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ENODATA;
		done += (size_t)n;
	}
	return 0;
}

/* Both names of a tracefile, relative to its stream's directory. */
static int file_names(const struct live_file *f, char *data, char *index, size_t size)
{
	uint64_t n = f->tracefile_count ? f->file % f->tracefile_count : f->file;
	int len;

	if (f->gone) {
		ctf_place_gone(f->name, f->file, false, data, size);
		len = snprintf(index, size, "index/");
		ctf_place_gone(f->name, f->file, true, index + len, size - (size_t)len);
		return 0;
	}
	if (f->tracefile_size)
		len = snprintf(data, size, "%s_%llu", f->name, (unsigned long long)n);
	else
		len = snprintf(data, size, "%s", f->name);
	if (len < 0 || (size_t)len >= size)
		return -ENAMETOOLONG;
	len = snprintf(index, size, "index/%s.idx", data);
	return len < 0 || (size_t)len >= size ? -ENAMETOOLONG : 0;
}

static int open_place(struct live_files *f, const char *place, const char *path)
{
	char full[CTF_DIR + CTF_PATH];
	int len = snprintf(full, sizeof(full), "%s/%s", place, path), fd;

	if (len < 0 || (size_t)len >= sizeof(full))
		return -ENAMETOOLONG;
	fd = openat(f->output_fd, full, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* The stream's directory in a chunk, wherever that lies at this moment. */
static int open_dir(struct live_files *f, uint64_t serial)
{
	const char *moving_to, *dir = live_where_dir(&f->where, serial, &moving_to);
	int fd;

	if (!dir)
		return -ENOENT;
	fd = open_place(f, dir, f->where.path);
	if (fd == -ENOENT && *moving_to)
		fd = open_place(f, moving_to, f->where.path);
	return fd;
}

static int open_below(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 ? -errno : fd;
}

static int read_index_header(struct live_file *f)
{
	uint8_t bytes[INDEX_HEADER];
	struct wire_reader r = wire_reader_init(bytes, sizeof(bytes));
	int err = read_all(f->index, bytes, sizeof(bytes), 0);

	if (err < 0)
		return err == -ENODATA ? -ENOENT : err; /* it is being made */
	if (wire_get_u32(&r) != INDEX_MAGIC)
		return -EBADMSG;
	wire_skip(&r, 8);
	f->record_size = wire_get_u32(&r);
	return f->record_size < RECORD_MIN || f->record_size > RECORD_MAX ? -EBADMSG : 0;
}

/*
 * Open the file (serial, file) of a stream. @near: a file of it that is open, for its directory.
 * 0; -ENOENT: it is not (or no more) there; other negative errno. The caller shuts *ret.
 */
static int open_file(struct live_files *f, const struct live_file *near, bool with_index,
		     struct live_file *ret)
{
	char data[CTF_NAME + 48], index[CTF_NAME + 48];
	int r = file_names(ret, data, index, sizeof(data));

	if (r < 0)
		return r;
	if (near->dir >= 0 && near->serial == ret->serial)
		ret->dir = fcntl(near->dir, F_DUPFD_CLOEXEC, 0);
	else
		ret->dir = open_dir(f, ret->serial);
	if (ret->dir < 0)
		return ret->dir == -1 ? -errno : ret->dir;
	ret->data = open_below(ret->dir, data);
	if (ret->data < 0)
		return ret->data;
	if (!with_index)
		return 0;
	ret->index = open_below(ret->dir, index);
	return ret->index < 0 ? ret->index : read_index_header(ret);
}

/* The entry's file, if it is this cursor's; else none. */
static struct live_file *file_of(struct live_files *f, uint32_t i, const struct viewer_cursor *c)
{
	struct live_file *file = &f->file[i];

	if (file->stream != c->stream || file->born != c->born)
		shut(file);
	file->stream = c->stream;
	file->born = c->born;
	return file;
}

/* ---- records ---- */

/* One call of next(). */
struct search {
	struct live_files *f;
	bool gone;               /* the stream's slot is */
	struct live_file *have;  /* of the cursor */
	struct viewer_cursor at; /* where is looked */
};

static const struct ctf_stream_half *now(const struct search *s)
{
	return &s->f->where.stream.ctf;
}

static bool is_filling(const struct search *s)
{
	return !s->gone && s->at.serial == now(s)->chunk_serial && s->at.file == now(s)->file;
}

/* Does a packet in this file wait for its index? */
static bool is_waiting(const struct search *s)
{
	const struct ctf_chunk *chunk;

	if (s->gone || s->f->where.over)
		return false;
	for (uint32_t i = 0; i < CTF_WAITING; i++) {
		const struct ctf_waiting *w = &now(s)->waiting[i];

		if (!w->chunk || w->chunk > CTF_CHUNKS)
			continue;
		chunk = &s->f->where.source.chunk[w->chunk - 1];
		if (chunk->serial == s->at.serial && w->file == s->at.file)
			return true;
	}
	return false;
}

/* The last tracefile in a chunk, if that is known. */
static bool last_file(const struct search *s, uint64_t serial, uint64_t *ret)
{
	if (s->gone || !serial)
		return false;
	*ret = serial == s->f->where.last_serial ? s->f->where.last_file : now(s)->left_file;
	return serial == s->f->where.last_serial || serial == now(s)->left_serial;
}

/* The oldest tracefile that is left in a chunk. */
static uint64_t oldest_file(const struct search *s, uint64_t serial)
{
	uint64_t count = s->f->where.tracefile_count, last;

	if (!last_file(s, serial, &last) || !s->f->where.tracefile_size || !count)
		return 0;
	return last >= count ? last - count + 1 : 0;
}

static bool to_chunk(struct search *s, uint64_t serial)
{
	s->at.serial = serial;
	s->at.file = oldest_file(s, serial);
	s->at.next = 0;
	return true;
}

/* Go to the oldest chunk behind the one we are in. */
static bool next_chunk(struct search *s)
{
	const struct live_where *w = &s->f->where;
	const char *moving_to;
	uint64_t found, last;

	if (s->gone)
		return false;
	found = live_where_next(w, s->at.serial);
	if (!found || found > w->last_serial)
		return false;
	/* A ring of an earlier chunk does not say where it begins. */
	if (!s->at.serial && w->tracefile_size && w->tracefile_count &&
	    !last_file(s, found, &last) && live_where_dir(w, w->last_serial, &moving_to))
		found = w->last_serial;
	return to_chunk(s, found);
}

/* Go on behind a file that is finished, or is not there. False: there is nothing. */
static bool next_file(struct search *s, bool missing)
{
	bool numbered = s->gone ? s->have->tracefile_size : s->f->where.tracefile_size;
	uint64_t last;

	/* Where nobody says how many there are the first that is missing is the end. */
	if (!numbered || (last_file(s, s->at.serial, &last) ? s->at.file >= last : missing))
		return next_chunk(s);
	s->at.file++;
	s->at.next = 0;
	if (s->at.file < oldest_file(s, s->at.serial))
		s->at.file = oldest_file(s, s->at.serial);
	return true;
}

static void look(struct search *s)
{
	s->gone = !live_catalog_where(s->f->st, s->at.stream, &s->f->where);
}

/* Files of its ring that are newer than those that have their names still; 0: it has its own. */
static uint64_t turns_behind(const struct search *s)
{
	uint64_t oldest = oldest_file(s, s->at.serial);

	return s->at.file < oldest ? oldest - s->at.file : 0;
}

/* The file that takes its name is not made yet. */
static bool keeps_name(const struct search *s)
{
	return turns_behind(s) == 1 && s->at.serial == now(s)->chunk_serial && !now(s)->file_made;
}

/* Open where we look, into *ret; the file that the cursor has already is copied, not duplicated. */
static int try_open(struct search *s, struct live_file *ret)
{
	const struct live_file *have = s->have;
	int r;

	*ret = no_file;
	if (have->index >= 0 && have->serial == s->at.serial && have->file == s->at.file) {
		*ret = *have;
		return 0;
	}
	if (s->gone && have->dir < 0)
		return -ENOENT;
	ret->stream = s->at.stream;
	ret->born = s->at.born;
	ret->serial = s->at.serial;
	ret->file = s->at.file;
	ret->tracefile_size = s->gone ? have->tracefile_size : s->f->where.tracefile_size;
	ret->tracefile_count = s->gone ? have->tracefile_count : s->f->where.tracefile_count;
	memcpy(ret->name, s->gone ? have->name : s->f->where.name, sizeof(ret->name));
	ret->gone = turns_behind(s) && !keeps_name(s);
	r = turns_behind(s) > 1 ? -ESTALE : open_file(s->f, have, true, ret);
	if (r == -ENOENT && turns_behind(s))
		r = -ESTALE;
	look(s); /* was it replaced before it could be opened? */
	if (r == 0 && turns_behind(s) && !keeps_name(s) && !ret->gone)
		r = -ESTALE;
	if (r < 0)
		shut(ret);
	return r;
}

/* Once more if it lost its name meanwhile. */
static int open_here(struct search *s, struct live_file *ret)
{
	int r = try_open(s, ret);

	return r == -ESTALE && turns_behind(s) == 1 ? try_open(s, ret) : r;
}

static uint64_t visible(const struct search *s, const struct live_file *file)
{
	struct stat sb;

	if (is_filling(s))
		return now(s)->records;
	if (fstat(file->index, &sb) < 0 || sb.st_size < INDEX_HEADER)
		return 0;
	return ((uint64_t)sb.st_size - INDEX_HEADER) / file->record_size;
}

/* 1: a record; 0: there is none; negative errno. */
static int read_record(struct search *s, const struct live_file *file, struct live_record *ret)
{
	uint8_t bytes[RECORD_MAX];
	int r;

	if (s->at.next >= visible(s, file))
		return 0;
	r = read_all(file->index, bytes, file->record_size,
		     INDEX_HEADER + s->at.next * file->record_size);
	if (r == 0)
		r = live_record_decode(bytes, file->record_size, ret);
	return r < 0 ? r : 1;
}

/* The cursor got a record of this file: it is its file from now on. */
static void take(struct search *s, const struct live_file *file)
{
	if (file->index == s->have->index)
		return;
	shut(s->have);
	*s->have = *file;
}

static void leave(struct search *s, struct live_file *file)
{
	if (file->index != s->have->index)
		shut(file);
}

static enum live_next nothing(struct search *s, struct live_record *ret)
{
	if (s->gone || s->f->where.over) {
		shut(s->have);
		return LIVE_NEXT_OVER;
	}
	if (!now(s)->beacon_end)
		return LIVE_NEXT_NOTHING;
	*ret = (struct live_record){.ts_end = now(s)->beacon_end, .class_id = now(s)->class_id};
	return LIVE_NEXT_BEACON;
}

/* In a chunk of which nobody knows the last file, so it may be a ring's, whose names come again:
 * then its time goes back. */
static bool is_older(const struct search *s, const struct live_record *record)
{
	uint64_t last;

	return s->at.next == 0 && !last_file(s, s->at.serial, &last) &&
	       record->ts_begin < s->at.time;
}

enum live_next live_files_next(struct live_files *f, uint32_t i, struct viewer_cursor *c,
			       struct live_record *ret)
{
	struct search s = {.f = f, .have = file_of(f, i, c), .at = *c};
	struct live_file file;

	look(&s);
	if (!s.at.serial && !next_chunk(&s))
		return nothing(&s, ret);
	for (uint32_t n = 0; n < FILES_PER_LOOKUP; n++) {
		int r = open_here(&s, &file);

		if (r == -ESTALE) {
			s.at.file = oldest_file(&s, s.at.serial);
			s.at.next = 0;
			continue;
		}
		if (r == 0) {
			r = read_record(&s, &file, ret);
			if (r > 0 && is_older(&s, ret))
				r = -ENOENT;
			if (r > 0) {
				s.at.next++;
				take(&s, &file);
				*c = s.at;
				return LIVE_NEXT_RECORD;
			}
			leave(&s, &file);
		}
		if (r == -EMFILE || r == -ENFILE || r == -ENOMEM)
			return LIVE_NEXT_NOTHING; /* later */
		if (r < 0 && r != -ENOENT)
			return LIVE_NEXT_ERROR;
		if (is_waiting(&s))
			return LIVE_NEXT_NOTHING;
		if (is_filling(&s))
			return nothing(&s, ret);
		if (!next_file(&s, r == -ENOENT))
			return nothing(&s, ret);
	}
	return LIVE_NEXT_NOTHING;
}

/* ---- packets ---- */

int live_files_packet(struct live_files *f, uint32_t i, const struct viewer_cursor *c,
		      uint64_t offset, uint32_t len, uint8_t *to)
{
	struct search s = {.f = f, .have = file_of(f, i, c), .at = *c};
	struct live_file file;
	int r;

	if (!c->serial || !c->next)
		return -ENOENT; /* it has got no index of this file */
	if (s.have->data < 0 || s.have->serial != c->serial || s.have->file != c->file) {
		look(&s);
		r = open_here(&s, &file);
		if (r < 0)
			return r;
		take(&s, &file);
	}
	r = read_all(s.have->data, to, len, offset);
	return r < 0 ? r : (int)len;
}

/* ---- the beginning ---- */

void live_files_start(struct live_files *f, struct viewer_cursor *c, bool now)
{
	if (c->metadata || !now || !live_catalog_where(f->st, c->stream, &f->where))
		return; /* from the first chunk there is */
	c->serial = f->where.last_serial;
	c->file = f->where.last_file;
	if (c->serial) /* one that is left gets no more */
		c->next =
			f->where.stream.ctf.chunk_serial ? f->where.stream.ctf.records : UINT64_MAX;
}

/* ---- metadata ---- */

struct packet {
	uint64_t size, text; /* bytes: with padding; without the header */
	bool big;
};

static int read_packet(int fd, uint64_t at, uint64_t limit, struct packet *ret)
{
	uint8_t bytes[METADATA_HEADER];
	struct wire_reader r = wire_reader_init(bytes, sizeof(bytes));
	uint32_t magic, content, size;
	int err = read_all(fd, bytes, sizeof(bytes), at);

	if (err < 0)
		return err;
	magic = wire_get_u32(&r);
	ret->big = magic == METADATA_MAGIC;
	if (!ret->big && magic != __builtin_bswap32(METADATA_MAGIC))
		return -EBADMSG;
	wire_skip(&r, 20);
	content = wire_get_u32_as(&r, ret->big) / 8;
	size = wire_get_u32_as(&r, ret->big) / 8;
	if (content < METADATA_HEADER || size < content || size > limit - at)
		return -EBADMSG;
	ret->size = size;
	ret->text = content - METADATA_HEADER;
	return 0;
}

/* The end of a packet whose beginning was sent out of another file: a packet of its own. */
static int read_rest(int fd, uint64_t at, const struct packet *p, uint64_t skip, uint8_t *to,
		     uint32_t max)
{
	uint32_t len = METADATA_HEADER + (uint32_t)(p->text - skip);
	int r;

	if (len > max)
		return -EMSGSIZE;
	if (!to)
		return (int)len;
	r = read_all(fd, to, METADATA_HEADER, at);
	if (r == 0)
		r = read_all(fd, to + METADATA_HEADER, len - METADATA_HEADER,
			     at + METADATA_HEADER + skip);
	wire_set_u32_as(to + 24, len * 8, p->big);
	wire_set_u32_as(to + 28, len * 8, p->big);
	return r < 0 ? r : (int)len;
}

/* Whole packets from *c on, at most max bytes of them; at least one, or -EMSGSIZE. */
static int read_packets(int fd, uint64_t limit, struct viewer_cursor *c, uint8_t *to, uint32_t max)
{
	uint64_t begin, len = 0;
	struct packet p;
	int r;

	while (c->skip && c->next < limit) {
		r = read_packet(fd, c->next, limit, &p);
		if (r < 0)
			return r;
		if (c->skip < p.text) {
			r = read_rest(fd, c->next, &p, c->skip, to, max);
			c->content += p.text - c->skip;
			c->skip = 0;
			c->next += p.size;
			return r;
		}
		c->skip -= p.text;
		c->next += p.size;
	}
	begin = c->next;
	while (c->next < limit) {
		r = read_packet(fd, c->next, limit, &p);
		if (r == 0 && p.size > max - len)
			r = -EMSGSIZE;
		if (r < 0 && !len)
			return r;
		if (r < 0)
			break;
		len += p.size;
		c->content += p.text;
		c->next += p.size;
		if (!to)
			return (int)len;
	}
	r = to ? read_all(fd, to, len, begin) : 0;
	return r < 0 ? r : (int)len;
}

/* The cursor is in the newest file, and that is open: 0; -ENOENT: there is none. */
static int follow_metadata(struct live_files *f, struct live_file *file, struct viewer_cursor *c)
{
	const struct ctf_stream_half *h = &f->where.stream.ctf;
	uint64_t serial = f->where.last_serial;
	struct live_file to = no_file;
	int r;

	if (serial && (c->serial != serial || c->version != h->metadata_version)) {
		/* All of it again, in the new file: what the viewer has is passed over. */
		c->serial = serial;
		c->version = h->metadata_version;
		c->file = f->where.last_file;
		c->next = 0;
		c->skip = c->content;
	}
	if (!c->serial)
		return -ENOENT;
	if (file->data >= 0 && file->serial == c->serial && file->version == c->version)
		return 0;
	to.stream = c->stream;
	to.born = c->born;
	to.serial = c->serial;
	to.version = c->version;
	to.file = c->file;
	to.tracefile_size = f->where.tracefile_size;
	to.tracefile_count = f->where.tracefile_count;
	memcpy(to.name, f->where.name, sizeof(to.name));
	r = open_file(f, file->version == c->version ? file : &no_file, false, &to);
	if (r < 0) {
		shut(&to);
		return r;
	}
	shut(file);
	*file = to;
	return 0;
}

int live_files_metadata(struct live_files *f, uint32_t i, struct viewer_cursor *c, uint8_t *to,
			uint32_t max, bool *ret_over)
{
	struct live_file *file = file_of(f, i, c);
	bool gone = !live_catalog_where(f->st, c->stream, &f->where);
	uint64_t limit, begin;
	struct stat sb;
	int r;

	*ret_over = gone || f->where.over;
	r = gone ? (file->data < 0 ? -ENOENT : 0) : follow_metadata(f, file, c);
	if (r == -ENOENT || r == -EMFILE || r == -ENFILE)
		return 0;
	if (r < 0)
		return r;
	limit = f->where.stream.position;
	if ((gone || !f->where.stream.ctf.chunk) && fstat(file->data, &sb) == 0)
		limit = (uint64_t)sb.st_size;
	begin = c->next;
	if (begin >= limit || (file->nothing_below == limit && file->nothing_at == begin))
		return 0;
	r = read_packets(file->data, limit, c, to, max);
	if (r == 0) {
		file->nothing_at = begin;
		file->nothing_below = limit;
	}
	return r;
}
