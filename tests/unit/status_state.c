/* SPDX-License-Identifier: MIT */
/* status_state.c - slots filled by hand; see status_state.h. */
#include "tests/unit/status_state.h"

#include <criterion/criterion.h>
#include <stdio.h>

static uint64_t new_id(struct state *st)
{
	return atomic_fetch_add(&st->header->next_id, 1);
}

static void raise(_Atomic uint32_t *high, uint32_t to)
{
	if (atomic_load(high) < to)
		atomic_store(high, to);
}

void status_state_make(struct state *st, uint32_t streams)
{
	struct state_capacity capacity = {.conversations = streams / 4 + 1,
					  .sources = streams / 4 + 1,
					  .streams = streams,
					  .workers = 2};

	cr_assert_eq(state_create(&capacity, st), 0);
	atomic_store(&st->header->generation, 3);
	st->header->started_ns = INT64_C(1700000000123456789);
}

struct session_slot *status_state_session(struct state *st, uint32_t index, const char *name)
{
	struct session_slot *s = &st->session[index];

	snprintf(s->name, sizeof(s->name), "%s", name);
	atomic_store(&s->id, new_id(st));
	raise(&st->header->high_session, index + 1);
	return s;
}

struct source_slot *status_state_source(struct state *st, uint32_t index, uint32_t cpus,
					uint32_t first_stream)
{
	struct source_slot *s = &st->source[index];
	uint64_t id = new_id(st);
	struct source_half *h;

	cr_assert_eq(state_touch(st, s, sizeof(*s)), 0);
	s->cpus = cpus;
	s->number = 100 + index;
	s->protocol = PROTOCOL_TRACE_CMD_V3;
	s->start_ns = INT64_C(1700000001000000000);
	cr_assert_eq(addr_parse("10.0.0.1:40000", &s->peer), 0);
	for (uint32_t cpu = 0; cpu < cpus; cpu++) {
		uint32_t at = first_stream + cpus - 1 - cpu;
		struct stream_slot *t = &st->stream[at];

		cr_assert_eq(state_touch(st, t, sizeof(*t)), 0);
		t->source = (struct state_ref){.index = index, .id = id};
		t->cpu = cpu;
		t->port = (uint16_t)(30000 + cpu);
		t->next = cpu + 1 < cpus ? at : 0; /* 1 + the slot below */
		atomic_store(&t->id, new_id(st));
	}
	s->first_stream = first_stream + cpus;
	raise(&st->header->high_stream, first_stream + cpus);
	h = source_begin(s);
	h->sub_buffer = 4096;
	h->metadata_parsed = 1;
	h->next_chunk = 2;
	h->chunk[0] = (struct source_chunk){.state = CHUNK_OPEN, .number = 1};
	snprintf(h->host, sizeof(h->host), "web%u", index);
	snprintf(h->dir, sizeof(h->dir), "default/web%u/20231114-221321-%u", index, 100 + index);
	source_commit(s);
	atomic_store(&s->session, 1);
	atomic_store(&s->worker, 1);
	atomic_store(&s->id, id);
	raise(&st->header->high_source, index + 1);
	return s;
}

static void lttng_stream(struct state *st, uint32_t at, uint32_t number, struct state_ref source,
			 bool last)
{
	struct ctf_stream_slot *c = &st->ctf_stream[at];
	struct stream_slot *t = &st->stream[at];
	struct stream_half *h;

	cr_assert_eq(state_touch(st, t, sizeof(*t)), 0);
	cr_assert_eq(state_touch(st, c, sizeof(*c)), 0);
	t->source = source;
	t->next = last ? 0 : at + 2;
	t->cpu = number;
	snprintf(c->path, sizeof(c->path), "ust/uid/1000/64-bit");
	c->metadata = number == 0;
	if (number)
		snprintf(c->name, sizeof(c->name), "channel0_%u", number - 1);
	else
		snprintf(c->name, sizeof(c->name), "metadata");
	atomic_store(&c->named, 1);
	h = stream_begin(t);
	h->state = STREAM_OPEN;
	h->ctf.opened = 1;
	h->ctf.chunk = 1;
	stream_commit(t);
	atomic_store(&t->id, new_id(st));
}

struct source_slot *status_state_lttng(struct state *st, uint32_t index, uint32_t minor,
				       uint32_t streams, uint32_t first_stream)
{
	struct source_slot *s = &st->source[index];
	struct ctf_source_slot *c = &st->ctf_source[index];
	uint64_t id = new_id(st);
	struct ctf_source_half *ch;
	struct source_half *h;

	cr_assert_eq(state_touch(st, s, sizeof(*s)), 0);
	cr_assert_eq(state_touch(st, c, sizeof(*c)), 0);
	s->cpus = streams;
	s->number = 100 + index;
	s->protocol = PROTOCOL_LTTNG;
	cr_assert_eq(addr_parse("10.0.0.2:40000", &s->peer), 0);
	for (uint32_t i = 0; i < streams; i++)
		lttng_stream(st, first_stream + i, i, (struct state_ref){.index = index, .id = id},
			     i + 1 == streams);
	s->first_stream = streams ? first_stream + 1 : 0;
	raise(&st->header->high_stream, first_stream + streams);
	snprintf(c->session_name, sizeof(c->session_name), "auto");
	snprintf(c->host, sizeof(c->host), "web%u", index);
	atomic_store(&c->minor, minor);
	ch = ctf_source_begin(c);
	ch->serial = 3;
	ch->current = 1;
	ch->chunk[0] = (struct ctf_chunk){.state = CTF_CHUNK_OPEN, .serial = 3};
	ctf_source_commit(c);
	h = source_begin(s);
	snprintf(h->dir, sizeof(h->dir), "default/web%u/auto", index);
	source_commit(s);
	atomic_store(&s->session, 1);
	atomic_store(&s->worker, 1);
	atomic_store(&s->id, id);
	raise(&st->header->high_source, index + 1);
	return s;
}

struct stream_slot *status_state_stream(const struct state *st, const struct source_slot *source,
					uint32_t cpu)
{
	return &st->stream[source->first_stream - 1 - cpu];
}

void status_state_receive(struct stream_slot *slot, uint64_t received, uint64_t stored)
{
	struct stream_half *h = stream_begin(slot);

	h->state = STREAM_OPEN;
	h->ledger.received = received;
	h->ledger.stored = stored;
	h->ledger.discarded[DISCARD_PROTOCOL] = received - stored;
	stream_commit(slot);
}
