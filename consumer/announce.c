/* SPDX-License-Identifier: MIT */
/*
 * announce.c - chunks that are in place, until the catalog has them.
 *
 * What the catalog is to know stands in the state: it is said again after a restart and every
 * second until it is answered, and streams are long in the next chunk then.
 * Thread: the worker's.
 */
#include "consumer/internal.h"

#include <assert.h>
#include <stdio.h>

bool announce_full(const struct consumer_source *s)
{
	const struct source_half *h = source_now(s->slot);

	for (unsigned i = 0; i < SOURCE_ANNOUNCED; i++)
		if (!h->announced[i].number)
			return false;
	return true;
}

bool announce_pending(const struct consumer_source *s, uint32_t number)
{
	const struct source_half *h = source_now(s->slot);

	for (unsigned i = 0; i < SOURCE_ANNOUNCED; i++)
		if (h->announced[i].number && (!number || h->announced[i].number == number))
			return true;
	return false;
}

static void say(struct consumer_source *s, const struct source_announced *a)
{
	struct worker_chunk info = {.source = s->ref,
				    .source_number = s->slot->number,
				    .number = a->number,
				    .complete = a->complete,
				    .sparse = a->readable && a->bytes > 0,
				    .bytes = a->bytes,
				    .lost = a->lost,
				    .start_ns = a->start_ns,
				    .end_ns = a->end_ns};
	char name[64];

	chunk_name(a->number, a->numbered, a->readable, name, sizeof(name));
	if (snprintf(info.path, sizeof(info.path), "%s/%s", source_now(s->slot)->dir, name) <
	    (int)sizeof(info.path))
		s->worker->config.events->chunk(s->worker->config.ctx, &info);
}

void announce_add(struct consumer_source *s, unsigned which)
{
	struct source_half *h = source_begin(s->slot);
	struct source_chunk *c = &h->chunk[which];
	struct source_announced *a = h->announced;
	struct consumer_stream *t;

	while (a->number)
		a++;
	assert(a < h->announced + SOURCE_ANNOUNCED);
	*a = (struct source_announced){.number = c->number,
				       .complete = !c->why && h->metadata_parsed,
				       .readable = h->metadata_parsed,
				       .numbered = c->numbered,
				       .start_ns = c->start_ns,
				       .end_ns = c->end_ns};
	cds_list_for_each_entry (t, &s->streams, node) {
		const struct stream_half *sh = stream_now(t->slot);

		if (sh->frozen_number != c->number)
			continue;
		a->bytes += sh->frozen.stored;
		a->lost += sh->frozen.lost_events;
	}
	c->state = CHUNK_NONE;
	source_commit(s->slot);
	say(s, a);
}

void announce_again(struct consumer_source *s)
{
	for (unsigned i = 0; i < SOURCE_ANNOUNCED; i++)
		if (source_now(s->slot)->announced[i].number)
			say(s, &source_now(s->slot)->announced[i]);
}

void announce_kept(struct consumer_source *s, uint32_t number)
{
	for (unsigned i = 0; i < SOURCE_ANNOUNCED; i++) {
		struct source_half *h;

		if (source_now(s->slot)->announced[i].number != number)
			continue;
		h = source_begin(s->slot);
		h->announced[i].number = 0;
		source_commit(s->slot);
	}
}
