/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <signal.h>

#include "consumer/page.h"
#include "tests/unit/trace_dat_sample.h"

#define LOST  0x80000000u
#define COUNT 0x40000000u

/* All byte orders and commit sizes. */
static struct page_format formats[] = {
	{4096, 8, false}, {4096, 8, true}, {4096, 4, false}, {4096, 4, true}};
#define FORMATS (sizeof(formats) / sizeof(formats[0]))

static void set_commit(uint8_t *page, const struct page_format *f, uint64_t commit)
{
	if (f->commit_size == 8)
		wire_set_u64_as(page + 8, commit, f->big_endian);
	else
		wire_set_u32_as(page + 8, (uint32_t)commit, f->big_endian);
}

static void set_long(uint8_t *at, const struct page_format *f, uint64_t value)
{
	if (f->commit_size == 8)
		wire_set_u64_as(at, value, f->big_endian);
	else
		wire_set_u32_as(at, (uint32_t)value, f->big_endian);
}

ParameterizedTestParameters(page, header)
{
	return cr_make_param_array(struct page_format, formats, FORMATS);
}

ParameterizedTest(struct page_format *f, page, header)
{
	uint32_t header = page_header_size(f), room = f->size - header;
	uint8_t page[4096];
	struct page_header h;

	cr_assert_eq(header, 8u + f->commit_size);
	sample_page(page, f, 0x1122334455667788, 64);
	cr_assert_eq(page_read(page, f->size, f, &h), 0);
	cr_assert_eq(h.time, 0x1122334455667788);
	cr_assert_eq(h.commit, 64);
	cr_assert_not(h.lost);
	cr_assert_not(h.lost_count_known);

	set_commit(page, f, room); /* full */
	cr_assert_eq(page_read(page, header, f, &h), 0);
	cr_assert_eq(h.commit, room);
	set_commit(page, f, room + 1);
	h.commit = 77;
	cr_assert_eq(page_read(page, f->size, f, &h), -EBADMSG);
	cr_assert_eq(h.commit, 77, "output on failure");
	cr_assert_eq(page_read(page, header - 1, f, &h), -EINVAL);
}

ParameterizedTestParameters(page, lost)
{
	return cr_make_param_array(struct page_format, formats, FORMATS);
}

ParameterizedTest(struct page_format *f, page, lost)
{
	uint32_t header = page_header_size(f), room = f->size - header;
	uint8_t page[4096];
	struct page_header h;

	sample_page(page, f, 5, 64);
	set_commit(page, f, 64 | LOST | 0xffffffff00000000); /* as 64-bit kernels extend it */
	cr_assert_eq(page_read(page, f->size, f, &h), 0);
	cr_assert(h.lost);
	cr_assert_not(h.lost_count_known);
	cr_assert_eq(h.commit, 64);

	set_commit(page, f, 64 | LOST | COUNT | 0xffffffff00000000);
	set_long(page + header + 64, f, 17780);
	cr_assert_eq(page_read(page, f->size, f, &h), 0);
	cr_assert(h.lost && h.lost_count_known);
	cr_assert_eq(h.lost_count, 17780);
	cr_assert_eq(page_read(page, header + 64, f, &h), 0);
	cr_assert(h.lost && !h.lost_count_known, "the count is out of reach");

	set_commit(page, f, (room - f->commit_size) | LOST | COUNT);
	cr_assert_eq(page_read(page, f->size, f, &h), 0);
	set_commit(page, f, (room - f->commit_size + 1) | LOST | COUNT);
	cr_assert_eq(page_read(page, f->size, f, &h), -EBADMSG, "no room for the count");
}

ParameterizedTestParameters(page, mark_lost)
{
	return cr_make_param_array(struct page_format, formats, FORMATS);
}

ParameterizedTest(struct page_format *f, page, mark_lost)
{
	uint8_t page[4096], before[4096];
	struct page_header h;
	unsigned changed = 0;

	sample_page(page, f, 5, 640);
	memcpy(before, page, sizeof(page));
	page_mark_lost(page, f);
	page_mark_lost(page, f);
	for (size_t i = 0; i < sizeof(page); i++)
		changed += page[i] != before[i];
	cr_assert_eq(changed, 1);
	cr_assert_eq(page_read(page, f->size, f, &h), 0);
	cr_assert(h.lost && !h.lost_count_known);
	cr_assert_eq(h.commit, 640);
	cr_assert_eq(h.time, 5);

	page_make_filler(f, 99, page);
	cr_assert_eq(page_read(page, page_header_size(f), f, &h), 0);
	cr_assert_eq(h.time, 99);
	cr_assert_eq(h.commit, 0);
	cr_assert_not(h.lost);
}

