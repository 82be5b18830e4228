/* SPDX-License-Identifier: MIT */
/* command.c - the table of commands, and its texts; see command.h. */
#include "relayctl/command.h"

#include <string.h>

#include "relayctl/commands.h"

#define NAME_COLUMN 29 /* where the second column of help begins */
#define LINE        80

const struct command_option global_options[] = {
	{"--run-dir", "DIR",
	 "Where the relay's sockets are (its option run.dir). Else $TRACERELAY_RUN_DIR, else where "
	 "a relay of this user puts them, else /run/tracerelay."},
	{"--json", NULL, "Print what the daemon answered, exact and complete, for scripts."},
	{"--help", NULL, "Print help, of the command if there is one."},
	{"--version", NULL, "Print this program's version."},
	{NULL, NULL, NULL},
};

static const struct command_option create_options[] = {
	{"--match", "KEY=VALUE,...",
	 "Claim clients for which all of these hold: host=PATTERN (node name, with * ? []; only "
	 "protocol V3 and LTTng tell it), addr=PREFIX (10.0.0.0/8, 2001:db8::/32), proto=NAME "
	 "(trace-cmd, "
	 "trace-cmd-v1, trace-cmd-v2, trace-cmd-v3, lttng), port=NUMBER (of ours that they connect "
	 "to). "
	 "May be repeated: one of them is enough."},
	{"--listen", "PROTO:ADDR:PORT",
	 "Open a control port whose clients all belong to this session: trace-cmd:0.0.0.0:12346, "
	 "trace-cmd:[::]:12346. May be repeated."},
	{"--rotate-size", "SIZE", "Begin a new chunk when one holds so much data (64M, 1G)."},
	{"--rotate-time", "TIME", "Begin a new chunk so long after the last one (10m, 1h)."},
	{"--keep-chunks", "N", "Keep the newest N chunks of each source, delete older ones."},
	{NULL, NULL, NULL},
};

static const struct command_option destroy_options[] = {
	{"--delete-data", NULL, "Delete its directory too, with all its traces."},
	{NULL, NULL, NULL},
};

static const struct command_option top_options[] = {
	{"--sort", "KEY", "Begin sorted by rate (the default), loss or name."},
	{NULL, NULL, NULL},
};

const struct command commands[] = {
	{"create-session", "NAME", 1, 1, "make a session, with rules and policy",
	 "Makes a session: a directory of that name for the clients that its rules claim. Of "
	 "several sessions that would claim a client, the one created first gets it; those that "
	 "no session claims go to \"default\". It lasts until destroy-session.",
	 create_options, run_create_session},
	{"list", "[SESSION]", 0, 1, "list sessions, or the sources of one",
	 "Lists all sessions; with a name, that session and the sources that are in it now.", NULL,
	 run_list},
	{"show", "NAME", 1, 1, "show everything about a session",
	 "Shows a session's rules, ports, policy and state.", NULL, run_show},
	{"sources", "[SESSION]", 0, 1, "list sources: who sends now",
	 "Lists the clients that send now, in all sessions or in one: a source is one recording.",
	 NULL, run_sources},
	{"streams", "[SESSION]", 0, 1, "list streams: each CPU of each source",
	 "Lists the streams of all sources, or of those in one session; LTTng's by their names. "
	 "received = stored + discarded, always.",
	 NULL, run_streams},
	{"status", "", 0, 0, "tell how the relay is doing",
	 "Tells whether both daemons run, how much comes in, and everything that is amiss.", NULL,
	 run_status},
	{"top", "", 0, 0, "watch the sources live",
	 "Shows the sources once a second, the busiest first. Keys: r, l, n sort by rate, loss or "
	 "name; arrows, Page Up, Page Down, Home and End scroll; q quits. Where the output is no "
	 "terminal, prints one picture and ends.",
	 top_options, run_top},
	{"stop", "NAME", 1, 1, "stop storing what comes for a session",
	 "Finishes the session's open chunks. What comes then is discarded and counted, "
	 "connections stay, until start. New client sessions of LTTng are refused meanwhile.",
	 NULL, run_stop},
	{"start", "NAME", 1, 1, "store again after stop",
	 "Goes on storing after stop, in new chunks.", NULL, run_start},
	{"rotate", "NAME", 1, 1, "begin a new chunk for every source",
	 "Closes the open chunk of each source of the session, on a page boundary, and begins the "
	 "next. Every event is in one of them. Sources of LTTng rotate when their own client says "
	 "so: lttng rotate.",
	 NULL, run_rotate},
	{"destroy-session", "NAME", 1, 1, "end a session; its files stay",
	 "Ends the session's sources, their chunks are finished, and forgets the session. Its "
	 "files stay where they are. Waits some seconds for the sources to end. \"default\" cannot "
	 "be "
	 "destroyed.",
	 destroy_options, run_destroy_session},
	{"config", "", 0, 0, "list the options in use",
	 "Lists every option of the running relay with its value and where that comes from.", NULL,
	 run_config},
	{"version", "", 0, 0, "print the versions of all programs",
	 "Prints the version of this program and those of the running daemons.", NULL, run_version},
	{"help", "[COMMAND]", 0, 1, "print help",
	 "Prints the list of commands, or what one of them does and takes.", NULL, run_help},
};

