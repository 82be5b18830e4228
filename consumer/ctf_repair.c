/* SPDX-License-Identifier: MIT */
/* ctf_repair.c - see ctf_repair.h. */
#include "consumer/ctf_repair.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/ctf_place.h"
#include "common/log.h"
#include "common/wire.h"
#include "consumer/ctf_internal.h"
#include "consumer/ctf_repair_record.h"

#define DEPTH_MAX    24 /* directories in one another */
#define HIDDEN       ".chunk-"
#define INDEX_HEADER ((unsigned)CTF_REPAIR_INDEX_HEADER)
#define INDEX_MAGIC  0xC1F1DCC1u

static bool older(const struct stat *sb, int64_t before_ns)
{
	return (int64_t)sb->st_mtim.tv_sec * 1000000000 + sb->st_mtim.tv_nsec < before_ns;
}

uint32_t ctf_repair_record_length(int index)
{
	uint8_t head[INDEX_HEADER];
	struct wire_reader r = wire_reader_init(head, sizeof(head));
	uint32_t magic, length;

	if (pread(index, head, sizeof(head), 0) != (ssize_t)sizeof(head))
		return 0;
	magic = wire_get_u32(&r);
	(void)wire_get_u32(&r);
	(void)wire_get_u32(&r);
	length = wire_get_u32(&r);
	return magic == INDEX_MAGIC && length >= 16 && length <= 4096 ? length : 0;
}

/* Cut both to the last record whose packet is whole. */
static void cut(int data, int index)
{
	uint32_t length = ctf_repair_record_length(index);
	struct stat ds, is;
	uint64_t n, end = 0;

	if (fstat(data, &ds) < 0 || fstat(index, &is) < 0 || !S_ISREG(ds.st_mode))
		return;
	n = length && is.st_size > (off_t)INDEX_HEADER
		    ? ((uint64_t)is.st_size - INDEX_HEADER) / length
		    : 0;
	for (; n; n--) {
		uint8_t record[16];
		struct wire_reader r = wire_reader_init(record, sizeof(record));
		uint64_t offset, size;

		if (pread(index, record, sizeof(record),
			  (off_t)(INDEX_HEADER + (n - 1) * length)) != (ssize_t)sizeof(record))
			return;
		offset = wire_get_u64(&r);
		size = wire_get_u64(&r) / 8; /* told in bits */
		if (offset <= (uint64_t)ds.st_size && size <= (uint64_t)ds.st_size - offset) {
			end = offset + size;
			break;
		}
	}
	if (!length)
		return;
	if (ftruncate(index, (off_t)(INDEX_HEADER + n * length)) < 0 ||
	    ((uint64_t)ds.st_size > end && ftruncate(data, (off_t)end) < 0))
		log_error("repair", "a stream file cannot be cut back: %s", strerror(errno));
}

