/* SPDX-License-Identifier: MIT */
/*
 * log_record.h - one log line as a value, and what it looks like on each target.
 *
 * Everything that came from outside is escaped when the record is made: what is not printable
 * ASCII becomes \xNN, so no peer can forge a line or talk to a terminal. A backslash stays one.
 *
 * Life:   a plain value; nothing in it is borrowed but the event, which is a string literal.
 * Thread: any; no state.
 */
#ifndef TRACERELAY_COMMON_LOG_RECORD_H
#define TRACERELAY_COMMON_LOG_RECORD_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "common/log.h"

struct log_record {
	enum log_level level;
	int64_t time_ms;     /* CLOCK_REALTIME, not before 1970 */
	const char *event;   /* a literal */
	uint64_t connection; /* 0 = none */
	char peer[80];       /* "" = none; an address always fits */
	char reason[120];    /* "" = none */
	char message[768];   /* ends in "..." if it was longer */
};

/* Longest text of a record, NUL included. */
#define LOG_TEXT_MAX 2048

/* @about may be NULL. */
void log_record_make(struct log_record *ret, enum log_level level, int64_t time_ms,
		     const struct log_about *about, const char *event, const char *format,
		     va_list args) __attribute__((format(printf, 6, 0)));

/*
 * The line for stderr, with its newline.
 *   plain:   2026-01-02T03:04:05.678Z relayd[77] info stream-closed: MESSAGE (connection 12,
 *            peer 10.0.0.1:4000, reason protocol)
 *   journal: <6>stream-closed: MESSAGE (...)   for a stderr that leads to the journal
 * (sd-daemon(3)) Return its length.
 */
size_t log_record_to_text(const struct log_record *r, bool journal, const char *program, int pid,
			  char buf[LOG_TEXT_MAX]);

/* The fields of sd_journal_sendv(3): MESSAGE, PRIORITY, EVENT, and those of CONNECTION, PEER and
 * REASON that the record has. buf holds them; both must outlive the call that sends. */
#define LOG_FIELDS_MAX 6
size_t log_record_to_fields(const struct log_record *r, struct iovec fields[LOG_FIELDS_MAX],
			    char buf[LOG_TEXT_MAX]);

#endif
