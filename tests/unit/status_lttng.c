/* SPDX-License-Identifier: MIT */
/*
 * status_lttng.c - LTTng's sources, streams, connections and viewers in the status document: shown
 * like any other, null where a tracer does not tell.
 */
#include "relayd/status_lttng.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <string.h>

#include "common/counters.h"
#include "relayd/live_viewer.h"
#include "relayd/lttng_control.h"
#include "tests/unit/status_rig.h"
#include "tests/unit/status_state.h"

#define st      status_rig_st
#define at      status_rig_at
#define number  status_rig_number
#define string  status_rig_string
#define is_null status_rig_is_null

TestSuite(status_lttng, .init = status_rig_start, .fini = status_rig_stop);

/* Stream slot @index has got so much, and its tracer lost so much. */
static void receive(uint32_t index, uint64_t bytes, uint64_t packets, uint64_t lost_events,
		    uint64_t lost_packets)
{
	struct stream_half *h = stream_begin(&st.stream[index]);

	h->ledger.received = bytes;
	h->ledger.stored = bytes - 10;
	h->ledger.discarded[DISCARD_STOPPED] = 10;
	h->ledger.pages = packets;
	h->ledger.lost_events = lost_events;
	h->ledger.lost_packets = lost_packets;
	h->ledger.lost_packets_at_start = lost_packets * 2;
	stream_commit(&st.stream[index]);
}

Test(status_lttng, streams_have_names_and_losses)
{
	json_t *doc, *one;

	status_state_lttng(&st, 0, 13, 3, 0);
	receive(0, 110, 0, 0, 0);
	receive(1, 4106, 2, 7, 3);
	receive(2, 8202, 4, UINT64_C(1) << 40, 0);
	doc = status_rig_document();
	one = at(doc, "streams", 0);
	cr_assert_str_eq(string(one, "name"), "ust/uid/1000/64-bit/metadata");
	cr_assert_str_eq(string(one, "state"), "open");
	cr_assert(is_null(one, "lost_events"), "metadata has no indexes");
	cr_assert(is_null(one, "packets"));
	one = at(doc, "streams", 1);
	cr_assert_str_eq(string(one, "name"), "ust/uid/1000/64-bit/channel0_0");
	cr_assert(is_null(one, "cpu"));
	cr_assert(is_null(one, "port"));
	cr_assert(is_null(one, "pages"));
	cr_assert(is_null(one, "marks"));
	cr_assert(is_null(one, "lost_intervals"));
	cr_assert_eq(number(one, "received"), 4106);
	cr_assert_eq(number(json_object_get(one, "discarded"), "stopped"), 10);
	cr_assert_eq(number(one, "packets"), 2);
	cr_assert_eq(number(one, "lost_events"), 7);
	cr_assert_eq(number(one, "lost_packets"), 3);
	cr_assert_eq(number(one, "lost_packets_at_start"), 6);
	one = at(doc, "sources", 0);
	cr_assert_eq(number(one, "lost_events"), 7 + (UINT64_C(1) << 40));
	cr_assert_eq(number(one, "lost_packets"), 3);
	cr_assert_eq(number(one, "packets"), 6);
	cr_assert_eq(number(one, "stored"), 100 + 4096 + 8192);
	cr_assert_eq(number(one, "chunk_bytes"), 100 + 4096 + 8192);
	cr_assert_eq(number(one, "metadata_bytes"), 100);
	json_decref(doc);
}

Test(status_lttng, everything_about_a_source)
{
	json_t *doc, *one;

	status_state_lttng(&st, 1, 12, 2, 0);
	doc = status_rig_document();
	one = at(doc, "sources", 0);
	cr_assert_eq(number(one, "number"), 101);
	cr_assert_str_eq(string(one, "host"), "web1");
	cr_assert_str_eq(string(one, "protocol"), "LTTng 2.12");
	cr_assert_str_eq(string(one, "client_session"), "auto");
	cr_assert_str_eq(string(one, "mode"), "streaming");
	cr_assert_str_eq(string(one, "directory"), "default/web1/auto");
	cr_assert(is_null(one, "cpus"));
	cr_assert(is_null(one, "sub_buffer"));
	cr_assert(is_null(one, "metadata_complete"));
	cr_assert_eq(number(one, "streams"), 2);
	cr_assert_eq(number(one, "streams_open"), 2);
	cr_assert_eq(number(one, "chunk"), 3);
	cr_assert_eq(number(one, "viewers"), 0);
	json_decref(doc);
	st.ctf_source[1].live_timer_us = 1000;
	doc = status_rig_document();
	cr_assert_str_eq(string(at(doc, "sources", 0), "mode"), "live");
	json_decref(doc);
}

/* ---- what minors and snapshots tell ---- */

struct tells_case {
	uint32_t minor;
	bool snapshot, events, packets;
};

ParameterizedTestParameters(status_lttng, who_tells_what)
{
	static struct tells_case cases[] = {
		{3, false, false, false}, {4, false, true, false}, {7, false, true, false},
		{8, false, true, true},   {13, false, true, true}, {13, true, false, false},
	};

	return cr_make_param_array(struct tells_case, cases, sizeof(cases) / sizeof(cases[0]));
}

