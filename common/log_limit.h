/* SPDX-License-Identifier: MIT */
/*
 * log_limit.h - how many log lines a peer may cause.
 *
 * A window of time lets its first lines through and counts the others; when the window is over, one
 * line says how many were left out. Pure: time is an argument, nothing is written here; log.c asks.
 *
 * Life:   static objects, made with LOG_LIMIT(); they are never freed, since log.c keeps a list of
 *         those that still owe a summary.
 * Thread: log.c guards every limit with the log's own mutex; who calls these functions directly
 *         (a test) must do the same.
 * Units:  milliseconds of CLOCK_MONOTONIC.
 */
#ifndef TRACERELAY_COMMON_LOG_LIMIT_H
#define TRACERELAY_COMMON_LOG_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

struct log_limit {
	const uint32_t lines;     /* let through in a window */
	const uint32_t window_ms; /* its length; it begins with its first line */
	uint64_t window_start_ms; /* of the window that passed and left_out belong to */
	uint32_t passed;          /* lines of this window that were written */
	uint64_t left_out;        /* and that were not, and no summary has said so yet */

	/* log.c: the summary that is owed looks like the last line that was left out */
	int level;
	const char *event;
	struct log_limit *next_owing;
	bool owing; /* is in the list */
};

/* static struct log_limit strays = LOG_LIMIT(10, 1000); */
#define LOG_LIMIT(lines_, window_ms_)                        \
	{                                                    \
		.lines = (lines_), .window_ms = (window_ms_) \
	}

/* What most limits are: ten lines a second. */
#define LOG_LIMIT_USUAL LOG_LIMIT(10, 1000)

/*
 * May a line be written now? If not, it is counted.
 * @ret_left_out  lines that the window before left out and no summary has said yet, else 0; the
 *                summary goes before the line
 */
bool log_limit_take(struct log_limit *l, uint64_t now_ms, uint64_t *ret_left_out);

/* When the summary falls due (the window's end); UINT64_MAX if none is owed. */
uint64_t log_limit_due(const struct log_limit *l);

/* The lines left out, if their window is over by now; they are then taken as said. Else 0. */
uint64_t log_limit_settle(struct log_limit *l, uint64_t now_ms);

#endif
