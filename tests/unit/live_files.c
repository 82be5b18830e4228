/* SPDX-License-Identifier: MIT */
/* live_files.c - a viewer's cursor over files that grow, end, move and vanish. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "relayd/live_files.h"
#include "tests/unit/live_rig.h"

static struct live_rig rig;
static struct live_files *files;
static uint64_t session;

static void make(void)
{
	live_rig_make(&rig);
	session = live_rig_session(&rig, 0, "s", "vm/s");
	files = live_files_new(&rig.st, rig.output);
}

static void drop(void)
{
	live_files_free(files);
	live_rig_free(&rig);
}

/* Another process: no file is open. */
static void restart(void)
{
	live_files_free(files);
	files = live_files_new(&rig.st, rig.output);
}

static struct viewer_cursor cursor_of(uint64_t stream, bool now)
{
	struct viewer_cursor c = {.stream = stream, .born = 1};

	live_files_start(files, &c, now);
	return c;
}

static enum live_next step(struct viewer_cursor *c, struct live_record *ret)
{
	enum live_next r = live_files_next(files, 0, c, ret);

	if (r == LIVE_NEXT_RECORD && ret->ts_end > c->time)
		c->time = ret->ts_end; /* as the machine does */
	return r;
}

/* The next record is number n, and its packet can be read. */
static void expect(struct viewer_cursor *c, uint64_t n)
{
	struct live_record record;
	uint8_t packet[RIG_PACKET];
	enum live_next r = step(c, &record);

	cr_assert_eq(r, LIVE_NEXT_RECORD, "%u for %u", r, (unsigned)n);
	cr_assert_eq(record.ts_begin, n, "%u for %u", (unsigned)record.ts_begin, (unsigned)n);
	cr_assert_eq(record.class_id, 3);
	cr_assert_eq(live_files_packet(files, 0, c, record.offset, RIG_PACKET, packet),
		     (int)RIG_PACKET);
	cr_assert_eq(packet[0], (uint8_t)n);
	cr_assert_eq(packet[RIG_PACKET - 1], (uint8_t)n);
}

static void expect_none(struct viewer_cursor *c, enum live_next what)
{
	struct live_record record;
	enum live_next r = step(c, &record);

	cr_assert_eq(r, what, "%u", r);
}

static void end_stream(uint64_t t)
{
	live_rig_begin(&rig, t)->state = STREAM_ENDED;
	live_rig_commit(&rig, t);
}

TestSuite(live_files, .init = make, .fini = drop);

Test(live_files, records_that_are_counted_are_seen)
{
	uint64_t t = live_rig_stream(&rig, 0, "ch_0", 0);
	struct viewer_cursor c = cursor_of(t, false), late;
	uint8_t byte;

	expect_none(&c, LIVE_NEXT_NOTHING);
	live_rig_packet(&rig, t, true);
	live_rig_packet(&rig, t, true);
	expect(&c, 0);
	late = cursor_of(t, true);
	late.born = 2;
	live_rig_packet(&rig, t, false);
	expect(&c, 1);
	expect_none(&c, LIVE_NEXT_NOTHING);
	restart();
	cr_assert_eq(live_files_packet(files, 0, &c, 0, 1, &byte), 1, "opened by name");
	live_rig_begin(&rig, t)->ctf.records++;
	live_rig_commit(&rig, t);
	expect(&late, 2); /* the same entry, another cursor */
	expect(&c, 2);
	cr_assert_eq(live_files_packet(files, 0, &c, 3 * RIG_PACKET, 1, &byte), -ENODATA);
	cr_assert_lt(live_files_packet(files, 0, &c, UINT64_MAX, 1, &byte), 0);
}

Test(live_files, beacons_and_the_end)
{
	uint64_t t = live_rig_stream(&rig, 0, "ch_0", 0);
	struct viewer_cursor c = cursor_of(t, false);
	struct live_record record;

	live_rig_begin(&rig, t)->ctf.beacon_end = 9;
	live_rig_commit(&rig, t);
	cr_assert_eq(step(&c, &record), LIVE_NEXT_BEACON);
	cr_assert_eq(record.ts_end, 9);
	cr_assert_eq(record.class_id, 3);
	live_rig_packet(&rig, t, true);
	end_stream(t);
	expect(&c, 0);
	expect_none(&c, LIVE_NEXT_OVER);
}

