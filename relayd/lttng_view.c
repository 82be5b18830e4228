/* SPDX-License-Identifier: MIT */
/* lttng_view.c - answers from the slots; see lttng_view.h. */
#include "relayd/lttng_view.h"

#include <string.h>

#include "common/ctf_place.h"
#include "relayd/lttng_orders.h"

static struct state_ref ref_of(uint64_t handle)
{
	return (struct state_ref){.index = ctf_handle_index(handle), .id = ctf_handle_id(handle)};
}

static struct stream_slot *own_stream(const struct lttng_viewer *v, uint64_t handle)
{
	struct state_ref ref = ref_of(handle);
	struct stream_slot *s;

	if (ref.index >= v->relay->st.header->capacity.streams)
		return NULL;
	s = state_stream(&v->relay->st, ref);
	return s && s->source.id == v->source.id ? s : NULL;
}

static bool find_stream(void *ctx, uint64_t handle, struct state_ref *ret, bool *ret_metadata)
{
	const struct lttng_viewer *v = ctx;

	if (!own_stream(v, handle))
		return false;
	*ret = ref_of(handle);
	*ret_metadata = v->relay->st.ctf_stream[ret->index].metadata;
	return true;
}

/* Ids are given once, to all slots alike: whoever says one that was given loses nothing if it was
 * never this stream's. */
static bool gone(void *ctx, uint64_t handle)
{
	const struct lttng_viewer *v = ctx;
	struct state_ref ref = ref_of(handle);
	const struct state_header *header = v->relay->st.header;

	return ref.id && ref.id < atomic_load(&header->next_id) &&
	       ref.index < header->capacity.streams && !state_stream(&v->relay->st, ref);
}

/* Numbers wrap; what never came is before everything. */
static bool reached(uint32_t any, uint64_t seq, uint64_t last)
{
	return last == CTF_NONE || (any && (int64_t)(seq - last) >= 0);
}

static bool has_index(const struct ctf_source_slot *s)
{
	return s->minor >= 4 && !s->snapshot;
}

/* While its worker hangs in the disk, packets are discarded with their indexes: nothing of them is
 * pending. */
static bool is_discarded(const struct lttng_viewer *v, const struct stream_slot *s, uint64_t last)
{
	const struct ctf_stream_slot *c = &v->relay->st.ctf_stream[s - v->relay->st.stream];
	struct ctf_stalled_half h;

	ctf_stalled_read(&c->stalled, &h);
	return h.any && h.seq == last;
}

/* No index up to that packet is on its way any more. */
static bool index_is_dropped(const struct lttng_viewer *v, const struct stream_slot *s,
			     uint64_t last)
{
	const struct ctf_stream_slot *c = &v->relay->st.ctf_stream[s - v->relay->st.stream];
	uint64_t dropped = atomic_load(&c->index_dropped);

	return dropped && reached(1, dropped - 1, last);
}

static bool is_stored(const struct lttng_viewer *v, const struct stream_slot *s, uint64_t last)
{
	struct stream_half h;

	stream_read(s, &h);
	if (is_discarded(v, s, last))
		return true;
	if (!reached(h.ctf.any_data, h.ctf.data_seq, last))
		return false;
	return !has_index(&v->relay->st.ctf_source[v->source.index]) ||
	       reached(h.ctf.any_index, h.ctf.index_seq, last) || index_is_dropped(v, s, last);
}

static void check(void *ctx, uint64_t handle)
{
	const struct lttng_viewer *v = ctx;

	v->relay->checked[ctf_handle_index(handle)] = *v->epoch;
}

static bool stored(void *ctx, uint64_t handle, uint64_t last_seq)
{
	const struct lttng_viewer *v = ctx;

	check(ctx, handle);
	return is_stored(v, own_stream(v, handle), last_seq);
}

static void check_none(void *ctx)
{
	const struct lttng_viewer *v = ctx;

	*v->epoch = ++v->relay->check_epoch;
}

/* No half of a packet waits for the other. */
static bool is_balanced(const struct lttng_viewer *v, const struct stream_slot *s,
			const struct stream_half *h)
{
	if (!has_index(&v->relay->st.ctf_source[v->source.index]))
		return true;
	if (h->ctf.any_data && index_is_dropped(v, s, h->ctf.data_seq))
		return true;
	return h->ctf.any_data == h->ctf.any_index &&
	       (!h->ctf.any_data || h->ctf.data_seq == h->ctf.index_seq);
}

