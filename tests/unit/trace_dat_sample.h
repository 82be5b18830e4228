/* SPDX-License-Identifier: MIT */
/*
 * trace_dat_sample.h - small metadata and pages for tests, made by hand from the format's
 * description and not by the code under test. Real captures are in
 * tests/fuzz/corpus/trace_dat_meta/.
 */
#ifndef TESTS_UNIT_TRACE_DAT_SAMPLE_H
#define TESTS_UNIT_TRACE_DAT_SAMPLE_H

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "common/wire.h"
#include "consumer/page.h"

#define SAMPLE_HEADER_PAGE                                           \
	"\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n"   \
	"\tfield: local_t commit;\toffset:8;\tsize:%u;\tsigned:1;\n" \
	"\tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;\n"   \
	"\tfield: char data;\toffset:%u;\tsize:%u;\tsigned:0;\n"
#define SAMPLE_UNAME "Linux sender 6.1.0 x86_64"
#define SAMPLE_CLOCK "local global [mono] counter\n"

/* Where v6 metadata ends. */
enum sample_end { END_PRINTK, END_CMDLINES, END_CPUS, END_OPTIONS };

struct sample {
	bool big;
	unsigned commit_size;    /* 4 or 8 */
	const char *compression; /* v7 */
	enum sample_end end;     /* v6 */
	uint8_t bytes[8192];
	size_t len;
	size_t cpus_at, done_at; /* as put */
	size_t options_at;       /* v7: the options section's header */
};

static inline void sample_put_block(struct wire_writer *w, const char *text, bool big)
{
	wire_put_u64_as(w, strlen(text), big);
	wire_put_bytes(w, text, strlen(text));
}

static inline void sample_put_header(struct wire_writer *w, const struct sample *s, int version)
{
	static const uint8_t magic[] = {0x17, 0x08, 0x44, 't', 'r', 'a', 'c', 'i', 'n', 'g'};

	wire_put_bytes(w, magic, sizeof(magic));
	wire_put_str(w, version == 6 ? "6" : "7");
	wire_put_u8(w, s->big);
	wire_put_u8(w, 8);
	wire_put_u32_as(w, 4096, s->big);
}

static inline void sample_put_header_info(struct wire_writer *w, const struct sample *s)
{
	char text[512];

	snprintf(text, sizeof(text), SAMPLE_HEADER_PAGE, s->commit_size, 8 + s->commit_size,
		 4096 - 8 - s->commit_size);
	wire_put_str(w, "header_page");
	sample_put_block(w, text, s->big);
	wire_put_str(w, "header_event");
	sample_put_block(w, "# compressed entry header\n", s->big);
}

static inline void sample_put_option(struct wire_writer *w, unsigned id, const void *data,
				     size_t len, bool big)
{
	wire_put_u16_as(w, (uint16_t)id, big);
	wire_put_u32_as(w, (uint32_t)len, big);
	wire_put_bytes(w, data, len);
}

/* An UNAME with slack behind it, a CLOCK, and an id nobody knows. */
static inline void sample_put_texts(struct wire_writer *w, bool big)
{
	char uname[64] = SAMPLE_UNAME;

	sample_put_option(w, 5, uname, sizeof(uname), big);
	sample_put_option(w, 999, "??", 2, big);
	sample_put_option(w, 4, SAMPLE_CLOCK, sizeof(SAMPLE_CLOCK), big);
}

static inline void sample_v6(struct sample *s)
{
	struct wire_writer w = wire_writer_init(s->bytes, sizeof(s->bytes));

	sample_put_header(&w, s, 6);
	sample_put_header_info(&w, s);
	wire_put_u32_as(&w, 2, s->big); /* ftrace formats */
	sample_put_block(&w, "name: function\n", s->big);
	sample_put_block(&w, "", s->big);
	wire_put_u32_as(&w, 1, s->big); /* systems */
	wire_put_str(&w, "sched");
	wire_put_u32_as(&w, 1, s->big);
	sample_put_block(&w, "name: sched_switch\n", s->big);
	wire_put_u32_as(&w, 3, s->big); /* kallsyms */
	wire_put_bytes(&w, "sym", 3);
	wire_put_u32_as(&w, 0, s->big); /* printk */
	if (s->end >= END_CMDLINES)
		sample_put_block(&w, "1 init\n", s->big);
	if (s->end >= END_CPUS) {
		s->cpus_at = w.len;
		wire_put_u32_as(&w, 2, s->big);
	}
	if (s->end >= END_OPTIONS) {
		wire_put_str(&w, "options  ");
		sample_put_texts(&w, s->big);
		wire_put_u16_as(&w, 0, s->big);
	}
	assert(!w.err);
	s->len = w.len;
}

