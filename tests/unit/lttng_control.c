/* SPDX-License-Identifier: MIT */
/* lttng_control.c - conversations at every minor: whole, byte by byte, cut, killed, and wrong. */
#include "relayd/lttng_control.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include "tests/unit/lttng_feed.h"

static struct feed f, g;

/* All that a client of this minor says between connect and close. */
static void script(struct feed *t, uint32_t minor)
{
	const char *path =
		minor >= 11 ? "ust/uid/0/64-bit" : "/vm/s1-20261121-024022//ust/uid/0/64-bit";

	feed_start(t, minor);
	feed_version(t, 2, 15);
	if (minor >= 12)
		feed_numbers(t, LTTNG_GET_CONFIGURATION, 1, 0, 0);
	feed_create(t, minor, "s1", "vm", "", false);
	if (minor >= 11)
		feed_chunk(t, 0, "");
	feed_add(t, minor, "channel0_0", path);
	feed_add(t, minor, "metadata", path);
	if (minor >= 4)
		feed_numbers(t, LTTNG_STREAMS_SENT, 0, 0, 0);
	feed_metadata(t, feed_handle(1), 4093, 3);
	feed_metadata(t, feed_handle(1), 50000, 0);
	feed_metadata(t, feed_handle(1), 0, 7);
	if (minor >= 4)
		feed_index(t, minor, feed_handle(0), 0, 327680);
	if (minor >= 8)
		feed_numbers(t, LTTNG_RESET_METADATA, 2, feed_handle(1), 1);
	if (minor >= 11) {
		feed_chunk(t, 1, "");
		feed_rotate(t, 2, 7);
		feed_rotate(t, 1, 0);
		feed_rotate(t, 0, 3);
		feed_close_chunk(t, 0, true, 0);
		feed_numbers(t, LTTNG_CHUNK_EXISTS, 1, 0, 0);
	}
	feed_numbers(t, LTTNG_BEGIN_DATA_PENDING, 1, ctf_handle(FEED_SOURCE, 1), 0);
	feed_numbers(t, LTTNG_DATA_PENDING, 2, feed_handle(0), 0);
	feed_numbers(t, LTTNG_QUIESCENT, 1, feed_handle(1), 0);
	feed_numbers(t, LTTNG_END_DATA_PENDING, 1, ctf_handle(FEED_SOURCE, 1), 0);
	feed_numbers(t, LTTNG_CLOSE_STREAM, 2, feed_handle(1), CTF_NONE);
	feed_numbers(t, LTTNG_CLOSE_STREAM, 2, feed_handle(0), 0);
	t->eof = 1;
}

