/* SPDX-License-Identifier: MIT */
/*
 * ctf_announce.c - chunks of LTTng sources that are in place, until the catalog has them.
 *
 * As announce.c: what the catalog is to know stands in the state, and is said again until it is
 * answered. A client does not wait for our catalog: when there is no room for one more, the oldest
 * is forgotten, and only its chunk.json tells of it.
 */
#include "consumer/ctf_internal.h"

#include <stdio.h>

#define SAY_AGAIN_MS 1000

static void say(struct ctf_source *s, const struct ctf_announced *a)
{
	struct worker_chunk info = {.source = s->ref,
				    .source_number = s->slot->number,
				    .number = (uint32_t)a->serial,
				    .complete = a->complete,
				    .bytes = a->bytes,
				    .lost = a->lost,
				    .start_ns = a->start_ns,
				    .end_ns = a->end_ns};

	snprintf(info.path, sizeof(info.path), "%s", a->path);
	s->worker->config.events->chunk(s->worker->config.ctx, &info);
}

static struct ctf_announced *place(struct ctf_source *s, struct ctf_source_half *h)
{
	struct ctf_announced *oldest = &h->announced[0];

	for (unsigned i = 0; i < CTF_ANNOUNCED; i++) {
		if (!h->announced[i].serial)
			return &h->announced[i];
		if (h->announced[i].serial < oldest->serial)
			oldest = &h->announced[i];
	}
	log_error("chunk-not-kept", "source %llu: %s is not in the catalog, which is far behind",
		  (unsigned long long)s->slot->number, oldest->path);
	return oldest;
}

void ctf_announce_add(struct ctf_source *s, struct ctf_source_half *h, const struct ctf_chunk *c,
		      const struct ctf_chunk_sum *sum)
{
	struct ctf_announced *a;
	int64_t start = c->created, end = c->closed;

	if (strlen(c->dir) >= sizeof(a->path)) {
		log_error("chunk-not-kept",
			  "source %llu: the path of a chunk is too long for the "
			  "catalog: %s",
			  (unsigned long long)s->slot->number, c->dir);
		return;
	}
	a = place(s, h);
	*a = (struct ctf_announced){.serial = c->serial,
				    .complete = sum->complete,
				    .bytes = sum->bytes,
				    .lost = sum->lost,
				    .start_ns = start * 1000000000,
				    .end_ns = end * 1000000000};
	strcpy(a->path, c->dir);
	s->said_ms = 0;
}

void ctf_announce_run(struct ctf_source *s)
{
	const struct ctf_source_half *h = ctf_source_now(s->ctf);
	int64_t now;

	if (!ctf_announce_pending(s))
		return;
	now = ctf_now_ms();
	if (s->said_ms && now - s->said_ms < SAY_AGAIN_MS)
		return;
	s->said_ms = now;
	for (unsigned i = 0; i < CTF_ANNOUNCED; i++)
		if (h->announced[i].serial)
			say(s, &h->announced[i]);
}

bool ctf_announce_pending(const struct ctf_source *s)
{
	const struct ctf_source_half *h = ctf_source_now(s->ctf);

	for (unsigned i = 0; i < CTF_ANNOUNCED; i++)
		if (h->announced[i].serial)
			return true;
	return false;
}

void ctf_announce_kept(struct ctf_source *s, uint32_t number)
{
	for (unsigned i = 0; i < CTF_ANNOUNCED; i++) {
		struct ctf_source_half *h;

		if ((uint32_t)ctf_source_now(s->ctf)->announced[i].serial != number || !number)
			continue;
		h = ctf_source_begin(s->ctf);
		memset(&h->announced[i], 0, sizeof(h->announced[i]));
		ctf_source_commit(s->ctf);
	}
}
