/* SPDX-License-Identifier: MIT */
/* lttng_session.c - who the client is, and which streams it has; see lttng_handlers.h. */
#include "relayd/lttng_handlers.h"

#include <errno.h>
#include <string.h>

#include "common/ctf_place.h"

enum lttng_action lttng_on_version(const struct lttng_step *t, struct wire_reader *body)
{
	struct wire_writer w = lttng_reply(t);
	uint32_t ours = t->in->limits->minor;
	struct lttng_version m;

	if (lttng_version_decode(body, &m) < 0)
		return lttng_end(t->s, t->out, CLOSE_protocol, false);
	lttng_version_encode(&w, ours);
	(void)lttng_answer(t, &w);
	if (m.major != LTTNG_MAJOR || !m.minor)
		return lttng_leave(t, CLOSE_version_unknown);
	t->s->minor = m.minor < ours ? m.minor : ours;
	t->s->state = LTTNG_READY;
	return LTTNG_STEP;
}

enum lttng_action lttng_on_configuration(const struct lttng_step *t, struct wire_reader *body)
{
	struct wire_writer w = lttng_reply(t);
	uint64_t query = wire_get_u64(body);

	lttng_configuration_encode(&w, query ? LTTNG_PROTOCOL : LTTNG_OK,
				   !query && t->in->limits->allow_clear);
	return lttng_answer(t, &w);
}

/* Minors up to 3 tell no names. */
static bool session_ok(uint32_t minor, struct lttng_session *m)
{
	static const uint8_t nobody[16];
	char clean[CTF_PATH];

	if (minor >= 4 &&
	    (ctf_place_check_session(m->name) < 0 || ctf_place_check_session(m->host) < 0))
		return false;
	if (minor >= 11 && !memcmp(m->key.uuid, nobody, sizeof(nobody)))
		return false;
	if (ctf_place_normalise(m->base_path, clean, sizeof(clean)) < 0)
		return false;
	memcpy(m->base_path, clean, sizeof(clean));
	return true;
}

/* A refusal has a path too: without one the whole session daemon would hang. */
static enum lttng_action refuse_session(const struct lttng_step *t)
{
	struct wire_writer w = lttng_reply(t);

	lttng_session_encode(&w, t->s->minor, 0, LTTNG_FATAL, "");
	return lttng_answer(t, &w);
}

enum lttng_action lttng_on_create_session(const struct lttng_step *t, struct wire_reader *body)
{
	struct lttng_session *m = &t->out->session;
	struct lttng_control *s = t->s;
	char path[STATE_REPLY / 2] = "";
	struct wire_writer w;
	int err;

	err = lttng_session_decode(body, s->minor, m);
	if (err < 0 && err != -ENAMETOOLONG)
		return lttng_end(s, t->out, CLOSE_protocol, false);
	if (err < 0 || !session_ok(s->minor, m)) {
		(void)refuse_session(t);
		return lttng_leave(t, CLOSE_bad_name);
	}
	if (t->in->grant == LTTNG_GRANT_NONE)
		return lttng_wait_for(t->out, LTTNG_WAIT_SOURCE);
	if (t->in->grant == LTTNG_GRANT_REFUSED)
		return refuse_session(t);
	t->in->view->session_path(t->in->view_ctx, m, path, sizeof(path));
	w = lttng_reply(t);
	lttng_session_encode(&w, s->minor, ctf_handle(t->in->granted.index, t->in->granted.id),
			     LTTNG_OK, path);
	s->state = LTTNG_SESSION;
	s->source = 1 + t->in->granted.index;
	s->source_id = t->in->granted.id;
	s->snapshot = m->snapshot;
	if (m->has_chunk) { /* another consumer daemon made it, this one may close it */
		s->chunks = 1;
		s->chunk_first = s->chunk_last = m->chunk_id;
	}
	return lttng_answer(t, &w);
}

enum lttng_action lttng_on_start_data(const struct lttng_step *t, struct wire_reader *body)
{
	(void)body;
	return lttng_answer_code(t, LTTNG_OK);
}

/* Both become parts of file names. Up to minor 10 the path is the session's place too. */
static bool stream_ok(uint32_t minor, struct lttng_stream *m)
{
	char clean[CTF_PATH];

	if (ctf_place_check_stream(m->name, m->tracefile_size != 0) < 0 ||
	    ctf_place_normalise(m->path, clean, sizeof(clean)) < 0 || !*clean ||
	    !ctf_place_stream(minor, clean))
		return false;
	memcpy(m->path, clean, sizeof(clean));
	return true;
}

enum lttng_action lttng_on_add_stream(const struct lttng_step *t, struct wire_reader *body)
{
	struct lttng_stream *m = &t->out->stream;
	struct wire_writer w = lttng_reply(t);
	int err = lttng_stream_decode(body, t->s->minor, m);

	if (err < 0 && err != -ENAMETOOLONG)
		return lttng_end(t->s, t->out, CLOSE_protocol, false);
	if (err < 0 || !stream_ok(t->s->minor, m)) {
		lttng_handle_encode(&w, 0, LTTNG_INVALID);
		(void)lttng_answer(t, &w);
		return lttng_leave(t, CLOSE_bad_name);
	}
	if (!lttng_order_fits(t, 0))
		return lttng_wait_for_room(t);
	if (t->in->grant == LTTNG_GRANT_NONE)
		return lttng_wait_for(t->out, LTTNG_WAIT_STREAM);
	if (t->in->grant == LTTNG_GRANT_REFUSED) {
		lttng_handle_encode(&w, 0, LTTNG_UNKNOWN);
		(void)lttng_answer(t, &w);
		return lttng_leave(t, t->in->refusal);
	}
	(void)lttng_order(t, CTF_ORDER_STREAM, &t->in->granted);
	t->s->streams++;
	lttng_handle_encode(&w, ctf_handle(t->in->granted.index, t->in->granted.id), LTTNG_OK);
	return lttng_answer(t, &w);
}

enum lttng_action lttng_on_streams_sent(const struct lttng_step *t, struct wire_reader *body)
{
	(void)body;
	if (!lttng_order_fits(t, 0))
		return lttng_wait_for_room(t);
	(void)lttng_order(t, CTF_ORDER_PUBLISH, NULL);
	return lttng_answer_code(t, LTTNG_OK);
}

enum lttng_action lttng_on_close_stream(const struct lttng_step *t, struct wire_reader *body)
{
	struct lttng_control *s = t->s;
	struct lttng_pair m;
	struct state_ref ref;
	bool metadata;

	if (!lttng_order_fits(t, 0))
		return lttng_wait_for_room(t);
	(void)lttng_pair_decode(body, &m);
	if (!lttng_own_stream(t, m.first, &ref, &metadata))
		return lttng_refuse(t, LTTNG_UNKNOWN, CLOSE_unknown_stream);
	lttng_order(t, CTF_ORDER_CLOSE_STREAM, &ref)->number = m.second;
	s->streams_closed++;
	(void)lttng_answer_code(t, LTTNG_OK);
	/* A snapshot's client never closes its connections. */
	if (s->snapshot && s->chunk_closed && s->streams <= s->streams_closed)
		return lttng_leave(t, CLOSE_snapshot_done);
	return LTTNG_STEP;
}
