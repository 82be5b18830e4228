/* SPDX-License-Identifier: MIT */
/*
 * wire.h - a cursor over bytes that somebody else wrote, and one for bytes that we write.
 *
 * A decoder reads straight down, one statement a field, and asks once at the end (wire_end()).
 * The first failure stays in err; from then on every read gives 0, NULL or "", and every write
 * does nothing, so that no step between needs a test of its own.
 *
 * Invariants: a reader never looks at a byte beyond the buffer it was given; a length that a peer
 *         sent is compared before it enters arithmetic; nothing is allocated, nothing is copied.
 * Life:   both structs are plain values on the caller's stack and own nothing. The buffer is
 *         borrowed: what wire_take() and wire_get_str() give points into it and lives as long.
 * Thread: any; an object belongs to one thread at a time.
 * Units:  bytes, always. Offsets count from the buffer's beginning.
 * Errors: -EBADMSG in a reader (bytes are missing, left over, or not a string); -ENOSPC in a
 *         writer (cap reached). A cursor may also be failed by the caller: wire_fail().
 *
 * Byte orders: the plain forms are network order (all three trace-cmd protocols, LTTng). The
 * _as forms take the order as an argument: trace.dat says in its byte 12 which one it uses.
 */
#ifndef TRACERELAY_COMMON_WIRE_H
#define TRACERELAY_COMMON_WIRE_H

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* ---- reading ---- */

struct wire_reader {
	const uint8_t *at; /* the next byte */
	size_t left;       /* bytes from there to the end */
	int err;           /* 0, or the first failure; once set, reads give 0 */
};

static inline struct wire_reader wire_reader_init(const void *buf, size_t len)
{
	return (struct wire_reader){.at = buf, .left = len};
}

/* Note a failure the cursor cannot see itself (a value out of range). The first one stays. */
static inline void wire_fail(struct wire_reader *r, int err)
{
	assert(err < 0);
	if (!r->err)
		r->err = err;
}

/* The next n bytes, borrowed from the buffer; NULL if fewer are left. n may be 0. */
static inline const uint8_t *wire_take(struct wire_reader *r, size_t n)
{
	const uint8_t *p = r->at;

	if (!r->err && n > r->left) /* compare; never add to a number a peer sent */
		r->err = -EBADMSG;
	if (r->err)
		return NULL;
	if (n) { /* an empty reader may stand on NULL */
		r->left -= n;
		r->at += n;
	}
	return p;
}

/* Pass over n bytes. 64 bits wide, since v6 metadata gives block lengths as u64. */
static inline void wire_skip(struct wire_reader *r, uint64_t n)
{
	if (!r->err && n > r->left)
		r->err = -EBADMSG;
	if (!r->err)
		(void)wire_take(r, (size_t)n);
}

/* A reader of its own for the next n bytes, which are passed over here; an empty one that carries
 * the failure if fewer are left. For parts that have a length field of their own. */
static inline struct wire_reader wire_sub(struct wire_reader *r, uint64_t n)
{
	struct wire_reader part = {.at = r->at};

	wire_skip(r, n);
	part.err = r->err;
	if (!part.err)
		part.left = (size_t)n;
	return part;
}

static inline uint8_t wire_get_u8(struct wire_reader *r)
{
	const uint8_t *p = wire_take(r, 1);

	return p ? p[0] : 0;
}

static inline uint16_t wire_get_u16_as(struct wire_reader *r, bool big)
{
	const uint8_t *p = wire_take(r, 2);

	if (!p)
		return 0;
	return big ? (uint16_t)(p[0] << 8 | p[1]) : (uint16_t)(p[1] << 8 | p[0]);
}

