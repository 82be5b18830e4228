/* SPDX-License-Identifier: MIT */
/* lttng_stored.c - packets' indexes, what is stored, chunks; see lttng_handlers.h. */
#include "relayd/lttng_handlers.h"

#include <string.h>

#include "common/ctf_place.h"

enum lttng_action lttng_on_reset_metadata(const struct lttng_step *t, struct wire_reader *body)
{
	struct lttng_pair m;
	struct state_ref ref;
	bool metadata;

	if (!lttng_order_fits(t, 0))
		return lttng_wait_for_room(t);
	(void)lttng_pair_decode(body, &m);
	if (!lttng_own_stream(t, m.first, &ref, &metadata) || !metadata)
		return lttng_refuse(t, LTTNG_UNKNOWN, CLOSE_unknown_stream);
	lttng_order(t, CTF_ORDER_RESET, &ref)->value = m.second;
	return lttng_answer_code(t, LTTNG_OK);
}

enum lttng_action lttng_on_index(const struct lttng_step *t, struct wire_reader *body)
{
	struct lttng_index m;
	struct state_ref ref;
	struct ctf_order *o;
	bool metadata;

	if (lttng_index_decode(body, t->s->minor, &m) < 0)
		return lttng_end(t->s, t->out, CLOSE_protocol, false);
	if (!lttng_own_stream(t, m.stream, &ref, &metadata) || metadata)
		return lttng_refuse(t, LTTNG_UNKNOWN, CLOSE_unknown_stream);
	if (t->in->late) { /* its packet is discarded, or stays without */
		t->out->dropped = ref;
		t->out->dropped_seq = m.seq;
		return lttng_answer_code(t, LTTNG_OK);
	}
	if (!lttng_order_fits(t, (uint32_t)m.record_len + LTTNG_ORDERS_SHARE))
		return lttng_wait_for(t->out, LTTNG_WAIT_ROOM);
	o = lttng_order(t, CTF_ORDER_INDEX, &ref);
	o->number = m.seq;
	o->bytes = (uint32_t)m.record_len;
	t->out->payload = m.record;
	return lttng_answer_code(t, LTTNG_OK);
}

enum lttng_action lttng_on_data_pending(const struct lttng_step *t, struct wire_reader *body)
{
	struct lttng_pair m;
	struct state_ref ref;
	bool metadata;

	(void)lttng_pair_decode(body, &m);
	if (t->in->view->gone(t->in->view_ctx, m.first))
		return lttng_answer_code(t, 0); /* it was complete */
	if (!lttng_own_stream(t, m.first, &ref, &metadata))
		return lttng_refuse(t, LTTNG_NO_STREAM, CLOSE_unknown_stream);
	return lttng_answer_code(t, !t->in->view->stored(t->in->view_ctx, m.first, m.second));
}

enum lttng_action lttng_on_quiescent(const struct lttng_step *t, struct wire_reader *body)
{
	uint64_t handle = wire_get_u64(body);
	struct state_ref ref;
	bool metadata;

	if (t->in->view->gone(t->in->view_ctx, handle))
		return lttng_answer_code(t, LTTNG_OK);
	if (!lttng_own_stream(t, handle, &ref, &metadata))
		return lttng_refuse(t, LTTNG_UNKNOWN, CLOSE_unknown_stream);
	t->in->view->check(t->in->view_ctx, handle);
	return lttng_answer_code(t, LTTNG_OK);
}

/* The session that such a message names is the connection's own, whatever it says. */
enum lttng_action lttng_on_begin_data_pending(const struct lttng_step *t, struct wire_reader *body)
{
	(void)body;
	t->in->view->check_none(t->in->view_ctx);
	return lttng_answer_code(t, LTTNG_OK);
}

enum lttng_action lttng_on_end_data_pending(const struct lttng_step *t, struct wire_reader *body)
{
	(void)body;
	return lttng_answer_code(t, t->in->view->in_flight(t->in->view_ctx));
}

enum lttng_action lttng_on_create_chunk(const struct lttng_step *t, struct wire_reader *body)
{
	struct lttng_chunk m;
	struct ctf_order *o;
	size_t len;

	if (lttng_chunk_decode(body, &m) < 0)
		return lttng_end(t->s, t->out, CLOSE_protocol, false);
	len = strlen(m.name);
	if (!lttng_order_fits(t, (uint32_t)len))
		return lttng_wait_for_room(t);
	if ((len && ctf_place_check_name(m.name) < 0) || m.id == CTF_NONE)
		return lttng_refuse(t, LTTNG_INVALID, CLOSE_bad_name);
	memcpy(t->out->text, m.name, len + 1);
	o = lttng_order(t, CTF_ORDER_CHUNK, NULL);
	o->number = m.id;
	o->value = (uint64_t)m.created;
	o->bytes = (uint32_t)len;
	t->out->payload = (const uint8_t *)t->out->text;
	t->s->chunk_closed = 0;
	if (!t->s->chunks++)
		t->s->chunk_first = m.id;
	t->s->chunk_last = m.id;
	return lttng_answer_code(t, LTTNG_OK);
}

/* Of its own: another connection of the session may have closed it, and it may be gone by now. */
static bool made_chunk(const struct lttng_control *s, uint64_t id)
{
	return s->chunks && id >= s->chunk_first && id <= s->chunk_last;
}

enum lttng_action lttng_on_close_chunk(const struct lttng_step *t, struct wire_reader *body)
{
	struct wire_writer w = lttng_reply(t);
	char path[STATE_REPLY / 2] = "";
	struct lttng_close_chunk m;
	struct ctf_order *o;

	if (lttng_close_chunk_decode(body, &m) < 0)
		return lttng_end(t->s, t->out, CLOSE_protocol, false);
	if (!lttng_order_fits(t, 0))
		return lttng_wait_for_room(t);
	if (!made_chunk(t->s, m.id)) {
		lttng_path_encode(&w, LTTNG_INVALID, "");
		(void)lttng_answer(t, &w);
		return lttng_leave(t, CLOSE_protocol);
	}
	t->in->view->close_path(t->in->view_ctx, &m, t->s->rotated, path, sizeof(path));
	o = lttng_order(t, CTF_ORDER_CLOSE_CHUNK, NULL);
	o->number = m.id;
	o->value = (uint64_t)m.closed;
	o->flag = m.command;
	t->s->chunk_closed = 1;
	t->s->rotated += m.command == CTF_CLOSE_ARCHIVE;
	lttng_path_encode(&w, LTTNG_OK, path);
	(void)lttng_answer(t, &w);
	if (t->s->snapshot && t->s->streams <= t->s->streams_closed) /* or it had none */
		return lttng_leave(t, CLOSE_snapshot_done);
	return LTTNG_STEP;
}

enum lttng_action lttng_on_chunk_exists(const struct lttng_step *t, struct wire_reader *body)
{
	struct wire_writer w = lttng_reply(t);
	uint64_t id = wire_get_u64(body);

	lttng_exists_encode(&w, LTTNG_OK, t->in->view->chunk_exists(t->in->view_ctx, id));
	return lttng_answer(t, &w);
}
