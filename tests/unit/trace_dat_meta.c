/* SPDX-License-Identifier: MIT */
/* Metadata by hand, cut, twisted, and as real clients sent it (tests/fuzz/corpus). */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "consumer/trace_dat_meta.h"
#include "tests/unit/trace_dat_sample.h"

static struct trace_dat_meta parse(const struct sample *s)
{
	struct trace_dat_meta m;

	cr_assert_eq(trace_dat_meta_parse(s->bytes, s->len, &m), 0);
	return m;
}

static void check_texts(const struct trace_dat_meta *m)
{
	cr_assert_str_eq(m->host, "sender");
	cr_assert_str_eq(m->clock, "mono");
	cr_assert(m->clock_known);
}

struct order {
	bool big;
	unsigned commit_size;
};

ParameterizedTestParameters(trace_dat_meta, v6_whole)
{
	static struct order orders[] = {{false, 8}, {true, 8}, {false, 4}, {true, 4}};

	return cr_make_param_array(struct order, orders, 4);
}

ParameterizedTest(struct order *o, trace_dat_meta, v6_whole)
{
	struct sample s = {.big = o->big, .commit_size = o->commit_size, .end = END_OPTIONS};
	struct trace_dat_meta m;

	sample_v6(&s);
	m = parse(&s);
	cr_assert_eq(m.version, 6);
	cr_assert_eq(m.big_endian, o->big);
	cr_assert_eq(m.long_size, 8);
	cr_assert_eq(m.page_size, 4096);
	cr_assert(m.header_page_known);
	cr_assert_eq(m.commit_size, o->commit_size);
	cr_assert_eq(m.subbuf_size, 4096);
	cr_assert(m.complete);
	cr_assert_eq(m.length, s.len);
	cr_assert_eq(m.missing, TRACE_DAT_MISSING_NOTHING);
	cr_assert_eq(m.cpus, 2);
	cr_assert_eq(m.cpus_at, s.cpus_at);
	cr_assert_eq(m.table_at, 0);
	cr_assert_str_eq(m.compression, "none");
	check_texts(&m);
}

Test(trace_dat_meta, v6_ends_that_a_server_completes)
{
	static const enum trace_dat_missing want[] = {
		[END_PRINTK] = TRACE_DAT_MISSING_CMDLINES,
		[END_CMDLINES] = TRACE_DAT_MISSING_CPUS,
		[END_CPUS] = TRACE_DAT_MISSING_NOTHING,
		[END_OPTIONS] = TRACE_DAT_MISSING_NOTHING,
	};

	for (enum sample_end end = END_PRINTK; end <= END_OPTIONS; end++) {
		struct sample s = {.commit_size = 8, .end = end};
		struct trace_dat_meta m;

		sample_v6(&s);
		m = parse(&s);
		cr_assert(m.complete, "end %d", end);
		cr_assert_eq(m.missing, want[end], "end %d", end);
		cr_assert_eq(m.length, s.len);
		cr_assert_eq(m.cpus, end >= END_CPUS ? 2 : 0);
		if (end < END_OPTIONS) {
			cr_assert_str_eq(m.host, "");
			cr_assert_str_eq(m.clock, "local");
			cr_assert_not(m.clock_known);
		}
	}
}

Test(trace_dat_meta, v6_cut_anywhere_else_is_incomplete)
{
	struct sample s = {.commit_size = 8, .end = END_OPTIONS};
	size_t good[3], n = 0;

	for (enum sample_end end = END_PRINTK; end <= END_CPUS; end++) {
		s.end = end;
		sample_v6(&s);
		good[n++] = s.len;
	}
	s.end = END_OPTIONS;
	sample_v6(&s);
	for (size_t cut = 0; cut < s.len; cut++) {
		uint8_t *exact = malloc(cut + 1); /* for AddressSanitizer */
		struct trace_dat_meta m;
		bool complete = cut == good[0] || cut == good[1] || cut == good[2];

		memcpy(exact + 1, s.bytes, cut);
		cr_assert_eq(trace_dat_meta_parse(exact + 1, cut, &m), 0, "cut %zu", cut);
		cr_assert_eq(m.complete, complete, "cut %zu: %s", cut, m.why);
		cr_assert_eq(m.why[0] == '\0', complete);
		if (!complete)
			cr_assert_leq(m.where, cut);
		free(exact);
	}
}

