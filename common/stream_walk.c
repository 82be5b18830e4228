/* SPDX-License-Identifier: MIT */
/*
 * stream_walk.c - see stream_walk.h.
 *
 * A step from one slot to the next counts if behind it the first is still in the list (has its id)
 * and still names the second, which is still of this source: then nobody came between. Slots are
 * taken out by: the one before names the one behind, then the id goes, then the slot is free.
 */
#include "common/stream_walk.h"

#include "common/state.h"
#include "common/tsan.h"

/* Each means that a stream left the list at that very moment. More have not been seen; a list that
 * is no list at all must not hold anybody. */
#define BEGINNINGS 1000

enum step { STEP_END, STEP_FOUND, STEP_BROKEN };

struct look {
	uint64_t source;
	uint32_t number;
};

TSAN_READS_RACILY static struct look look_at(const volatile struct stream_slot *s)
{
	return (struct look){.source = s->source.id, .number = s->cpu};
}

/* Where the link to the next one stands. */
static const _Atomic uint32_t *link_behind(const struct state *st, struct state_ref source,
					   uint32_t at)
{
	return at ? &st->stream[at - 1].next : &st->source[source.index].first_stream;
}

static bool is_there(const struct state *st, struct state_ref source, const struct stream_walk *w)
{
	return w->at ? atomic_load(&st->stream[w->at - 1].id) == w->id
		     : atomic_load(&st->source[source.index].id) == source.id;
}

/* One link further; w->from is the least number that may come there, and moves on. */
static enum step step(const struct state *st, struct state_ref source, struct stream_walk *w)
{
	const _Atomic uint32_t *link = link_behind(st, source, w->at);
	uint32_t next = atomic_load_explicit(link, memory_order_acquire);
	const struct stream_slot *slot;
	struct look look;
	uint64_t id;

	if (next > st->header->capacity.streams)
		return STEP_BROKEN;
	if (!next)
		return is_there(st, source, w) ? STEP_END : STEP_BROKEN;
	slot = &st->stream[next - 1];
	id = atomic_load(&slot->id);
	look = look_at(slot);
	RACY_READS_END_HERE();
	if (!id || atomic_load(&slot->id) != id || look.source != source.id ||
	    atomic_load(link) != next || !is_there(st, source, w))
		return STEP_BROKEN;
	if (look.number < w->from)
		return STEP_BROKEN;
	*w = (struct stream_walk){.from = look.number + 1, .at = next, .id = id};
	return STEP_FOUND;
}

bool stream_walk_next(const struct state *st, struct state_ref source, struct stream_walk *w,
		      struct state_ref *ret)
{
	struct stream_walk now = *w;

	if (!now.at)
		now.from = 0;
	for (unsigned again = 0; again < BEGINNINGS;) {
		switch (step(st, source, &now)) {
		case STEP_END:
			return false;
		case STEP_BROKEN:
			if (atomic_load(&st->source[source.index].id) != source.id)
				return false;
			now = (struct stream_walk){0}; /* w->from says what was given */
			again++;
			break;
		case STEP_FOUND:
			if (now.from <= w->from)
				break;
			*w = now;
			*ret = (struct state_ref){.index = now.at - 1, .id = now.id};
			return true;
		}
	}
	return false;
}
