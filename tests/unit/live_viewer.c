/* SPDX-License-Identifier: MIT */
/* live_viewer.c - the machine of a live viewer, over sessions and streams that are made up. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relayd/live_viewer.h"

#define STREAMS 8

struct made_up {
	uint64_t id, session, trace;
	bool metadata, gone, over;
	uint64_t records, beacon, class_id;
	uint64_t text; /* metadata: bytes of it */
};

/* Two sessions: 100 (live), 200 (not live). */
static struct {
	bool gone, over;
	uint32_t timer;
	uint32_t published[2];
	struct made_up stream[STREAMS];
	int no_memory;
} world;

static bool get_session(void *ctx, uint64_t handle, struct live_session *ret)
{
	(void)ctx;
	if ((handle != 100 && handle != 200) || (handle == 100 && world.gone))
		return false;
	*ret = (struct live_session){.entry = {.id = handle}};
	ret->entry.live_timer_us = handle == 100 ? world.timer : 0;
	ret->entry.streams = world.published[handle == 200];
	ret->published = ret->entry.streams;
	snprintf(ret->entry.name, sizeof(ret->entry.name), "s%u", (unsigned)handle);
	ret->over = handle == 100 && world.over;
	return true;
}

static bool next_session(void *ctx, uint32_t *at, struct live_session *ret)
{
	while (*at < 2)
		if (get_session(ctx, 100 + 100 * (uint64_t)(*at)++, ret))
			return true;
	return false;
}

static struct made_up *find(uint64_t handle)
{
	for (int i = 0; i < STREAMS; i++)
		if (world.stream[i].id == handle && handle && !world.stream[i].gone)
			return &world.stream[i];
	return NULL;
}

static bool get_stream(void *ctx, uint64_t handle, struct live_stream *ret)
{
	struct made_up *m = find(handle);

	(void)ctx;
	if (!m)
		return false;
	*ret = (struct live_stream){.index = (uint32_t)(m - world.stream)};
	for (const struct made_up *before = world.stream; before < m; before++)
		ret->number += before->session == m->session;
	ret->entry.id = handle;
	ret->entry.trace = m->trace;
	ret->entry.metadata = m->metadata;
	return true;
}

static bool next_stream(void *ctx, uint64_t session, struct stream_walk *walk,
			struct live_stream *ret)
{
	for (uint32_t i = walk->at; i < STREAMS; i++) {
		if (world.stream[i].session != session)
			continue;
		cr_assert(get_stream(ctx, world.stream[i].id, ret));
		*walk = (struct stream_walk){.from = ret->number + 1, .at = i + 1};
		return true;
	}
	return false;
}

static void untold(void *ctx, uint64_t session, const struct stream_walk *told,
		   struct live_untold *ret)
{
	(void)ctx;
	*ret = (struct live_untold){.until = UINT64_MAX};
	for (uint32_t i = told->at; i < STREAMS; i++) {
		const struct made_up *m = &world.stream[i];

		if (m->session != session || m->metadata)
			continue;
		if (m->records)
			ret->ready = true;
		else if (m->beacon < ret->until)
			ret->until = m->beacon;
	}
}

static void start(void *ctx, struct viewer_cursor *c, bool now)
{
	(void)ctx;
	if (now && !c->metadata)
		c->next = find(c->stream)->records;
}

static enum live_next next(void *ctx, uint32_t i, struct viewer_cursor *c, struct live_record *ret)
{
	struct made_up *m = find(c->stream);

	(void)ctx;
	(void)i;
	if (!m)
		return LIVE_NEXT_OVER;
	if (c->next < m->records) {
		*ret = (struct live_record){.offset = c->next++ * 4096,
					    .ts_end = c->next * 10,
					    .class_id = m->class_id};
		return LIVE_NEXT_RECORD;
	}
	if (m->over)
		return LIVE_NEXT_OVER;
	if (!m->beacon)
		return LIVE_NEXT_NOTHING;
	*ret = (struct live_record){.ts_end = m->beacon, .class_id = m->class_id, .offset = 77};
	return LIVE_NEXT_BEACON;
}

