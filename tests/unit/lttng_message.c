/* SPDX-License-Identifier: MIT */
/* lttng_message.c - requests as captured and as hostile peers would send them, and replies. */
#include "relayd/lttng_message.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include "tests/unit/lttng_feed.h"

static const uint8_t create_13[] = {
	0,    0,    0,    3,    0,    0,    0,    3,    0,    0,    0,    1,    0,    0,
	0,    0,    0,    0,    0xd8, 0x25, 0x1e, 0x5d, 0xae, 0x24, 0x41, 0x70, 0x83, 0x19,
	0x2c, 0x74, 0x8f, 0xab, 0x82, 0x06, 0,    0,    0,    0,    0,    0,    0,    0,
	0,    0,    0,    0,    0x6b, 0x00, 0xf8, 0x7b, 0,    0,    0,    0,    0,    0,
	0,    0,    0,    's',  '1',  0,    'v',  'm',  0,    0};

Test(lttng_message, session_as_captured)
{
	struct wire_reader r = wire_reader_init(create_13, sizeof(create_13));
	struct lttng_session m;

	cr_assert_eq(lttng_session_decode(&r, 13, &m), 0);
	cr_assert_str_eq(m.name, "s1");
	cr_assert_str_eq(m.host, "vm");
	cr_assert_str_eq(m.base_path, "");
	cr_assert_eq(m.key.uuid[0], 0xd8);
	cr_assert_eq(m.key.uuid[15], 0x06);
	cr_assert_eq(m.key.created, 0x6b00f87b);
	cr_assert_not(m.has_chunk || m.snapshot || m.name_has_time || m.live_timer_us);
}

/* Nothing shorter or longer is taken, and then nothing is written. */
Test(lttng_message, session_cut_anywhere)
{
	uint8_t longer[sizeof(create_13) + 1] = {0};
	struct lttng_session m;

	memcpy(longer, create_13, sizeof(create_13));
	for (size_t n = 0; n <= sizeof(longer); n++) {
		struct wire_reader r = wire_reader_init(longer, n);

		memset(&m, 0x55, sizeof(m));
		cr_assert_eq(lttng_session_decode(&r, 13, &m),
			     n == sizeof(create_13) ? 0 : -EBADMSG, "%zu bytes", n);
		cr_assert_eq(m.name[0], n == sizeof(create_13) ? 's' : 0x55);
	}
}

struct session_length {
	uint32_t at, value;
	int want;
};

ParameterizedTestParameters(lttng_message, session_lengths)
{
	static struct session_length cases[] = {
		{0, 0xffffffff, -ENAMETOOLONG},
		{4, 0xffffffff, -ENAMETOOLONG},
		{8, 0xffffffff, -ENAMETOOLONG},
		{0, 257, -ENAMETOOLONG},
		{8, 513, -ENAMETOOLONG},
		{0, 4, -EBADMSG},
		{0, 2, -EBADMSG},
		{4, 0, -EBADMSG},
	};
	return cr_make_param_array(struct session_length, cases, sizeof(cases) / sizeof(cases[0]));
}

ParameterizedTest(struct session_length *c, lttng_message, session_lengths)
{
	uint8_t body[sizeof(create_13)];
	struct wire_reader r = wire_reader_init(body, sizeof(body));
	struct lttng_session m;

	memcpy(body, create_13, sizeof(body));
	wire_set_u32_as(body + c->at, c->value, true);
	cr_assert_eq(lttng_session_decode(&r, 13, &m), c->want);
}

