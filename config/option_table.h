/* SPDX-License-Identifier: MIT */
/*
 * option_table.h - one row an option: all that anything here knows of it.
 *
 * To add an option: a field in struct options (options.h) and a row in option_table.c; then
 * `make update-option-docs` writes the manual and the example file again.
 */
#ifndef TRACERELAY_CONFIG_OPTION_TABLE_H
#define TRACERELAY_CONFIG_OPTION_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct option_env;

enum option_type {
	OPTION_PATH,       /* char * */
	OPTION_USER,       /* char * */
	OPTION_ADDRESSES,  /* struct option_addresses */
	OPTION_PORTS,      /* struct option_ports */
	OPTION_COUNT,      /* uint32_t */
	OPTION_SIZE,       /* uint64_t, bytes */
	OPTION_DURATION,   /* uint64_t, ms */
	OPTION_BOOL,       /* bool */
	OPTION_CHOICE,     /* an enum whose values are indexes of `choices` */
	OPTION_VERSION,    /* struct option_version */
	OPTION_KEEP_ALIVE, /* struct option_keep_alive */
};

struct option_row {
	const char *name; /* "section.key" */
	enum option_type type;
	size_t at; /* offset of the field in struct options */

	/* The default as a user would write it; or, where it depends on the machine, how to find
	 * it, a sentence about it, and an example for the example file. */
	const char *preset;
	char *(*preset_of)(const struct option_env *env);
	const char *preset_words;
	const char *example;

	/* Smallest and largest, both allowed. PATH: length in bytes; ADDRESSES: how many; VERSION:
	 * minor, the major being VERSION_MAJOR; otherwise in the field's own unit. */
	uint64_t min, max;
	const char *const *choices; /* CHOICE: names, NULL at the end */
	const char *unit;           /* COUNT: of what; else NULL */
	bool reloadable;            /* a running daemon could take a change; else a restart */
	bool served;                /* this version makes use of it */
	const char *help;           /* sentences */
};

#define OPTION_VERSION_MAJOR 2

extern const struct option_row option_rows[];
extern const size_t option_rows_count;

/* The default as documents have it: preset or preset_words. */
const char *option_row_default(const struct option_row *row);

/* The row of that name, or NULL. */
const struct option_row *option_row_find(const char *name);

/* "trace-cmd" of "trace-cmd.listen"; return its length. */
size_t option_row_section(const struct option_row *row);

/* "listen" of it. */
const char *option_row_key(const struct option_row *row);

#endif
