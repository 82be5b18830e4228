/* SPDX-License-Identifier: MIT */
/*
 * status_document.c - what stands in the state memory stands in the document, once, and adds up.
 */
#include "relayd/status_document.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/counters.h"
#include "relayd/trace_cmd.h"
#include "tests/unit/status_rig.h"
#include "tests/unit/status_state.h"

#define st            status_rig_st
#define rates         status_rig_rates
#define document()    status_rig_document()
#define at            status_rig_at
#define number        status_rig_number
#define string        status_rig_string
#define busy_since_ms status_rig_busy_since_ms

TestSuite(status_document, .init = status_rig_start, .fini = status_rig_stop);

Test(status_document, of_an_idle_relay)
{
	static const char *const lists[] = {"sources", "streams", "connections"};
	json_t *doc = document();

	cr_assert_eq(number(doc, "format"), STATUS_FORMAT);
	cr_assert_str_eq(string(doc, "version"), PACKAGE_VERSION);
	cr_assert_eq(number(doc, "pid"), 4711);
	cr_assert_eq(number(doc, "generation"), 3);
	cr_assert_str_eq(string(doc, "started"), "2023-11-14T22:13:20.000Z");
	cr_assert_str_eq(string(doc, "now"), "2023-11-14T22:15:00.500Z");
	cr_assert_str_eq(string(doc, "counters_since"), "2023-11-14T22:13:20.123Z");
	cr_assert_eq(number(doc, "uptime_s"), 99);
	cr_assert(json_is_true(json_object_get(doc, "synced")));
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		cr_assert(json_is_array(json_object_get(doc, lists[i])), "%s", lists[i]);
		cr_assert_eq(json_array_size(json_object_get(doc, lists[i])), 0, "%s", lists[i]);
	}
	cr_assert_eq(json_array_size(json_object_get(doc, "workers")), 2);
	cr_assert_eq(json_array_size(json_object_get(doc, "sessions")), 1);
	cr_assert_str_eq(string(at(doc, "sessions", 0), "name"), "default");
	cr_assert_eq(number(json_object_get(doc, "totals"), "received"), 0);
	cr_assert_eq(number(json_object_get(doc, "totals"), "leases"), 5);
	cr_assert_eq(number(json_object_get(doc, "readers"), "documents"), 2);
	cr_assert_str_eq(string(json_object_get(doc, "limits"), "relayd.workers"), "2");
	cr_assert_eq(number(json_object_get(doc, "counters"), "bytes_stored"), 0);
	json_decref(doc);
}

static uint64_t discarded(const json_t *ledger)
{
	const char *cause;
	uint64_t sum = 0;
	json_t *n;

	cr_assert_eq(json_object_size(json_object_get(ledger, "discarded")), DISCARD_COUNT);
	json_object_foreach (json_object_get(ledger, "discarded"), cause, n)
		sum += (uint64_t)json_integer_value(n);
	return sum;
}

Test(status_document, streams_sources_sessions_and_totals_agree)
{
	struct source_slot *a = status_state_source(&st, 0, 3, 0);
	struct source_slot *b = status_state_source(&st, 2, 2, 8);
	uint64_t n[5] = {4096, 8192, 5000, 0, 1 << 20};
	json_t *doc, *list, *one;
	size_t i;

	atomic_store(&b->worker, 2);
	for (uint32_t cpu = 0; cpu < 5; cpu++)
		status_state_receive(cpu < 3 ? status_state_stream(&st, a, cpu)
					     : status_state_stream(&st, b, cpu - 3),
				     n[cpu], n[cpu] / 4096 * 4096);
	doc = document();
	list = json_object_get(doc, "streams");
	cr_assert_eq(json_array_size(list), 5);
	json_array_foreach (list, i, one) {
		cr_assert_eq(number(one, "received"), n[i], "stream %zu", i);
		cr_assert_eq(number(one, "source"), i < 3 ? 100 : 102);
		cr_assert_eq(number(one, "cpu"), i < 3 ? i : i - 3, "in CPU order");
		cr_assert_eq(number(one, "port"), 30000 + (i < 3 ? i : i - 3));
		cr_assert_str_eq(string(one, "session"), "default");
		cr_assert_eq(number(one, "received"), number(one, "stored") + discarded(one));
	}
	cr_assert_eq(number(at(doc, "sources", 0), "received"), n[0] + n[1] + n[2]);
	cr_assert_eq(number(at(doc, "sources", 1), "received"), n[3] + n[4]);
	cr_assert_eq(discarded(at(doc, "sources", 0)), 5000 - 4096);
	one = at(doc, "sessions", 0);
	cr_assert_eq(number(one, "sources"), 2);
	cr_assert_eq(number(one, "streams"), 5);
	cr_assert_eq(number(one, "received"), number(one, "stored") + discarded(one));
	cr_assert_eq(number(one, "received"), n[0] + n[1] + n[2] + n[3] + n[4]);
	cr_assert_eq(number(json_object_get(doc, "totals"), "received"), number(one, "received"));
	cr_assert_eq(number(at(doc, "workers", 0), "streams"), 3);
	cr_assert_eq(number(at(doc, "workers", 1), "streams_open"), 2);
	json_decref(doc);
}

