/* SPDX-License-Identifier: MIT */
/* talk_script.c - reads *.talk files. */
#include "tests/talk/talk_script.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *current_path;
static int current_line;
static unsigned current_minor;

__attribute__((noreturn, format(printf, 1, 2))) static void mistake(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s:%d: ", current_path, current_line);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(2);
}

static void *grown(void *p, size_t size)
{
	p = realloc(p, size ? size : 1);
	if (!p)
		abort();
	return p;
}

/* ---- bytes ---- */

struct buffer {
	uint8_t *bytes;
	size_t len, cap;
};

static void put(struct buffer *b, const void *src, size_t n)
{
	if (b->len + n > b->cap) {
		b->cap = (b->len + n) * 2;
		b->bytes = grown(b->bytes, b->cap);
	}
	if (n)
		memcpy(b->bytes + b->len, src, n);
	b->len += n;
}

static void put_u8(struct buffer *b, unsigned v)
{
	uint8_t byte = (uint8_t)v;

	put(b, &byte, 1);
}

static void put_u32(struct buffer *b, uint64_t v)
{
	for (int shift = 24; shift >= 0; shift -= 8)
		put_u8(b, (unsigned)(v >> shift));
}

static void put_u64(struct buffer *b, uint64_t v)
{
	put_u32(b, v >> 32);
	put_u32(b, v);
}

static uint64_t number(const char **at)
{
	char *end;
	uint64_t v = strtoull(*at, &end, 0);

	if (end == *at)
		mistake("a number was expected at '%s'", *at);
	*at = end;
	return v;
}

static void put_string(struct buffer *b, const char **at)
{
	const char *p = *at + 1;

	for (; *p && *p != '"'; p++) {
		if (*p != '\\') {
			put_u8(b, (unsigned char)*p);
			continue;
		}
		switch (*++p) {
		case '0':
			put_u8(b, 0);
			break;
		case 'n':
			put_u8(b, '\n');
			break;
		case '"':
		case '\\':
			put_u8(b, (unsigned char)*p);
			break;
		default:
			mistake("unknown escape '\\%c'", *p);
		}
	}
	if (*p != '"')
		mistake("a string without end");
	*at = p + 1;
}

/* FIRST+COUNT, as V1's line, V2's words or V3's strings. */
static void put_ports(struct buffer *b, const char **at, int version)
{
	uint64_t first = number(at), n = 1;
	char text[16];

	if (**at == '+') {
		(*at)++;
		n = number(at);
	}
	for (uint64_t i = 0; i < n; i++) {
		int len = snprintf(text, sizeof(text), "%s%" PRIu64, version == 1 && i ? "," : "",
				   first + i);

		if (version == 2)
			put_u32(b, first + i);
		else
			put(b, text, (size_t)len + (version == 3));
	}
	if (version == 1)
		put_u8(b, 0);
}

static bool word(const char **at, const char *prefix)
{
	if (strncmp(*at, prefix, strlen(prefix)) != 0)
		return false;
	*at += strlen(prefix);
	return true;
}

/* Where a list of tokens ends. */
enum until { LINE = 0, GROUP = ')', MESSAGE = ']' };

static void put_tokens(struct buffer *b, const char **at, enum until until);

/* ---- LTTng ---- */

/* A text in a field of n bytes, with garbage behind its NUL. */
static void put_field(struct buffer *b, const char **at)
{
	uint64_t n = number(at);
	size_t from = b->len;

	if (**at != '"')
		mistake("a text was expected at '%s'", *at);
	put_string(b, at);
	if (b->len - from > n)
		mistake("the text is longer than its field");
	if (b->len - from < n)
		put_u8(b, 0);
	while (b->len - from < n)
		put_u8(b, 0xdf);
}

/* A control message: its header, then what stands between the brackets. */
static bool put_message(struct buffer *b, const char **at)
{
	static const struct {
		const char *name;
		unsigned command;
	} names[] = {{"ADD_STREAM", 1},      {"CREATE_SESSION", 2},
		     {"START_DATA", 3},      {"VERSION", 5},
		     {"SEND_METADATA", 6},   {"CLOSE_STREAM", 7},
		     {"DATA_PENDING", 8},    {"QUIESCENT", 9},
		     {"BEGIN", 10},          {"END", 11},
		     {"SEND_INDEX", 13},     {"STREAMS_SENT", 16},
		     {"RESET_METADATA", 17}, {"ROTATE_STREAMS", 18},
		     {"CREATE_CHUNK", 19},   {"CLOSE_CHUNK", 20},
		     {"CHUNK_EXISTS", 21},   {"CONFIGURATION", 22}};
	struct buffer body = {0};
	uint64_t command = 0, size = 0;
	bool sized, found = false;

	if (word(at, "cmd:")) {
		command = number(at);
		found = true;
	}
	for (size_t i = 0; !found && i < sizeof(names) / sizeof(names[0]); i++) {
		size_t n = strlen(names[i].name);

		if (strncmp(*at, names[i].name, n) != 0 || !strchr("=[", (*at)[n]))
			continue;
		command = names[i].command;
		*at += n;
		found = true;
	}
	if (!found)
		return false;
	sized = word(at, "=");
	if (sized)
		size = number(at);
	if (!word(at, "["))
		mistake("'[' was expected at '%s'", *at);
	put_tokens(&body, at, MESSAGE);
	(*at)++;
	put_u64(b, 0xdfdfdfdfdfdfdfdf); /* nobody looks at the circuit */
	put_u64(b, sized ? size : body.len);
	put_u32(b, command);
	put_u32(b, 0xdfdfdfdf);
	put(b, body.bytes, body.len);
	free(body.bytes);
	return true;
}