static int packet(void *ctx, uint32_t i, const struct viewer_cursor *c, uint64_t offset,
		  uint32_t len, uint8_t *to)
{
	(void)ctx;
	(void)i;
	(void)c;
	if (offset > 100000)
		return -ENODATA;
	memset(to, 'p', len);
	return (int)len;
}

static int metadata(void *ctx, uint32_t i, struct viewer_cursor *c, uint8_t *to, uint32_t max,
		    bool *ret_over)
{
	struct made_up *m = find(c->stream);
	uint64_t len = m ? m->text - c->next : 0;

	(void)ctx;
	(void)i;
	*ret_over = !m || m->over;
	len = len < max ? len : max;
	if (to)
		memset(to, 'm', len);
	c->next += len;
	return (int)len;
}

static int room(void *ctx, size_t len)
{
	(void)ctx;
	(void)len;
	return world.no_memory ? -ENOMEM : 0;
}

static const struct live_facts facts = {
	.next_session = next_session,
	.session = get_session,
	.next_stream = next_stream,
	.untold = untold,
	.stream = get_stream,
	.start = start,
	.next = next,
	.packet = packet,
	.metadata = metadata,
	.room = room,
};

/* ---- a viewer ---- */

struct peer {
	struct live_viewer s;
	struct viewer_slot *v;
	uint64_t position;
	struct live_viewer_output out;
};

static uint32_t be32(const struct peer *p, size_t at)
{
	struct wire_reader r = wire_reader_init(p->v->reply + at, 4);

	cr_assert_leq(at + 4, p->out.reply_len);
	return wire_get_u32(&r);
}

static uint64_t be64(const struct peer *p, size_t at)
{
	return (uint64_t)be32(p, at) << 32 | be32(p, at + 4);
}

/* Every request is taken twice, as by a process that was killed before its commit. */
static void ask_raw(struct peer *p, const uint8_t *bytes, size_t len, bool eof)
{
	struct live_viewer_input in = {.bytes = bytes,
				       .len = len,
				       .position = p->position,
				       .id = 5,
				       .eof = eof,
				       .facts = &facts};
	struct live_viewer lost = p->s;
	struct live_viewer_output first;
	uint8_t *reply;

	live_viewer_step(&lost, p->v, &in, &first);
	reply = malloc(first.reply_len + 1);
	memcpy(reply, p->v->reply, first.reply_len);
	live_viewer_step(&p->s, p->v, &in, &p->out);
	cr_assert_eq(p->out.action, first.action);
	cr_assert_eq(p->out.reply_len, first.reply_len);
	cr_assert_arr_eq(p->v->reply, reply, first.reply_len);
	free(reply);
	p->position += p->out.consumed;
	if (p->out.action == LIVE_VIEWER_REPLY) {
		live_viewer_apply(&p->s, p->v);
		live_viewer_apply(&p->s, p->v);
	}
}

static void ask(struct peer *p, struct live_request m, size_t reply_len)
{
	uint8_t bytes[LIVE_REQUEST_MAX];
	struct wire_writer w = wire_writer_init(bytes, sizeof(bytes));

	live_request_encode(&w, &m);
	ask_raw(p, bytes, w.len, false);
	cr_assert_eq(p->out.action, LIVE_VIEWER_REPLY, "command %u", m.command);
	cr_assert_eq(p->out.reply_len, reply_len, "command %u: %zu", m.command, p->out.reply_len);
}

#define ASK(p, len, ...) ask(p, (struct live_request){__VA_ARGS__}, len)

static struct peer new_peer(void)
{
	struct peer p = {.v = aligned_alloc(_Alignof(struct viewer_slot), sizeof(*p.v))};

	cr_assert_not_null(p.v);
	memset(p.v, 0, sizeof(*p.v));
	return p;
}

static struct peer connected(void)
{
	struct peer p = new_peer();

	ASK(&p, 20, .command = LIVE_CONNECT, .id = UINT64_MAX, .major = 2, .minor = 4, .type = 1);
	cr_assert_eq(be64(&p, 0), 5);
	cr_assert_eq(be32(&p, 12), 4);
	ASK(&p, 4, .command = LIVE_CREATE_SESSION);
	cr_assert_eq(be32(&p, 0), LIVE_CREATE_OK);
	return p;
}

