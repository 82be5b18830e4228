/* SPDX-License-Identifier: MIT */
/*
 * trace_dat_tail.c - see trace_dat_tail.h.
 *
 * v6 [8 zeros: no command lines] [CPU count, options] "flyrecord" table clock
 * v7 options section { CPUSTAT..., BUFFER with the table, DONE }, header of the BUFFER section
 */
#include "consumer/trace_dat_tail.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "common/wire.h"

#define OPTION_DONE    0
#define OPTION_CPUSTAT 2
#define OPTION_BUFFER  3

#define SECTION_OPTIONS 0
#define SECTION_BUFFER  3
#define SECTION_HEADER  16

#define V6_ENTRY 16 /* u64 offset, u64 bytes */
#define V7_ENTRY 20 /* u32 cpu before them */

/* More than any file, so that readers skip from the section's start to the end of the file. */
#define SIZE_UNKNOWN ((uint64_t)1 << 62)

size_t trace_dat_tail_bound(uint32_t cpus, bool with_stats)
{
	size_t per_cpu = V7_ENTRY + (with_stats ? 6 + TRACE_DAT_STATS_MAX + 1 : 0);

	/* 256 covers either version's fixed parts, the clock's name twice and the patches. */
	return 256 + cpus * per_cpu;
}

/* The end of the last region with bytes, 0 if there is none; asserts what the header demands. */
static uint64_t regions_end(const struct trace_dat_tail_input *in, uint64_t *ret_start)
{
	uint64_t start = UINT64_MAX, end = 0;

	for (uint32_t i = 0; i < in->cpus; i++) {
		const struct trace_dat_region *r = &in->regions[i];

		assert(r->bytes % in->subbuf_size == 0);
		if (r->bytes == 0)
			continue;
		assert(r->offset % in->subbuf_size == 0);
		if (r->offset < start)
			start = r->offset;
		if (r->offset + r->bytes > end)
			end = r->offset + r->bytes;
	}
	*ret_start = start;
	return end;
}

static void put_stats(struct wire_writer *w, const struct trace_dat_tail_input *in)
{
	bool big = in->meta->big_endian;

	for (uint32_t i = 0; in->stats && i < in->cpus; i++) {
		size_t len;

		if (!in->stats[i])
			continue;
		len = strnlen(in->stats[i], TRACE_DAT_STATS_MAX);
		wire_put_u16_as(w, OPTION_CPUSTAT, big);
		wire_put_u32_as(w, (uint32_t)len + 1, big);
		wire_put_bytes(w, in->stats[i], len);
		wire_put_u8(w, 0);
	}
}

/* Offset and size of a region in either table. */
static void put_region(struct wire_writer *w, const struct trace_dat_region *r, bool big)
{
	wire_put_u64_as(w, r->bytes ? r->offset : 0, big);
	wire_put_u64_as(w, r->bytes, big);
}

static void put_v6(struct wire_writer *w, const struct trace_dat_tail_input *in)
{
	const struct trace_dat_meta *m = in->meta;
	bool big = m->big_endian;
	size_t clock = strlen(m->clock);

	if (m->missing == TRACE_DAT_MISSING_CMDLINES)
		wire_put_u64_as(w, 0, big);
	if (m->missing != TRACE_DAT_MISSING_NOTHING) {
		wire_put_u32_as(w, in->cpus, big);
		wire_put_str(w, "options  ");
		put_stats(w, in);
		wire_put_u16_as(w, OPTION_DONE, big);
	}
	wire_put_str(w, "flyrecord");
	for (uint32_t i = 0; i < in->cpus; i++)
		put_region(w, &in->regions[i], big);
	wire_put_u64_as(w, clock + 2, big);
	wire_put_u8(w, '[');
	wire_put_bytes(w, m->clock, clock);
	wire_put_u8(w, ']');
}

static void put_section_header(struct wire_writer *w, uint16_t id, uint64_t size, bool big)
{
	wire_put_u16_as(w, id, big);
	wire_put_u16_as(w, 0, big);          /* not compressed */
	wire_put_u32_as(w, UINT32_MAX, big); /* no description */
	wire_put_u64_as(w, size, big);
}

