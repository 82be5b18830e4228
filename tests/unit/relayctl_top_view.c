/* SPDX-License-Identifier: MIT */
/* relayctl_top_view.c - the live view's order, its scrolling, and that it never leaves its screen.
 */
#include "relayctl/top_view.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Sources a (1), b (2), ...; rate and loss as in the arrays. */
static json_t *document(size_t n, const int *rate, const int *lost)
{
	json_t *sources = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(
			sources, json_pack("{si ss ss ss si si si si si s{si}}", "number",
					   (int)i + 1, "host", (char[]){(char)('a' + i), 0},
					   "session", "default", "state", "recording", "streams", 4,
					   "streams_open", 3, "rate", rate[i], "stored", 4096,
					   "lost_events", lost[i], "discarded", "disk", 0));
	return json_pack("{si si si sb s{si si si si si} s[{si si}] so}", "pid", 4711, "generation",
			 2, "uptime_s", 65, "synced", 1, "totals", "sources", (int)n, "streams", 12,
			 "streams_open", 9, "rate", 1 << 20, "stored", 8192, "workers", "index", 0,
			 "busy_ms", 0, "sources", sources);
}

static char *draw(const struct top_view *v, const json_t *doc)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	cr_assert_eq(top_view_draw(v, doc, out), 0);
	fclose(out);
	return text;
}

/* The last letters of the lines of sources: their hosts, in order. */
static void check_order(enum top_sort sort, const char *want)
{
	static const int rate[] = {10, 30, 20}, lost[] = {5, 0, 9};
	json_t *doc = document(3, rate, lost);
	struct top_view v = {.sort = sort, .columns = 200, .rows = 10};
	char *text = draw(&v, doc), *line = text, got[8] = "";

	for (int i = 0; i < 4; i++)
		line = strchr(line, '\n') + 1;
	for (int i = 0; i < 3; i++) {
		char *end = strstr(line, "\033[K");

		strncat(got, end - 1, 1);
		line = strchr(line, '\n') + 1;
	}
	cr_assert_str_eq(got, want);
	free(text);
	json_decref(doc);
}

Test(relayctl_top_view, orders)
{
	check_order(TOP_BY_RATE, "bca");
	check_order(TOP_BY_LOSS, "cab");
	check_order(TOP_BY_NAME, "abc");
}

Test(relayctl_top_view, sort_names)
{
	enum top_sort sort = TOP_BY_RATE;

	cr_assert_eq(top_sort_parse("loss", &sort), 0);
	cr_assert_eq(sort, TOP_BY_LOSS);
	cr_assert_lt(top_sort_parse("size", &sort), 0);
	cr_assert_eq(sort, TOP_BY_LOSS);
}

Test(relayctl_top_view, says_how_it_is)
{
	static const int rate[] = {1}, lost[] = {12};
	json_t *doc = document(1, rate, lost);
	struct top_view v = {.columns = 200, .rows = 10};
	char *text = draw(&v, doc);

	cr_assert(strstr(text, "pid 4711, start 2, up 1m 5s"));
	cr_assert(strstr(text, "9/12 streams"));
	cr_assert(strstr(text, "1.0 MiB/s"));
	cr_assert(strstr(text, "3/4"));
	cr_assert(strstr(text, "1-1 of 1 by rate"));
	cr_assert_null(strstr(text, "answered"));
	cr_assert_null(strstr(text, "\033[7m"), "styles are off");
	free(text);

	v.silent_ms = 3000;
	v.styles = true;
	text = draw(&v, doc);
	cr_assert(strstr(text, "relayd has not answered for 3.0s"));
	cr_assert(strstr(text, "\033[7m"));
	free(text);

	v.silent_ms = 0;
	json_object_set_new(json_array_get(json_object_get(doc, "workers"), 0), "busy_ms",
			    json_integer(31000));
	text = draw(&v, doc);
	cr_assert(strstr(text, "a worker has been in one turn for 31s"));
	free(text);
	json_decref(doc);
}

/* No screen, however small, gets more lines or longer ones than it has. */
Test(relayctl_top_view, stays_on_its_screen)
{
	static const int rate[26], lost[26];
	json_t *doc = document(26, rate, lost);

	for (size_t columns = 1; columns < 100; columns += 7)
		for (size_t rows = 6; rows < 40; rows += 5) {
			struct top_view v = {.columns = columns, .rows = rows};
			char *text = draw(&v, doc), *line, *rest = text + strlen("\033[H");
			size_t lines = 0;

			while ((line = strsep(&rest, "\n"))) {
				char *end = strstr(line, "\033[K");

				cr_assert(end);
				cr_assert_leq((size_t)(end - line), columns, "%zux%zu: \"%s\"",
					      columns, rows, line);
				lines++;
			}
			cr_assert_eq(lines, rows);
			free(text);
		}
	json_decref(doc);
}

Test(relayctl_top_view, scrolls_within_what_there_is)
{
	static const int rate[26], lost[26];
	json_t *doc = document(26, rate, lost), *fewer = document(3, rate, lost);
	struct top_view v = {.columns = 80, .rows = 15}; /* 10 sources */

	cr_assert_eq(top_view_page(&v), 10);
	top_view_scroll(&v, doc, -1);
	cr_assert_eq(v.first, 0);
	top_view_scroll(&v, doc, 10);
	cr_assert_eq(v.first, 10);
	top_view_scroll(&v, doc, 10);
	cr_assert_eq(v.first, 16, "the last page is full");
	top_view_scroll(&v, doc, -3);
	cr_assert_eq(v.first, 13);
	top_view_scroll(&v, doc, __LONG_MAX__);
	cr_assert_eq(v.first, 16);
	top_view_scroll(&v, fewer, 0);
	cr_assert_eq(v.first, 0, "sources ended meanwhile");
	top_view_scroll(&v, doc, -__LONG_MAX__);
	cr_assert_eq(v.first, 0);
	json_decref(doc);
	json_decref(fewer);
}

Test(relayctl_top_view, plain_lines_have_every_source)
{
	static const int rate[26], lost[26];
	json_t *doc = document(26, rate, lost);
	struct top_view v = {.columns = 10, .rows = 6};
	char *text = NULL;
	size_t len, lines = 0;
	FILE *out = open_memstream(&text, &len);

	cr_assert_eq(top_view_print(&v, doc, out), 0);
	fclose(out);
	for (const char *c = text; *c; c++)
		lines += *c == '\n';
	cr_assert_eq(lines, 4 + 26);
	cr_assert_null(strchr(text, '\033'));
	free(text);
	json_decref(doc);
}
