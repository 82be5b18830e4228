/* SPDX-License-Identifier: MIT */
/*
 * ctf_tree.c - directories as wholes: moved and removed, always below the output directory.
 *
 * Every step finds what a killed one left: a source that is gone was moved, one that is missing was
 * removed.
 */
#include "consumer/ctf_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define DEPTH_MAX 64 /* of directories in one another */

static const char *const contents[] = {"ust", "kernel", "chunk.json"};

/* Takes the descriptor over. */
static int empty_dir(int fd, unsigned depth)
{
	DIR *dir = fdopendir(fd);
	struct dirent *e;
	int r = 0;

	if (!dir) {
		r = -errno;
		close(fd);
		return r;
	}
	while (r == 0 && (e = readdir(dir))) {
		int below;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (unlinkat(dirfd(dir), e->d_name, 0) == 0 || errno == ENOENT)
			continue;
		if (errno != EISDIR && errno != EPERM) {
			r = -errno;
			break;
		}
		below = openat(dirfd(dir), e->d_name,
			       O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		r = below < 0 ? -errno : depth ? empty_dir(below, depth - 1) : -ELOOP;
		if (r == 0 && unlinkat(dirfd(dir), e->d_name, AT_REMOVEDIR) < 0)
			r = -errno;
	}
	closedir(dir);
	return r;
}

static int parent_open(int output_fd, const char *dir, bool make, const char **ret_name)
{
	char parent[CTF_DIR];
	const char *slash = strrchr(dir, '/');
	size_t len = slash ? (size_t)(slash - dir) : 0;

	*ret_name = slash ? slash + 1 : dir;
	if (len >= sizeof(parent))
		return -ENAMETOOLONG;
	memcpy(parent, dir, len);
	parent[len] = '\0';
	return ctf_dir_open(output_fd, parent, make);
}

int ctf_tree_remove_at(int at, const char *name)
{
	int fd;

	if (unlinkat(at, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	fd = empty_dir(fd, DEPTH_MAX);
	if (fd < 0)
		return fd;
	return unlinkat(at, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

int ctf_tree_remove(int output_fd, const char *dir)
{
	const char *name;
	int at = parent_open(output_fd, dir, false, &name), r;

	if (at < 0)
		return at == -ENOENT ? 0 : at;
	r = ctf_tree_remove_at(at, name);
	close(at);
	return r;
}

int ctf_tree_remove_contents(int output_fd, const char *dir)
{
	int at = ctf_dir_open(output_fd, dir, false), r = 0;

	if (at < 0)
		return at == -ENOENT ? 0 : at;
	for (unsigned i = 0; r == 0 && i < sizeof(contents) / sizeof(*contents); i++)
		r = ctf_tree_remove_at(at, contents[i]);
	close(at);
	return r;
}

bool ctf_tree_holds_chunk(int output_fd, const char *dir)
{
	int at = ctf_dir_open(output_fd, dir, false);
	bool found = false;

	if (at < 0)
		return false;
	for (unsigned i = 0; i < sizeof(contents) / sizeof(*contents); i++)
		found = found || faccessat(at, contents[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	close(at);
	return found;
}

static int move_whole(int output_fd, const char *from, const char *to)
{
	const char *from_name, *to_name;
	int at = parent_open(output_fd, from, false, &from_name), into, r = 0;

	if (at < 0)
		return at == -ENOENT ? 0 : at;
	into = parent_open(output_fd, to, true, &to_name);
	if (into < 0) {
		close(at);
		return into;
	}
	/* ENOENT: done before, or nothing was ever in it. */
	if (renameat2(at, from_name, into, to_name, RENAME_NOREPLACE) < 0 && errno != ENOENT)
		r = -errno;
	close(at);
	close(into);
	return r;
}

static int move_contents(int output_fd, const char *from, const char *to)
{
	int at = ctf_dir_open(output_fd, from, false), into, r = 0;

	if (at < 0)
		return at == -ENOENT ? 0 : at;
	into = ctf_dir_open(output_fd, to, true);
	if (into < 0) {
		close(at);
		return into;
	}
	for (unsigned i = 0; r == 0 && i < sizeof(contents) / sizeof(*contents); i++)
		if (renameat2(at, contents[i], into, contents[i], RENAME_NOREPLACE) < 0 &&
		    errno != ENOENT)
			r = -errno;
	close(at);
	close(into);
	return r;
}

int ctf_tree_move(int output_fd, const char *from, const char *to, bool whole)
{
	return whole ? move_whole(output_fd, from, to) : move_contents(output_fd, from, to);
}