static void make_world(void)
{
	world.timer = 1000000;
	world.published[0] = 3;
	world.published[1] = 1;
	world.stream[0] = (struct made_up){.id = 10, .session = 100, .trace = 1, .records = 2};
	world.stream[1] = (struct made_up){.id = 11, .session = 200, .trace = 2, .records = 2};
	world.stream[2] = (struct made_up){.id = 12, .session = 100, .trace = 1, .class_id = 3};
	world.stream[3] = (struct made_up){
		.id = 13, .session = 100, .trace = 1, .metadata = true, .text = 4096};
	world.stream[4] = (struct made_up){.id = 14, .session = 100, .trace = 4, .records = 1};
}

static void attach(struct peer *p, uint32_t seek)
{
	ASK(p, 8 + 3 * LIVE_STREAM_ENTRY, .command = LIVE_ATTACH_SESSION, .id = 100, .seek = seek);
	cr_assert_eq(be32(p, 0), LIVE_ATTACH_OK);
	cr_assert_eq(be32(p, 4), 3);
}

static void next_index(struct peer *p, uint64_t stream, uint32_t status, uint32_t flags)
{
	ASK(p, 64, .command = LIVE_GET_NEXT_INDEX, .id = stream);
	cr_assert_eq(be32(p, 56), status, "%u", be32(p, 56));
	cr_assert_eq(be32(p, 60), flags, "%u", be32(p, 60));
}

TestSuite(live_viewer, .init = make_world);

Test(live_viewer, sessions_are_listed_live_or_not)
{
	struct peer p = connected();

	ASK(&p, 4 + 2 * LIVE_SESSION_ENTRY, .command = LIVE_LIST_SESSIONS);
	cr_assert_eq(be32(&p, 0), 2);
	cr_assert_eq(be64(&p, 4), 100);
	cr_assert_eq(be32(&p, 12), 1000000);
	cr_assert_eq(be32(&p, 20), 3);
	cr_assert_str_eq((char *)p.v->reply + 4 + LIVE_SESSION_ENTRY + 84, "s200");
}

Test(live_viewer, attaching_says_why_not)
{
	struct peer p = new_peer();

	ASK(&p, 20, .command = LIVE_CONNECT, .major = 2, .minor = 99, .type = 1);
	cr_assert_eq(be32(&p, 12), LIVE_MINOR);
	ASK(&p, 8, .command = LIVE_ATTACH_SESSION, .id = 100, .seek = 2);
	cr_assert_eq(be32(&p, 0), LIVE_ATTACH_NO_SESSION);
	ASK(&p, 4, .command = LIVE_CREATE_SESSION);
	ASK(&p, 8, .command = LIVE_ATTACH_SESSION, .id = 300, .seek = 2);
	cr_assert_eq(be32(&p, 0), LIVE_ATTACH_UNKNOWN);
	ASK(&p, 8, .command = LIVE_ATTACH_SESSION, .id = 200, .seek = 2);
	cr_assert_eq(be32(&p, 0), LIVE_ATTACH_NOT_LIVE);
	ASK(&p, 8, .command = LIVE_ATTACH_SESSION, .id = 100, .seek = 3);
	cr_assert_eq(be32(&p, 0), LIVE_ATTACH_SEEK);
	attach(&p, LIVE_SEEK_NOW);
	ASK(&p, 8, .command = LIVE_ATTACH_SESSION, .id = 100, .seek = 2);
	cr_assert_eq(be32(&p, 0), LIVE_ATTACH_ALREADY);
	ASK(&p, 4, .command = LIVE_DETACH_SESSION, .id = 100);
	cr_assert_eq(be32(&p, 0), LIVE_DETACH_OK);
	ASK(&p, 4, .command = LIVE_DETACH_SESSION, .id = 100);
	cr_assert_eq(be32(&p, 0), LIVE_DETACH_UNKNOWN);
	attach(&p, LIVE_SEEK_NOW);
}

