/* SPDX-License-Identifier: MIT */
/*
 * ctf_file.c - names, directories and descriptors of stream and index files.
 *
 * A worker keeps at most lttng_open_files descriptors of them; the one that was used longest ago
 * is closed for another. No link is followed on the way from the output directory to a file.
 */
#include "consumer/ctf_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/ctf_place.h"

#define DIRECTORY_MODE 0750
#define FILE_MODE      0640
#define DIR_PATH       (CTF_DIR + CTF_PATH + 16)

/* A component is "." or "..", or too long. */
static bool odd(const char *path)
{
	for (;;) {
		size_t len = strcspn(path, "/");

		if (len > NAME_MAX ||
		    (path[0] == '.' && (len == 1 || (len == 2 && path[1] == '.'))))
			return true;
		if (!path[len])
			return false;
		path += len + 1;
	}
}

/* In one call, where the kernel can (5.6) and nothing is in the way. -1: step by step, then. */
static int open_at_once(int output_fd, const char *path, int flags)
{
	struct open_how how = {.flags = (uint64_t)flags | O_CLOEXEC,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};

	return odd(path) ? -1 : (int)syscall(SYS_openat2, output_fd, path, &how, sizeof(how));
}

static int walk(int output_fd, const char *dir, bool make)
{
	int at = openat(output_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char name[NAME_MAX + 1];

	if (at < 0)
		return -errno;
	for (const char *from = dir; *from;) {
		size_t len = strcspn(from, "/");
		int next;

		if (!len) {
			from++;
			continue;
		}
		memcpy(name, from, len);
		name[len] = '\0';
		from += len;
		next = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0 && errno == ENOENT && make) {
			if (mkdirat(at, name, DIRECTORY_MODE) < 0 && errno != EEXIST) {
				next = -errno;
				close(at);
				return next;
			}
			next = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		}
		if (next < 0) {
			next = -errno;
			close(at);
			return next;
		}
		close(at);
		at = next;
	}
	return at;
}

int ctf_dir_open(int output_fd, const char *dir, bool make)
{
	int fd;

	if (odd(dir))
		return -EINVAL;
	fd = *dir ? open_at_once(output_fd, dir, O_RDONLY | O_DIRECTORY) : -1;
	return fd >= 0 ? fd : walk(output_fd, dir, make);
}

const char *ctf_stream_path(const struct ctf_stream *t)
{
	const char *path = ctf_place_stream(t->source->ctf->minor, t->ctf->path);

	return path ? path : "";
}

/* Below output.dir; of at most DIR_PATH bytes. */
static void dir_path(const struct ctf_stream *t, uint32_t chunk, bool index, char *path)
{
	const struct ctf_source_half *h = ctf_source_now(t->source->ctf);

	snprintf(path, DIR_PATH, "%s/%s%s", h->chunk[chunk - 1].dir, ctf_stream_path(t),
		 index ? "/index" : "");
}

int ctf_stream_dir(const struct ctf_stream *t, uint32_t chunk, bool index, bool make)
{
	char dir[DIR_PATH];

	if (!chunk)
		return -ENOENT;
	dir_path(t, chunk, index, dir);
	return ctf_dir_open(t->source->worker->config.output_fd, dir, make);
}

void ctf_stream_file_name(const struct ctf_stream *t, uint64_t number, bool index, char *name,
			  size_t cap)
{
	const char *suffix = index ? ".idx" : "";

	if (!t->ctf->tracefile_size || t->ctf->metadata) {
		snprintf(name, cap, "%s%s", t->ctf->name, suffix);
		return;
	}
	if (t->ctf->tracefile_count)
		number %= t->ctf->tracefile_count;
	snprintf(name, cap, "%s_%llu%s", t->ctf->name, (unsigned long long)number, suffix);
}

/* A file that is likely to be there; negative: it is not, or not in one call. */
static int reopen(const struct ctf_stream *t, uint32_t chunk, uint64_t number, bool index)
{
	char path[DIR_PATH + CTF_NAME + 33];
	size_t len;

	if (!chunk)
		return -1;
	dir_path(t, chunk, index, path);
	len = strlen(path);
	path[len++] = '/';
	ctf_stream_file_name(t, number, index, path + len, CTF_NAME + 32);
	return open_at_once(t->source->worker->config.output_fd, path, O_RDWR);
}

/* ---- the bound on descriptors ---- */

void ctf_file_forget(struct worker *w, struct ctf_file *f)
{
	if (f->fd < 0)
		return;
	close(f->fd);
	f->fd = -1;
	cds_list_del(&f->node);
	w->ctf_open--;
}

static int keep(struct worker *w, struct ctf_file *f, int fd, uint64_t serial, uint64_t number)
{
	unsigned limit = w->config.lttng_open_files ? w->config.lttng_open_files : CTF_OPEN_FILES;

	while (w->ctf_open >= limit && !cds_list_empty(&w->ctf_files))
		ctf_file_forget(w, cds_list_first_entry(&w->ctf_files, struct ctf_file, node));
	*f = (struct ctf_file){.fd = fd, .serial = serial, .number = number};
	cds_list_add_tail(&f->node, &w->ctf_files);
	w->ctf_open++;
	return fd;
}