static bool put_lttng(struct buffer *b, const char **at)
{
	uint64_t n;

	if (put_message(b, at))
		return true;
	if (word(at, "field:")) {
		put_field(b, at);
	} else if (word(at, "u64:")) {
		put_u64(b, number(at));
	} else if (word(at, "minor")) {
		put_u32(b, current_minor);
	} else if (word(at, "stream:")) { /* handles, as talk_lttng_relay.c gives them */
		n = number(at);
		put_u64(b, (100 + n) << 24 | n);
	} else if (word(at, "session:")) {
		n = number(at);
		put_u64(b, (1 + n) << 24 | n);
	} else {
		return false;
	}
	return true;
}

static void put_token(struct buffer *b, const char **at)
{
	struct buffer part = {0};
	uint64_t n, from = 0;

	if (**at == '"') {
		put_string(b, at);
	} else if (word(at, "(")) {
		put_tokens(&part, at, GROUP);
		if (!word(at, ")*"))
			mistake("')*N' was expected");
		for (n = number(at); n; n--)
			put(b, part.bytes, part.len);
		free(part.bytes);
	} else if (word(at, "u32:")) {
		put_u32(b, number(at));
	} else if (word(at, "zero:")) {
		for (n = number(at); n; n--)
			put_u8(b, 0);
	} else if (word(at, "fill:")) {
		n = number(at);
		if (word(at, "@"))
			from = number(at);
		/* No two stretches of it are alike within 64 KiB. */
		for (; n; n--, from++)
			put_u8(b, (unsigned)(from * 167 ^ from >> 8));
	} else if (word(at, "v1-ports:")) {
		put_ports(b, at, 1);
	} else if (word(at, "v2-ports:")) {
		put_ports(b, at, 2);
	} else if (word(at, "v3-ports:")) {
		put_ports(b, at, 3);
	} else if (put_lttng(b, at)) {
		;
	} else if (isxdigit((unsigned char)(*at)[0]) && isxdigit((unsigned char)(*at)[1])) {
		char hex[3] = {(*at)[0], (*at)[1], 0};

		put_u8(b, (unsigned)strtoul(hex, NULL, 16));
		*at += 2;
	} else {
		mistake("no bytes: '%s'", *at);
	}
	if (**at && !isspace((unsigned char)**at) && **at != GROUP && **at != MESSAGE)
		mistake("a space was expected at '%s'", *at);
}

static void put_tokens(struct buffer *b, const char **at, enum until until)
{
	for (;;) {
		while (isspace((unsigned char)**at))
			(*at)++;
		if (until && **at == (char)until)
			return;
		if (!**at && until)
			mistake("'%c' is missing", until);
		if (!**at)
			return;
		put_token(b, at);
	}
}

/* ---- lines ---- */

static const struct form {
	const char *words[2];
	enum talk_verb verb;
	enum { NOTHING, TEXT, VALUE, BYTES } rest;
} forms[] = {
	{{"limits", NULL}, TALK_LIMITS, TEXT},
	{{"connect", NULL}, TALK_CONNECT, NOTHING},
	{{"client", ">"}, TALK_CLIENT_SENDS, BYTES},
	{{"client", "eof"}, TALK_CLIENT_EOF, NOTHING},
	{{"client", "reset"}, TALK_CLIENT_RESET, NOTHING},
	{{"client", "deaf"}, TALK_CLIENT_DEAF, NOTHING},
	{{"relay", "<"}, TALK_RELAY_SENT, BYTES},
	{{"relay", "<<"}, TALK_RELAY_SENT_LOOSELY, BYTES},
	{{"relay", "closed"}, TALK_RELAY_CLOSED, TEXT},
	{{"relay", "close"}, TALK_RELAY_CLOSE, TEXT},
	{{"lease", "asked"}, TALK_LEASE_ASKED, TEXT},
	{{"lease", "grant"}, TALK_LEASE_GRANT, TEXT},
	{{"lease", "refuse"}, TALK_LEASE_REFUSE, TEXT},
	{{"advance", NULL}, TALK_ADVANCE, VALUE},
	{{"room", NULL}, TALK_ROOM, VALUE},
	{{"expect", "metadata"}, TALK_EXPECT_METADATA, BYTES},
	{{"expect", NULL}, TALK_EXPECT, TEXT},
	{{"lttng", NULL}, TALK_LTTNG, TEXT},
	{{"use", NULL}, TALK_USE, TEXT},
	{{"lease", "hold"}, TALK_LEASE_HOLD, NOTHING},
	{{"worker", NULL}, TALK_WORKER, TEXT},
	{{"order", NULL}, TALK_ORDER, TEXT},
};

