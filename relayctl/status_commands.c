/* SPDX-License-Identifier: MIT */
/* status_commands.c - the commands that read status.sock: sources, streams, status. */
#include "relayctl/commands.h"

#include <inttypes.h>
#include <string.h>

#include "relayctl/daemon.h"
#include "relayctl/field.h"
#include "relayctl/human.h"
#include "relayctl/source_table.h"
#include "relayctl/table.h"

#define STALLED_MS 1000 /* a worker's turn that lasts longer deserves a word */

/* ---- sources, streams ---- */

static bool is_of(const json_t *one, const struct cli *cli)
{
	return !cli->n_arguments || strcmp(cli->arguments[0], field_text(one, "session")) == 0;
}

/* A list of the document, or what of it belongs to the session that was named. */
static int print_list_json(const struct cli *cli, const json_t *document, const char *list)
{
	json_t *some = json_array(), *one;
	int status, failed = 0;
	size_t i;

	json_array_foreach (field_of(document, list), i, one)
		if (is_of(one, cli))
			failed |= json_array_append(some, one);
	status = failed ? cli_no_memory(cli) : cli_print_json(cli, some);
	json_decref(some);
	return status;
}

static bool has_session(const json_t *document, const char *name)
{
	json_t *one;
	size_t i;

	json_array_foreach (field_of(document, "sessions"), i, one)
		if (strcmp(field_text(one, "name"), name) == 0)
			return true;
	return false;
}

/* The document; a session that is named must be in it. The exit status. */
static int get_document(const struct cli *cli, json_t **ret)
{
	json_t *document = NULL;
	int status = daemon_status(cli, DAEMON_PATIENCE_MS, &document);

	if (status == EXIT_DONE && cli->n_arguments && !has_session(document, cli->arguments[0]))
		status = cli_fail(cli, EXIT_REFUSED, "there is no session \"%s\"",
				  cli->arguments[0]);
	if (status == EXIT_DONE)
		*ret = document;
	else
		json_decref(document);
	return status;
}

int run_sources(struct cli *cli)
{
	json_t *document = NULL;
	int status = get_document(cli, &document);

	if (status == EXIT_DONE)
		status = cli->json
				 ? print_list_json(cli, document, "sources")
				 : source_table_print(cli, document,
						      cli->n_arguments ? cli->arguments[0] : NULL);
	json_decref(document);
	return status;
}

static int print_streams(const struct cli *cli, const json_t *document)
{
	static const struct table_column columns[] = {
		{"SOURCE", true}, {"SESSION", false}, {"CPU", true},    {"PORT", true},
		{"STATE", false}, {"RECEIVED", true}, {"STORED", true}, {"DISCARDED", true},
		{"PAGES", true},  {"LOST", true},     {"RATE", true},
	};
	struct table *t = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	char buf[HUMAN_MAX];
	json_t *one;
	size_t i;
	int r;

	json_array_foreach (field_of(document, "streams"), i, one) {
		if (!is_of(one, cli))
			continue;
		table_cellf(t, "%" PRIu64, field_number(one, "source"));
		table_cell(t, field_text(one, "session"));
		table_cellf(t, "%" PRIu64, field_number(one, "cpu"));
		table_cellf(t, "%" PRIu64, field_number(one, "port"));
		table_cell(t, field_text(one, "state"));
		source_table_bytes(t, field_number(one, "received"));
		source_table_bytes(t, field_number(one, "stored"));
		source_table_discarded(t, one);
		table_cell(t, human_count(field_number(one, "pages"), buf));
		source_table_lost(t, one);
		source_table_rate(t, field_number(one, "rate"));
	}
	r = table_print(t, cli->out, cli_colour(cli));
	table_free(t);
	return r < 0 ? cli_no_memory(cli) : EXIT_DONE;
}

int run_streams(struct cli *cli)
{
	json_t *document = NULL;
	int status = get_document(cli, &document);

	if (status == EXIT_DONE)
		status = cli->json ? print_list_json(cli, document, "streams")
				   : print_streams(cli, document);
	json_decref(document);
	return status;
}

/* ---- status ---- */

