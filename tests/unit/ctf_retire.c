/* SPDX-License-Identifier: MIT */
/* ctf_retire.c - streams that end long before their session give their slots back. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>

#include "consumer/ctf_internal.h"
#include "tests/unit/ctf_mortal.h"
#include "tests/unit/ctf_rig.h"

#define LEN  4000u
#define ALL  UINT32_MAX
#define TEXT "metadata"

/* Streams 0 and 1 are a trace that ends (packets, metadata), 2 and 3 one that stays. */
static void make(struct ctf_rig *r)
{
	ctf_rig_make(r, 13, false);
	for (unsigned i = 0; i < CTF_RIG_STREAMS; i++)
		r->st.ctf_stream[i].trace = i < 2 ? 1 : 3;
	ctf_retire_after_ms = 0;
	ctf_rig_chunk(r, 0, "");
	for (unsigned i = 0; i < CTF_RIG_STREAMS; i++)
		ctf_rig_stream(r, i, i % 2, 0, 0);
	strcpy(r->st.ctf_stream[2].path, "ust/pid/b");
	strcpy(r->st.ctf_stream[3].path, "ust/pid/b");
	ctf_rig_order(r, CTF_ORDER_PUBLISH, -1, 0, 0, 0, NULL, 0);
	ctf_rig_metadata(r, 1, TEXT, 0);
	ctf_rig_metadata(r, 3, TEXT, 0);
}

static void packet(struct ctf_rig *r, unsigned i, uint64_t seq, uint64_t lost)
{
	ctf_rig_send(r, i / 2, i, seq, LEN, ALL);
	ctf_rig_index(r, i, seq, seq, lost);
}

static void close_stream(struct ctf_rig *r, unsigned i, uint64_t last)
{
	ctf_rig_order(r, CTF_ORDER_CLOSE_STREAM, (int)i, last, 0, 0, NULL, 0);
}

static bool is_retired(struct ctf_rig *r, unsigned i)
{
	return atomic_load(&r->st.ctf_stream[i].retired);
}

static struct ctf_retired sum_of(struct ctf_rig *r)
{
	struct ctf_source_half h;

	ctf_source_read(r->ctf, &h);
	return h.retired;
}

static void finish(struct ctf_rig *r)
{
	ctf_rig_close(r, 0);
	ctf_rig_close(r, 1);
	ctf_rig_end_control(r, true);
	ctf_rig_wait(r->finished);
}

static json_t *record(struct ctf_rig *r, const char *dir)
{
	char path[300];
	json_t *json;

	snprintf(path, sizeof(path), "%s/%s/%s/chunk.json", r->dir, source_now(r->source)->dir,
		 dir);
	json = json_load_file(path, 0, NULL);
	cr_assert_not_null(json, "%s", path);
	return json;
}

static json_int_t number(const json_t *json, const char *key)
{
	cr_assert(json_is_integer(json_object_get(json, key)), "%s", key);
	return json_integer_value(json_object_get(json, key));
}