/* A section; compressed if the sample is. Returns its offset. */
static inline size_t sample_put_section(struct wire_writer *w, const struct sample *s, unsigned id,
					const uint8_t *plain, size_t len)
{
	size_t at = w->len;
	uint8_t packed[4096];
	size_t n = 0;
	uLongf zn = sizeof(packed);

	if (strcmp(s->compression, "zstd") == 0)
		n = ZSTD_compress(packed, sizeof(packed), plain, len, 1);
	if (strcmp(s->compression, "zlib") == 0 && compress(packed, &zn, plain, len) == Z_OK)
		n = zn;
	wire_put_u16_as(w, (uint16_t)id, s->big);
	wire_put_u16_as(w, n ? 1 : 0, s->big);
	wire_put_u32_as(w, UINT32_MAX, s->big);
	wire_put_u64_as(w, n ? n + 8 : len, s->big);
	if (n) {
		wire_put_u32_as(w, (uint32_t)n, s->big);
		wire_put_u32_as(w, (uint32_t)len, s->big);
	}
	wire_put_bytes(w, n ? packed : plain, n ? n : len);
	return at;
}

static inline void sample_v7(struct sample *s)
{
	struct wire_writer w = wire_writer_init(s->bytes, sizeof(s->bytes)), info;
	uint8_t plain[1024], u32[4], u64[8];
	size_t pointer_at, size_at, header_info_at, kallsyms_at;

	sample_put_header(&w, s, 7);
	wire_put_str(&w, s->compression);
	wire_put_str(&w, strcmp(s->compression, "none") == 0 ? "" : "1.0");
	pointer_at = w.len;
	wire_put_u64_as(&w, 0, s->big);

	info = wire_writer_init(plain, sizeof(plain));
	sample_put_header_info(&info, s);
	assert(!info.err);
	header_info_at = sample_put_section(&w, s, 16, plain, info.len);
	kallsyms_at = sample_put_section(&w, s, 19, (const uint8_t *)"sym", 3);

	s->options_at = w.len;
	wire_patch_u64_as(&w, pointer_at, w.len, s->big);
	wire_put_u16_as(&w, 0, s->big);
	wire_put_u16_as(&w, 0, s->big);
	wire_put_u32_as(&w, UINT32_MAX, s->big);
	size_at = w.len;
	wire_put_u64_as(&w, 0, s->big);
	wire_set_u64_as(u64, header_info_at, s->big);
	sample_put_option(&w, 16, u64, 8, s->big);
	wire_set_u64_as(u64, kallsyms_at, s->big);
	sample_put_option(&w, 19, u64, 8, s->big);
	sample_put_texts(&w, s->big);
	s->cpus_at = w.len + 6;
	wire_set_u32_as(u32, 2, s->big);
	sample_put_option(&w, 8, u32, 4, s->big);
	s->done_at = w.len + 6;
	memset(u64, 0, 8);
	sample_put_option(&w, 0, u64, 8, s->big);
	wire_patch_u64_as(&w, size_at, w.len - size_at - 8, s->big);
	assert(!w.err);
	s->len = w.len;
}

/* A sub-buffer of small events (type_len 1) until @commit bytes; the rest is zero. */
static inline void sample_page(uint8_t *page, const struct page_format *f, uint64_t time,
			       uint32_t commit)
{
	struct wire_writer w = wire_writer_init(page, f->size);

	memset(page, 0, f->size);
	wire_put_u64_as(&w, time, f->big_endian);
	if (f->commit_size == 8)
		wire_put_u64_as(&w, commit, f->big_endian);
	else
		wire_put_u32_as(&w, commit, f->big_endian);
	for (uint32_t at = 0; at < commit; at += 8) {
		wire_put_u32_as(&w, f->big_endian ? 1u << 27 | 5 : 5u << 5 | 1, f->big_endian);
		wire_put_u32_as(&w, 0x11223344, f->big_endian);
	}
	assert(!w.err);
}

#endif
