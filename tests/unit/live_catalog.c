/* SPDX-License-Identifier: MIT */
/* live_catalog.c - what viewers are told, out of a state memory made by hand. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "relayd/live_catalog.h"
#include "tests/unit/live_rig.h"

Test(live_catalog, sessions_are_lttng_sources_whose_client_is_there)
{
	struct live_session s;
	struct live_rig r;
	uint64_t a, b;
	uint32_t at = 0;

	live_rig_make(&r);
	cr_assert_not(live_catalog_next_session(&r.st, &at, &s));
	a = live_rig_session(&r, 0, "first", "p");
	b = live_rig_session(&r, 2, "second", "q");
	live_rig_stream(&r, 2, "ch_0", 0);
	live_rig_stream(&r, 2, "ch_1", 0);
	live_rig_publish(&r, 2, 1);
	cr_assert(live_catalog_next_session(&r.st, &at, &s));
	cr_assert_eq(s.entry.id, a);
	cr_assert_str_eq(s.entry.name, "first");
	cr_assert_str_eq(s.entry.host, "host");
	cr_assert(live_catalog_next_session(&r.st, &at, &s));
	cr_assert_eq(s.entry.id, b);
	cr_assert_eq(s.entry.streams, 1);
	cr_assert_eq(s.entry.live_timer_us, 1000000);
	cr_assert_not(live_catalog_next_session(&r.st, &at, &s));

	/* Orders that were not applied yet: it may still publish streams. */
	ctf_front_begin(&r.st.ctf_source[0])->ordered = 48;
	ctf_front_commit(&r.st.ctf_source[0]);
	live_rig_controls(&r, 0, 0);
	cr_assert(live_catalog_session(&r.st, a, &s));
	cr_assert_not(s.over);
	atomic_store(&r.st.ctf_source[0].applied, 48);
	cr_assert(live_catalog_session(&r.st, a, &s));
	cr_assert(s.over);
	at = 0;
	cr_assert(live_catalog_next_session(&r.st, &at, &s));
	cr_assert_eq(s.entry.id, b);

	r.st.ctf_source[2].snapshot = 1;
	cr_assert_not(live_catalog_session(&r.st, b, &s));
	r.st.ctf_source[2].snapshot = 0;
	r.st.source[2].protocol = PROTOCOL_TRACE_CMD_V3;
	cr_assert_not(live_catalog_session(&r.st, b, &s));
	r.st.source[2].protocol = PROTOCOL_LTTNG;
	cr_assert(live_catalog_session(&r.st, b, &s));
	live_rig_forget(&r, b);
	cr_assert_not(live_catalog_session(&r.st, b, &s));
	cr_assert_not(live_catalog_session(&r.st, 0, &s));
	cr_assert_not(live_catalog_session(&r.st, UINT64_MAX, &s));
	live_rig_free(&r);
}

Test(live_catalog, streams_in_the_order_they_were_announced)
{
	struct stream_walk walk = {0};
	struct live_stream t;
	struct live_rig r;
	uint64_t s, other, x, y;

	live_rig_make(&r);
	s = live_rig_session(&r, 0, "a", "p");
	other = live_rig_session(&r, 1, "b", "q");
	x = live_rig_stream(&r, 0, "ch_0", 0);
	live_rig_stream(&r, 1, "ch_0", 0);
	y = live_rig_stream(&r, 0, "metadata", 0);
	cr_assert(live_catalog_next_stream(&r.st, s, &walk, &t));
	cr_assert_eq(t.entry.id, x);
	cr_assert_str_eq(t.entry.name, "ch_0");
	cr_assert_str_eq(t.entry.path, "ust/uid/0/64-bit");
	cr_assert_eq(t.entry.trace, 77);
	cr_assert_not(t.entry.metadata);
	cr_assert_eq(t.number, 0);
	cr_assert(live_catalog_next_stream(&r.st, s, &walk, &t));
	cr_assert_eq(t.entry.id, y);
	cr_assert_eq(t.number, 1);
	cr_assert(t.entry.metadata);
	cr_assert_not(live_catalog_next_stream(&r.st, s, &walk, &t));
	cr_assert_not(live_catalog_next_stream(&r.st, other, &walk, &t), "another's");
	walk = (struct stream_walk){.at = UINT32_MAX};
	cr_assert_not(live_catalog_next_stream(&r.st, s, &walk, &t));
	cr_assert_not(live_catalog_stream(&r.st, UINT64_MAX, &t));
	live_rig_forget(&r, s);
	cr_assert_not(live_catalog_stream(&r.st, x, &t));
	live_rig_free(&r);
}

