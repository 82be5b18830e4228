/* SPDX-License-Identifier: MIT */
/*
 * trace_cmd_message.c - framing, and for every message in every state what becomes of it, written
 * down here a second time.
 */
#include "tests/unit/trace_cmd_feed.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#define V15 PROTOCOL_TRACE_CMD_V2_2015
#define V2  PROTOCOL_TRACE_CMD_V2
#define V3  PROTOCOL_TRACE_CMD_V3

enum { TINIT, METADATA, RECORDING, STATES };
static const enum trace_cmd_state state_of[STATES] = {TRACE_CMD_TINIT, TRACE_CMD_METADATA,
						      TRACE_CMD_RECORDING};

/* t taken, s passed over, n answered NOT_SUPP, e end by the peer, E orderly end, x breach */
struct matrix_row {
	enum protocol protocol;
	uint32_t command;
	char want[STATES + 1];
};

ParameterizedTestParameters(trace_cmd_message, matrix)
{
	static struct matrix_row rows[] = {
		{V2, 0, "xss"},  {V2, 1, "eeE"},          {V2, 2, "xss"},  {V2, 3, "xss"},
		{V2, 4, "tss"},  {V2, 5, "xss"},          {V2, 6, "xts"},  {V2, 7, "xts"},
		{V2, 8, "xss"},  {V2, 99, "xss"},         {V15, 0, "xss"}, {V15, 1, "eeE"},
		{V15, 4, "tss"}, {V15, 6, "xts"},         {V15, 7, "xts"}, {V15, UINT32_MAX, "xss"},
		{V3, 0, "eeE"},  {V3, 1, "tss"},          {V3, 2, "nss"},  {V3, 3, "nts"},
		{V3, 4, "nts"},  {V3, 5, "sss"},          {V3, 6, "nss"},  {V3, 7, "nss"},
		{V3, 8, "nss"},  {V3, 9, "nss"},          {V3, 10, "nss"}, {V3, 11, "nss"},
		{V3, 12, "nss"}, {V3, UINT32_MAX, "nss"},
	};
	return cr_make_param_array(struct matrix_row, rows, sizeof(rows) / sizeof(rows[0]));
}

static char outcome(const struct feed *f, enum trace_cmd_action action, size_t len)
{
	if (action == TRACE_CMD_END && f->out.orderly)
		return f->out.reason == CLOSE_finished ? 'E' : '?';
	if (action == TRACE_CMD_END && f->out.reason == CLOSE_protocol)
		return 'x';
	if (action == TRACE_CMD_END)
		return 'e';
	if (action == TRACE_CMD_WAIT || f->out.consumed != len)
		return '?';
	if (!f->out.unexpected)
		return f->out.reply_len ? '?' : 't';
	return f->out.reply_len ? 'n' : 's';
}

ParameterizedTest(struct matrix_row *row, trace_cmd_message, matrix)
{
	static const uint8_t tinit[12] = {0, 0, 0, 2, 0, 0, 0x10, 0, 0, 0, 0, 0};
	static const uint8_t data[8] = {0, 0, 0, 4, 1, 2, 3, 4};
	bool v3 = row->protocol == V3;
	uint8_t message[64];
	struct feed f;
	char got;
	size_t len;

	for (int i = 0; i < STATES; i++) {
		if (row->command == (v3 ? 1 : 4))
			len = feed_message(message, row->protocol, row->command, 12, tinit, 12);
		else if (row->command == (v3 ? 3 : 6))
			len = feed_message(message, row->protocol, row->command, 0, data, 8);
		else
			len = feed_message(message, row->protocol, row->command, 0, NULL, 0);
		feed_in(&f, state_of[i], row->protocol);
		got = outcome(&f, feed(&f, message, len), len);
		cr_assert_eq(got, row->want[i], "%d, command %u, state %s: %c, not %c",
			     row->protocol, row->command, trace_cmd_state_name(state_of[i]), got,
			     row->want[i]);
		if (got == 'n')
			cr_assert_arr_eq(f.reply, "\0\0\0\x0c\0\0\0\x05\0\0\0\0", 12);
		if (got == 's' || got == 'n')
			cr_assert(f.s.unexpected == 1 && f.s.state == state_of[i]);
	}
}

Test(trace_cmd_message, nothing_is_taken_before_the_last_byte)
{
	uint8_t message[64], body[20] = {0};
	struct feed f;
	size_t len = feed_message(message, V3, 3, 0, body, 20);

	feed_in(&f, TRACE_CMD_METADATA, V3);
	for (size_t n = 0; n < len; n++)
		cr_assert_eq(feed(&f, message, n), TRACE_CMD_WAIT);
	cr_assert_eq(feed(&f, message, len), TRACE_CMD_GIVE_METADATA);
	cr_assert(f.out.payload == message + 12 && f.out.payload_len == 20);
}

struct size_case {
	uint32_t size;
	enum protocol protocol;
	enum close_reason reason;
};

ParameterizedTestParameters(trace_cmd_message, sizes)
{
	static struct size_case cases[] = {
		{0, V2, CLOSE_protocol},
		{7, V2, CLOSE_protocol},
		{8, V2, CLOSE_none},
		{0, V3, CLOSE_protocol},
		{11, V3, CLOSE_protocol},
		{12, V3, CLOSE_none},
		{8192, V2, CLOSE_none},
		{8192, V3, CLOSE_none},
		{8193, V2, CLOSE_oversize},
		{8193, V3, CLOSE_oversize},
		{1u << 31, V3, CLOSE_oversize},
		{UINT32_MAX, V15, CLOSE_oversize},
	};
	return cr_make_param_array(struct size_case, cases, sizeof(cases) / sizeof(cases[0]));
}

ParameterizedTest(struct size_case *c, trace_cmd_message, sizes)
{
	uint8_t head[4];
	struct feed f;

	wire_set_u32_as(head, c->size, true);
	feed_in(&f, TRACE_CMD_RECORDING, c->protocol);
	cr_assert_eq(feed(&f, head, 4), c->reason ? TRACE_CMD_END : TRACE_CMD_WAIT, "%u", c->size);
	cr_assert_eq(f.out.reason, c->reason, "%u", c->size);
}

Test(trace_cmd_message, a_fixed_part_ends_within_its_message)
{
	uint8_t message[64], body[8] = {0};
	struct feed f;
	size_t len = feed_message(message, V3, 4, 8, body, 8);

	feed_in(&f, TRACE_CMD_METADATA, V3);
	cr_assert_eq(feed(&f, message, len), TRACE_CMD_METADATA_END);
	len = feed_message(message, V3, 4, 9, body, 8);
	feed_in(&f, TRACE_CMD_METADATA, V3);
	cr_assert_eq(feed(&f, message, len), TRACE_CMD_END);
	cr_assert_eq(f.out.reason, CLOSE_protocol);
	len = feed_message(message, V3, 4, UINT32_MAX, body, 8);
	feed_in(&f, TRACE_CMD_METADATA, V3);
	cr_assert_eq(feed(&f, message, len), TRACE_CMD_END);
}

Test(trace_cmd_message, v2_knows_no_longer_close_or_fin)
{
	uint8_t message[64], body[4] = {0};
	struct feed f;
	size_t len;

	for (uint32_t command = 1; command <= 7; command += 6) {
		len = feed_message(message, V2, command, 0, body, 4);
		feed_in(&f, TRACE_CMD_METADATA, V2);
		cr_assert_eq(feed(&f, message, len), TRACE_CMD_END);
		cr_assert_eq(f.out.reason, CLOSE_protocol);
	}
}
