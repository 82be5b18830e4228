/* SPDX-License-Identifier: MIT */
/*
 * top_view.c - see top_view.h.
 *
 *   head      relayd, sources, streams, incoming
 *             sums, workers
 *   note      what is amiss, or nothing
 *   titles
 *   sources   those that fit, from `first` on
 *   foot      keys
 */
#include "relayctl/top_view.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "relayctl/field.h"
#include "relayctl/human.h"
#include "relayctl/source_table.h"
#include "relayctl/table.h"
#include "relayctl/text.h"

#define OTHER_LINES 5 /* than those of sources */
#define STALLED_MS  1000

static const char *const sort_names[] = {
	[TOP_BY_RATE] = "rate", [TOP_BY_LOSS] = "loss", [TOP_BY_NAME] = "name"};

int top_sort_parse(const char *text, enum top_sort *ret)
{
	for (unsigned i = 0; i < sizeof(sort_names) / sizeof(sort_names[0]); i++)
		if (strcmp(sort_names[i], text) == 0) {
			*ret = (enum top_sort)i;
			return 0;
		}
	return -EINVAL;
}

/* ---- order ---- */

static int more_first(uint64_t a, uint64_t b)
{
	return a < b ? 1 : a > b ? -1 : 0;
}

static uint64_t loss(const json_t *source)
{
	return field_number(source, "lost_events") + field_number(source, "lost_intervals") +
	       source_table_lost_packets(source) + field_number(source, "datagrams_dropped");
}

static int by_number(const void *a, const void *b)
{
	return -more_first(field_number(*(json_t *const *)a, "number"),
			   field_number(*(json_t *const *)b, "number"));
}

static int by_rate(const void *a, const void *b)
{
	int r = more_first(field_number(*(json_t *const *)a, "rate"),
			   field_number(*(json_t *const *)b, "rate"));

	return r ? r : by_number(a, b);
}

static int by_loss(const void *a, const void *b)
{
	const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
	int r = more_first(loss(x), loss(y));

	if (!r)
		r = more_first(field_sum(x, "discarded"), field_sum(y, "discarded"));
	return r ? r : by_rate(a, b);
}

static int by_name(const void *a, const void *b)
{
	const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
	int r = strcmp(source_table_host(x), source_table_host(y));

	if (!r)
		r = strcmp(field_text(x, "session"), field_text(y, "session"));
	return r ? r : by_number(a, b);
}

static int (*const orders[])(const void *, const void *) = {
	[TOP_BY_RATE] = by_rate, [TOP_BY_LOSS] = by_loss, [TOP_BY_NAME] = by_name};

/* The sources, borrowed, in the order asked for; NULL without memory. */
static json_t **sorted_sources(const struct top_view *v, const json_t *document, size_t *ret_n)
{
	json_t *sources = field_of(document, "sources"), *one;
	size_t n = json_array_size(sources), i;
	json_t **list = calloc(n + 1, sizeof(*list));

	if (!list)
		return NULL;
	json_array_foreach (sources, i, one)
		list[i] = one;
	qsort(list, n, sizeof(*list), orders[v->sort]);
	*ret_n = n;
	return list;
}

/* ---- lines ---- */

static struct table *source_table(const struct top_view *v, const json_t *document)
{
	static const struct table_column columns[] = {
		{"SOURCE", true},    {"STATE", false},   {"STREAMS", true},
		{"RATE", true},      {"STORED", true},   {"LOST", true},
		{"DISCARDED", true}, {"SESSION", false}, {"HOST", false},
	};
	struct table *t = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	size_t n = 0;
	json_t **list = sorted_sources(v, document, &n);

	if (!list) {
		table_free(t);
		return NULL;
	}
	for (size_t i = 0; i < n; i++) {
		table_cellf(t, "%" PRIu64, field_number(list[i], "number"));
		source_table_state(t, list[i]);
		table_cellf(t, "%" PRIu64 "/%" PRIu64, field_number(list[i], "streams_open"),
			    field_number(list[i], "streams"));
		source_table_rate(t, field_number(list[i], "rate"));
		source_table_bytes(t, field_number(list[i], "stored"));
		source_table_lost(t, list[i]);
		source_table_discarded(t, list[i]);
		table_cell(t, field_text(list[i], "session"));
		table_cell(t, source_table_host(list[i]));
	}
	free(list);
	return t;
}

/* As asprintf(), but NULL without memory. The lines below are malloc()ed so. */
__attribute__((format(printf, 1, 2))) static char *line_of(const char *format, ...)
{
	va_list args;
	char *line;
	int n;

	va_start(args, format);
	n = vasprintf(&line, format, args);
	va_end(args);
	return n < 0 ? NULL : line;
}

static char *head_line(const json_t *document)
{
	const json_t *totals = field_of(document, "totals");
	char up[HUMAN_MAX], rate[HUMAN_MAX];

	return line_of("relayd pid %" PRIu64 ", start %" PRIu64 ", up %s   %" PRIu64
		       " sources   %" PRIu64 "/%" PRIu64 " streams   %s",
		       field_number(document, "pid"), field_number(document, "generation"),
		       human_duration(field_number(document, "uptime_s") * 1000, up),
		       field_number(totals, "sources"), field_number(totals, "streams_open"),
		       field_number(totals, "streams"),
		       human_rate(field_number(totals, "rate"), rate));
}