Test(page, formats_that_peers_may_claim)
{
	cr_assert(page_format_valid(&(struct page_format){4096, 8, false}));
	cr_assert(page_format_valid(&(struct page_format){65536, 4, true}));
	cr_assert(page_format_valid(&(struct page_format){PAGE_SIZE_MAX, 8, true}));
	cr_assert_not(page_format_valid(&(struct page_format){0, 8, false}));
	cr_assert_not(page_format_valid(&(struct page_format){2048, 8, false}));
	cr_assert_not(page_format_valid(&(struct page_format){4096 + 512, 8, false}));
	cr_assert_not(page_format_valid(&(struct page_format){2 * PAGE_SIZE_MAX, 8, false}));
	cr_assert_not(page_format_valid(&(struct page_format){4096, 0, false}));
	cr_assert_not(page_format_valid(&(struct page_format){4096, 2, false}));
}

Test(page, invalid_format_is_the_callers_mistake, .signal = SIGABRT)
{
	struct page_totals totals = {0};
	uint8_t page[4096] = {0};

	(void)page_scan(page, sizeof(page), &(struct page_format){.commit_size = 8}, PAGE_SCAN_ALL,
			&totals);
}

Test(page, scan_sums)
{
	const struct page_format *f = &formats[0];
	static uint8_t window[7 * 4096 + 100];
	struct page_totals t = {0};

	sample_page(window, f, 1000, 640);
	sample_page(window + 4096, f, 2000, 0); /* empty: its time does not count */
	sample_page(window + 2 * 4096, f, 3000, 640);
	set_commit(window + 2 * 4096, f, 640 | LOST | COUNT);
	set_long(window + 2 * 4096 + 16 + 640, f, 510);
	sample_page(window + 3 * 4096, f, 3500, 640);
	page_mark_lost(window + 3 * 4096, f);
	sample_page(window + 4 * 4096, f, 9000, 0);
	set_commit(window + 4 * 4096, f, 5000);       /* bad */
	sample_page(window + 5 * 4096, f, 3200, 640); /* overtaken by the one before */
	sample_page(window + 6 * 4096, f, 3600, 640);

	cr_assert_eq(page_scan(window, sizeof(window), f, PAGE_SCAN_ALL, &t), 7 * 4096);
	cr_assert_eq(t.pages, 7);
	cr_assert_eq(t.empty_pages, 1);
	cr_assert_eq(t.bad_pages, 1);
	cr_assert_eq(t.lost_events, 510);
	cr_assert_eq(t.lost_intervals, 1);
	cr_assert_eq(t.time_first, 1000);
	cr_assert_eq(t.time_last, 3600);

	/* The same in pieces. */
	struct page_totals pieces = {0};

	for (size_t at = 0; at < 7 * 4096; at += 4096)
		cr_assert_eq(page_scan(window + at, 4096, f, PAGE_SCAN_ALL, &pieces), 4096);
	cr_assert_eq(memcmp(&t, &pieces, sizeof(t)), 0);

	/* With doubts: stops before the bad one. */
	t = (struct page_totals){0};
	cr_assert_eq(page_scan(window, sizeof(window), f, PAGE_SCAN_STOP_AT_DOUBT, &t), 4 * 4096);
	cr_assert_eq(t.pages, 4);
	cr_assert_eq(t.bad_pages, 0);
	cr_assert_eq(page_scan(window, 4095, f, PAGE_SCAN_ALL, &t), 0, "no whole page");
}

Test(page, lost_events_of_a_liar_do_not_wrap)
{
	const struct page_format *f = &formats[0];
	static uint8_t window[2 * 4096];
	struct page_totals t = {0};

	for (int i = 0; i < 2; i++) {
		sample_page(window + i * 4096, f, 1, 8);
		set_commit(window + i * 4096, f, 8 | LOST | COUNT);
		set_long(window + i * 4096 + 24, f, UINT64_MAX - 1);
	}
	page_scan(window, sizeof(window), f, PAGE_SCAN_ALL, &t);
	cr_assert_eq(t.lost_events, UINT64_MAX);
}

