/* SPDX-License-Identifier: MIT */
/* The tail, byte by byte and read back. tests/real opens such files with trace-cmd report. */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>

#include "consumer/trace_dat_layout.h"
#include "consumer/trace_dat_tail.h"
#include "tests/unit/trace_dat_sample.h"

#define CPUS 2

/* A sample's metadata with the regions of two CPUs, and the start of the file they make. */
struct chunk {
	struct trace_dat_meta meta;
	struct trace_dat_region regions[CPUS];
	struct trace_dat_tail_input in;
	uint8_t buffer[8192];
	struct trace_dat_tail tail;
	uint8_t file[16384];
};

static void chunk_init(struct chunk *c, const struct sample *s)
{
	memset(c, 0, sizeof(*c));
	memcpy(c->file, s->bytes, s->len);
	cr_assert_eq(trace_dat_meta_parse(s->bytes, s->len, &c->meta), 0);
	c->regions[0] = (struct trace_dat_region){TRACE_DAT_DATA_START, 3 * 4096};
	c->regions[1] = (struct trace_dat_region){(uint64_t)1 << 40, 4096};
	c->in = (struct trace_dat_tail_input){
		.meta = &c->meta, .cpus = CPUS, .regions = c->regions, .subbuf_size = 4096};
}

static void chunk_apply(struct chunk *c)
{
	cr_assert_eq(trace_dat_tail_build(&c->in, c->buffer, sizeof(c->buffer), &c->tail), 0);
	for (unsigned i = 0; i < c->tail.count; i++) {
		const struct trace_dat_write *w = &c->tail.writes[i];

		cr_assert_leq(w->offset + w->len, sizeof(c->file));
		memcpy(c->file + w->offset, w->bytes, w->len);
	}
}

/* The file says what it should, and says it again when the same tail is built from it. */
static void check_reread(struct chunk *c)
{
	struct trace_dat_meta first = c->meta, m;
	struct trace_dat_region regions[CPUS];
	uint8_t before[sizeof(c->file)];

	cr_assert_eq(trace_dat_meta_parse(c->file, sizeof(c->file), &m), 0);
	cr_assert(m.complete, "%s", m.why);
	cr_assert_eq(m.table_entries, CPUS);
	cr_assert_eq(m.cpus, CPUS);
	cr_assert_eq(m.page_size, c->in.subbuf_size);
	cr_assert_str_eq(m.clock, first.clock);
	cr_assert_str_eq(m.host, first.host);
	cr_assert_eq(trace_dat_tail_read_table(c->file, sizeof(c->file), &m, CPUS, regions), 0);
	for (int i = 0; i < CPUS; i++) {
		cr_assert_eq(regions[i].bytes, c->regions[i].bytes);
		cr_assert_eq(regions[i].offset, c->regions[i].bytes ? c->regions[i].offset : 0);
	}

	memcpy(before, c->file, sizeof(before));
	c->meta = m;
	chunk_apply(c);
	cr_assert_arr_eq(before, c->file, sizeof(before));
	c->meta = first;
}

static void append(struct wire_writer *w, const char *hex)
{
	for (; *hex; hex += 2) {
		char byte[3] = {hex[0], hex[1], 0};

		wire_put_u8(w, (uint8_t)strtoul(byte, NULL, 16));
	}
}

Test(trace_dat_tail, v6_bytes)
{
	struct sample s = {.commit_size = 8, .end = END_PRINTK};
	uint8_t bytes[512];
	struct wire_writer want = wire_writer_init(bytes, sizeof(bytes));
	struct chunk c;

	sample_v6(&s);
	chunk_init(&c, &s);
	chunk_apply(&c);
	append(&want, "0000000000000000");                 /* no command lines */
	append(&want, "02000000");                         /* CPUs */
	append(&want, "6f7074696f6e732020000000");         /* options, none */
	append(&want, "666c797265636f726400");             /* flyrecord */
	append(&want, "00000004000000000030000000000000"); /* 64 MiB, 12 KiB */
	append(&want, "00000000000100000010000000000000"); /* 1 TiB, 4 KiB */
	append(&want, "07000000000000005b6c6f63616c5d");   /* 7 "[local]" */
	cr_assert_eq(c.tail.count, 1);
	cr_assert_eq(c.tail.writes[0].offset, s.len);
	cr_assert_eq(c.tail.writes[0].len, want.len);
	cr_assert_arr_eq(c.tail.writes[0].bytes, bytes, want.len);
	cr_assert_eq(c.tail.end, s.len + want.len);
	cr_assert_eq(c.tail.file_size, ((uint64_t)1 << 40) + 4096);
	check_reread(&c);
}