Test(trace_dat_meta, v6_hole_behind_metadata_is_no_cpu_count)
{
	struct sample s = {.commit_size = 8, .end = END_CMDLINES};
	struct trace_dat_meta m;
	size_t len;

	sample_v6(&s);
	len = s.len;
	s.len += 4096; /* zeros, as in a chunk without its tail */
	m = parse(&s);
	cr_assert(m.complete);
	cr_assert_eq(m.missing, TRACE_DAT_MISSING_CPUS);
	cr_assert_eq(m.length, len);
	cr_assert_eq(m.cpus_at, 0);
}

ParameterizedTestParameters(trace_dat_meta, v7_whole)
{
	static struct sample s[] = {
		{.compression = NULL, .commit_size = 8, .end = 0},
		{.compression = NULL, .commit_size = 4, .end = 1, .big = true},
		{.compression = NULL, .commit_size = 4, .end = 2},
		{.compression = NULL, .commit_size = 8, .end = 2, .big = true},
	};

	return cr_make_param_array(struct sample, s, 4);
}

ParameterizedTest(struct sample *s, trace_dat_meta, v7_whole)
{
	static const char *const names[] = {"none", "zstd", "zlib"};
	struct trace_dat_meta m;

	s->compression = names[s->end]; /* parameters hold no pointers */
	sample_v7(s);
	m = parse(s);
	cr_assert_eq(m.version, 7);
	cr_assert_eq(m.big_endian, s->big);
	cr_assert(m.complete, "%s", m.why);
	cr_assert(m.header_page_known);
	cr_assert_eq(m.commit_size, s->commit_size);
	cr_assert_eq(m.subbuf_size, 4096);
	cr_assert_eq(m.length, s->len);
	cr_assert_eq(m.done_at, s->done_at);
	cr_assert_eq(m.cpus, 2);
	cr_assert_eq(m.cpus_at, s->cpus_at);
	cr_assert_eq(m.table_at, 0);
	cr_assert_str_eq(m.compression, s->compression);
	check_texts(&m);
}

Test(trace_dat_meta, v7_cut_anywhere_is_incomplete)
{
	struct sample s = {.commit_size = 8, .compression = "zstd"};

	sample_v7(&s);
	for (size_t cut = 0; cut < s.len; cut++) {
		uint8_t *exact = malloc(cut + 1);
		struct trace_dat_meta m;

		memcpy(exact + 1, s.bytes, cut);
		cr_assert_eq(trace_dat_meta_parse(exact + 1, cut, &m), 0, "cut %zu", cut);
		cr_assert_not(m.complete, "cut %zu", cut);
		free(exact);
	}
}

Test(trace_dat_meta, v7_strings_behind_the_options_are_the_clients)
{
	struct sample s = {.commit_size = 8, .compression = "none"};
	struct wire_writer w;
	size_t options_end;

	sample_v7(&s);
	options_end = s.len;
	w = wire_writer_init(s.bytes, sizeof(s.bytes));
	w.len = s.len;
	sample_put_section(&w, &s, 15, (const uint8_t *)"abc", 4);
	s.len = w.len;
	cr_assert_eq(parse(&s).length, s.len);
	cr_assert_eq(parse(&s).done_at, s.done_at);

	/* What is no whole section is not: the tail overwrites it. */
	s.len--;
	cr_assert_eq(parse(&s).length, options_end);
	cr_assert(parse(&s).complete);
	/* Nor is a hole. */
	memset(s.bytes + options_end, 0, 64);
	s.len = options_end + 64;
	cr_assert_eq(parse(&s).length, options_end);
}

Test(trace_dat_meta, v7_chain_that_bites_its_tail)
{
	struct sample s = {.commit_size = 8, .compression = "none"};
	struct trace_dat_meta m = {.cpus = 77};

	sample_v7(&s);
	wire_set_u64_as(s.bytes + s.done_at, s.options_at, s.big);
	cr_assert_eq(trace_dat_meta_parse(s.bytes, s.len, &m), -EBADMSG);
	cr_assert_eq(m.cpus, 77, "output on failure");
}

