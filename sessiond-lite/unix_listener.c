/* SPDX-License-Identifier: MIT */
/* unix_listener.c - bind under a strict umask, then chmod, then listen. */
#include "sessiond-lite/unix_listener.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 128

int unix_listener_open(const char *dir, const char *name, mode_t mode, int *ret_fd)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	mode_t umask_before;
	int fd, r;

	if ((size_t)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/%s", dir, name) >=
	    sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (unlink(sa.sun_path) < 0 && errno != ENOENT) {
		r = -errno;
		goto fail;
	}
	umask_before = umask(0177);
	r = bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ? -errno : 0;
	umask(umask_before);
	if (r < 0)
		goto fail;
	if (chmod(sa.sun_path, mode) < 0 || listen(fd, BACKLOG) < 0) {
		r = -errno;
		(void)unlink(sa.sun_path);
		goto fail;
	}
	*ret_fd = fd;
	return 0;
fail:
	close(fd);
	return r;
}
