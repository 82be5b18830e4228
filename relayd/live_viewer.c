/* SPDX-License-Identifier: MIT */
/*
 * live_viewer.c - see live_viewer.h.
 *
 * Invariants: an entry counts if it is not free and was born at or before `consumed`; what a
 * request writes into the slot before its commit counts for nobody and is written again alike. At
 * most one entry that counts is changed by a request, through live_viewer.change.
 */
#include "relayd/live_viewer.h"

#include <assert.h>
#include <errno.h>

/* One call of step(). */
struct turn {
	struct live_viewer *s;
	struct viewer_slot *v;
	const struct live_viewer_input *in;
	struct wire_writer reply;
	uint64_t consumed; /* ring position: requests before it were answered */
	uint64_t born;     /* ring position behind this request */
};

/* ---- entries ---- */

static bool counts(const struct turn *t, uint64_t handle, uint64_t born)
{
	return handle && born <= t->consumed;
}

static struct viewer_attachment *find_attachment(const struct turn *t, uint64_t session)
{
	for (uint32_t i = 0; i < t->s->attachments; i++) {
		struct viewer_attachment *a = &t->v->attachment[i];

		if (a->session == session && counts(t, a->session, a->born))
			return a;
	}
	return NULL;
}

/* The attachment that a cursor belongs to, NULL: the cursor counts no more. */
static struct viewer_attachment *attachment_of(const struct turn *t, const struct viewer_cursor *c)
{
	struct viewer_attachment *a;

	if (!counts(t, c->stream, c->born))
		return NULL;
	a = find_attachment(t, c->session);
	return a && a->born == c->attached ? a : NULL;
}

static struct viewer_cursor *find_cursor(const struct turn *t, uint64_t stream)
{
	for (uint32_t i = 0; i < t->s->cursors; i++) {
		struct viewer_cursor *c = &t->v->cursor[i];

		if (c->stream == stream && attachment_of(t, c))
			return c;
	}
	return NULL;
}

/* May a new stream have this entry? One that is over and gone everywhere needs none. */
static bool is_free(const struct turn *t, uint32_t i)
{
	const struct viewer_cursor *c = &t->v->cursor[i];
	struct live_stream stream;

	if (i >= t->s->cursors || c->born == t->born || !attachment_of(t, c))
		return true;
	return c->over && !t->in->facts->stream(t->in->ctx, c->stream, &stream);
}

static bool any_free(const struct turn *t)
{
	for (uint32_t i = 0; i < VIEWER_CURSORS; i++)
		if (is_free(t, i))
			return true;
	return false;
}

static uint32_t index_of(const struct turn *t, const struct viewer_cursor *c)
{
	return (uint32_t)(c - t->v->cursor);
}

static void change_cursor(struct turn *t, uint32_t i, const struct viewer_cursor *to)
{
	t->s->change = 1 + i;
	t->s->value.cursor = *to;
}

static void change_attachment(struct turn *t, const struct viewer_attachment *at,
			      const struct viewer_attachment *to)
{
	t->s->change = VIEWER_CURSORS + 1 + (uint32_t)(at - t->v->attachment);
	t->s->value.attachment = *to;
}

void live_viewer_apply(const struct live_viewer *s, struct viewer_slot *v)
{
	if (s->change > VIEWER_CURSORS)
		v->attachment[s->change - VIEWER_CURSORS - 1] = s->value.attachment;
	else if (s->change)
		v->cursor[s->change - 1] = s->value.cursor;
}

bool live_viewer_attached(const struct live_viewer *s, const struct viewer_slot *v,
			  uint64_t consumed, uint64_t session)
{
	for (uint32_t i = 0; i < s->attachments; i++)
		if (v->attachment[i].session == session && v->attachment[i].born <= consumed)
			return session != 0;
	return false;
}

