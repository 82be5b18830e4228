/* SPDX-License-Identifier: MIT */
/* option_file.c - INI files, line by line: what is given, what is refused and where. */
#include "config/option_file.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>

struct result {
	char given[2048]; /* "3:section.key=value;", with += for more of a value */
	char sections[64];
	int fail_at; /* on_line() fails at this line */
	int r;
	unsigned line;
	char why[OPTION_FILE_WHY_MAX];
};

static int on_line(void *user, const struct option_file_line *line)
{
	struct result *res = user;
	size_t len = strlen(res->given);

	if ((int)line->number == res->fail_at)
		return -EDOM;
	if (!line->key) {
		cr_assert_null(line->value);
		cr_assert_lt(strlen(res->sections) + strlen(line->section) + 3,
			     sizeof(res->sections));
		strcat(strcat(strcat(res->sections, "["), line->section), "]");
		return 0;
	}
	snprintf(res->given + len, sizeof(res->given) - len, "%u:%s.%s%s%s;", line->number,
		 line->section, line->key, line->continues ? "+=" : "=", line->value);
	return 0;
}

static void read_bytes(struct result *res, const char *bytes, size_t len)
{
	FILE *in = len ? fmemopen((void *)(uintptr_t)bytes, len, "r") : fopen("/dev/null", "r");

	cr_assert_not_null(in);
	res->line = 4711;
	res->r = option_file_read(in, on_line, res, &res->line, res->why);
	fclose(in);
}

static struct result read_text(const char *text)
{
	struct result res = {0};

	read_bytes(&res, text, strlen(text));
	return res;
}

