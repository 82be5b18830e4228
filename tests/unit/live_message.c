/* SPDX-License-Identifier: MIT */
/* live_message.c - requests and replies of the live viewer protocol, byte by byte. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "relayd/live_message.h"

static int decode(const void *bytes, size_t len, struct live_request *ret, size_t *ret_left)
{
	struct wire_reader r = wire_reader_init(bytes, len);
	int err = live_request_decode(&r, ret);

	*ret_left = r.left;
	return err;
}

Test(live_message, connect_of_babeltrace2)
{
	static const uint8_t bytes[] = {0, 0, 0, 0, 0,    0,    0,    0x14, 0,    0,    0,    1,
					0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
					0, 0, 0, 2, 0,    0,    0,    4,    0,    0,    0,    1};
	static const uint8_t reply[20] = {0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 2, 0, 0, 0, 4};
	uint8_t out[32];
	struct wire_writer w = wire_writer_init(out, sizeof(out));
	struct live_request m;
	size_t left;

	cr_assert_eq(decode(bytes, sizeof(bytes), &m, &left), 0);
	cr_assert_eq(left, 0);
	cr_assert_eq(m.command, LIVE_CONNECT);
	cr_assert_eq(m.id, UINT64_MAX);
	cr_assert_eq(m.major, 2);
	cr_assert_eq(m.minor, 4);
	cr_assert_eq(m.type, 1);
	live_connect_encode(&w, 9, 4);
	cr_assert_eq(w.len, sizeof(reply));
	cr_assert_arr_eq(out, reply, sizeof(reply));
}

Test(live_message, every_command_comes_back_as_it_was_and_not_before_it_is_whole)
{
	for (uint32_t command = 1; command < LIVE_COMMAND_END; command++) {
		struct live_request m = {.command = command, .id = 7}, back;
		uint8_t bytes[LIVE_REQUEST_MAX + 1] = {0}, again[LIVE_REQUEST_MAX];
		struct wire_writer w = wire_writer_init(bytes, LIVE_REQUEST_MAX);
		size_t left;

		if (command == LIVE_LIST_SESSIONS || command == LIVE_CREATE_SESSION)
			m.id = 0;
		if (command == LIVE_CONNECT)
			m.major = 2, m.minor = 4, m.type = 1;
		if (command == LIVE_GET_PACKET)
			m.offset = 4096, m.len = 512;
		if (command == LIVE_ATTACH_SESSION)
			m.offset = 1, m.seek = 2;
		live_request_encode(&w, &m);
		cr_assert_eq(w.err, 0);
		for (size_t len = 0; len < w.len; len++) {
			cr_assert_eq(decode(bytes, len, &back, &left), -EAGAIN, "%u %zu", command,
				     len);
			cr_assert_eq(left, len, "not moved");
		}
		cr_assert_eq(decode(bytes, w.len + 1, &back, &left), 0);
		cr_assert_eq(left, 1, "the next one's");
		cr_assert_eq(back.command, command);
		cr_assert_eq(back.id, m.id);
		w = wire_writer_init(again, sizeof(again));
		live_request_encode(&w, &back);
		cr_assert_arr_eq(again, bytes, w.len);
		/* A size that is not the command's is told by the header alone. */
		bytes[7] ^= 1;
		cr_assert_eq(decode(bytes, LIVE_HEADER, &back, &left), -EMSGSIZE);
		bytes[7] ^= 1;
		bytes[0] = 1;
		cr_assert_eq(decode(bytes, LIVE_HEADER, &back, &left), -EMSGSIZE);
	}
}

Test(live_message, unknown_commands)
{
	uint8_t bytes[LIVE_HEADER] = {0};
	struct live_request m;
	size_t left;

	cr_assert_eq(decode(bytes, sizeof(bytes), &m, &left), -EOPNOTSUPP);
	bytes[11] = LIVE_COMMAND_END;
	cr_assert_eq(decode(bytes, sizeof(bytes), &m, &left), -EOPNOTSUPP);
	bytes[8] = 0xff;
	cr_assert_eq(decode(bytes, sizeof(bytes), &m, &left), -EOPNOTSUPP);
}

Test(live_message, long_names_are_cut_to_their_fields)
{
	struct live_session_entry s = {
		.id = 0x0102, .live_timer_us = 3, .clients = 4, .streams = 5};
	struct live_stream_entry t = {.id = 6, .trace = 7, .metadata = 1};
	uint8_t bytes[LIVE_STREAM_ENTRY + 1];
	struct wire_writer w = wire_writer_init(bytes, sizeof(bytes));

	memset(s.host, 'h', sizeof(s.host) - 1);
	memset(s.name, 'n', sizeof(s.name) - 1);
	memset(t.path, 'p', sizeof(t.path)); /* no NUL at all */
	snprintf(t.name, sizeof(t.name), "ch_0");
	live_session_encode(&w, &s);
	cr_assert_eq(w.len, LIVE_SESSION_ENTRY);
	cr_assert_eq(bytes[6], 1);
	cr_assert_eq(bytes[7], 2);
	cr_assert_eq(bytes[11], 3);
	cr_assert_eq(bytes[15], 4);
	cr_assert_eq(bytes[19], 5);
	cr_assert_eq(strlen((char *)bytes + 20), 63);
	cr_assert_eq(strlen((char *)bytes + 84), 254);
	w.len = 0;
	live_stream_encode(&w, &t);
	cr_assert_eq(w.len, LIVE_STREAM_ENTRY);
	cr_assert_eq(bytes[19], 1);
	cr_assert_eq(strlen((char *)bytes + 20), CTF_PATH);
	cr_assert_str_eq((char *)bytes + 4116, "ch_0");
}

Test(live_message, an_index_record_goes_through_as_it_is)
{
	uint8_t record[72], out[64];
	struct wire_writer w = wire_writer_init(out, sizeof(out));
	struct live_record m;

	for (size_t i = 0; i < sizeof(record); i++)
		record[i] = (uint8_t)(i + 1);
	cr_assert_eq(live_record_decode(record, 55, &m), -EBADMSG);
	cr_assert_eq(live_record_decode(record, 72, &m), 0);
	live_index_encode(&w, LIVE_INDEX_OK, &m, LIVE_NEW_STREAMS);
	cr_assert_eq(w.len, 64);
	cr_assert_arr_eq(out, record, 56);
	cr_assert_eq(out[59], 1);
	cr_assert_eq(out[63], 2);
}
