/* SPDX-License-Identifier: MIT */
/*
 * main.c - relayd, the data plane. Started by sessiond-lite only, with one end of the link.
 *
 * It may die at any instruction: what the next one needs is in the state memory, and sessiond-lite
 * holds every descriptor (doc/architecture.md, "Crash-only").
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <urcu.h>

#include "common/log.h"
#include "relayd/relay.h"

static void usage(FILE *out)
{
	fputs("usage: relayd --link FD\n"
	      "relayd is started by sessiond-lite; start that instead.\n",
	      out);
}

int main(int argc, char **argv)
{
	static struct relay relay;
	char *end;
	long fd;

	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		usage(stdout);
		return EXIT_SUCCESS;
	}
	if (argc != 3 || strcmp(argv[1], "--link") != 0) {
		usage(stderr);
		return 2;
	}
	fd = strtol(argv[2], &end, 10);
	if (*end || fd < 0 || fd > 1 << 20) {
		usage(stderr);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	signal(SIGIO, SIG_IGN);  /* a reader that waits for a file lease of ours */
	signal(SIGINT, SIG_IGN); /* a terminal sends it to the whole group: sessiond-lite decides */
	signal(SIGTERM, SIG_IGN);
	rcu_register_thread();
	if (uv_loop_init(&relay.loop) < 0 ||
	    link_start(&relay, (int)fd, inbound_message, relay_stop) < 0) {
		fputs("relayd: cannot start its loop\n", stderr);
		return EXIT_FAILURE;
	}
	uv_run(&relay.loop, UV_RUN_DEFAULT);
	log_flush(1000);
	/* Threads and handles end with the process; the state memory was told everything. */
	_Exit(EXIT_SUCCESS);
}
