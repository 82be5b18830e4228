/* SPDX-License-Identifier: MIT */
/* relayctl_human.c - figures for people: no more than four digits, the right unit, never wrong. */
#include "relayctl/human.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

struct human_case {
	uint64_t n;
	char want[32];
};

#define PARAMETERS(...)                                   \
	static struct human_case cases[] = {__VA_ARGS__}; \
	return cr_make_param_array(struct human_case, cases, sizeof(cases) / sizeof(cases[0]))

ParameterizedTestParameters(relayctl_human, bytes)
{
	PARAMETERS({0, "0 B"}, {1, "1 B"}, {1023, "1023 B"}, {1024, "1.0 KiB"}, {1536, "1.5 KiB"},
		   {102348, "99.9 KiB"}, {102400, "100 KiB"}, {1047551, "1023 KiB"},
		   {1048064, "1.0 MiB"}, {1 << 20, "1.0 MiB"}, {UINT64_C(5) << 40, "5.0 TiB"},
		   {UINT64_MAX, "16.0 EiB"});
}

ParameterizedTest(struct human_case *c, relayctl_human, bytes)
{
	char buf[HUMAN_MAX];

	cr_assert_str_eq(human_bytes(c->n, buf), c->want);
}

ParameterizedTestParameters(relayctl_human, count)
{
	PARAMETERS({0, "0"}, {999, "999"}, {1000, "1,000"}, {1234567, "1,234,567"},
		   {100000, "100,000"}, {UINT64_MAX, "18,446,744,073,709,551,615"});
}

ParameterizedTest(struct human_case *c, relayctl_human, count)
{
	char buf[HUMAN_MAX];

	cr_assert_str_eq(human_count(c->n, buf), c->want);
}

ParameterizedTestParameters(relayctl_human, duration)
{
	PARAMETERS({0, "0s"}, {50, "0.0s"}, {1500, "1.5s"}, {9999, "9.9s"}, {10000, "10s"},
		   {59999, "59s"}, {60000, "1m 0s"}, {3599000, "59m 59s"}, {3600000, "1h 0m"},
		   {86399000, "23h 59m"}, {90000000, "1d 1h"});
}

ParameterizedTest(struct human_case *c, relayctl_human, duration)
{
	char buf[HUMAN_MAX];

	cr_assert_str_eq(human_duration(c->n, buf), c->want);
}

Test(relayctl_human, rate)
{
	char buf[HUMAN_MAX];

	cr_assert_str_eq(human_rate(0, buf), "0 B/s");
	cr_assert_str_eq(human_rate(123 << 20, buf), "123 MiB/s");
}

Test(relayctl_human, times)
{
	char buf[HUMAN_MAX];

	cr_assert_eq(human_time_parse("2023-11-14T22:13:20.250Z"), INT64_C(1700000000250000000));
	cr_assert_eq(human_time_parse("2023-11-14T22:13:20Z"), INT64_C(1700000000000000000));
	cr_assert_eq(human_time_parse("2023-11-14T22:13:20.25"), 0, "no zone");
	cr_assert_eq(human_time_parse(""), 0);
	cr_assert_eq(human_time_parse(NULL), 0);
	cr_assert_str_eq(human_time("2023-11-14T22:13:20.250Z", buf), "2023-11-14 22:13:20 UTC");
	cr_assert_str_eq(human_time("soon", buf), "-");
}
