/* SPDX-License-Identifier: MIT */
/* option_file.c - an INI file, line by line; see option_file.h. */
#include "config/option_file.h"

#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const char blanks[] = " \t\r\n\v\f";

struct reading {
	FILE *in;
	char *buf; /* getline()'s */
	size_t size;
	unsigned line;
	bool in_value; /* a key has been seen in this section */
	bool continues;
	int err; /* the first failure; nothing more is read or given */
	unsigned err_line;
	char *why;
	int (*on_line)(void *user, const struct option_file_line *line);
	void *user;
};

__attribute__((format(printf, 2, 3))) static void refuse(struct reading *r, const char *format, ...)
{
	va_list args;

	r->err = -EINVAL;
	r->err_line = r->line;
	va_start(args, format);
	vsnprintf(r->why, OPTION_FILE_WHY_MAX, format, args);
	va_end(args);
}

/* Without comment and blanks at the end; a comment begins a line or follows a blank. */
static void cut_comment(char *text)
{
	size_t len;

	for (char *c = text; *c; c++) {
		if ((*c == '#' || *c == ';') && (c == text || strchr(blanks, c[-1]))) {
			*c = '\0';
			break;
		}
	}
	for (len = strlen(text); len > 0 && strchr(blanks, text[len - 1]); len--)
		text[len - 1] = '\0';
}

/* libinih says nothing of a section without values, which may be one that does not exist. */
static void begin_section(struct reading *r, const char *text)
{
	struct option_file_line line = {.number = r->line};
	char *name = strndup(text + 1, strlen(text) - 2);

	line.section = name;
	r->err = name ? r->on_line(r->user, &line) : -ENOMEM;
	free(name);
}

/* What libinih is to see of a line: indented only if it goes on with a value. */
static const char *classify(struct reading *r, char *text)
{
	const char *start = text + strspn(text, blanks);

	r->continues = false;
	if (!*start)
		return start;
	if (*start == '[' && strcspn(start, "]") + 1 == strlen(start)) {
		r->in_value = false;
		begin_section(r, start);
		return start;
	}
	if (*start != '[' && strchr(start, '=')) {
		r->in_value = true;
		return start;
	}
	if (start > text && r->in_value) {
		r->continues = true;
		return start - 1;
	}
	refuse(r, "is no [SECTION], no KEY = VALUE and no comment");
	return start;
}

/* libinih's fgets(): the next line into room for size bytes, NULL at the end. */
static char *next_line(char *to, int size, void *reading)
{
	struct reading *r = reading;
	const char *text;
	ssize_t len;

	if (r->err)
		return NULL;
	errno = 0;
	len = getline(&r->buf, &r->size, r->in);
	if (len < 0) {
		if (!feof(r->in))
			r->err = errno ? -errno : -EIO;
		return NULL;
	}
	r->line++;
	if (strlen(r->buf) != (size_t)len) {
		refuse(r, "has a byte of value 0 in it");
		return NULL;
	}
	if (r->line == 1 && strncmp(r->buf, "\xef\xbb\xbf", 3) == 0)
		memmove(r->buf, r->buf + 3, (size_t)len - 2); /* a byte order mark */
	cut_comment(r->buf);
	text = classify(r, r->buf);
	if (!r->err && strlen(text) + 2 > (size_t)size)
		refuse(r,
		       "is longer than %d bytes; a list may go on in the next line, if that is "
		       "indented, and --set takes longer values",
		       size - 2);
	if (r->err)
		return NULL;
	strcpy(to, text);
	return to;
}

/* Return not 0 for success, as libinih wants it. */
static int give_line(void *reading, const char *section, const char *name, const char *value)
{
	struct reading *r = reading;
	struct option_file_line line = {.number = r->line,
					.section = section,
					.key = name,
					.value = value,
					.continues = r->continues};

	if (!r->err)
		r->err = r->on_line(r->user, &line);
	return r->err == 0;
}

int option_file_read(FILE *in, int (*on_line)(void *user, const struct option_file_line *line),
		     void *user, unsigned *ret_line, char why[OPTION_FILE_WHY_MAX])
{
	struct reading r = {.in = in, .on_line = on_line, .user = user, .why = why};
	int bad_line = ini_parse_stream(next_line, &r, give_line, &r);

	free(r.buf);
	if (!r.err && bad_line < 0)
		r.err = -ENOMEM;
	if (!r.err && bad_line > 0) { /* of what we let through, it should like everything */
		r.line = (unsigned)bad_line;
		refuse(&r, "is no [SECTION], no KEY = VALUE and no comment");
	}
	*ret_line = r.err_line;
	return r.err;
}
