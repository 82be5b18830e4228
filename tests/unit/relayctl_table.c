/* SPDX-License-Identifier: MIT */
/* relayctl_table.c - columns stand below one another, and no cell moves the cursor. */
#include "relayctl/table.h"

#include <criterion/criterion.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "relayctl/text.h"

static const struct table_column columns[] = {{"NAME", false}, {"BYTES", true}, {"LAST", false}};

static char *printed(const struct table *t, bool colour)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	cr_assert(out);
	cr_assert_eq(table_print(t, out, colour), 0);
	fclose(out);
	return text;
}

static struct table *two_rows(void)
{
	struct table *t = table_new(columns, 3);

	table_cell(t, "a");
	table_cellf(t, "%d", 12345678);
	table_cell(t, NULL);
	table_cell(t, "longer than that");
	table_cell(t, "7");
	table_mark(t);
	table_cell(t, "x");
	return t;
}

Test(relayctl_table, aligns)
{
	struct table *t = two_rows();
	char *text = printed(t, false);

	cr_assert_str_eq(text, "NAME                 BYTES  LAST\n"
			       "a                 12345678  -\n"
			       "longer than that         7  x\n");
	cr_assert_eq(table_rows(t), 2);
	cr_assert_not(table_row_marked(t, 0));
	cr_assert(table_row_marked(t, 1));
	free(text);
	table_free(t);
}

Test(relayctl_table, colours_only_what_is_marked)
{
	struct table *t = two_rows();
	char *text = printed(t, true);

	cr_assert(strstr(text, "\033[31m7\033[0m"));
	cr_assert_null(strstr(text, "\033[31mx"));
	free(text);
	table_free(t);
}

Test(relayctl_table, without_rows_has_titles)
{
	struct table *t = table_new(columns, 3);
	char *text = printed(t, false);

	cr_assert_str_eq(text, "NAME  BYTES  LAST\n");
	free(text);
	table_free(t);
}

Test(relayctl_table, lines_are_cut)
{
	struct table *t = two_rows();
	char *title = table_line(t, -1, 10), *row = table_line(t, 1, 1000);

	cr_assert_str_eq(title, "NAME      ");
	cr_assert_str_eq(row, "longer than that         7  x");
	free(title);
	free(row);
	table_free(t);
}

Test(relayctl_table, without_memory_says_so)
{
	table_cell(NULL, "x");
	table_mark(NULL);
	cr_assert_eq(table_rows(NULL), 0);
	cr_assert_lt(table_print(NULL, stdout, false), 0);
	table_free(NULL);
}

/* ---- text.c ---- */

static void check_clean(const char *s, const char *want, size_t want_width)
{
	size_t width;
	char *clean = text_clean(s, &width);

	cr_assert_str_eq(clean, want);
	cr_assert_eq(width, want_width, "\"%s\" has %zu columns", want, width);
	free(clean);
}

Test(relayctl_table, ascii_where_the_locale_is)
{
	setlocale(LC_CTYPE, "C");
	check_clean("b\xc3\xbcro", "b?ro", 4);
	check_clean("\xe2\x82\xac", "?", 1);
	check_clean("\033[2Jx\n\t\x7f", "?[2Jx???", 8);
}

Test(relayctl_table, utf8_where_the_locale_has_it)
{
	char cut[] = "b\xc3\xbcro";

	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		return; /* a system without any */
	check_clean("b\xc3\xbcro", "b\xc3\xbcro", 4);
	check_clean("\xe4\xb8\xad", "\xe4\xb8\xad", 2);
	check_clean("\xc3", "?", 1);
	check_clean("\xff\xfe", "??", 2);
	check_clean("\xc2\x9b"
		    "31m",
		    "?31m", 4); /* CSI as one character */
	cr_assert_eq(text_cut(cut, 2), 2);
	cr_assert_str_eq(cut, "b\xc3\xbc");
}