Test(option_file, given)
{
	static const char *const cases[][2] = {
		{"", ""},
		{"\n\n", ""},
		{"[a]\nk=v\n", "2:a.k=v;"},
		{"[a]\nk=v", "2:a.k=v;"}, /* no newline at the end */
		{"[a]\r\nk = v\r\n", "2:a.k=v;"},
		{"k=v\n", "1:.k=v;"},
		{"[a]\nk=\n[b]\nk = \n", "2:a.k=;4:b.k=;"},
		{"[a]\n  k = v  \n\tl =\tw\t\n", "2:a.k=v;3:a.l=w;"}, /* indented keys are keys */
		{"[ a ]\nk=v\n", "2: a .k=v;"},
		{"[a]\nk=v=w\n", "2:a.k=v=w;"},
		{"# c\n; c\n  # c\n[a] # c\nk=v # c\nl=w ; c = d\nm=x#y;z\n",
		 "5:a.k=v;6:a.l=w;7:a.m=x#y;z;"},
		{"[a]\nk = # all of it\n", "2:a.k=;"},
		{"[a]\nk=v\n  w\n\tx\nl=y\n", "2:a.k=v;3:a.k+=w;4:a.k+=x;5:a.l=y;"},
		{"[a]\nk=v,\n [::]:5\n", "2:a.k=v,;3:a.k+=[::]:5;"}, /* no section */
		{"[a]\nk=v\n  [b]\n  k=v\n", "2:a.k=v;4:b.k=v;"},
		{"[a]\nk=v\n\n  # c\n  w ; c\n", "2:a.k=v;5:a.k+=w;"},
		{"\xef\xbb\xbf[a]\nk=v\n", "2:a.k=v;"},
		{"\xef\xbb\xbfk=v\n", "1:.k=v;"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct result res = read_text(cases[i][0]);

		cr_assert_eq(res.r, 0, "%zu: %s", i, res.why);
		cr_assert_eq(res.line, 0);
		cr_assert_str_eq(res.given, cases[i][1], "%zu", i);
	}
}

Test(option_file, refused)
{
	static const struct {
		const char *text;
		unsigned line;
		const char *why;
	} cases[] = {
		{"[a]\nk=v\nnonsense\nl=w\n", 3, "is no [SECTION], no KEY = VALUE and no comment"},
		{"[a]\nk: v\n", 2, "is no [SECTION]"},
		{"[a\nk=v\n", 1, "is no [SECTION]"},
		{"[a] k=v\n", 1, "is no [SECTION]"},
		{"[a]k=v\n", 1, "is no [SECTION]"},
		{"[a]]\n", 1, "is no [SECTION]"},
		{"[a]\n  going on\n", 2, "is no [SECTION]"}, /* with what? */
		{"  going on\n", 1, "is no [SECTION]"},
		{"[a]\nk=v\n[b]\n  going on\n", 4, "is no [SECTION]"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct result res = read_text(cases[i].text);

		cr_assert_eq(res.r, -EINVAL, "%zu", i);
		cr_assert_eq(res.line, cases[i].line, "%zu: line %u", i, res.line);
		cr_assert_not_null(strstr(res.why, cases[i].why), "%zu: %s", i, res.why);
	}
}

Test(option_file, nothing_is_given_behind_a_bad_line)
{
	struct result res = read_text("[a]\nk=v\nnonsense\nl=w\n");

	cr_assert_str_eq(res.given, "2:a.k=v;");
}

Test(option_file, zero_byte)
{
	static const char text[] = "[a]\nk=v\0w\n";
	struct result res = {0};

	read_bytes(&res, text, sizeof(text) - 1);
	cr_assert_eq(res.r, -EINVAL);
	cr_assert_eq(res.line, 2);
	cr_assert_not_null(strstr(res.why, "byte of value 0"));
	cr_assert_str_eq(res.given, "");
}

/* libinih would take a line that is too long as two. */
Test(option_file, long_lines)
{
	bool was_refused = false;

	for (int len = 1; len < 1000; len++) {
		struct result res = {0};
		char text[1100], want[1100];
		int n = snprintf(text, sizeof(text), "[a]\nk=%0*d\nl=w\n", len, 7);

		read_bytes(&res, text, (size_t)n);
		if (res.r == 0) {
			cr_assert_not(was_refused, "a longer one was accepted");
			snprintf(want, sizeof(want), "2:a.k=%0*d;3:a.l=w;", len, 7);
			cr_assert_str_eq(res.given, want);
		} else {
			was_refused = true;
			cr_assert_eq(res.r, -EINVAL);
			cr_assert_eq(res.line, 2);
			cr_assert_not_null(strstr(res.why, "is longer than"), "%s", res.why);
			cr_assert_gt(len, 180, "enough for any sensible line");
			cr_assert_str_eq(res.given, "");
		}
	}
	cr_assert(was_refused);
}

Test(option_file, error_of_the_caller)
{
	struct result res = {.fail_at = 3};
	static const char text[] = "[a]\nk=v\nl=w\nm=x\nnonsense\n";

	read_bytes(&res, text, sizeof(text) - 1);
	cr_assert_eq(res.r, -EDOM);
	cr_assert_eq(res.line, 0);
	cr_assert_str_eq(res.given, "2:a.k=v;");
}

Test(option_file, error_of_reading)
{
	struct result res = {0};
	FILE *in = fdopen(open("/", O_RDONLY | O_CLOEXEC), "r");

	cr_assert_not_null(in);
	cr_assert_eq(option_file_read(in, on_line, &res, &res.line, res.why), -EISDIR);
	cr_assert_eq(res.line, 0);
	fclose(in);
}

/* Those without a value, too. */
Test(option_file, sections)
{
	struct result res = read_text("[a]\n  [b] # c\nk=v\n[]\n[a]");

	cr_assert_eq(res.r, 0);
	cr_assert_str_eq(res.sections, "[a][b][][a]");
	cr_assert_str_eq(res.given, "3:b.k=v;");
	res = (struct result){.fail_at = 2};
	read_bytes(&res, "[a]\n[b]\nk=v\n", 12);
	cr_assert_eq(res.r, -EDOM);
	cr_assert_str_eq(res.given, "");
}
