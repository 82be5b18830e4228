/* SPDX-License-Identifier: MIT */
/* status_commands.c - the commands that read status.sock: sources, streams, status. */
#include "relayctl/commands.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "relayctl/daemon.h"
#include "relayctl/field.h"
#include "relayctl/human.h"
#include "relayctl/source_table.h"
#include "relayctl/table.h"

#define STALLED_MS          1000 /* a worker's turn that lasts longer deserves a word */
#define RESTART_PATIENCE_MS 1000 /* with a relayd that is known to be restarted */

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

/* trace-cmd's streams have none. */
static bool any_name(const struct cli *cli, const json_t *streams)
{
	json_t *one;
	size_t i;

	json_array_foreach (streams, i, one)
		if (is_of(one, cli) && *field_text(one, "name"))
			return true;
	return false;
}

static void stream_row(struct table *t, const json_t *one, bool named)
{
	const char *units = field_known(one, "pages") ? "pages" : "packets";
	char buf[HUMAN_MAX];

	table_cellf(t, "%" PRIu64, field_number(one, "source"));
	table_cell(t, field_text(one, "session"));
	source_table_number(t, one, "cpu");
	source_table_number(t, one, "port");
	table_cell(t, field_text(one, "state"));
	source_table_bytes(t, field_number(one, "received"));
	source_table_bytes(t, field_number(one, "stored"));
	source_table_discarded(t, one);
	table_cell(t, field_known(one, units) ? human_count(field_number(one, units), buf) : NULL);
	source_table_lost(t, one);
	source_table_rate(t, field_number(one, "rate"));
	if (named)
		table_cell(t, field_text(one, "name"));
}

static int print_streams(const struct cli *cli, const json_t *document)
{
	static const struct table_column columns[] = {
		{"SOURCE", true}, {"SESSION", false}, {"CPU", true},    {"PORT", true},
		{"STATE", false}, {"RECEIVED", true}, {"STORED", true}, {"DISCARDED", true},
		{"PAGES", true},  {"LOST", true},     {"RATE", true},   {"NAME", false},
	};
	const json_t *streams = field_of(document, "streams");
	bool named = any_name(cli, streams);
	struct table *t = table_new(columns, sizeof(columns) / sizeof(columns[0]) - !named);
	json_t *one;
	size_t i;
	int r;

	json_array_foreach (streams, i, one)
		if (is_of(one, cli))
			stream_row(t, one, named);
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
	const char *comma = "";
	char buf[HUMAN_MAX];
	json_t *one;
	size_t i;

	if (!sessiond) {
		fputs("sessiond-lite  not to be asked by this user\n", cli->out);
		return;
	}
	fprintf(cli->out, "sessiond-lite  %s, pid %" PRIu64 ", up %s\n",
		field_text(sessiond, "version"), field_number(sessiond, "pid"),
		human_duration(field_number(sessiond, "uptime_ms"), buf));
	fputs("listens at     ", cli->out);
	json_array_foreach (field_of(sessiond, "listeners"), i, one) {
		fprintf(cli->out, "%s%s", comma, field_text(one, "address"));
		comma = ", ";
	}
	fprintf(cli->out, "\nstores below   %s\n", field_text(sessiond, "output_dir"));
}

static bool relayd_runs(const json_t *sessiond)
{
	const char *state = field_text(field_of(sessiond, "relayd"), "state");

	return !*state || strcmp(state, "running") == 0;
}