static const char *match(const char *at, const char *w)
{
	size_t n = w ? strlen(w) : 0;

	if (strncmp(at, w ? w : "", n) != 0 || (n && at[n] && !isspace((unsigned char)at[n])))
		return NULL;
	at += n;
	while (isspace((unsigned char)*at))
		at++;
	return at;
}

static void read_line(char *text, struct talk_line *ret)
{
	struct buffer b = {0};
	const char *rest = NULL;
	const struct form *f;

	for (f = forms; f < forms + sizeof(forms) / sizeof(forms[0]); f++) {
		rest = match(text, f->words[0]);
		rest = rest ? match(rest, f->words[1]) : NULL;
		if (rest)
			break;
	}
	if (!rest)
		mistake("unknown line: %s", text);
	*ret = (struct talk_line){.number = current_line, .verb = f->verb, .text = strdup(rest)};
	switch (f->rest) {
	case NOTHING:
		if (*rest)
			mistake("nothing was expected behind it: %s", rest);
		break;
	case VALUE:
		if (talk_script_quantity(rest) < 0)
			mistake("a quantity was expected: %s", rest);
		ret->value = (uint64_t)talk_script_quantity(rest);
		break;
	case BYTES:
		if (strcmp(rest, "nothing") != 0)
			put_tokens(&b, &rest, LINE);
		ret->bytes = b.bytes;
		ret->len = b.len;
		break;
	case TEXT:
		break;
	}
}

/* A '#' begins a comment, unless inside a string. */
static void cut_comment(char *text)
{
	bool quoted = false;

	for (; *text; text++) {
		if (*text == '"' && (!quoted || text[-1] != '\\'))
			quoted = !quoted;
		else if (*text == '#' && !quoted)
			break;
	}
	*text = '\0';
}

static void trim(char *text)
{
	size_t n = strlen(text);

	while (n && isspace((unsigned char)text[n - 1]))
		text[--n] = '\0';
}

/* "minor=4-7": all of them are played, one after the other. */
static void read_minors(struct talk_script *s)
{
	const char *at = strstr(s->line[0].text, "minor=");
	char *end;

	if (s->line[0].verb != TALK_LTTNG)
		return;
	if (!at)
		mistake("minor=N or minor=N-M is missing");
	s->minor = s->minor_last = (unsigned)strtoul(at + 6, &end, 10);
	if (*end == '-')
		s->minor_last = (unsigned)strtoul(end + 1, NULL, 10);
	if (!current_minor)
		current_minor = s->minor;
	s->minor = current_minor;
}

void talk_script_load(const char *path, unsigned minor, struct talk_script *ret)
{
	struct talk_script s = {.path = path};
	char *raw = NULL, *whole = NULL;
	size_t cap = 0, len = 0;
	FILE *f = fopen(path, "re");

	current_path = path;
	current_line = 0;
	current_minor = minor;
	if (!f)
		mistake("cannot be opened");
	while (getline(&raw, &cap, f) >= 0) {
		size_t n;
		bool more;

		current_line++;
		cut_comment(raw);
		trim(raw);
		n = strlen(raw);
		more = n && raw[n - 1] == '\\'; /* the line goes on below */
		if (more)
			raw[n - 1] = ' ';
		whole = grown(whole, len + n + 1);
		memcpy(whole + len, raw, n + 1);
		len += n;
		if (more)
			continue;
		if (len) {
			s.line = grown(s.line, (s.lines + 1) * sizeof(s.line[0]));
			read_line(whole, &s.line[s.lines++]);
			if (s.lines == 1)
				read_minors(&s);
		}
		len = 0;
	}
	free(raw);
	free(whole);
	fclose(f);
	if (!s.lines)
		mistake("an empty script");
	*ret = s;
}

void talk_script_free(struct talk_script *s)
{
	for (size_t i = 0; i < s->lines; i++) {
		free(s->line[i].text);
		free(s->line[i].bytes);
	}
	free(s->line);
}

int64_t talk_script_quantity(const char *text)
{
	static const struct {
		const char *unit;
		int64_t factor;
	} units[] = {{"", 1},        {"ms", 1},   {"s", 1000},       {"m", 60000},
		     {"h", 3600000}, {"K", 1024}, {"M", 1024 * 1024}};
	char *end;
	int64_t v = strtoll(text, &end, 10);

	if (end == text)
		return -1;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (!strcmp(end, units[i].unit))
			return v * units[i].factor;
	return -1;
}

bool talk_script_pair(const char **at, char key[64], char value[64])
{
	size_t len, n;

	*at += strspn(*at, " \t");
	len = strcspn(*at, " \t");
	n = strcspn(*at, "= \t");
	if (!len)
		return false;
	snprintf(key, 64, "%.*s", (int)n, *at);
	snprintf(value, 64, "%.*s", n < len ? (int)(len - n - 1) : 0, *at + n + (n < len));
	*at += len;
	return true;
}