/* As ctf_chunk.c and ctf_rotate.c do: chunk 1 is finished, the stream is in none. */
static void finish(uint64_t t, const char *place)
{
	struct stream_half *h = live_rig_begin(&rig, t);
	struct ctf_source_half *s;

	h->ctf.left_serial = h->ctf.chunk_serial;
	h->ctf.left_file = h->ctf.file;
	h->ctf.chunk = 0;
	h->ctf.chunk_serial = h->ctf.file = h->ctf.records = h->position = 0;
	live_rig_commit(&rig, t);
	live_rig_chunk(&rig, 0, 0, 0, "");
	s = ctf_source_begin(&rig.st.ctf_source[0]);
	s->past[2].serial = 1;
	snprintf(s->past[2].dir, sizeof(s->past[2].dir), "%s", place);
	ctf_source_commit(&rig.st.ctf_source[0]);
}

Test(live_files, who_is_behind_reads_chunks_that_are_finished)
{
	uint64_t t = live_rig_stream(&rig, 0, "ch_0", 0);
	uint64_t ring = live_rig_stream(&rig, 0, "ch_1", 2);
	uint64_t m = live_rig_stream(&rig, 0, "metadata", 0);
	struct viewer_cursor c = cursor_of(t, false), late, text = {.stream = m, .born = 1};
	uint8_t bytes[RIG_METADATA];
	bool over;

	text.metadata = 1;
	live_rig_metadata(&rig, m, 10, 'x');
	for (int i = 0; i < 3; i++)
		live_rig_packet(&rig, t, true);
	for (int i = 0; i < 4; i++) {
		if (i)
			live_rig_next_file(&rig, ring);
		live_rig_packet(&rig, ring, true);
	}
	finish(t, "vm/s");
	finish(ring, "vm/s");
	finish(m, "vm/s");
	late = cursor_of(t, true);
	late.born = 2;
	expect(&c, 0);
	expect(&c, 1);
	restart();
	expect(&c, 2);
	expect_none(&c, LIVE_NEXT_NOTHING);
	end_stream(t);
	expect_none(&c, LIVE_NEXT_OVER);
	expect_none(&late, LIVE_NEXT_OVER);
	c = cursor_of(ring, false);
	expect(&c, 2); /* the oldest that is left */
	expect(&c, 3);
	end_stream(ring);
	expect_none(&c, LIVE_NEXT_OVER);
	end_stream(m);
	cr_assert_eq(live_files_metadata(files, 1, &text, bytes, sizeof(bytes), &over),
		     (int)RIG_METADATA);
	cr_assert_eq(live_files_metadata(files, 1, &text, bytes, sizeof(bytes), &over), 0);
	cr_assert(over);
}

Test(live_files, a_source_that_is_gone_is_read_to_its_end)
{
	uint64_t t = live_rig_stream(&rig, 0, "ch_0", 0);
	struct viewer_cursor c = cursor_of(t, false);
	char from[100], to[100];

	for (int i = 0; i < 3; i++)
		live_rig_packet(&rig, t, true);
	expect(&c, 0);
	live_rig_forget(&rig, session);
	snprintf(from, sizeof(from), "%s/vm", rig.dir);
	snprintf(to, sizeof(to), "%s/wm", rig.dir);
	cr_assert_eq(rename(from, to), 0);
	expect(&c, 1);
	expect(&c, 2);
	expect_none(&c, LIVE_NEXT_OVER);
	expect_none(&c, LIVE_NEXT_OVER);
}

Test(live_files, tracefiles_one_after_the_other)
{
	uint64_t t = live_rig_stream(&rig, 0, "ch_0", 100);
	struct viewer_cursor c = cursor_of(t, false);

	live_rig_packet(&rig, t, true);
	live_rig_packet(&rig, t, true);
	expect(&c, 0);
	live_rig_next_file(&rig, t);
	expect(&c, 1);
	expect_none(&c, LIVE_NEXT_NOTHING); /* and its file stays readable */
	cr_assert_eq(live_files_packet(files, 0, &c, RIG_PACKET, 1, (uint8_t[1]){0}), 1);
	live_rig_packet(&rig, t, true);
	live_rig_next_file(&rig, t);
	live_rig_next_file(&rig, t); /* one that got no record */
	live_rig_packet(&rig, t, true);
	expect(&c, 2);
	restart();
	expect(&c, 3);
	expect_none(&c, LIVE_NEXT_NOTHING);
}

