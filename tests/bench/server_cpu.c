/* SPDX-License-Identifier: MIT */
/* server_cpu.c - how much processor time other processes have used; see server_cpu.h. */
#include "tests/bench/server_cpu.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <time.h>

int server_cpu_parse(const char *text, struct server_cpu *ret)
{
	struct server_cpu s = {.count = 0};

	for (;;) {
		char *end;
		long pid = strtol(text, &end, 10);

		if (end == text || pid < 1 || pid > INT_MAX || s.count == SERVER_CPU_MAX)
			return -EINVAL;
		s.pids[s.count++] = (int)pid;
		if (!*end)
			break;
		if (*end != ',')
			return -EINVAL;
		text = end + 1;
	}
	*ret = s;
	return 0;
}

double server_cpu_seconds(const struct server_cpu *s)
{
	double sum = 0;

	for (int i = 0; i < s->count; i++) {
		clockid_t clock;
		struct timespec t;

		if (clock_getcpuclockid(s->pids[i], &clock) != 0 || clock_gettime(clock, &t) < 0)
			return -1;
		sum += (double)t.tv_sec + (double)t.tv_nsec / 1e9;
	}
	return sum;
}
