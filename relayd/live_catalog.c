/* SPDX-License-Identifier: MIT */
/* live_catalog.c - see live_catalog.h. */
#include "relayd/live_catalog.h"

#include "common/ctf_place.h"

static const struct source_slot *find_source(const struct state *st, uint64_t handle)
{
	struct state_ref ref = {.index = ctf_handle_index(handle), .id = ctf_handle_id(handle)};

	if (!ref.id || ref.index >= st->header->capacity.sources)
		return NULL;
	return state_source(st, ref);
}

static const struct stream_slot *find_stream(const struct state *st, uint64_t handle)
{
	struct state_ref ref = {.index = ctf_handle_index(handle), .id = ctf_handle_id(handle)};

	if (!ref.id || ref.index >= st->header->capacity.streams)
		return NULL;
	return state_stream(st, ref);
}

static void copy_text(char *to, size_t size, const char *from)
{
	size_t len = strnlen(from, size - 1);

	memcpy(to, from, len);
	to[len] = '\0';
}

bool live_catalog_session(const struct state *st, uint64_t handle, struct live_session *ret)
{
	const struct source_slot *s = find_source(st, handle);
	const struct ctf_source_slot *c;
	struct ctf_source_half half;
	struct source_front_half control;
	struct ctf_front_half front;
	struct source_half place;

	/* What the front loop says of it is there once it has a worker. */
	if (!s || s->protocol != PROTOCOL_LTTNG || !atomic_load(&s->worker))
		return false;
	c = &st->ctf_source[ctf_handle_index(handle)];
	source_front_read(&s->front, &control);
	ctf_front_read(c, &front);
	ctf_source_read(c, &half);
	memset(ret, 0, sizeof(*ret));
	ret->entry.id = handle;
	ret->entry.live_timer_us = c->live_timer_us;
	ret->published = half.published;
	copy_text(ret->entry.host, sizeof(ret->entry.host), c->host);
	copy_text(ret->entry.name, sizeof(ret->entry.name), c->session_name);
	source_read(s, &place);
	ret->over = atomic_load(&s->done) || place.finished ||
		    (control.control_ended && atomic_load(&c->applied) >= front.ordered);
	return !c->snapshot && atomic_load(&s->id) == ctf_handle_id(handle);
}

/* What a list shows. */
static uint32_t count_published(const struct state *st, uint64_t session, uint64_t published)
{
	struct stream_walk walk = {0};
	struct live_stream s;
	uint32_t n = 0;

	while (live_catalog_next_stream(st, session, &walk, &s) && s.number < published)
		n++;
	return n;
}

bool live_catalog_next_session(const struct state *st, uint32_t *at, struct live_session *ret)
{
	uint32_t high = atomic_load(&st->header->high_source);

	while (*at < high) {
		uint32_t i = (*at)++;
		uint64_t id = atomic_load(&st->source[i].id);

		if (!id || !live_catalog_session(st, ctf_handle(i, id), ret) || ret->over)
			continue;
		ret->entry.streams = count_published(st, ret->entry.id, ret->published);
		return true;
	}
	return false;
}

bool live_catalog_stream(const struct state *st, uint64_t handle, struct live_stream *ret)
{
	const struct stream_slot *s = find_stream(st, handle);
	const struct ctf_stream_slot *c;

	if (!s)
		return false;
	ret->index = ctf_handle_index(handle);
	ret->number = s->cpu;
	c = &st->ctf_stream[ret->index];
	if (!atomic_load(&c->named))
		return false;
	memset(&ret->entry, 0, sizeof(ret->entry));
	ret->entry.id = handle;
	ret->entry.trace = c->trace;
	ret->entry.metadata = c->metadata;
	copy_text(ret->entry.path, sizeof(ret->entry.path), c->path);
	copy_text(ret->entry.name, sizeof(ret->entry.name), c->name);
	return atomic_load(&s->id) == ctf_handle_id(handle);
}

bool live_catalog_next_stream(const struct state *st, uint64_t session, struct stream_walk *walk,
			      struct live_stream *ret)
{
	struct state_ref source = {.index = ctf_handle_index(session),
				   .id = ctf_handle_id(session)};
	struct stream_walk next = *walk;
	struct state_ref ref;

	if (!find_source(st, session) || next.at > st->header->capacity.streams ||
	    !stream_walk_next(st, source, &next, &ref) ||
	    !live_catalog_stream(st, ctf_handle(ref.index, ref.id), ret))
		return false;
	*walk = next;
	return true;
}