ParameterizedTest(struct tells_case *c, status_lttng, who_tells_what)
{
	static const char *const lists[] = {"streams", "sources", "sessions"};
	json_t *doc;

	status_state_lttng(&st, 0, c->minor, 2, 0);
	st.ctf_source[0].snapshot = c->snapshot;
	doc = status_rig_document();
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		json_t *one = at(doc, lists[i], i == 0);

		cr_assert_eq(is_null(one, "lost_events"), !c->events, "%s", lists[i]);
		cr_assert_eq(is_null(one, "lost_packets"), !c->packets, "%s", lists[i]);
	}
	json_decref(doc);
}

Test(status_lttng, sums_are_over_those_that_tell)
{
	struct source_slot *s = status_state_source(&st, 0, 1, 0);
	struct stream_half *h = stream_begin(status_state_stream(&st, s, 0));
	json_t *doc, *one;

	h->ledger.pages = 5;
	h->ledger.lost_events = 1;
	h->ledger.lost_intervals = 2;
	stream_commit(status_state_stream(&st, s, 0));
	status_state_lttng(&st, 1, 13, 2, 8);
	receive(9, 4106, 2, 10, 3);
	status_state_lttng(&st, 2, 5, 2, 16);
	receive(17, 4106, 7, 100, 0);
	doc = status_rig_document();
	cr_assert(is_null(at(doc, "sources", 0), "lost_packets"), "trace-cmd");
	cr_assert(is_null(at(doc, "sources", 0), "packets"));
	cr_assert(is_null(at(doc, "sources", 2), "lost_packets"), "LTTng 2.5");
	one = at(doc, "sessions", 0);
	cr_assert_eq(number(one, "lost_events"), 111);
	cr_assert_eq(number(one, "lost_packets"), 3);
	cr_assert_eq(number(one, "lost_intervals"), 2);
	cr_assert_eq(number(one, "pages"), 5);
	cr_assert_eq(number(one, "packets"), 9);
	cr_assert_eq(number(json_object_get(doc, "totals"), "lost_packets"), 3);
	json_decref(doc);
}

/* What retired streams did is the source's; their rows are gone, also while their slots are not. */
Test(status_lttng, streams_that_have_retired)
{
	struct ctf_source_half *h;
	json_t *doc, *one;

	status_state_lttng(&st, 1, 13, 3, 8);
	receive(9, 4106, 2, 10, 3);
	receive(10, 8192, 1, 1, 0);
	h = ctf_source_begin(&st.ctf_source[1]);
	h->retired = (struct ctf_retired){.streams = 7,
					  .metadata = 50,
					  .ledger = {.received = 1050,
						     .stored = 1000,
						     .discarded = {[DISCARD_STALL] = 50},
						     .pages = 20,
						     .lost_events = 4}};
	h->retired_last = atomic_load(&st.stream[9].id); /* and not marked yet */
	h->chunk[0].retired.ledger.stored = 600;
	ctf_source_commit(&st.ctf_source[1]);
	atomic_store(&st.ctf_stream[8].retired, 1);
	doc = status_rig_document();
	cr_assert_eq(json_array_size(json_object_get(doc, "streams")), 1);
	one = at(doc, "sources", 0);
	cr_assert_eq(number(one, "streams"), 1);
	cr_assert_eq(number(one, "streams_retired"), 7);
	cr_assert_eq(number(one, "received"), 1050 + 8192);
	cr_assert_eq(number(one, "stored"), 1000 + 8182);
	cr_assert_eq(number(json_object_get(one, "discarded"), "stall"), 50);
	cr_assert_eq(number(one, "lost_events"), 4 + 1);
	cr_assert_eq(number(one, "metadata_bytes"), 50);
	cr_assert_eq(number(one, "chunk_bytes"), 600 + 8182);
	cr_assert_eq(number(json_object_get(doc, "totals"), "stored"), 1000 + 8182);
	json_decref(doc);
}

/* ---- states ---- */

static void must_be(const char *state)
{
	json_t *doc = status_rig_document();

	cr_assert_str_eq(string(at(doc, "sources", 0), "state"), state);
	json_decref(doc);
}

static void close_stream(uint32_t index)
{
	struct stream_half *h = stream_begin(&st.stream[index]);

	h->ctf.closed = 1;
	stream_commit(&st.stream[index]);
}

Test(status_lttng, states_of_a_source)
{
	struct source_slot *s = status_state_lttng(&st, 0, 13, 2, 0);
	struct source_front_half *f;
	json_t *doc;

	must_be("recording");
	s->first_stream = 0;
	must_be("waiting");
	s->first_stream = 1;
	atomic_store(&st.session[0].stopped, 1);
	must_be("stopped");
	atomic_store(&st.session[0].stopped, 0);
	close_stream(1);
	doc = status_rig_document();
	cr_assert_str_eq(string(at(doc, "streams", 1), "state"), "ended");
	cr_assert_eq(number(at(doc, "sources", 0), "streams_open"), 1);
	json_decref(doc);
	f = source_front_begin(&s->front);
	f->control_ended = CLOSE_reset;
	source_front_commit(&s->front);
	must_be("orphan");
	close_stream(0);
	must_be("finishing");
}

