/* SPDX-License-Identifier: MIT */
/*
 * relayctl_command.c - the table is whole, and manual and completion know every command and option
 * of it. Needs the source tree: $TRACERELAY_SRC, else the directory it runs in.
 */
#include "relayctl/command.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *read_file(const char *name)
{
	const char *top = getenv("TRACERELAY_SRC");
	char path[4096], *text = NULL;
	size_t room = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", top ? top : ".", name);
	f = fopen(path, "r");
	cr_assert(f, "%s: %s (set TRACERELAY_SRC to the source tree)", path, strerror(errno));
	cr_assert_geq(getdelim(&text, &room, '\0', f), 0);
	fclose(f);
	return text;
}

/* As a word, not as a part of one. */
static bool has_word(const char *text, const char *word)
{
	static const char inside[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
	size_t len = strlen(word);

	for (const char *at = strstr(text, word); at; at = strstr(at + 1, word))
		if ((at == text || !strchr(inside, at[-1])) &&
		    !(at[len] && strchr(inside, at[len])))
			return true;
	return false;
}

Test(relayctl_command, every_row_is_complete)
{
	for (size_t i = 0; i < commands_count; i++) {
		const struct command *c = &commands[i];

		cr_assert(c->name && c->arguments && c->summary && c->help && c->run, "%zu", i);
		cr_assert_leq(c->min, c->max, "%s", c->name);
		cr_assert_eq(c->max > 0, *c->arguments != '\0', "%s", c->name);
		cr_assert_eq(c->min == 0 && c->max > 0, *c->arguments == '[', "%s", c->name);
		cr_assert_eq(c->help[strlen(c->help) - 1], '.', "%s", c->name);
		cr_assert_eq(command_find(c->name), c, "%s stands there twice", c->name);
		for (const struct command_option *o = c->options; o && o->name; o++)
			cr_assert(strncmp(o->name, "--", 2) == 0 && o->help, "%s", o->name);
	}
	cr_assert_null(command_find("creat"));
	cr_assert_null(command_find(""));
}

Test(relayctl_command, guesses)
{
	cr_assert_str_eq(command_guess("sourcse")->name, "sources");
	cr_assert_str_eq(command_guess("statsu")->name, "status");
	cr_assert_str_eq(command_guess("create")->name, "create-session");
	cr_assert_null(command_guess("frobnicate"));
	cr_assert_null(command_guess("a-word-that-is-far-too-long-to-be-a-command-of-ours"));
}

Test(relayctl_command, help_names_everything_in_lines_that_fit)
{
	for (size_t i = 0; i <= commands_count; i++) {
		const struct command *c = i < commands_count ? &commands[i] : NULL;
		char *text = NULL, *line, *rest;
		size_t len;
		FILE *out = open_memstream(&text, &len);

		if (c)
			command_print_help(c, out);
		else
			command_print_all(out);
		fclose(out);
		for (size_t j = 0; !c && j < commands_count; j++)
			cr_assert(has_word(text, commands[j].name), "%s", commands[j].name);
		for (const struct command_option *o = c ? c->options : NULL; o && o->name; o++)
			cr_assert(has_word(text, o->name), "%s %s", c->name, o->name);
		for (const struct command_option *o = global_options; o->name; o++)
			cr_assert(has_word(text, o->name), "%s", o->name);
		rest = text;
		while ((line = strsep(&rest, "\n"))) {
			cr_assert_leq(strlen(line), 80, "%s", line);
			cr_assert(!*line || line[strlen(line) - 1] != ' ', "\"%s\"", line);
		}
		free(text);
	}
}

Test(relayctl_command, the_manual_describes_everything)
{
	char *text = read_file("doc/relayctl.1.scd");

	for (size_t i = 0; i < commands_count; i++) {
		char heading[64];

		snprintf(heading, sizeof(heading), "\n*%s*", commands[i].name);
		cr_assert(strstr(text, heading), "no section begins with *%s*", commands[i].name);
		for (const struct command_option *o = commands[i].options; o && o->name; o++)
			cr_assert(has_word(text, o->name), "%s %s", commands[i].name, o->name);
	}
	for (const struct command_option *o = global_options; o->name; o++)
		cr_assert(has_word(text, o->name), "%s", o->name);
	free(text);
}

Test(relayctl_command, completion_knows_everything)
{
	char *text = read_file("config/completion/relayctl");

	for (size_t i = 0; i < commands_count; i++) {
		cr_assert(has_word(text, commands[i].name), "%s", commands[i].name);
		for (const struct command_option *o = commands[i].options; o && o->name; o++)
			cr_assert(has_word(text, o->name), "%s %s", commands[i].name, o->name);
	}
	for (const struct command_option *o = global_options; o->name; o++)
		cr_assert(has_word(text, o->name), "%s", o->name);
	free(text);
}