/* What is known of a relayd that does not answer. */
static void print_absent_relayd(const struct cli *cli, const json_t *sessiond)
{
	const json_t *relayd = field_of(sessiond, "relayd");
	uint64_t next_ms = field_number(relayd, "next_try_ms");
	char buf[HUMAN_MAX];

	if (relayd_runs(sessiond))
		fputs("relayd         does not answer\n", cli->out);
	else
		fprintf(cli->out,
			"relayd         is being restarted (%s); clients stay connected "
			"meanwhile\n",
			field_text(relayd, "state"));
	if (*field_text(relayd, "last_end"))
		fprintf(cli->out, "               the one before %s\n",
			field_text(relayd, "last_end"));
	if (next_ms)
		fprintf(cli->out, "               next start in %s\n",
			human_duration(next_ms, buf));
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

/* "12 (10 recording, 2 orphan)": how many of a list there are, by a member of theirs. */
static void print_counts(const struct cli *cli, const char *title, const json_t *list,
			 const char *key)
{
	json_t *counts = json_object(), *one, *n;
	const char *word, *comma = " (";
	size_t i;

	json_array_foreach (list, i, one) {
		word = field_text(one, key);
		json_object_set_new(counts, word,
				    json_integer((json_int_t)field_number(counts, word) + 1));
	}
	fprintf(cli->out, "%-15s%zu", title, json_array_size(list));
	json_object_foreach (counts, word, n) {
		fprintf(cli->out, "%s%" JSON_INTEGER_FORMAT " %s", comma, json_integer_value(n),
			word);
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
	print_counts(cli, "sources", field_of(relayd, "sources"), "state");
	fprintf(cli->out, "streams        %" PRIu64 " open of %" PRIu64 "\n",
		field_number(totals, "streams_open"), field_number(totals, "streams"));
	fprintf(cli->out, "incoming       %s\n", human_rate(field_number(totals, "rate"), a));
	fprintf(cli->out, "received       %s from these, %s since %s\n",
		human_bytes(field_number(totals, "received"), a),
		human_bytes(field_number(counters, "bytes_received"), b),
		human_time(field_text(relayd, "counters_since"), c));
	fprintf(cli->out, "chunks         %" PRIu64 " finished, %" PRIu64 " of them incomplete\n",
		field_number(counters, "chunks_finished"),
		field_number(counters, "chunks_incomplete"));
	print_counts(cli, "connections", field_of(relayd, "connections"), "role");
}

/* ---- what somebody should look at ---- */

struct attention {
	const struct cli *cli;
	unsigned lines;
};

__attribute__((format(printf, 2, 3))) static void amiss(struct attention *a, const char *format,
							...)
{
	va_list args;

	fputs(a->lines++ ? "               " : "attention      ", a->cli->out);
	va_start(args, format);
	vfprintf(a->cli->out, format, args);
	va_end(args);
	fputc('\n', a->cli->out);
}

static void look_at_workers(struct attention *a, const json_t *relayd)
{
	char buf[HUMAN_MAX];
	json_t *one;
	size_t i;

	json_array_foreach (field_of(relayd, "workers"), i, one)
		if (field_number(one, "busy_ms") >= STALLED_MS)
			amiss(a, "worker %zu has been in one turn for %s: a stalled file system?",
			      i, human_duration(field_number(one, "busy_ms"), buf));
}

static void look_at_sources(struct attention *a, const json_t *relayd)
{
	json_t *one;
	size_t i, full = 0;

	json_array_foreach (field_of(relayd, "sources"), i, one)
		full += strcmp(field_text(one, "state"), "disk-full") == 0;
	if (full)
		amiss(a, "%zu sources store nothing: the disk is full or failed", full);
}

static void look_at_counters(struct attention *a, const json_t *counters)
{
	static const struct {
		const char *name;
		bool bytes;
		const char *what;
	} rows[] = {
		{"bytes_discarded_disk", true, "discarded: the disk was full or failed"},
		{"bytes_discarded_stall", true, "discarded: the disk was too slow"},
		{"bytes_discarded_protocol", true,
		 "discarded: no ring-buffer pages (a broken or hostile client)"},
		{"bytes_discarded_stopped", true, "discarded: the session was stopped"},
		{"datagrams_dropped", false, "datagrams dropped by this host (use TCP: -t)"},
		{"kernel_events_lost", false, "events lost by traced kernels"},
		{"kernel_losses_unknown", false, "losses in traced kernels without a count"},
		{"tracer_events_lost", false, "events discarded by LTTng's tracers: full buffers"},
		{"tracer_packets_lost", false, "packets overwritten by LTTng's tracers"},
		{"disk_errors", false, "writes or renames failed"},
	};
	char buf[HUMAN_MAX];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t n = field_number(counters, rows[i].name);

		if (n)
			amiss(a, "%s %s", rows[i].bytes ? human_bytes(n, buf) : human_count(n, buf),
			      rows[i].what);
	}
}

static void look_at_sessiond(struct attention *a, const json_t *sessiond)
{
	const json_t *counts = field_of(sessiond, "counts");
	uint64_t used = field_number(counts, "descriptors");
	uint64_t max = field_number(counts, "descriptors_max");

	if (*field_text(field_of(sessiond, "database"), "trouble"))
		amiss(a, "catalog.db: %s", field_text(field_of(sessiond, "database"), "trouble"));
	if (max && used >= max - max / 10)
		amiss(a, "%" PRIu64 " of %" PRIu64 " descriptors are in use: raise RLIMIT_NOFILE",
		      used, max);
}

static void print_attention(const struct cli *cli, const json_t *sessiond, const json_t *relayd)
{
	struct attention a = {.cli = cli};

	look_at_sessiond(&a, sessiond);
	look_at_workers(&a, relayd);
	look_at_sources(&a, relayd);
	look_at_counters(&a, field_of(relayd, "counters"));
}

/* ---- status ---- */

/* Both, null for what is not known. */
static json_t *merge(json_t *sessiond, json_t *relayd)
{
	return json_pack("{s:O s:O}", "sessiond", sessiond ? sessiond : json_null(), "relayd",
			 relayd ? relayd : json_null());
}

static int print_status(const struct cli *cli, json_t *sessiond, json_t *relayd)
{
	if (cli->json) {
		json_t *both = merge(sessiond, relayd);
		int status = cli_print_json(cli, both);

		json_decref(both);
		return status;
	}
	print_sessiond(cli, sessiond);
	if (relayd) {
		print_relayd(cli, relayd);
		print_figures(cli, relayd);
	} else {
		print_absent_relayd(cli, sessiond);
	}
	print_attention(cli, sessiond, relayd);
	return EXIT_DONE;
}

/*
 * Asked first is sessiond-lite, which is there whatever relayd does. A user who may not ask it
 * still sees relayd; a relayd that is being restarted does not hide what sessiond-lite says of it.
 * What goes wrong with one of them is said only if the other knows nothing either.
 */
int run_status(struct cli *cli)
{
	json_t *sessiond = NULL, *relayd = NULL;
	FILE *err = cli->err, *kept;
	char *said = NULL;
	size_t len;
	int control, status;

	kept = open_memstream(&said, &len);
	if (!kept)
		return cli_no_memory(cli);
	cli->err = kept;
	control = daemon_call(cli, "daemon.status", NULL, &sessiond);
	if (control != EXIT_NO_DAEMON)
		(void)daemon_status(
			cli, relayd_runs(sessiond) ? DAEMON_PATIENCE_MS : RESTART_PATIENCE_MS,
			&relayd);
	cli->err = err;
	(void)fclose(kept);
	if (sessiond || relayd) {
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