static bool in_flight(void *ctx)
{
	const struct lttng_viewer *v = ctx;
	const struct state *st = &v->relay->st;
	struct stream_walk walk = {0};
	struct state_ref ref;

	if (lttng_orders_pending(&st->ctf_source[v->source.index]))
		return true;
	while (stream_walk_next(st, v->source, &walk, &ref)) {
		const struct stream_slot *s = &st->stream[ref.index];
		struct stream_half h;

		if (*v->epoch && v->relay->checked[ref.index] == *v->epoch)
			continue;
		stream_read(s, &h);
		if (!*v->epoch && is_balanced(v, s, &h)) /* a kill took the marks */
			continue;
		if (!h.ctf.closed || !is_stored(v, s, h.ctf.last_seq))
			return true;
	}
	return false;
}

static bool chunk_exists(void *ctx, uint64_t id)
{
	const struct lttng_viewer *v = ctx;
	const struct ctf_source_slot *s = &v->relay->st.ctf_source[v->source.index];
	struct ctf_source_half h;

	if (lttng_orders_pending(s))
		return true;
	ctf_source_read(s, &h);
	for (unsigned i = 0; i < CTF_CHUNKS; i++)
		if (h.chunk[i].state != CTF_CHUNK_FREE && h.chunk[i].id == id)
			return true;
	return false;
}

/* ---- paths for replies ---- */

static const char *session_of(const struct lttng_viewer *v)
{
	const struct session_slot *s =
		state_session_of(&v->relay->st, &v->relay->st.source[v->source.index]);

	return s ? s->name : "default";
}

static void session_path(void *ctx, const struct lttng_session *session, char *buf, size_t cap)
{
	const struct lttng_viewer *v = ctx;
	const struct ctf_source_slot *s = &v->relay->st.ctf_source[v->source.index];
	struct ctf_place place = {.root = session_of(v),
				  .group = v->relay->options->lttng.group == OPTION_GROUP_SESSION
						   ? CTF_GROUP_SESSION
						   : CTF_GROUP_HOST,
				  .minor = s->minor,
				  .session_name = session->name,
				  .host = session->host,
				  .base_path = session->base_path,
				  .name_has_time = session->name_has_time,
				  .created = (int64_t)session->key.created,
				  .stream_path = ""};

	*buf = '\0'; /* old clients are told none */
	(void)ctf_place_session(&place, buf, cap);
}

/* It may be gone by now: the order was put, then relayd was killed; or another connection of the
 * session closed it. */
static const struct ctf_chunk *close_target(const struct ctf_source_half *h, uint64_t id)
{
	for (unsigned i = 0; i < CTF_CHUNKS; i++)
		if (h->chunk[i].state != CTF_CHUNK_FREE && h->chunk[i].id == id)
			return &h->chunk[i];
	return h->gone.serial && h->gone.id == id ? &h->gone : NULL;
}

static void close_path(void *ctx, const struct lttng_close_chunk *close, bool rotated, char *buf,
		       size_t cap)
{
	const struct lttng_viewer *v = ctx;
	struct ctf_place_closing closing;
	const struct ctf_chunk *c;
	struct ctf_source_half h;
	struct source_half place;

	source_read(&v->relay->st.source[v->source.index], &place);
	ctf_source_read(&v->relay->st.ctf_source[v->source.index], &h);
	*buf = '\0';
	c = close_target(&h, close->id);
	if (!c)
		return;
	closing = (struct ctf_place_closing){.session_dir = place.dir,
					     .name = c->name,
					     .command = close->command,
					     .archived = rotated || h.archived,
					     .created = c->created,
					     .closed = close->closed,
					     .id = c->id};
	(void)ctf_place_closed(&closing, buf, cap);
}

const struct lttng_view lttng_view = {
	.stream = find_stream,
	.gone = gone,
	.stored = stored,
	.check = check,
	.check_none = check_none,
	.in_flight = in_flight,
	.chunk_exists = chunk_exists,
	.session_path = session_path,
	.close_path = close_path,
};
