/* SPDX-License-Identifier: MIT */
/* status_rates.c - what came between two looks; see status_rates.h. */
#include "relayd/status_rates.h"

#include <stdlib.h>

struct sample {
	uint64_t id;       /* of the stream; 0: none */
	uint64_t received; /* bytes at the last look */
	uint64_t rate;
};

struct status_rates {
	const struct state *st;
	int64_t last_ms; /* 0: never looked */
	/* [capacity.streams], of which only touched pages exist */
	struct sample *sample;
};

struct status_rates *status_rates_new(const struct state *st)
{
	struct status_rates *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->st = st;
	r->sample = calloc(st->header->capacity.streams + 1, sizeof(*r->sample));
	if (!r->sample) {
		free(r);
		return NULL;
	}
	return r;
}

void status_rates_free(struct status_rates *r)
{
	if (!r)
		return;
	free(r->sample);
	free(r);
}

static uint64_t received_by(const struct stream_slot *slot)
{
	uint64_t n;

	state_read(&slot->count, &slot->half[0].ledger.received, &slot->half[1].ledger.received, &n,
		   sizeof(n));
	return n;
}

static void look(struct sample *s, const struct stream_slot *slot, uint64_t id, int64_t elapsed_ms)
{
	uint64_t received = received_by(slot);

	/* One that began since the last look received everything since then. */
	uint64_t before = s->id == id ? s->received : 0;

	s->id = id;
	s->rate = elapsed_ms > 0 && received > before
			  ? (uint64_t)((double)(received - before) * 1000 / (double)elapsed_ms)
			  : 0;
	s->received = received;
}

void status_rates_sample(struct status_rates *r, int64_t now_ms)
{
	uint32_t high = atomic_load(&r->st->header->high_stream);
	int64_t elapsed_ms = r->last_ms ? now_ms - r->last_ms : 0;

	for (uint32_t i = 0; i < high; i++) {
		uint64_t id = atomic_load(&r->st->stream[i].id);

		if (id)
			look(&r->sample[i], &r->st->stream[i], id, elapsed_ms);
	}
	r->last_ms = now_ms;
}

uint64_t status_rates_of(const struct status_rates *r, struct state_ref stream)
{
	const struct sample *s = &r->sample[stream.index];

	return stream.id && s->id == stream.id ? s->rate : 0;
}
