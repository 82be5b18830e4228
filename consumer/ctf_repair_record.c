/* SPDX-License-Identifier: MIT */
/*
 * ctf_repair_record.c - see ctf_repair_record.h.
 *
 * What was received and discarded died with the state memory: null. What is stored is what the
 * files hold, packets are what their indexes count.
 */
#include "consumer/ctf_repair_record.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/discard.h"
#include "consumer/ctf_record.h"
#include "consumer/ctf_repair.h"

#define DEPTH_MAX 16
#define HEAD_MAX  4096 /* bytes of a mark */
#define WHY       "both daemons were killed; what had arrived was kept"

struct survey {
	json_t *streams;
	uint64_t bytes;
	bool packets, metadata; /* anything of either is there */
};

json_t *ctf_repair_record_head(int dir, const char *mark)
{
	char text[HEAD_MAX];
	int fd = openat(dir, mark, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text));
	json_t *head = n > 0 ? json_loadb(text, (size_t)n, 0, NULL) : NULL;

	if (fd >= 0)
		close(fd);
	if (json_is_object(head))
		return head;
	json_decref(head);
	head = json_object();
	if (head)
		json_object_set_new(head, "format", json_integer(1));
	if (head)
		json_object_set_new(
			head, "source",
			json_integer(strtoll(mark + strlen(CTF_REPAIR_MARK), NULL, 10)));
	return head;
}

static json_t *nothing_known(void)
{
	json_t *json = json_object();

	for (unsigned i = 0; json && i < DISCARD_COUNT; i++)
		json_object_set_new(json, discard_name((enum discard)i), json_null());
	return json;
}

/* The packets that the stream's index file counts, or null. */
static json_t *packets(int dir, const char *name)
{
	char index[NAME_MAX + 16];
	struct stat sb;
	uint32_t length;
	int fd;

	snprintf(index, sizeof(index), "index/%s.idx", name);
	fd = openat(dir, index, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	length = fd < 0 ? 0 : ctf_repair_record_length(fd);
	if (fd < 0 || fstat(fd, &sb) < 0)
		length = 0;
	if (fd >= 0)
		close(fd);
	return length ? json_integer((sb.st_size - CTF_REPAIR_INDEX_HEADER) / length) : json_null();
}

static void add_stream(struct survey *s, int dir, const char *path, const char *name, off_t size)
{
	bool metadata = strcmp(name, "metadata") == 0;
	json_t *json = json_object();

	s->bytes += (uint64_t)size;
	s->packets = s->packets || (!metadata && size);
	s->metadata = s->metadata || (metadata && size);
	if (!json)
		return;
	json_object_set_new(json, "path", json_string(path));
	json_object_set_new(json, "name", json_string(name));
	json_object_set_new(json, "metadata", json_boolean(metadata));
	json_object_set_new(json, "received", json_null());
	json_object_set_new(json, "stored", json_integer(size));
	json_object_set_new(json, "discarded", nothing_known());
	json_object_set_new(json, "packets", packets(dir, name));
	json_object_set_new(json, "lost_events", json_null());
	json_object_set_new(json, "lost_packets", json_null());
	json_object_set_new(json, "lost_packets_at_start", json_null());
	json_array_append_new(s->streams, json);
}

/* All stream files below; takes the descriptor over. */
static void look_through(struct survey *s, int fd, const char *path, unsigned depth)
{
	DIR *list = fdopendir(fd);
	struct dirent *e;

	if (!list) {
		close(fd);
		return;
	}
	while (depth && (e = readdir(list))) {
		char below[PATH_MAX];
		struct stat sb;
		int n;

		if (e->d_name[0] == '.' || strcmp(e->d_name, "index") == 0 ||
		    fstatat(dirfd(list), e->d_name, &sb, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISREG(sb.st_mode))
			add_stream(s, dirfd(list), path, e->d_name, sb.st_size);
		n = snprintf(below, sizeof(below), "%s/%s", path, e->d_name);
		if (!S_ISDIR(sb.st_mode) || n >= (int)sizeof(below))
			continue;
		fd = openat(dirfd(list), e->d_name,
			    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0)
			look_through(s, fd, below, depth - 1);
	}
	closedir(list);
}

int ctf_repair_record(int dir, const json_t *head)
{
	static const char *const tops[] = {"ust", "kernel"};
	struct survey s = {.streams = json_array()};
	json_t *json = json_deep_copy(head);
	bool found = false;
	char *content;
	int r = -ENOMEM;

	for (unsigned i = 0; i < 2; i++) {
		int fd = openat(dir, tops[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		found = found || fd >= 0;
		if (fd >= 0)
			look_through(&s, fd, tops[i], DEPTH_MAX);
	}
	if (!found || faccessat(dir, CTF_RECORD_NAME, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
		r = 0;
		goto out;
	}
	if (!json || !s.streams)
		goto out;
	json_object_set_new(json, "closed", json_integer((json_int_t)time(NULL)));
	json_object_set_new(json, "bytes", json_integer((json_int_t)s.bytes));
	json_object_set_new(json, "complete", json_false());
	json_object_set_new(json, "why", json_string(WHY));
	if (s.packets && !s.metadata)
		json_object_set_new(json, "metadata", json_string("missing"));
	json_object_set(json, "streams", s.streams);
	content = json_dumps(json, JSON_INDENT(1));
	r = content ? ctf_record_put(dir, CTF_RECORD_NAME, content) : -ENOMEM;
	free(content);
out:
	json_decref(s.streams);
	json_decref(json);
	return r;
}
