/* SPDX-License-Identifier: MIT */
/* trace_cmd_v2.c - bodies of V2's messages. */
#include "tests/unit/trace_cmd_feed.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

Test(trace_cmd_v2, port_list_is_as_captured)
{
	static const uint8_t rinit[] = {0, 0, 0, 0x14, 0,    0,    0, 5, 0,    0,
					0, 2, 0, 0,    0x50, 0x1e, 0, 0, 0x50, 0x1f};
	static const uint16_t ports[] = {0x501e, 0x501f};
	uint8_t buf[64];
	struct wire_writer w = wire_writer_init(buf, sizeof(buf));

	trace_cmd_v2_put_ports(&w, ports, 2);
	cr_assert_eq(w.len, sizeof(rinit));
	cr_assert_arr_eq(buf, rinit, sizeof(rinit));
}

struct tinit_case {
	char name[32];
	uint32_t word[8];
	size_t words;
	enum close_reason reason;
	enum transport transport;
};

ParameterizedTestParameters(trace_cmd_v2, tinit)
{
	static struct tinit_case cases[] = {
		{"UDP", {2, 4096, 0}, 3, CLOSE_none, TRANSPORT_UDP},
		{"TCP", {2, 4096, 1, 12, 1, 0}, 6, CLOSE_none, TRANSPORT_TCP},
		{"TCP, rubbish behind",
		 {2, 4096, 1, 12, 1, 0xdeadbeef},
		 6,
		 CLOSE_none,
		 TRANSPORT_TCP},
		{"TCP, no third word", {2, 4096, 1, 8, 1}, 5, CLOSE_none, TRANSPORT_TCP},
		{"TCP twice", {2, 4096, 2, 8, 1, 8, 1}, 7, CLOSE_none, TRANSPORT_TCP},
		{"bytes left over", {2, 4096, 0, 1, 2}, 5, CLOSE_none, TRANSPORT_UDP},
		{"unknown option", {2, 4096, 1, 12, 2, 0}, 6, CLOSE_protocol, 0},
		{"option cut", {2, 4096, 1, 12, 1}, 5, CLOSE_protocol, 0},
		{"option missing", {2, 4096, 1}, 3, CLOSE_protocol, 0},
		{"option of size 0", {2, 4096, 1, 0, 1, 0}, 6, CLOSE_protocol, 0},
		{"option of size 4", {2, 4096, 1, 4, 1, 0}, 6, CLOSE_protocol, 0},
		{"option of size 4097", {2, 4096, 1, 4097, 1, 0}, 6, CLOSE_oversize, 0},
		{"option of size 2^32-1", {2, 4096, 1, UINT32_MAX, 1, 0}, 6, CLOSE_oversize, 0},
		{"2^32-1 options", {2, 4096, UINT32_MAX, 12, 1, 0}, 6, CLOSE_protocol, 0},
		{"no CPU", {0, 4096, 0}, 3, CLOSE_protocol, 0},
		{"2046 CPUs", {2046, 4096, 0}, 3, CLOSE_protocol, 0},
		{"page size", {2, 4095, 0}, 3, CLOSE_protocol, 0},
	};
	return cr_make_param_array(struct tinit_case, cases, sizeof(cases) / sizeof(cases[0]));
}

ParameterizedTest(struct tinit_case *c, trace_cmd_v2, tinit)
{
	uint8_t body[64], message[128];
	struct wire_writer w = wire_writer_init(body, sizeof(body));
	struct feed f;
	size_t len;

	for (size_t i = 0; i < c->words; i++)
		wire_put_u32(&w, c->word[i]);
	len = feed_message(message, PROTOCOL_TRACE_CMD_V2, 4, 0, body, w.len);
	feed_in(&f, TRACE_CMD_TINIT, PROTOCOL_TRACE_CMD_V2);
	cr_assert_eq(feed(&f, message, len), TRACE_CMD_STEP, "%s", c->name);
	cr_assert_eq(f.out.consumed, len, "%s", c->name);
	if (c->reason) {
		cr_assert_eq(f.s.state, TRACE_CMD_LEAVING, "%s", c->name);
		cr_assert_eq(f.s.leaving, 1u + c->reason, "%s", c->name);
		cr_assert_arr_eq(f.reply, "\0\0\0\x08\0\0\0\x01", 8);
		return;
	}
	cr_assert_eq(f.s.state, TRACE_CMD_LEASE, "%s", c->name);
	cr_assert_eq(f.s.transport, c->transport, "%s", c->name);
	cr_assert(f.s.cpus == 2 && f.s.page_size == 4096);
}

Test(trace_cmd_v2, inner_length_rules_and_the_rest_is_padding)
{
	uint8_t body[32] = {0, 0, 0, 20}, message[64];
	struct feed f;
	size_t len = feed_message(message, PROTOCOL_TRACE_CMD_V2, 6, 0, body, 32);

	feed_in(&f, TRACE_CMD_METADATA, PROTOCOL_TRACE_CMD_V2);
	cr_assert_eq(feed(&f, message, len), TRACE_CMD_GIVE_METADATA);
	cr_assert(f.out.payload == message + 12 && f.out.payload_len == 20);
	cr_assert_eq(f.out.consumed, 40);
	message[11] = 28;
	cr_assert_eq(feed(&f, message, len), TRACE_CMD_GIVE_METADATA);
	message[11] = 29;
	cr_assert_eq(feed(&f, message, len), TRACE_CMD_END);
	cr_assert_eq(f.out.reason, CLOSE_protocol);
}
