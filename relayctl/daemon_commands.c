/* SPDX-License-Identifier: MIT */
/* daemon_commands.c - config, version, help. */
#include "relayctl/commands.h"

#include <string.h>

#include "relayctl/command.h"
#include "relayctl/daemon.h"
#include "relayctl/field.h"
#include "relayctl/table.h"

/* ---- config ---- */

/* Where the value is from: "default", "--set", "/etc/... line 12". */
static void source_cell(struct table *t, const json_t *config, const json_t *option)
{
	if (json_object_get(option, "line"))
		table_cellf(t, "%s line %" JSON_INTEGER_FORMAT, field_text(config, "file"),
			    (json_int_t)field_number(option, "line"));
	else
		table_cell(t, field_text(option, "source"));
}

static int print_config(const struct cli *cli, const json_t *config)
{
	static const struct table_column columns[] = {
		{"OPTION", false}, {"VALUE", false}, {"FROM", false}};
	struct table *t = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	json_t *one;
	size_t i;
	int r;

	json_array_foreach (field_of(config, "options"), i, one) {
		table_cell(t, field_text(one, "name"));
		table_cell(t, field_text(one, "text"));
		source_cell(t, config, one);
	}
	r = table_print(t, cli->out, cli_colour(cli));
	table_free(t);
	return r < 0 ? cli_no_memory(cli) : EXIT_DONE;
}

int run_config(struct cli *cli)
{
	json_t *config = NULL;
	int status = daemon_call(cli, "daemon.config", NULL, &config);

	if (status == EXIT_DONE)
		status = cli->json ? cli_print_json(cli, config) : print_config(cli, config);
	json_decref(config);
	return status;
}

/* ---- version ---- */

int run_version(struct cli *cli)
{
	json_t *version = NULL;
	int status;

	if (!cli->json)
		fprintf(cli->out, "relayctl %s\n", PACKAGE_VERSION);
	status = daemon_call(cli, "daemon.version", NULL, &version);
	if (status == EXIT_DONE && cli->json)
		status = cli_print_json(cli, version);
	else if (status == EXIT_DONE)
		fprintf(cli->out, "%s %s (running)\n", field_text(version, "program"),
			field_text(version, "version"));
	json_decref(version);
	return status;
}

/* ---- help ---- */

int run_help(struct cli *cli)
{
	const struct command *command;

	if (!cli->n_arguments) {
		command_print_all(cli->out);
		return EXIT_DONE;
	}
	command = command_find(cli->arguments[0]);
	if (!command)
		return cli_fail(cli, EXIT_USAGE,
				"there is no command \"%s\"; 'relayctl help' lists them",
				cli->arguments[0]);
	command_print_help(command, cli->out);
	return EXIT_DONE;
}
