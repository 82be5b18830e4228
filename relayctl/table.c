/* SPDX-License-Identifier: MIT */
/* table.c - see table.h. */
#include "relayctl/table.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "relayctl/text.h"

#define GAP 2 /* spaces between columns */

struct cell {
	char *text;   /* clean; owned */
	size_t width; /* columns */
	bool marked;
};

struct table {
	const struct table_column *column;
	size_t columns;
	size_t *width; /* [columns] of the widest cell, titles included */
	struct cell *cell;
	size_t cells, room;
	bool failed;
};

struct table *table_new(const struct table_column *columns, size_t n)
{
	struct table *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->column = columns;
	t->columns = n;
	t->width = calloc(n, sizeof(*t->width));
	if (!t->width) {
		free(t);
		return NULL;
	}
	for (size_t i = 0; i < n; i++)
		t->width[i] = strlen(columns[i].title);
	return t;
}

void table_free(struct table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->cells; i++)
		free(t->cell[i].text);
	free(t->cell);
	free(t->width);
	free(t);
}

static bool make_room(struct table *t)
{
	size_t room = t->room ? 2 * t->room : 64;
	struct cell *cell;

	if (t->cells < t->room)
		return true;
	cell = realloc(t->cell, room * sizeof(*cell));
	if (!cell)
		return false;
	t->cell = cell;
	t->room = room;
	return true;
}

void table_cell(struct table *t, const char *text)
{
	struct cell c = {0};
	size_t *width;

	if (!t || t->failed)
		return;
	c.text = text_clean(text && *text ? text : "-", &c.width);
	if (!c.text || !make_room(t)) {
		free(c.text);
		t->failed = true;
		return;
	}
	width = &t->width[t->cells % t->columns];
	if (*width < c.width)
		*width = c.width;
	t->cell[t->cells++] = c;
}

void table_cellf(struct table *t, const char *format, ...)
{
	char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	if (!text && t)
		t->failed = true;
	table_cell(t, text);
	free(text);
}

void table_mark(struct table *t)
{
	if (t && t->cells)
		t->cell[t->cells - 1].marked = true;
}

size_t table_rows(const struct table *t)
{
	return t ? t->cells / t->columns : 0;
}

bool table_row_marked(const struct table *t, size_t row)
{
	for (size_t i = 0; i < t->columns; i++)
		if (t->cell[row * t->columns + i].marked)
			return true;
	return false;
}

static void put_cell(const struct table *t, size_t column, const char *text, size_t width,
		     const char *before, FILE *out)
{
	size_t pad = t->width[column] - width;
	bool last = column + 1 == t->columns;

	if (t->column[column].right)
		fprintf(out, "%*s", (int)pad, "");
	fprintf(out, "%s%s%s", before, text, *before ? "\033[0m" : "");
	if (!t->column[column].right && !last)
		fprintf(out, "%*s", (int)pad, "");
	if (!last)
		fprintf(out, "%*s", GAP, "");
}

static void put_row(const struct table *t, long row, bool colour, FILE *out)
{
	for (size_t i = 0; i < t->columns; i++) {
		const struct cell *c = row < 0 ? NULL : &t->cell[(size_t)row * t->columns + i];

		if (c)
			put_cell(t, i, c->text, c->width, colour && c->marked ? "\033[31m" : "",
				 out);
		else
			put_cell(t, i, t->column[i].title, strlen(t->column[i].title),
				 colour ? "\033[1m" : "", out);
	}
}

int table_print(const struct table *t, FILE *out, bool colour)
{
	if (!t || t->failed)
		return -ENOMEM;
	for (long row = -1; row < (long)table_rows(t); row++) {
		put_row(t, row, colour, out);
		fputc('\n', out);
	}
	return 0;
}

char *table_line(const struct table *t, long row, size_t columns)
{
	char *line = NULL;
	size_t len;
	FILE *out;

	if (!t || t->failed)
		return NULL;
	out = open_memstream(&line, &len);
	if (!out)
		return NULL;
	put_row(t, row, false, out);
	if (fclose(out) != 0) {
		free(line);
		return NULL;
	}
	(void)text_cut(line, columns);
	return line;
}
