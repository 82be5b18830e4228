/* SPDX-License-Identifier: MIT */
/* quantity.c - numbers with units, accepted, refused and written. */
#include "config/quantity.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <inttypes.h>

#define UNTOUCHED 4242

struct quantity_case {
	const char *text;
	int want;
	uint64_t value;
};

#define CHECK(parse, cases)                                                                       \
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {                           \
		uint64_t got = UNTOUCHED;                                                         \
                                                                                                  \
		cr_assert_eq(parse(cases[i].text, &got), cases[i].want, "\"%s\"", cases[i].text); \
		cr_assert_eq(got, cases[i].want ? UNTOUCHED : cases[i].value, "\"%s\": %" PRIu64, \
			     cases[i].text, got);                                                 \
	}

Test(quantity, counts)
{
	static const struct quantity_case cases[] = {
		{"0", 0, 0},
		{"1", 0, 1},
		{"0012", 0, 12},
		{"65536", 0, 65536},
		{"9223372036854775807", 0, INT64_MAX},
		{"9223372036854775808", -ERANGE, 0},
		{"18446744073709551617", -ERANGE, 0},
		{"99999999999999999999999999", -ERANGE, 0},
		{"", -EINVAL, 0},
		{"-1", -EINVAL, 0},
		{"+1", -EINVAL, 0},
		{" 1", -EINVAL, 0},
		{"1 ", -EINVAL, 0},
		{"1.5", -EINVAL, 0},
		{"0x10", -EINVAL, 0},
		{"1K", -EINVAL, 0},
		{"many", -EINVAL, 0},
	};

	CHECK(quantity_parse_count, cases);
}

Test(quantity, sizes)
{
	static const struct quantity_case cases[] = {
		{"0", 0, 0},
		{"4096", 0, 4096},
		{"1K", 0, 1024},
		{"64M", 0, 67108864},
		{"64MiB", 0, 67108864},
		{"3G", 0, UINT64_C(3) << 30},
		{"2T", 0, UINT64_C(2) << 40},
		{"8388607T", 0, UINT64_C(8388607) << 40},
		{"8388608T", -ERANGE, 0},
		{"99999999999999999999T", -ERANGE, 0},
		{"", -EINVAL, 0},
		{"M", -EINVAL, 0},
		{"64MB", -EINVAL, 0}, /* 1000 or 1024? */
		{"64Mi", -EINVAL, 0},
		{"64iB", -EINVAL, 0},
		{"64m", -EINVAL, 0},
		{"64k", -EINVAL, 0},
		{"64 M", -EINVAL, 0},
		{"64P", -EINVAL, 0},
		{"1.5M", -EINVAL, 0},
		{"-1M", -EINVAL, 0},
	};

	CHECK(quantity_parse_size, cases);
}

Test(quantity, durations)
{
	static const struct quantity_case cases[] = {
		{"0", 0, 0},
		{"0s", 0, 0},
		{"250ms", 0, 250},
		{"10s", 0, 10000},
		{"5m", 0, 300000},
		{"2h", 0, 7200000},
		{"1d", 0, 86400000},
		{"106751991167d", 0, UINT64_C(106751991167) * 86400000},
		{"106751991168d", -ERANGE, 0},
		{"10", -EINVAL, 0},
		{"", -EINVAL, 0},
		{"s", -EINVAL, 0},
		{"10 s", -EINVAL, 0},
		{"10sec", -EINVAL, 0},
		{"10S", -EINVAL, 0},
		{"1m30s", -EINVAL, 0},
		{"-1s", -EINVAL, 0},
		{"1.5s", -EINVAL, 0},
	};

	CHECK(quantity_parse_duration, cases);
}

Test(quantity, texts_are_short_and_exact)
{
	char buf[QUANTITY_TEXT_MAX];

	cr_assert_str_eq(quantity_format_size(0, buf), "0");
	cr_assert_str_eq(quantity_format_size(1023, buf), "1023");
	cr_assert_str_eq(quantity_format_size(1024, buf), "1K");
	cr_assert_str_eq(quantity_format_size(1536, buf), "1536");
	cr_assert_str_eq(quantity_format_size(67108864, buf), "64M");
	cr_assert_str_eq(quantity_format_size(UINT64_C(5) << 40, buf), "5T");
	cr_assert_str_eq(quantity_format_duration(0, buf), "0");
	cr_assert_str_eq(quantity_format_duration(10, buf), "10ms");
	cr_assert_str_eq(quantity_format_duration(90000, buf), "90s");
	cr_assert_str_eq(quantity_format_duration(3600000, buf), "1h");
	cr_assert_str_eq(quantity_format_count(UINT64_MAX, buf), "18446744073709551615");
}

Test(quantity, texts_read_back)
{
	for (uint64_t n = 0; n < INT64_MAX / 7; n = n * 3 + 1) {
		char buf[QUANTITY_TEXT_MAX];
		uint64_t back = 1;

		cr_assert_eq(quantity_parse_size(quantity_format_size(n, buf), &back), 0);
		cr_assert_eq(back, n);
		cr_assert_eq(quantity_parse_duration(quantity_format_duration(n, buf), &back), 0);
		cr_assert_eq(back, n);
	}
}