static void put_v7(struct wire_writer *w, const struct trace_dat_tail_input *in, uint64_t data_end)
{
	bool big = in->meta->big_endian;
	size_t size_at, section_at;
	uint64_t body;

	put_section_header(w, SECTION_OPTIONS, 0, big);
	put_stats(w, in);

	wire_put_u16_as(w, OPTION_BUFFER, big);
	size_at = w->len;
	wire_put_u32_as(w, 0, big);
	section_at = w->len;
	wire_put_u64_as(w, 0, big);
	wire_put_str(w, ""); /* the top buffer */
	wire_put_str(w, in->meta->clock);
	wire_put_u32_as(w, in->subbuf_size, big);
	wire_put_u32_as(w, in->cpus, big);
	for (uint32_t i = 0; i < in->cpus; i++) {
		wire_put_u32_as(w, i, big);
		put_region(w, &in->regions[i], big);
	}
	wire_patch_u32_as(w, size_at, (uint32_t)(w->len - section_at), big);

	wire_put_u16_as(w, OPTION_DONE, big);
	wire_put_u32_as(w, 8, big);
	wire_put_u64_as(w, 0, big);
	wire_patch_u64_as(w, SECTION_HEADER - 8, w->len - SECTION_HEADER, big);

	/* Readers walk from section to section when they open a file: this one has to cover all
	 * regions, or they take the hole for millions of empty sections. */
	wire_patch_u64_as(w, section_at, in->meta->length + w->len, big);
	body = in->meta->length + w->len + SECTION_HEADER;
	put_section_header(w, SECTION_BUFFER,
			   in->open ? SIZE_UNKNOWN : (data_end > body ? data_end - body : 0), big);
}

/* A write of its own for what was put since @from. */
static void add_write(struct trace_dat_tail *t, const struct wire_writer *w, size_t from,
		      uint64_t offset)
{
	assert(t->count < TRACE_DAT_TAIL_WRITES);
	t->writes[t->count++] = (struct trace_dat_write){
		.offset = offset,
		.len = w->len - from,
		.bytes = w->buf + from,
	};
}

int trace_dat_tail_build(const struct trace_dat_tail_input *in, uint8_t *buffer, size_t cap,
			 struct trace_dat_tail *ret)
{
	const struct trace_dat_meta *m = in->meta;
	struct wire_writer w = wire_writer_init(buffer, cap);
	struct trace_dat_tail t = {.count = 0};
	uint64_t data_start, data_end = regions_end(in, &data_start);
	size_t from;

	assert(m->complete && in->cpus >= 1);
	assert(cap >= trace_dat_tail_bound(in->cpus, in->stats != NULL));

	if (m->version == 6)
		put_v6(&w, in);
	else
		put_v7(&w, in, data_end);
	assert(!w.err);
	t.end = m->length + w.len;
	if (t.end > data_start)
		return -EMSGSIZE;
	add_write(&t, &w, 0, m->length);

	if (in->subbuf_size != m->page_size) {
		from = w.len;
		wire_put_u32_as(&w, in->subbuf_size, m->big_endian);
		add_write(&t, &w, from, TRACE_DAT_PAGE_SIZE_AT);
	}
	if (m->cpus_at && in->cpus != m->cpus) {
		from = w.len;
		wire_put_u32_as(&w, in->cpus, m->big_endian);
		add_write(&t, &w, from, m->cpus_at);
	}
	if (m->version == 7) {
		from = w.len;
		wire_put_u64_as(&w, m->length, m->big_endian);
		add_write(&t, &w, from, m->done_at);
	}
	assert(!w.err);
	if (!in->open)
		t.file_size = data_end > t.end ? data_end : t.end;
	*ret = t;
	return 0;
}

int trace_dat_tail_read_table(const uint8_t *bytes, size_t len, const struct trace_dat_meta *meta,
			      uint32_t cpus, struct trace_dat_region *ret_regions)
{
	bool big = meta->big_endian;
	size_t entry = meta->version == 6 ? V6_ENTRY : V7_ENTRY;
	struct wire_reader table = wire_reader_init(bytes, len), check;

	wire_skip(&table, meta->table_at);
	table = wire_sub(&table, (uint64_t)meta->table_entries * entry);
	if (!meta->table_at || table.err)
		return -EBADMSG;

	check = table;
	for (uint32_t i = 0; i < meta->table_entries; i++) {
		uint32_t cpu = meta->version == 6 ? i : wire_get_u32_as(&check, big);

		wire_skip(&check, 16);
		if (cpu >= cpus)
			return -EBADMSG;
	}

	memset(ret_regions, 0, cpus * sizeof(*ret_regions));
	for (uint32_t i = 0; i < meta->table_entries; i++) {
		uint32_t cpu = meta->version == 6 ? i : wire_get_u32_as(&table, big);

		ret_regions[cpu].offset = wire_get_u64_as(&table, big);
		ret_regions[cpu].bytes = wire_get_u64_as(&table, big);
	}
	return 0;
}
