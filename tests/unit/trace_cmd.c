/* SPDX-License-Identifier: MIT */
/*
 * trace_cmd.c - what holds in every state: silence, the peer's end, leases, and that waiting
 * changes nothing.
 */
#include "tests/unit/trace_cmd_feed.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#define V1   PROTOCOL_TRACE_CMD_V1
#define V2   PROTOCOL_TRACE_CMD_V2
#define V15  PROTOCOL_TRACE_CMD_V2_2015
#define V3   PROTOCOL_TRACE_CMD_V3
#define NONE PROTOCOL_UNKNOWN

Test(trace_cmd, every_state_has_a_name_of_its_own)
{
	for (int i = 0; i < TRACE_CMD_STATE_COUNT; i++)
		for (int k = 0; k < i; k++)
			cr_assert_str_neq(trace_cmd_state_name((enum trace_cmd_state)i),
					  trace_cmd_state_name((enum trace_cmd_state)k));
	cr_assert_str_eq(trace_cmd_state_name(TRACE_CMD_STATE_COUNT), "?");
}

Test(trace_cmd, the_greeting_is_the_first_step_and_needs_nothing)
{
	struct feed f;

	feed_in(&f, TRACE_CMD_NEW, NONE);
	cr_assert_eq(feed(&f, NULL, 0), TRACE_CMD_STEP);
	cr_assert_eq(f.out.reply_len, 8);
	cr_assert_arr_eq(f.reply, "tracecmd", 8);
	cr_assert_eq(f.s.state, TRACE_CMD_VERSION);
	cr_assert_eq(feed(&f, NULL, 0), TRACE_CMD_WAIT);
}

struct silence_case {
	char name[40];
	enum trace_cmd_state state;
	enum protocol protocol;
	size_t len;        /* of a message or line that is not complete */
	uint64_t metadata; /* given out so far */
	bool sending;
	int64_t patience; /* 0: for ever */
	enum close_reason reason;
};

ParameterizedTestParameters(trace_cmd, silence)
{
	static struct silence_case cases[] = {
		{"version", TRACE_CMD_VERSION, NONE, 0, 0, false, 10000, CLOSE_handshake_timeout},
		{"half a version", TRACE_CMD_VERSION, NONE, 1, 0, false, 10000,
		 CLOSE_handshake_timeout},
		{"V1 page", TRACE_CMD_V1_PAGE, V1, 1, 0, false, 10000, CLOSE_handshake_timeout},
		{"V1 options", TRACE_CMD_V1_OPTIONS, V1, 0, 0, false, 10000,
		 CLOSE_handshake_timeout},
		{"V1 option", TRACE_CMD_V1_OPTION, V1, 1, 0, false, 10000, CLOSE_handshake_timeout},
		{"V3 magic", TRACE_CMD_V3_MAGIC, V3, 0, 0, false, 10000, CLOSE_handshake_timeout},
		{"V2 magic", TRACE_CMD_V2_MAGIC, V2, 0, 0, false, 10000, CLOSE_handshake_timeout},
		{"TINIT", TRACE_CMD_TINIT, V3, 0, 0, false, 10000, CLOSE_handshake_timeout},
		{"half a TINIT", TRACE_CMD_TINIT, V15, 3, 0, false, 10000, CLOSE_handshake_timeout},
		{"lease", TRACE_CMD_LEASE, V3, 0, 0, false, 0, CLOSE_none},
		{"lease, bytes behind", TRACE_CMD_LEASE, V3, 3, 0, false, 0, CLOSE_none},
		{"port list unsent", TRACE_CMD_METADATA, V3, 0, 0, true, 10000,
		 CLOSE_handshake_timeout},
		{"V3 metadata", TRACE_CMD_METADATA, V3, 0, 50, false, 60000,
		 CLOSE_metadata_timeout},
		{"V3 half a message", TRACE_CMD_METADATA, V3, 3, 50, false, 20000,
		 CLOSE_stall_timeout},
		{"V1 before metadata", TRACE_CMD_METADATA, V1, 0, 0, false, 60000,
		 CLOSE_metadata_timeout},
		{"V1 behind metadata", TRACE_CMD_METADATA, V1, 0, 50, false, 0, CLOSE_none},
		{"recording", TRACE_CMD_RECORDING, V3, 0, 50, false, 0, CLOSE_none},
		{"recording, half a CLOSE", TRACE_CMD_RECORDING, V2, 3, 50, false, 20000,
		 CLOSE_stall_timeout},
		{"refusal unsent", TRACE_CMD_LEAVING, V3, 0, 0, true, 10000, CLOSE_no_slot},
	};
	return cr_make_param_array(struct silence_case, cases, sizeof(cases) / sizeof(cases[0]));
}