Test(live_files, an_index_that_comes_late_belongs_to_its_file)
{
	uint64_t t = live_rig_stream(&rig, 0, "ch_0", 100);
	struct viewer_cursor c = cursor_of(t, false);
	struct ctf_waiting *w;

	live_rig_packet(&rig, t, true);
	expect(&c, 0);
	live_rig_next_file(&rig, t);
	w = &live_rig_begin(&rig, t)->ctf.waiting[0];
	w->chunk = 1;
	w->file = 0;
	live_rig_commit(&rig, t);
	live_rig_packet(&rig, t, true);
	expect_none(&c, LIVE_NEXT_NOTHING);
	live_rig_begin(&rig, t)->ctf.waiting[0].chunk = 0;
	live_rig_commit(&rig, t);
	expect(&c, 1);
}

Test(live_files, a_ring_that_is_faster_than_the_viewer)
{
	uint64_t t = live_rig_stream(&rig, 0, "ch_0", 2);
	struct viewer_cursor c = cursor_of(t, false), fresh;

	live_rig_packet(&rig, t, true);
	live_rig_packet(&rig, t, true);
	expect(&c, 0);
	for (int i = 0; i < 4; i++) { /* files 1 to 4; 3 and 4 are left */
		live_rig_next_file(&rig, t);
		live_rig_packet(&rig, t, true);
	}
	fresh = c;
	expect(&c, 1); /* unlinked, yet open */
	expect(&c, 4); /* packet 2 was file 1's, 3 file 2's */
	expect(&c, 5);
	expect_none(&c, LIVE_NEXT_NOTHING);
	restart();
	expect(&fresh, 4); /* nothing was open */
	fresh = cursor_of(t, false);
	fresh.born = 3;
	expect(&fresh, 4);
}

Test(live_files, chunks_move_and_go)
{
	uint64_t t = live_rig_stream(&rig, 0, "ch_0", 0);
	struct viewer_cursor c = cursor_of(t, false);
	char from[100], to[100], command[400];

	live_rig_packet(&rig, t, true);
	live_rig_packet(&rig, t, true);
	expect(&c, 0);
	live_rig_chunk(&rig, 0, 1, 2, "vm/s/.chunk-2");
	live_rig_next_chunk(&rig, t, 1);
	live_rig_packet(&rig, t, true);
	snprintf(from, sizeof(from), "%s/vm/s/ust", rig.dir);
	snprintf(to, sizeof(to), "%s/vm/s/archives", rig.dir);
	snprintf(command, sizeof(command), "mkdir %s && mv %s %s/", to, from, to);
	cr_assert_eq(system(command), 0);
	live_rig_chunk(&rig, 0, 0, 0, "");
	expect(&c, 1);
	live_rig_chunk(&rig, 0, 0, 3, "vm/s");
	live_rig_next_chunk(&rig, t, 0);
	live_rig_packet(&rig, t, true);
	expect(&c, 2);
	expect(&c, 3);
	expect_none(&c, LIVE_NEXT_NOTHING);
}

Test(live_files, a_chunk_that_was_cleared_is_left_behind)
{
	uint64_t t = live_rig_stream(&rig, 0, "ch_0", 0);
	struct viewer_cursor c = cursor_of(t, true), late;
	char command[100];

	live_rig_packet(&rig, t, true);
	late = c;
	late.born = 2;
	live_rig_chunk(&rig, 0, 1, 2, "vm/s/.chunk-2");
	live_rig_next_chunk(&rig, t, 1);
	snprintf(command, sizeof(command), "rm -r %s/vm/s/ust", rig.dir);
	cr_assert_eq(system(command), 0);
	expect_none(&late, LIVE_NEXT_NOTHING);
	live_rig_chunk(&rig, 0, 0, 0, "");
	live_rig_packet(&rig, t, true);
	expect(&c, 1);
	/* A rename that is under way: the state names both places. */
	ctf_source_begin(&rig.st.ctf_source[0]);
	ctf_source_commit(&rig.st.ctf_source[0]);
	live_rig_chunk(&rig, 0, 1, 2, "vm/elsewhere");
	snprintf(ctf_source_begin(&rig.st.ctf_source[0])->chunk[1].moving_to, CTF_DIR,
		 "vm/s/.chunk-2");
	ctf_source_commit(&rig.st.ctf_source[0]);
	expect(&late, 1);
}

/* ---- metadata ---- */

static int metadata(struct viewer_cursor *c, uint8_t *to, uint32_t max)
{
	bool over;

	return live_files_metadata(files, 0, c, to, max, &over);
}

