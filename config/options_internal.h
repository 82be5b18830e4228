/* SPDX-License-Identifier: MIT */
/*
 * options_internal.h - what options.c, options_load.c and options_json.c share of a snapshot.
 *
 * Invariant: a finished snapshot has, for every row, a value in its field and the text, origin and
 * line in settings[], at the row's index.
 */
#ifndef TRACERELAY_CONFIG_OPTIONS_INTERNAL_H
#define TRACERELAY_CONFIG_OPTIONS_INTERNAL_H

#include "config/option_table.h"
#include "config/options.h"

enum option_origin { ORIGIN_DEFAULT, ORIGIN_FILE, ORIGIN_SET, ORIGIN_COUNT };

/* "default", "file", "--set" */
extern const char *const option_origin_names[ORIGIN_COUNT];

struct option_setting {
	char *text; /* NULL: not set yet */
	enum option_origin origin;
	unsigned line; /* ORIGIN_FILE: the first of it */
};

/* A snapshot in the making: nothing is set. NULL: no memory. Freed by options_free(). */
struct options *options_new(void);

void *options_field(struct options *o, const struct option_row *row);
const void *options_field_const(const struct options *o, const struct option_row *row);
struct option_setting *options_setting(const struct options *o, const struct option_row *row);

/* Note what a row is set to; its field is another matter. Takes text, where NULL means that there
 * was no memory for it. */
int options_note(struct options *o, const struct option_row *row, char *text,
		 enum option_origin origin, unsigned line, char **ret_error);

/* Give a row its default. */
int options_apply_default(struct options *o, const struct option_row *row,
			  const struct option_env *env, char **ret_error);

/* Write the sentence; return err. */
int options_fail(char **ret_error, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
int options_fail_memory(char **ret_error);

/* Errors and texts may travel as JSON, which is UTF-8: put '?' where they are not. */
void options_make_utf8(char *text);

#endif