Test(trace_dat_tail, v6_repairs_only_what_is_missing)
{
	for (enum sample_end end = END_PRINTK; end <= END_OPTIONS; end++) {
		for (int big = 0; big <= 1; big++) {
			struct sample s = {.commit_size = 8, .end = end, .big = big};
			static const size_t extra[] = {8 + 4 + 10 + 2, 4 + 10 + 2, 0, 0};
			struct chunk c;

			sample_v6(&s);
			chunk_init(&c, &s);
			chunk_apply(&c);
			cr_assert_eq(c.tail.end,
				     s.len + extra[end] + 10 + 32 + 8 + 2 + strlen(c.meta.clock));
			check_reread(&c);
		}
	}
}

Test(trace_dat_tail, v7_bytes)
{
	struct sample s = {.commit_size = 8, .compression = "none", .big = true};
	uint8_t bytes[512];
	struct wire_writer want = wire_writer_init(bytes, sizeof(bytes));
	size_t section_at;
	struct chunk c;

	sample_v7(&s);
	chunk_init(&c, &s);
	chunk_apply(&c);
	append(&want, "00000000ffffffff"); /* options section */
	append(&want, "0000000000000052"); /* its size: 82 */
	append(&want, "0003");             /* BUFFER */
	append(&want, "0000003e");         /* 62 bytes */
	section_at = want.len;
	append(&want, "0000000000000000"); /* patched below */
	append(&want, "006d6f6e6f00");     /* "", "mono" */
	append(&want, "0000100000000002"); /* page size, entries */
	append(&want, "00000000"
		      "0000000004000000"
		      "0000000000003000");
	append(&want, "00000001"
		      "0000010000000000"
		      "0000000000001000");
	append(&want, "0000000000080000000000000000"); /* DONE */
	wire_patch_u64(&want, section_at, s.len + want.len);
	append(&want, "00030000ffffffff"); /* BUFFER section: up to the end of the last region */
	wire_put_u64(&want, ((uint64_t)1 << 40) + 4096 - (s.len + want.len + 8));

	cr_assert_eq(c.tail.count, 2);
	cr_assert_eq(c.tail.writes[0].offset, s.len);
	cr_assert_eq(c.tail.writes[0].len, want.len);
	cr_assert_arr_eq(c.tail.writes[0].bytes, bytes, want.len);
	cr_assert_eq(c.tail.end, s.len + want.len);
	/* What makes it part of the file comes last. */
	cr_assert_eq(c.tail.writes[1].offset, s.done_at);
	cr_assert_eq(c.tail.writes[1].len, 8);
	check_reread(&c);
}

Test(trace_dat_tail, v7_both_orders_and_packed_metadata)
{
	static const char *const compressions[] = {"none", "zstd", "zlib"};

	for (int i = 0; i < 6; i++) {
		struct sample s = {
			.commit_size = 8, .compression = compressions[i / 2], .big = i % 2};
		struct chunk c;

		sample_v7(&s);
		chunk_init(&c, &s);
		chunk_apply(&c);
		check_reread(&c);
	}
}

Test(trace_dat_tail, open_chunk)
{
	struct sample s6 = {.commit_size = 8, .end = END_OPTIONS};
	struct sample s7 = {.commit_size = 8, .compression = "none"};
	struct trace_dat_write *body;
	struct wire_reader r;
	struct chunk c;

	sample_v6(&s6);
	chunk_init(&c, &s6);
	c.regions[0].bytes = c.regions[1].bytes = 0;
	c.in.open = true;
	chunk_apply(&c);
	cr_assert_eq(c.tail.file_size, 0);
	check_reread(&c);

	sample_v7(&s7);
	chunk_init(&c, &s7);
	c.regions[0].bytes = c.regions[1].bytes = 0;
	c.in.open = true;
	chunk_apply(&c);
	check_reread(&c);
	body = &c.tail.writes[0];
	r = wire_reader_init(body->bytes + body->len - 8, 8);
	cr_assert_eq(wire_get_u64_as(&r, false), (uint64_t)1 << 62);

	/* Finishing it rewrites the same places. */
	c.regions[1].bytes = 8192;
	c.in.open = false;
	chunk_apply(&c);
	cr_assert_eq(c.tail.end, s7.len + body->len);
	check_reread(&c);
}

Test(trace_dat_tail, nothing_stored)
{
	struct sample s = {.commit_size = 8, .compression = "none"};
	struct chunk c;

	sample_v7(&s);
	chunk_init(&c, &s);
	c.regions[0].bytes = c.regions[1].bytes = 0;
	chunk_apply(&c);
	cr_assert_eq(c.tail.file_size, c.tail.end);
	check_reread(&c);
}

Test(trace_dat_tail, header_is_patched_where_it_is_wrong)
{
	struct sample s6 = {.commit_size = 8, .end = END_OPTIONS, .big = true};
	struct sample s7 = {.commit_size = 8, .compression = "none"};
	struct sample *samples[] = {&s6, &s7};

	sample_v6(&s6);
	sample_v7(&s7);
	for (int i = 0; i < 2; i++) {
		struct sample *s = samples[i];
		struct chunk c;

		wire_set_u32_as(s->bytes + s->cpus_at, 9, s->big); /* the client has two */
		chunk_init(&c, s);
		c.in.subbuf_size = 16384;
		c.regions[0].bytes = 16384;
		c.regions[1].bytes = 3 * 16384;
		chunk_apply(&c);
		check_reread(&c);
	}
}