Test(status_document, everything_about_a_source)
{
	struct source_slot *s = status_state_source(&st, 1, 2, 0);
	struct stream_slot *t = status_state_stream(&st, s, 1);
	struct source_front_half *f = source_front_begin(&s->front);
	struct stream_half *h;
	json_t *doc, *one;

	f->metadata = 777;
	f->metadata_complete = 1;
	source_front_commit(&s->front);
	h = stream_begin(t);
	h->state = STREAM_ENDED;
	h->ledger = (struct stream_ledger){.received = 8192,
					   .stored = 8192,
					   .pages = 2,
					   .lost_events = 40,
					   .lost_intervals = 3,
					   .marks = 1,
					   .datagrams = 9,
					   .datagrams_dropped = 4};
	h->chunk_base.stored = 4096;
	stream_commit(t);
	doc = document();
	one = at(doc, "sources", 0);
	cr_assert_eq(number(one, "number"), 101);
	cr_assert_str_eq(string(one, "session"), "default");
	cr_assert_str_eq(string(one, "host"), "web1");
	cr_assert_str_eq(string(one, "peer"), "10.0.0.1:40000");
	cr_assert_str_eq(string(one, "protocol"), "trace-cmd V3");
	cr_assert_str_eq(string(one, "transport"), "tcp");
	cr_assert_str_eq(string(one, "directory"), "default/web1/20231114-221321-101");
	cr_assert_str_eq(string(one, "started"), "2023-11-14T22:13:21.000Z");
	cr_assert_eq(number(one, "cpus"), 2);
	cr_assert_eq(number(one, "streams_open"), 0);
	cr_assert_eq(number(one, "worker"), 0);
	cr_assert_eq(number(one, "chunk"), 1);
	cr_assert_eq(number(one, "chunk_bytes"), 4096);
	cr_assert_eq(number(one, "sub_buffer"), 4096);
	cr_assert_eq(number(one, "metadata_bytes"), 777);
	cr_assert(json_is_null(json_object_get(one, "control_ended")));
	cr_assert_eq(number(one, "pages"), 2);
	cr_assert_eq(number(one, "lost_events"), 40);
	cr_assert_eq(number(one, "lost_intervals"), 2, "the traced kernel's, not ours");
	cr_assert_eq(number(one, "marks"), 1);
	cr_assert_eq(number(one, "datagrams"), 9);
	cr_assert_eq(number(one, "datagrams_dropped"), 4);
	cr_assert_str_eq(string(at(doc, "streams", 0), "state"), "waiting");
	cr_assert_str_eq(string(at(doc, "streams", 1), "state"), "ended");
	json_decref(doc);
}

/* ---- the one word for a source's state ---- */

struct state_case {
	char want[16];
	bool metadata, parsed, control_ended, in_order, open, full, session_stopped, ending, last,
		finished;
};

ParameterizedTestParameters(status_document, source_state)
{
	static struct state_case cases[] = {
		{"metadata", .open = true},
		{"recording", .metadata = true},
		{"recording", .parsed = true}, /* V1 never says that it is complete */
		{"recording", .metadata = true, .open = true},
		{"orphan", .metadata = true, .open = true, .control_ended = true},
		{"finishing", .metadata = true, .control_ended = true},
		{"finishing", .metadata = true, .open = true, .control_ended = true,
		 .in_order = true},
		{"disk-full", .metadata = true, .open = true, .full = true},
		{"disk-full", .metadata = true, .full = true, .session_stopped = true},
		{"stopped", .metadata = true, .open = true, .session_stopped = true},
		{"finishing", .metadata = true, .open = true, .full = true, .ending = true},
		{"finishing", .metadata = true, .full = true, .last = true},
		{"ended", .metadata = true, .last = true, .finished = true},
	};

	return cr_make_param_array(struct state_case, cases, sizeof(cases) / sizeof(cases[0]));
}

