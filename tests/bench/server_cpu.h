/* SPDX-License-Identifier: MIT */
/*
 * server_cpu.h - how much processor time other processes have used.
 *
 * Taken from the processes' CPU clocks: nanoseconds, all threads, those that have ended included.
 * (The numbers in /proc/PID/stat are in ticks of 10 ms, too coarse for runs of 100 ms.) Child
 * processes do not count.
 */
#ifndef TESTS_BENCH_SERVER_CPU_H
#define TESTS_BENCH_SERVER_CPU_H

#define SERVER_CPU_MAX 64 /* processes */

struct server_cpu {
	int pids[SERVER_CPU_MAX];
	int count;
};

/* "PID,PID,...". Return 0, or -EINVAL. */
int server_cpu_parse(const char *text, struct server_cpu *ret);

/* Their seconds, added up; negative when one of them is gone. */
double server_cpu_seconds(const struct server_cpu *s);

#endif