Test(trace_dat_tail, stats)
{
	struct sample s = {.commit_size = 8, .compression = "none"};
	char long_text[2 * TRACE_DAT_STATS_MAX];
	const char *stats[CPUS] = {NULL, "entries: 7\n"};
	struct chunk c;
	size_t without;

	sample_v7(&s);
	chunk_init(&c, &s);
	chunk_apply(&c);
	without = c.tail.end;
	c.in.stats = stats;
	chunk_apply(&c);
	cr_assert_eq(c.tail.end, without + 6 + strlen(stats[1]) + 1);
	check_reread(&c);

	memset(long_text, 'x', sizeof(long_text));
	stats[0] = stats[1] = long_text;
	chunk_apply(&c);
	cr_assert_eq(c.tail.end, without + CPUS * (6 + TRACE_DAT_STATS_MAX + 1));
	check_reread(&c);
}

Test(trace_dat_tail, no_room_before_the_first_region)
{
	struct sample s = {.commit_size = 8, .end = END_OPTIONS};
	struct chunk c;

	sample_v6(&s);
	chunk_init(&c, &s);
	chunk_apply(&c);
	c.meta.length += TRACE_DAT_DATA_START - c.tail.end;
	cr_assert_eq(trace_dat_tail_build(&c.in, c.buffer, sizeof(c.buffer), &c.tail), 0);
	c.meta.length++;
	cr_assert_eq(trace_dat_tail_build(&c.in, c.buffer, sizeof(c.buffer), &c.tail), -EMSGSIZE);
	c.regions[0].bytes = 0; /* then nothing is in the way */
	cr_assert_eq(trace_dat_tail_build(&c.in, c.buffer, sizeof(c.buffer), &c.tail), 0);
}

Test(trace_dat_tail, bound_holds_for_the_longest)
{
	char clock[TRACE_DAT_CLOCK_MAX];
	static uint8_t buffer[64 * 2048 + 4096];
	struct trace_dat_region regions[64] = {{0, 0}};
	const char *stats[64];
	char text[TRACE_DAT_STATS_MAX + 1];

	memset(clock, 'c', sizeof(clock) - 1);
	clock[sizeof(clock) - 1] = '\0';
	memset(text, 'x', sizeof(text));
	text[TRACE_DAT_STATS_MAX] = '\0';
	for (int i = 0; i < 64; i++)
		stats[i] = text;
	for (int version = 6; version <= 7; version++) {
		struct trace_dat_meta m = {.version = version,
					   .complete = true,
					   .missing = TRACE_DAT_MISSING_CMDLINES,
					   .length = 1000,
					   .cpus = 1,
					   .cpus_at = 900};
		struct trace_dat_tail_input in = {.meta = &m,
						  .cpus = 64,
						  .regions = regions,
						  .stats = stats,
						  .subbuf_size = 4096};
		struct trace_dat_tail tail;

		memcpy(m.clock, clock, sizeof(clock));
		/* It asserts itself if the bound is too small. */
		cr_assert_eq(
			trace_dat_tail_build(&in, buffer, trace_dat_tail_bound(64, true), &tail),
			0);
	}
}

Test(trace_dat_tail, table_of_a_stranger)
{
	struct sample s = {.commit_size = 8, .compression = "none"};
	struct trace_dat_region regions[CPUS] = {{1, 1}, {1, 1}};
	struct trace_dat_meta m;
	struct chunk c;

	sample_v7(&s);
	chunk_init(&c, &s);
	cr_assert_eq(trace_dat_tail_read_table(c.file, sizeof(c.file), &c.meta, CPUS, regions),
		     -EBADMSG, "no table");
	chunk_apply(&c);
	cr_assert_eq(trace_dat_meta_parse(c.file, sizeof(c.file), &m), 0);
	cr_assert_eq(trace_dat_tail_read_table(c.file, m.table_at + 39, &m, CPUS, regions),
		     -EBADMSG, "cut");
	cr_assert_eq(trace_dat_tail_read_table(c.file, sizeof(c.file), &m, 1, regions), -EBADMSG,
		     "CPU 1 of 1");
	cr_assert_eq(regions[0].offset, 1, "output on failure");
}

Test(trace_dat_tail, partial_pages_are_the_callers_mistake, .signal = SIGABRT)
{
	struct sample s = {.commit_size = 8, .end = END_OPTIONS};
	struct chunk c;

	sample_v6(&s);
	chunk_init(&c, &s);
	c.regions[0].bytes++;
	(void)trace_dat_tail_build(&c.in, c.buffer, sizeof(c.buffer), &c.tail);
}
