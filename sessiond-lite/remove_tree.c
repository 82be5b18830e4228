/* SPDX-License-Identifier: MIT */
/* remove_tree.c - depth first, by descriptors: each directory is opened from its parent's. */
#include "sessiond-lite/remove_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Directories nested; a descriptor each. Our layouts use fewer than ten. */
#define DEPTH_MAX 64

struct removal {
	const atomic_bool *cancel;
	dev_t device;
	char path[4096]; /* of what is in hand */
};

/* How often a directory is read again because something new appeared in it meanwhile. */
#define PASSES 3

static int remove_entry(struct removal *r, int parent, const char *name, unsigned depth);

/* Everything in a directory. @fd: taken over */
static int remove_inside(struct removal *r, int fd, unsigned depth)
{
	DIR *d = fdopendir(fd);
	struct dirent *e;
	int error = 0;

	if (!d) {
		error = -errno;
		close(fd);
		return error;
	}
	while (error == 0) {
		errno = 0;
		e = readdir(d);
		if (!e) {
			error = -errno;
			break;
		}
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			error = remove_entry(r, fd, e->d_name, depth);
	}
	closedir(d);
	return error;
}

/* @depth  0: the tree itself, which is removed only if it is a directory */
static int remove_directory(struct removal *r, int parent, const char *name, unsigned depth)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat sb;
	int error;

	if (fd < 0)
		return -errno;
	error = fstat(fd, &sb) < 0 ? -errno : 0;
	if (error == 0 && depth && sb.st_dev != r->device)
		error = -EXDEV;
	if (error == 0 && depth == DEPTH_MAX)
		error = -ELOOP;
	if (error < 0) {
		close(fd);
		return error;
	}
	r->device = sb.st_dev;
	error = remove_inside(r, fd, depth + 1);
	if (error == 0 && unlinkat(parent, name, AT_REMOVEDIR) < 0)
		error = -errno;
	return error;
}

static int remove_one(struct removal *r, int parent, const char *name, unsigned depth)
{
	int error = -EISDIR;

	if (depth)
		error = unlinkat(parent, name, 0) < 0 ? -errno : 0;
	for (int pass = 0; error == -EISDIR || (error == -ENOTEMPTY && pass < PASSES); pass++)
		error = remove_directory(r, parent, name, depth);
	return error == -ENOENT ? 0 : error;
}

static int remove_entry(struct removal *r, int parent, const char *name, unsigned depth)
{
	size_t len = strlen(r->path);
	int error;

	if (r->cancel && atomic_load(r->cancel))
		return -ECANCELED;
	if (len + 1 + strlen(name) >= sizeof(r->path))
		return -ENAMETOOLONG;
	sprintf(r->path + len, "%s%s", len ? "/" : "", name);
	error = remove_one(r, parent, name, depth);
	if (error == 0)
		r->path[len] = '\0'; /* else it tells where */
	return error;
}

int remove_tree(int parent_fd, const char *name, const atomic_bool *cancel, char *ret_at,
		size_t ret_at_size)
{
	struct removal r = {.cancel = cancel};
	int error;

	if (!*name || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, ".."))
		return -EINVAL;
	error = remove_entry(&r, parent_fd, name, 0);
	if (error < 0)
		snprintf(ret_at, ret_at_size, "%s", r.path);
	return error;
}
