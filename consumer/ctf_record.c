/* SPDX-License-Identifier: MIT */
/*
 * ctf_record.c - chunk.json: what a chunk of an LTTng session is, what was stored, what was lost.
 *
 * It lies beside ust/ and kernel/: in the directory of a trace a reader would refuse the trace.
 */
#include "consumer/ctf_internal.h"
#include "consumer/ctf_record.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NEW_NAME ".chunk.json.new"

static json_t *number(uint64_t n)
{
	return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

/* Names come from peers: what is no UTF-8 is shown as bytes. */
static json_t *text(const char *from)
{
	json_t *json = json_string(from);
	char copy[CTF_DIR];
	size_t n;

	if (json)
		return json;
	for (n = 0; from[n] && n + 1 < sizeof(copy); n++)
		copy[n] = (char)((unsigned char)from[n] < 0x80 ? from[n] : '?');
	copy[n] = '\0';
	return json_string(copy);
}

/* What a stream did in this chunk. False: it was not in it. */
static bool ledger_in(const struct stream_half *h, uint32_t chunk, uint64_t serial,
		      struct stream_ledger *ret)
{
	if (h->ctf.chunk == chunk && h->ctf.chunk_serial == serial) {
		*ret = ledger_since(&h->ledger, &h->chunk_base);
		return true;
	}
	if (h->frozen_number != (uint32_t)serial)
		return false;
	*ret = h->frozen;
	return true;
}

/* Indexes tell what was lost; from minor 8 on packets too. */
static void put_ledger(json_t *json, const struct stream_ledger *l, bool indexed, bool numbered)
{
	json_t *discarded = json_object();

	json_object_set_new(json, "received", number(l->received));
	json_object_set_new(json, "stored", number(l->stored));
	for (unsigned i = 0; i < DISCARD_COUNT; i++)
		json_object_set_new(discarded, discard_name((enum discard)i),
				    number(l->discarded[i]));
	json_object_set_new(json, "discarded", discarded);
	json_object_set_new(json, "packets", number(l->pages));
	json_object_set_new(json, "lost_events", indexed ? number(l->lost_events) : json_null());
	json_object_set_new(json, "lost_packets", numbered ? number(l->lost_packets) : json_null());
	json_object_set_new(json, "lost_packets_at_start",
			    numbered ? number(l->lost_packets_at_start) : json_null());
}

static json_t *stream_json(const struct ctf_stream *t, const struct stream_ledger *l)
{
	bool indexed = !t->ctf->metadata && !ctf_source_indexless(t->source);
	json_t *json = json_object();

	json_object_set_new(json, "path", text(ctf_stream_path(t)));
	json_object_set_new(json, "name", text(t->ctf->name));
	json_object_set_new(json, "metadata", json_boolean(t->ctf->metadata));
	put_ledger(json, l, indexed, indexed && t->source->ctf->minor >= 8);
	return json;
}

/* Those whose slots were given back, all together. */
static json_t *retired_json(const struct ctf_source *s, const struct ctf_retired *retired)
{
	bool indexed = !ctf_source_indexless(s);
	json_t *json = json_object();

	json_object_set_new(json, "count", number(retired->streams));
	put_ledger(json, &retired->ledger, indexed, indexed && s->ctf->minor >= 8);
	return json;
}

/* Packets of a trace came, of its metadata nothing. */
static bool metadata_missing(struct ctf_source *s, uint32_t chunk, uint64_t serial)
{
	struct ctf_stream *t, *m;
	struct stream_ledger l;

	cds_list_for_each_entry (t, &s->streams, node) {
		bool found = false;

		if (t->ctf->metadata || !ledger_in(stream_now(t->slot), chunk, serial, &l) ||
		    !l.stored)
			continue;
		cds_list_for_each_entry (m, &s->streams, node)
			if (m->ctf->metadata && strcmp(m->ctf->path, t->ctf->path) == 0 &&
			    ledger_in(stream_now(m->slot), chunk, serial, &l) && l.stored)
				found = true;
		if (!found)
			return true;
	}
	return false;
}

/* Why it is incomplete; NULL: it is not. */
static const char *why(struct ctf_source *s, uint32_t chunk, bool missing)
{
	const struct ctf_chunk *c = &ctf_source_now(s->ctf)->chunk[chunk - 1];
	struct source_front_half f;
	struct stream_ledger l;
	struct ctf_stream *t;

	source_front_read(&s->slot->front, &f);
	cds_list_for_each_entry (t, &s->streams, node) {
		const struct stream_half *h = stream_now(t->slot);

		if (!ledger_in(h, chunk, c->serial, &l))
			continue;
		for (unsigned i = 0; i < DISCARD_COUNT; i++)
			if (l.discarded[i])
				return discard_sentence((enum discard)i);
		if (h->ctf.chunk == chunk && !ctf_stream_complete(h)) {
			const struct session_slot *session =
				state_session_of(s->worker->st, s->slot);

			if (s->worker->stopping)
				return close_reason_sentence(CLOSE_shutdown);
			if (session && atomic_load(&session->ending))
				return close_reason_sentence(CLOSE_session_destroyed);
			return f.control_ended && !f.closed_in_order
				       ? close_reason_sentence((enum close_reason)f.control_ended)
				       : "a stream was not closed by its client";
		}
	}
	if (c->retired_discards)
		return discard_sentence((enum discard)(c->retired_discards - 1));
	return missing ? "the metadata never came" : NULL;
}

/* What is the same for all chunks of the source. */
static json_t *head(const struct ctf_source *s)
{
	const struct session_slot *session = state_session_of(s->worker->st, s->slot);
	char peer[ADDR_TEXT_MAX], protocol[32];
	json_t *json = json_object();

	if (!json)
		return NULL;
	snprintf(protocol, sizeof(protocol), "LTTng 2.%u", s->ctf->minor);
	json_object_set_new(json, "format", json_integer(1));
	json_object_set_new(json, "source", number(s->slot->number));
	json_object_set_new(json, "session", text(session ? session->name : ""));
	json_object_set_new(json, "host", text(s->ctf->host));
	json_object_set_new(json, "peer", text(addr_format(&s->slot->peer, peer)));
	json_object_set_new(json, "protocol", text(protocol));
	json_object_set_new(json, "client_session", text(s->ctf->session_name));
	return json;
}

char *ctf_record_head(const struct ctf_source *s)
{
	json_t *json = head(s);
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	json_decref(json);
	return text;
}

static json_t *build(struct ctf_source *s, uint32_t chunk, struct ctf_chunk_sum *sum)
{
	const struct ctf_chunk *c = &ctf_source_now(s->ctf)->chunk[chunk - 1];
	bool missing = c->retired_bare || metadata_missing(s, chunk, c->serial);
	const char *reason = why(s, chunk, missing);
	json_t *json = head(s), *streams = json_array();
	struct stream_ledger l;
	struct ctf_stream *t;

	*sum = (struct ctf_chunk_sum){.complete = !reason};
	if (!json || !streams) {
		json_decref(json);
		json_decref(streams);
		return NULL;
	}
	cds_list_for_each_entry (t, &s->streams, node) {
		if (!ledger_in(stream_now(t->slot), chunk, c->serial, &l))
			continue;
		sum->bytes += l.stored;
		sum->lost += l.lost_events;
		json_array_append_new(streams, stream_json(t, &l));
	}
	sum->bytes += c->retired.ledger.stored;
	sum->lost += c->retired.ledger.lost_events;
	if (c->id != CTF_NONE)
		json_object_set_new(json, "chunk", number(c->id));
	json_object_set_new(json, "created", json_integer(c->created));
	json_object_set_new(json, "closed", json_integer(c->closed));
	json_object_set_new(json, "bytes", number(sum->bytes));
	json_object_set_new(json, "complete", json_boolean(!reason));
	if (reason)
		json_object_set_new(json, "why", text(reason));
	if (missing)
		json_object_set_new(json, "metadata", text("missing"));
	json_object_set_new(json, "streams", streams);
	if (c->retired.streams)
		json_object_set_new(json, "ended_streams", retired_json(s, &c->retired));
	return json;
}

int ctf_record_put(int dir, const char *name, const char *content)
{
	size_t len = strlen(content);
	int fd = openat(dir, NEW_NAME, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0640);
	ssize_t n;
	int r;

	if (fd < 0)
		return -errno;
	n = write(fd, content, len);
	r = n < 0 ? -errno : (size_t)n == len ? 0 : -ENOSPC;
	close(fd);
	if (r == 0 && renameat(dir, NEW_NAME, dir, name) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(dir, NEW_NAME, 0);
	return r;
}

int ctf_record_write(struct ctf_source *s, uint32_t chunk, struct ctf_chunk_sum *ret)
{
	json_t *json = build(s, chunk, ret);
	char *content = json ? json_dumps(json, JSON_INDENT(1)) : NULL;
	bool complete = json && json_is_true(json_object_get(json, "complete"));
	char name[40] = CTF_RECORD_NAME;
	int dir, r;

	json_decref(json);
	if (!content)
		return -ENOMEM;
	dir = ctf_dir_open(s->worker->config.output_fd,
			   ctf_source_now(s->ctf)->chunk[chunk - 1].dir, true);
	/* Old clients have no chunks; several of them may share a place. */
	if (dir >= 0 && ctf_source_now(s->ctf)->chunk[chunk - 1].id == CTF_NONE &&
	    faccessat(dir, CTF_RECORD_NAME, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		snprintf(name, sizeof(name), "chunk-%llu.json",
			 (unsigned long long)s->slot->number);
	r = dir < 0 ? dir : ctf_record_put(dir, name, content);
	if (dir >= 0)
		close(dir);
	free(content);
	if (r == 0) {
		counters_add(s->worker->counters, COUNTER_records_written, 1);
		counters_add(s->worker->counters, COUNTER_chunks_incomplete, !complete);
	}
	return r;
}
