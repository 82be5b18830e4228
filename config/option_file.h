/* SPDX-License-Identifier: MIT */
/*
 * option_file.h - an INI file, line by line.
 *
 *	[section]
 *	key = value           ; a comment, like "# ..."; only at a line's start or after a blank
 *	      more of it      an indented line without '=' goes on with the value above
 *
 * libinih takes lines apart. What it would pass over without a word (a line cut in two, text behind
 * a section's name, a value without a key) is refused here before it sees it.
 *
 * Thread: any; no state.
 */
#ifndef TRACERELAY_CONFIG_OPTION_FILE_H
#define TRACERELAY_CONFIG_OPTION_FILE_H

#include <stdbool.h>
#include <stdio.h>

#define OPTION_FILE_WHY_MAX 256

struct option_file_line {
	unsigned number;         /* from 1 */
	const char *section;     /* "" = none yet */
	const char *key, *value; /* without blanks around; NULL: the section begins here */
	bool continues;          /* more of the value of the same key */
};

/*
 * Give every section and every line with a value to on_line(), until it returns a negative errno.
 * @in       borrowed; read to its end
 * @why      a sentence without a period, if *ret_line is not 0
 * Return 0; what on_line() returned, with *ret_line = 0; -EINVAL for a line that is none, with its
 * number in *ret_line; another negative errno if reading failed, with *ret_line = 0.
 */
int option_file_read(FILE *in, int (*on_line)(void *user, const struct option_file_line *line),
		     void *user, unsigned *ret_line, char why[OPTION_FILE_WHY_MAX]);

#endif