bool live_viewer_needs(const struct live_viewer *s, const struct viewer_slot *v, uint64_t consumed,
		       uint64_t session)
{
	const struct viewer_attachment *a = NULL;

	for (uint32_t i = 0; !a && i < s->attachments; i++)
		if (v->attachment[i].session == session && v->attachment[i].born <= consumed)
			a = &v->attachment[i];
	if (!session || !a || !a->over)
		return session && a;
	for (uint32_t i = 0; i < s->cursors; i++) {
		const struct viewer_cursor *c = &v->cursor[i];

		if (c->stream && c->born <= consumed && c->session == session &&
		    c->attached == a->born && !c->metadata && !c->over)
			return true;
	}
	return false;
}

/* ---- replies: 0, or negative errno to end the connection ---- */

/* Have room for so many more bytes; the slot is large enough for every reply by construction. */
static int want_room(struct turn *t, size_t len)
{
	assert(len <= VIEWER_REPLY - t->reply.len);
	return t->in->facts->room(t->in->ctx, t->reply.len + len);
}

static int on_connect(struct turn *t, const struct live_request *m)
{
	uint32_t minor = m->minor < LIVE_MINOR ? m->minor : LIVE_MINOR;
	int r = want_room(t, LIVE_HEADER + 20);

	if (r < 0)
		return r;
	if (t->s->state != LIVE_VIEWER_HELLO || m->type != 1)
		return -EPROTO;
	if (m->major != LIVE_MAJOR) /* lttng-relayd gives no answer either */
		return -EPROTONOSUPPORT;
	memset(t->v->attachment, 0, sizeof(t->v->attachment));
	memset(t->v->cursor, 0, sizeof(t->v->cursor));
	live_connect_encode(&t->reply, t->in->id, minor);
	t->s->state = LIVE_VIEWER_CONNECTED;
	t->s->minor = minor;
	return 0;
}

static int on_create(struct turn *t)
{
	int r = want_room(t, 4);

	if (r < 0)
		return r;
	t->s->state = LIVE_VIEWER_SESSION;
	wire_put_u32(&t->reply, LIVE_CREATE_OK); /* babeltrace2 asks again while it waits */
	return 0;
}

static int on_list(struct turn *t)
{
	const uint32_t max = (VIEWER_REPLY - 4) / LIVE_SESSION_ENTRY;
	struct live_session session;
	uint32_t at = 0, n = 0;
	int r = want_room(t, 4);

	if (r < 0)
		return r;
	wire_put_u32(&t->reply, 0);
	while (n < max && t->in->facts->next_session(t->in->ctx, &at, &session)) {
		r = want_room(t, LIVE_SESSION_ENTRY);
		if (r < 0)
			return r;
		live_session_encode(&t->reply, &session.entry);
		n++;
	}
	wire_patch_u32(&t->reply, 0, n);
	return 0;
}

/*
 * Tell the viewer of published streams behind *a, each with a cursor of its own, and move *a.
 * @now: those that come from before the attachment begin behind what is stored.
 * Their number, or negative errno.
 */
static int tell_streams(struct turn *t, struct viewer_attachment *a, uint64_t published, bool now)
{
	const struct live_facts *facts = t->in->facts;
	struct stream_walk walk = a->told;
	struct live_stream stream;
	uint32_t i = 0;
	int n = 0, r;

	while (facts->next_stream(t->in->ctx, a->session, &walk, &stream) &&
	       stream.number < published) {
		struct viewer_cursor c = {.stream = stream.entry.id,
					  .born = t->born,
					  .session = a->session,
					  .attached = a->born,
					  .trace = stream.entry.trace,
					  .metadata = stream.entry.metadata};

		while (i < VIEWER_CURSORS && !is_free(t, i))
			i++;
		if (i == VIEWER_CURSORS)
			break;
		r = want_room(t, LIVE_STREAM_ENTRY);
		if (r < 0)
			return r;
		facts->start(t->in->ctx, &c, now);
		t->v->cursor[i++] = c;
		if (t->s->cursors < i)
			t->s->cursors = i;
		live_stream_encode(&t->reply, &stream.entry);
		a->told = walk;
		n++;
	}
	return n;
}

