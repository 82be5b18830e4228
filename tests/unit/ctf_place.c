/* SPDX-License-Identifier: MIT */
/* ctf_place.c - directories of LTTng's traces, as lttng-relayd names them. */
#include "common/ctf_place.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void utc(void)
{
	setenv("TZ", "UTC", 1);
	tzset();
}

TestSuite(ctf_place, .init = utc);

struct clean_case {
	char from[40], to[40];
	int want;
};

ParameterizedTestParameters(ctf_place, clean)
{
	static struct clean_case cases[] = {
		{"", "", 0},
		{"a", "a", 0},
		{"/vm/s1//ust/uid/0/64-bit", "vm/s1/ust/uid/0/64-bit", 0},
		{"///", "", 0},
		{"kernel/", "kernel", 0},
		{"a..b/c.d", "a..b/c.d", 0},
		{"..", "", -EINVAL},
		{"a/../b", "", -EINVAL},
		{"a/./b", "", -EINVAL},
		{"a/.hidden", "", -EINVAL},
		{"/..", "", -EINVAL},
	};
	return cr_make_param_array(struct clean_case, cases, sizeof(cases) / sizeof(cases[0]));
}

ParameterizedTest(struct clean_case *c, ctf_place, clean)
{
	char got[64];

	cr_assert_eq(ctf_place_normalise(c->from, got, sizeof(got)), c->want, "%s", c->from);
	if (!c->want)
		cr_assert_str_eq(got, c->to);
}

Test(ctf_place, clean_has_a_length)
{
	char name[600], got[1000];

	cr_assert_eq(ctf_place_normalise("abc", got, 4), 0);
	cr_assert_eq(ctf_place_normalise("abc", got, 3), -ENAMETOOLONG);
	cr_assert_eq(ctf_place_normalise("a/bc", got, 4), -ENAMETOOLONG);
	memset(name, 'x', 255);
	name[255] = '\0';
	cr_assert_eq(ctf_place_normalise(name, got, sizeof(got)), 0);
	memset(name, 'x', 256);
	name[256] = '\0';
	cr_assert_eq(ctf_place_normalise(name, got, sizeof(got)), -ENAMETOOLONG);
}

Test(ctf_place, names)
{
	char name[300];

	cr_assert_eq(ctf_place_check_name("s1"), 0);
	cr_assert_eq(ctf_place_check_name("a.b"), 0);
	cr_assert_lt(ctf_place_check_name(""), 0);
	cr_assert_lt(ctf_place_check_name("."), 0);
	cr_assert_lt(ctf_place_check_name(".foo"), 0);
	cr_assert_lt(ctf_place_check_name("a/b"), 0);
	cr_assert_lt(ctf_place_check_name("../../../x"), 0);
	memset(name, 'x', sizeof(name));
	name[255] = '\0';
	cr_assert_eq(ctf_place_check_name(name), 0);
	cr_assert_lt(ctf_place_check_stream(name, false), 0, "its .idx does not fit");
	name[251] = '\0';
	cr_assert_eq(ctf_place_check_stream(name, false), 0);
	cr_assert_lt(ctf_place_check_stream(name, true), 0, "its number does not fit");
}

struct session_case {
	unsigned minor, by_session, name_has_time;
	char session[24], host[8], base[16], stream[64], want[64];
	int error;
};

#define AUTO "auto-20261121-025352"
#define OLD  "vm/s1-20261121-024022/ust/uid/0/64-bit"