/* Behind the first stream of the session. */
static void expect_untold(struct live_rig *r, uint64_t session, bool ready, uint64_t until)
{
	struct stream_walk told = {.from = 1};
	struct live_untold u;

	live_catalog_untold(&r->st, session, &told, &u);
	cr_assert_eq(u.ready, ready);
	cr_assert_eq(u.until, until, "%llu", (unsigned long long)u.until);
}

Test(live_catalog, a_stream_is_to_be_told_with_its_first_packet)
{
	struct live_rig r;
	uint64_t s, x, y, m;

	live_rig_make(&r);
	s = live_rig_session(&r, 0, "a", "p");
	live_rig_stream(&r, 0, "told", 0);
	expect_untold(&r, s, false, UINT64_MAX);
	x = live_rig_stream(&r, 0, "ch_0", 0);
	y = live_rig_stream(&r, 0, "ch_1", 0);
	m = live_rig_stream(&r, 0, "metadata", 0);
	live_rig_begin(&r, x)->ctf.beacon_end = 20;
	live_rig_commit(&r, x);
	expect_untold(&r, s, false, 0);
	live_rig_begin(&r, y)->ctf.beacon_end = 10;
	live_rig_commit(&r, y);
	expect_untold(&r, s, false, 10);
	live_rig_begin(&r, y)->ctf.any_index = 1;
	live_rig_commit(&r, y);
	expect_untold(&r, s, false, 0); /* nothing can decode it */
	live_rig_metadata(&r, m, 10, 'x');
	expect_untold(&r, s, true, 20);
	live_rig_begin(&r, x)->ctf.closed = 1;
	live_rig_commit(&r, x);
	expect_untold(&r, s, true, UINT64_MAX);
	live_rig_free(&r);
}

Test(live_catalog, a_stream_is_over_when_all_that_was_said_has_come)
{
	struct live_where *w = calloc(1, sizeof(*w));
	struct ctf_stream_half *h;
	const char *moving_to;
	struct live_rig r;
	uint64_t t;

	live_rig_make(&r);
	live_rig_session(&r, 0, "a", "p");
	t = live_rig_stream(&r, 0, "ch_0", 0);
	cr_assert(live_catalog_where(&r.st, t, w));
	cr_assert_not(w->over);
	cr_assert_str_eq(live_where_dir(w, 1, &moving_to), "p");
	cr_assert_str_eq(moving_to, "");
	cr_assert_null(live_where_dir(w, 2, &moving_to));
	cr_assert_null(live_where_dir(w, 0, &moving_to));
	cr_assert_eq(live_where_next(w, 0), 1);
	cr_assert_eq(live_where_next(w, 1), 0);
	w->source.past[1].serial = 3;
	strcpy(w->source.past[1].dir, "q");
	cr_assert_eq(live_where_next(w, 1), 3);
	cr_assert_str_eq(live_where_dir(w, 3, &moving_to), "q");
	cr_assert_str_eq(w->path, "ust/uid/0/64-bit");
	r.st.ctf_source[0].minor = 10;
	snprintf(r.st.ctf_stream[0].path, CTF_PATH, "vm/s1-DT/ust/pid/x");
	cr_assert(live_catalog_where(&r.st, t, w));
	cr_assert_str_eq(w->path, "ust/pid/x", "below the session's place");
	h = &live_rig_begin(&r, t)->ctf;
	h->closed = 1;
	h->last_seq = 5;
	h->any_data = h->any_index = 1;
	h->data_seq = 5;
	h->index_seq = 4;
	live_rig_commit(&r, t);
	cr_assert(live_catalog_where(&r.st, t, w));
	cr_assert_not(w->over);
	live_rig_begin(&r, t)->ctf.index_seq = 5;
	live_rig_commit(&r, t);
	cr_assert(live_catalog_where(&r.st, t, w));
	cr_assert(w->over);
	h = &live_rig_begin(&r, t)->ctf;
	h->closed = 0;
	live_rig_commit(&r, t);
	live_rig_begin(&r, t)->state = STREAM_ENDED;
	live_rig_commit(&r, t);
	cr_assert(live_catalog_where(&r.st, t, w));
	cr_assert(w->over);
	live_rig_free(&r);
	free(w);
}
