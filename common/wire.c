/* SPDX-License-Identifier: MIT */
/*
 * wire.c - the parts of the wire cursor that are not worth inlining. Contract: wire.h.
 */
#include "common/wire.h"

const char *wire_get_str(struct wire_reader *r, size_t max, size_t *ret_len)
{
	const uint8_t *start = r->at, *nul = NULL;
	size_t window = r->left;

	if (window > max)
		window = max + 1; /* cannot overflow: max < left */
	if (!r->err && window)
		nul = memchr(start, 0, window);
	if (!nul) {
		wire_fail(r, -EBADMSG);
		if (ret_len)
			*ret_len = 0;
		return "";
	}
	(void)wire_take(r, (size_t)(nul - start) + 1);
	if (ret_len)
		*ret_len = (size_t)(nul - start);
	return (const char *)start;
}

void wire_put_bytes(struct wire_writer *w, const void *src, size_t n)
{
	uint8_t *p = wire_room(w, n);

	if (p && n)
		memcpy(p, src, n);
}

void wire_put_zeros(struct wire_writer *w, size_t n)
{
	uint8_t *p = wire_room(w, n);

	if (p && n)
		memset(p, 0, n);
}

void wire_put_str(struct wire_writer *w, const char *s)
{
	wire_put_bytes(w, s, strlen(s) + 1);
}

/* Where n already written bytes start, or NULL in a writer that failed. */
static uint8_t *written(const struct wire_writer *w, size_t offset, size_t n)
{
	if (w->err)
		return NULL;
	assert(offset <= w->len && n <= w->len - offset);
	return w->buf + offset;
}

void wire_patch_u16_as(struct wire_writer *w, size_t offset, uint16_t v, bool big)
{
	uint8_t *p = written(w, offset, 2);

	if (p)
		wire_set_u16_as(p, v, big);
}

void wire_patch_u32_as(struct wire_writer *w, size_t offset, uint32_t v, bool big)
{
	uint8_t *p = written(w, offset, 4);

	if (p)
		wire_set_u32_as(p, v, big);
}

void wire_patch_u64_as(struct wire_writer *w, size_t offset, uint64_t v, bool big)
{
	uint8_t *p = written(w, offset, 8);

	if (p)
		wire_set_u64_as(p, v, big);
}