static bool known(struct worker *w, struct ctf_file *f, uint64_t serial, uint64_t number)
{
	if (f->fd < 0)
		return false;
	if (f->serial != serial || f->number != number) {
		ctf_file_forget(w, f);
		return false;
	}
	cds_list_del(&f->node);
	cds_list_add_tail(&f->node, &w->ctf_files);
	return true;
}

/* ---- files ---- */

static bool is_ring(const struct ctf_stream *t)
{
	return t->ctf->tracefile_size && t->ctf->tracefile_count && !t->ctf->metadata;
}

/* With viewers a file that had its turn stays for one turn more: see ctf_place_gone(). If that
 * name is taken, the step was done before a kill, and the file is the new one. */
static void move_away(const struct ctf_stream *t, int dir, bool index, uint64_t number)
{
	uint64_t count = t->ctf->tracefile_count;
	char name[CTF_NAME + 32], gone[CTF_NAME + 48];

	ctf_stream_file_name(t, number, index, name, sizeof(name));
	if (number > count) {
		ctf_place_gone(t->ctf->name, number - count - 1, index, gone, sizeof(gone));
		unlinkat(dir, gone, 0);
	}
	ctf_place_gone(t->ctf->name, number - count, index, gone, sizeof(gone));
	if (atomic_load(&t->source->ctf->viewed) &&
	    renameat2(dir, name, dir, gone, RENAME_NOREPLACE) == 0)
		return;
	unlinkat(dir, name, 0);
}

/* The name may be that of a tracefile that has had its turn. */
static void make_way(const struct ctf_stream *t, uint32_t chunk, uint64_t number, int dir)
{
	int index;

	if (!is_ring(t) || number < t->ctf->tracefile_count)
		return;
	move_away(t, dir, false, number);
	index = ctf_stream_dir(t, chunk, true, false);
	if (index < 0)
		return;
	move_away(t, index, true, number);
	close(index);
}

void ctf_file_sweep(const struct ctf_stream *t, uint32_t chunk, uint64_t last)
{
	char gone[CTF_NAME + 48];

	if (!is_ring(t) || last < t->ctf->tracefile_count)
		return;
	for (int index = 0; index < 2; index++) {
		int dir = ctf_stream_dir(t, chunk, index, false);

		if (dir < 0)
			continue;
		ctf_place_gone(t->ctf->name, last - t->ctf->tracefile_count, index, gone,
			       sizeof(gone));
		unlinkat(dir, gone, 0);
		close(dir);
	}
}

/* A file of that name with anything in it is somebody else's. One without was made by us, before a
 * kill. */
static int create(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
	struct stat sb;

	if (fd >= 0 || errno != EEXIST)
		return fd < 0 ? -errno : fd;
	fd = openat(dir, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &sb) < 0 || !S_ISREG(sb.st_mode) || sb.st_size) {
		close(fd);
		return -EEXIST;
	}
	return fd;
}

int ctf_file_data(struct ctf_stream *t)
{
	const struct ctf_stream_half *c = &stream_now(t->slot)->ctf;
	struct worker *w = t->source->worker;
	char name[CTF_NAME + 32];
	struct stream_half *h;
	int dir, fd;

	if (!c->chunk)
		return -ENOENT;
	if (known(w, &t->data, c->chunk_serial, c->file))
		return t->data.fd;
	fd = c->file_made ? reopen(t, c->chunk, c->file, false) : -1;
	if (fd >= 0)
		return keep(w, &t->data, fd, c->chunk_serial, c->file);
	dir = ctf_stream_dir(t, c->chunk, false, !c->file_made);
	if (dir < 0)
		return dir;
	ctf_stream_file_name(t, c->file, false, name, sizeof(name));
	if (c->file_made) {
		fd = openat(dir, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
		fd = fd < 0 ? -errno : fd;
	} else {
		make_way(t, c->chunk, c->file, dir);
		fd = create(dir, name);
	}
	close(dir);
	if (fd < 0)
		return fd;
	if (!c->file_made) {
		h = stream_begin(t->slot);
		h->ctf.file_made = 1;
		stream_commit(t->slot);
		c = &stream_now(t->slot)->ctf;
	}
	return keep(w, &t->data, fd, c->chunk_serial, c->file);
}

int ctf_file_index(struct ctf_stream *t, uint32_t chunk, uint64_t serial, uint64_t number)
{
	struct worker *w = t->source->worker;
	char name[CTF_NAME + 32];
	int dir, fd;

	if (known(w, &t->index, serial, number))
		return t->index.fd;
	fd = reopen(t, chunk, number, true);
	if (fd >= 0)
		return keep(w, &t->index, fd, serial, number);
	dir = ctf_stream_dir(t, chunk, true, true);
	if (dir < 0)
		return dir;
	ctf_stream_file_name(t, number, true, name, sizeof(name));
	fd = openat(dir, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
	if (fd < 0)
		fd = -errno;
	close(dir);
	return fd < 0 ? fd : keep(w, &t->index, fd, serial, number);
}
