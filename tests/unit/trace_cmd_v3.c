/* SPDX-License-Identifier: MIT */
/* trace_cmd_v3.c - bodies of V3's messages. */
#include "tests/unit/trace_cmd_feed.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

Test(trace_cmd_v3, port_list_is_as_captured)
{
	static const uint8_t rinit[] = {0, 0, 0, 0x1a, 0,   0,   0,   2, 0,   0,   0,   4,   0,
					0, 0, 2, '1',  '5', '0', '0', 0, '1', '5', '0', '1', 0};
	static const uint16_t ports[] = {1500, 1501};
	uint8_t buf[64];
	struct wire_writer w = wire_writer_init(buf, sizeof(buf));

	trace_cmd_v3_put_ports(&w, ports, 2);
	cr_assert_eq(w.len, sizeof(rinit));
	cr_assert_arr_eq(buf, rinit, sizeof(rinit));
}

struct tinit_case {
	char name[32];
	uint32_t word[4];
	uint32_t fixed; /* bytes */
	char buffer[32];
	size_t buffer_len;
	enum close_reason reason;
	enum transport transport;
};

ParameterizedTestParameters(trace_cmd_v3, tinit)
{
	static struct tinit_case cases[] = {
		{"UDP", {2, 4096, 0}, 12, "", 0, CLOSE_none, TRANSPORT_UDP},
		{"TCP", {2, 4096, 1}, 12, "tcp", 4, CLOSE_none, TRANSPORT_TCP},
		{"unknown before", {2, 4096, 2}, 12, "new\0tcp", 8, CLOSE_none, TRANSPORT_TCP},
		{"unknown behind", {2, 4096, 2}, 12, "tcp\0", 5, CLOSE_none, TRANSPORT_TCP},
		{"uncounted", {2, 4096, 0}, 12, "tcp", 4, CLOSE_none, TRANSPORT_UDP},
		{"longer fixed part", {2, 4096, 1, 9}, 16, "tcp", 4, CLOSE_none, TRANSPORT_TCP},
		{"no opt_num", {2, 4096}, 8, "tcp", 4, CLOSE_none, TRANSPORT_UDP},
		{"half an opt_num", {2, 4096, 0x01010101}, 10, "", 0, CLOSE_none, TRANSPORT_UDP},
		{"no page size", {2}, 4, "", 0, CLOSE_protocol, 0},
		{"nothing", {0}, 0, "", 0, CLOSE_protocol, 0},
		{"vsock", {2, 4096, 1}, 12, "vsock", 6, CLOSE_protocol, 0},
		{"no NUL", {2, 4096, 1}, 12, "tcp", 3, CLOSE_protocol, 0},
		{"a string too few", {2, 4096, 2}, 12, "tcp", 4, CLOSE_protocol, 0},
		{"2^32-1 strings", {2, 4096, UINT32_MAX}, 12, "tcp", 4, CLOSE_protocol, 0},
		{"no CPU", {0, 4096, 0}, 12, "", 0, CLOSE_protocol, 0},
		{"1363 CPUs", {1363, 4096, 0}, 12, "", 0, CLOSE_protocol, 0},
		{"page size", {2, 3000, 0}, 12, "", 0, CLOSE_protocol, 0},
	};
	return cr_make_param_array(struct tinit_case, cases, sizeof(cases) / sizeof(cases[0]));
}

ParameterizedTest(struct tinit_case *c, trace_cmd_v3, tinit)
{
	uint8_t body[64], message[128];
	struct wire_writer w = wire_writer_init(body, sizeof(body));
	struct feed f;
	size_t len;

	for (int i = 0; i < 4; i++)
		wire_put_u32(&w, c->word[i]);
	memcpy(body + c->fixed, c->buffer, c->buffer_len);
	len = feed_message(message, PROTOCOL_TRACE_CMD_V3, 1, c->fixed, body,
			   c->fixed + c->buffer_len);
	feed_in(&f, TRACE_CMD_TINIT, PROTOCOL_TRACE_CMD_V3);
	cr_assert_eq(feed(&f, message, len), TRACE_CMD_STEP, "%s", c->name);
	cr_assert_eq(f.out.consumed, len, "%s", c->name);
	if (c->reason) {
		cr_assert_eq(f.s.state, TRACE_CMD_LEAVING, "%s", c->name);
		cr_assert_eq(f.s.leaving, 1u + c->reason, "%s", c->name);
		cr_assert_arr_eq(f.reply, "\0\0\0\x0c\0\0\0\0\0\0\0\0", 12);
		return;
	}
	cr_assert_eq(f.s.state, TRACE_CMD_LEASE, "%s", c->name);
	cr_assert_eq(f.s.transport, c->transport, "%s", c->name);
	cr_assert(f.s.cpus == 2 && f.s.page_size == 4096);
}

Test(trace_cmd_v3, data_is_what_follows_the_fixed_part)
{
	static const uint8_t body[20];
	uint8_t message[64];
	struct feed f;
	size_t len = feed_message(message, PROTOCOL_TRACE_CMD_V3, 3, 5, body, 20);

	feed_in(&f, TRACE_CMD_METADATA, PROTOCOL_TRACE_CMD_V3);
	cr_assert_eq(feed(&f, message, len), TRACE_CMD_GIVE_METADATA);
	cr_assert(f.out.payload == message + 17 && f.out.payload_len == 15);
	len = feed_message(message, PROTOCOL_TRACE_CMD_V3, 3, 20, body, 20);
	cr_assert_eq(feed(&f, message, len), TRACE_CMD_STEP, "nothing in it");
}
