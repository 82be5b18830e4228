/* SPDX-License-Identifier: MIT */
/* log_record.c - a log line as a value; see log_record.h. */
#include "common/log_record.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

/* A text that came from outside, into room for size bytes. A text that does not fit ends in "...".
 */
static void copy_escaped(char *to, size_t size, const char *from)
{
	static const char hex[] = "0123456789abcdef";
	size_t at = 0;
	size_t whole = 0; /* where the text can be cut so that "..." still fits */

	assert(size > 4);
	for (; *from; from++) {
		unsigned char c = (unsigned char)*from;
		bool plain = c >= 0x20 && c < 0x7f;

		if (at + (plain ? 1 : 4) >= size) {
			memcpy(to + whole, "...", 4);
			return;
		}
		if (plain) {
			to[at++] = (char)c;
		} else {
			to[at++] = '\\';
			to[at++] = 'x';
			to[at++] = hex[c >> 4];
			to[at++] = hex[c & 15];
		}
		if (at + 4 <= size)
			whole = at;
	}
	to[at] = '\0';
}

void log_record_make(struct log_record *ret, enum log_level level, int64_t time_ms,
		     const struct log_about *about, const char *event, const char *format,
		     va_list args)
{
	char raw[sizeof(ret->message) + 1]; /* one more, so that copy_escaped() sees what was cut */

	*ret = (struct log_record){.level = level, .time_ms = time_ms, .event = event};
	if (about) {
		ret->connection = about->connection;
		copy_escaped(ret->peer, sizeof(ret->peer), about->peer ? about->peer : "");
		copy_escaped(ret->reason, sizeof(ret->reason), about->reason ? about->reason : "");
	}
	if (vsnprintf(raw, sizeof(raw), format, args) < 0)
		raw[0] = '\0';
	copy_escaped(ret->message, sizeof(ret->message), raw);
}

static int priority(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_DEBUG:
		return LOG_DEBUG;
	case LOG_LEVEL_INFO:
		return LOG_INFO;
	case LOG_LEVEL_WARNING:
		return LOG_WARNING;
	case LOG_LEVEL_ERROR:
		break;
	}
	return LOG_ERR;
}

/* " (connection 12, peer 10.0.0.1:4000, reason protocol)", or nothing. */
static void about_to_text(const struct log_record *r, char *buf, size_t size)
{
	char connection[40] = "";
	const char *sep = " (";
	size_t at = 0;

	if (r->connection)
		snprintf(connection, sizeof(connection), "%llu", (unsigned long long)r->connection);
	const char *const parts[][2] = {
		{"connection", connection}, {"peer", r->peer}, {"reason", r->reason}};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (!parts[i][1][0])
			continue;
		at += (size_t)snprintf(buf + at, size - at, "%s%s %s", sep, parts[i][0],
				       parts[i][1]);
		assert(at < size);
		sep = ", ";
	}
	snprintf(buf + at, size - at, "%s", at ? ")" : "");
}

static bool is_leap(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/*
 * UTC, as 2026-01-02T03:04:05.678Z. Not by gmtime_r() and strftime(): they take a lock of the C
 * library's, which another thread may hold at the moment of a fork(), and a child logs too.
 */
static void time_to_text(int64_t time_ms, char buf[64])
{
	static const int month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int64_t days = time_ms / 86400000;
	unsigned ms = (unsigned)(time_ms % 86400000);
	int year = 1970, month = 0;

	for (;; year++) {
		int of_year = is_leap(year) ? 366 : 365;

		if (days < of_year)
			break;
		days -= of_year;
	}
	for (;; month++) {
		int of_month = month_days[month] + (month == 1 && is_leap(year));

		if (days < of_month)
			break;
		days -= of_month;
	}
	snprintf(buf, 64, "%04d-%02d-%02dT%02u:%02u:%02u.%03uZ", year, month + 1, (int)days + 1,
		 ms / 3600000, ms / 60000 % 60, ms / 1000 % 60, ms % 1000);
}

size_t log_record_to_text(const struct log_record *r, bool journal, const char *program, int pid,
			  char buf[LOG_TEXT_MAX])
{
	char about[sizeof(r->peer) + sizeof(r->reason) + 64];
	char head[160], date[64];
	int len;

	about_to_text(r, about, sizeof(about));
	if (journal) {
		snprintf(head, sizeof(head), "<%d>", priority(r->level));
	} else {
		time_to_text(r->time_ms, date);
		snprintf(head, sizeof(head), "%s %.40s[%d] %s ", date, program, pid,
			 log_level_name(r->level));
	}
	len = snprintf(buf, LOG_TEXT_MAX, "%s%.60s: %s%s\n", head, r->event, r->message, about);
	assert(len > 0 && len < LOG_TEXT_MAX);
	return (size_t)len;
}

size_t log_record_to_fields(const struct log_record *r, struct iovec fields[LOG_FIELDS_MAX],
			    char buf[LOG_TEXT_MAX])
{
	char number[24] = "", level[4];
	size_t n = 0, at = 0;

	if (r->connection)
		snprintf(number, sizeof(number), "%llu", (unsigned long long)r->connection);
	snprintf(level, sizeof(level), "%d", priority(r->level));
	const char *const all[LOG_FIELDS_MAX][2] = {{"MESSAGE", r->message}, {"PRIORITY", level},
						    {"EVENT", r->event},     {"CONNECTION", number},
						    {"PEER", r->peer},       {"REASON", r->reason}};

	for (size_t i = 0; i < LOG_FIELDS_MAX; i++) {
		int len;

		if (!all[i][1][0])
			continue;
		len = snprintf(buf + at, LOG_TEXT_MAX - at, "%s=%.767s", all[i][0], all[i][1]);
		assert(len > 0 && (size_t)len < LOG_TEXT_MAX - at);
		fields[n++] = (struct iovec){.iov_base = buf + at, .iov_len = (size_t)len};
		at += (size_t)len + 1;
	}
	return n;
}