Test(live_files, metadata_in_whole_packets)
{
	uint64_t t = live_rig_stream(&rig, 0, "metadata", 0);
	struct viewer_cursor c = {.stream = t, .born = 1, .metadata = 1}, look;
	uint8_t to[4 * RIG_METADATA];
	bool over;

	cr_assert_eq(metadata(&c, to, sizeof(to)), 0);
	for (char name = 'a'; name < 'd'; name++)
		live_rig_metadata(&rig, t, 100, name);
	/* What is in the file and not in the state is not whole yet. */
	live_rig_begin(&rig, t)->position -= RIG_METADATA;
	live_rig_commit(&rig, t);
	look = c;
	cr_assert_gt(metadata(&look, NULL, sizeof(to)), 0);
	cr_assert_eq(metadata(&c, to, 2 * RIG_METADATA - 1), (int)RIG_METADATA);
	cr_assert_eq(to[37], 'a');
	cr_assert_eq(metadata(&c, to, sizeof(to)), (int)RIG_METADATA);
	cr_assert_eq(to[37], 'b');
	cr_assert_eq(metadata(&c, to, sizeof(to)), 0);
	look = c;
	cr_assert_eq(metadata(&look, NULL, sizeof(to)), 0);
	live_rig_begin(&rig, t)->position += RIG_METADATA;
	live_rig_commit(&rig, t);
	restart();
	cr_assert_eq(metadata(&c, to, RIG_METADATA - 1), -EMSGSIZE);
	cr_assert_eq(metadata(&c, to, sizeof(to)), (int)RIG_METADATA);
	cr_assert_eq(to[37], 'c');
	live_rig_begin(&rig, t)->ctf.closed = 1;
	live_rig_commit(&rig, t);
	cr_assert_eq(live_files_metadata(files, 0, &c, to, sizeof(to), &over), 0);
	cr_assert(over);
}

Test(live_files, metadata_of_the_next_chunk_goes_on_where_it_was)
{
	uint64_t t = live_rig_stream(&rig, 0, "metadata", 0);
	struct viewer_cursor c = {.stream = t, .born = 1, .metadata = 1}, look;
	uint8_t to[4 * RIG_METADATA];

	live_rig_metadata(&rig, t, 100, 'a');
	live_rig_metadata(&rig, t, 50, 'b');
	cr_assert_eq(metadata(&c, to, sizeof(to)), (int)(2 * RIG_METADATA));
	cr_assert_eq(c.content, 150);
	live_rig_chunk(&rig, 0, 1, 2, "vm/s/.chunk-2");
	live_rig_next_chunk(&rig, t, 1);
	cr_assert_eq(metadata(&c, to, sizeof(to)), 0);
	live_rig_metadata(&rig, t, 120, 'x'); /* again, cut in other places */
	look = c;
	cr_assert_eq(metadata(&look, NULL, sizeof(to)), 0);
	cr_assert_eq(metadata(&c, to, sizeof(to)), 0);
	live_rig_metadata(&rig, t, 60, 'y');
	live_rig_metadata(&rig, t, 10, 'z');
	cr_assert_eq(metadata(&c, to, sizeof(to)), 37 + 30);
	cr_assert_eq(to[37], 'y');
	cr_assert_eq(to[37 + 29], 'y');
	cr_assert_eq(to[24] | to[25] << 8, (37 + 30) * 8);
	cr_assert_eq(to[28] | to[29] << 8, (37 + 30) * 8);
	cr_assert_eq(metadata(&c, to, sizeof(to)), (int)RIG_METADATA);
	cr_assert_eq(to[37], 'z');
	cr_assert_eq(c.content, 190);
	cr_assert_eq(metadata(&c, to, sizeof(to)), 0);
}

Test(live_files, what_is_no_metadata_is_not_sent)
{
	uint64_t t = live_rig_stream(&rig, 0, "metadata", 0);
	struct viewer_cursor c = {.stream = t, .born = 1, .metadata = 1};
	uint8_t to[RIG_METADATA];
	char command[200];

	live_rig_metadata(&rig, t, 100, 'a');
	snprintf(command, sizeof(command), "echo x | dd conv=notrunc status=none of=%s/vm/s/%s",
		 rig.dir, "ust/uid/0/64-bit/metadata");
	cr_assert_eq(system(command), 0);
	cr_assert_eq(metadata(&c, to, sizeof(to)), -EBADMSG);
}