/* A stream of @count sub-buffers of @size in which the fill varies. */
static uint8_t *make_stream(uint32_t size, unsigned count, bool small, size_t *ret_len)
{
	struct page_format f = {.size = size, .commit_size = 8};
	uint8_t *stream = malloc((size_t)size * count);
	unsigned seed = 7;

	for (unsigned i = 0; i < count; i++) {
		uint32_t room = size - 16, commit;

		seed = seed * 1103515245 + 12345;
		commit = small ? 800 : i % 4 == 0 ? room : seed % room;
		sample_page(stream + (size_t)i * size, &f, 1000 + i, commit & ~7u);
	}
	*ret_len = (size_t)size * count;
	return stream;
}

Test(page, prove_finds_every_size)
{
	for (uint32_t size = 4096; size <= PAGE_SIZE_MAX; size *= 2) {
		for (int small = 0; small <= 1; small++) {
			size_t len;
			uint8_t *stream = make_stream(size, 4, small, &len);
			struct page_totals t = {0};

			cr_assert_eq(page_prove_size(stream, len, &formats[0]), size);
			/* The scan has noticed before: by an overflow, or by the padding. */
			cr_assert_eq(page_scan(stream, len, &formats[0], PAGE_SCAN_STOP_AT_DOUBT,
					       &t) == len,
				     size == 4096);
			free(stream);
		}
	}
}

/* The other way round: a small buffer, and the client says what the large top buffer has. */
Test(page, prove_finds_a_size_below_the_claim)
{
	for (uint32_t claim = 8192; claim <= PAGE_SIZE_MAX; claim *= 2) {
		struct page_format f = {.size = claim, .commit_size = 8};
		size_t whole = (size_t)2 * claim, len;
		uint8_t *stream = make_stream(4096, (unsigned)(whole / 4096), true, &len);
		struct page_totals t = {0};

		cr_assert_eq(page_scan(stream, len, &f, PAGE_SCAN_STOP_AT_DOUBT, &t), 0);
		cr_assert_eq(page_prove_size(stream, len, &f), 4096);
		memset(stream + len - claim / 2, 0, claim / 2); /* as clients fill the last read */
		cr_assert_eq(page_prove_size(stream, len, &f), 4096);
		free(stream);
	}
}

Test(page, prove_stays_with_a_claim_that_is_true)
{
	for (uint32_t size = 8192; size <= PAGE_SIZE_MAX; size *= 2) {
		struct page_format f = {.size = size, .commit_size = 8};
		size_t len;
		uint8_t *stream = make_stream(size, 8, true, &len);
		struct page_totals t = {0};

		cr_assert_eq(page_scan(stream, len, &f, PAGE_SCAN_STOP_AT_DOUBT, &t), len);
		cr_assert_eq(page_prove_size(stream, len, &f), size);
		free(stream);
	}
}

Test(page, prove_needs_the_second_header)
{
	struct page_format f16 = {.size = 16384, .commit_size = 8};
	static uint8_t stream[2 * 16384];
	uint32_t size;

	sample_page(stream, &f16, 1000, 5000);
	sample_page(stream + 16384, &f16, 1001, 5000);
	size = page_prove_size(stream, 8192, &formats[0]);
	cr_assert_eq(size, 8192, "all that can be said yet");
	cr_assert_not(page_proof_holds(size, 8192, false));
	cr_assert(page_proof_holds(size, 8192, true));
	size = page_prove_size(stream, 16384, &formats[0]);
	cr_assert_eq(size, 16384);
	cr_assert_not(page_proof_holds(size, 16384, false));
	size = page_prove_size(stream, 16384 + 16, &formats[0]);
	cr_assert_eq(size, 16384);
	cr_assert(page_proof_holds(size, 16384 + 16, false));
	cr_assert(page_proof_holds(size, 16384, true));
	cr_assert_not(page_proof_holds(size, 16383, true), "not one whole sub-buffer");
	cr_assert_not(page_proof_holds(0, sizeof(stream), true));
}

/* One bad page is no reason to take every second one for padding. */
Test(page, prove_is_not_misled_by_a_bad_page)
{
	static uint8_t stream[16 * 4096];

	for (int bad = 0; bad < 16; bad++) {
		for (int i = 0; i < 16; i++)
			sample_page(stream + i * 4096, &formats[0], 1000 + (uint64_t)i, 800);
		set_commit(stream + bad * 4096, &formats[0], 5000);
		cr_assert_eq(page_prove_size(stream, sizeof(stream), &formats[0]), 0, "page %d",
			     bad);
	}
}