/* The index file of a stream file, both in the directory that holds index/. */
static void repair_stream(int dir, int index_dir, const char *name, int64_t before_ns)
{
	char stream[NAME_MAX + 1];
	size_t len = strlen(name);
	struct stat sb;
	int index, data;

	if (len <= 4 || strcmp(name + len - 4, ".idx") != 0)
		return;
	memcpy(stream, name, len - 4);
	stream[len - 4] = '\0';
	index = openat(index_dir, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (index < 0)
		return;
	data = openat(dir, stream, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (data >= 0 && fstat(index, &sb) == 0 && older(&sb, before_ns))
		cut(data, index);
	if (data >= 0)
		close(data);
	close(index);
}

static int open_dir(int at, const char *name)
{
	return openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* All of index/ in this directory. */
static void repair_indexes(int dir, int64_t before_ns)
{
	int fd = open_dir(dir, "index");
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!list) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((e = readdir(list)))
		repair_stream(dir, dirfd(list), e->d_name, before_ns);
	closedir(list);
}

/* ---- metadata ---- */

#define METADATA_MAGIC  0x75D11D57u
#define METADATA_HEADER 37u

/* Bytes of the metadata packet that stands there, or 0: none does. */
static uint64_t metadata_packet(int fd, uint64_t at)
{
	uint8_t head[METADATA_HEADER];
	struct wire_reader r = wire_reader_init(head, sizeof(head));
	uint32_t magic, bits;

	if (pread(fd, head, sizeof(head), (off_t)at) != (ssize_t)sizeof(head))
		return 0;
	magic = wire_get_u32(&r);
	wire_skip(&r, 16 + 4 + 4); /* uuid, checksum, content_size */
	bits = wire_get_u32(&r);
	if (magic == __builtin_bswap32(METADATA_MAGIC)) /* of the tracer's byte order */
		bits = __builtin_bswap32(bits);
	else if (magic != METADATA_MAGIC)
		return 0;
	return bits / 8 >= METADATA_HEADER ? bits / 8 : 0;
}

/* Text without packets stays as it is. */
static void repair_metadata(int dir, int64_t before_ns)
{
	int fd = openat(dir, "metadata", O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	uint64_t end = 0, n;
	struct stat sb;

	if (fd < 0)
		return;
	if (fstat(fd, &sb) == 0 && S_ISREG(sb.st_mode) && older(&sb, before_ns)) {
		while ((n = metadata_packet(fd, end)) && n <= (uint64_t)sb.st_size - end)
			end += n;
		if (end && end < (uint64_t)sb.st_size && ftruncate(fd, (off_t)end) < 0)
			log_error("repair", "metadata cannot be cut back: %s", strerror(errno));
	}
	close(fd);
}

/* ---- directories ---- */

/* A hidden chunk: into its session directory, if that is free, else beside the others. */
static void come_out(int dir, const char *name)
{
	char place[CTF_PLACE_CHUNK];
	struct stat sb;
	int r;

	if (!ctf_tree_holds_chunk(dir, "")) {
		r = ctf_tree_move(dir, name, "", false);
		if (r == 0)
			r = ctf_tree_remove(dir, name);
	} else {
		if (fstatat(dir, name, &sb, AT_SYMLINK_NOFOLLOW) < 0)
			return;
		ctf_place_open(sb.st_mtim.tv_sec, strtoull(name + strlen(HIDDEN), NULL, 10), place);
		r = ctf_tree_move(dir, name, place, true);
	}
	if (r < 0)
		log_error("repair", "the chunk %s cannot be moved: %s", name, strerror(-r));
}

/* The oldest first: it may take the session directory. */
static void all_come_out(int dir, DIR *list)
{
	for (;;) {
		char first[NAME_MAX + 1] = "";
		uint64_t least = UINT64_MAX;
		struct dirent *e;

		rewinddir(list);
		while ((e = readdir(list))) {
			uint64_t n;

			if (strncmp(e->d_name, HIDDEN, strlen(HIDDEN)) != 0)
				continue;
			n = strtoull(e->d_name + strlen(HIDDEN), NULL, 10);
			if (n < least) {
				least = n;
				snprintf(first, sizeof(first), "%s", e->d_name);
			}
		}
		if (!*first)
			return;
		come_out(dir, first);
		if (faccessat(dir, first, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			return; /* it stays; said above */
	}
}

static bool mark_here(DIR *list, int64_t before_ns, char mark[NAME_MAX + 1])
{
	struct dirent *e;
	struct stat sb;
	bool found = false;

	while (!found && (e = readdir(list))) {
		if (strncmp(e->d_name, CTF_REPAIR_MARK, strlen(CTF_REPAIR_MARK)) != 0 ||
		    fstatat(dirfd(list), e->d_name, &sb, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		found = S_ISREG(sb.st_mode) && older(&sb, before_ns);
		if (found)
			snprintf(mark, NAME_MAX + 1, "%s", e->d_name);
	}
	rewinddir(list);
	return found;
}

/* What was kept for viewers: cleared chunks, tracefiles whose names came again. */
static bool left_for_viewers(const char *name)
{
	const char *end = strrchr(name, '.');

	return strncmp(name, ".cleared-", 9) == 0 ||
	       (name[0] == '.' && end &&
		(strcmp(end, ".gone") == 0 ||
		 (end - name > 5 && strcmp(end - 5, ".gone.idx") == 0)));
}

/* @head: below a mark, what it says, else NULL. Takes the descriptor over. Returns session
 * directories repaired. */
static unsigned walk(int fd, json_t *head, unsigned depth, int64_t before_ns)
{
	DIR *list = fdopendir(fd);
	char mark[NAME_MAX + 1];
	struct dirent *e;
	unsigned n = 0;
	bool marked;

	if (!list) {
		close(fd);
		return 0;
	}
	marked = mark_here(list, before_ns, mark);
	if (marked)
		head = ctf_repair_record_head(dirfd(list), mark);
	if (head) {
		repair_indexes(dirfd(list), before_ns);
		repair_metadata(dirfd(list), before_ns);
	}
	while (depth && (e = readdir(list))) {
		int below;

		if (head && left_for_viewers(e->d_name)) {
			(void)ctf_tree_remove_at(dirfd(list), e->d_name);
			continue;
		}
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
		    (e->d_type != DT_DIR && e->d_type != DT_UNKNOWN))
			continue;
		below = open_dir(dirfd(list), e->d_name);
		if (below >= 0)
			n += walk(below, head, depth - 1, before_ns);
	}
	if (head && ctf_repair_record(dirfd(list), head) < 0)
		log_error("repair", "a chunk's record cannot be written: %s", strerror(errno));
	if (marked) {
		all_come_out(dirfd(list), list);
		json_decref(head);
		unlinkat(dirfd(list), mark, 0); /* last: a repair that was cut short is repeated */
		n++;
	}
	closedir(list);
	return n;
}

unsigned ctf_repair_run(int output_fd, int64_t before_ns)
{
	int fd = open_dir(output_fd, ".");

	return fd < 0 ? 0 : walk(fd, NULL, DEPTH_MAX, before_ns);
}
