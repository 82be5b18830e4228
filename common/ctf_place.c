/* SPDX-License-Identifier: MIT */
/* ctf_place.c - names from names; see ctf_place.h. */
#include "common/ctf_place.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define DAY_TIME_LENGTH 15u  /* of "20261121-014843" */
#define COMPONENT_MAX   255u /* characters of a file's name */

static int print(char *ret, size_t cap, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int print(char *ret, size_t cap, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(ret, cap, format, args);
	va_end(args);
	return n >= 0 && (size_t)n < cap ? 0 : -ENAMETOOLONG;
}

bool ctf_place_name_ok(const char *name)
{
	return *name && *name != '.' && !strchr(name, '/') && strlen(name) <= COMPONENT_MAX;
}

bool ctf_place_stream_ok(const char *name, bool tracefiles)
{
	size_t suffix = strlen(".idx") + (tracefiles ? strlen("_18446744073709551615") : 0);

	return ctf_place_name_ok(name) && strlen(name) + suffix <= COMPONENT_MAX;
}

bool ctf_place_session_fits(const char *session, const char *host)
{
	size_t suffix = 1 + DAY_TIME_LENGTH + strlen("-999");

	return strlen(session) + suffix <= COMPONENT_MAX && strlen(host) + suffix <= COMPONENT_MAX;
}

int ctf_place_clean(const char *path, char *ret, size_t cap)
{
	size_t len = 0;

	while (*path) {
		size_t n = strcspn(path, "/");

		if (*path == '.')
			return -EINVAL;
		if (n) {
			if (n > COMPONENT_MAX || n + (len ? 2 : 1) > cap - len)
				return -ENAMETOOLONG;
			if (len)
				ret[len++] = '/';
			memcpy(ret + len, path, n);
			len += n;
		}
		path += n + (path[n] == '/');
	}
	if (!cap)
		return -ENAMETOOLONG;
	ret[len] = '\0';
	return 0;
}

/* The last component "ust" or "kernel" of a clean path, or its end: a host may be called so too. */
static const char *domain_of(const char *path)
{
	const char *found = NULL;

	while (*path) {
		size_t n = strcspn(path, "/");

		if ((n == 3 && !memcmp(path, "ust", 3)) || (n == 6 && !memcmp(path, "kernel", 6)))
			found = path;
		path += n + (path[n] == '/');
	}
	return found ? found : path;
}

const char *ctf_place_below(uint32_t minor, const char *path)
{
	return minor <= 10 ? domain_of(path) : path;
}

static void day_time(int64_t at, char *ret, size_t cap)
{
	time_t seconds = (time_t)at;
	struct tm tm = {.tm_mday = 1};

	(void)localtime_r(&seconds, &tm);
	if (!strftime(ret, cap, "%Y%m%d-%H%M%S", &tm))
		*ret = '\0';
}

/* Where "-20261121-014843" begins at the end of a name of n bytes; n: nowhere. */
static size_t time_in(const char *name, size_t n)
{
	const char *at;

	if (n < DAY_TIME_LENGTH + 2)
		return n;
	at = name + n - DAY_TIME_LENGTH - 1;
	for (unsigned i = 0; i <= DAY_TIME_LENGTH; i++)
		if (i == 0 || i == 9 ? at[i] != '-' : !isdigit((unsigned char)at[i]))
			return n;
	return n - DAY_TIME_LENGTH - 1;
}

/* HOST/SESSION-TIME[/REST], as an old client's path says, becomes SESSION/HOST-TIME[/REST]. */
static int regroup(const struct ctf_place *p, const char *path, size_t len, char *ret, size_t cap)
{
	const char *second = memchr(path, '/', len), *rest;
	size_t n, at;

	if (!*p->session || !*p->host || !second)
		return print(ret, cap, "%.*s", (int)len, path);
	second++;
	n = strcspn(second, "/");
	if (n > len - (size_t)(second - path))
		n = len - (size_t)(second - path);
	rest = second + n;
	at = time_in(second, n);
	if (at == n) /* a base path: all of it is kept */
		return print(ret, cap, "%s/%s/%.*s", p->session, p->host,
			     (int)(len - (size_t)(second - path)), second);
	return print(ret, cap, "%s/%s%.*s%.*s", p->session, p->host, (int)(n - at), second + at,
		     (int)(len - (size_t)(rest - path)), rest);
}

static int old_session(const struct ctf_place *p, char *ret, size_t cap)
{
	size_t len = (size_t)(domain_of(p->stream_path) - p->stream_path);

	while (len && p->stream_path[len - 1] == '/')
		len--;
	if (!len) /* a client that names no place: its streams' path begins with the domain */
		return print(ret, cap, "%s", *p->host ? p->host : "unnamed");
	if (p->by_session)
		return regroup(p, p->stream_path, len, ret, cap);
	return print(ret, cap, "%.*s", (int)len, p->stream_path);
}

int ctf_place_session(const struct ctf_place *p, char *ret, size_t cap)
{
	const char *slash = *p->base_path ? "/" : "";
	char at[32];

	if (p->minor <= 10)
		return old_session(p, ret, cap);
	day_time(p->created, at, sizeof(at));
	if (p->by_session) {
		/* The session's own time goes to the host. */
		return print(ret, cap, "%s/%s-%s%s%s", p->session, p->host, at, slash,
			     p->base_path);
	}
	if (*p->base_path)
		return print(ret, cap, "%s/%s", p->host, p->base_path);
	if (p->name_has_time)
		return print(ret, cap, "%s/%s", p->host, p->session);
	return print(ret, cap, "%s/%s-%s", p->host, p->session, at);
}

static void chunk_time(int64_t at, char *ret, size_t cap)
{
	time_t seconds = (time_t)at;
	struct tm tm = {.tm_mday = 1};

	(void)localtime_r(&seconds, &tm);
	if (!strftime(ret, cap, "%Y%m%dT%H%M%S%z", &tm))
		*ret = '\0';
}

int ctf_place_open_chunk(int64_t created, uint64_t id, char *ret, size_t cap)
{
	char from[32];

	chunk_time(created, from, sizeof(from));
	return print(ret, cap, "%s-%" PRIu64, from, id);
}

int ctf_place_closed_chunk(int64_t created, int64_t closed, uint64_t id, char *ret, size_t cap)
{
	char from[32], to[32];

	chunk_time(created, from, sizeof(from));
	chunk_time(closed, to, sizeof(to));
	return print(ret, cap, "%s-%s-%" PRIu64, from, to, id);
}