static uint64_t busiest_ms(const json_t *document)
{
	uint64_t busiest = 0;
	json_t *one;
	size_t i;

	json_array_foreach (field_of(document, "workers"), i, one)
		if (field_number(one, "busy_ms") > busiest)
			busiest = field_number(one, "busy_ms");
	return busiest;
}

static char *sums_line(const json_t *document)
{
	const json_t *totals = field_of(document, "totals");
	uint64_t packets = source_table_lost_packets(totals);
	char stored[HUMAN_MAX], discarded[HUMAN_MAX], lost[HUMAN_MAX], dropped[HUMAN_MAX],
		busy[HUMAN_MAX], pkt[HUMAN_MAX];

	return line_of("stored %s   discarded %s   lost %s%s%s%s%s   dropped %s   %zu workers, "
		       "busy %s",
		       human_bytes(field_number(totals, "stored"), stored),
		       human_bytes(field_sum(totals, "discarded"), discarded),
		       human_count(field_number(totals, "lost_events"), lost),
		       field_number(totals, "lost_intervals") ? "+" : "", packets ? " + " : "",
		       packets ? human_count(packets, pkt) : "", packets ? " pkt" : "",
		       human_count(field_number(totals, "datagrams_dropped"), dropped),
		       json_array_size(field_of(document, "workers")),
		       human_duration(busiest_ms(document), busy));
}

static char *note_line(const struct top_view *v, const json_t *document)
{
	char buf[HUMAN_MAX];

	if (v->silent_ms)
		return line_of("relayd has not answered for %s; perhaps it is being restarted",
			       human_duration(v->silent_ms, buf));
	if (busiest_ms(document) >= STALLED_MS)
		return line_of("a worker has been in one turn for %s: a stalled file system?",
			       human_duration(busiest_ms(document), buf));
	if (!field_is(document, "synced"))
		return line_of("relayd is taking over what an earlier one left");
	return NULL;
}

static char *foot_line(const struct top_view *v, size_t sources)
{
	size_t last = v->first + top_view_page(v);

	return line_of("%zu-%zu of %zu by %s   r rate  l loss  n name  arrows, pages scroll  "
		       "q quit",
		       sources ? v->first + 1 : 0, last < sources ? last : sources, sources,
		       sort_names[v->sort]);
}

/* ---- a screen ---- */

enum style { PLAIN, BOLD, REVERSE };

/* One line of the screen: cut to its width, cleared behind. Not one behind the last line. */
static void put_line(const struct top_view *v, char *line, enum style style, bool last, FILE *out)
{
	static const char *const on[] = {[PLAIN] = "", [BOLD] = "\033[1m", [REVERSE] = "\033[7m"};
	size_t width = line ? text_cut(line, v->columns) : 0;
	const char *begin = v->styles ? on[style] : "";

	fprintf(out, "%s%s", begin, line ? line : "");
	if (style == REVERSE && v->styles)
		fprintf(out, "%*s", (int)(v->columns - width), "");
	fprintf(out, "%s\033[K%s", *begin ? "\033[0m" : "", last ? "" : "\r\n");
	free(line);
}

size_t top_view_page(const struct top_view *v)
{
	return v->rows > OTHER_LINES ? v->rows - OTHER_LINES : 1;
}

void top_view_scroll(struct top_view *v, const json_t *document, long rows)
{
	size_t n = json_array_size(field_of(document, "sources")), page = top_view_page(v);
	size_t last = n > page ? n - page : 0;

	if (rows < 0)
		v->first = v->first > (size_t)-rows ? v->first - (size_t)-rows : 0;
	else
		v->first += (size_t)rows < n ? (size_t)rows : n;
	if (v->first > last)
		v->first = last;
}

int top_view_draw(const struct top_view *v, const json_t *document, FILE *out)
{
	struct table *t = source_table(v, document);
	size_t n = table_rows(t), page = top_view_page(v);

	if (!t)
		return -ENOMEM;
	fputs("\033[H", out);
	put_line(v, head_line(document), BOLD, false, out);
	put_line(v, sums_line(document), PLAIN, false, out);
	put_line(v, note_line(v, document), BOLD, false, out);
	put_line(v, table_line(t, -1, v->columns), REVERSE, false, out);
	for (size_t i = 0; i < page; i++) {
		size_t row = v->first + i;

		if (row < n)
			put_line(v, table_line(t, (long)row, v->columns),
				 table_row_marked(t, row) ? BOLD : PLAIN, false, out);
		else
			put_line(v, NULL, PLAIN, false, out);
	}
	put_line(v, foot_line(v, n), REVERSE, true, out);
	table_free(t);
	return 0;
}

int top_view_print(const struct top_view *v, const json_t *document, FILE *out)
{
	struct table *t = source_table(v, document);
	char *head = head_line(document), *sums = sums_line(document);
	int r = -ENOMEM;

	if (head && sums) {
		fprintf(out, "%s\n%s\n\n", head, sums);
		r = table_print(t, out, false);
	}
	free(head);
	free(sums);
	table_free(t);
	return r;
}
