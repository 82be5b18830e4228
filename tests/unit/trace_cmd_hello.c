/* SPDX-License-Identifier: MIT */
/* trace_cmd_hello.c - version strings, numbers, and which V2 it is. */
#include "tests/unit/trace_cmd_feed.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

Test(trace_cmd_hello, strings_end_at_their_nul_or_are_too_long)
{
	char long_one[TRACE_CMD_STRING_MAX + 1];
	struct trace_cmd_input in = {.bytes = (const uint8_t *)"ab\0cd", .len = 5};
	const char *string = NULL;
	size_t len = 0;

	cr_assert_eq(trace_cmd_string(&in, &string, &len), 1);
	cr_assert_str_eq(string, "ab");
	cr_assert_eq(len, 2);
	in.len = 2;
	cr_assert_eq(trace_cmd_string(&in, &string, &len), 0);
	in.len = 0;
	in.bytes = NULL;
	cr_assert_eq(trace_cmd_string(&in, &string, &len), 0);

	memset(long_one, '7', sizeof(long_one));
	in.bytes = (const uint8_t *)long_one;
	in.len = TRACE_CMD_STRING_MAX - 1;
	cr_assert_eq(trace_cmd_string(&in, &string, &len), 0);
	in.len = TRACE_CMD_STRING_MAX;
	cr_assert_eq(trace_cmd_string(&in, &string, &len), -EMSGSIZE);
	long_one[TRACE_CMD_STRING_MAX - 1] = 0;
	cr_assert_eq(trace_cmd_string(&in, &string, &len), 1);
	cr_assert_eq(len, TRACE_CMD_STRING_MAX - 1);
}

Test(trace_cmd_hello, numbers_are_digits_and_stop_at_the_largest)
{
	uint32_t v = 7;

	cr_assert_eq(trace_cmd_number("", 0, &v), -EPROTO);
	cr_assert_eq(trace_cmd_number("-1", 2, &v), -EPROTO);
	cr_assert_eq(trace_cmd_number("+1", 2, &v), -EPROTO);
	cr_assert_eq(trace_cmd_number(" 1", 2, &v), -EPROTO);
	cr_assert_eq(trace_cmd_number("1 ", 2, &v), -EPROTO);
	cr_assert_eq(trace_cmd_number("0x1", 3, &v), -EPROTO);
	cr_assert_eq(trace_cmd_number("\xb1", 1, &v), -EPROTO);
	cr_assert_eq(v, 7, "output on failure");
	cr_assert(!trace_cmd_number("0", 1, &v) && v == 0);
	cr_assert(!trace_cmd_number("0042", 4, &v) && v == 42);
	cr_assert(!trace_cmd_number("4294967295", 10, &v) && v == UINT32_MAX);
	cr_assert(!trace_cmd_number("4294967296", 10, &v) && v == UINT32_MAX);
	cr_assert(!trace_cmd_number("4294967298", 10, &v) && v == UINT32_MAX);
	cr_assert(!trace_cmd_number("42949672951", 11, &v) && v == UINT32_MAX);
	cr_assert(!trace_cmd_number("99999999999999999999", 20, &v) && v == UINT32_MAX);
}

struct version_case {
	char bytes[24];
	size_t len;
	enum trace_cmd_action action;
	enum trace_cmd_state state;
	char reply[4];
	size_t reply_len;
	bool early;
};

ParameterizedTestParameters(trace_cmd_hello, version)
{
	static struct version_case cases[] = {
		{"-1V3", 5, TRACE_CMD_STEP, TRACE_CMD_V3_MAGIC, "V3", 3, false},
		{"-1V3\0x", 6, TRACE_CMD_STEP, TRACE_CMD_V3_MAGIC, "V3", 3, false},
		{"-1V2", 5, TRACE_CMD_STEP, TRACE_CMD_V2_MAGIC, "V2", 3, false},
		{"-1V2\0"
		 "6",
		 6, TRACE_CMD_STEP, TRACE_CMD_V2_MAGIC, "V2", 3, true},
		{"-1V2\0"
		 "677768",
		 12, TRACE_CMD_STEP, TRACE_CMD_V2_MAGIC, "V2", 3, true},
		{"-1V30", 6, TRACE_CMD_STEP, TRACE_CMD_VERSION, "V3", 3, false},
		{"-1V", 4, TRACE_CMD_STEP, TRACE_CMD_VERSION, "V3", 3, false},
		{"-1v3", 5, TRACE_CMD_END, TRACE_CMD_ENDED, "", 0, false},
		{"-1", 3, TRACE_CMD_END, TRACE_CMD_ENDED, "", 0, false},
		{"-", 2, TRACE_CMD_END, TRACE_CMD_ENDED, "", 0, false},
		{"16", 3, TRACE_CMD_STEP, TRACE_CMD_V1_PAGE, "", 0, false},
		{"0", 2, TRACE_CMD_END, TRACE_CMD_ENDED, "", 0, false},
		{"G", 1, TRACE_CMD_END, TRACE_CMD_ENDED, "", 0, false},
		{"-1V3", 4, TRACE_CMD_WAIT, TRACE_CMD_VERSION, "", 0, false},
	};
	return cr_make_param_array(struct version_case, cases, sizeof(cases) / sizeof(cases[0]));
}