Test(ctf_retire, a_trace_goes_as_a_whole_and_counts_on, .timeout = 30)
{
	struct ctf_rig r;
	json_t *json, *ended;

	make(&r);
	ctf_rig_start(&r);
	for (unsigned k = 0; k < 3; k++) {
		packet(&r, 0, k, 7 * k);
		packet(&r, 2, k, 0);
	}
	close_stream(&r, 0, 2);
	ctf_rig_wait(ctf_rig_half(&r, 2).ctf.index_seq == 2 && ctf_rig_applied(&r));
	cr_assert_not(is_retired(&r, 0), "its metadata is still open");
	close_stream(&r, 1, CTF_NONE);
	ctf_rig_wait(is_retired(&r, 1));
	cr_assert(is_retired(&r, 0));
	ctf_rig_wait(r.retired == 2);
	cr_assert_not(is_retired(&r, 2));
	cr_assert_eq(sum_of(&r).streams, 2);
	cr_assert_eq(sum_of(&r).metadata, strlen(TEXT));
	cr_assert_eq(sum_of(&r).ledger.stored, 3 * LEN + strlen(TEXT));
	cr_assert_eq(sum_of(&r).ledger.pages, 3, "packets");
	cr_assert_eq(sum_of(&r).ledger.lost_events, 14);
	cr_assert_eq(ctf_source_now(r.ctf)->published, 4);
	ctf_retire_after_ms = INT64_MAX;
	packet(&r, 2, 3, 0);
	close_stream(&r, 2, 3);
	close_stream(&r, 3, CTF_NONE);
	finish(&r);
	json = record(&r, "");
	cr_assert(json_is_true(json_object_get(json, "complete")));
	cr_assert_eq(number(json, "bytes"), (json_int_t)(7 * LEN + 2 * strlen(TEXT)));
	ended = json_object_get(json, "ended_streams");
	cr_assert_eq(json_array_size(json_object_get(json, "streams")), 2);
	cr_assert_eq(number(ended, "count"), 2);
	cr_assert_eq(number(ended, "stored"), (json_int_t)(3 * LEN + strlen(TEXT)));
	cr_assert_eq(number(ended, "packets"), 3);
	cr_assert_eq(number(ended, "lost_events"), 14);
	json_decref(json);
	cr_assert_eq(r.chunk_bytes, 7 * LEN + 2 * strlen(TEXT), "the catalog was told");
	ctf_rig_expect(&r, CTF_RIG_DIR "ch_0", 0, 0, 3, LEN);
	ctf_rig_free(&r);
}

Test(ctf_retire, not_before_it_is_complete_nor_at_once, .timeout = 30)
{
	struct ctf_rig r;

	make(&r);
	ctf_retire_after_ms = 3600000;
	ctf_rig_start(&r);
	packet(&r, 0, 0, 0);
	close_stream(&r, 1, CTF_NONE);
	close_stream(&r, 0, 1); /* packet 1 is on its way */
	ctf_rig_wait(ctf_rig_applied(&r));
	ctf_rig_send(&r, 0, 0, 1, LEN, ALL);
	ctf_rig_wait(ctf_stream_complete(stream_now(&r.st.stream[0])));
	finish(&r);
	cr_assert_not(is_retired(&r, 0));
	cr_assert_eq(sum_of(&r).streams, 0);
	ctf_rig_free(&r);
}

/* The chunk that it was in is closed, and another stream is still in there: its record is first. */
Test(ctf_retire, its_part_in_a_closed_chunk_is_recorded_first, .timeout = 30)
{
	struct ctf_rig r;
	char dir[200];
	json_t *json;

	make(&r);
	ctf_rig_start(&r);
	packet(&r, 0, 0, 0);
	packet(&r, 2, 0, 0);
	ctf_rig_wait(ctf_rig_half(&r, 0).ctf.index_seq == 0 && ctf_rig_applied(&r));
	ctf_rig_chunk(&r, 1, "");
	for (int i = 0; i < 2; i++)
		ctf_rig_order(&r, CTF_ORDER_ROTATE, i, 1, 1 - (uint64_t)i, 1, NULL, 0);
	ctf_rig_order(&r, CTF_ORDER_CLOSE_CHUNK, -1, 0, 1700000100, CTF_CLOSE_ARCHIVE, NULL, 0);
	packet(&r, 0, 1, 0);
	close_stream(&r, 0, 1);
	close_stream(&r, 1, CTF_NONE);
	ctf_rig_wait(ctf_rig_half(&r, 0).ctf.index_seq == 1 && ctf_rig_applied(&r));
	for (unsigned i = 0; i < 300; i++) /* a few ticks */
		ctf_rig_pause();
	cr_assert_not(is_retired(&r, 0));
	ctf_rig_order(&r, CTF_ORDER_ROTATE, 2, 1, 1, 1, NULL, 0);
	ctf_rig_order(&r, CTF_ORDER_ROTATE, 3, 1, 0, 1, NULL, 0);
	ctf_rig_wait(is_retired(&r, 1));
	ctf_rig_glob(&r, "archives/*-0", dir, sizeof(dir));
	json = record(&r, dir);
	cr_assert_eq(json_array_size(json_object_get(json, "streams")), 4);
	cr_assert_null(json_object_get(json, "ended_streams"));
	json_decref(json);
	finish(&r);
	ctf_rig_free(&r);
}

