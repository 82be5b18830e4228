/* SPDX-License-Identifier: MIT */
/*
 * options.h - the load generator's command line.
 *
 * One table in options.c is parser and help. Wrong usage ends the program with 2 and a sentence.
 */
#ifndef TESTS_BENCH_OPTIONS_H
#define TESTS_BENCH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/bench/client.h"
#include "tests/bench/server_cpu.h"

enum mode { MODE_THROUGHPUT, MODE_ACCEPT, MODE_IDLE, MODE_FINISH, MODE_VERIFY, MODE_TABLE };

struct options {
	enum mode mode;
	const char *mode_name;
	struct client_setup client; /* its epoll field is left alone */
	uint32_t clients;
	uint64_t bytes; /* on each stream, whole pages */
	uint32_t in_flight;
	uint32_t datagram; /* bytes; 0: TCP */
	uint64_t rate;     /* bytes a second */
	uint64_t backlog;  /* bytes; 0: no limit */
	bool prime;
	uint32_t prime_ms;
	uint32_t close_after_ms;
	bool lossy;
	struct server_cpu server_cpu;
	const char *arrive; /* directory; NULL: don't wait */
	uint32_t timeout_s;
	bool json;
	char **paths; /* of verify and table; borrowed from argv */
	int path_count;
};

struct options options_parse(int argc, char **argv);

#endif
