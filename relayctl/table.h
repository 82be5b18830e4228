/* SPDX-License-Identifier: MIT */
/*
 * table.h - rows of cells, as wide as their widest.
 *
 * Life:   table_new() to table_free(). Errors: no memory prints nothing; table_print() says so.
 * Thread: one.
 */
#ifndef TRACERELAY_RELAYCTL_TABLE_H
#define TRACERELAY_RELAYCTL_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct table; /* opaque */

struct table_column {
	const char *title;
	bool right; /* figures */
};

/* @columns  static. NULL: no memory, which every function here takes. */
struct table *table_new(const struct table_column *columns, size_t n);
void table_free(struct table *t);

/* The next cell, from the left, row after row. NULL or "" shows as "-". */
void table_cell(struct table *t, const char *text);
void table_cellf(struct table *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The last cell tells of trouble: coloured where colours are. */
void table_mark(struct table *t);

size_t table_rows(const struct table *t);

/* Titles and rows. 0 or -ENOMEM. */
int table_print(const struct table *t, FILE *out, bool colour);

/* One line without its end: -1: the titles. At most so many columns; the rest is cut.
 * Return malloc()ed, NULL without memory. */
char *table_line(const struct table *t, long row, size_t columns);
bool table_row_marked(const struct table *t, size_t row);

#endif
