/* SPDX-License-Identifier: MIT */
/*
 * top.c - the live view: a document a second, drawn by top_view.c.
 *
 * The document is read beside the keys, so that a relayd that does not answer holds nothing up.
 */
#include "relayctl/commands.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "relayctl/daemon.h"
#include "relayctl/status_reader.h"
#include "relayctl/terminal.h"
#include "relayctl/top_view.h"

#define EVERY_MS 1000
#define QUIET_MS 2500 /* without an answer, before the screen says so */

struct top {
	struct cli *cli;
	char *path; /* of status.sock */
	struct top_view view;
	json_t *document; /* the last one */
	int64_t answered_ms, next_ms;
	struct status_reader reader; /* fd -1: nothing is being read */
	int unreachable;             /* errno of the last attempt, 0: it was none */
};

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void draw(struct top *t)
{
	int64_t silent = now_ms() - t->answered_ms;

	t->view.silent_ms = silent > QUIET_MS ? (uint64_t)silent : 0;
	terminal_size(&t->view.columns, &t->view.rows);
	top_view_scroll(&t->view, t->document, 0);
	(void)top_view_draw(&t->view, t->document, t->cli->out);
	fflush(t->cli->out);
}

/* ---- documents ---- */

static void ask(struct top *t)
{
	t->next_ms = now_ms() + EVERY_MS;
	if (t->reader.fd >= 0)
		return; /* the last one is still awaited */
	t->unreachable = status_reader_open(t->path, &t->reader);
	if (t->unreachable < 0)
		t->reader = (struct status_reader){.fd = -1};
}

static void take(struct top *t)
{
	json_t *document;
	int r = status_reader_step(&t->reader, &document);

	if (r == 0)
		return;
	status_reader_close(&t->reader);
	if (r < 0)
		return; /* relayd was killed meanwhile: asked again at the next turn */
	json_decref(t->document);
	t->document = document;
	t->answered_ms = now_ms();
}

/* ---- keys ---- */

/* False: quit. */
static bool obey(struct top *t, int key)
{
	long page = (long)top_view_page(&t->view);

	switch (key) {
	case 'q':
	case 'Q':
		return false;
	case 'r':
		t->view.sort = TOP_BY_RATE;
		break;
	case 'l':
		t->view.sort = TOP_BY_LOSS;
		break;
	case 'n':
		t->view.sort = TOP_BY_NAME;
		break;
	case TERMINAL_UP:
		top_view_scroll(&t->view, t->document, -1);
		break;
	case TERMINAL_DOWN:
		top_view_scroll(&t->view, t->document, 1);
		break;
	case TERMINAL_PAGE_UP:
		top_view_scroll(&t->view, t->document, -page);
		break;
	case TERMINAL_PAGE_DOWN:
		top_view_scroll(&t->view, t->document, page);
		break;
	case TERMINAL_HOME:
		top_view_scroll(&t->view, t->document, -LONG_MAX);
		break;
	case TERMINAL_END:
		top_view_scroll(&t->view, t->document, LONG_MAX);
		break;
	}
	return true;
}

static bool obey_all(struct top *t)
{
	int key;

	while ((key = terminal_key()))
		if (!obey(t, key))
			return false;
	return true;
}

/* ---- the loop ---- */

static void watch(struct top *t)
{
	bool go_on = true;

	draw(t);
	while (go_on) {
		switch (terminal_wait(t->reader.fd, t->next_ms)) {
		case TERMINAL_TIME:
			ask(t);
			break;
		case TERMINAL_FD:
			take(t);
			if (t->reader.fd >= 0)
				continue; /* more of it will come */
			break;
		case TERMINAL_KEYS:
			go_on = obey_all(t);
			break;
		case TERMINAL_REDRAW:
			break;
		case TERMINAL_QUIT:
			go_on = false;
			break;
		}
		if (go_on)
			draw(t);
	}
}

/* End as the signal would have ended us, now that the terminal is as it was. */
static int end_by(int number)
{
	if (!number)
		return EXIT_DONE;
	signal(number, SIG_DFL);
	raise(number);
	return 128 + number;
}

static int snapshot(struct cli *cli, struct top_view *view)
{
	json_t *document = NULL;
	int status = daemon_status(cli, DAEMON_PATIENCE_MS, &document);

	if (status == EXIT_DONE && cli->json)
		status = cli_print_json(cli, document);
	else if (status == EXIT_DONE && top_view_print(view, document, cli->out) < 0)
		status = cli_no_memory(cli);
	json_decref(document);
	return status;
}

int run_top(struct cli *cli)
{
	struct top t = {.cli = cli, .reader = {.fd = -1}, .view = {.styles = true}};
	const char *sort = cli_option(cli, "--sort");
	int status;

	if (sort && top_sort_parse(sort, &t.view.sort) < 0)
		return cli_fail(cli, EXIT_USAGE, "--sort %s: write rate, loss or name", sort);
	if (cli->json || !isatty(fileno(cli->out)) || !isatty(STDIN_FILENO))
		return snapshot(cli, &t.view);
	/* Whether there is a relay is said before the screen is taken. */
	status = daemon_status(cli, DAEMON_PATIENCE_MS, &t.document);
	if (status != EXIT_DONE)
		return status;
	t.path = daemon_path(cli, "status.sock");
	if (!t.path || terminal_enter(cli->out) < 0) {
		free(t.path);
		json_decref(t.document);
		return cli_fail(cli, EXIT_REFUSED, "this terminal cannot be used");
	}
	t.answered_ms = now_ms();
	t.next_ms = t.answered_ms + EVERY_MS;
	watch(&t);
	terminal_leave();
	status_reader_close(&t.reader);
	json_decref(t.document);
	free(t.path);
	return end_by(terminal_signal());
}
