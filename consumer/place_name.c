/* SPDX-License-Identifier: MIT */
/* place_name.c - harmless names of directories, and making them; see place_name.h. */
#include "consumer/place_name.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#define DIRECTORY_MODE 0750
#define PATH_BYTES     512

static bool harmless(char c, bool first)
{
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_')
		return true;
	return !first && (c == '.' || c == '-');
}

void place_name_safe(const char *from, char *to, size_t cap)
{
	size_t n;

	for (n = 0; from[n] && n + 1 < cap; n++)
		to[n] = harmless(from[n], n == 0) ? from[n] : '_';
	to[n] = '\0';
}

int place_name_make(int output_fd, const char *dir)
{
	size_t len = strlen(dir);
	char path[PATH_BYTES];

	if (len >= sizeof(path))
		return -ENAMETOOLONG;
	memcpy(path, dir, len + 1);
	if (mkdirat(output_fd, path, DIRECTORY_MODE) == 0 || errno == EEXIST)
		return 0;
	if (errno != ENOENT) /* of its parents */
		return -errno;
	for (size_t i = 1; i <= len; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		path[i] = '\0';
		if (mkdirat(output_fd, path, DIRECTORY_MODE) < 0 && errno != EEXIST)
			return -errno;
		path[i] = dir[i];
	}
	return 0;
}
