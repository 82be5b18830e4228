/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "consumer/record.h"

static struct record_stream streams[2] = {
	{
		.cpu = 0,
		.ledger = {.received = 4096 * 5 + 17,
			   .stored = 4096 * 3,
			   .discarded = {[DISCARD_DISK] = 4096,
					 [DISCARD_STOPPED] = 4096,
					 [DISCARD_PARTIAL] = 17},
			   .pages = 3,
			   .lost_events = 510,
			   .lost_intervals = 1,
			   .datagrams_dropped = 2},
		.time_first = 2000,
		.time_last = 3000,
	},
	{.cpu = 1,
	 .ledger = {.received = 4096, .stored = 4096, .pages = 1},
	 .time_first = 1000,
	 .time_last = 1500},
};

static struct record sample(void)
{
	struct record r = {
		.source = 17,
		.chunk = 3,
		.session = "default",
		.host = "sender",
		.peer = "192.0.2.7:50412",
		.protocol = "trace-cmd V3",
		.transport = "tcp",
		.file = "trace.000003.dat",
		.started = {1700000000, 123456789},
		.ended = {1700000060, 5},
		.complete = true,
		.sparse = true,
		.format_version = 7,
		.clock = "mono",
		.page_size = 16384,
		.stream_count = 2,
		.streams = streams,
	};
	return r;
}

static const char *string_at(const json_t *json, const char *key)
{
	return json_string_value(json_object_get(json, key));
}

static json_int_t number_at(const json_t *json, const char *key)
{
	cr_assert(json_is_integer(json_object_get(json, key)), "%s", key);
	return json_integer_value(json_object_get(json, key));
}

Test(record, json_as_documented)
{
	struct record r = sample();
	json_t *json = record_to_json(&r), *totals, *stream;

	cr_assert(json);
	cr_assert_eq(number_at(json, "format"), 1);
	cr_assert_eq(number_at(json, "source"), 17);
	cr_assert_eq(number_at(json, "chunk"), 3);
	cr_assert_str_eq(string_at(json, "started"), "2023-11-14T22:13:20.123456789Z");
	cr_assert_str_eq(string_at(json, "ended"), "2023-11-14T22:14:20.000000005Z");
	cr_assert(json_is_null(json_object_get(json, "synced")));
	cr_assert(json_is_true(json_object_get(json, "complete")));
	cr_assert(json_is_null(json_object_get(json, "why")));
	cr_assert_str_eq(string_at(json, "layout"), "sparse");
	cr_assert_eq(number_at(json_object_get(json, "trace_dat"), "page_size"), 16384);
	totals = json_object_get(json, "totals");
	cr_assert_eq(number_at(totals, "received"), 4096 * 6 + 17);
	cr_assert_eq(number_at(totals, "stored"), 4096 * 4);
	cr_assert_eq(number_at(totals, "time_first"), 1000);
	cr_assert_eq(number_at(totals, "time_last"), 3000);
	cr_assert_eq(number_at(json_object_get(totals, "discarded"), "disk"), 4096);
	cr_assert_not(json_object_get(totals, "cpu"));
	stream = json_array_get(json_object_get(json, "streams"), 1);
	cr_assert_eq(number_at(stream, "cpu"), 1);
	cr_assert_eq(json_object_size(json_object_get(stream, "discarded")), DISCARD_COUNT);
	json_decref(json);
}

static void check_equal(const struct record *a, const struct record *b)
{
	struct record x = *a, y = *b;

	cr_assert_eq(x.stream_count, y.stream_count);
	for (size_t i = 0; i < x.stream_count; i++)
		cr_assert_eq(memcmp(&x.streams[i], &y.streams[i], sizeof(x.streams[i])), 0);
	cr_assert_eq(x.source, y.source);
	cr_assert_eq(x.chunk, y.chunk);
	cr_assert_str_eq(x.session, y.session);
	cr_assert_str_eq(x.host, y.host);
	cr_assert_str_eq(x.peer, y.peer);
	cr_assert_str_eq(x.protocol, y.protocol);
	cr_assert_str_eq(x.transport, y.transport);
	cr_assert_str_eq(x.file, y.file);
	cr_assert_eq(memcmp(&x.started, &y.started, sizeof(x.started)), 0);
	cr_assert_eq(memcmp(&x.ended, &y.ended, sizeof(x.ended)), 0);
	cr_assert_eq(memcmp(&x.synced, &y.synced, sizeof(x.synced)), 0);
	cr_assert_eq(x.complete, y.complete);
	cr_assert_str_eq(x.why, y.why);
	cr_assert_eq(x.sparse, y.sparse);
	cr_assert_eq(x.format_version, y.format_version);
	cr_assert_str_eq(x.clock, y.clock);
	cr_assert_eq(x.page_size, y.page_size);
}

Test(record, comes_back)
{
	struct record r = sample(), back;
	json_t *json;

	for (int i = 0; i < 2; i++) {
		json = record_to_json(&r);
		cr_assert_eq(record_from_json(json, &back), 0);
		check_equal(&r, &back);
		record_free(&back);
		cr_assert_null(back.streams);
		json_decref(json);

		r.complete = false;
		strcpy(r.why, "the client went away");
		r.sparse = false;
		r.synced = (struct timespec){1700000100, 0};
		r.stream_count = 0;
	}
}

