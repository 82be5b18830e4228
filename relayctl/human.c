/* SPDX-License-Identifier: MIT */
/* human.c - see human.h. */
#include "relayctl/human.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static char *with_unit(uint64_t n, const char *behind, char buf[HUMAN_MAX])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)n;
	unsigned unit = 0;

	/* What would be rounded to 1024 has the next unit. */
	while (value >= (unit ? 1023.5 : 1024)) {
		value /= 1024;
		unit++;
	}
	if (!unit)
		snprintf(buf, HUMAN_MAX, "%" PRIu64 " B%s", n, behind);
	else
		snprintf(buf, HUMAN_MAX, value < 99.95 ? "%.1f %s%s" : "%.0f %s%s", value,
			 units[unit], behind);
	return buf;
}

char *human_bytes(uint64_t bytes, char buf[HUMAN_MAX])
{
	return with_unit(bytes, "", buf);
}

char *human_rate(uint64_t bytes_a_second, char buf[HUMAN_MAX])
{
	return with_unit(bytes_a_second, "/s", buf);
}

char *human_count(uint64_t n, char buf[HUMAN_MAX])
{
	char digits[HUMAN_MAX], *to = buf;
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, n);

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			*to++ = ',';
		*to++ = digits[i];
	}
	*to = '\0';
	return buf;
}

char *human_duration(uint64_t ms, char buf[HUMAN_MAX])
{
	uint64_t s = ms / 1000;

	if (ms == 0)
		snprintf(buf, HUMAN_MAX, "0s");
	else if (ms < 10000)
		snprintf(buf, HUMAN_MAX, "%" PRIu64 ".%" PRIu64 "s", s, ms % 1000 / 100);
	else if (s < 60)
		snprintf(buf, HUMAN_MAX, "%" PRIu64 "s", s);
	else if (s < 3600)
		snprintf(buf, HUMAN_MAX, "%" PRIu64 "m %" PRIu64 "s", s / 60, s % 60);
	else if (s < 86400)
		snprintf(buf, HUMAN_MAX, "%" PRIu64 "h %" PRIu64 "m", s / 3600, s % 3600 / 60);
	else
		snprintf(buf, HUMAN_MAX, "%" PRIu64 "d %" PRIu64 "h", s / 86400, s % 86400 / 3600);
	return buf;
}

int64_t human_time_parse(const char *iso)
{
	struct tm tm = {0};
	const char *rest = iso ? strptime(iso, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
	int64_t ns, unit = 100000000;

	if (!rest)
		return 0;
	ns = (int64_t)timegm(&tm) * 1000000000;
	if (*rest == '.')
		for (rest++; *rest >= '0' && *rest <= '9' && unit; rest++, unit /= 10)
			ns += (*rest - '0') * unit;
	return strcmp(rest, "Z") == 0 ? ns : 0;
}

char *human_time_of(int64_t ns, char buf[HUMAN_MAX])
{
	time_t s = (time_t)(ns / 1000000000);
	struct tm tm;

	if (!s || !gmtime_r(&s, &tm) || !strftime(buf, HUMAN_MAX, "%Y-%m-%d %H:%M:%S UTC", &tm))
		snprintf(buf, HUMAN_MAX, "-");
	return buf;
}

char *human_time(const char *iso, char buf[HUMAN_MAX])
{
	return human_time_of(human_time_parse(iso), buf);
}
