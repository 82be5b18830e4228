/* SPDX-License-Identifier: MIT */
/* conn_speakers.c - a list for each source, and one of those who wait. */
#include "relayd/conn_speakers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int conn_speakers_init(struct relay *r)
{
	CDS_INIT_LIST_HEAD(&r->waiting);
	r->speakers = calloc(r->st.header->capacity.sources, sizeof(*r->speakers));
	return r->speakers ? 0 : -ENOMEM;
}

void conn_speakers_note(struct conn *c, uint32_t source)
{
	if (c->speaks_for == source)
		return;
	if (c->speaks_for)
		cds_hlist_del(&c->speaker);
	if (source)
		cds_hlist_add_head(&c->speaker, &c->relay->speakers[source - 1]);
	c->speaks_for = source;
}

void conn_speakers_wait(struct conn *c, bool waits)
{
	if (c->waits == waits)
		return;
	if (waits)
		cds_list_add_tail(&c->waiting, &c->relay->waiting);
	else
		cds_list_del(&c->waiting);
	c->waits = waits;
}

void conn_speakers_forget(struct conn *c)
{
	conn_speakers_note(c, 0);
	conn_speakers_wait(c, false);
}

void conn_speakers_look(struct relay *r)
{
	struct conn *c, *next;

	cds_list_for_each_entry_safe (c, next, &r->waiting, waiting)
		conn_turn(c); /* leaves the list itself, or stays; nobody else does */
}

/* Of those that a killed relayd had, some have not been passed to this one yet. */
static bool any_slot(const struct relay *r, const struct conn *but, struct state_ref source)
{
	uint32_t high = atomic_load(&r->st.header->high_conversation);

	for (uint32_t i = 0; i < high; i++) {
		const struct conversation_slot *slot = &r->st.conversation[i];
		struct lttng_control s;

		if (!atomic_load(&slot->id) || slot->role != CONVERSATION_LTTNG_CONTROL ||
		    atomic_load(&slot->done) || (but && slot == but->slot) ||
		    conversation_now(slot)->closing)
			continue;
		memcpy(&s, conversation_now(slot)->dialect, sizeof(s));
		if (s.source == 1 + source.index && s.source_id == source.id)
			return true;
		if (!s.source && atomic_load(&slot->source) == 1 + source.index)
			return true;
	}
	return false;
}

bool conn_speakers_any(const struct relay *r, const struct conn *but, struct state_ref source)
{
	const struct conn *c;

	if (!atomic_load(&r->synced))
		return any_slot(r, but, source);
	cds_hlist_for_each_entry_2(c, &r->speakers[source.index], speaker)
	{
		struct lttng_control s;

		if (c == but || conversation_now(c->slot)->closing)
			continue;
		memcpy(&s, conversation_now(c->slot)->dialect, sizeof(s));
		if (s.source_id == source.id)
			return true;
	}
	/* sessiond-lite gave it the source; it has not been told so yet. */
	cds_list_for_each_entry (c, &r->waiting, waiting)
		if (c != but && !c->speaks_for && !conversation_now(c->slot)->closing &&
		    atomic_load(&c->slot->source) == 1 + source.index)
			return true;
	return false;
}
