/* SPDX-License-Identifier: MIT */
/*
 * wire.c - the cursor over peers' bytes: byte orders, borders, and that a failure stays.
 */
#include "common/wire.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static const uint8_t eight[8] = {0x01, 0x02, 0x03, 0x04, 0x85, 0x86, 0x87, 0x88};

Test(wire, reads_both_byte_orders)
{
	struct wire_reader r = wire_reader_init(eight, 8);

	cr_assert_eq(wire_get_u64(&r), 0x0102030485868788u);
	cr_assert_eq(wire_end(&r), 0);
	r = wire_reader_init(eight, 8);
	cr_assert_eq(wire_get_u64_as(&r, false), 0x8887868504030201u);
	r = wire_reader_init(eight, 8);
	cr_assert_eq(wire_get_u32(&r), 0x01020304u);
	cr_assert_eq(wire_get_u32_as(&r, false), 0x88878685u);
	r = wire_reader_init(eight + 4, 4);
	cr_assert_eq(wire_get_u16(&r), 0x8586);
	cr_assert_eq(wire_get_u16_as(&r, false), 0x8887);
	r = wire_reader_init(eight + 4, 1);
	cr_assert_eq(wire_get_u8(&r), 0x85);
	cr_assert_eq(wire_end(&r), 0);
}

Test(wire, a_short_read_fails_and_the_failure_stays)
{
	struct wire_reader r = wire_reader_init(eight, 7);

	cr_assert_eq(wire_get_u64(&r), 0);
	cr_assert_eq(r.err, -EBADMSG);
	cr_assert_eq(r.at, eight, "a failed read consumes nothing");
	cr_assert_eq(wire_get_u8(&r), 0, "seven bytes are there, but the reader has failed");
	cr_assert_null(wire_take(&r, 0));
	cr_assert_eq(wire_left(&r), 0);
	cr_assert_str_eq(wire_get_str(&r, 0, NULL), "");
	wire_skip(&r, 0);
	wire_fail(&r, -EPROTO);
	cr_assert_eq(wire_end(&r), -EBADMSG, "the first failure is the one told");
}

Test(wire, a_failed_reader_finds_no_string)
{
	struct wire_reader r = wire_reader_init("there\0", 7);
	size_t len = 9;

	wire_fail(&r, -EPROTO);
	cr_assert_str_eq(wire_get_str(&r, 10, &len), "");
	cr_assert_eq(len, 0);
	cr_assert_eq(wire_end(&r), -EPROTO);
}

Test(wire, every_cut_of_a_message_is_noticed)
{
	for (size_t len = 0; len <= 20; len++) {
		uint8_t *exact = calloc(1, len ? len : 1); /* AddressSanitizer guards its end */
		struct wire_reader r = wire_reader_init(exact, len);

		(void)wire_get_u8(&r);
		(void)wire_get_u16(&r);
		(void)wire_get_u32(&r);
		(void)wire_get_u64(&r);
		(void)wire_take(&r, 4);
		cr_assert_eq(wire_end(&r), len == 19 ? 0 : -EBADMSG, "%zu bytes", len);
		free(exact);
	}
}

Test(wire, own_failures_and_left_over_bytes)
{
	struct wire_reader r = wire_reader_init(eight, 8);

	cr_assert_eq(wire_left(&r), 8);
	cr_assert_eq(wire_end(&r), -EBADMSG, "left over");
	cr_assert_eq(r.err, 0, "asking changes nothing");
	wire_fail(&r, -EPROTO);
	cr_assert_eq(wire_end(&r), -EPROTO);
}

Test(wire, an_empty_reader_may_stand_on_null)
{
	struct wire_reader r = wire_reader_init(NULL, 0);
	size_t len = 7;

	(void)wire_take(&r, 0);
	wire_skip(&r, 0);
	cr_assert_eq(wire_end(&r), 0);
	cr_assert_str_eq(wire_get_str(&r, 10, &len), "");
	cr_assert_eq(len, 0);
	cr_assert_eq(r.err, -EBADMSG);
}

Test(wire, skipping_compares_before_it_counts)
{
	static const uint64_t too_many[] = {9, UINT32_MAX, (uint64_t)1 << 32, UINT64_MAX};
	struct wire_reader r = wire_reader_init(eight, 8);

	for (size_t i = 0; i < sizeof(too_many) / sizeof(too_many[0]); i++) {
		struct wire_reader s = r, part;

		wire_skip(&s, too_many[i]);
		cr_assert_eq(s.err, -EBADMSG);
		cr_assert_eq(s.at, eight);
		s = r;
		part = wire_sub(&s, too_many[i]);
		cr_assert_eq(s.err, -EBADMSG);
		cr_assert_eq(wire_end(&part), -EBADMSG);
		cr_assert_eq(wire_get_u8(&part), 0);
	}
	wire_skip(&r, 8);
	cr_assert_eq(wire_end(&r), 0);
}

Test(wire, a_part_ends_where_its_length_says)
{
	struct wire_reader r = wire_reader_init(eight, 8);
	struct wire_reader part = wire_sub(&r, 2);

	cr_assert_eq(wire_get_u8(&part), 1);
	cr_assert_eq(wire_get_u16(&part), 0, "the third byte is not the part's");
	cr_assert_eq(wire_end(&part), -EBADMSG);
	cr_assert_eq(wire_get_u8(&r), 3, "the whole goes on behind the part");
}