Test(ctf_retire, packets_without_metadata_are_remembered, .timeout = 30)
{
	struct ctf_rig r;
	json_t *json;

	make(&r);
	r.st.ctf_stream[0].trace = 9; /* a trace of its own */
	ctf_rig_start(&r);
	packet(&r, 0, 0, 0);
	close_stream(&r, 0, 0);
	ctf_rig_wait(is_retired(&r, 0));
	close_stream(&r, 1, CTF_NONE);
	close_stream(&r, 2, CTF_NONE);
	close_stream(&r, 3, CTF_NONE);
	finish(&r);
	json = record(&r, "");
	cr_assert_str_eq(json_string_value(json_object_get(json, "metadata")), "missing");
	cr_assert(json_is_false(json_object_get(json, "complete")));
	json_decref(json);
	ctf_rig_free(&r);
}

/* ---- viewers ---- */

static struct viewer_slot *attach(struct ctf_rig *r, uint32_t told)
{
	struct conversation_slot *c = &r->st.conversation[1];
	struct viewer_slot *v = &r->st.viewer[1];

	cr_assert_eq(state_touch(&r->st, v, offsetof(struct viewer_slot, reply)), 0);
	r->ctf->live_timer_us = 1000000;
	atomic_store(&r->ctf->viewed, 1);
	atomic_store(&c->role, CONVERSATION_LTTNG_LIVE);
	conversation_begin(c)->last_byte_ms = ctf_now_ms();
	conversation_commit(c);
	v->attachment[0] =
		(struct viewer_attachment){.session = ctf_handle(0, 2), .told = {.from = told}};
	atomic_store(&r->st.header->high_conversation, CTF_RIG_CONNECTIONS);
	return v;
}

Test(ctf_retire, not_while_a_viewer_needs_it, .timeout = 30)
{
	struct viewer_slot *v;
	struct ctf_rig r;

	make(&r);
	v = attach(&r, 0);
	ctf_rig_start(&r);
	ctf_rig_send(&r, 0, 0, 0, LEN, ALL);
	ctf_rig_index(&r, 0, 0, 0, 0);
	close_stream(&r, 0, 0);
	close_stream(&r, 1, CTF_NONE);
	ctf_rig_wait(ctf_rig_half(&r, 0).ctf.index_seq == 0 && ctf_rig_applied(&r));
	for (unsigned i = 0; i < 300; i++)
		ctf_rig_pause();
	cr_assert_not(is_retired(&r, 0), "the viewer is to be told of it");
	v->cursor[5] = (struct viewer_cursor){.stream = ctf_handle(0, 10)};
	v->attachment[0].told.from = 4;
	for (unsigned i = 0; i < 300; i++)
		ctf_rig_pause();
	cr_assert_not(is_retired(&r, 0), "the viewer has not come to its end");
	v->cursor[5].over = 1;
	ctf_rig_wait(is_retired(&r, 1));
	cr_assert(is_retired(&r, 0));
	finish(&r);
	ctf_rig_free(&r);
}

Test(ctf_retire, a_viewer_that_is_silent_for_long_needs_nothing, .timeout = 30)
{
	struct ctf_rig r;

	make(&r);
	attach(&r, 0);
	conversation_begin(&r.st.conversation[1])->last_byte_ms = ctf_now_ms() - CTF_STALL_MS - 1;
	conversation_commit(&r.st.conversation[1]);
	ctf_rig_start(&r);
	close_stream(&r, 0, CTF_NONE);
	close_stream(&r, 1, CTF_NONE);
	ctf_rig_wait(is_retired(&r, 1));
	finish(&r);
	ctf_rig_free(&r);
}

/* ---- kills ---- */