Test(trace_dat_meta, v7_offsets_outside)
{
	static const uint64_t outside[] = {8000, UINT32_MAX, UINT64_MAX, UINT64_MAX - 15,
					   INT64_MAX};
	struct sample s = {.commit_size = 8, .compression = "none"};

	for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
		sample_v7(&s);
		wire_set_u64_as(s.bytes + s.done_at, outside[i], s.big);
		cr_assert_not(parse(&s).complete);

		sample_v7(&s);
		wire_set_u64_as(s.bytes + s.options_at + 16 + 6, outside[i], s.big);
		cr_assert_not(parse(&s).complete, "the header info section is not there");
		cr_assert_not(parse(&s).header_page_known);
		cr_assert_eq(parse(&s).where, outside[i]);

		sample_v7(&s);
		wire_set_u64_as(s.bytes + s.options_at + 8, outside[i], s.big); /* its size */
		cr_assert_not(parse(&s).complete);
	}
}

Test(trace_dat_meta, v7_options_that_overrun_their_section)
{
	struct sample s = {.commit_size = 8, .compression = "none"};
	struct trace_dat_meta m;

	sample_v7(&s);
	wire_set_u32_as(s.bytes + s.options_at + 16 + 2, UINT32_MAX, s.big);
	cr_assert_eq(trace_dat_meta_parse(s.bytes, s.len, &m), -EBADMSG);
}

/* What cannot be unpacked leaves the format unknown, and the file usable. */
Test(trace_dat_meta, v7_header_info_that_does_not_unpack)
{
	struct sample s = {.commit_size = 4, .compression = "zstd"};
	struct trace_dat_meta m;
	size_t packed_at;

	sample_v7(&s);
	packed_at = 18 + sizeof("zstd") + sizeof("1.0") + 8 + 16;
	wire_set_u32_as(s.bytes + packed_at + 4, 1u << 30, s.big); /* plain size: a bomb */
	m = parse(&s);
	cr_assert(m.complete);
	cr_assert_not(m.header_page_known);
	cr_assert_eq(m.commit_size, 8, "that of user space");
	cr_assert_eq(m.subbuf_size, 0);

	sample_v7(&s);
	s.bytes[packed_at + 12] ^= 0x55;
	cr_assert(parse(&s).complete);
	cr_assert_not(parse(&s).header_page_known);
}

Test(trace_dat_meta, counts_without_bound_end_with_the_bytes)
{
	struct sample s = {.commit_size = 8, .end = END_OPTIONS};
	size_t len = (size_t)8 << 20, formats_at;
	uint8_t *big = calloc(1, len);
	struct trace_dat_meta m;
	struct wire_reader r;

	sample_v6(&s);
	memcpy(big, s.bytes, s.len);
	r = wire_reader_init(s.bytes, s.len);
	wire_skip(&r, 18);
	for (int i = 0; i < 2; i++) {
		wire_get_str(&r, 100, NULL);
		wire_skip(&r, wire_get_u64_as(&r, false));
	}
	formats_at = (size_t)(r.at - s.bytes);
	memset(big + formats_at, 0, len - formats_at);
	wire_set_u32_as(big + formats_at, UINT32_MAX, false); /* empty blocks for ever */
	cr_assert_eq(trace_dat_meta_parse(big, len, &m), 0);
	cr_assert_not(m.complete);
	cr_assert_str_eq(m.why, "ends inside the ftrace formats");

	wire_set_u32_as(big + formats_at, 0, false);
	wire_set_u32_as(big + formats_at + 4, UINT32_MAX, false); /* nameless systems for ever */
	cr_assert_eq(trace_dat_meta_parse(big, len, &m), 0);
	cr_assert_str_eq(m.why, "ends inside the event formats");
	free(big);
}

Test(trace_dat_meta, not_a_trace)
{
	struct sample s = {.commit_size = 8, .end = END_OPTIONS};
	struct trace_dat_meta m;

	static const struct {
		size_t at;
		uint8_t value;
	} wrong[] = {{0, 'X'}, {9, 'X'}, {10, '5'}, {10, '8'}, {11, '6'}, {12, 2}, {18, 'X'}};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		sample_v6(&s);
		s.bytes[wrong[i].at] = wrong[i].value;
		cr_assert_eq(trace_dat_meta_parse(s.bytes, s.len, &m), -EBADMSG, "case %zu", i);
	}
}

