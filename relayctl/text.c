/* SPDX-License-Identifier: MIT */
/* text.c - character by character; see text.h. */
#include "relayctl/text.h"

#include <stdlib.h>
#include <string.h>
#include <wchar.h>

/* Bytes and columns of the character at s; columns -1: it is not to be shown. */
static size_t character(const char *s, int *ret_columns)
{
	mbstate_t state = {0};
	wchar_t c;
	size_t n = mbrtowc(&c, s, strlen(s), &state);

	if (n == (size_t)-1 || n == (size_t)-2 || n == 0) {
		*ret_columns = -1;
		n = 1;
		/* The rest of a character of UTF-8 belongs to the same '?'. */
		while (((unsigned char)s[0] & 0xc0) == 0xc0 && ((unsigned char)s[n] & 0xc0) == 0x80)
			n++;
		return n;
	}
	*ret_columns = wcwidth(c); /* -1: not printable */
	return n;
}

char *text_clean(const char *s, size_t *ret_width)
{
	char *clean = malloc(strlen(s) + 1), *to = clean;
	size_t width = 0;

	if (!clean)
		return NULL;
	while (*s) {
		int columns;
		size_t n = character(s, &columns);

		if (columns < 0) {
			*to++ = '?';
			width++;
		} else {
			memcpy(to, s, n);
			to += n;
			width += (size_t)columns;
		}
		s += n;
	}
	*to = '\0';
	*ret_width = width;
	return clean;
}

size_t text_cut(char *clean, size_t columns)
{
	size_t width = 0;

	while (*clean) {
		int more;
		size_t n = character(clean, &more);

		if (more < 0)
			more = 1;
		if (width + (size_t)more > columns) {
			*clean = '\0';
			break;
		}
		width += (size_t)more;
		clean += n;
	}
	return width;
}
