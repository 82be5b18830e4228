/* SPDX-License-Identifier: MIT */
/*
 * ctf_order.c - the ring of orders: read in order, applied one by one.
 *
 * An order has its effect by steps that are harmless to repeat, then `applied` moves. One that must
 * wait (an index for its packet, anything for the disk) blocks those behind it, of this source.
 */
#include "consumer/ctf_internal.h"

#include <errno.h>

struct order {
	struct ctf_order head;
	uint64_t behind; /* ring position behind it */
	uint8_t payload[CTF_PIECE];
};

static void ring_read(const struct ctf_source_slot *c, uint64_t position, void *to, size_t len)
{
	size_t at = (size_t)(position & (CTF_RING - 1));
	size_t first = len < CTF_RING - at ? len : CTF_RING - at;

	memcpy(to, c->ring + at, first);
	memcpy((uint8_t *)to + first, c->ring, len - first);
}

static uint64_t ordered(const struct ctf_source *s)
{
	struct ctf_front_half f;

	ctf_front_read(s->ctf, &f);
	return f.ordered;
}

bool ctf_order_all_applied(const struct ctf_source *s)
{
	return atomic_load_explicit(&s->ctf->applied, memory_order_relaxed) == ordered(s);
}

/* ---- one order each ---- */

static int open_stream(struct ctf_source *s, struct ctf_stream *t, const struct order *o)
{
	const struct ctf_source_half *sh;
	struct stream_half *h;
	int r = ctf_session_dir_claim(s, t);

	if (r < 0)
		return r;
	sh = ctf_source_now(s->ctf);
	if (!sh->current && s->ctf->minor <= 10) {
		r = ctf_chunk_create(s, CTF_NONE, s->slot->start_ns / 1000000000, NULL, 0, 0);
		if (r < 0)
			return r;
		sh = ctf_source_now(s->ctf);
	}
	h = stream_begin(t->slot);
	h->state = STREAM_OPEN;
	h->scanned = o->behind;
	h->ctf.opened = 1;
	h->ctf.packet_seq = CTF_NONE;
	h->ctf.class_id = CTF_NONE;
	h->ctf.last_seq = CTF_NONE;
	h->ctf.chunk = sh->current;
	h->ctf.chunk_serial = sh->current ? sh->chunk[sh->current - 1].serial : 0;
	h->chunk_number = (uint32_t)h->ctf.chunk_serial;
	stream_commit(t->slot);
	return 0;
}

static int apply_stream(struct ctf_source *s, struct ctf_stream *t, const struct order *o)
{
	const struct stream_half *h = stream_now(t->slot);
	int r = h->ctf.opened ? 0 : open_stream(s, t, o);

	if (r < 0)
		return r;
	/* Also when a killed relayd had opened it, but not made its file: of a stream without
	 * packets it is the only trace. */
	h = stream_now(t->slot);
	if (h->ctf.chunk && !h->ctf.file_made)
		(void)ctf_file_data(t); /* made later if this fails */
	return 0;
}

static int apply_publish(struct ctf_source *s, const struct order *o)
{
	struct ctf_source_half *h = ctf_source_begin(s->ctf);
	struct ctf_stream *t;

	cds_list_for_each_entry (t, &s->streams, node)
		if (stream_now(t->slot)->ctf.opened && t->slot->cpu >= h->published)
			h->published = (uint64_t)t->slot->cpu + 1;
	h->ordered = o->behind;
	ctf_source_commit(s->ctf);
	return 0;
}

/* The packet of an index never comes: its connection is gone, or silent for too long. */
static bool hopeless(struct ctf_source *s, const struct ctf_stream *t, uint64_t at)
{
	uint64_t limit = s->worker->config.stall_timeout_ms;
	struct source_front_half f;

	if (s->blocked_at != at || !s->blocked_since_ms) {
		s->blocked_at = at;
		s->blocked_since_ms = ctf_now_ms();
	}
	source_front_read(&s->slot->front, &f);
	if (s->ending || t->orphan)
		return true;
	if (f.control_ended && f.drained && cds_list_empty(&s->connections) &&
	    !ctf_source_may_come(s))
		return true;
	return ctf_now_ms() - s->blocked_since_ms >= (int64_t)(limit ? limit : CTF_STALL_MS);
}

static int apply_index(struct ctf_source *s, struct ctf_stream *t, const struct order *o)
{
	int r = ctf_index_apply(t, o->head.number, o->payload, o->head.bytes, o->behind);

	if (r == -EAGAIN && hopeless(s, t, o->behind)) {
		ctf_index_drop(t, o->payload, o->head.bytes, o->behind);
		r = 0;
	}
	return r;
}

static int apply_rotate(struct ctf_source *s, struct ctf_stream *t, const struct order *o)
{
	uint32_t to = 0;
	int r;

	if (o->head.flag) {
		to = ctf_chunk_find(ctf_source_now(s->ctf), o->head.number);
		if (!to)
			return 0; /* the front loop knows better */
	}
	r = ctf_rotate_arm(t, to, o->head.value, t->ctf->metadata || !to, o->behind);
	return r < 0 ? r : 0;
}

static int apply_close(struct ctf_stream *t, const struct order *o)
{
	struct stream_half *h = stream_begin(t->slot);

	h->ctf.closed = 1;
	h->ctf.last_seq = o->head.number;
	h->scanned = o->behind;
	stream_commit(t->slot);
	return 0;
}

