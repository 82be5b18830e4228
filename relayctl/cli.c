/* SPDX-License-Identifier: MIT */
/*
 * cli.c - from the command line to a handler of the table; see cli.h.
 *
 * Options may stand anywhere, those of all commands also before the command; "--" ends them.
 */
#include "relayctl/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "relayctl/command.h"

#define ARGUMENTS_MAX 16

int cli_fail(const struct cli *cli, int status, const char *format, ...)
{
	va_list args;

	fputs("relayctl: ", cli->err);
	va_start(args, format);
	vfprintf(cli->err, format, args);
	va_end(args);
	fputc('\n', cli->err);
	return status;
}

int cli_no_memory(const struct cli *cli)
{
	return cli_fail(cli, EXIT_REFUSED, "no memory");
}

int cli_print_json(const struct cli *cli, const json_t *json)
{
	if (!json)
		return cli_no_memory(cli);
	if (json_dumpf(json, cli->out, JSON_INDENT(2) | JSON_ENCODE_ANY) < 0)
		return cli_fail(cli, EXIT_REFUSED, "the output cannot be written: %s",
				strerror(errno));
	fputc('\n', cli->out);
	return EXIT_DONE;
}

bool cli_colour(const struct cli *cli)
{
	const char *term = getenv("TERM"), *no = getenv("NO_COLOR");

	return isatty(fileno(cli->out)) && (!no || !*no) && term && strcmp(term, "dumb") != 0;
}

const char *cli_option(const struct cli *cli, const char *name)
{
	const char *value = NULL;

	for (size_t i = 0; i < cli->n_given; i++)
		if (strcmp(cli->given[i].option->name, name) == 0)
			value = cli->given[i].value ? cli->given[i].value : "";
	return value;
}

/* ---- parsing ---- */

/* What the words have told so far. */
struct parse {
	struct cli *cli;
	char **word;         /* the next one */
	bool only_arguments; /* behind "--" */
	const char *arguments[ARGUMENTS_MAX];
};

static const struct command_option *find_in(const struct command_option *list, const char *word)
{
	for (; list && list->name; list++) {
		size_t len = strlen(list->name);

		if (strncmp(word, list->name, len) == 0 && (!word[len] || word[len] == '='))
			return list;
	}
	return NULL;
}

static int wrong(const struct cli *cli, const char *what, const char *word)
{
	(void)cli_fail(cli, EXIT_USAGE, "%s: %s", what, word);
	if (cli->command)
		command_print_usage(cli->command, cli->err);
	else
		fputs("'relayctl help' lists what there is.\n", cli->err);
	return EXIT_USAGE;
}

static int take_option(struct parse *p, const char *word)
{
	struct cli *cli = p->cli;
	const struct command_option *option = find_in(global_options, word);
	const char *value = strchr(word, '=');

	if (strcmp(word, "-h") == 0)
		option = find_in(global_options, "--help");
	if (!option && cli->command)
		option = find_in(cli->command->options, word);
	if (!option)
		return wrong(cli, "no such option", word);
	if (value && !option->argument)
		return wrong(cli, "this option takes no value", word);
	if (value)
		value++;
	else if (option->argument && *p->word)
		value = *p->word++;
	if (option->argument && !value)
		return wrong(cli, "this option needs a value", word);
	if (cli->n_given == CLI_OPTIONS_MAX)
		return wrong(cli, "too many options", word);
	cli->given[cli->n_given++] = (struct cli_given){.option = option, .value = value};
	return EXIT_DONE;
}

static int take_command(struct parse *p, const char *word)
{
	const struct command *guess;

	p->cli->command = command_find(word);
	if (p->cli->command)
		return EXIT_DONE;
	guess = command_guess(word);
	if (guess)
		return cli_fail(p->cli, EXIT_USAGE,
				"there is no command \"%s\"; did you mean \"%s\"?", word,
				guess->name);
	return wrong(p->cli, "there is no such command", word);
}

static int take_word(struct parse *p, const char *word)
{
	if (!p->only_arguments && strcmp(word, "--") == 0) {
		p->only_arguments = true;
		return EXIT_DONE;
	}
	if (!p->only_arguments && word[0] == '-' && word[1])
		return take_option(p, word);
	if (!p->cli->command)
		return take_command(p, word);
	if (p->cli->n_arguments == ARGUMENTS_MAX)
		return wrong(p->cli, "one argument too many", word);
	p->arguments[p->cli->n_arguments++] = word;
	return EXIT_DONE;
}

static int check_arguments(const struct cli *cli)
{
	const struct command *c = cli->command;

	if (cli->n_arguments > c->max)
		return wrong(cli, "one argument too many", cli->arguments[c->max]);
	if (cli->n_arguments < c->min)
		return wrong(cli, "something is missing", c->arguments);
	return EXIT_DONE;
}

/* What was written may have met a full disk or a closed pipe. */
static int finish(const struct cli *cli, int status)
{
	if (fflush(cli->out) == 0 && !ferror(cli->out))
		return status;
	if (errno == EPIPE) /* the reader has had enough */
		return status;
	return cli_fail(cli, EXIT_REFUSED, "the output cannot be written: %s", strerror(errno));
}

static int run(struct cli *cli)
{
	int status;

	if (cli_option(cli, "--help")) {
		if (cli->command)
			command_print_help(cli->command, cli->out);
		else
			command_print_all(cli->out);
		return EXIT_DONE;
	}
	if (cli_option(cli, "--version")) {
		fprintf(cli->out, "relayctl %s\n", PACKAGE_VERSION);
		return EXIT_DONE;
	}
	if (!cli->command) {
		command_print_all(cli->err);
		return EXIT_USAGE;
	}
	status = check_arguments(cli);
	return status != EXIT_DONE ? status : cli->command->run(cli);
}

int cli_run(int argc, char **argv, FILE *out, FILE *err)
{
	struct cli cli = {.out = out, .err = err};
	struct parse p = {.cli = &cli, .word = argv + (argc ? 1 : 0)};
	int status = EXIT_DONE;

	while (*p.word && status == EXIT_DONE) {
		const char *word = *p.word++;

		status = take_word(&p, word);
	}
	if (status != EXIT_DONE)
		return status;
	cli.arguments = p.arguments;
	cli.run_dir = cli_option(&cli, "--run-dir");
	cli.json = cli_option(&cli, "--json") != NULL;
	return finish(&cli, run(&cli));
}
