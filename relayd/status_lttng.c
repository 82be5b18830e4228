/* SPDX-License-Identifier: MIT */
/* status_lttng.c - copies of what lies beside sources and streams; see status_lttng.h. */
#include "relayd/status_lttng.h"

#include <stdio.h>
#include <string.h>

#include "common/tsan.h"
#include "relayd/live_viewer.h"

#define INDEX_MINOR      4 /* clients send indexes from here on */
#define PACKET_SEQ_MINOR 8 /* and packet_seq_num in them */

/* What is read of a slot that is another's by now is thrown away by the caller. */
struct facts {
	bool live, snapshot;
};

TSAN_READS_RACILY static struct facts look_at_source(const volatile struct ctf_source_slot *c)
{
	return (struct facts){.live = c->live_timer_us != 0, .snapshot = c->snapshot != 0};
}

TSAN_READS_RACILY static bool is_metadata(const volatile struct ctf_stream_slot *c)
{
	return c->metadata != 0;
}

/* Not memcpy(), which ThreadSanitizer sees. Always terminated. */
TSAN_READS_RACILY static void copy_text(char *to, const volatile char *from, size_t cap)
{
	size_t n = 0;

	for (; n + 1 < cap && from[n]; n++)
		to[n] = from[n];
	to[n] = '\0';
}

/* ---- sources ---- */

void status_lttng_source(const struct state *st, uint32_t index, struct status_lttng *ret)
{
	const struct ctf_source_slot *c = &st->ctf_source[index];
	struct facts facts;

	*ret = (struct status_lttng){.minor = atomic_load(&c->minor)};
	if (!ret->minor)
		return;
	facts = look_at_source(c);
	ret->live = facts.live;
	ret->snapshot = facts.snapshot;
	copy_text(ret->session_name, c->session_name, sizeof(ret->session_name));
	copy_text(ret->host, c->host, sizeof(ret->host));
}

const char *status_lttng_mode(const struct status_lttng *source)
{
	if (!source->minor)
		return NULL;
	return source->snapshot ? "snapshot" : source->live ? "live" : "streaming";
}

char *status_lttng_protocol(uint32_t minor, char buf[STATUS_PROTOCOL_MAX])
{
	if (minor)
		snprintf(buf, STATUS_PROTOCOL_MAX, "LTTng 2.%u", minor);
	else
		snprintf(buf, STATUS_PROTOCOL_MAX, "LTTng");
	return buf;
}

/* ---- streams ---- */

/* What clients of this kind tell of each stream, metadata excepted. */
static uint32_t tells(const struct status_lttng *source)
{
	uint32_t ret = STATUS_TELLS_PACKETS;

	if (source->snapshot || source->minor < INDEX_MINOR)
		return ret;
	ret |= STATUS_TELLS_LOST_EVENTS;
	return source->minor < PACKET_SEQ_MINOR ? ret : ret | STATUS_TELLS_LOST_PACKETS;
}

/* What is discarded while the worker hangs in the disk, and not in its ledger yet. */
static void add_stalled(const struct ctf_stream_slot *c, const struct stream_half *h,
			struct stream_ledger *ledger)
{
	struct ctf_stalled_half stalled;

	ctf_stalled_read(&c->stalled, &stalled); /* behind h: it has no less */
	ledger->received += stalled.bytes - h->ctf.stalled;
	ledger->discarded[DISCARD_STALL] += stalled.bytes - h->ctf.stalled;
}

void status_lttng_stream(const struct state *st, uint32_t index, const struct status_lttng *source,
			 const struct stream_half *h, char name[STATUS_STREAM_NAME],
			 struct status_sum *sum)
{
	const struct ctf_stream_slot *c = &st->ctf_stream[index];
	bool named = atomic_load(&c->named), metadata = named && is_metadata(c);
	size_t len;

	name[0] = '\0';
	if (named) {
		copy_text(name, c->path, CTF_PATH);
		len = strlen(name);
		if (len)
			name[len++] = '/';
		copy_text(name + len, c->name, CTF_NAME);
	}
	add_stalled(c, h, &sum->ledger);
	sum->ledger.pages = 0; /* where LTTng's streams count packets */
	if (h->ctf.chunk)
		sum->in_chunk = h->ledger.stored - h->chunk_base.stored;
	if (metadata) {
		sum->metadata = h->ledger.stored;
		return;
	}
	sum->packets = h->ledger.pages;
	sum->tells = tells(source);
}

void status_lttng_whole(const struct state *st, uint32_t index, const struct status_lttng *source,
			struct status_whole *ret)
{
	const struct ctf_source_slot *c = &st->ctf_source[index];
	const struct ctf_chunk *current;
	struct ctf_source_half h;

	*ret = (struct status_whole){.count = atomic_load(&c->count)};
	ctf_source_read(c, &h);
	current = h.current && h.current <= CTF_CHUNKS ? &h.chunk[h.current - 1] : NULL;
	ret->open = current;
	ret->chunk = (uint32_t)(current ? current->serial : h.serial);
	ret->retired = h.retired.streams;
	ret->last_retired = h.retired_last;
	if (!ret->retired)
		return;
	ret->sum.ledger = h.retired.ledger;
	ret->sum.packets = h.retired.ledger.pages;
	ret->sum.ledger.pages = 0;
	ret->sum.metadata = h.retired.metadata;
	ret->sum.tells = tells(source);
	ret->sum.in_chunk = current ? current->retired.ledger.stored : 0;
}

bool status_lttng_is_still(const struct state *st, uint32_t index, const struct status_whole *whole)
{
	return atomic_load(&st->ctf_source[index].count) == whole->count;
}

bool status_lttng_is_retired(const struct state *st, struct state_ref stream,
			     const struct status_whole *whole)
{
	return stream.id == whole->last_retired ||
	       atomic_load(&st->ctf_stream[stream.index].retired);
}

/* ---- viewers ---- */

/* The session that the i-th attachment is to, as far as it counts. */
TSAN_READS_RACILY static uint64_t attached_to(const volatile struct viewer_slot *v, uint32_t i,
					      uint64_t consumed)
{
	return v->attachment[i].born <= consumed ? v->attachment[i].session : 0;
}

static void count_attachments(const struct state *st, const struct conversation_slot *c,
			      const struct viewer_slot *v, uint32_t *viewers, uint32_t n)
{
	struct conversation_half h;
	struct live_viewer talk;

	conversation_read(c, &h);
	memcpy(&talk, h.dialect, sizeof(talk));
	for (uint32_t i = 0; i < talk.attachments && i < VIEWER_SESSIONS; i++) {
		uint64_t handle = attached_to(v, i, h.consumed);
		uint32_t source = ctf_handle_index(handle);

		if (handle && source < n &&
		    atomic_load(&st->source[source].id) == ctf_handle_id(handle))
			viewers[source]++;
	}
}

void status_lttng_viewers(const struct state *st, uint32_t *viewers, uint32_t n)
{
	uint32_t high = atomic_load(&st->header->high_conversation);

	for (uint32_t i = 0; i < high; i++) {
		const struct conversation_slot *c = &st->conversation[i];

		if (conversation_lives(c, CONVERSATION_LTTNG_LIVE))
			count_attachments(st, c, &st->viewer[i], viewers, n);
	}
}