static enum live_attach may_attach(struct turn *t, const struct live_request *m,
				   struct live_session *session)
{
	if (t->s->state != LIVE_VIEWER_SESSION)
		return LIVE_ATTACH_NO_SESSION;
	if (!t->in->facts->session(t->in->ctx, m->id, session) || session->over)
		return LIVE_ATTACH_UNKNOWN;
	if (find_attachment(t, m->id))
		return LIVE_ATTACH_ALREADY;
	if (!session->entry.live_timer_us)
		return LIVE_ATTACH_NOT_LIVE;
	if (m->seek != LIVE_SEEK_BEGINNING && m->seek != LIVE_SEEK_NOW)
		return LIVE_ATTACH_SEEK;
	return LIVE_ATTACH_OK;
}

static int on_attach(struct turn *t, const struct live_request *m)
{
	struct viewer_attachment a = {.session = m->id, .born = t->born};
	struct live_session session;
	uint32_t status = may_attach(t, m, &session), i = 0;
	int n = 0, r = want_room(t, 8);

	if (r < 0)
		return r;
	while (i < VIEWER_SESSIONS && i < t->s->attachments &&
	       counts(t, t->v->attachment[i].session, t->v->attachment[i].born))
		i++;
	if (status == LIVE_ATTACH_OK && i == VIEWER_SESSIONS)
		status = LIVE_ATTACH_UNKNOWN; /* more at once than we can */
	live_streams_encode(&t->reply, status, 0);
	if (status != LIVE_ATTACH_OK)
		return 0;
	n = tell_streams(t, &a, session.published, m->seek == LIVE_SEEK_NOW);
	if (n < 0)
		return n;
	t->v->attachment[i] = a;
	if (t->s->attachments <= i)
		t->s->attachments = i + 1;
	wire_patch_u32(&t->reply, 4, (uint32_t)n);
	return 0;
}

static int on_new_streams(struct turn *t, const struct live_request *m)
{
	struct viewer_attachment *at = find_attachment(t, m->id), a;
	struct live_session session;
	bool alive;
	int n, r = want_room(t, 8);

	if (r < 0)
		return r;
	live_streams_encode(&t->reply, LIVE_STREAMS_ERROR, 0);
	if (!at)
		return 0;
	alive = t->in->facts->session(t->in->ctx, m->id, &session);
	a = *at;
	n = alive ? tell_streams(t, &a, session.published, false) : 0;
	if (n < 0)
		return n;
	if (n > 0) {
		change_attachment(t, at, &a);
		wire_patch_u32(&t->reply, 0, LIVE_STREAMS_OK);
		wire_patch_u32(&t->reply, 4, (uint32_t)n);
		return 0;
	}
	a.over = !alive || session.over;
	if (a.over)
		change_attachment(t, at, &a);
	wire_patch_u32(&t->reply, 0, a.over ? LIVE_STREAMS_HUP : LIVE_STREAMS_NONE);
	return 0;
}

static int on_detach(struct turn *t, const struct live_request *m)
{
	struct viewer_attachment *at = find_attachment(t, m->id);
	int r = want_room(t, 4);

	if (r < 0)
		return r;
	if (at)
		change_attachment(t, at, &(struct viewer_attachment){0});
	wire_put_u32(&t->reply, at ? LIVE_DETACH_OK : LIVE_DETACH_UNKNOWN);
	return 0;
}

/* Does the trace of a cursor have metadata that the viewer has not got? */
static bool has_new_metadata(struct turn *t, const struct viewer_cursor *of)
{
	for (uint32_t i = 0; i < t->s->cursors; i++) {
		struct viewer_cursor c = t->v->cursor[i];
		bool over;

		if (c.metadata && c.trace == of->trace && c.session == of->session &&
		    attachment_of(t, &c))
			return t->in->facts->metadata(t->in->ctx, i, &c, NULL, LIVE_BODY_MAX,
						      &over) > 0;
	}
	return false;
}