Test(wire, strings)
{
	static const struct {
		const char *name, *bytes;
		size_t len, max;
		const char *want; /* NULL: -EBADMSG */
		size_t left;
	} cases[] = {
		{"plain", "abc\0def", 7, 10, "abc", 3},
		{"empty", "\0x", 2, 10, "", 1},
		{"ends the buffer", "abc\0", 4, 10, "abc", 0},
		{"exactly max", "abc\0", 4, 3, "abc", 0},
		{"one beyond max", "abcd\0", 5, 3, NULL, 0},
		{"no NUL", "abc", 3, 10, NULL, 0},
		{"no bytes", "", 0, 10, NULL, 0},
		{"max 0, empty", "\0", 1, 0, "", 0},
		{"max 0, a character", "a\0", 2, 0, NULL, 0},
		{"no maximum", "abc\0", 4, SIZE_MAX, "abc", 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct wire_reader r = wire_reader_init(cases[i].bytes, cases[i].len);
		size_t len = 99;
		const char *got = wire_get_str(&r, cases[i].max, &len);

		if (cases[i].want) {
			cr_assert_eq(r.err, 0, "%s", cases[i].name);
			cr_assert_str_eq(got, cases[i].want, "%s", cases[i].name);
			cr_assert_eq(len, strlen(cases[i].want), "%s", cases[i].name);
			cr_assert_eq(wire_left(&r), cases[i].left, "%s", cases[i].name);
		} else {
			cr_assert_eq(r.err, -EBADMSG, "%s", cases[i].name);
			cr_assert_str_eq(got, "", "%s", cases[i].name);
			cr_assert_eq(len, 0, "%s", cases[i].name);
		}
		cr_assert_not_null(wire_get_str(&r, 0, NULL), "%s: never NULL", cases[i].name);
	}
}

Test(wire, writes_what_is_read_back)
{
	static const uint8_t want[] = {0x01, 0x02, 0x03, 0x03, 0x02, 0x04, 0x05, 0x06, 0x07, 0x07,
				       0x06, 0x05, 0x04, 0,    0,    0,    0,    0,    0,    0x11,
				       0x22, 0x22, 0x11, 0,    0,    0,    0,    0,    0,    'h',
				       'i',  0,    'r',  'a',  'w',  0,    0};
	uint8_t buf[sizeof(want)];
	struct wire_writer w = wire_writer_init(buf, sizeof(buf));
	struct wire_reader r;

	wire_put_u8(&w, 0x01);
	wire_put_u16(&w, 0x0203);
	wire_put_u16_as(&w, 0x0203, false);
	wire_put_u32(&w, 0x04050607);
	wire_put_u32_as(&w, 0x04050607, false);
	wire_put_u64(&w, 0x1122);
	wire_put_u64_as(&w, 0x1122, false);
	wire_put_str(&w, "hi");
	wire_put_bytes(&w, "raw", 3);
	wire_put_bytes(&w, NULL, 0);
	wire_put_zeros(&w, 2);
	cr_assert_eq(w.err, 0);
	cr_assert_eq(w.len, sizeof(want));
	cr_assert_arr_eq(buf, want, sizeof(want));
	r = wire_reader_init(buf, w.len);
	wire_skip(&r, 13);
	cr_assert_eq(wire_get_u64(&r), 0x1122);
	cr_assert_eq(wire_get_u64_as(&r, false), 0x1122);
	cr_assert_str_eq(wire_get_str(&r, 2, NULL), "hi");
}

Test(wire, a_full_writer_writes_nothing_more)
{
	uint8_t buf[8];
	struct wire_writer w = wire_writer_init(buf, 5);

	memset(buf, 0xaa, sizeof(buf));
	wire_put_u32(&w, 1);
	wire_put_u16(&w, 2); /* one byte of it would fit */
	cr_assert_eq(w.err, -ENOSPC);
	wire_put_u8(&w, 3); /* would fit */
	wire_put_str(&w, "");
	wire_put_zeros(&w, 1);
	wire_patch_u32(&w, 0, 9);
	cr_assert_eq(w.len, 4);
	cr_assert_arr_eq(buf, ((uint8_t[]){0, 0, 0, 1, 0xaa, 0xaa, 0xaa, 0xaa}), 8);
	cr_assert_null(wire_room(&w, 0));
}

Test(wire, room_for_more_than_there_can_be)
{
	uint8_t buf[8];
	struct wire_writer w = wire_writer_init(buf, sizeof(buf));

	wire_put_u8(&w, 1);
	wire_put_zeros(&w, SIZE_MAX); /* 1 + SIZE_MAX would wrap to 0 */
	cr_assert_eq(w.err, -ENOSPC);
	cr_assert_eq(w.len, 1);
}

Test(wire, patches_at_an_offset)
{
	uint8_t buf[20];
	struct wire_writer w = wire_writer_init(buf, sizeof(buf));

	wire_put_zeros(&w, 20);
	wire_patch_u16_as(&w, 0, 0x0102, true);
	wire_patch_u32(&w, 2, 0x03040506);
	wire_patch_u32_as(&w, 6, 0x03040506, false);
	wire_patch_u64(&w, 12, 0x0708);
	cr_assert_arr_eq(
		buf, ((uint8_t[]){1, 2, 3, 4, 5, 6, 6, 5, 4, 3, 0, 0, 0, 0, 0, 0, 0, 0, 7, 8}), 20);
	wire_patch_u64_as(&w, 12, 0x0708, false);
	cr_assert_arr_eq(buf + 12, ((uint8_t[]){8, 7, 0, 0, 0, 0, 0, 0}), 8);
	cr_assert_eq(w.len, 20);
}