Test(trace_dat_meta, empty_version_of_2_8)
{
	struct sample s = {.commit_size = 8, .end = END_OPTIONS};
	struct trace_dat_meta m;

	sample_v6(&s);
	cr_assert_not(trace_dat_meta_needs_version(s.bytes, s.len));
	/* What such a client sends: the same without the 6. */
	memmove(s.bytes + 10, s.bytes + 11, s.len - 11);
	for (size_t len = 0; len <= 10; len++)
		cr_assert_not(trace_dat_meta_needs_version(s.bytes, len), "no verdict yet");
	cr_assert(trace_dat_meta_needs_version(s.bytes, 11));
	cr_assert_eq(trace_dat_meta_parse(s.bytes, s.len - 1, &m), -EBADMSG);

	memmove(s.bytes + 11, s.bytes + 10, s.len - 11);
	s.bytes[10] = '6';
	cr_assert(parse(&s).complete);
	s.bytes[0] = 0;
	s.bytes[10] = 0;
	cr_assert_not(trace_dat_meta_needs_version(s.bytes, 11), "some other stream");
}

static struct trace_dat_meta parse_uname(const char *uname, size_t len)
{
	struct sample s = {.commit_size = 8, .end = END_CPUS};
	struct wire_writer w;

	sample_v6(&s);
	w = wire_writer_init(s.bytes, sizeof(s.bytes));
	w.len = s.len;
	wire_put_str(&w, "options  ");
	sample_put_option(&w, 5, uname, len, false);
	sample_put_option(&w, 4, "", 0, false); /* as 2.8 sends it */
	wire_put_u16_as(&w, 0, false);
	s.len = w.len;
	return parse(&s);
}

Test(trace_dat_meta, host_names_from_liars)
{
	char longest[300];
	struct trace_dat_meta m;

	m = parse_uname("Linux", 6);
	cr_assert_str_eq(m.host, "");
	m = parse_uname("", 0);
	cr_assert_str_eq(m.host, "");
	cr_assert(m.complete);
	m = parse_uname("Linux a", 7); /* no NUL */
	cr_assert_str_eq(m.host, "a");
	m = parse_uname("Linux \0x y", 10);
	cr_assert_str_eq(m.host, "");
	m = parse_uname("Linux a\nb\x80\x1b z", 12);
	cr_assert_str_eq(m.host, "a?b??");
	memset(longest, 'h', sizeof(longest));
	memcpy(longest, "Linux ", 6);
	m = parse_uname(longest, sizeof(longest));
	cr_assert_eq(strlen(m.host), TRACE_DAT_HOST_MAX - 1);
}

/* ---- as real clients sent it ---- */

static size_t load(const char *name, uint8_t *ret, size_t cap)
{
	const char *root = getenv("TRACERELAY_SRC");
	char path[PATH_MAX];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/tests/fuzz/corpus/trace_dat_meta/%s", root ? root : ".",
		 name);
	fd = open(path, O_RDONLY);
	cr_assert_geq(fd, 0, "%s (run from the source folder, or set TRACERELAY_SRC)", path);
	n = read(fd, ret, cap);
	close(fd);
	cr_assert_gt(n, 0);
	return (size_t)n;
}

Test(trace_dat_meta, real_trace_cmd_3_1_6)
{
	static const struct {
		const char *file, *compression;
		int version;
		enum trace_dat_missing missing;
	} real[] = {
		{"v7-zstd", "zstd", 7, TRACE_DAT_MISSING_NOTHING},
		{"v7-none", "none", 7, TRACE_DAT_MISSING_NOTHING},
		{"v6", "none", 6, TRACE_DAT_MISSING_NOTHING},
		{"v6-from-v1", "none", 6, TRACE_DAT_MISSING_CMDLINES},
	};

	for (size_t i = 0; i < sizeof(real) / sizeof(real[0]); i++) {
		static uint8_t bytes[32768];
		size_t len = load(real[i].file, bytes, sizeof(bytes));
		bool v1 = real[i].missing != TRACE_DAT_MISSING_NOTHING;
		struct trace_dat_meta m;

		cr_assert_eq(trace_dat_meta_parse(bytes, len, &m), 0);
		cr_assert(m.complete, "%s %s", real[i].file, m.why);
		cr_assert_eq(m.version, real[i].version);
		cr_assert_eq(m.missing, real[i].missing);
		cr_assert_eq(m.length, len);
		cr_assert(m.header_page_known);
		cr_assert_eq(m.commit_size, 8);
		cr_assert_eq(m.subbuf_size, 4096);
		cr_assert_str_eq(m.compression, real[i].compression);
		cr_assert_str_eq(m.clock, "local");
		cr_assert_eq(m.clock_known, !v1);
		cr_assert_str_eq(m.host, v1 ? "" : "sender");
		cr_assert_eq(m.cpus, v1 ? 0 : 2);
		if (m.version == 7)
			cr_assert_eq(m.done_at, len - 8);
	}
}