/* Is everything there that its client said there would be? */
static bool complete(const struct ctf_stream_half *h)
{
	if (!h->closed)
		return false;
	if (h->last_seq == CTF_NONE)
		return true;
	return h->any_data && (int64_t)(h->data_seq - h->last_seq) >= 0 && h->any_index &&
	       (int64_t)(h->index_seq - h->last_seq) >= 0;
}

/* The metadata of a trace among these streams has not come. */
static bool lacks_metadata(const struct state *st, uint64_t session, struct stream_walk walk,
			   uint64_t trace)
{
	struct live_stream s;
	struct stream_half h;

	while (live_catalog_next_stream(st, session, &walk, &s)) {
		if (!s.entry.metadata || s.entry.trace != trace)
			continue;
		stream_read(&st->stream[s.index], &h);
		return !h.position;
	}
	return false;
}

void live_catalog_untold(const struct state *st, uint64_t session, const struct stream_walk *told,
			 struct live_untold *ret)
{
	struct stream_walk walk = *told;
	struct live_stream s;
	struct stream_half h;

	*ret = (struct live_untold){.until = UINT64_MAX};
	while (live_catalog_next_stream(st, session, &walk, &s)) {
		if (s.entry.metadata)
			continue;
		stream_read(&st->stream[s.index], &h);
		if (h.state == STREAM_ENDED || h.ctf.closed ||
		    (h.ctf.any_index && !lacks_metadata(st, session, *told, s.entry.trace)))
			ret->ready = true;
		else if (h.ctf.any_index || h.ctf.beacon_end < ret->until)
			ret->until = h.ctf.any_index ? 0 : h.ctf.beacon_end;
	}
}

bool live_catalog_where(const struct state *st, uint64_t handle, struct live_where *ret)
{
	const struct stream_slot *s = find_stream(st, handle);
	const struct ctf_stream_slot *c;
	const char *path;

	if (!s || s->source.index >= st->header->capacity.sources)
		return false;
	c = &st->ctf_stream[ctf_handle_index(handle)];
	/* The stream first: the chunk that it is in is in the source's table by then. */
	stream_read(s, &ret->stream);
	ctf_source_read(&st->ctf_source[s->source.index], &ret->source);
	ret->tracefile_size = c->metadata ? 0 : c->tracefile_size; /* its name has no number */
	ret->tracefile_count = c->tracefile_count;
	path = ctf_place_stream(st->ctf_source[s->source.index].minor, c->path);
	copy_text(ret->path, sizeof(ret->path), path ? path : "");
	copy_text(ret->name, sizeof(ret->name), c->name);
	ret->last_serial = ret->stream.ctf.chunk_serial;
	ret->last_file = ret->stream.ctf.file;
	if (!ret->last_serial) {
		ret->last_serial = ret->stream.ctf.left_serial;
		ret->last_file = ret->stream.ctf.left_file;
	}
	ret->over = ret->stream.state == STREAM_ENDED ||
		    (c->metadata ? ret->stream.ctf.closed : complete(&ret->stream.ctf));
	return atomic_load(&s->id) == ctf_handle_id(handle);
}

const char *live_where_dir(const struct live_where *w, uint64_t serial, const char **ret_moving_to)
{
	*ret_moving_to = "";
	for (uint32_t i = 0; i < CTF_CHUNKS; i++) {
		const struct ctf_chunk *c = &w->source.chunk[i];

		if (c->state != CTF_CHUNK_FREE && c->serial == serial) {
			*ret_moving_to = c->moving_to;
			return c->dir;
		}
	}
	for (uint32_t i = 0; i < CTF_PAST; i++)
		if (serial && w->source.past[i].serial == serial)
			return w->source.past[i].dir;
	return NULL;
}

uint64_t live_where_next(const struct live_where *w, uint64_t serial)
{
	uint64_t found = 0;

	for (uint32_t i = 0; i < CTF_CHUNKS + CTF_PAST; i++) {
		const struct ctf_chunk *c = &w->source.chunk[i < CTF_CHUNKS ? i : 0];
		uint64_t at = i >= CTF_CHUNKS              ? w->source.past[i - CTF_CHUNKS].serial
			      : c->state != CTF_CHUNK_FREE ? c->serial
							   : 0;

		if (at > serial && (!found || at < found))
			found = at;
	}
	return found;
}