static int apply_to_stream(struct ctf_source *s, const struct order *o)
{
	struct ctf_stream *t = ctf_source_stream(s, o->head.stream - 1, o->head.stream_id);
	int r;

	if (!t)
		return 0;
	if (o->head.type != CTF_ORDER_STREAM && stream_now(t->slot)->scanned >= o->behind)
		return 0; /* it stands there already */
	if (!stream_now(t->slot)->ctf.opened && o->head.type != CTF_ORDER_STREAM)
		return 0;
	r = ctf_rotate_due(t); /* a kill came between its order and itself */
	if (r < 0)
		return r;
	switch (o->head.type) {
	case CTF_ORDER_STREAM:
		return apply_stream(s, t, o);
	case CTF_ORDER_METADATA:
		return ctf_metadata_append(t, o->payload, o->head.bytes, o->head.flag & 1,
					   o->head.value, o->behind);
	case CTF_ORDER_RESET:
		return ctf_metadata_reset(t, o->head.value, o->behind);
	case CTF_ORDER_INDEX:
		return apply_index(s, t, o);
	case CTF_ORDER_ROTATE:
		return apply_rotate(s, t, o);
	default:
		return apply_close(t, o);
	}
}

/* A control connection has ended: its open streams get no order any more. Harmless to repeat. */
static int apply_leave(struct ctf_source *s, const struct order *o)
{
	struct ctf_stream *t;

	cds_list_for_each_entry (t, &s->streams, node) {
		const struct ctf_stream_half *now = &stream_now(t->slot)->ctf;
		struct stream_half *h;

		if (t->ctf->by_conversation != o->head.number || !now->opened || now->closed ||
		    now->left)
			continue;
		h = stream_begin(t->slot);
		h->ctf.left = 1;
		stream_commit(t->slot);
	}
	return 0;
}

static int apply(struct ctf_source *s, const struct order *o)
{
	if (o->head.stream)
		return apply_to_stream(s, o);
	if (ctf_source_now(s->ctf)->ordered >= o->behind)
		return 0;
	switch (o->head.type) {
	case CTF_ORDER_PUBLISH:
		return apply_publish(s, o);
	case CTF_ORDER_CHUNK:
		return ctf_chunk_create(s, o->head.number, (int64_t)o->head.value, o->payload,
					o->head.bytes, o->behind);
	case CTF_ORDER_LEAVE:
		return apply_leave(s, o);
	case CTF_ORDER_CLOSE_CHUNK:
		return ctf_chunk_close(s, o->head.number, (int64_t)o->head.value, o->head.flag,
				       o->behind);
	default:
		return 0;
	}
}

/* What an order makes due. Trouble with the disk is met again by the next turn. */
static void follow(struct ctf_source *s, const struct order *o)
{
	struct ctf_stream *t = NULL;

	if (o->head.stream)
		t = ctf_source_stream(s, o->head.stream - 1, o->head.stream_id);
	if (t && (o->head.type == CTF_ORDER_INDEX || o->head.type == CTF_ORDER_ROTATE))
		(void)ctf_rotate_due(t);
}

/* ---- the loop ---- */

static bool take(struct ctf_source *s, struct order *o, uint64_t at, uint64_t end)
{
	if (end - at < sizeof(o->head))
		return false;
	ring_read(s->ctf, at, &o->head, sizeof(o->head));
	if (o->head.bytes > CTF_PIECE || ctf_order_size(o->head.bytes) > end - at) {
		log_error("order", "source %llu: an order of %u bytes",
			  (unsigned long long)s->slot->number, o->head.bytes);
		return false;
	}
	ring_read(s->ctf, at + sizeof(o->head), o->payload, o->head.bytes);
	o->behind = at + ctf_order_size(o->head.bytes);
	return true;
}

/*
 * An order has moved `applied` from @before to @at. If it lay on the border of a part, nobody needs
 * what stands before that: without this each ring would be in memory whole, sooner or later.
 *
 * The front loop writes below at + CTF_RING_ROOM. The part ends at or before @at and begins behind
 * at - 2 parts, an order being shorter than one; so its next lap is above what may be written now.
 */
static void give_back(struct ctf_source *s, uint64_t before, uint64_t at)
{
	_Static_assert(sizeof(struct ctf_order) + CTF_PIECE < CTF_RING_PART, "an order is shorter");

	if (before / CTF_RING_PART == at / CTF_RING_PART)
		return;
	before -= before % CTF_RING_PART;
	state_release(s->worker->st, s->ctf->ring + (before & (CTF_RING - 1)), CTF_RING_PART);
}

bool ctf_order_apply(struct ctf_source *s)
{
	uint64_t end = ordered(s);
	uint64_t begin = atomic_load_explicit(&s->ctf->applied, memory_order_relaxed), at = begin;
	struct worker *w = s->worker;
	struct order o;

	for (unsigned i = 0; at < end; i++) {
		int r;

		if (i == CTF_ORDERS_TURN) {
			worker_look(w, s->ref); /* after everybody else */
			break;
		}
		if (!take(s, &o, at, end))
			break;
		r = apply(s, &o);
		if (r < 0 && r != -EAGAIN)
			ctf_source_disk_trouble(s, r);
		if (r < 0 && !(s->ending && !ctf_source_disk_is_full(r)))
			break; /* at the end only room is waited for */
		s->blocked_since_ms = 0;
		atomic_store_explicit(&s->ctf->applied, o.behind, memory_order_release);
		give_back(s, at, o.behind);
		at = o.behind;
		follow(s, &o);
	}
	if (at != begin && end - begin > CTF_RING / 2)
		w->config.events->room(w->config.ctx, s->ref);
	return at != begin;
}
