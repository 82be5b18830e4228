/* SPDX-License-Identifier: MIT */
/*
 * ctf_place.c - names of LTTng's directories; see ctf_place.h.
 *
 * Grouping by session with minors up to 10 is a best effort, as the client has already chosen
 * HOST/SESSION-TIME: where the path is not of that form, its names are put in front of it.
 */
#include "common/ctf_place.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define COMPONENT_MAX 255u /* characters; NAME_MAX of every file system that matters */
#define ATTEMPT_ROOM  4u   /* of them for "-999" */
#define TIME_DASHED   15u  /* "20261121-014843" */
#define YEAR_10000    INT64_C(253402300800)

/* ---- names from a peer ---- */

static int check_component(const char *name, size_t len)
{
	if (!len || name[0] == '.')
		return -EINVAL;
	return len > COMPONENT_MAX ? -ENAMETOOLONG : 0;
}

int ctf_place_check_name(const char *name)
{
	return strchr(name, '/') ? -EINVAL : check_component(name, strlen(name));
}

int ctf_place_check_stream(const char *name, bool tracefiles)
{
	size_t suffix = strlen(".idx") + (tracefiles ? strlen("_18446744073709551615") : 0);
	int r = ctf_place_check_name(name);

	if (r < 0)
		return r;
	return strlen(name) + suffix > COMPONENT_MAX ? -ENAMETOOLONG : 0;
}

int ctf_place_check_session(const char *name)
{
	size_t most = 255 - strlen("-20261121-014843-999");

	return strlen(name) > most ? -ENAMETOOLONG : ctf_place_check_name(name);
}

int ctf_place_normalise(const char *from, char *to, size_t cap)
{
	size_t len = 0, n;
	int r;

	/* First without writing: `to` is written on success only. */
	for (const char *at = from + strspn(from, "/"); *at; at += strspn(at, "/")) {
		n = strcspn(at, "/");
		r = check_component(at, n);
		if (r < 0)
			return r;
		len += n + (len ? 1 : 0);
		at += n;
	}
	if (len >= cap)
		return -ENAMETOOLONG;
	len = 0;
	for (const char *at = from + strspn(from, "/"); *at; at += strspn(at, "/")) {
		n = strcspn(at, "/");
		if (len)
			to[len++] = '/';
		memcpy(to + len, at, n);
		len += n;
		at += n;
	}
	to[len] = '\0';
	return 0;
}

const char *ctf_place_below(const char *path)
{
	const char *found = NULL;
	size_t n;

	for (const char *at = path; *at; at += n + (at[n] == '/')) {
		n = strcspn(at, "/");
		if (at != path &&
		    ((n == 3 && !memcmp(at, "ust", 3)) || (n == 6 && !memcmp(at, "kernel", 6))))
			found = at; /* the last: a host may be called "ust" */
	}
	return found;
}

const char *ctf_place_stream(uint32_t minor, const char *path)
{
	return minor >= 11 ? path : ctf_place_below(path);
}

/* ---- times ---- */

static void format_time(int64_t seconds, const char *format, char *text, size_t cap)
{
	time_t t;
	struct tm tm;

	/* A day less, so that no time zone leaves the years that have four digits. */
	if (seconds < 0)
		seconds = 0;
	if (seconds > YEAR_10000 - 2 * 86400)
		seconds = YEAR_10000 - 2 * 86400;
	t = (time_t)seconds;
	if (!localtime_r(&t, &tm) || !strftime(text, cap, format, &tm))
		text[0] = '\0';
}

void ctf_place_time(int64_t seconds, char *text, size_t cap)
{
	format_time(seconds, "%Y%m%dT%H%M%S%z", text, cap);
}

/* ---- the session directory ---- */

/* A path that grows; the first failure stays. */
struct path {
	char text[CTF_DIR];
	size_t len;
	int err;
};

__attribute__((format(printf, 2, 3))) static void append(struct path *p, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (p->err)
		return;
	va_start(ap, fmt);
	n = vsnprintf(p->text + p->len, sizeof(p->text) - p->len, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(p->text) - p->len)
		p->err = -ENAMETOOLONG;
	else
		p->len += (size_t)n;
}

/* The last component gets its attempt; `room` is what will still be put behind the path. */
static int finish(struct path *p, unsigned attempt, size_t room, char *dir, size_t cap)
{
	size_t last = 0, n;

	if (attempt > 1)
		append(p, "-%u", attempt);
	if (p->err)
		return p->err;
	for (const char *at = p->text; *at; at += n + (at[n] == '/')) {
		n = strcspn(at, "/");
		if (n > COMPONENT_MAX)
			return -ENAMETOOLONG;
		last = n;
	}
	if (attempt < 2 && room && last > COMPONENT_MAX - ATTEMPT_ROOM)
		return -ENAMETOOLONG;
	if (p->len + room >= CTF_DIR || p->len >= cap)
		return -ENAMETOOLONG;
	memcpy(dir, p->text, p->len + 1);
	return 0;
}

/* NAME-TIME, or NAME where the session's name carries the time already. */
static void append_timed(struct path *p, const char *name, const struct ctf_place *of, bool timed)
{
	char time[32];

	format_time(of->created, "%Y%m%d-%H%M%S", time, sizeof(time));
	append(p, timed ? "%s" : "%s-%s", name, time);
}

