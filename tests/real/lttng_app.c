/* SPDX-License-Identifier: MIT */
/*
 * lttng_app.c - a traced program that does what it is told: `lttng_app NAME`, then lines on stdin.
 *
 *	emit N [PAUSE]  N events more, PAUSE microseconds after each; answered with how many there
 *	                have been in all
 *	quit
 *	until FILE PAUSE  events until FILE exists; answered the same way
 *
 * Its events say "id=NAME n=COUNTER": the counter counts from 0 without gaps.
 */
#include <lttng/tracef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static unsigned long emitted;

static void emit(const char *name, unsigned pause_us)
{
	lttng_ust_tracef("id=%s n=%lu", name, emitted);
	emitted++;
	if (pause_us)
		usleep(pause_us);
}

int main(int argc, char **argv)
{
	char line[256], file[200];
	unsigned long count;
	unsigned pause_us;

	if (argc != 2)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("ready");
	while (fgets(line, sizeof(line), stdin)) {
		pause_us = 0;
		if (strcmp(line, "quit\n") == 0)
			break;
		if (sscanf(line, "emit %lu %u", &count, &pause_us) >= 1) {
			while (count--)
				emit(argv[1], pause_us);
		} else if (sscanf(line, "until %199s %u", file, &pause_us) == 2) {
			while (access(file, F_OK) != 0)
				emit(argv[1], pause_us);
		} else {
			return 2;
		}
		printf("%lu\n", emitted);
	}
	return 0;
}