Test(status_lttng, a_source_that_is_not_introduced)
{
	json_t *doc, *one;

	status_state_lttng(&st, 0, 0, 0, 0);
	doc = status_rig_document();
	one = at(doc, "sources", 0);
	cr_assert_str_eq(string(one, "protocol"), "LTTng");
	cr_assert(is_null(one, "mode"));
	cr_assert(is_null(one, "host"));
	cr_assert(is_null(one, "client_session"));
	json_decref(doc);
}

/* ---- connections ---- */

static struct conversation_half *connected(uint32_t index, enum conversation_role role)
{
	struct conversation_slot *c = &st.conversation[index];

	c->role = role;
	c->accepted_ms = 90000;
	cr_assert_eq(addr_parse("10.0.0.2:5555", &c->peer), 0);
	cr_assert_eq(addr_parse("10.0.0.1:5342", &c->local), 0);
	atomic_store(&c->id, 1000 + index);
	atomic_store(&st.header->high_conversation, index + 1);
	return conversation_begin(c);
}

Test(status_lttng, connections)
{
	struct lttng_control control = {.state = LTTNG_SESSION, .minor = 11};
	struct ctf_data data = {.phase = CTF_DATA_STORE};
	struct live_viewer viewer = {.state = LIVE_VIEWER_CONNECTED, .minor = 4};
	struct conversation_half *h;
	json_t *doc, *one;

	status_state_lttng(&st, 2, 11, 2, 0);
	h = connected(0, CONVERSATION_LTTNG_CONTROL);
	memcpy(h->dialect, &control, sizeof(control));
	conversation_commit(&st.conversation[0]);
	atomic_store(&st.conversation[0].source, 3);
	h = connected(1, CONVERSATION_LTTNG_DATA);
	memcpy(h->dialect, &data, sizeof(data));
	conversation_commit(&st.conversation[1]);
	atomic_store(&st.conversation[1].source, 3);
	connected(2, CONVERSATION_LTTNG_DATA);
	conversation_commit(&st.conversation[2]);
	h = connected(3, CONVERSATION_LTTNG_LIVE);
	memcpy(h->dialect, &viewer, sizeof(viewer));
	conversation_commit(&st.conversation[3]);
	doc = status_rig_document();

	one = at(doc, "connections", 0);
	cr_assert_str_eq(string(one, "protocol"), "LTTng 2.11");
	cr_assert_str_eq(string(one, "role"), "control");
	cr_assert_str_eq(string(one, "state"), "session");
	cr_assert_eq(number(one, "source"), 102);
	one = at(doc, "connections", 1);
	cr_assert_str_eq(string(one, "protocol"), "LTTng 2.11");
	cr_assert_str_eq(string(one, "role"), "data");
	cr_assert_str_eq(string(one, "state"), "packet");
	cr_assert_eq(number(one, "source"), 102);
	cr_assert(is_null(one, "received"));
	cr_assert(is_null(one, "silent_ms"));
	one = at(doc, "connections", 2);
	cr_assert_str_eq(string(one, "protocol"), "LTTng");
	cr_assert_str_eq(string(one, "state"), "new");
	cr_assert(is_null(one, "source"));
	one = at(doc, "connections", 3);
	cr_assert_str_eq(string(one, "protocol"), "LTTng live 2.4");
	cr_assert_str_eq(string(one, "role"), "viewer");
	cr_assert_str_eq(string(one, "state"), "connected");
	json_decref(doc);
}

Test(status_lttng, viewers_of_a_source)
{
	struct live_viewer viewer = {.state = LIVE_VIEWER_SESSION, .minor = 4, .attachments = 4};
	struct source_slot *a = status_state_lttng(&st, 0, 13, 2, 0);
	struct source_slot *b = status_state_lttng(&st, 1, 13, 2, 8);
	uint64_t handle[2] = {ctf_handle(0, atomic_load(&a->id)),
			      ctf_handle(1, atomic_load(&b->id))};
	struct viewer_slot *v = &st.viewer[0];
	struct conversation_half *h = connected(0, CONVERSATION_LTTNG_LIVE);
	json_t *doc;

	cr_assert_eq(state_touch(&st, v->attachment, sizeof(v->attachment)), 0);
	memcpy(h->dialect, &viewer, sizeof(viewer));
	h->consumed = 100;
	conversation_commit(&st.conversation[0]);
	v->attachment[0] = (struct viewer_attachment){.session = handle[1], .born = 50};
	v->attachment[1] = (struct viewer_attachment){.session = 0, .born = 60}; /* detached */
	v->attachment[2] = (struct viewer_attachment){.session = handle[0] + (1u << 24)};
	v->attachment[3] = (struct viewer_attachment){.session = handle[0], .born = 101};
	doc = status_rig_document();
	cr_assert_eq(number(at(doc, "sources", 0), "viewers"), 0, "gone, or not yet consumed");
	cr_assert_eq(number(at(doc, "sources", 1), "viewers"), 1);
	json_decref(doc);
}