static inline uint32_t wire_get_u32_as(struct wire_reader *r, bool big)
{
	const uint8_t *p = wire_take(r, 4);

	if (!p)
		return 0;
	return big ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]
		   : (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static inline uint64_t wire_get_u64_as(struct wire_reader *r, bool big)
{
	struct wire_reader half;
	uint32_t first, second;

	/* Both halves or none: a failed read consumes nothing. */
	half = wire_sub(r, 8);
	first = wire_get_u32_as(&half, big);
	second = wire_get_u32_as(&half, big);
	return big ? (uint64_t)first << 32 | second : (uint64_t)second << 32 | first;
}

static inline uint16_t wire_get_u16(struct wire_reader *r)
{
	return wire_get_u16_as(r, true);
}

static inline uint32_t wire_get_u32(struct wire_reader *r)
{
	return wire_get_u32_as(r, true);
}

static inline uint64_t wire_get_u64(struct wire_reader *r)
{
	return wire_get_u64_as(r, true);
}

/*
 * The NUL-terminated string at the cursor; the cursor moves behind its NUL.
 * @max      most characters the string may have, the NUL not counted
 * @ret_len  characters without the NUL; may be NULL
 * Return a pointer into the buffer, never NULL. If no NUL comes within max + 1 bytes or before the
 * end, the reader fails with -EBADMSG and the string is "" of length 0.
 */
const char *wire_get_str(struct wire_reader *r, size_t max, size_t *ret_len);

/* Bytes not yet read; 0 after a failure. */
static inline size_t wire_left(const struct wire_reader *r)
{
	return r->err ? 0 : r->left;
}

/* The one question at the end: 0 if everything was there and nothing is left over, else the first
 * failure (-EBADMSG for bytes that are missing or left over). */
static inline int wire_end(const struct wire_reader *r)
{
	if (r->err)
		return r->err;
	return r->left ? -EBADMSG : 0;
}

/* ---- writing ---- */

struct wire_writer {
	uint8_t *buf;
	size_t cap; /* bytes buf has room for */
	size_t len; /* bytes written, <= cap */
	int err;    /* 0, or -ENOSPC; once set, writes do nothing */
};

static inline struct wire_writer wire_writer_init(void *buf, size_t cap)
{
	return (struct wire_writer){.buf = buf, .cap = cap};
}

/* Room for n bytes that the caller fills at once; NULL if they do not fit. */
static inline uint8_t *wire_room(struct wire_writer *w, size_t n)
{
	if (!w->err && n > w->cap - w->len)
		w->err = -ENOSPC;
	if (w->err)
		return NULL;
	w->len += n;
	return w->buf + (w->len - n);
}

/* Store a number into bytes that are known to be there (a header built in place, a patch). */
static inline void wire_set_u16_as(uint8_t *p, uint16_t v, bool big)
{
	p[big ? 0 : 1] = (uint8_t)(v >> 8);
	p[big ? 1 : 0] = (uint8_t)v;
}

static inline void wire_set_u32_as(uint8_t *p, uint32_t v, bool big)
{
	wire_set_u16_as(p + (big ? 0 : 2), (uint16_t)(v >> 16), big);
	wire_set_u16_as(p + (big ? 2 : 0), (uint16_t)v, big);
}

static inline void wire_set_u64_as(uint8_t *p, uint64_t v, bool big)
{
	wire_set_u32_as(p + (big ? 0 : 4), (uint32_t)(v >> 32), big);
	wire_set_u32_as(p + (big ? 4 : 0), (uint32_t)v, big);
}

static inline void wire_put_u8(struct wire_writer *w, uint8_t v)
{
	uint8_t *p = wire_room(w, 1);

	if (p)
		p[0] = v;
}

static inline void wire_put_u16_as(struct wire_writer *w, uint16_t v, bool big)
{
	uint8_t *p = wire_room(w, 2);

	if (p)
		wire_set_u16_as(p, v, big);
}

static inline void wire_put_u32_as(struct wire_writer *w, uint32_t v, bool big)
{
	uint8_t *p = wire_room(w, 4);

	if (p)
		wire_set_u32_as(p, v, big);
}

static inline void wire_put_u64_as(struct wire_writer *w, uint64_t v, bool big)
{
	uint8_t *p = wire_room(w, 8);

	if (p)
		wire_set_u64_as(p, v, big);
}

static inline void wire_put_u16(struct wire_writer *w, uint16_t v)
{
	wire_put_u16_as(w, v, true);
}

static inline void wire_put_u32(struct wire_writer *w, uint32_t v)
{
	wire_put_u32_as(w, v, true);
}

static inline void wire_put_u64(struct wire_writer *w, uint64_t v)
{
	wire_put_u64_as(w, v, true);
}

/* n bytes as they are; src may be NULL if n is 0. All of them or none. */
void wire_put_bytes(struct wire_writer *w, const void *src, size_t n);

/* n zero bytes (padding, reserved fields). */
void wire_put_zeros(struct wire_writer *w, size_t n);

/* The characters of s and its NUL. */
void wire_put_str(struct wire_writer *w, const char *s);

/*
 * Overwrite a number written before, at an offset from the beginning of the buffer: length fields
 * that are known only at the end. The bytes must have been written already (asserted, as the
 * offset is the program's own); does nothing in a writer that failed.
 */
void wire_patch_u16_as(struct wire_writer *w, size_t offset, uint16_t v, bool big);
void wire_patch_u32_as(struct wire_writer *w, size_t offset, uint32_t v, bool big);
void wire_patch_u64_as(struct wire_writer *w, size_t offset, uint64_t v, bool big);

static inline void wire_patch_u32(struct wire_writer *w, size_t offset, uint32_t v)
{
	wire_patch_u32_as(w, offset, v, true);
}

static inline void wire_patch_u64(struct wire_writer *w, size_t offset, uint64_t v)
{
	wire_patch_u64_as(w, offset, v, true);
}

#endif
