/* SPDX-License-Identifier: MIT */
/*
 * option_docs.c - the option table as --help text, manual page and example file; see options.h.
 *
 * doc/tracerelay.conf.5.scd and config/tracerelay.conf are what is printed here, checked in so that
 * people can read them; tests/unit/option_docs.c compares. `make update-option-docs` writes them.
 */
#include "config/options_internal.h"

#include <stdlib.h>
#include <string.h>

#include "config/option_type.h"

#ifndef SYSCONFDIR
#define SYSCONFDIR "/etc"
#endif

#define WIDTH 80

/* Print words, broken into lines that begin with prefix. */
static void print_wrapped(FILE *out, const char *prefix, const char *words)
{
	int column = 0;

	while (*words) {
		int len = (int)strcspn(words, " ");

		if (column > 0 && column + 1 + len > WIDTH) {
			fputc('\n', out);
			column = 0;
		}
		column += fprintf(out, "%s%.*s", column ? " " : prefix, len, words);
		words += len + (words[len] == ' ');
	}
	fputc('\n', out);
}

/* All that is said of a row but its name, and its default if that is a value; allocated, "" without
 * memory. */
static char *describe(const struct option_row *row)
{
	char *accepts = option_type_accepts(row);
	char *text;
	int n = asprintf(&text, "%s%s Accepted: %s.%s%s%s", row->served ? "" : "Not used yet. ",
			 row->help, accepts ? accepts : "?",
			 row->preset ? "" : " Default: ", row->preset ? "" : row->preset_words,
			 row->preset ? "" : ".");

	free(accepts);
	return n < 0 ? strdup("") : text;
}

static bool begins_section(size_t i)
{
	size_t len = option_row_section(&option_rows[i]);

	return i == 0 || strncmp(option_rows[i - 1].name, option_rows[i].name, len + 1) != 0;
}

void options_print_help(FILE *out)
{
	fprintf(out, "Options, with their defaults, in " SYSCONFDIR "/tracerelay/tracerelay.conf\n"
		     "or the file of --config as KEY = VALUE below [SECTION], or as\n"
		     "--set SECTION.KEY=VALUE:\n");
	for (size_t i = 0; i < option_rows_count; i++) {
		const struct option_row *row = &option_rows[i];
		char *text = describe(row);

		if (begins_section(i))
			fputc('\n', out);
		if (row->preset)
			fprintf(out, "  %s = %s\n", row->name, row->preset);
		else
			fprintf(out, "  %s\n", row->name);
		print_wrapped(out, "      ", text);
		free(text);
	}
}

/* ---- manual: scdoc(5) ---- */

/* A backslash makes any character plain; some mean something everywhere, some begin a line. */
static char *escape(const char *text)
{
	char *escaped = malloc(2 * strlen(text) + 1);
	char *to = escaped;
	bool begins_word = true;

	if (!escaped)
		return strdup("");
	for (; *text; text++) {
		if (strchr("\\*_[]|#`~<>", *text) || (begins_word && strchr("-.", *text)))
			*to++ = '\\';
		begins_word = *text == ' ';
		*to++ = *text;
	}
	*to = '\0';
	return escaped;
}

static void print_manual_row(FILE *out, const struct option_row *row)
{
	char *words = describe(row);
	char *text = escape(words), *preset = escape(row->preset ? row->preset : "");

	if (row->preset)
		fprintf(out, "*%s* = _%s_\n", option_row_key(row), preset);
	else
		fprintf(out, "*%s*\n", option_row_key(row));
	print_wrapped(out, "\t", text);
	fputc('\n', out);
	free(words);
	free(text);
	free(preset);
}

void options_print_manual(FILE *out)
{
	fputs("tracerelay.conf(5)\n"
	      "\n"
	      "; Written by make update-option-docs from config/option_table.c.\n"
	      "\n"
	      "# NAME\n"
	      "\n"
	      "tracerelay.conf - options of sessiond-lite and relayd\n"
	      "\n"
	      "# SYNOPSIS\n"
	      "\n"
	      "/etc/tracerelay/tracerelay.conf\n"
	      "\n"
	      "sessiond-lite [*--config* _FILE_] [*--set* _SECTION.KEY=VALUE_]...\n"
	      "\n"
	      "# DESCRIPTION\n"
	      "\n"
	      "sessiond-lite reads its options from /etc/tracerelay/tracerelay.conf, if that "
	      "exists,\n"
	      "or from the file named by *--config*, and then from each *--set*, where the last "
	      "one\n"
	      "wins. It hands them on to relayd. An option that is not known or a value that is "
	      "not\n"
	      "accepted refuses the whole, and the start fails with a sentence that says why.\n"
	      "\n"
	      "The file has lines _KEY_ = _VALUE_ below lines \\[_SECTION_\\]. A comment begins "
	      "with\n"
	      "\\# or ; at the start of a line or after a blank. A list may go on in the next "
	      "line,\n"
	      "if that is indented. An option stands in the file once.\n"
	      "\n"
	      "*relayctl config* shows the options of the running daemon and where each was set.\n"
	      "*sessiond-lite --help* lists the options too, and names the file if it was built "
	      "to\n"
	      "have it elsewhere.\n"
	      "\n"
	      "Sizes are bytes, or have K, M, G or T (powers of 1024) behind the number. "
	      "Durations\n"
	      "have ms, s, m (minutes), h or d. Addresses are numeric; port 0 lets the system "
	      "choose\n"
	      "one.\n"
	      "\n",
	      out);
	for (size_t i = 0; i < option_rows_count; i++) {
		const struct option_row *row = &option_rows[i];

		if (begins_section(i))
			fprintf(out, "# [%.*s]\n\n", (int)option_row_section(row), row->name);
		print_manual_row(out, row);
	}
	fputs("# SEE ALSO\n"
	      "\n"
	      "*sessiond-lite*(8), *relayctl*(1)\n",
	      out);
}

/* ---- example file ---- */

void options_print_example(FILE *out)
{
	fputs("# tracerelay.conf - every option with its default; see tracerelay.conf(5).\n"
	      "# Written by make update-option-docs from config/option_table.c.\n"
	      "# To change an option, take away the '#' before it and before nothing else.\n",
	      out);
	for (size_t i = 0; i < option_rows_count; i++) {
		const struct option_row *row = &option_rows[i];
		char *text = describe(row);

		if (begins_section(i))
			fprintf(out, "\n[%.*s]\n", (int)option_row_section(row), row->name);
		fputc('\n', out);
		print_wrapped(out, "# ", text);
		fprintf(out, "#%s = %s\n", option_row_key(row),
			row->preset ? row->preset : row->example);
		free(text);
	}
}
