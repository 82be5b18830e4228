/* SPDX-License-Identifier: MIT */
/* chunk_record.c - fills struct record from the slots and writes it; see chunk_record.h. */
#include "consumer/chunk_record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "consumer/birth.h"
#include "consumer/internal.h"
#include "consumer/record.h"

static struct timespec timespec_of(int64_t ns)
{
	return (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
}

static void describe(const struct consumer_source *s, unsigned which, struct record *r)
{
	const struct session_slot *session = state_session_of(s->worker->st, s->slot);
	const struct source_half *h = source_now(s->slot);
	const struct source_chunk *c = &h->chunk[which];
	char peer[ADDR_TEXT_MAX];

	*r = (struct record){.source = s->slot->number,
			     .chunk = c->number,
			     .started = timespec_of(c->start_ns),
			     .ended = timespec_of(c->end_ns),
			     .page_size = c->sub_buffer ? c->sub_buffer : h->sub_buffer};
	snprintf(r->session, sizeof(r->session), "%s", session ? session->name : "");
	snprintf(r->host, sizeof(r->host), "%s",
		 h->host[0] ? h->host : addr_format_name(&s->slot->peer, peer));
	snprintf(r->peer, sizeof(r->peer), "%s", addr_format(&s->slot->peer, peer));
	snprintf(r->protocol, sizeof(r->protocol), "%s",
		 protocol_name((enum protocol)s->slot->protocol));
	snprintf(r->transport, sizeof(r->transport), "%s",
		 s->slot->transport == TRANSPORT_UDP ? "udp" : "tcp");
}

static void fill_stream(const struct stream_slot *slot, uint32_t number, struct record_stream *ret)
{
	const struct stream_half *h = stream_now(slot);
	const struct stream_ledger *l = &h->frozen;

	*ret = (struct record_stream){.cpu = slot->cpu};
	if (h->frozen_number != number)
		return;
	ret->time_first = h->frozen_first_time;
	ret->time_last = h->frozen_last_time;
	ret->ledger.received = l->received;
	ret->ledger.stored = l->stored;
	for (unsigned i = 0; i < DISCARD_COUNT; i++)
		ret->ledger.discarded[i] = l->discarded[i];
	ret->ledger.pages = l->pages;
	ret->ledger.lost_events = l->lost_events;
	ret->ledger.lost_intervals =
		l->lost_intervals > l->marks ? l->lost_intervals - l->marks : 0;
	ret->ledger.datagrams_dropped = l->datagrams_dropped;
}

static int directory(const struct consumer_source *s)
{
	int fd = openat(s->worker->config.output_fd, source_now(s->slot)->dir,
			O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int chunk_record_birth(struct consumer_source *s, unsigned which, int fd)
{
	struct record record;

	describe(s, which, &record);
	record.sparse = true;
	snprintf(record.why, sizeof(record.why), "still being written");
	return birth_write(fd, &record, s->slot->cpus);
}

int chunk_record_write(struct consumer_source *s, unsigned which, const char *name,
		       const struct trace_dat_meta *meta, uint64_t stored)
{
	const struct source_half *h = source_now(s->slot);
	const struct source_chunk *c = &h->chunk[which];
	struct record_stream *streams = calloc(s->slot->cpus, sizeof(*streams));
	struct consumer_stream *t;
	struct record record;
	size_t n = 0;
	int dir, r;

	if (!streams)
		return -ENOMEM;
	dir = directory(s);
	if (dir < 0) {
		free(streams);
		return dir;
	}
	describe(s, which, &record);
	snprintf(record.file, sizeof(record.file), "%.*s%s", (int)(strlen(name) - 4), name,
		 h->metadata_parsed ? "dat" : "partial");
	cds_list_for_each_entry (t, &s->streams, node)
		fill_stream(t->slot, c->number, &streams[n++]);
	record.streams = streams;
	record.stream_count = n;
	record.sparse = stored > 0;
	record.format_version = meta->version;
	snprintf(record.clock, sizeof(record.clock), "%s", meta->clock);
	record.complete = !c->why && h->metadata_parsed;
	if (!h->metadata_parsed)
		snprintf(record.why, sizeof(record.why), "the metadata %s",
			 meta->why[0] ? meta->why : "is missing or not understood");
	else if (c->why)
		snprintf(record.why, sizeof(record.why), "%s",
			 close_reason_sentence((enum close_reason)c->why));
	r = record_write(dir, name, &record);
	if (r == 0)
		counters_add(s->worker->counters, COUNTER_records_written, 1);
	close(dir);
	free(streams);
	return r;
}
