/* SPDX-License-Identifier: MIT */
/*
 * record.c - see record.h. The JSON is described in doc/trace-json.md: change both together.
 */
#include "consumer/record.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RECORD_FILE_MAX (64u << 20)

/* The plain numbers of a ledger; discarded is an object of its own. */
#define LEDGER_NUMBERS(X) \
	X(received)       \
	X(stored)         \
	X(pages)          \
	X(lost_events)    \
	X(lost_intervals) \
	X(datagrams_dropped)

bool record_ledger_balanced(const struct record_ledger *ledger)
{
	uint64_t sum = ledger->stored;

	for (int i = 0; i < DISCARD_COUNT; i++)
		sum += ledger->discarded[i];
	return ledger->received == sum;
}

void record_ledger_add(struct record_ledger *sum, const struct record_ledger *b)
{
#define ADD(name) sum->name += b->name;
	LEDGER_NUMBERS(ADD)
#undef ADD
	for (int i = 0; i < DISCARD_COUNT; i++)
		sum->discarded[i] += b->discarded[i];
}

/* ---- to JSON ---- */

/* Sets a member; clears @ok if there was no memory for it (@value NULL included). */
static void set(json_t *object, const char *key, json_t *value, bool *ok)
{
	if (json_object_set_new(object, key, value) < 0)
		*ok = false;
}

/* JSON's integers end at 2^63 - 1; only a liar's numbers are larger. */
static json_t *number(uint64_t n)
{
	return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

static json_t *text(const char *s)
{
	json_t *json = json_string(s);
	char *copy;

	if (json)
		return json;
	/* No memory, or no UTF-8: host names come from peers. */
	copy = strdup(s);
	if (!copy)
		return NULL;
	for (char *c = copy; *c; c++) {
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	}
	json = json_string(copy);
	free(copy);
	return json;
}

/* ISO 8601 in UTC with nanoseconds; null for "never". */
static json_t *wall_time(const struct timespec *t)
{
	char s[64];
	struct tm tm;
	size_t n;

	if (t->tv_sec == 0 || !gmtime_r(&t->tv_sec, &tm))
		return json_null();
	n = strftime(s, sizeof(s), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(s + n, sizeof(s) - n, ".%09ldZ", t->tv_nsec);
	return json_string(s);
}

json_t *record_ledger_to_json(const struct record_ledger *ledger)
{
	json_t *json = json_object(), *discarded = json_object();
	bool ok = json && discarded;

	for (int i = 0; i < DISCARD_COUNT; i++)
		set(discarded, discard_name((enum discard)i), number(ledger->discarded[i]), &ok);
#define SET(name) set(json, #name, number(ledger->name), &ok);
	LEDGER_NUMBERS(SET)
#undef SET
	set(json, "discarded", discarded, &ok);
	if (ok)
		return json;
	json_decref(json);
	return NULL;
}

static json_t *stream_to_json(const struct record_stream *s)
{
	json_t *json = record_ledger_to_json(&s->ledger);
	bool ok = json;

	set(json, "cpu", number(s->cpu), &ok);
	set(json, "time_first", number(s->time_first), &ok);
	set(json, "time_last", number(s->time_last), &ok);
	if (ok)
		return json;
	json_decref(json);
	return NULL;
}

static json_t *totals_to_json(const struct record *record)
{
	struct record_stream sum = {0};
	json_t *json;

	for (size_t i = 0; i < record->stream_count; i++) {
		const struct record_stream *s = &record->streams[i];

		record_ledger_add(&sum.ledger, &s->ledger);
		if (s->time_last > sum.time_last)
			sum.time_last = s->time_last;
		if (s->time_first && (!sum.time_first || s->time_first < sum.time_first))
			sum.time_first = s->time_first;
	}
	json = stream_to_json(&sum);
	json_object_del(json, "cpu");
	return json;
}

json_t *record_to_json(const struct record *record)
{
	json_t *json = json_object(), *dat = json_object(), *streams = json_array();
	bool ok = json && dat && streams;

	set(json, "format", json_integer(RECORD_FORMAT), &ok);
	set(json, "source", number(record->source), &ok);
	set(json, "chunk", number(record->chunk), &ok);
	set(json, "session", text(record->session), &ok);
	set(json, "host", text(record->host), &ok);
	set(json, "peer", text(record->peer), &ok);
	set(json, "protocol", text(record->protocol), &ok);
	set(json, "transport", text(record->transport), &ok);
	set(json, "file", text(record->file), &ok);
	set(json, "started", wall_time(&record->started), &ok);
	set(json, "ended", wall_time(&record->ended), &ok);
	set(json, "complete", json_boolean(record->complete), &ok);
	set(json, "why", record->complete ? json_null() : text(record->why), &ok);
	set(json, "layout", json_string(record->sparse ? "sparse" : "compact"), &ok);
	set(json, "synced", wall_time(&record->synced), &ok);
	set(dat, "version", json_integer(record->format_version), &ok);
	set(dat, "clock", text(record->clock), &ok);
	set(dat, "page_size", number(record->page_size), &ok);
	set(json, "trace_dat", dat, &ok);
	set(json, "totals", totals_to_json(record), &ok);
	for (size_t i = 0; i < record->stream_count; i++) {
		if (json_array_append_new(streams, stream_to_json(&record->streams[i])) < 0)
			ok = false;
	}
	set(json, "streams", streams, &ok);
	if (ok)
		return json;
	json_decref(json);
	return NULL;
}

/* ---- from JSON ---- */

static uint64_t get_number(const json_t *object, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(object, key));

	return n > 0 ? (uint64_t)n : 0;
}

static void get_text(const json_t *object, const char *key, char *ret, size_t size)
{
	const char *s = json_string_value(json_object_get(object, key));

	snprintf(ret, size, "%s", s ? s : "");
}

static struct timespec get_wall_time(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));
	struct timespec t = {0};
	struct tm tm = {0};
	const char *rest = s ? strptime(s, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;

	if (!rest)
		return t;
	t.tv_sec = timegm(&tm);
	if (*rest == '.') {
		long unit = 100000000;

		for (rest++; *rest >= '0' && *rest <= '9' && unit; rest++, unit /= 10)
			t.tv_nsec += (*rest - '0') * unit;
	}
	return t;
}