ParameterizedTest(struct silence_case *c, trace_cmd, silence)
{
	static const uint8_t some[] = {0, 0, 0, 0};
	const uint8_t *bytes =
		c->protocol == V1 || c->protocol == NONE ? (const uint8_t *)"1" : some;
	struct trace_cmd before;
	struct feed f;

	feed_in(&f, c->state, c->protocol);
	f.s.leaving = c->state == TRACE_CMD_LEAVING ? 1 + CLOSE_no_slot : 0;
	f.s.options_left = 1;
	f.in.metadata = c->metadata;
	f.in.sending = c->sending;
	before = f.s;
	cr_assert_eq(feed(&f, bytes, c->len), TRACE_CMD_WAIT, "%s", c->name);
	cr_assert_eq(f.out.deadline_ms, c->patience ? 1000000 + c->patience : 0, "%s: %lld",
		     c->name, (long long)f.out.deadline_ms);
	f.in.now_ms += (c->patience ? c->patience : 1000000000) - 1;
	cr_assert_eq(feed(&f, bytes, c->len), TRACE_CMD_WAIT, "%s: too early", c->name);
	f.in.now_ms++;
	f.in.empty = false;
	if (!c->sending)
		cr_assert_eq(feed(&f, bytes, c->len), TRACE_CMD_WAIT, "%s: not looked", c->name);
	cr_assert_eq(memcmp(&before, &f.s, sizeof(before)), 0, "%s: waiting changed it", c->name);
	f.in.empty = true;
	cr_assert_eq(feed(&f, bytes, c->len), c->patience ? TRACE_CMD_END : TRACE_CMD_WAIT, "%s",
		     c->name);
	if (c->patience)
		cr_assert_eq(f.out.reason, c->reason, "%s", c->name);
}

Test(trace_cmd, our_own_delay_is_not_the_peers_silence)
{
	static const uint16_t ports[] = {1, 2};
	struct feed f;

	feed_in(&f, TRACE_CMD_LEASE, V3);
	f.in.now_ms += 3600 * 1000;
	f.in.grant = TRACE_CMD_GRANT_PORTS;
	f.in.ports = ports;
	f.in.port_count = 2;
	cr_assert_eq(feed(&f, NULL, 0), TRACE_CMD_STEP);
	cr_assert_eq(feed(&f, NULL, 0), TRACE_CMD_WAIT);
	cr_assert_eq(f.out.deadline_ms, f.in.now_ms + 60000);
	f.in.room = 0; /* a full ring: the peer cannot send */
	f.in.now_ms += 3600 * 1000;
	cr_assert_eq(feed(&f, "\0\0\0\x10\0\0\0\x03\0\0\0\0abcd", 16), TRACE_CMD_WAIT);
	cr_assert_eq(f.out.wait, TRACE_CMD_WAIT_ROOM);
	cr_assert_eq(f.out.deadline_ms, 0);
}

struct end_case {
	char name[32];
	enum trace_cmd_state state;
	enum protocol protocol;
	uint64_t metadata;
	enum close_reason reason;
};