/* Every minor: the body of that minor and of no other length; names end at their first NUL. */
Test(lttng_message, every_minor)
{
	static struct feed f;
	struct lttng_session m;
	struct lttng_stream stream;
	struct lttng_index index;

	for (uint32_t minor = 1; minor <= LTTNG_MINOR_MAX; minor++) {
		struct wire_reader r;
		size_t want = minor < 4 ? 0 : minor < 11 ? 327 : minor < 15 ? 59 + 9 : 63 + 9;

		feed_start(&f, minor);
		feed_create(&f, minor, "s1", "vm", "a/", true);
		cr_assert_eq(f.in_len, LTTNG_HEADER_SIZE + want, "%u", minor);
		r = wire_reader_init(f.in + LTTNG_HEADER_SIZE, want);
		cr_assert_eq(lttng_session_decode(&r, minor, &m), 0, "%u", minor);
		cr_assert_str_eq(m.name, minor < 4 ? "" : "s1");
		cr_assert_str_eq(m.host, minor < 4 ? "" : "vm");
		cr_assert_str_eq(m.base_path, minor < 11 ? "" : "a/");
		cr_assert_eq(m.snapshot, minor >= 4);
		r = wire_reader_init(f.in + LTTNG_HEADER_SIZE, want + 1);
		cr_assert_eq(lttng_session_decode(&r, minor, &m), -EBADMSG, "%u", minor);

		feed_start(&f, minor);
		feed_add(&f, minor, "channel0_0", "ust/uid/0/64-bit");
		want = minor < 2 ? 4360 : minor < 11 ? 4376 : 32 + 28;
		cr_assert_eq(f.in_len, LTTNG_HEADER_SIZE + want, "%u", minor);
		r = wire_reader_init(f.in + LTTNG_HEADER_SIZE, want);
		cr_assert_eq(lttng_stream_decode(&r, minor, &stream), 0, "%u", minor);
		cr_assert_str_eq(stream.name, "channel0_0");
		cr_assert_str_eq(stream.path, "ust/uid/0/64-bit");
		r = wire_reader_init(f.in + LTTNG_HEADER_SIZE, want - 1);
		cr_assert_eq(lttng_stream_decode(&r, minor, &stream), -EBADMSG, "%u", minor);

		feed_start(&f, minor);
		feed_index(&f, minor, 1, 2, 327680);
		want = minor < 8 ? 64 : 80;
		cr_assert_eq(f.in_len, LTTNG_HEADER_SIZE + want);
		r = wire_reader_init(f.in + LTTNG_HEADER_SIZE, want);
		cr_assert_eq(lttng_index_decode(&r, minor, &index), 0);
		cr_assert_eq(index.record, f.in + LTTNG_HEADER_SIZE + 16);
		cr_assert_eq(index.record_len, want - 16);
		r = wire_reader_init(f.in + LTTNG_HEADER_SIZE, want == 64 ? 80 : 64);
		cr_assert_eq(lttng_index_decode(&r, minor, &index), -EBADMSG);
	}
}

Test(lttng_message, a_name_without_end)
{
	static uint8_t body[4376];
	struct wire_reader r = wire_reader_init(body, sizeof(body));
	struct lttng_stream m;

	memset(body, 'x', sizeof(body));
	cr_assert_eq(lttng_stream_decode(&r, 10, &m), -EBADMSG);
	body[263] = 0; /* longer than what we keep */
	body[264] = 0;
	r = wire_reader_init(body, sizeof(body));
	cr_assert_eq(lttng_stream_decode(&r, 10, &m), -ENAMETOOLONG);
	body[255] = 0;
	r = wire_reader_init(body, sizeof(body));
	cr_assert_eq(lttng_stream_decode(&r, 10, &m), 0);
	cr_assert_eq(strlen(m.name), 255);
}

Test(lttng_message, rotation_padding)
{
	for (uint64_t k = 0; k < 5; k++) {
		cr_assert_eq(lttng_rotation_head(13 + 16 * k, (uint32_t)k), 13);
		cr_assert_eq(lttng_rotation_head(16 + 16 * k, (uint32_t)k), 16);
		cr_assert_eq(lttng_rotation_head(20 + 16 * k, (uint32_t)k), 20);
		for (uint64_t n = 0; n < 40; n++)
			if (n != 13 && n != 16 && n != 20)
				cr_assert_eq(lttng_rotation_head(n + 16 * k, (uint32_t)k), 0);
	}
	cr_assert_eq(lttng_rotation_head(52, UINT32_MAX), 0);
	cr_assert_eq(lttng_rotation_head(13, 1), 0);
	cr_assert_eq(lttng_rotation_head(UINT64_MAX, UINT32_MAX), 0);
}

