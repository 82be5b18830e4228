/* SPDX-License-Identifier: MIT */
/*
 * command.h - the one table of commands: parser, help and the checks of manual and completion read
 * it, so that none of them can disagree with another.
 *
 * To add a command: a row in command.c, its handler, a section in doc/relayctl.1.scd and the word
 * in config/completion/relayctl (tests/unit/relayctl_command.c says what is forgotten).
 */
#ifndef TRACERELAY_RELAYCTL_COMMAND_H
#define TRACERELAY_RELAYCTL_COMMAND_H

#include <stddef.h>
#include <stdio.h>

#include "relayctl/cli.h"

struct command_option {
	const char *name;     /* "--rotate-size"; NULL ends a list */
	const char *argument; /* "SIZE"; NULL: takes none */
	const char *help;
};

struct command {
	const char *name;
	const char *arguments;                /* "NAME", "[SESSION]", "" */
	unsigned min, max;                    /* how many */
	const char *summary;                  /* in the list of commands */
	const char *help;                     /* sentences */
	const struct command_option *options; /* NULL: none */
	int (*run)(struct cli *cli);          /* the exit status */
};

extern const struct command commands[];
extern const size_t commands_count;
/* Those that every command takes. */
extern const struct command_option global_options[];

const struct command *command_find(const char *name); /* NULL: there is none */
/* The one that was probably meant, or NULL. */
const struct command *command_guess(const char *name);

void command_print_all(FILE *out);                                  /* relayctl --help */
void command_print_help(const struct command *command, FILE *out);  /* relayctl help COMMAND */
void command_print_usage(const struct command *command, FILE *out); /* its one line */

#endif
