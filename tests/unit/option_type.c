/* SPDX-License-Identifier: MIT */
/* option_type.c - each type: accepted, refused, the phrase, and the way to JSON and back. */
#include "config/option_type.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/options.h"

static const char *const colours[] = {"red", "green", "blue", NULL};

static const struct option_row path = {.name = "t.path", .type = OPTION_PATH, .min = 1, .max = 12};
static const struct option_row user = {.name = "t.user", .type = OPTION_USER, .max = 8};
static const struct option_row addresses = {
	.name = "t.addresses", .type = OPTION_ADDRESSES, .max = 2};
static const struct option_row ports = {.name = "t.ports", .type = OPTION_PORTS};
static const struct option_row count = {
	.name = "t.count", .type = OPTION_COUNT, .min = 2, .max = 300, .unit = "things"};
static const struct option_row size = {
	.name = "t.size", .type = OPTION_SIZE, .min = 1024, .max = 1 << 20};
static const struct option_row duration = {
	.name = "t.duration", .type = OPTION_DURATION, .min = 10, .max = 60000};
static const struct option_row boolean = {.name = "t.bool", .type = OPTION_BOOL};
static const struct option_row choice = {
	.name = "t.choice", .type = OPTION_CHOICE, .choices = colours};
static const struct option_row version = {
	.name = "t.version", .type = OPTION_VERSION, .min = 1, .max = 13};
static const struct option_row keep_alive = {.name = "t.keep-alive", .type = OPTION_KEEP_ALIVE};

union field {
	char *string;
	struct option_addresses addresses;
	struct option_ports ports;
	uint32_t count;
	uint64_t number;
	bool boolean;
	unsigned choice;
	struct option_version version;
	struct option_keep_alive keep_alive;
	uint8_t bytes[32];
};

struct type_case {
	const struct option_row *row;
	const char *text;
	const char *json; /* the value, as dumped by Jansson */
};

/* Accepted; the JSON of it is right; and what is read back from that has the same JSON. */
static void check_accepted(const struct type_case *c)
{
	union field field = {0}, back = {0};
	char why[OPTION_WHY_MAX] = "";
	json_t *json, *again;
	char *dump;

	cr_assert_eq(option_type_parse(c->row, c->text, &field, why), 0, "%s \"%s\": %s",
		     c->row->name, c->text, why);
	json = option_type_to_json(c->row, &field);
	cr_assert_not_null(json);
	dump = json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT);
	cr_assert_str_eq(dump, c->json, "%s \"%s\"", c->row->name, c->text);
	cr_assert_eq(option_type_from_json(c->row, json, &back, why), 0, "%s %s: %s", c->row->name,
		     dump, why);
	again = option_type_to_json(c->row, &back);
	cr_assert(json_equal(json, again), "%s", dump);
	if (c->row->type != OPTION_PATH && c->row->type != OPTION_USER &&
	    c->row->type != OPTION_ADDRESSES)
		cr_assert_eq(memcmp(field.bytes, back.bytes, sizeof(field.bytes)), 0, "%s %s",
			     c->row->name, dump);
	free(dump);
	json_decref(json);
	json_decref(again);
	option_type_release(c->row, &field);
	option_type_release(c->row, &back);
}