Test(live_viewer, from_the_beginning_and_from_now)
{
	struct peer a = connected(), b = connected();

	attach(&a, LIVE_SEEK_BEGINNING);
	attach(&b, LIVE_SEEK_NOW);
	next_index(&a, 10, LIVE_INDEX_OK, LIVE_NEW_METADATA);
	cr_assert_eq(be64(&a, 0), 0);
	next_index(&b, 10, LIVE_INDEX_RETRY, 0);
	next_index(&a, 10, LIVE_INDEX_OK, LIVE_NEW_METADATA);
	cr_assert_eq(be64(&a, 0), 4096);
	next_index(&a, 10, LIVE_INDEX_RETRY, 0);
	world.stream[0].records = 3;
	next_index(&b, 10, LIVE_INDEX_OK, LIVE_NEW_METADATA); /* each has its own place */
	cr_assert_eq(be64(&b, 0), 8192);
	next_index(&a, 10, LIVE_INDEX_OK, LIVE_NEW_METADATA);
	cr_assert_eq(be64(&a, 0), 8192);
}

Test(live_viewer, nothing_of_other_sessions)
{
	struct peer p = connected();

	next_index(&p, 10, LIVE_INDEX_ERROR, 0);
	attach(&p, LIVE_SEEK_BEGINNING);
	next_index(&p, 11, LIVE_INDEX_ERROR, 0);
	next_index(&p, 14, LIVE_INDEX_ERROR, 0); /* not told of yet */
	next_index(&p, 0, LIVE_INDEX_ERROR, 0);
	ASK(&p, 12, .command = LIVE_GET_METADATA, .id = 10);
	cr_assert_eq(be32(&p, 8), LIVE_METADATA_ERROR);
	ASK(&p, 12, .command = LIVE_GET_PACKET, .id = 11, .len = 1);
	cr_assert_eq(be32(&p, 0), LIVE_PACKET_ERROR);
	ASK(&p, 8, .command = LIVE_GET_NEW_STREAMS, .id = 200);
	cr_assert_eq(be32(&p, 0), LIVE_STREAMS_ERROR);
	ASK(&p, 4, .command = LIVE_DETACH_SESSION, .id = 100);
	next_index(&p, 10, LIVE_INDEX_ERROR, 0);
}

Test(live_viewer, record_before_hangup_before_beacon_before_retry)
{
	struct peer p = connected();
	struct made_up *m = &world.stream[2];

	attach(&p, LIVE_SEEK_BEGINNING);
	next_index(&p, 12, LIVE_INDEX_RETRY, 0);
	m->beacon = 5;
	next_index(&p, 12, LIVE_INDEX_INACTIVE, 0);
	cr_assert_eq(be64(&p, 0), 0);
	cr_assert_eq(be64(&p, 32), 5);
	cr_assert_eq(be64(&p, 48), 3);
	m->records = 1;
	m->over = true;
	next_index(&p, 12, LIVE_INDEX_OK, LIVE_NEW_METADATA);
	next_index(&p, 12, LIVE_INDEX_HUP, 0);
	next_index(&p, 12, LIVE_INDEX_HUP, 0);
	m->over = false;
	m->beacon = 9; /* the record went to 10: time does not go back */
	next_index(&p, 12, LIVE_INDEX_RETRY, 0);
	m->beacon = 11;
	m->class_id = CTF_NONE;
	next_index(&p, 12, LIVE_INDEX_RETRY, 0);
	m->class_id = 0;
	next_index(&p, 12, LIVE_INDEX_INACTIVE, 0);
}

