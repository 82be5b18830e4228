/* SPDX-License-Identifier: MIT */
/* trace_cmd_v1.c - V1's lines, options and port list, and metadata without frame or end. */
#include "tests/unit/trace_cmd_feed.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#define V1 PROTOCOL_TRACE_CMD_V1

Test(trace_cmd_v1, port_lists)
{
	static const uint16_t ports[] = {20220, 7, 65535};
	uint8_t buf[64];
	struct wire_writer w = wire_writer_init(buf, sizeof(buf));

	trace_cmd_v1_put_ports(&w, ports, 1);
	trace_cmd_v1_put_ports(&w, ports, 3);
	cr_assert_eq(w.len, 6 + 14);
	cr_assert_arr_eq(buf,
			 "20220\0"
			 "20220,7,65535",
			 20);
}

struct line_case {
	char name[24];
	enum trace_cmd_state state;
	char bytes[24];
	size_t len;
	enum trace_cmd_action action;
	enum trace_cmd_state then;
	enum close_reason reason;
};

ParameterizedTestParameters(trace_cmd_v1, lines)
{
	static struct line_case cases[] = {
		{"page", TRACE_CMD_V1_PAGE, "4096", 5, TRACE_CMD_STEP, TRACE_CMD_V1_OPTIONS, 0},
		{"page cut", TRACE_CMD_V1_PAGE, "4096", 4, TRACE_CMD_WAIT, TRACE_CMD_V1_PAGE, 0},
		{"page 0", TRACE_CMD_V1_PAGE, "0", 2, TRACE_CMD_END, TRACE_CMD_ENDED,
		 CLOSE_protocol},
		{"page text", TRACE_CMD_V1_PAGE, "4k", 3, TRACE_CMD_END, TRACE_CMD_ENDED,
		 CLOSE_protocol},
		{"no options", TRACE_CMD_V1_OPTIONS, "0", 2, TRACE_CMD_STEP, TRACE_CMD_LEASE, 0},
		{"an option", TRACE_CMD_V1_OPTIONS, "1", 2, TRACE_CMD_STEP, TRACE_CMD_V1_OPTION, 0},
		{"17 options", TRACE_CMD_V1_OPTIONS, "17", 3, TRACE_CMD_END, TRACE_CMD_ENDED,
		 CLOSE_protocol},
		{"TCP", TRACE_CMD_V1_OPTION, "4\0TCP", 6, TRACE_CMD_STEP, TRACE_CMD_LEASE, 0},
		{"TCP cut", TRACE_CMD_V1_OPTION, "4\0TCP", 5, TRACE_CMD_WAIT, TRACE_CMD_V1_OPTION,
		 0},
		{"size alone", TRACE_CMD_V1_OPTION, "4", 2, TRACE_CMD_WAIT, TRACE_CMD_V1_OPTION, 0},
		{"TCQ", TRACE_CMD_V1_OPTION, "4\0TCQ", 6, TRACE_CMD_END, TRACE_CMD_ENDED,
		 CLOSE_protocol},
		{"TCPx", TRACE_CMD_V1_OPTION, "4\0TCPx", 6, TRACE_CMD_END, TRACE_CMD_ENDED,
		 CLOSE_protocol},
		{"too long", TRACE_CMD_V1_OPTION, "4097", 5, TRACE_CMD_END, TRACE_CMD_ENDED,
		 CLOSE_oversize},
	};
	return cr_make_param_array(struct line_case, cases, sizeof(cases) / sizeof(cases[0]));
}

ParameterizedTest(struct line_case *c, trace_cmd_v1, lines)
{
	struct feed f;

	feed_in(&f, c->state, V1);
	f.s.options_left = 1;
	f.s.transport = TRANSPORT_UDP; /* until an option says TCP */
	cr_assert_eq(feed(&f, c->bytes, c->len), c->action, "%s", c->name);
	cr_assert_eq(f.s.state, c->then, "%s", c->name);
	cr_assert_eq(f.out.reason, c->reason, "%s", c->name);
	if (c->action == TRACE_CMD_STEP)
		cr_assert_eq(f.out.consumed, c->len, "%s", c->name);
	if (c->then == TRACE_CMD_LEASE)
		cr_assert_eq(f.s.transport,
			     c->state == TRACE_CMD_V1_OPTION ? TRANSPORT_TCP : TRANSPORT_UDP);
}

Test(trace_cmd_v1, as_much_metadata_as_fits)
{
	static const uint8_t bytes[500];
	struct feed f;

	feed_in(&f, TRACE_CMD_METADATA, V1);
	cr_assert_eq(feed(&f, bytes, 500), TRACE_CMD_GIVE_METADATA);
	cr_assert(f.out.consumed == 500 && f.out.payload == bytes && f.out.payload_len == 500);
	f.in.room = 200;
	cr_assert_eq(feed(&f, bytes, 500), TRACE_CMD_GIVE_METADATA);
	cr_assert_eq(f.out.consumed, 200);
	f.in.room = 0;
	cr_assert_eq(feed(&f, bytes, 500), TRACE_CMD_WAIT);
	cr_assert_eq(f.out.wait, TRACE_CMD_WAIT_ROOM);
	f.in.room = 400;
	f.limits.metadata_max = 1000;
	f.in.metadata = 700;
	cr_assert_eq(feed(&f, bytes, 500), TRACE_CMD_GIVE_METADATA);
	cr_assert_eq(f.out.consumed, 300, "up to the limit first");
	f.in.metadata = 1000;
	cr_assert_eq(feed(&f, bytes, 1), TRACE_CMD_END);
	cr_assert_eq(f.out.reason, CLOSE_metadata_limit);
}

Test(trace_cmd_v1, the_end_of_file_ends_metadata_then_the_recording)
{
	struct feed f;

	feed_in(&f, TRACE_CMD_METADATA, V1);
	f.in.metadata = 1;
	f.in.eof = 1;
	cr_assert_eq(feed(&f, "x", 1), TRACE_CMD_GIVE_METADATA, "bytes first");
	cr_assert_eq(feed(&f, NULL, 0), TRACE_CMD_METADATA_END);
	cr_assert_eq(feed(&f, NULL, 0), TRACE_CMD_END);
	cr_assert(f.out.orderly && f.out.reason == CLOSE_finished);
}
