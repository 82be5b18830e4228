/* SPDX-License-Identifier: MIT */
/* quantity.c - numbers with units; see quantity.h. */
#include "config/quantity.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct unit {
	const char *name;
	uint64_t factor;
};

/* From small to large. */
static const struct unit sizes[] = {{"", 1},
				    {"K", UINT64_C(1) << 10},
				    {"M", UINT64_C(1) << 20},
				    {"G", UINT64_C(1) << 30},
				    {"T", UINT64_C(1) << 40},
				    {NULL, 0}};
static const struct unit durations[] = {{"ms", 1},      {"s", 1000},     {"m", 60000},
					{"h", 3600000}, {"d", 86400000}, {NULL, 0}};

/* Leading digits. @ret_rest points behind them. */
static int parse_digits(const char *text, uint64_t *ret, const char **ret_rest)
{
	uint64_t n = 0;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	for (; *text >= '0' && *text <= '9'; text++) {
		uint64_t digit = (uint64_t)(*text - '0');

		if (n > (INT64_MAX - digit) / 10)
			return -ERANGE;
		n = n * 10 + digit;
	}
	*ret = n;
	*ret_rest = text;
	return 0;
}

static int scale(uint64_t n, const struct unit *units, const char *name, uint64_t *ret)
{
	for (; units->name; units++) {
		if (strcmp(units->name, name) != 0)
			continue;
		if (n > INT64_MAX / units->factor)
			return -ERANGE;
		*ret = n * units->factor;
		return 0;
	}
	return -EINVAL;
}

int quantity_parse_count(const char *text, uint64_t *ret)
{
	const char *rest;
	uint64_t n;
	int r = parse_digits(text, &n, &rest);

	if (r < 0)
		return r;
	if (*rest)
		return -EINVAL;
	*ret = n;
	return 0;
}

int quantity_parse_size(const char *text, uint64_t *ret)
{
	char name[2] = "";
	const char *rest;
	uint64_t n;
	int r = parse_digits(text, &n, &rest);

	if (r < 0)
		return r;
	name[0] = *rest;
	if (*rest && rest[1] && strcmp(rest + 1, "iB") != 0)
		return -EINVAL;
	return scale(n, sizes, name, ret);
}

int quantity_parse_duration(const char *text, uint64_t *ret_ms)
{
	const char *rest;
	uint64_t n;
	int r = parse_digits(text, &n, &rest);

	if (r < 0)
		return r;
	return scale(n, durations, n == 0 && !*rest ? "ms" : rest, ret_ms);
}

static char *format(uint64_t n, const struct unit *units, char buf[QUANTITY_TEXT_MAX])
{
	const struct unit *best = units;

	for (const struct unit *u = units; u->name; u++)
		if (n % u->factor == 0)
			best = u;
	if (n == 0)
		best = &sizes[0]; /* 0 of what does not matter */
	snprintf(buf, QUANTITY_TEXT_MAX, "%" PRIu64 "%s", n / best->factor, best->name);
	return buf;
}

char *quantity_format_count(uint64_t count, char buf[QUANTITY_TEXT_MAX])
{
	snprintf(buf, QUANTITY_TEXT_MAX, "%" PRIu64, count);
	return buf;
}

char *quantity_format_size(uint64_t bytes, char buf[QUANTITY_TEXT_MAX])
{
	return format(bytes, sizes, buf);
}

char *quantity_format_duration(uint64_t ms, char buf[QUANTITY_TEXT_MAX])
{
	return format(ms, durations, buf);
}