Test(lttng_message, rotation_as_captured)
{
	static const uint8_t head[] = {0,    0,    0, 2, 1, 0, 0, 0, 0xdf, 0xf2,
				       0x13, 0x28, 0, 0, 0, 0, 0, 0, 0,    1};
	static const uint8_t packed[] = {0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 9};
	struct wire_reader r = wire_reader_init(head, sizeof(head));
	struct lttng_rotation m;

	cr_assert_eq(lttng_rotation_decode(&r, &m), 0);
	cr_assert(m.streams == 2 && m.has_chunk && m.chunk_id == 1);
	r = wire_reader_init(packed, sizeof(packed));
	cr_assert_eq(lttng_rotation_decode(&r, &m), 0);
	cr_assert(m.streams == 2 && !m.has_chunk && m.chunk_id == 9);
}

Test(lttng_message, close_chunk)
{
	uint8_t body[21] = {0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0x6b, 0, 0xf8, 0xa5, 1, 0, 0, 0, 0};
	struct lttng_close_chunk m;

	for (uint8_t command = 0; command < 4; command++) {
		struct wire_reader r = wire_reader_init(body, sizeof(body));

		body[20] = command;
		cr_assert_eq(lttng_close_chunk_decode(&r, &m), command > 2 ? -EPROTO : 0);
		cr_assert_eq(m.command, command > 2 ? CTF_CLOSE_DELETE : command + 1u);
	}
	body[16] = 0; /* not set: what stands there means nothing */
	struct wire_reader r = wire_reader_init(body, sizeof(body));
	cr_assert_eq(lttng_close_chunk_decode(&r, &m), 0);
	cr_assert_eq(m.command, CTF_CLOSE_STAY);
	cr_assert_eq(m.closed, 0x6b00f8a5);
}

Test(lttng_message, replies_as_captured)
{
	static const uint8_t session[] = {0,   0,   0,   0,   0,   0,   0,   1,   0,   0,
					  0,   10,  0,   0,   0,   22,  'v', 'm', '/', 's',
					  '1', '-', '2', '0', '2', '6', '1', '1', '2', '1',
					  '-', '0', '1', '4', '8', '4', '3', 0};
	uint8_t buf[64];
	struct wire_writer w = wire_writer_init(buf, sizeof(buf));

	lttng_session_encode(&w, 13, 1, LTTNG_OK, "vm/s1-20261121-014843");
	cr_assert_eq(w.len, sizeof(session));
	cr_assert_arr_eq(buf, session, sizeof(session));

	w = wire_writer_init(buf, sizeof(buf));
	lttng_session_encode(&w, 10, 1, LTTNG_OK, "vm/s1-20261121-014843");
	cr_assert_eq(w.len, 12, "up to 10 there is no path");

	/* Never a length of 0. */
	w = wire_writer_init(buf, sizeof(buf));
	lttng_path_encode(&w, LTTNG_OK, "");
	cr_assert_eq(w.len, 9);
	cr_assert_arr_eq(buf, ((uint8_t[]){0, 0, 0, 10, 0, 0, 0, 1, 0}), 9);

	w = wire_writer_init(buf, sizeof(buf));
	lttng_configuration_encode(&w, LTTNG_OK, true);
	lttng_version_encode(&w, 13);
	lttng_exists_encode(&w, LTTNG_OK, true);
	lttng_handle_encode(&w, 1, LTTNG_OK);
	cr_assert_eq(w.len, 12 + 8 + 5 + 12);
	cr_assert_arr_eq(buf,
			 ((uint8_t[]){0,  0, 0, 10, 0,  0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0,
				      13, 0, 0, 0,  10, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 10}),
			 37);
}