Test(record, numbers_and_texts_of_liars)
{
	struct record r = sample(), back;
	struct record_stream s = {.time_first = UINT64_MAX, .time_last = UINT64_MAX};
	json_t *json;

	strcpy(r.host, "h\xc3\xb6st"); /* UTF-8 stays */
	strcpy(r.session, "bad\xff\xc3");
	r.streams = &s;
	r.stream_count = 1;
	json = record_to_json(&r);
	cr_assert(json);
	cr_assert_str_eq(string_at(json, "host"), "h\xc3\xb6st");
	cr_assert_str_eq(string_at(json, "session"), "bad??");
	cr_assert_eq(number_at(json_array_get(json_object_get(json, "streams"), 0), "time_last"),
		     INT64_MAX);
	json_decref(json);

	json = json_pack("{s:i, s:i, s:[{s:s, s:i}, i]}", "format", 1, "source", -5, "streams",
			 "cpu", "x", "stored", -1, 7);
	cr_assert(json);
	cr_assert_eq(record_from_json(json, &back), 0);
	cr_assert_eq(back.source, 0);
	cr_assert_eq(back.stream_count, 2);
	cr_assert_eq(back.streams[0].ledger.stored, 0);
	record_free(&back);
	json_decref(json);
}

Test(record, not_a_record)
{
	static const struct {
		const char *text;
		int want;
	} cases[] = {
		{"[]", -EBADMSG},
		{"{}", -EBADMSG},
		{"{\"format\": \"1\", \"streams\": []}", -EBADMSG},
		{"{\"format\": 1}", -EBADMSG},
		{"{\"format\": 2, \"streams\": []}", -EPROTONOSUPPORT},
		{"{\"format\": 1, \"streams\": []}", 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct record r = {.source = 77};
		json_t *json = json_loads(cases[i].text, 0, NULL);

		cr_assert(json);
		cr_assert_eq(record_from_json(json, &r), cases[i].want, "%s", cases[i].text);
		cr_assert_eq(r.source, cases[i].want ? 77 : 0);
		if (!cases[i].want)
			record_free(&r);
		json_decref(json);
	}
}

Test(record, ledger)
{
	struct record_ledger sum = {0}, l = streams[0].ledger;
	json_t *json;

	cr_assert(record_ledger_balanced(&l));
	l.discarded[DISCARD_STALL]++;
	cr_assert_not(record_ledger_balanced(&l));
	l = streams[0].ledger;
	record_ledger_add(&sum, &l);
	record_ledger_add(&sum, &l);
	cr_assert(record_ledger_balanced(&sum));
	cr_assert_eq(sum.received, 2 * l.received);
	cr_assert_eq(sum.lost_events, 1020);
	cr_assert_eq(sum.lost_intervals, 2);
	cr_assert_eq(sum.datagrams_dropped, 4);
	cr_assert_eq(sum.pages, 6);
	json = record_ledger_to_json(&l);
	cr_assert_eq(json_object_size(json), 7);
	json_decref(json);
}

/* ---- files ---- */

static char dir_name[] = "/tmp/tracerelay-record-XXXXXX";
static int dir = -1;

static void setup(void)
{
	cr_assert(mkdtemp(dir_name));
	dir = open(dir_name, O_RDONLY | O_DIRECTORY);
	cr_assert_geq(dir, 0);
}

static unsigned entries(void)
{
	DIR *d = opendir(dir_name);
	unsigned n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static void teardown(void)
{
	unlinkat(dir, "trace.json", 0);
	unlinkat(dir, ".trace.json.new", AT_REMOVEDIR);
	close(dir);
	rmdir(dir_name);
}

TestSuite(record_files, .init = setup, .fini = teardown);

Test(record_files, written_replaced_and_read)
{
	struct record r = sample(), back;
	struct stat st;

	cr_assert_eq(record_write(dir, "trace.json", &r), 0);
	r.sparse = false;
	cr_assert_eq(record_write(dir, "trace.json", &r), 0);
	cr_assert_eq(entries(), 1);
	cr_assert_eq(fstatat(dir, "trace.json", &st, 0), 0);
	cr_assert_eq(st.st_mode & 0137, 0, "no more than 0640");
	cr_assert_eq(record_read(dir, "trace.json", &back), 0);
	check_equal(&r, &back);
	record_free(&back);
}

Test(record_files, failures_leave_nothing)
{
	struct record r = sample();
	char long_name[256];

	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[255] = '\0';
	cr_assert_eq(record_write(dir, long_name, &r), -ENAMETOOLONG);
	cr_assert_eq(record_write(-1, "trace.json", &r), -EBADF);
	cr_assert_eq(mkdirat(dir, "trace.json", 0700), 0); /* cannot be replaced */
	cr_assert_eq(record_write(dir, "trace.json", &r), -EISDIR);
	cr_assert_eq(entries(), 1);
	cr_assert_eq(unlinkat(dir, "trace.json", AT_REMOVEDIR), 0);
}

Test(record_files, unreadable)
{
	struct record r = {.source = 77};
	int fd;

	cr_assert_eq(record_read(dir, "trace.json", &r), -ENOENT);
	fd = openat(dir, "trace.json", O_WRONLY | O_CREAT, 0600);
	cr_assert_eq(write(fd, "{\"format\": 1, \"str", 18), 18);
	close(fd);
	cr_assert_eq(record_read(dir, "trace.json", &r), -EBADMSG);
	cr_assert_eq(unlinkat(dir, "trace.json", 0), 0);
	cr_assert_eq(symlinkat("/etc/passwd", dir, "trace.json"), 0);
	cr_assert_eq(record_read(dir, "trace.json", &r), -ELOOP);
	cr_assert_eq(r.source, 77, "output on failure");
}
