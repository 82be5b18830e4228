/* SPDX-License-Identifier: MIT */
/* outputs.c - the files that a server has left below a directory; see outputs.h. */
#include "tests/bench/outputs.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static bool ends_in(const char *name, const char *suffix)
{
	size_t n = strlen(name), m = strlen(suffix);

	return n >= m && strcmp(name + n - m, suffix) == 0;
}

static int walk_directory(const char *path, const char *suffix,
			  int (*each)(const char *path, void *arg), void *arg)
{
	struct dirent *entry;
	DIR *dir = opendir(path);
	int r = 0;

	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while (r == 0 && (entry = readdir(dir))) {
		char below[PATH_MAX];
		struct stat st;

		if (entry->d_name[0] == '.' ||
		    snprintf(below, sizeof(below), "%s/%s", path, entry->d_name) >= PATH_MAX)
			continue;
		if (entry->d_type == DT_UNKNOWN && lstat(below, &st) == 0)
			entry->d_type = S_ISDIR(st.st_mode)   ? DT_DIR
					: S_ISREG(st.st_mode) ? DT_REG
							      : DT_UNKNOWN;
		if (entry->d_type == DT_DIR)
			r = walk_directory(below, suffix, each, arg);
		else if (entry->d_type == DT_REG && ends_in(entry->d_name, suffix))
			r = each(below, arg);
	}
	closedir(dir);
	return r;
}

int outputs_walk(const char *path, const char *suffix, int (*each)(const char *path, void *arg),
		 void *arg)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? walk_directory(path, suffix, each, arg) : each(path, arg);
}