ParameterizedTest(struct state_case *c, status_document, source_state)
{
	struct source_slot *s = status_state_source(&st, 0, 1, 0);
	struct source_front_half *f = source_front_begin(&s->front);
	struct source_half *h;
	json_t *doc;

	f->metadata_complete = c->metadata;
	f->control_ended = c->control_ended ? CLOSE_eof_without_close : 0;
	f->closed_in_order = c->in_order;
	source_front_commit(&s->front);
	h = source_begin(s);
	h->metadata_parsed = c->parsed;
	h->disk_full = c->full;
	h->ended = c->last;
	h->finished = c->finished;
	source_commit(s);
	if (c->open)
		status_state_receive(status_state_stream(&st, s, 0), 4096, 4096);
	atomic_store(&st.session[0].stopped, c->session_stopped);
	atomic_store(&st.session[0].ending, c->ending);
	doc = document();
	cr_assert_str_eq(string(at(doc, "sources", 0), "state"), c->want);
	json_decref(doc);
}

Test(status_document, what_peers_call_themselves_is_valid_json)
{
	struct source_slot *s = status_state_source(&st, 0, 1, 0);
	struct source_half *h = source_begin(s);
	json_t *doc;

	snprintf(h->host, sizeof(h->host), "a\"\\\x01\xff\xc3z");
	source_commit(s);
	doc = document();
	cr_assert_str_eq(string(at(doc, "sources", 0), "host"), "a\"\\\x01??z");
	json_decref(doc);
}

Test(status_document, what_has_no_value_yet_is_null)
{
	struct source_slot *s = status_state_source(&st, 0, 1, 0);
	struct source_half *h = source_begin(s);
	json_t *doc, *one;

	memset(h, 0, sizeof(*h));
	source_commit(s);
	atomic_store(&s->session, 0);
	atomic_store(&s->worker, 0);
	doc = document();
	one = at(doc, "sources", 0);
	cr_assert(json_is_null(json_object_get(one, "session")));
	cr_assert(json_is_null(json_object_get(one, "host")));
	cr_assert(json_is_null(json_object_get(one, "worker")));
	cr_assert(json_is_null(json_object_get(one, "directory")));
	cr_assert_eq(number(one, "chunk"), 0);
	cr_assert(json_is_null(json_object_get(at(doc, "streams", 0), "session")));
	json_decref(doc);
}

Test(status_document, freed_slots_are_not_shown)
{
	struct source_slot *a = status_state_source(&st, 0, 4, 0);
	struct source_slot *b = status_state_source(&st, 1, 2, 8);
	json_t *doc;

	atomic_store(&b->id, 0);                           /* its streams are still there */
	status_state_stream(&st, a, 2)->source.id += 1000; /* taken by another source */
	doc = document();
	cr_assert_eq(json_array_size(json_object_get(doc, "sources")), 1);
	cr_assert_eq(json_array_size(json_object_get(doc, "streams")), 2);
	json_decref(doc);
}

/* A list that is being changed while it is read may lead anywhere, for a moment. */
Test(status_document, a_list_of_streams_that_became_a_ring)
{
	struct source_slot *a = status_state_source(&st, 0, 4, 0);
	json_t *doc;

	status_state_stream(&st, a, 3)->next = a->first_stream;
	doc = document();
	cr_assert_eq(json_array_size(json_object_get(doc, "streams")), 4);
	status_state_stream(&st, a, 1)->next = a->first_stream;
	json_decref(doc);
	doc = document();
	cr_assert_eq(json_array_size(json_object_get(doc, "streams")), 2, "each once");
	json_decref(doc);
}

Test(status_document, a_list_of_streams_that_leads_outside)
{
	struct source_slot *a = status_state_source(&st, 0, 4, 0);
	json_t *doc;

	status_state_stream(&st, a, 2)->next = UINT32_MAX;
	doc = document();
	cr_assert_eq(json_array_size(json_object_get(doc, "streams")), 3);
	json_decref(doc);
}

Test(status_document, connections)
{
	struct trace_cmd talk = {.state = TRACE_CMD_TINIT, .protocol = PROTOCOL_TRACE_CMD_V3};
	struct conversation_slot *c = &st.conversation[1], *done = &st.conversation[0];
	struct source_slot *s = status_state_source(&st, 3, 1, 0);
	struct conversation_half *h;
	json_t *doc, *one;

	atomic_store(&done->id, 8);
	atomic_store(&done->done, 1);
	cr_assert_eq(addr_parse("[2001:db8::7]:1234", &c->peer), 0);
	cr_assert_eq(addr_parse("[::1]:12345", &c->local), 0);
	c->accepted_ms = 90000;
	h = conversation_begin(c);
	memcpy(h->dialect, &talk, sizeof(talk));
	h->received_base = 20;
	h->receive.msg_len = 3;
	h->last_byte_ms = 100000;
	conversation_commit(c);
	atomic_store(&c->id, 9);
	atomic_store(&st.header->high_conversation, 2);
	doc = document();
	cr_assert_eq(json_array_size(json_object_get(doc, "connections")), 1);
	one = at(doc, "connections", 0);
	cr_assert_eq(number(one, "id"), 9);
	cr_assert_str_eq(string(one, "peer"), "[2001:db8::7]:1234");
	cr_assert_str_eq(string(one, "protocol"), "trace-cmd V3");
	cr_assert_str_eq(string(one, "state"), trace_cmd_state_name(TRACE_CMD_TINIT));
	cr_assert(json_is_null(json_object_get(one, "source")));
	cr_assert_eq(number(one, "received"), 23);
	cr_assert_eq(number(one, "age_ms"), 10500);
	cr_assert_eq(number(one, "silent_ms"), 500);
	json_decref(doc);

	s->conversation = state_ref_of_conversation(&st, c);
	atomic_store(&c->source, (uint32_t)(s - st.source) + 1);
	doc = document();
	cr_assert_eq(number(at(doc, "connections", 0), "source"), 103);
	json_decref(doc);

	s->conversation.id++; /* its source has ended, and the slot is another's */
	doc = document();
	cr_assert(json_is_null(json_object_get(at(doc, "connections", 0), "source")));
	json_decref(doc);
}