ParameterizedTestParameters(trace_cmd, end_of_file)
{
	static struct end_case cases[] = {
		{"version", TRACE_CMD_VERSION, NONE, 0, CLOSE_eof_in_handshake},
		{"V2 magic", TRACE_CMD_V2_MAGIC, V2, 0, CLOSE_eof_in_handshake},
		{"TINIT", TRACE_CMD_TINIT, V3, 0, CLOSE_eof_in_handshake},
		{"lease", TRACE_CMD_LEASE, V3, 0, CLOSE_eof_in_handshake},
		{"metadata", TRACE_CMD_METADATA, V3, 9, CLOSE_eof_in_metadata},
		{"V1 without metadata", TRACE_CMD_METADATA, V1, 0, CLOSE_eof_in_metadata},
		{"recording", TRACE_CMD_RECORDING, V2, 9, CLOSE_eof_without_close},
	};
	return cr_make_param_array(struct end_case, cases, sizeof(cases) / sizeof(cases[0]));
}

ParameterizedTest(struct end_case *c, trace_cmd, end_of_file)
{
	struct feed f;

	feed_in(&f, c->state, c->protocol);
	f.in.metadata = c->metadata;
	f.in.eof = 1;
	cr_assert_eq(feed(&f, NULL, 0), TRACE_CMD_END, "%s", c->name);
	cr_assert_eq(f.out.reason, c->reason, "%s", c->name);
	cr_assert_not(f.out.orderly);
	cr_assert_eq(f.s.state, TRACE_CMD_ENDED);

	feed_in(&f, c->state, c->protocol);
	f.in.eof = 1 + CLOSE_keep_alive; /* an error in its place keeps its name */
	cr_assert_eq(feed(&f, NULL, 0), TRACE_CMD_END, "%s", c->name);
	cr_assert_eq(f.out.reason, CLOSE_keep_alive, "%s", c->name);
}

Test(trace_cmd, bytes_behind_a_request_are_worth_waiting_for_the_lease)
{
	struct feed f;

	feed_in(&f, TRACE_CMD_LEASE, V3);
	f.in.eof = 1;
	cr_assert_eq(feed(&f, "x", 1), TRACE_CMD_WAIT);
	cr_assert_eq(f.out.wait, TRACE_CMD_WAIT_LEASE);
}

Test(trace_cmd, a_refusal_is_said_in_the_clients_words)
{
	static const uint8_t v2[] = {0, 0, 0, 8, 0, 0, 0, 1};
	static const uint8_t v3[] = {0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0};
	const enum protocol with_words[] = {V15, V2, V3};
	struct feed f;

	for (int i = 0; i < 3; i++) {
		feed_in(&f, TRACE_CMD_LEASE, with_words[i]);
		f.in.grant = TRACE_CMD_GRANT_REFUSED;
		f.in.refusal = CLOSE_ports_exhausted;
		cr_assert_eq(feed(&f, NULL, 0), TRACE_CMD_STEP);
		if (with_words[i] == V3)
			cr_assert(f.out.reply_len == 12 && !memcmp(f.reply, v3, 12));
		else
			cr_assert(f.out.reply_len == 8 && !memcmp(f.reply, v2, 8));
		cr_assert_eq(feed(&f, NULL, 0), TRACE_CMD_END);
		cr_assert_eq(f.out.reason, CLOSE_ports_exhausted);
	}
	feed_in(&f, TRACE_CMD_LEASE, V1);
	f.in.grant = TRACE_CMD_GRANT_REFUSED;
	f.in.refusal = CLOSE_ports_exhausted;
	cr_assert_eq(feed(&f, NULL, 0), TRACE_CMD_END);
	cr_assert_eq(f.out.reply_len, 0);
}