const size_t commands_count = sizeof(commands) / sizeof(commands[0]);

const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < commands_count; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

/* Letters to change, add or leave out to get from one word to the other; more than 31: 99. */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[32], len = (unsigned)strlen(b);

	if (len > 31)
		return 99;
	for (unsigned j = 0; j <= len; j++)
		row[j] = j;
	for (unsigned i = 1; *a; a++, i++) {
		unsigned corner = row[0];

		row[0] = i;
		for (unsigned j = 1; j <= len; j++) {
			unsigned best = corner + (*a != b[j - 1]);

			corner = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[len];
}

const struct command *command_guess(const char *name)
{
	const struct command *best = NULL;
	unsigned best_distance = 3; /* more would be no misspelling */

	for (size_t i = 0; i < commands_count; i++) {
		unsigned d = distance(name, commands[i].name);
		size_t len = strlen(name);

		/* "create" begins "create-session". */
		if (len >= 3 && strncmp(commands[i].name, name, len) == 0)
			d = 0;
		if (d < best_distance) {
			best_distance = d;
			best = &commands[i];
		}
	}
	return best;
}

/* ---- texts ---- */

/* Words of s from `column` on, in lines that begin there; the cursor stands at `at`. */
static void print_wrapped(const char *s, unsigned at, unsigned column, FILE *out)
{
	bool first = true;

	if (column && at + 2 > column) { /* no room for two spaces */
		fputc('\n', out);
		at = 0;
	}
	fprintf(out, "%*s", (int)(column - at), "");
	at = column;
	while (*s) {
		unsigned len = (unsigned)strcspn(s, " ");

		if (!first && at + 1 + len > LINE) {
			fprintf(out, "\n%*s", (int)column, "");
			at = column;
		} else if (!first) {
			fputc(' ', out);
			at++;
		}
		fprintf(out, "%.*s", (int)len, s);
		at += len;
		s += len;
		while (*s == ' ')
			s++;
		first = false;
	}
	fputc('\n', out);
}

static void print_options(const struct command_option *list, FILE *out)
{
	for (; list && list->name; list++) {
		int n = fprintf(out, "  %s%s%s", list->name, list->argument ? " " : "",
				list->argument ? list->argument : "");

		print_wrapped(list->help, n > 0 ? (unsigned)n : 0, NAME_COLUMN, out);
	}
}

void command_print_usage(const struct command *command, FILE *out)
{
	fprintf(out, "usage: relayctl %s%s%s%s\n", command->name,
		command->options ? " [OPTION]..." : "", *command->arguments ? " " : "",
		command->arguments);
}

void command_print_help(const struct command *command, FILE *out)
{
	command_print_usage(command, out);
	fputc('\n', out);
	print_wrapped(command->help, 0, 0, out);
	if (command->options) {
		fputs("\nOptions:\n", out);
		print_options(command->options, out);
	}
	fputs("\nOptions of every command:\n", out);
	print_options(global_options, out);
}

void command_print_all(FILE *out)
{
	fputs("usage: relayctl [--run-dir DIR] [--json] COMMAND ...\n\n"
	      "Controls and watches tracerelay, the relay for Linux tracers.\n\nCommands:\n",
	      out);
	for (size_t i = 0; i < commands_count; i++) {
		const struct command *c = &commands[i];
		int n = fprintf(out, "  %s%s%s", c->name, *c->arguments ? " " : "", c->arguments);

		print_wrapped(c->summary, n > 0 ? (unsigned)n : 0, NAME_COLUMN, out);
	}
	fputs("\nOptions of every command:\n", out);
	print_options(global_options, out);
	fputs("\nExit status: 0 done, 1 the daemon said no, 2 wrong usage, 3 no daemon.\n"
	      "'relayctl help COMMAND' says more; so does 'man relayctl'.\n",
	      out);
}
