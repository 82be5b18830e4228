/* SPDX-License-Identifier: MIT */
/* log_record.c - what a log line looks like, and that no peer can forge one. */
#include "common/log_record.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define TIME_MS 1767323045678 /* 2026-01-02T03:04:05.678Z */

__attribute__((format(printf, 4, 5))) static void make(struct log_record *r,
						       const struct log_about *about,
						       enum log_level level, const char *format,
						       ...)
{
	va_list args;

	va_start(args, format);
	log_record_make(r, level, TIME_MS, about, "stream-closed", format, args);
	va_end(args);
}

Test(log_record, plain_line)
{
	struct log_record r;
	char text[LOG_TEXT_MAX];
	size_t len;

	make(&r, NULL, LOG_LEVEL_INFO, "%d bytes", 12);
	len = log_record_to_text(&r, false, "relayd", 77, text);
	cr_assert_str_eq(text,
			 "2026-01-02T03:04:05.678Z relayd[77] info stream-closed: 12 bytes\n");
	cr_assert_eq(len, strlen(text));
}

/* Against the C library, over leap years, century years and ends of months. */
Test(log_record, dates)
{
	for (int64_t at = 0; at < 16000000000; at += 86400 * 3 + 12345) {
		time_t s = (time_t)at;
		struct tm tm;
		char want[40], text[LOG_TEXT_MAX];
		struct log_record r = {.time_ms = at * 1000 + 7, .event = "x"};

		gmtime_r(&s, &tm);
		strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%S.007Z ", &tm);
		log_record_to_text(&r, false, "relayd", 1, text);
		cr_assert_eq(strncmp(text, want, strlen(want)), 0, "%s for %s", text, want);
	}
}

Test(log_record, about_whom)
{
	struct log_about about = {.connection = 12, .peer = "10.0.0.1:4000", .reason = "protocol"};
	struct log_record r;
	char text[LOG_TEXT_MAX];

	make(&r, &about, LOG_LEVEL_ERROR, "ended");
	log_record_to_text(&r, false, "relayd", 77, text);
	cr_assert_str_eq(strstr(text, "error"), "error stream-closed: ended (connection 12, peer "
						"10.0.0.1:4000, reason protocol)\n");

	about = (struct log_about){.reason = "timeout"};
	make(&r, &about, LOG_LEVEL_ERROR, "ended");
	log_record_to_text(&r, true, "relayd", 77, text);
	cr_assert_str_eq(text, "<3>stream-closed: ended (reason timeout)\n");

	about = (struct log_about){0};
	make(&r, &about, LOG_LEVEL_ERROR, "ended");
	log_record_to_text(&r, true, "relayd", 77, text);
	cr_assert_str_eq(text, "<3>stream-closed: ended\n");
}

Test(log_record, journal_priorities)
{
	static const char *const want[] = {"<7>", "<6>", "<4>", "<3>"};
	struct log_record r;
	char text[LOG_TEXT_MAX];

	for (int level = LOG_LEVEL_DEBUG; level <= LOG_LEVEL_ERROR; level++) {
		make(&r, NULL, (enum log_level)level, "x");
		log_record_to_text(&r, true, "relayd", 1, text);
		cr_assert_eq(strncmp(text, want[level], 3), 0, "%s", text);
	}
}

Test(log_record, what_peers_send_is_escaped)
{
	struct log_about about = {.peer = "a\nb", .reason = "\x1b[2J"};
	struct log_record r;
	char text[LOG_TEXT_MAX];

	make(&r, &about, LOG_LEVEL_INFO, "host %s", "x\n2026 forged\r\t\x7f\xc3\xa9\x9b~ \\");
	cr_assert_str_eq(r.message, "host x\\x0a2026 forged\\x0d\\x09\\x7f\\xc3\\xa9\\x9b~ \\");
	cr_assert_str_eq(r.peer, "a\\x0ab");
	cr_assert_str_eq(r.reason, "\\x1b[2J");
	log_record_to_text(&r, false, "relayd", 1, text);
	cr_assert_eq(strchr(text, '\n'), text + strlen(text) - 1, "one line");
}

/* Every length around the limit, of characters that take one place and of such that take four. */
Test(log_record, long_texts_end_in_dots)
{
	struct log_record r;
	char text[LOG_TEXT_MAX], in[2000];

	for (size_t len = 0; len < sizeof(in); len++) {
		size_t max = sizeof(r.message) - 1;

		memset(in, 'a', len);
		in[len] = '\0';
		make(&r, NULL, LOG_LEVEL_INFO, "%s", in);
		cr_assert_eq(strlen(r.message), len < max ? len : max);
		cr_assert_eq(strstr(r.message, "...") != NULL, len > max, "%zu", len);

		memset(in, '\n', len);
		make(&r, NULL, LOG_LEVEL_INFO, "%s", in);
		cr_assert_eq(strstr(r.message, "...") != NULL, len * 4 > max, "%zu", len);
		cr_assert_leq(strlen(r.message), max);
		log_record_to_text(&r, false, "relayd", 1, text);
	}
}

Test(log_record, everything_at_its_longest_fits)
{
	struct log_about about = {.connection = UINT64_MAX};
	char in[2000], text[LOG_TEXT_MAX];
	struct iovec fields[LOG_FIELDS_MAX];
	struct log_record r;

	memset(in, 'a', sizeof(in) - 1);
	in[sizeof(in) - 1] = '\0';
	about.peer = about.reason = in;
	make(&r, &about, LOG_LEVEL_WARNING, "%s", in);
	r.event = in;
	cr_assert_lt(log_record_to_text(&r, false, in, 2147483647, text), LOG_TEXT_MAX);
	cr_assert_eq(text[strlen(text) - 1], '\n');
	cr_assert_eq(log_record_to_fields(&r, fields, text), LOG_FIELDS_MAX);
}

static void assert_field(const struct iovec *field, const char *want)
{
	cr_assert_eq(field->iov_len, strlen(want), "%s", want);
	cr_assert_eq(memcmp(field->iov_base, want, strlen(want)), 0, "%s", want);
}

Test(log_record, journal_fields)
{
	struct log_about about = {.connection = 12, .peer = "[::1]:4000", .reason = "protocol"};
	struct iovec fields[LOG_FIELDS_MAX];
	char buf[LOG_TEXT_MAX];
	struct log_record r;

	make(&r, &about, LOG_LEVEL_WARNING, "ended");
	cr_assert_eq(log_record_to_fields(&r, fields, buf), 6);
	assert_field(&fields[0], "MESSAGE=ended");
	assert_field(&fields[1], "PRIORITY=4");
	assert_field(&fields[2], "EVENT=stream-closed");
	assert_field(&fields[3], "CONNECTION=12");
	assert_field(&fields[4], "PEER=[::1]:4000");
	assert_field(&fields[5], "REASON=protocol");

	make(&r, NULL, LOG_LEVEL_DEBUG, "ended");
	cr_assert_eq(log_record_to_fields(&r, fields, buf), 3);
	assert_field(&fields[1], "PRIORITY=7");
}
