/* SPDX-License-Identifier: MIT */
/*
 * cli.h - one run of relayctl: what was asked for, and where the answer goes.
 *
 * Life:   cli_run() from the arguments to the exit status; handlers get it for that time.
 * Thread: one.
 * Errors: the functions that talk to people say what is wrong on cli->err and give the exit status
 *         to end with.
 * Source: design.md section 7; doc/relayctl.1.scd.
 */
#ifndef TRACERELAY_RELAYCTL_CLI_H
#define TRACERELAY_RELAYCTL_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <jansson.h>

struct command;
struct command_option;

enum exit_status {
	EXIT_DONE = 0,
	EXIT_REFUSED = 1, /* the daemon said no, or something failed here: a sentence says what */
	EXIT_USAGE = 2,
	EXIT_NO_DAEMON = 3,
};

#define CLI_OPTIONS_MAX 128 /* on one command line */

struct cli_given {
	const struct command_option *option;
	const char *value; /* NULL: it takes none */
};

struct cli {
	FILE *out, *err;
	const char *run_dir; /* --run-dir; NULL: not given */
	bool json;
	const struct command *command;
	const char *const *arguments; /* [n_arguments] without options */
	size_t n_arguments;
	struct cli_given given[CLI_OPTIONS_MAX]; /* in their order */
	size_t n_given;
};

/* Parse, run, answer. Return the exit status. */
int cli_run(int argc, char **argv, FILE *out, FILE *err);

/* The value of an option ("" if it takes none), the last one if it was repeated; NULL: not given.
 */
const char *cli_option(const struct cli *cli, const char *name);

/* "relayctl: " and a sentence on cli->err; gives status back. */
int cli_fail(const struct cli *cli, int status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
int cli_no_memory(const struct cli *cli);

/* Print JSON for scripts; it stays the caller's, NULL is no memory. The exit status. */
int cli_print_json(const struct cli *cli, const json_t *json);

/* Whether `out` is a terminal that takes colours (NO_COLOR is respected). */
bool cli_colour(const struct cli *cli);

#endif
