/* SPDX-License-Identifier: MIT */
/* backlog.c - how much the TCP buffers of this machine hold; see backlog.h. */
#include "tests/bench/backlog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int backlog_read(uint64_t *ret)
{
	static int fd = -1;
	char text[1024];
	const char *tcp, *mem;
	ssize_t n;

	if (fd < 0)
		fd = open("/proc/net/sockstat", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = pread(fd, text, sizeof(text) - 1, 0);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	tcp = strstr(text, "TCP:");
	mem = tcp ? strstr(tcp, " mem ") : NULL;
	if (!mem)
		return -ENOTSUP;
	*ret = strtoull(mem + 5, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
	return 0;
}