/* Event data at multiples of the claimed size that reads like a header. */
Test(page, prove_is_not_fooled_by_data)
{
	struct page_format f = {.size = 16384, .commit_size = 8};
	static uint8_t stream[4 * 16384];
	static const uint32_t commits[] = {16000, 9000, 5000, 4000};

	for (int first = 0; first < 4; first++) {
		for (int i = 0; i < 4; i++) {
			uint8_t *page = stream + (size_t)i * 16384;
			uint32_t commit = commits[(first + i) % 4];

			sample_page(page, &f, 1000 + (uint64_t)i, commit);
			for (uint32_t at = 4096; at + 16 < commit; at += 4096) {
				wire_set_u64_as(page + at, 2000, false);
				wire_set_u64_as(page + at + 8, 100, false);
			}
		}
		cr_assert_eq(page_prove_size(stream, sizeof(stream), &formats[0]), 16384);
	}
}

Test(page, prove_tolerates_disorder_and_zeros)
{
	static uint8_t stream[16 * 4096];

	for (int i = 0; i < 16; i++)
		sample_page(stream + i * 4096, &formats[0], 1000 + (uint64_t)(i ^ 1), 4072);
	cr_assert_eq(page_prove_size(stream, sizeof(stream), &formats[0]), 4096, "disorder");
	memset(stream + 3 * 4096, 0, 4096);
	memset(stream + 6 * 4096, 0, 4096);
	cr_assert_eq(page_prove_size(stream, sizeof(stream), &formats[0]), 4096, "and zeros");
	memset(stream, 0xee, sizeof(stream));
	cr_assert_eq(page_prove_size(stream, sizeof(stream), &formats[0]), 0, "no pages at all");
}

ParameterizedTestParameters(page, events)
{
	return cr_make_param_array(struct page_format, formats, FORMATS);
}

static void put_event(struct wire_writer *w, const struct page_format *f, uint32_t type,
		      uint32_t delta)
{
	wire_put_u32_as(w, f->big_endian ? type << 27 | delta : delta << 5 | type, f->big_endian);
}

/* One of each kind: 3 count. */
ParameterizedTest(struct page_format *f, page, events)
{
	uint8_t page[4096] = {0};
	uint32_t header = page_header_size(f), commit;
	struct wire_writer w = wire_writer_init(page, sizeof(page));

	wire_put_zeros(&w, header);
	put_event(&w, f, 30, 7); /* time extend */
	wire_put_u32_as(&w, 1, f->big_endian);
	put_event(&w, f, 2, 3);
	wire_put_zeros(&w, 8);
	put_event(&w, f, 0, 3); /* long: 4 + 5 bytes of data, padded */
	wire_put_u32_as(&w, 9, f->big_endian);
	wire_put_zeros(&w, 8);
	put_event(&w, f, 29, 1); /* discarded, 12 bytes in all */
	wire_put_u32_as(&w, 8, f->big_endian);
	wire_put_zeros(&w, 4);
	put_event(&w, f, 31, 1); /* absolute time */
	wire_put_zeros(&w, 4);
	put_event(&w, f, 28, 0x07ffffff);
	wire_put_zeros(&w, 112);
	commit = (uint32_t)w.len - header;
	set_commit(page, f, commit);
	cr_assert_eq(page_count_events(page, f), 3);

	set_commit(page, f, commit - 4);
	cr_assert_eq(page_count_events(page, f), -EBADMSG, "cut in an event");
	set_commit(page, f, commit + 8);
	cr_assert_eq(page_count_events(page, f), -EBADMSG, "zeros are no event");
	put_event(&w, f, 29, 0); /* the rest is empty */
	cr_assert_eq(page_count_events(page, f), 3);
	set_commit(page, f, 0);
	cr_assert_eq(page_count_events(page, f), 0);
	set_commit(page, f, 4090);
	cr_assert_eq(page_count_events(page, f), -EBADMSG);
}

Test(page, events_of_samples)
{
	uint8_t page[4096];

	for (size_t i = 0; i < FORMATS; i++) {
		sample_page(page, &formats[i], 1, 800);
		cr_assert_eq(page_count_events(page, &formats[i]), 100);
	}
}