Test(live_viewer, new_streams_are_told_with_their_first_packet)
{
	struct peer p = connected();
	struct made_up *m = &world.stream[2], *other = &world.stream[4];

	attach(&p, LIVE_SEEK_BEGINNING);
	world.published[0] = 4;
	other->records = 0;
	m->beacon = 5;
	next_index(&p, 12, LIVE_INDEX_RETRY, 0); /* nobody knows of the other up to 5 */
	other->beacon = 4;
	next_index(&p, 12, LIVE_INDEX_RETRY, 0);
	other->beacon = 5;
	next_index(&p, 12, LIVE_INDEX_INACTIVE, 0);
	cr_assert_eq(be64(&p, 32), 5);
	m->records = 1; /* up to 10 */
	next_index(&p, 12, LIVE_INDEX_RETRY, 0);
	other->beacon = 10;
	next_index(&p, 12, LIVE_INDEX_OK, LIVE_NEW_METADATA);
	cr_assert_eq(be64(&p, 32), 10);
	/* The first packet; all that the viewer knows is idle. */
	other->records = 1;
	m->beacon = 30;
	next_index(&p, 12, LIVE_INDEX_OK, LIVE_NEW_STREAMS);
	cr_assert_eq(be64(&p, 8), 0, "a packet of no bytes");
	cr_assert_eq(be64(&p, 16), 0);
	cr_assert_eq(be64(&p, 32), 10, "its clock stands until it knows them");
	cr_assert_eq(be64(&p, 48), 3);
	m->records = 2;
	next_index(&p, 12, LIVE_INDEX_OK, LIVE_NEW_METADATA | LIVE_NEW_STREAMS);
	cr_assert_eq(be64(&p, 32), 20);
	ASK(&p, 8 + LIVE_STREAM_ENTRY, .command = LIVE_GET_NEW_STREAMS, .id = 100);
	cr_assert_eq(be32(&p, 0), LIVE_STREAMS_OK);
	next_index(&p, 12, LIVE_INDEX_INACTIVE, 0);
	cr_assert_eq(be64(&p, 32), 30);
}

Test(live_viewer, metadata_is_never_an_empty_ok)
{
	struct peer p = connected();
	struct made_up *m = &world.stream[3];

	attach(&p, LIVE_SEEK_NOW);
	ASK(&p, 12 + 4096, .command = LIVE_GET_METADATA, .id = 13);
	cr_assert_eq(be64(&p, 0), 4096);
	cr_assert_eq(be32(&p, 8), LIVE_METADATA_OK);
	ASK(&p, 12, .command = LIVE_GET_METADATA, .id = 13);
	cr_assert_eq(be64(&p, 0), 0);
	cr_assert_eq(be32(&p, 8), LIVE_METADATA_NONE);
	world.stream[0].records = 4;
	next_index(&p, 10, LIVE_INDEX_OK, 0);
	m->text = 3 << 20;
	next_index(&p, 10, LIVE_INDEX_OK, LIVE_NEW_METADATA);
	ASK(&p, 12 + LIVE_BODY_MAX, .command = LIVE_GET_METADATA, .id = 13);
	ASK(&p, 12 + LIVE_BODY_MAX, .command = LIVE_GET_METADATA, .id = 13);
	m->over = true;
	ASK(&p, 12 + LIVE_BODY_MAX - 4096, .command = LIVE_GET_METADATA, .id = 13);
	ASK(&p, 12, .command = LIVE_GET_METADATA, .id = 13); /* once, though it is over */
	cr_assert_eq(be32(&p, 8), LIVE_METADATA_NONE);
	ASK(&p, 12, .command = LIVE_GET_METADATA, .id = 13);
	cr_assert_eq(be32(&p, 8), LIVE_METADATA_ERROR);
}

Test(live_viewer, new_streams_are_announced_then_told_then_hang_up)
{
	struct peer p = connected();

	attach(&p, LIVE_SEEK_NOW);
	world.stream[3].text = 0;
	world.stream[0].records = 4;
	ASK(&p, 8, .command = LIVE_GET_NEW_STREAMS, .id = 100);
	cr_assert_eq(be32(&p, 0), LIVE_STREAMS_NONE);
	world.published[0] = 4;
	next_index(&p, 10, LIVE_INDEX_OK, LIVE_NEW_STREAMS);
	world.over = true; /* those that are there come first */
	ASK(&p, 8 + LIVE_STREAM_ENTRY, .command = LIVE_GET_NEW_STREAMS, .id = 100);
	cr_assert_eq(be32(&p, 0), LIVE_STREAMS_OK);
	cr_assert_eq(be32(&p, 4), 1);
	cr_assert_eq(be64(&p, 8), 14);
	next_index(&p, 10, LIVE_INDEX_OK, 0);
	next_index(&p, 14, LIVE_INDEX_OK, 0); /* from its beginning, whatever the seek was */
	ASK(&p, 8, .command = LIVE_GET_NEW_STREAMS, .id = 100);
	cr_assert_eq(be32(&p, 0), LIVE_STREAMS_HUP);
	world.gone = true;
	ASK(&p, 8, .command = LIVE_GET_NEW_STREAMS, .id = 100);
	cr_assert_eq(be32(&p, 0), LIVE_STREAMS_HUP);
	ASK(&p, 4, .command = LIVE_DETACH_SESSION, .id = 100);
	cr_assert_eq(be32(&p, 0), LIVE_DETACH_OK);
}