Test(status_document, sessions_say_what_they_do)
{
	struct session_slot *s = status_state_session(&st, 4, "web");
	json_t *doc, *one;

	atomic_store(&s->stopped, 1);
	atomic_store(&s->rotate_size, 64 << 20);
	atomic_store(&s->rotate_time_ms, 600000);
	atomic_store(&s->keep_chunks, 5);
	doc = document();
	cr_assert_eq(json_array_size(json_object_get(doc, "sessions")), 2);
	one = at(doc, "sessions", 1);
	cr_assert_str_eq(string(one, "name"), "web");
	cr_assert(json_is_true(json_object_get(one, "stopped")));
	cr_assert(json_is_false(json_object_get(one, "ending")));
	cr_assert_eq(number(one, "rotate_size"), 64 << 20);
	cr_assert_eq(number(one, "rotate_time_ms"), 600000);
	cr_assert_eq(number(one, "keep_chunks"), 5);
	json_decref(doc);
}

Test(status_document, a_worker_that_hangs_shows)
{
	json_t *doc;

	busy_since_ms[1] = 70500;
	doc = document();
	cr_assert_eq(number(at(doc, "workers", 0), "busy_ms"), 0);
	cr_assert_eq(number(at(doc, "workers", 1), "busy_ms"), 30000);
	json_decref(doc);
}

Test(status_document, rates_add_up_too)
{
	struct source_slot *s = status_state_source(&st, 0, 2, 0);
	json_t *doc;

	status_rates_sample(rates, 1000);
	status_state_receive(status_state_stream(&st, s, 0), 4000, 4000);
	status_state_receive(status_state_stream(&st, s, 1), 8000, 8000);
	status_rates_sample(rates, 3000);
	doc = document();
	cr_assert_eq(number(at(doc, "streams", 0), "rate"), 2000);
	cr_assert_eq(number(at(doc, "streams", 1), "rate"), 4000);
	cr_assert_eq(number(at(doc, "sources", 0), "rate"), 6000);
	cr_assert_eq(number(at(doc, "sessions", 0), "rate"), 6000);
	cr_assert_eq(number(at(doc, "workers", 0), "rate"), 6000);
	cr_assert_eq(number(json_object_get(doc, "totals"), "rate"), 6000);
	json_decref(doc);
}

/* ---- many ---- */

static double milliseconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

Test(status_document, of_8000_streams)
{
	json_t *limits = json_object();
	double started, sampled;
	struct status_view v;
	struct state big;
	size_t len = 0;
	char *text;

	status_state_make(&big, 8000);
	status_state_session(&big, 0, "default");
	for (uint32_t i = 0; i < 500; i++) {
		struct source_slot *s = status_state_source(&big, i, 16, i * 16);

		for (uint32_t cpu = 0; cpu < 16; cpu++)
			status_state_receive(status_state_stream(&big, s, cpu), 123456789012,
					     123456789012);
	}
	status_rig_stop();
	st = big;
	rates = status_rates_new(&st);
	status_rates_sample(rates, 1);
	sampled = milliseconds();
	status_rates_sample(rates, 1001);
	sampled = milliseconds() - sampled;
	v = status_rig_view(limits);
	started = milliseconds();
	cr_assert_eq(status_document(&v, &text, &len), 0);
	started = milliseconds() - started;
	fprintf(stderr, "8,000 streams: %.1f ms and %.1f MB a document, %.2f ms a look at rates\n",
		started, (double)len / 1e6, sampled);
	cr_assert_lt(started, 2000, "took %.0f ms of CPU", started); /* sanitizers included */
	free(text);
	json_decref(limits);
}