Test(option_type, accepted)
{
	static const struct type_case cases[] = {
		{&path, "/", "\"/\""},
		{&path, "/a/b", "\"/a/b\""},
		{&path, "/a b/#;=", "\"/a b/#;=\""},
		{&path, "/a//", "\"/a\""},
		{&path, "//", "\"/\""},
		{&path, "/12345678901", "\"/12345678901\""},
		{&path, "/12345678901///", "\"/12345678901\""},
		{&path, "/\xc3\xa9", "\"/\xc3\xa9\""},
		{&user, "", "\"\""},
		{&user, "a_b-c.9", "\"a_b-c.9\""},
		{&addresses, "", "[]"},
		{&addresses, "127.0.0.1:0, [::1]:80", "[\"127.0.0.1:0\",\"[::1]:80\"]"},
		{&addresses, "[fe80::1%lo]:80", "[\"[fe80::1%1]:80\"]"},
		{&ports, "1-65535", "\"1-65535\""},
		{&ports, "30000-34095", "\"30000-34095\""},
		{&ports, "80-80", "\"80-80\""},
		{&count, "2", "2"},
		{&count, "300", "300"},
		{&size, "1024", "1024"},
		{&size, "1M", "1048576"},
		{&duration, "10ms", "10"},
		{&duration, "1m", "60000"},
		{&boolean, "yes", "true"},
		{&boolean, "no", "false"},
		{&boolean, "true", "true"},
		{&boolean, "false", "false"},
		{&boolean, "on", "true"},
		{&boolean, "off", "false"},
		{&boolean, "1", "true"},
		{&boolean, "0", "false"},
		{&choice, "red", "\"red\""},
		{&choice, "blue", "\"blue\""},
		{&version, "2.1", "\"2.1\""},
		{&version, "2.10", "\"2.10\""},
		{&version, "2.13", "\"2.13\""},
		{&keep_alive, "60s/10s/6", "\"60s/10s/6\""},
		{&keep_alive, "1s/1s/1", "\"1s/1s/1\""},
		{&keep_alive, "2m/3000ms/127", "\"120s/3s/127\""},
		{&keep_alive, "32767s/9h/1", "\"32767s/32400s/1\""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_accepted(&cases[i]);
}

Test(option_type, fields)
{
	union field f = {0};
	char why[OPTION_WHY_MAX];

	option_type_parse(&ports, "30000-34095", &f, why);
	cr_assert_eq(f.ports.first, 30000);
	cr_assert_eq(f.ports.last, 34095);
	option_type_parse(&count, "299", &f, why);
	cr_assert_eq(f.count, 299);
	option_type_parse(&size, "64K", &f, why);
	cr_assert_eq(f.number, 65536);
	option_type_parse(&duration, "60s", &f, why);
	cr_assert_eq(f.number, 60000);
	option_type_parse(&choice, "blue", &f, why);
	cr_assert_eq(f.choice, 2);
	option_type_parse(&version, "2.10", &f, why);
	cr_assert_eq(f.version.major, 2);
	cr_assert_eq(f.version.minor, 10);
	option_type_parse(&keep_alive, "60s/10s/6", &f, why);
	cr_assert_eq(f.keep_alive.idle_s, 60);
	cr_assert_eq(f.keep_alive.interval_s, 10);
	cr_assert_eq(f.keep_alive.count, 6);
}

Test(option_type, refused)
{
	static const struct {
		const struct option_row *row;
		const char *text, *why;
	} cases[] = {
		{&path, "", "is empty"},
		{&path, "a/b", "does not begin with /"},
		{&path, "~/a", "does not begin with /"},
		{&path, "/a\tb", "has a control character in it"},
		{&path, "/a\x7f", "has a control character in it"},
		{&path, "/\xc3(", "is not written in UTF-8"},
		{&path, "/123456789012", "is longer than 12 bytes"},
		{&user, "123456789", "is longer than 8 bytes"},
		{&user, "a b", "is no name of a user"},
		{&user, "a:b", "is no name of a user"},
		{&user, "\xc3\xa9", "is no name of a user"},
		{&addresses, "localhost:80",
		 "has no numeric address with a port in \"localhost:80\""},
		{&addresses, "1.1.1.1:1,1.1.1.1:2,1.1.1.1:3", "has more than 2 addresses"},
		{&ports, "", "is no range of ports"},
		{&ports, "80", "is no range of ports"},
		{&ports, "80-", "is no range of ports"},
		{&ports, "-80", "is no range of ports"},
		{&ports, "80-81-82", "is no range of ports"},
		{&ports, "80 - 81", "is no range of ports"},
		{&ports, "a-b", "is no range of ports"},
		{&ports, "00000000000000000000000000000000000000001-2", "is no range of ports"},
		{&ports, "0-80", "has a port that is not from 1 to 65535"},
		{&ports, "80-65536", "has a port that is not from 1 to 65535"},
		{&ports, "65616-65617", "has a port that is not from 1 to 65535"},
		{&ports, "81-80", "has the larger port first"},
		{&count, "1", "is less than 2"},
		{&count, "301", "is more than 300"},
		{&count, "4294967298", "is more than 300"},
		{&count, "99999999999999999999", "is far too large"},
		{&count, "", "is no number"},
		{&count, "-3", "is no number"},
		{&count, "3K", "is no number"},
		{&size, "1023", "is less than 1K"},
		{&size, "1048577", "is more than 1M"},
		{&size, "64MB", "is no size"},
		{&size, "", "is no size"},
		{&size, "99999999T", "is far too large"},
		{&duration, "9ms", "is less than 10ms"},
		{&duration, "61s", "is more than 1m"},
		{&duration, "0", "is less than 10ms"},
		{&duration, "60", "has no unit"},
		{&duration, "soon", "is no duration"},
		{&duration, "", "is no duration"},
		{&boolean, "", "is neither yes nor no"},
		{&boolean, "Yes", "is neither yes nor no"},
		{&boolean, "2", "is neither yes nor no"},
		{&choice, "", "is none of the words that are accepted"},
		{&choice, "Red", "is none of the words that are accepted"},
		{&choice, "redd", "is none of the words that are accepted"},
		{&version, "2", "is no version"},
		{&version, "2.x", "is no version"},
		{&version, "2.1.3", "is no version"},
		{&version, "2.0", "is a version that is not spoken"},
		{&version, "2.14", "is a version that is not spoken"},
		{&version, "3.1", "is a version that is not spoken"},
		{&version, "4294967298.1", "is a version that is not spoken"},
		{&keep_alive, "", "is not two times and a number between slashes"},
		{&keep_alive, "60s", "is not two times and a number between slashes"},
		{&keep_alive, "60s/10s", "is not two times and a number between slashes"},
		{&keep_alive, "60s/10s/6/7", "is not two times and a number between slashes"},
		{&keep_alive, "60/10/6", "is not two times and a number between slashes"},
		{&keep_alive, "60s/10s/6s", "is not two times and a number between slashes"},
		{&keep_alive, "1500ms/10s/6", "has a time that is not of whole seconds"},
		{&keep_alive, "0/10s/6", "has a time that is not from 1s to 32767s"},
		{&keep_alive, "10s/32768s/6", "has a time that is not from 1s to 32767s"},
		{&keep_alive, "4294967297s/10s/6", "has a time that is not from 1s to 32767s"},
		{&keep_alive, "60s/10s/0", "has a number of probes that is not from 1 to 127"},
		{&keep_alive, "60s/10s/128", "has a number of probes that is not from 1 to 127"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		union field field, before;
		char why[OPTION_WHY_MAX] = "";

		memset(&field, 0x5a, sizeof(field));
		before = field;
		cr_assert_eq(option_type_parse(cases[i].row, cases[i].text, &field, why), -EINVAL,
			     "%s \"%s\"", cases[i].row->name, cases[i].text);
		cr_assert_str_eq(why, cases[i].why, "%s \"%s\"", cases[i].row->name, cases[i].text);
		cr_assert_eq(memcmp(field.bytes, before.bytes, sizeof(field.bytes)), 0,
			     "output on failure");
	}
}

Test(option_type, json_of_another_type_is_refused)
{
	static const struct {
		const struct option_row *row;
		const char *json;
	} cases[] = {
		{&path, "1"},
		{&path, "null"},
		{&path, "\"relative\""},
		{&path, "\"/a\\u0000b\""},
		{&user, "[]"},
		{&addresses, "\"127.0.0.1:80\""},
		{&addresses, "[1]"},
		{&addresses, "[\"127.0.0.1\"]"},
		{&addresses, "[\"127.0.0.1:80\",null]"},
		{&addresses, "[\"\",\"127.0.0.1:80\"]"},
		{&ports, "80"},
		{&ports, "\"81-80\""},
		{&count, "\"5\""},
		{&count, "5.0"},
		{&count, "-1"},
		{&count, "301"},
		{&count, "4294967301"},
		{&size, "1"},
		{&duration, "true"},
		{&boolean, "1"},
		{&boolean, "\"yes\""},
		{&choice, "2"},
		{&choice, "\"pink\""},
		{&version, "2.1"},
		{&keep_alive, "{}"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *json = json_loads(cases[i].json, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
		union field field, before;
		char why[OPTION_WHY_MAX] = "";

		memset(&field, 0x5a, sizeof(field));
		before = field;
		cr_assert_not_null(json, "%s", cases[i].json);
		cr_assert_eq(option_type_from_json(cases[i].row, json, &field, why), -EINVAL,
			     "%s %s", cases[i].row->name, cases[i].json);
		cr_assert_neq(why[0], '\0');
		cr_assert_eq(memcmp(field.bytes, before.bytes, sizeof(field.bytes)), 0,
			     "output on failure");
		json_decref(json);
	}
}

Test(option_type, words)
{
	static const struct {
		const struct option_row *row;
		const char *unit, *accepts;
	} cases[] = {
		{&path, "", "an absolute path of at most 12 bytes"},
		{&user, "", "the name of a user, or nothing"},
		{&addresses, "",
		 "addresses like 10.0.0.1:80 or [::1]:80 between commas, or nothing"},
		{&ports, "", "two ports from 1 to 65535, like 30000-34095"},
		{&count, "things", "a number of things from 2 to 300"},
		{&size, "bytes",
		 "a size from 1K to 1M: a number of bytes, or one with K, M, G or T"},
		{&duration, "ms", "a duration from 10ms to 1m: a number with ms, s, m, h or d"},
		{&boolean, "", "yes or no"},
		{&choice, "", "red, green or blue"},
		{&version, "", "a version from 2.1 to 2.13"},
		{&keep_alive, "", "idle time, interval and number of probes, like 60s/10s/6"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *accepts = option_type_accepts(cases[i].row);

		cr_assert_str_eq(accepts, cases[i].accepts);
		cr_assert_str_eq(option_type_unit(cases[i].row), cases[i].unit);
		free(accepts);
	}
}