static void find_untold(struct turn *t, const struct viewer_cursor *c, struct live_untold *ret)
{
	const struct viewer_attachment *a = attachment_of(t, c);
	struct live_session session;

	*ret = (struct live_untold){.until = UINT64_MAX};
	if (!a || !t->in->facts->session(t->in->ctx, a->session, &session) || !any_free(t))
		return;
	/* Those that are not published yet count too: they may have events already. */
	t->in->facts->untold(t->in->ctx, a->session, &a->told, ret);
	ret->ready = ret->ready && session.published > a->told.from;
}

/*
 * A viewer looks for new streams only where a packet's index says so, and its clock must not go
 * beyond an event of theirs before it knows them: babeltrace2 ends with an error then. Nor may it
 * know them before their metadata can decode their first packet: up to 2.0.4 it crashes. So a new
 * stream is told when it has a packet; up to then time stands where nothing happened in it; and
 * who has nothing else to tell gives the index of a packet of no bytes.
 */
static enum live_index tell_of_streams(struct live_record *record, uint64_t time)
{
	*record = (struct live_record){
		.ts_begin = time, .ts_end = time, .class_id = record->class_id};
	return LIVE_INDEX_OK;
}

static int on_next_index(struct turn *t, const struct live_request *m)
{
	const struct viewer_cursor *at = find_cursor(t, m->id);
	struct live_record record = {0}, none = {0};
	uint32_t status = LIVE_INDEX_ERROR, flags = 0;
	struct live_untold untold;
	struct viewer_cursor c;
	enum live_next next;
	int r = want_room(t, 64);

	if (r < 0)
		return r;
	if (!at || at->metadata) {
		live_index_encode(&t->reply, status, &none, 0);
		return 0;
	}
	c = *at;
	next = t->in->facts->next(t->in->ctx, index_of(t, at), &c, &record);
	find_untold(t, at, &untold); /* behind: what came before that record is published */
	if (untold.ready)
		flags = LIVE_NEW_STREAMS;
	if (next == LIVE_NEXT_RECORD && record.ts_end > untold.until) {
		c = *at;
		next = LIVE_NEXT_BEACON;
	}
	switch (next) {
	case LIVE_NEXT_RECORD:
		status = LIVE_INDEX_OK;
		if (has_new_metadata(t, at))
			flags |= LIVE_NEW_METADATA;
		c.time = record.ts_end > c.time ? record.ts_end : c.time;
		break;
	case LIVE_NEXT_BEACON:
		/* The class must be known, and the stream's time never goes back. Nor may two
		 * streams say the same time: babeltrace2 complains. */
		status = record.class_id == CTF_NONE || record.ts_end < c.time ||
					 record.ts_end > untold.until
				 ? LIVE_INDEX_RETRY
				 : LIVE_INDEX_INACTIVE;
		if (flags && record.class_id != CTF_NONE)
			status = tell_of_streams(&record, c.time);
		else if (status == LIVE_INDEX_INACTIVE)
			c.time = record.ts_end;
		break;
	case LIVE_NEXT_NOTHING:
		status = LIVE_INDEX_RETRY;
		break;
	case LIVE_NEXT_OVER:
		status = LIVE_INDEX_HUP;
		c.over = 1;
		break;
	case LIVE_NEXT_ERROR:
		break;
	}
	if (status == LIVE_INDEX_INACTIVE)
		record = (struct live_record){.ts_end = record.ts_end, .class_id = record.class_id};
	else if (status != LIVE_INDEX_OK)
		record = none;
	if (status != LIVE_INDEX_OK)
		flags = 0;
	change_cursor(t, index_of(t, at), &c);
	live_index_encode(&t->reply, status, &record, flags);
	return 0;
}

static int on_packet(struct turn *t, const struct live_request *m)
{
	const struct viewer_cursor *c = find_cursor(t, m->id);
	int r = want_room(t, 12);

	if (r < 0)
		return r;
	live_packet_encode(&t->reply, LIVE_PACKET_ERROR, 0, 0);
	if (!c || c->metadata || m->len > LIVE_BODY_MAX)
		return 0;
	r = want_room(t, m->len);
	if (r < 0)
		return r;
	if (t->in->facts->packet(t->in->ctx, index_of(t, c), c, m->offset, m->len,
				 t->v->reply + t->reply.len) < 0)
		return 0;
	(void)wire_room(&t->reply, m->len);
	wire_patch_u32(&t->reply, 0, LIVE_PACKET_OK);
	wire_patch_u32(&t->reply, 4, m->len);
	return 0;
}