static void print_sessiond(const struct cli *cli, const json_t *sessiond)
{
	char buf[HUMAN_MAX];

	if (!sessiond) {
		fputs("sessiond-lite  control.sock cannot be read by this user\n", cli->out);
		return;
	}
	fprintf(cli->out, "sessiond-lite  %s, pid %" PRIu64 ", up %s\n",
		field_text(sessiond, "version"), field_number(sessiond, "pid"),
		human_duration(field_number(sessiond, "uptime_s") * 1000, buf));
}

/* What is known of a relayd that does not answer. */
static void print_absent_relayd(const struct cli *cli, const json_t *sessiond)
{
	const json_t *relayd = field_of(sessiond, "relayd");
	const char *state = field_text(relayd, "state");

	fprintf(cli->out, "relayd         does not answer%s%s: ", *state ? "; it is " : "", state);
	fputs("while it is restarted, connections stay and nothing is lost\n", cli->out);
	if (*field_text(relayd, "last_end"))
		fprintf(cli->out, "               the one before %s\n",
			field_text(relayd, "last_end"));
}

static void print_relayd(const struct cli *cli, const json_t *relayd)
{
	uint64_t generation = field_number(relayd, "generation");
	char up[HUMAN_MAX];

	fprintf(cli->out, "relayd         %s, pid %" PRIu64 ", up %s",
		field_text(relayd, "version"), field_number(relayd, "pid"),
		human_duration(field_number(relayd, "uptime_s") * 1000, up));
	if (generation > 1)
		fprintf(cli->out, ", started %" PRIu64 " times", generation);
	fputs(field_is(relayd, "synced") ? "\n" : ", taking over\n", cli->out);
}

/* "12 (10 recording, 2 orphan)" */
static void print_source_states(const struct cli *cli, const json_t *sources)
{
	json_t *counts = json_object(), *one, *n;
	const char *state, *comma = " (";
	size_t i;

	json_array_foreach (sources, i, one) {
		state = field_text(one, "state");
		json_object_set_new(counts, state,
				    json_integer((json_int_t)field_number(counts, state) + 1));
	}
	fprintf(cli->out, "sources        %zu", json_array_size(sources));
	json_object_foreach (counts, state, n) {
		fprintf(cli->out, "%s%" JSON_INTEGER_FORMAT " %s", comma, json_integer_value(n),
			state);
		comma = ", ";
	}
	fputs(json_object_size(counts) ? ")\n" : "\n", cli->out);
	json_decref(counts);
}

static void print_figures(const struct cli *cli, const json_t *relayd)
{
	const json_t *totals = field_of(relayd, "totals"), *counters = field_of(relayd, "counters");
	char a[HUMAN_MAX], b[HUMAN_MAX], c[HUMAN_MAX];

	fprintf(cli->out, "sessions       %zu\n", json_array_size(field_of(relayd, "sessions")));
	print_source_states(cli, field_of(relayd, "sources"));
	fprintf(cli->out, "streams        %" PRIu64 " open of %" PRIu64 "\n",
		field_number(totals, "streams_open"), field_number(totals, "streams"));
	fprintf(cli->out, "incoming       %s\n", human_rate(field_number(totals, "rate"), a));
	fprintf(cli->out, "received       %s now alive, %s since %s\n",
		human_bytes(field_number(totals, "received"), a),
		human_bytes(field_number(counters, "bytes_received"), b),
		human_time(field_text(relayd, "counters_since"), c));
	fprintf(cli->out, "chunks         %" PRIu64 " finished, %" PRIu64 " of them incomplete\n",
		field_number(counters, "chunks_finished"),
		field_number(counters, "chunks_incomplete"));
	fprintf(cli->out, "control        %zu connections\n",
		json_array_size(field_of(relayd, "connections")));
}

static void amiss(const struct cli *cli, unsigned *n, const char *what, const char *value)
{
	fprintf(cli->out, "%s %s%s\n", (*n)++ ? "              " : "attention     ", value, what);
}

static void amiss_count(const struct cli *cli, unsigned *n, const json_t *from, const char *key,
			const char *what)
{
	char buf[HUMAN_MAX];

	if (field_number(from, key))
		amiss(cli, n, what, human_count(field_number(from, key), buf));
}