static void get_stream(const json_t *json, struct record_stream *ret)
{
	const json_t *discarded = json_object_get(json, "discarded");

	ret->cpu = (uint32_t)get_number(json, "cpu");
	ret->time_first = get_number(json, "time_first");
	ret->time_last = get_number(json, "time_last");
#define GET(name) ret->ledger.name = get_number(json, #name);
	LEDGER_NUMBERS(GET)
#undef GET
	for (int i = 0; i < DISCARD_COUNT; i++)
		ret->ledger.discarded[i] = get_number(discarded, discard_name((enum discard)i));
}

int record_from_json(const json_t *json, struct record *ret)
{
	const json_t *format = json_object_get(json, "format");
	const json_t *dat = json_object_get(json, "trace_dat");
	const json_t *streams = json_object_get(json, "streams");
	struct record r = {0};

	if (!json_is_integer(format) || !json_is_array(streams))
		return -EBADMSG;
	if (json_integer_value(format) > RECORD_FORMAT)
		return -EPROTONOSUPPORT;
	r.source = get_number(json, "source");
	r.chunk = (uint32_t)get_number(json, "chunk");
	get_text(json, "session", r.session, sizeof(r.session));
	get_text(json, "host", r.host, sizeof(r.host));
	get_text(json, "peer", r.peer, sizeof(r.peer));
	get_text(json, "protocol", r.protocol, sizeof(r.protocol));
	get_text(json, "transport", r.transport, sizeof(r.transport));
	get_text(json, "file", r.file, sizeof(r.file));
	r.started = get_wall_time(json, "started");
	r.ended = get_wall_time(json, "ended");
	r.complete = json_is_true(json_object_get(json, "complete"));
	get_text(json, "why", r.why, sizeof(r.why));
	get_text(json, "layout", r.clock, sizeof(r.clock));
	r.sparse = strcmp(r.clock, "compact") != 0;
	r.synced = get_wall_time(json, "synced");
	r.format_version = (int)get_number(dat, "version");
	get_text(dat, "clock", r.clock, sizeof(r.clock));
	r.page_size = (uint32_t)get_number(dat, "page_size");

	r.stream_count = json_array_size(streams);
	r.streams = calloc(r.stream_count + 1, sizeof(*r.streams));
	if (!r.streams)
		return -ENOMEM;
	for (size_t i = 0; i < r.stream_count; i++)
		get_stream(json_array_get(streams, i), &r.streams[i]);
	*ret = r;
	return 0;
}

void record_free(struct record *record)
{
	free(record->streams);
	memset(record, 0, sizeof(*record));
}

/* ---- files ---- */

static int write_fully(int fd, const char *from, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, from, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		from += n;
		len -= (size_t)n;
	}
	return 0;
}

/* @text into @name, by way of @temporary. */
static int replace_file(int dirfd, const char *name, const char *temporary, const char *content)
{
	int fd, err;

	fd = openat(dirfd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd < 0)
		return -errno;
	err = write_fully(fd, content, strlen(content));
	/* Some file systems report a failed write only here. */
	if (close(fd) < 0 && err == 0)
		err = -errno;
	if (err == 0 && renameat(dirfd, temporary, dirfd, name) < 0)
		err = -errno;
	if (err < 0)
		(void)unlinkat(dirfd, temporary, 0);
	return err;
}

int record_write(int dirfd, const char *name, const struct record *record)
{
	char temporary[NAME_MAX + 1];
	json_t *json = record_to_json(record);
	char *content = json ? json_dumps(json, JSON_INDENT(1)) : NULL;
	int err = -ENOMEM;

	json_decref(json);
	if (!content)
		return err;
	if (snprintf(temporary, sizeof(temporary), ".%s.new", name) >= (int)sizeof(temporary))
		err = -ENAMETOOLONG;
	else
		err = replace_file(dirfd, name, temporary, content);
	free(content);
	return err;
}

int record_read(int dirfd, const char *name, struct record *ret)
{
	int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	json_t *json;
	char *text;
	ssize_t n;
	int err;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	if (!S_ISREG(st.st_mode) || st.st_size > RECORD_FILE_MAX) {
		close(fd);
		return -EBADMSG;
	}
	/* json_loadfd() would read byte by byte. */
	text = malloc((size_t)st.st_size + 1);
	n = text ? pread(fd, text, (size_t)st.st_size, 0) : -1;
	close(fd);
	json = n > 0 ? json_loadb(text, (size_t)n, 0, NULL) : NULL;
	free(text);
	if (!json)
		return -EBADMSG;
	err = record_from_json(json, ret);
	json_decref(json);
	return err;
}
