/* SPDX-License-Identifier: MIT */
/* bytes.c - a growing run of bytes; see bytes.h. */
#include "tests/bench/bytes.h"

#include <assert.h>
#include <err.h>
#include <stdlib.h>
#include <string.h>

void bytes_free(struct bytes *b)
{
	free(b->p);
	*b = (struct bytes){0};
}

uint8_t *bytes_grow(struct bytes *b, size_t n)
{
	size_t at = b->len;

	if (n > b->room - b->len) {
		size_t room = b->room ? b->room : 256;

		while (room - b->len < n)
			room *= 2;
		b->p = realloc(b->p, room);
		if (!b->p)
			err(1, "out of memory");
		b->room = room;
	}
	b->len += n;
	return b->p + at;
}

void bytes_put(struct bytes *b, const void *data, size_t n)
{
	memcpy(bytes_grow(b, n), data, n);
}

void bytes_text(struct bytes *b, const char *text)
{
	bytes_put(b, text, strlen(text));
}

void bytes_string(struct bytes *b, const char *text)
{
	bytes_put(b, text, strlen(text) + 1);
}

void bytes_u32be(struct bytes *b, uint32_t v)
{
	uint8_t *p = bytes_grow(b, 4);

	p[0] = v >> 24;
	p[1] = v >> 16;
	p[2] = v >> 8;
	p[3] = v;
}

void bytes_u16(struct bytes *b, uint16_t v)
{
	bytes_put(b, &v, sizeof(v));
}

void bytes_u32(struct bytes *b, uint32_t v)
{
	bytes_put(b, &v, sizeof(v));
}

void bytes_u64(struct bytes *b, uint64_t v)
{
	bytes_put(b, &v, sizeof(v));
}

void bytes_patch_u64(struct bytes *b, size_t at, uint64_t v)
{
	assert(at <= b->len && b->len - at >= sizeof(v));
	memcpy(b->p + at, &v, sizeof(v));
}