static void amiss_bytes(const struct cli *cli, unsigned *n, const json_t *from, const char *key,
			const char *what)
{
	char buf[HUMAN_MAX];

	if (field_number(from, key))
		amiss(cli, n, what, human_bytes(field_number(from, key), buf));
}

/* Everything that somebody should look at; nothing if all is well. */
static void print_attention(const struct cli *cli, const json_t *relayd)
{
	const json_t *counters = field_of(relayd, "counters");
	char text[HUMAN_MAX + 64], buf[HUMAN_MAX];
	unsigned n = 0;
	json_t *one;
	size_t i;

	json_array_foreach (field_of(relayd, "workers"), i, one) {
		if (field_number(one, "busy_ms") < STALLED_MS)
			continue;
		snprintf(text, sizeof(text), "worker %zu has been in one turn for %s", i,
			 human_duration(field_number(one, "busy_ms"), buf));
		amiss(cli, &n, ": a stalled file system?", text);
	}
	json_array_foreach (field_of(relayd, "sources"), i, one) {
		if (strcmp(field_text(one, "state"), "disk-full") != 0)
			continue;
		snprintf(text, sizeof(text), "source %" PRIu64, field_number(one, "number"));
		amiss(cli, &n, " stores nothing: the disk is full or failed", text);
	}
	amiss_bytes(cli, &n, counters, "bytes_discarded_disk", " discarded: disk full or failed");
	amiss_bytes(cli, &n, counters, "bytes_discarded_stall", " discarded: disk too slow");
	amiss_bytes(cli, &n, counters, "bytes_discarded_protocol",
		    " discarded: no ring-buffer pages (a broken or hostile client)");
	amiss_bytes(cli, &n, counters, "bytes_discarded_stopped",
		    " discarded: their session was stopped");
	amiss_count(cli, &n, counters, "datagrams_dropped", " datagrams dropped by this host");
	amiss_count(cli, &n, counters, "kernel_events_lost", " events lost by traced kernels");
	amiss_count(cli, &n, counters, "kernel_losses_unknown",
		    " losses of traced kernels without a count");
	amiss_count(cli, &n, counters, "disk_errors", " writes and renames failed");
}

static json_t *merge(json_t *sessiond, json_t *relayd)
{
	return json_pack("{s:O? s:O?}", "sessiond", sessiond, "relayd", relayd);
}

static int print_status(const struct cli *cli, json_t *sessiond, json_t *relayd)
{
	int status = EXIT_DONE;

	if (cli->json) {
		json_t *both = merge(sessiond, relayd);

		if (both && !sessiond)
			json_object_set_new(both, "sessiond", json_null());
		if (both && !relayd)
			json_object_set_new(both, "relayd", json_null());
		status = cli_print_json(cli, both);
		json_decref(both);
		return status;
	}
	print_sessiond(cli, sessiond);
	if (!relayd) {
		print_absent_relayd(cli, sessiond);
		return status;
	}
	print_relayd(cli, relayd);
	print_figures(cli, relayd);
	print_attention(cli, relayd);
	return status;
}

/*
 * Asked first is sessiond-lite, which is there whatever relayd does. A user who may not ask it
 * still sees relayd; a relayd that is being restarted does not hide what sessiond-lite says of it.
 */
int run_status(struct cli *cli)
{
	json_t *sessiond = NULL, *relayd = NULL;
	char *said = NULL;
	size_t len;
	FILE *err = cli->err, *quiet = open_memstream(&said, &len);
	int control, data, status;

	if (!quiet)
		return cli_no_memory(cli);
	cli->err = quiet;
	control = daemon_call(cli, "daemon.status", NULL, false, &sessiond);
	data = control == EXIT_NO_DAEMON ? control
					 : daemon_status(cli, DAEMON_PATIENCE_MS, &relayd);
	cli->err = err;
	if (fclose(quiet) != 0)
		said = NULL;
	if (control == EXIT_DONE || data == EXIT_DONE) {
		status = print_status(cli, sessiond, relayd);
	} else {
		fputs(said ? said : "relayctl: no memory\n", err);
		status = control;
	}
	free(said);
	json_decref(sessiond);
	json_decref(relayd);
	return status;
}