/* Created 0x6b00f87b: 2026-11-21 01:48:43 UTC. */
ParameterizedTestParameters(ctf_place, session)
{
	static struct session_case cases[] = {
		{13, 0, 0, "s1", "vm", "", "", "vm/s1-20261121-014843", 0},
		{11, 0, 1, AUTO, "vm", "", "", "vm/" AUTO, 0},
		{13, 0, 0, "s1", "vm", "my/base", "", "vm/my/base", 0},
		{13, 1, 0, "gs2", "vm", "a/b", "", "gs2/vm-20261121-014843/a/b", 0},
		{13, 1, 0, "gs2", "vm", "", "", "gs2/vm-20261121-014843", 0},
		{10, 0, 0, "s1", "vm", "", OLD, "vm/s1-20261121-024022", 0},
		{3, 0, 0, "", "", "", OLD, "vm/s1-20261121-024022", 0},
		{3, 1, 0, "", "", "", OLD, "vm/s1-20261121-024022", 0},
		{10, 1, 0, "s1", "vm", "", OLD, "s1/vm-20261121-024022", 0},
		{10, 1, 0, AUTO, "vm", "", "vm/" AUTO "/kernel", AUTO "/vm-20261121-025352", 0},
		{10, 0, 0, "s1", "vm", "", "vm/my/base/ust/uid/0/64-bit", "vm/my/base", 0},
		{10, 1, 0, "s1", "vm", "", "vm/my/base/ust/uid/0/64-bit",
		 "s1/vm-20261121-014843/my/base", 0},
		{10, 0, 0, "s1", "ust", "", "ust/s1-20261121-024022/ust/uid/0/64-bit",
		 "ust/s1-20261121-024022", 0},
		{10, 0, 0, "s1", "vm", "", "ust/uid/0/64-bit", "", -EINVAL},
	};
	return cr_make_param_array(struct session_case, cases, sizeof(cases) / sizeof(cases[0]));
}

ParameterizedTest(struct session_case *c, ctf_place, session)
{
	const struct ctf_place p = {
		.root = "default",
		.group = c->by_session ? CTF_GROUP_SESSION : CTF_GROUP_HOST,
		.minor = c->minor,
		.name_has_time = c->name_has_time,
		.session_name = c->session,
		.host = c->host,
		.base_path = c->base,
		.created = 0x6b00f87b,
		.stream_path = c->stream,
	};
	char got[1024];

	char want[80] = "default/";

	cr_assert_eq(ctf_place_session(&p, got, sizeof(got)), c->error);
	if (c->error)
		return;
	strcat(want, c->want);
	cr_assert_str_eq(got, want, "%u: %s instead of %s", c->minor, got, want);
	cr_assert_eq(ctf_place_session(&p, got, 8), -ENAMETOOLONG);
}

Test(ctf_place, another_owner_has_it)
{
	struct ctf_place p = {.root = "",
			      .minor = 13,
			      .session_name = "s1",
			      .host = "vm",
			      .base_path = "",
			      .created = 0x6b00f87b,
			      .stream_path = "",
			      .attempt = 2};
	char got[CTF_DIR];

	cr_assert_eq(ctf_place_session(&p, got, sizeof(got)), 0);
	cr_assert_str_eq(got, "vm/s1-20261121-014843-2");
}

Test(ctf_place, streams_lie_below)
{
	cr_assert_str_eq(ctf_place_stream(13, "ust/uid/0/64-bit"), "ust/uid/0/64-bit");
	cr_assert_str_eq(ctf_place_stream(10, OLD), "ust/uid/0/64-bit");
	cr_assert_str_eq(ctf_place_below("vm/s1/kernel"), "kernel");
	cr_assert_null(ctf_place_below("vm/s1/other"));
}

Test(ctf_place, chunks)
{
	char got[CTF_PLACE_CHUNK];

	ctf_place_open(0x6b00f8a5 - 1, 1, got);
	cr_assert_str_eq(got, "20261121T014924+0000-1");
	ctf_place_archive(0x6b00f8a5 - 1, 0x6b00f8a5, 1, got);
	cr_assert_str_eq(got, "archives/20261121T014924+0000-20261121T014925+0000-1");
	ctf_place_hidden(7, got);
	cr_assert_str_eq(got, ".chunk-7");
	setenv("TZ", "XXX-5:30", 1);
	tzset();
	ctf_place_open(0x6b00f8a5 - 1, 1, got);
	cr_assert_str_eq(got, "20261121T071924+0530-1");
}

Test(ctf_place, any_time_has_a_name)
{
	static const int64_t times[] = {0,           -1, INT64_MIN, INT64_MAX, INT64_C(1) << 55,
					253402300800};
	char got[CTF_PLACE_CHUNK];

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		ctf_place_archive(times[i], times[i], UINT64_MAX, got);
		cr_assert_eq(ctf_place_check_name(got + strlen("archives/")), 0, "%s", got);
	}
}