static void append_new(struct path *p, const struct ctf_place *of)
{
	if (of->group == CTF_GROUP_SESSION) {
		append(p, "%s/", of->session_name);
		append_timed(p, of->host, of, false);
		if (of->base_path[0])
			append(p, "/%s", of->base_path);
		return;
	}
	append(p, "%s/", of->host);
	if (of->base_path[0])
		append(p, "%s", of->base_path);
	else
		append_timed(p, of->session_name, of, of->name_has_time);
}

static bool is_time(const char *text, size_t n)
{
	if (n != TIME_DASHED || text[8] != '-')
		return false;
	for (size_t i = 0; i < n; i++)
		if (i != 8 && (text[i] < '0' || text[i] > '9'))
			return false;
	return true;
}

/* "vm/s1-20261121-024022/rest" of length n -> "s1/vm-20261121-024022/rest". */
static void append_regrouped(struct path *p, const struct ctf_place *of, const char *old, size_t n)
{
	size_t host = strlen(of->host), name = strlen(of->session_name), second;
	const char *at = old;

	if (!of->session_name[0] || !of->host[0]) { /* minors 1 to 3 */
		append(p, "%.*s", (int)n, old);
		return;
	}
	append(p, "%s/", of->session_name);
	if (n > host + 1 && !memcmp(old, of->host, host) && old[host] == '/') {
		at += host + 1;
		n -= host + 1;
	}
	second = strcspn(at, "/");
	if (second > n)
		second = n;
	/* "s1-TIME", or a name that ends in the time itself: "auto-TIME". */
	if (second >= name && !memcmp(at, of->session_name, name) && second > TIME_DASHED &&
	    (second == name || (second == name + 1 + TIME_DASHED && at[name] == '-')) &&
	    is_time(at + second - TIME_DASHED, TIME_DASHED)) {
		append(p, "%s-%.*s", of->host, (int)TIME_DASHED, at + second - TIME_DASHED);
		at += second;
		n -= second;
		append(p, "%.*s", (int)n, at);
		return;
	}
	append_timed(p, of->host, of, false);
	append(p, "/%.*s", (int)n, at);
}

int ctf_place_session(const struct ctf_place *p, char *dir, size_t cap)
{
	struct path path = {.len = 0};
	const char *below;

	if (p->root[0])
		append(&path, "%s/", p->root);
	if (p->minor >= 11) {
		append_new(&path, p);
		return finish(&path, p->attempt, CTF_PLACE_CHUNK, dir, cap);
	}
	below = p->stream_path ? ctf_place_below(p->stream_path) : NULL;
	if (!below)
		return -EINVAL;
	if (p->group == CTF_GROUP_SESSION)
		append_regrouped(&path, p, p->stream_path, (size_t)(below - 1 - p->stream_path));
	else
		append(&path, "%.*s", (int)(below - 1 - p->stream_path), p->stream_path);
	return finish(&path, p->attempt, CTF_PLACE_CHUNK, dir, cap);
}

/* ---- chunks ---- */

void ctf_place_cleared(uint64_t serial, char name[CTF_PLACE_CHUNK])
{
	snprintf(name, CTF_PLACE_CHUNK, ".cleared-%llu", (unsigned long long)serial);
}

void ctf_place_gone(const char *stream, uint64_t number, bool index, char *name, size_t cap)
{
	snprintf(name, cap, ".%s_%llu.gone%s", stream, (unsigned long long)number,
		 index ? ".idx" : "");
}

bool ctf_place_is_cleared(const char *dir)
{
	return strstr(dir, "/.cleared-") != NULL;
}

void ctf_place_hidden(uint64_t serial, char name[CTF_PLACE_CHUNK])
{
	snprintf(name, CTF_PLACE_CHUNK, ".chunk-%llu", (unsigned long long)serial);
}

void ctf_place_open(int64_t created, uint64_t id, char name[CTF_PLACE_CHUNK])
{
	char from[32];

	ctf_place_time(created, from, sizeof(from));
	snprintf(name, CTF_PLACE_CHUNK, "%s-%llu", from, (unsigned long long)id);
}

void ctf_place_archive(int64_t created, int64_t closed, uint64_t id, char name[CTF_PLACE_CHUNK])
{
	char from[32], to[32];

	ctf_place_time(created, from, sizeof(from));
	ctf_place_time(closed, to, sizeof(to));
	snprintf(name, CTF_PLACE_CHUNK, "archives/%s-%s-%llu", from, to, (unsigned long long)id);
}

int ctf_place_closed(const struct ctf_place_closing *c, char *dir, size_t cap)
{
	struct path path = {.len = 0};
	char name[CTF_PLACE_CHUNK];

	append(&path, "%s", c->session_dir);
	if (c->name[0]) {
		append(&path, "/%s", c->name);
	} else if (c->command == CTF_CLOSE_ARCHIVE ||
		   (c->archived && c->command != CTF_CLOSE_DELETE)) {
		ctf_place_archive(c->created, c->closed, c->id, name);
		append(&path, "/%s", name);
	}
	return finish(&path, 0, 0, dir, cap);
}