static int on_metadata(struct turn *t, const struct live_request *m)
{
	const struct viewer_cursor *at = find_cursor(t, m->id);
	struct viewer_cursor c;
	bool over = false;
	int n, r = want_room(t, 12 + (size_t)LIVE_BODY_MAX);

	if (r < 0)
		return r;
	live_metadata_encode(&t->reply, LIVE_METADATA_ERROR, 0);
	if (!at || !at->metadata)
		return 0;
	c = *at;
	n = t->in->facts->metadata(t->in->ctx, index_of(t, at), &c, t->v->reply + t->reply.len,
				   LIVE_BODY_MAX, &over);
	if (n > 0) {
		(void)wire_room(&t->reply, (size_t)n);
		wire_patch_u64(&t->reply, 0, (uint64_t)n);
		wire_patch_u32(&t->reply, 8, LIVE_METADATA_OK);
	} else if (n == 0 && !at->over) { /* once at least, also when nothing will come */
		wire_patch_u32(&t->reply, 8, LIVE_METADATA_NONE);
		c.over = over;
	}
	change_cursor(t, index_of(t, at), &c);
	return 0;
}

/* ---- the step ---- */

static int answer(struct turn *t, const struct live_request *m)
{
	if (t->s->state == LIVE_VIEWER_HELLO && m->command != LIVE_CONNECT)
		return -EPROTO;
	switch (m->command) {
	case LIVE_CONNECT:
		return on_connect(t, m);
	case LIVE_LIST_SESSIONS:
		return on_list(t);
	case LIVE_ATTACH_SESSION:
		return on_attach(t, m);
	case LIVE_GET_NEXT_INDEX:
		return on_next_index(t, m);
	case LIVE_GET_PACKET:
		return on_packet(t, m);
	case LIVE_GET_METADATA:
		return on_metadata(t, m);
	case LIVE_GET_NEW_STREAMS:
		return on_new_streams(t, m);
	case LIVE_CREATE_SESSION:
		return on_create(t);
	default:
		return on_detach(t, m);
	}
}

static enum close_reason reason_of(int error)
{
	if (error == -ENOMEM || error == -ENOSPC)
		return CLOSE_no_memory;
	if (error == -EPROTONOSUPPORT)
		return CLOSE_version_unknown;
	return error == -EMSGSIZE ? CLOSE_oversize : CLOSE_protocol;
}

void live_viewer_step(struct live_viewer *s, struct viewer_slot *v,
		      const struct live_viewer_input *in, struct live_viewer_output *out)
{
	struct wire_reader r = wire_reader_init(in->bytes, in->len);
	struct live_request m;
	struct turn t = {.s = s, .v = v, .in = in, .consumed = in->position};
	int err = live_request_decode(&r, &m);

	*out = (struct live_viewer_output){.action = LIVE_VIEWER_WAIT};
	if (err == -EAGAIN && !in->eof)
		return;
	if (err == -EAGAIN) {
		out->action = LIVE_VIEWER_END;
		out->reason = s->state == LIVE_VIEWER_HELLO ? CLOSE_eof_in_handshake : CLOSE_eof;
		return;
	}
	s->change = 0;
	t.reply = wire_writer_init(v->reply, sizeof(v->reply));
	if (err == 0) {
		out->consumed = in->len - r.left;
		t.born = in->position + out->consumed;
		err = answer(&t, &m);
	}
	if (err == 0)
		err = t.reply.err;
	if (err < 0) {
		*out = (struct live_viewer_output){.action = LIVE_VIEWER_END,
						   .reason = reason_of(err)};
		return;
	}
	out->action = LIVE_VIEWER_REPLY;
	out->reply_len = t.reply.len;
}
