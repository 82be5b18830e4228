/* SPDX-License-Identifier: MIT */
/*
 * store_ctf.c - slots that only LTTng needs, made real when it comes and not before.
 *
 * A source's is given back as a whole when its source goes. Streams' lie several on a page and, as
 * those of stream_slot, stay real once they were used.
 */
#include <assert.h>
#include <errno.h>

#include "sessiond-lite/store_internal.h"

_Static_assert(offsetof(struct ctf_source_slot, ring) % sizeof(uint64_t) == 0 &&
		       sizeof(struct ctf_source_slot) % STATE_PAGE == 0 &&
		       sizeof(struct ctf_stream_slot) % sizeof(uint64_t) == 0,
	       "slots are cleared word by word, and a source's is given back in whole pages");

int store_ctf_source_reserve(struct store *s, struct state_ref *ret)
{
	struct ctf_source_slot *ctf;
	struct state_ref source;
	int r = store_source_reserve(s, 0, &source, NULL);

	if (r < 0)
		return r;
	/* From here on the slot's end releases the pages. */
	s->st.source[source.index].protocol = PROTOCOL_LTTNG;
	ctf = &s->st.ctf_source[source.index];
	if (state_touch(&s->st, ctf, offsetof(struct ctf_source_slot, ring)) < 0) {
		store_ctf_source_return(s, source);
		return -ENOMEM;
	}
	store_clear(ctf, offsetof(struct ctf_source_slot, ring));
	*ret = source;
	return 0;
}

void store_ctf_source_return(struct store *s, struct state_ref source)
{
	store_source_return(s, source, 0, NULL);
}

int store_ctf_stream_add(struct store *s, struct state_ref source, uint32_t last,
			 uint64_t by_conversation, uint64_t by_position, struct state_ref *ret)
{
	struct source_slot *owner = state_source(&s->st, source);
	struct ctf_stream_slot *ctf;
	struct stream_slot *stream;
	struct state_ref ref;
	uint32_t n;
	int r;

	assert(owner);
	r = store_stream_take(s, false, &ref);
	if (r < 0)
		return r;
	ctf = &s->st.ctf_stream[ref.index];
	if (state_touch(&s->st, ctf, sizeof(*ctf)) < 0) {
		store_stream_give(s, ref.index);
		return -ENOMEM;
	}
	store_clear(ctf, sizeof(*ctf));
	ctf->by_conversation = by_conversation;
	ctf->by_position = by_position;
	n = atomic_load(&owner->cpus);
	stream = &s->st.stream[ref.index];
	stream->source = source;
	stream->cpu = n;
	stream->transport = TRANSPORT_TCP;
	store_raise_mark(&s->st.header->high_stream, ref.index);
	atomic_store_explicit(&stream->id, ref.id, memory_order_release);
	/* Whoever finds it in the list finds it whole. */
	atomic_store_explicit(last ? &s->st.stream[last - 1].next : &owner->first_stream,
			      1 + ref.index, memory_order_release);
	atomic_store_explicit(&owner->cpus, n + 1, memory_order_release);
	*ret = ref;
	return 0;
}

void store_ctf_stream_drop(struct store *s, struct state_ref ref, uint32_t before)
{
	struct stream_slot *stream = state_stream(&s->st, ref);
	struct source_slot *owner = stream ? state_source(&s->st, stream->source) : NULL;

	assert(owner);
	/* In this order: common/stream_walk.c. */
	atomic_store_explicit(before ? &s->st.stream[before - 1].next : &owner->first_stream,
			      atomic_load(&stream->next), memory_order_release);
	atomic_store(&stream->id, 0);
	store_stream_give(s, ref.index);
}