Test(live_viewer, packets_of_at_most_a_mebibyte)
{
	struct peer p = connected();

	attach(&p, LIVE_SEEK_BEGINNING);
	ASK(&p, 12 + 300, .command = LIVE_GET_PACKET, .id = 10, .offset = 4096, .len = 300);
	cr_assert_eq(be32(&p, 0), LIVE_PACKET_OK);
	cr_assert_eq(be32(&p, 4), 300);
	cr_assert_eq(p.v->reply[311], 'p');
	ASK(&p, 12 + LIVE_BODY_MAX, .command = LIVE_GET_PACKET, .id = 10, .len = LIVE_BODY_MAX);
	ASK(&p, 12, .command = LIVE_GET_PACKET, .id = 10, .len = LIVE_BODY_MAX + 1);
	cr_assert_eq(be32(&p, 0), LIVE_PACKET_ERROR);
	ASK(&p, 12, .command = LIVE_GET_PACKET, .id = 10, .offset = 100001, .len = 3);
	cr_assert_eq(be32(&p, 0), LIVE_PACKET_ERROR);
	cr_assert_eq(be32(&p, 4), 0);
}

Test(live_viewer, more_streams_than_cursors)
{
	struct peer p = connected();

	attach(&p, LIVE_SEEK_BEGINNING);
	/* Cursors of streams that go on stay; the entries of those that are over are used again. */
	for (uint32_t i = 0; i < VIEWER_CURSORS; i++)
		p.v->cursor[i] = (struct viewer_cursor){
			.stream = i < 3 ? p.v->cursor[i].stream : 10,
			.born = p.v->cursor[0].born,
			.session = 100,
			.attached = p.v->cursor[0].attached,
		};
	p.s.cursors = VIEWER_CURSORS;
	world.published[0] = 4;
	next_index(&p, 10, LIVE_INDEX_OK, 0);
	ASK(&p, 8, .command = LIVE_GET_NEW_STREAMS, .id = 100);
	cr_assert_eq(be32(&p, 0), LIVE_STREAMS_NONE);
	p.v->cursor[700].stream = 99; /* nobody */
	p.v->cursor[700].over = 1;
	next_index(&p, 10, LIVE_INDEX_OK, LIVE_NEW_STREAMS);
	ASK(&p, 8 + LIVE_STREAM_ENTRY, .command = LIVE_GET_NEW_STREAMS, .id = 100);
	cr_assert_eq(p.v->cursor[700].stream, 14);
}

static void ends(struct peer *p, const uint8_t *bytes, size_t len, bool eof, enum close_reason why)
{
	ask_raw(p, bytes, len, eof);
	cr_assert_eq(p->out.action, LIVE_VIEWER_END);
	cr_assert_eq(p->out.reason, why, "%s", close_reason_name(p->out.reason));
}

Test(live_viewer, what_ends_a_connection)
{
	static const uint8_t list[LIVE_HEADER] = {[11] = LIVE_LIST_SESSIONS};
	static const uint8_t odd[LIVE_HEADER] = {[7] = 3, [11] = LIVE_LIST_SESSIONS};
	static const uint8_t what[LIVE_HEADER] = {[11] = 44};
	struct peer p = new_peer(), q = connected();

	ends(&p, list, sizeof(list), false, CLOSE_protocol); /* CONNECT comes first */
	ends(&p, list, 0, true, CLOSE_eof_in_handshake);
	ends(&q, list, 0, true, CLOSE_eof);
	ends(&q, list, 7, true, CLOSE_eof);
	ends(&q, odd, sizeof(odd), false, CLOSE_oversize);
	ends(&q, what, sizeof(what), false, CLOSE_protocol);
	ask_raw(&q, list, 15, false);
	cr_assert_eq(q.out.action, LIVE_VIEWER_WAIT);
	world.no_memory = 1;
	ends(&q, list, sizeof(list), false, CLOSE_no_memory);
}