/* The longest port list of each protocol fits into a reply, and one CPU more is refused. */
Test(trace_cmd, the_room_of_a_port_list)
{
	static const struct {
		enum protocol protocol;
		uint32_t cpus;
	} most[] = {{V1, 1365}, {V15, 2045}, {V2, 2045}, {V3, 1362}};
	uint16_t ports[TRACE_CMD_CPUS_MAX];
	struct feed f;

	for (uint32_t i = 0; i < TRACE_CMD_CPUS_MAX; i++)
		ports[i] = (uint16_t)(60000 + i);
	for (int i = 0; i < 4; i++) {
		feed_in(&f, TRACE_CMD_LEASE, most[i].protocol);
		f.in.limits = &f.limits;
		cr_assert_eq(trace_cmd_check_cpus(&f.s, &f.in, most[i].cpus), CLOSE_none);
		cr_assert_eq(trace_cmd_check_cpus(&f.s, &f.in, most[i].cpus + 1), CLOSE_protocol);
		cr_assert_eq(trace_cmd_check_cpus(&f.s, &f.in, 0), CLOSE_protocol);
		f.limits.cpus_max = most[i].cpus - 1;
		cr_assert_eq(trace_cmd_check_cpus(&f.s, &f.in, most[i].cpus), CLOSE_streams_limit);
		f.s.cpus = most[i].cpus;
		f.in.grant = TRACE_CMD_GRANT_PORTS;
		f.in.ports = ports;
		f.in.port_count = most[i].cpus;
		cr_assert_eq(feed(&f, NULL, 0), TRACE_CMD_STEP);
		cr_assert_leq(f.out.reply_len, STATE_REPLY);
		cr_assert_eq(f.s.state, TRACE_CMD_METADATA);
	}
}

Test(trace_cmd, page_sizes)
{
	struct feed f;

	feed_in(&f, TRACE_CMD_TINIT, V3);
	f.in.limits = &f.limits;
	for (uint32_t page = 1024; page <= 1024 * 1024; page *= 2) {
		cr_assert_eq(trace_cmd_ask(&f.s, &f.in, 1, page, TRANSPORT_TCP), CLOSE_none);
		cr_assert_eq(f.s.page_size, page);
		cr_assert_eq(trace_cmd_ask(&f.s, &f.in, 1, page + 8, TRANSPORT_TCP),
			     CLOSE_protocol);
	}
	cr_assert_eq(trace_cmd_ask(&f.s, &f.in, 1, 0, TRANSPORT_TCP), CLOSE_protocol);
	cr_assert_eq(trace_cmd_ask(&f.s, &f.in, 1, 512, TRANSPORT_TCP), CLOSE_protocol);
	cr_assert_eq(trace_cmd_ask(&f.s, &f.in, 1, 1u << 31, TRANSPORT_TCP), CLOSE_protocol);
}

Test(trace_cmd, metadata_up_to_the_limit_and_the_room)
{
	static const uint8_t bytes[100];
	struct feed f;

	feed_in(&f, TRACE_CMD_METADATA, V3);
	f.out.reply = f.reply;
	f.in.limits = &f.limits;
	f.limits.metadata_max = 1000;
	f.in.metadata = 900;
	f.in.room = 100;
	cr_assert_eq(trace_cmd_give(&f.in, &f.out, 112, bytes, 100), TRACE_CMD_GIVE_METADATA);
	cr_assert(f.out.payload == bytes && f.out.payload_len == 100 && f.out.consumed == 112);
	cr_assert_eq(trace_cmd_give(&f.in, &f.out, 113, bytes, 101), TRACE_CMD_END);
	cr_assert_eq(f.out.reason, CLOSE_metadata_limit);
	f.in.room = 99;
	cr_assert_eq(trace_cmd_give(&f.in, &f.out, 112, bytes, 100), TRACE_CMD_WAIT);
	cr_assert_eq(trace_cmd_give(&f.in, &f.out, 12, bytes, 0), TRACE_CMD_STEP);
	f.in.metadata = 2000; /* the option was lowered between two relays */
	cr_assert_eq(trace_cmd_give(&f.in, &f.out, 13, bytes, 1), TRACE_CMD_END);
}
