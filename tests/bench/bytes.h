/* SPDX-License-Identifier: MIT */
/*
 * bytes.h - a growing run of bytes that the load generator is about to send.
 *
 * Life:   zero-initialised, then appended to; bytes_free() ends it and leaves it empty again.
 * Owner:  whoever declares it. Thread: that one.
 * Errors: running out of memory ends the program (a bench has nobody to report it to), so nothing
 *         here returns an error.
 *
 * The load generator uses nothing of common/: an encoder that it shared with the daemons would
 * share its mistakes with them.
 */
#ifndef TESTS_BENCH_BYTES_H
#define TESTS_BENCH_BYTES_H

#include <stddef.h>
#include <stdint.h>

struct bytes {
	uint8_t *p; /* owned; NULL while empty */
	size_t len;
	size_t room;
};

void bytes_free(struct bytes *b);

/* Append n bytes and give the place where they begin, valid until the next append. */
uint8_t *bytes_grow(struct bytes *b, size_t n);

void bytes_put(struct bytes *b, const void *data, size_t n);
void bytes_text(struct bytes *b, const char *text);   /* without its NUL */
void bytes_string(struct bytes *b, const char *text); /* with its NUL */
void bytes_u32be(struct bytes *b, uint32_t v);

/* Numbers inside a trace.dat: in the order of the machine that writes it. */
void bytes_u16(struct bytes *b, uint16_t v);
void bytes_u32(struct bytes *b, uint32_t v);
void bytes_u64(struct bytes *b, uint64_t v);

/* Overwrite eight bytes written before. */
void bytes_patch_u64(struct bytes *b, size_t at, uint64_t v);

#endif
