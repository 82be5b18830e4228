/* SPDX-License-Identifier: MIT */
/*
 * top_view.h - what `relayctl top` shows: a status document as the lines of a screen.
 *
 * Pure: no terminal, no clock, no I/O but to the stream that is given.
 * Thread: one.
 */
#ifndef TRACERELAY_RELAYCTL_TOP_VIEW_H
#define TRACERELAY_RELAYCTL_TOP_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

enum top_sort { TOP_BY_RATE, TOP_BY_LOSS, TOP_BY_NAME };

/* "rate", "loss", "name". -EINVAL for another text. */
int top_sort_parse(const char *text, enum top_sort *ret);

struct top_view {
	enum top_sort sort;
	size_t first;         /* the row on top; top_view_scroll() keeps it inside */
	size_t columns, rows; /* of the screen */
	uint64_t silent_ms;   /* since relayd answered last; 0: it answers */
	bool styles;          /* reverse and bold */
};

/* Rows of sources that fit the screen. */
size_t top_view_page(const struct top_view *v);

/* Move by so many rows, but not beyond what there is. */
void top_view_scroll(struct top_view *v, const json_t *document, long rows);

/* The whole screen, from its upper left corner. 0 or -ENOMEM. */
int top_view_draw(const struct top_view *v, const json_t *document, FILE *out);

/* The same as plain lines, every source, nothing cut. 0 or -ENOMEM. */
int top_view_print(const struct top_view *v, const json_t *document, FILE *out);

#endif