ParameterizedTest(struct version_case *c, trace_cmd_hello, version)
{
	struct feed f;

	feed_in(&f, TRACE_CMD_VERSION, PROTOCOL_UNKNOWN);
	cr_assert_eq(feed(&f, c->bytes, c->len), c->action, "%s", c->bytes);
	cr_assert_eq(f.s.state, c->state, "%s", c->bytes);
	cr_assert_eq(f.out.reply_len, c->reply_len, "%s", c->bytes);
	cr_assert_arr_eq(f.reply, c->reply, c->reply_len, "%s", c->bytes);
	cr_assert_eq(f.s.early, c->early, "%s", c->bytes);
	if (c->action == TRACE_CMD_STEP)
		cr_assert_eq(f.out.consumed, strlen(c->bytes) + 1);
}

struct magic_case {
	char name[32];
	char bytes[12];
	size_t len;
	bool early;
	int64_t silence;
	bool not_empty;
	enum trace_cmd_action action;
	enum protocol protocol;
	size_t consumed;
};

ParameterizedTestParameters(trace_cmd_hello, v2_magic)
{
	static struct magic_case cases[] = {
		{"nothing", "", 0, false, 100, false, TRACE_CMD_WAIT, PROTOCOL_TRACE_CMD_V2, 0},
		{"six", "677768", 6, false, 100, false, TRACE_CMD_WAIT, PROTOCOL_TRACE_CMD_V2, 0},
		{"seven, just now", "677768", 7, false, 49, false, TRACE_CMD_WAIT,
		 PROTOCOL_TRACE_CMD_V2, 0},
		{"seven, silence", "677768", 7, false, 50, false, TRACE_CMD_STEP,
		 PROTOCOL_TRACE_CMD_V2_2015, 7},
		{"seven, socket not looked at", "677768", 7, false, 50, true, TRACE_CMD_WAIT,
		 PROTOCOL_TRACE_CMD_V2, 0},
		{"eight, just now", "677768\0", 8, false, 49, false, TRACE_CMD_WAIT,
		 PROTOCOL_TRACE_CMD_V2, 0},
		{"eight, silence", "677768\0", 8, false, 50, false, TRACE_CMD_STEP,
		 PROTOCOL_TRACE_CMD_V2, 8},
		{"eight, socket not looked at", "677768\0", 8, false, 5000, true, TRACE_CMD_WAIT,
		 PROTOCOL_TRACE_CMD_V2, 0},
		{"nine", "677768\0\0", 9, false, 0, false, TRACE_CMD_STEP,
		 PROTOCOL_TRACE_CMD_V2_2015, 7},
		{"eight, last not 0", "677768\0x", 8, false, 0, false, TRACE_CMD_STEP,
		 PROTOCOL_TRACE_CMD_V2_2015, 7},
		{"early seven", "677768", 7, true, 0, false, TRACE_CMD_STEP,
		 PROTOCOL_TRACE_CMD_V2_2015, 7},
		/* TINIT's first byte arrived alone: the clock alone would say 2.7 */
		{"early eight", "677768\0", 8, true, 50, false, TRACE_CMD_STEP,
		 PROTOCOL_TRACE_CMD_V2_2015, 7},
		{"V3's", "766679\0", 8, false, 50, false, TRACE_CMD_END, PROTOCOL_TRACE_CMD_V2, 0},
		{"another first byte", "5", 1, false, 0, false, TRACE_CMD_END,
		 PROTOCOL_TRACE_CMD_V2, 0},
	};
	return cr_make_param_array(struct magic_case, cases, sizeof(cases) / sizeof(cases[0]));
}

ParameterizedTest(struct magic_case *c, trace_cmd_hello, v2_magic)
{
	struct feed f;

	feed_in(&f, TRACE_CMD_V2_MAGIC, PROTOCOL_TRACE_CMD_V2);
	f.s.early = c->early;
	f.in.now_ms += c->silence;
	f.in.empty = !c->not_empty;
	cr_assert_eq(feed(&f, c->bytes, c->len), c->action, "%s", c->name);
	cr_assert_eq(f.s.protocol, c->protocol, "%s", c->name);
	cr_assert_eq(f.out.consumed, c->consumed, "%s", c->name);
	cr_assert_eq(f.out.reply_len, c->consumed == 8 ? 2 : 0, "%s", c->name);
}

Test(trace_cmd_hello, an_unknown_version_is_offered_v3_a_few_times)
{
	struct feed f;
	char version[8];

	feed_in(&f, TRACE_CMD_VERSION, PROTOCOL_UNKNOWN);
	for (unsigned i = 0; i < TRACE_CMD_PATIENCE; i++) {
		snprintf(version, sizeof(version), "-1V%u", 10 + i);
		cr_assert_eq(feed(&f, version, strlen(version) + 1), TRACE_CMD_STEP);
		cr_assert(f.out.renegotiated && f.out.reply_len == 3);
	}
	cr_assert_eq(feed(&f, "-1V99", 6), TRACE_CMD_END);
	cr_assert_eq(f.out.reason, CLOSE_version_unknown);

	feed_in(&f, TRACE_CMD_VERSION, PROTOCOL_UNKNOWN);
	cr_assert_eq(feed(&f, "-1V99", 6), TRACE_CMD_STEP);
	cr_assert_eq(feed(&f, "-1V9", 5), TRACE_CMD_STEP, "a shorter one is another one");
	cr_assert_eq(feed(&f, "-1V9", 5), TRACE_CMD_END);
}
