/* SPDX-License-Identifier: MIT */
/* backlog.c - how much the TCP buffers of this machine hold; see backlog.h. */
#include "tests/bench/backlog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
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

static int64_t monotonic_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int backlog_rest(uint64_t most, int64_t deadline_ns)
{
	uint64_t held;
	int r;

	for (;;) {
		r = backlog_read(&held);
		if (r < 0)
			return r;
		if (held <= most || monotonic_ns() > deadline_ns)
			return 0;
		nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
	}
}