ParameterizedTestParameters(lttng_control, minors)
{
	static uint32_t minors[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

	return cr_make_param_array(uint32_t, minors, sizeof(minors) / sizeof(minors[0]));
}

ParameterizedTest(uint32_t *minor, lttng_control, minors)
{
	unsigned orders = 2 + (*minor >= 4) + 1 + 13 + 1 + (*minor >= 4) + (*minor >= 8) +
			  (*minor >= 11 ? 2 + 3 + 1 : 0) + 2;

	script(&f, *minor);
	feed_whole(&f);
	cr_assert(f.ended && f.orderly, "closed: reason %d", f.reason);
	cr_assert_eq(f.reason, CLOSE_finished);
	cr_assert_eq(f.taken, f.in_len);
	cr_assert_eq(f.order_count, orders, "%u orders, not %u", f.order_count, orders);
	cr_assert_eq(feed_code_at(&f, 0), 2);
	cr_assert_eq(feed_code_at(&f, 4), *minor, "announced");
	cr_assert_eq(f.checked, 3);
	cr_assert(f.cleared);
	cr_assert_eq(f.s.streams, 2);
	cr_assert_eq(f.s.streams_closed, 2);

	script(&g, *minor);
	feed_bytewise(&g);
	cr_assert_eq(f.out_len, g.out_len);
	cr_assert_arr_eq(f.out, g.out, f.out_len);
	cr_assert_eq(f.order_count, g.order_count);
	cr_assert_arr_eq(f.orders, g.orders, f.order_count * sizeof(f.orders[0]));
	cr_assert_eq(f.payload_len, g.payload_len);
	cr_assert_arr_eq(f.payload, g.payload, f.payload_len);
}

/*
 * A kill between an order and its commit: the step is taken again, when more bytes may be there and
 * the views may have changed. It must take as much and order the same, or the order is put twice.
 */
Test(lttng_control, a_step_taken_again_is_the_same)
{
	static uint8_t reply[STATE_REPLY], again[STATE_REPLY];
	struct lttng_output out, out2;
	struct lttng_control s, s2;
	size_t arrived = 0;

	script(&f, 13);
	while (!f.ended) {
		f.arrived = arrived;
		s = f.s;
		if (feed_try(&f, &s, &out, reply) == LTTNG_WAIT) {
			cr_assert_lt(arrived, f.in_len);
			arrived++;
			continue;
		}
		f.arrived = f.in_len;
		f.stored = f.in_flight = f.exists = true;
		s2 = f.s;
		feed_try(&f, &s2, &out2, again);
		f.stored = f.in_flight = f.exists = false;
		if (out.order.type) {
			cr_assert_eq(out.consumed, out2.consumed, "at %zu", f.taken);
			cr_assert_arr_eq(&out.order, &out2.order, sizeof(out.order));
			cr_assert_eq(out.payload == NULL, out2.payload == NULL);
		}
		feed_take(&f, &s, &out);
	}
	cr_assert_eq(f.reason, CLOSE_finished);
}

/* Cut anywhere: no hang, no order of a message that is not whole, and an end that is named. */
Test(lttng_control, cut_anywhere)
{
	script(&f, 13);
	feed_whole(&f);
	for (size_t n = 0; n < f.in_len; n += n < 600 ? 1 : 97) {
		script(&g, 13);
		g.in_len = n;
		feed_whole(&g);
		cr_assert(g.ended, "%zu", n);
		cr_assert_eq(g.orderly,
			     g.taken == n && !g.s.command && g.s.source &&
				     g.s.streams == g.s.streams_closed,
			     "%zu", n);
		cr_assert_leq(g.out_len, f.out_len);
		cr_assert_arr_eq(g.out, f.out, g.out_len);
		cr_assert_leq(g.order_count, f.order_count);
		cr_assert_arr_eq(g.orders, f.orders, g.order_count * sizeof(f.orders[0]));
	}
}

Test(lttng_control, the_lower_minor_is_used)
{
	static const uint32_t cases[][3] = {
		{13, 13, 13}, {10, 13, 10}, {13, 4, 4}, {13, 99, 13}, {15, 16, 15}};

	for (size_t i = 0; i < 5; i++) {
		feed_start(&f, cases[i][0]);
		feed_version(&f, 2, cases[i][1]);
		feed_whole(&f);
		cr_assert_eq(feed_code_at(&f, 4), cases[i][0], "ours is announced");
		cr_assert_eq(f.s.minor, cases[i][2]);
	}
}

Test(lttng_control, another_major)
{
	feed_start(&f, 13);
	feed_version(&f, 3, 0);
	feed_whole(&f);
	cr_assert_eq(f.out_len, 8);
	cr_assert_eq(feed_code_at(&f, 0), 2);
	cr_assert(f.ended && !f.orderly);
	cr_assert_eq(f.reason, CLOSE_version_unknown);
}

Test(lttng_control, configuration)
{
	feed_start(&f, 13);
	feed_version(&f, 2, 13);
	feed_numbers(&f, LTTNG_GET_CONFIGURATION, 1, 1, 0);
	feed_numbers(&f, LTTNG_GET_CONFIGURATION, 1, 0, 0);
	f.limits.allow_clear = false;
	feed_whole(&f);
	cr_assert_not(f.ended);
	cr_assert_eq(feed_code_at(&f, 8), LTTNG_PROTOCOL);
	cr_assert_eq(feed_code_at(&f, 20), LTTNG_OK);
	cr_assert_eq(f.out[31], 0, "clear is not allowed");
}

struct name_case {
	uint32_t minor;
	char name[24], host[24], base[24];
	bool bad;
	char clean[24];
};

ParameterizedTestParameters(lttng_control, session_names)
{
	static struct name_case cases[] = {
		{13, "s1", "vm", "", false, ""},
		{13, "s1", "vm", "//my//base/", false, "my/base"},
		{13, ".foo", "vm", "", true, ""},
		{13, "", "vm", "", true, ""},
		{13, "s1", "", "", true, ""},
		{13, "a/b", "vm", "", true, ""},
		{13, "s1", "../vm", "", true, ""},
		{13, "s1", "..", "", true, ""},
		{13, "s1", "vm", "a/../../b", true, ""},
		{13, "s1", "vm", "..", true, ""},
		{15, "s1", "vm", "..", true, ""},
		{10, "s1", "vm", "", false, ""},
		{10, "..", "vm", "", true, ""},
		{4, "s1", "a/b", "", true, ""},
	};
	return cr_make_param_array(struct name_case, cases, sizeof(cases) / sizeof(cases[0]));
}

ParameterizedTest(struct name_case *c, lttng_control, session_names)
{
	feed_start(&f, c->minor);
	feed_version(&f, 2, c->minor);
	feed_create(&f, c->minor, c->name, c->host, c->base, false);
	feed_whole(&f);
	cr_assert_eq(f.ended, c->bad);
	if (!c->bad) {
		cr_assert_eq(f.s.state, LTTNG_SESSION);
		cr_assert_str_eq(f.session.base_path, c->clean);
		return;
	}
	cr_assert_eq(f.reason, CLOSE_bad_name);
	cr_assert_eq(feed_code_at(&f, 16), LTTNG_FATAL);
	/* A path of one byte: of none, the client's session daemon would hang. */
	cr_assert_eq(f.out_len, c->minor >= 11 ? 8 + 12 + 4 + 1 : 8 + 12);
	if (c->minor >= 11)
		cr_assert_eq(feed_code_at(&f, 20), 1);
}

Test(lttng_control, names_that_no_disk_takes)
{
	char name[256];

	memset(name, 'x', sizeof(name));
	for (size_t n = 230; n < 255; n++) {
		name[n] = '\0';
		feed_start(&f, 13);
		feed_version(&f, 2, 13);
		feed_create(&f, 13, name, "vm", "", false);
		feed_whole(&f);
		cr_assert_eq(f.ended, n > 255 - 20, "%zu", n);
		name[n] = 'x';
	}
	cr_assert_eq(feed_code_at(&f, 16), LTTNG_FATAL);
}

Test(lttng_control, a_long_base_path_is_answered)
{
	static char base[600];

	for (size_t i = 0; i < sizeof(base) - 1; i++)
		base[i] = i % 8 == 7 ? '/' : 'b';
	feed_start(&f, 13);
	feed_version(&f, 2, 13);
	feed_create(&f, 13, "s1", "vm", base, false);
	feed_whole(&f);
	cr_assert_eq(f.reason, CLOSE_bad_name);
	cr_assert_eq(feed_code_at(&f, 16), LTTNG_FATAL);
}

Test(lttng_control, a_session_daemon_without_uuid)
{
	feed_start(&f, 13);
	feed_version(&f, 2, 13);
	feed_create(&f, 13, "s1", "vm", "", false);
	memset(f.in + 32 + LTTNG_HEADER_SIZE + 18, 0, 16);
	feed_whole(&f);
	cr_assert_eq(f.reason, CLOSE_bad_name);
}

/* A stopped session: the connection stays, and may try again. */
/* A connection whose stream is refused ends, and says why. */
Test(lttng_control, a_refused_stream_names_its_reason)
{
	for (int memory = 0; memory < 2; memory++) {
		feed_open(&f, 13, FEED_STREAMS);
		f.refuse = memory;
		feed_add(&f, 13, "ch_0", "ust/uid/0/64-bit");
		feed_whole(&f);
		cr_assert_eq(f.reason, memory ? CLOSE_no_memory : CLOSE_streams_limit);
		cr_assert_eq(feed_code_at(&f, 8), LTTNG_UNKNOWN);
	}
}

Test(lttng_control, refused_and_again)
{
	feed_start(&f, 13);
	feed_version(&f, 2, 13);
	feed_create(&f, 13, "s1", "vm", "", false);
	f.refuse = true;
	feed_whole(&f);
	cr_assert_not(f.ended);
	cr_assert_eq(f.s.state, LTTNG_READY);
	cr_assert_eq(f.out_len, 8 + 17);
	cr_assert_eq(feed_code_at(&f, 16), LTTNG_FATAL);
	cr_assert_eq(feed_code_at(&f, 20), 1);
	f.refuse = false;
	feed_create(&f, 13, "s1", "vm", "", false);
	feed_whole(&f);
	cr_assert_eq(f.s.state, LTTNG_SESSION);
	cr_assert_eq(feed_code_at(&f, 25 + 8), LTTNG_OK);
}

Test(lttng_control, an_answer_is_awaited)
{
	feed_start(&f, 13);
	feed_version(&f, 2, 13);
	feed_create(&f, 13, "s1", "vm", "", false);
	f.no_answer = true;
	f.eof = 1; /* what was said before is answered first */
	f.now_ms += 3600 * 1000;
	feed_whole(&f);
	cr_assert_not(f.ended);
	cr_assert_eq(f.wait, LTTNG_WAIT_SOURCE);
	cr_assert_eq(f.deadline_ms, 0, "the silence is ours");
	cr_assert_str_eq(f.session.name, "s1");
}

Test(lttng_control, no_path_is_one_byte)
{
	feed_start(&f, 13);
	f.no_path = true;
	feed_version(&f, 2, 13);
	feed_create(&f, 13, "s1", "vm", "", false);
	feed_chunk(&f, 0, "");
	feed_close_chunk(&f, 0, false, 0);
	feed_whole(&f);
	cr_assert_eq(f.out_len, 8 + 17 + 4 + 9);
	cr_assert_eq(feed_code_at(&f, 20), 1);
	cr_assert_eq(feed_code_at(&f, 33), 1);
}

struct stream_case {
	uint32_t minor;
	char name[24], path[64], clean[64];
	bool bad;
};

ParameterizedTestParameters(lttng_control, stream_names)
{
	static struct stream_case cases[] = {
		{13, "ch_0", "ust/uid/0/64-bit", "ust/uid/0/64-bit", false},
		{13, "metadata", "kernel/", "kernel", false},
		{10, "ch_0", "/vm/s1//ust/uid/0/64-bit", "vm/s1/ust/uid/0/64-bit", false},
		{13, "../../../x", "ust", "", true},
		{13, ".x", "ust", "", true},
		{13, "", "ust", "", true},
		{13, "ch_0", "ust/../..", "", true},
		{13, "ch_0", "", "", true},
		{13, "ch_0", "/", "", true},
		{10, "ch_0", "/vm/.session", "", true},
		{1, "ch/0", "/vm/s1//ust", "", true},
	};
	return cr_make_param_array(struct stream_case, cases, sizeof(cases) / sizeof(cases[0]));
}

ParameterizedTest(struct stream_case *c, lttng_control, stream_names)
{
	feed_open(&f, c->minor, 0);
	feed_add(&f, c->minor, c->name, c->path);
	feed_whole(&f);
	cr_assert_eq(f.out_len, 12);
	cr_assert_eq(f.ended, c->bad);
	if (c->bad) {
		cr_assert_eq(f.reason, CLOSE_bad_name);
		cr_assert_eq(feed_code_at(&f, 4), 0);
		cr_assert_eq(feed_code_at(&f, 8), LTTNG_INVALID);
		cr_assert_eq(f.order_count, 0);
		return;
	}
	cr_assert_str_eq(f.stream.path, c->clean);
	cr_assert_eq(feed_code_at(&f, 8), LTTNG_OK);
	cr_assert_eq(f.orders[0].type, CTF_ORDER_STREAM);
	cr_assert_eq(f.orders[0].stream, 1);
	cr_assert_eq(f.orders[0].stream_id, FEED_ID);
}

/* ---- streams of others ---- */

struct foreign_case {
	uint32_t command;
	unsigned numbers;
	uint32_t code; /* 0: no reply */
};

ParameterizedTestParameters(lttng_control, foreign)
{
	static struct foreign_case cases[] = {
		{LTTNG_CLOSE_STREAM, 2, LTTNG_UNKNOWN},   {LTTNG_DATA_PENDING, 2, LTTNG_NO_STREAM},
		{LTTNG_QUIESCENT, 1, LTTNG_UNKNOWN},      {LTTNG_RESET_METADATA, 2, LTTNG_UNKNOWN},
		{LTTNG_SEND_INDEX, 0, LTTNG_UNKNOWN},     {LTTNG_SEND_METADATA, 0, 0},
		{LTTNG_ROTATE_STREAMS, 0, LTTNG_INVALID},
	};
	return cr_make_param_array(struct foreign_case, cases, sizeof(cases) / sizeof(cases[0]));
}

ParameterizedTest(struct foreign_case *c, lttng_control, foreign)
{
	feed_open(&f, 13, 2);
	if (c->command == LTTNG_SEND_INDEX)
		feed_index(&f, 13, feed_handle(2), 0, 1);
	else if (c->command == LTTNG_SEND_METADATA)
		feed_metadata(&f, feed_handle(2), 9000, 0);
	else if (c->command == LTTNG_ROTATE_STREAMS)
		feed_rotate(&f, 3, 7);
	else
		feed_numbers(&f, c->command, c->numbers, feed_handle(2), 0);
	feed_whole(&f);
	cr_assert(f.ended && !f.orderly);
	cr_assert_eq(f.reason, CLOSE_unknown_stream);
	cr_assert_eq(f.out_len, c->code ? 4 : 0);
	if (c->code)
		cr_assert_eq(feed_code_at(&f, 0), c->code);
	cr_assert_eq(f.order_count, c->command == LTTNG_ROTATE_STREAMS ? 2 : 0);
}

/* ---- what is not legal ---- */

struct wrong_case {
	char name[24];
	enum lttng_state state;
	uint32_t minor, command;
	uint64_t size;
	enum close_reason reason;
	bool answered;
};

ParameterizedTestParameters(lttng_control, wrong)
{
	static struct wrong_case cases[] = {
		{"no version", LTTNG_NEW, 13, LTTNG_CREATE_SESSION, 68, CLOSE_protocol, true},
		{"no session", LTTNG_READY, 13, LTTNG_ADD_STREAM, 60, CLOSE_protocol, true},
		{"again", LTTNG_SESSION, 13, LTTNG_VERSION, 8, CLOSE_protocol, true},
		{"two sessions", LTTNG_SESSION, 13, LTTNG_CREATE_SESSION, 68, CLOSE_protocol, true},
		{"command 0", LTTNG_SESSION, 13, 0, 8, CLOSE_protocol, true},
		{"UPDATE_SYNC_INFO", LTTNG_SESSION, 13, 4, 0, CLOSE_protocol, true},
		{"ADD_INDEX", LTTNG_SESSION, 13, 12, 0, CLOSE_protocol, true},
		{"CLOSE_INDEX", LTTNG_SESSION, 13, 14, 0, CLOSE_protocol, true},
		{"LIST_SESSIONS", LTTNG_SESSION, 13, 15, 0, CLOSE_protocol, true},
		{"command 23", LTTNG_SESSION, 13, 23, 0, CLOSE_protocol, true},
		{"command -1", LTTNG_SESSION, 13, UINT32_MAX, 0, CLOSE_protocol, true},
		{"index at 3", LTTNG_SESSION, 3, LTTNG_SEND_INDEX, 64, CLOSE_protocol, true},
		{"reset at 7", LTTNG_SESSION, 7, LTTNG_RESET_METADATA, 16, CLOSE_protocol, true},
		{"chunk at 10", LTTNG_SESSION, 10, LTTNG_CREATE_CHUNK, 20, CLOSE_protocol, true},
		{"rotate at 10", LTTNG_SESSION, 10, LTTNG_ROTATE_STREAMS, 20, CLOSE_protocol, true},
		{"configuration at 11", LTTNG_READY, 11, LTTNG_GET_CONFIGURATION, 8, CLOSE_protocol,
		 true},
		{"short", LTTNG_SESSION, 13, LTTNG_CLOSE_STREAM, 15, CLOSE_protocol, false},
		{"long", LTTNG_SESSION, 13, LTTNG_CLOSE_STREAM, 17, CLOSE_protocol, false},
		{"metadata head", LTTNG_SESSION, 13, LTTNG_SEND_METADATA, 11, CLOSE_protocol,
		 false},
		{"longer than the ring", LTTNG_SESSION, 13, LTTNG_ADD_STREAM, 20000, CLOSE_protocol,
		 false},
		{"1 MiB and 1", LTTNG_SESSION, 13, LTTNG_SEND_METADATA, (1 << 20) + 1,
		 CLOSE_oversize, false},
		{"2^64-1", LTTNG_SESSION, 13, LTTNG_SEND_METADATA, UINT64_MAX, CLOSE_oversize,
		 false},
		{"2^64-1 of anything", LTTNG_NEW, 13, LTTNG_VERSION, UINT64_MAX, CLOSE_oversize,
		 false},
	};
	return cr_make_param_array(struct wrong_case, cases, sizeof(cases) / sizeof(cases[0]));
}

/* It is seen in the header: no byte of the body is waited for. */
ParameterizedTest(struct wrong_case *c, lttng_control, wrong)
{
	struct wire_writer w;

	feed_open(&f, c->minor, 2);
	f.s.state = c->state;
	if (c->state == LTTNG_NEW)
		f.s.minor = 0;
	w = wire_writer_init(f.in, LTTNG_HEADER_SIZE);
	wire_put_u64(&w, 0);
	wire_put_u64(&w, c->size);
	wire_put_u32(&w, c->command);
	wire_put_u32(&w, 0);
	f.in_len = w.len;
	feed_whole(&f);
	cr_assert(f.ended && !f.orderly, "%s", c->name);
	cr_assert_eq(f.reason, c->reason, "%s: %d", c->name, f.reason);
	cr_assert_eq(f.out_len, c->answered ? 4 : 0, "%s", c->name);
	if (c->answered)
		cr_assert_eq(feed_code_at(&f, 0), LTTNG_UNKNOWN, "%s", c->name);
	cr_assert_eq(f.order_count, 0);
}

Test(lttng_control, sizes_of_another_minor)
{
	feed_open(&f, 13, 2);
	feed_index(&f, 7, feed_handle(0), 0, 1); /* 64 bytes where 80 are due */
	feed_whole(&f);
	cr_assert_eq(f.reason, CLOSE_protocol);
	feed_open(&f, 7, 2);
	feed_index(&f, 8, feed_handle(0), 0, 1);
	feed_whole(&f);
	cr_assert_eq(f.reason, CLOSE_protocol);
	feed_open(&f, 1, 2);
	feed_add(&f, 2, "ch_0", "/vm/s1/ust");
	feed_whole(&f);
	cr_assert_eq(f.reason, CLOSE_protocol);
}

/* ---- ends ---- */

Test(lttng_control, snapshots)
{
	/* Its chunk closed behind its streams: over when that is answered. */
	feed_open(&f, 13, 2);
	f.s.snapshot = 1;
	feed_numbers(&f, LTTNG_CLOSE_STREAM, 2, feed_handle(0), 3);
	feed_numbers(&f, LTTNG_CLOSE_STREAM, 2, feed_handle(1), CTF_NONE);
	feed_whole(&f);
	cr_assert_not(f.ended, "its chunk is open");
	f.now_ms += 3600 * 1000;
	feed_whole(&f);
	cr_assert_not(f.ended, "silence is legal");
	feed_close_chunk(&f, 0, false, 0);
	feed_whole(&f);
	cr_assert(f.ended && f.orderly);
	cr_assert_eq(f.reason, CLOSE_snapshot_done);
	cr_assert_gt(f.out_len, 16, "the last message was answered");

	/* Before its streams. */
	feed_open(&f, 13, 1);
	f.s.snapshot = 1;
	feed_close_chunk(&f, 0, false, 0);
	feed_whole(&f);
	cr_assert_not(f.ended);
	feed_numbers(&f, LTTNG_CLOSE_STREAM, 2, feed_handle(0), 3);
	feed_whole(&f);
	cr_assert_eq(f.reason, CLOSE_snapshot_done);

	/* Without any. */
	feed_open(&f, 13, 0);
	f.s.snapshot = 1;
	feed_close_chunk(&f, 0, false, 0);
	feed_whole(&f);
	cr_assert_eq(f.reason, CLOSE_snapshot_done);

	/* A session that is none stays. */
	feed_open(&f, 13, 0);
	feed_close_chunk(&f, 0, false, 0);
	feed_whole(&f);
	cr_assert_not(f.ended);

	/* Old clients close no chunk, and each stream before they add the next. */
	feed_open(&f, 10, 1);
	f.s.snapshot = 1;
	feed_numbers(&f, LTTNG_CLOSE_STREAM, 2, feed_handle(0), 3);
	feed_whole(&f);
	cr_assert_not(f.ended);
	cr_assert_eq(f.deadline_ms, 1000000 + 60000);
	f.now_ms = f.deadline_ms;
	feed_whole(&f);
	cr_assert(f.ended && f.orderly);
	cr_assert_eq(f.reason, CLOSE_snapshot_done);
}

Test(lttng_control, silence)
{
	feed_start(&f, 13);
	feed_whole(&f);
	cr_assert_eq(f.deadline_ms, 1010000);
	f.now_ms = 1009999;
	feed_whole(&f);
	cr_assert_not(f.ended);
	f.now_ms++;
	feed_whole(&f);
	cr_assert_eq(f.reason, CLOSE_handshake_timeout);

	/* Our answer came late: its client is not to blame. */
	feed_start(&f, 13);
	feed_version(&f, 2, 13);
	f.now_ms = 1009000;
	feed_whole(&f);
	f.now_ms = 1018999;
	feed_whole(&f);
	cr_assert_not(f.ended);

	feed_open(&f, 13, 2);
	f.now_ms += INT64_C(1000) * 3600 * 24 * 365;
	feed_whole(&f);
	cr_assert(!f.ended && !f.deadline_ms, "legal for ever");
	feed_numbers(&f, LTTNG_CLOSE_STREAM, 2, feed_handle(0), 0);
	f.in_len--;
	f.now_ms = 1059999;
	feed_whole(&f);
	cr_assert_eq(f.deadline_ms, 1060000);
	f.now_ms++;
	feed_whole(&f);
	cr_assert_eq(f.reason, CLOSE_stall_timeout);

	feed_open(&f, 13, 2);
	feed_metadata(&f, feed_handle(1), 5000, 0);
	f.in_len -= 5000; /* at the border of a piece, nothing of the next there */
	f.now_ms = 1060000;
	feed_whole(&f);
	cr_assert_eq(f.reason, CLOSE_stall_timeout);
}

Test(lttng_control, a_reply_that_is_not_read)
{
	struct lttng_output out = {.reply = NULL};
	struct lttng_input in;

	feed_open(&f, 13, 2);
	f.s.since_ms = 2000000;
	feed_input(&f, &in);
	in.sending = true;
	in.now_ms = 2059999;
	cr_assert_eq(lttng_control_step(&f.s, &in, &out), LTTNG_WAIT);
	cr_assert_eq(out.wait, LTTNG_WAIT_SENT);
	cr_assert_eq(out.deadline_ms, 2060000);
	in.now_ms++;
	cr_assert_eq(lttng_control_step(&f.s, &in, &out), LTTNG_END);
	cr_assert_eq(out.reason, CLOSE_stall_timeout);
}

Test(lttng_control, end_of_file)
{
	feed_start(&f, 13);
	f.eof = 1;
	feed_whole(&f);
	cr_assert(!f.orderly && f.reason == CLOSE_eof_in_handshake);
	feed_open(&f, 13, 2);
	f.s.streams_closed = 2;
	f.eof = 1;
	feed_whole(&f);
	cr_assert(f.orderly && f.reason == CLOSE_finished);
	feed_open(&f, 13, 2);
	f.s.streams_closed = 1;
	f.eof = 1;
	feed_whole(&f);
	cr_assert(!f.orderly && f.reason == CLOSE_eof_without_close, "a stream is open");
	feed_open(&f, 13, 2);
	f.eof = 1 + CLOSE_reset;
	feed_whole(&f);
	cr_assert(!f.orderly && f.reason == CLOSE_reset);
	feed_open(&f, 13, 2);
	f.eof = 1;
	feed_metadata(&f, feed_handle(1), 5000, 0);
	f.in_len -= 5000;
	feed_whole(&f);
	cr_assert(!f.orderly && f.reason == CLOSE_eof_without_close);
}