/* True: the process died at its commit number @life. */
static bool run_mortal(unsigned life)
{
	struct ctf_rig r;
	struct ctf_mortal m = {.rig = &r};
	json_t *json;

	make(&r);
	packet(&r, 0, 0, 0);
	packet(&r, 2, 0, 0);
	packet(&r, 0, 1, 5);
	close_stream(&r, 0, 1);
	close_stream(&r, 1, CTF_NONE);
	ctf_mortal_start(&m, life);
	ctf_mortal_wait(&m, is_retired(&r, 0) && is_retired(&r, 1) && ctf_rig_applied(&r));
	cr_assert_eq(sum_of(&r).streams, 2, "life %u", life);
	cr_assert_eq(sum_of(&r).ledger.stored, 2 * LEN + strlen(TEXT), "life %u", life);
	cr_assert_eq(sum_of(&r).ledger.lost_events, 5, "life %u", life);
	close_stream(&r, 2, 0);
	close_stream(&r, 3, CTF_NONE);
	ctf_rig_close(&r, 0);
	ctf_rig_close(&r, 1);
	ctf_rig_end_control(&r, true);
	ctf_mortal_wait(&m, source_now(r.source)->finished);
	ctf_mortal_end(&m);
	json = record(&r, "");
	cr_assert(json_is_true(json_object_get(json, "complete")), "life %u", life);
	cr_assert_eq(number(json, "bytes"), (json_int_t)(3 * LEN + 2 * strlen(TEXT)), "life %u",
		     life);
	json_decref(json);
	ctf_rig_free(&r);
	return m.died;
}

Test(ctf_retire, killed_at_every_commit, .timeout = 300)
{
	cr_assert_gt(ctf_mortal_lives(run_mortal), 80);
}

/* All streams leave their chunk, and it is closed. */
static void close_chunk(struct ctf_rig *r, bool successor)
{
	if (!successor)
		return;
	for (int i = 0; i < (int)CTF_RIG_STREAMS; i++)
		ctf_rig_order(r, CTF_ORDER_ROTATE, i, 0, 0, 0, NULL, 0);
	ctf_rig_order(r, CTF_ORDER_CLOSE_CHUNK, -1, 0, 1700000100, CTF_CLOSE_STAY, NULL, 0);
}

/* Its successor closes the chunk at once: what was half retired is recorded once. */
static bool run_closed_behind_it(unsigned life)
{
	struct ctf_rig r;
	struct ctf_mortal m = {.rig = &r, .before = close_chunk};
	size_t i;
	json_t *json, *one;
	json_int_t stored, streams;

	make(&r);
	packet(&r, 0, 0, 0);
	packet(&r, 2, 0, 0);
	close_stream(&r, 0, 0);
	close_stream(&r, 1, CTF_NONE);
	ctf_mortal_start(&m, life);
	ctf_mortal_wait(&m, m.died || (is_retired(&r, 0) && is_retired(&r, 1)));
	if (!m.died)
		close_chunk(&r, true);
	ctf_mortal_wait(&m, ctf_source_now(r.ctf)->gone.serial == 1);
	ctf_mortal_end(&m);
	json = record(&r, "");
	stored = number(json, "bytes");
	cr_assert_eq(stored, (json_int_t)(2 * LEN + 2 * strlen(TEXT)), "life %u: %lld", life,
		     (long long)stored);
	one = json_object_get(json, "ended_streams");
	streams = one ? number(one, "count") : 0;
	stored = one ? number(one, "stored") : 0;
	json_array_foreach (json_object_get(json, "streams"), i, one) {
		stored += number(one, "stored");
		streams++;
	}
	cr_assert_eq(streams, CTF_RIG_STREAMS, "life %u", life);
	cr_assert_eq(stored, number(json, "bytes"), "life %u", life);
	json_decref(json);
	ctf_rig_free(&r);
	return m.died;
}

Test(ctf_retire, its_chunk_closes_behind_a_kill, .timeout = 300)
{
	cr_assert_gt(ctf_mortal_lives(run_closed_behind_it), 60);
}
