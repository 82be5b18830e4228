/* SPDX-License-Identifier: MIT */
/*
 * status_document.c - the status document; see status_document.h.
 *
 * Each list is a text of its own, so that sums are ready when those who show them are written:
 * streams, then their source, then sessions, workers and the head. At the end the texts are put
 * together in the order that people read.
 */
#include "relayd/status_document.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/counters.h"
#include "common/tsan.h"
#include "relayd/conversation.h"
#include "relayd/status_json.h"

/* What a source, a session, a worker or the whole is the sum of. */
struct sum {
	struct stream_ledger ledger;
	uint64_t rate;
	uint64_t in_chunk; /* bytes stored in chunks that are being filled */
	uint32_t sources, streams, open;
};

struct pass {
	const struct status_view *view;
	const struct state *st;
	uint32_t workers;
	struct sum *of_worker; /* [workers] */
	struct sum of_session[STATE_SESSIONS];
	struct sum all;
	struct json_text head, session, source, stream, worker, connection;
};

static void add_ledger(struct stream_ledger *to, const struct stream_ledger *l)
{
	to->received += l->received;
	to->stored += l->stored;
	for (unsigned i = 0; i < DISCARD_COUNT; i++)
		to->discarded[i] += l->discarded[i];
	to->pages += l->pages;
	to->lost_events += l->lost_events;
	to->lost_intervals += l->lost_intervals;
	to->marks += l->marks;
	to->datagrams += l->datagrams;
	to->datagrams_dropped += l->datagrams_dropped;
}

static void add_sum(struct sum *to, const struct sum *s)
{
	add_ledger(&to->ledger, &s->ledger);
	to->rate += s->rate;
	to->in_chunk += s->in_chunk;
	to->sources += s->sources;
	to->streams += s->streams;
	to->open += s->open;
}

/* The same members wherever a ledger is shown. */
static void put_ledger(struct json_piece *p, const struct stream_ledger *l, uint64_t rate)
{
	struct json_piece discarded = json_piece_new();

	json_piece_number(p, "received", l->received);
	json_piece_number(p, "stored", l->stored);
	for (unsigned i = 0; i < DISCARD_COUNT; i++)
		json_piece_number(&discarded, discard_name((enum discard)i), l->discarded[i]);
	p->failed |= discarded.failed;
	json_piece_put(p, "discarded", discarded.json);
	json_piece_number(p, "pages", l->pages);
	json_piece_number(p, "lost_events", l->lost_events);
	json_piece_number(p, "lost_intervals",
			  l->lost_intervals > l->marks ? l->lost_intervals - l->marks : 0);
	json_piece_number(p, "marks", l->marks);
	json_piece_number(p, "datagrams", l->datagrams);
	json_piece_number(p, "datagrams_dropped", l->datagrams_dropped);
	json_piece_number(p, "rate", rate);
}

static void put_addr(struct json_piece *p, const char *key, const struct addr *a)
{
	char text[ADDR_TEXT_MAX];

	json_piece_string(p, key, addr_format(a, text));
}

static const char *transport_name(uint32_t transport)
{
	return transport == TRANSPORT_UDP ? "udp" : "tcp";
}

static const char *session_name(const struct session_slot *session)
{
	return session ? session->name : NULL;
}

/* ---- slots, which sessiond-lite may free and give to another at any moment ---- */

/* Constant while the slot has its id. */
struct stream_facts {
	uint64_t source; /* id */
	uint32_t next, cpu;
	uint16_t port;
};

struct source_facts {
	uint64_t number, conversation; /* id */
	int64_t start_ns;
	struct addr peer;
	uint32_t cpus, first_stream, protocol, transport;
};

struct conversation_facts {
	int64_t accepted_ms;
	struct addr peer, local;
};

/* What is read in between is worth something only if the id is still the same behind it. */
static bool is_still(const _Atomic uint64_t *id, uint64_t before)
{
	atomic_thread_fence(memory_order_acquire);
	return atomic_load(id) == before;
}

TSAN_READS_RACILY static struct stream_facts look_at_stream(const volatile struct stream_slot *s)
{
	return (struct stream_facts){
		.source = s->source.id, .next = s->next, .cpu = s->cpu, .port = s->port};
}

TSAN_READS_RACILY static struct source_facts look_at_source(const volatile struct source_slot *s)
{
	return (struct source_facts){.number = s->number,
				     .conversation = s->conversation.id,
				     .start_ns = s->start_ns,
				     .peer = s->peer,
				     .cpus = s->cpus,
				     .first_stream = s->first_stream,
				     .protocol = s->protocol,
				     .transport = s->transport};
}

TSAN_READS_RACILY static struct conversation_facts look_at_conversation(
	const volatile struct conversation_slot *s)
{
	return (struct conversation_facts){
		.accepted_ms = s->accepted_ms, .peer = s->peer, .local = s->local};
}

/* ---- streams ---- */

static const char *stream_state_name(uint32_t state)
{
	static const char *const names[] = {
		[STREAM_WAITING] = "waiting", [STREAM_OPEN] = "open", [STREAM_ENDED] = "ended"};

	return state < sizeof(names) / sizeof(names[0]) ? names[state] : "unknown";
}

/* @ret_next  1 + index of the source's next stream, or 0. False: it was freed meanwhile. */
static bool add_stream(struct pass *p, uint64_t source_id, const struct source_facts *source,
		       const struct session_slot *session, const struct stream_slot *slot,
		       struct sum *source_sum, uint32_t *ret_next)
{
	struct state_ref ref = state_ref_of_stream(p->st, slot);
	struct stream_facts facts = look_at_stream(slot);
	struct sum sum = {.streams = 1};
	struct json_piece piece;
	struct stream_half h;
	uint32_t state;

	stream_read(slot, &h);
	state = h.state == STREAM_WAITING && atomic_load(&slot->connected) ? STREAM_OPEN : h.state;
	if (!ref.id || !is_still(&slot->id, ref.id) || facts.source != source_id)
		return false;
	sum.ledger = h.ledger;
	sum.rate = status_rates_of(p->view->rates, ref);
	sum.open = state == STREAM_OPEN;
	if (h.chunk != STREAM_NO_CHUNK)
		sum.in_chunk = h.ledger.stored - h.chunk_base.stored;
	add_sum(source_sum, &sum);

	piece = json_piece_new();
	json_piece_number(&piece, "source", source->number);
	json_piece_string(&piece, "session", session_name(session));
	json_piece_number(&piece, "cpu", facts.cpu);
	json_piece_number(&piece, "port", facts.port);
	json_piece_string(&piece, "state", stream_state_name(state));
	put_ledger(&piece, &h.ledger, sum.rate);
	json_text_element(&p->stream, &piece);
	*ret_next = facts.next;
	return true;
}

/* A source's streams in CPU order. */
static void add_streams(struct pass *p, uint64_t source_id, const struct source_facts *source,
			const struct session_slot *session, struct sum *sum)
{
	uint32_t next = source->first_stream;

	for (uint32_t i = 0; i < source->cpus && next; i++)
		if (next > p->st->header->capacity.streams ||
		    !add_stream(p, source_id, source, session, &p->st->stream[next - 1], sum,
				&next))
			return;
}

/* ---- sources ---- */

static bool has_open_chunk(const struct source_half *h)
{
	return h->chunk[0].state == CHUNK_OPEN || h->chunk[1].state == CHUNK_OPEN;
}

/* One word; the first that is true. doc/status.md says what each means. */
static const char *source_state_name(const struct source_half *h, const struct source_front_half *f,
				     const struct session_slot *session, uint32_t open_streams)
{
	if (h->finished)
		return "ended";
	if (h->ended || (session && atomic_load(&session->ending)))
		return "finishing";
	if (h->disk_full)
		return "disk-full";
	if (session && atomic_load(&session->stopped))
		return "stopped";
	if (f->control_ended)
		return !f->closed_in_order && open_streams ? "orphan" : "finishing";
	if (!f->metadata_complete && !h->metadata_parsed)
		return "metadata";
	return "recording";
}

/* The chunk that is being filled, else the last one; 0 if there is none yet. */
static uint32_t chunk_number(const struct source_half *h)
{
	uint32_t number = 0;

	for (unsigned i = 0; i < 2; i++) {
		if (h->chunk[i].state == CHUNK_OPEN)
			return h->chunk[i].number;
		if (h->chunk[i].state != CHUNK_NONE && h->chunk[i].number > number)
			number = h->chunk[i].number;
	}
	return number ? number : h->next_chunk ? h->next_chunk - 1 : 0;
}

static void put_source_half(struct json_piece *piece, const struct source_half *h,
			    const struct source_front_half *f, const struct sum *sum)
{
	json_piece_string(piece, "directory", h->dir[0] ? h->dir : NULL);
	json_piece_number(piece, "chunk", chunk_number(h));
	json_piece_number(piece, "chunk_bytes", has_open_chunk(h) ? sum->in_chunk : 0);
	json_piece_number(piece, "sub_buffer", h->sub_buffer);
	json_piece_number(piece, "metadata_bytes", f->metadata);
	json_piece_bool(piece, "metadata_complete", f->metadata_complete || h->metadata_parsed);
	json_piece_string(piece, "control_ended",
			  f->control_ended ? close_reason_name(f->control_ended) : NULL);
}

static void put_source(struct pass *p, const struct source_facts *facts, uint32_t worker,
		       const struct session_slot *session, const struct source_half *h,
		       const struct source_front_half *f, const struct sum *sum)
{
	struct json_piece piece = json_piece_new();

	json_piece_number(&piece, "number", facts->number);
	json_piece_string(&piece, "session", session_name(session));
	json_piece_string(&piece, "host", h->host[0] ? h->host : NULL);
	put_addr(&piece, "peer", &facts->peer);
	json_piece_string(&piece, "protocol", protocol_name((enum protocol)facts->protocol));
	json_piece_string(&piece, "transport", transport_name(facts->transport));
	json_piece_string(&piece, "state", source_state_name(h, f, session, sum->open));
	json_piece_number(&piece, "cpus", facts->cpus);
	json_piece_number(&piece, "streams_open", sum->open);
	json_piece_put(&piece, "worker", worker ? json_integer(worker - 1) : json_null());
	json_piece_time(&piece, "started", facts->start_ns);
	put_source_half(&piece, h, f, sum);
	put_ledger(&piece, &sum->ledger, sum->rate);
	json_text_element(&p->source, &piece);
}

static void add_source(struct pass *p, const struct source_slot *slot)
{
	uint64_t id = atomic_load(&slot->id);
	uint32_t session_number = atomic_load(&slot->session);
	uint32_t worker = atomic_load(&slot->worker);
	const struct session_slot *session = state_session_of(p->st, slot);
	struct sum sum = {.sources = 1};
	struct source_front_half f;
	struct source_facts facts;
	struct source_half h;

	if (!id)
		return;
	facts = look_at_source(slot);
	source_front_read(&slot->front, &f);
	source_read(slot, &h);
	if (!is_still(&slot->id, id))
		return;
	add_streams(p, id, &facts, session, &sum);
	put_source(p, &facts, worker, session, &h, &f, &sum);
	add_sum(&p->all, &sum);
	if (session)
		add_sum(&p->of_session[session_number - 1], &sum);
	if (worker && worker <= p->workers)
		add_sum(&p->of_worker[worker - 1], &sum);
}

/* ---- sessions, workers, connections ---- */

static void add_session(struct pass *p, const struct session_slot *slot, const struct sum *sum)
{
	struct json_piece piece;

	if (!atomic_load(&slot->id))
		return;
	piece = json_piece_new();
	json_piece_string(&piece, "name", slot->name);
	json_piece_bool(&piece, "stopped", atomic_load(&slot->stopped));
	json_piece_bool(&piece, "ending", atomic_load(&slot->ending));
	json_piece_number(&piece, "rotate_size", atomic_load(&slot->rotate_size));
	json_piece_number(&piece, "rotate_time_ms", atomic_load(&slot->rotate_time_ms));
	json_piece_number(&piece, "keep_chunks", atomic_load(&slot->keep_chunks));
	json_piece_number(&piece, "sources", sum->sources);
	json_piece_number(&piece, "streams", sum->streams);
	json_piece_number(&piece, "streams_open", sum->open);
	put_ledger(&piece, &sum->ledger, sum->rate);
	json_text_element(&p->session, &piece);
}

static void add_worker(struct pass *p, uint32_t index)
{
	const struct sum *sum = &p->of_worker[index];
	int64_t since = p->view->busy_since_ms[index];
	int64_t busy = since && p->view->now_ms > since ? p->view->now_ms - since : 0;
	struct json_piece piece = json_piece_new();

	json_piece_number(&piece, "index", index);
	json_piece_number(&piece, "sources", sum->sources);
	json_piece_number(&piece, "streams", sum->streams);
	json_piece_number(&piece, "streams_open", sum->open);
	json_piece_number(&piece, "busy_ms", (uint64_t)busy);
	json_piece_number(&piece, "rate", sum->rate);
	json_text_element(&p->worker, &piece);
}

/* The source of a conversation: its number, 0 if it has none (yet, or any longer). */
static uint64_t source_number_of(const struct pass *p, const struct conversation_slot *slot,
				 uint64_t id)
{
	uint32_t n = atomic_load(&slot->source);
	const struct source_slot *source;
	struct source_facts facts;
	uint64_t source_id;

	if (!n || n > p->st->header->capacity.sources)
		return 0;
	source = &p->st->source[n - 1];
	source_id = atomic_load(&source->id);
	facts = look_at_source(source);
	return source_id && is_still(&source->id, source_id) && facts.conversation == id
		       ? facts.number
		       : 0;
}

static void add_connection(struct pass *p, const struct conversation_slot *slot)
{
	uint64_t id = atomic_load(&slot->id), number;
	struct conversation_facts facts;
	struct conversation_half h;
	struct json_piece piece;
	struct trace_cmd talk;
	int64_t last;

	if (!id || atomic_load(&slot->done))
		return;
	facts = look_at_conversation(slot);
	number = source_number_of(p, slot, id);
	conversation_read(slot, &h);
	if (!is_still(&slot->id, id))
		return;
	memcpy(&talk, h.dialect, sizeof(talk));
	last = h.last_byte_ms > facts.accepted_ms ? h.last_byte_ms : facts.accepted_ms;

	piece = json_piece_new();
	json_piece_number(&piece, "id", id);
	put_addr(&piece, "peer", &facts.peer);
	put_addr(&piece, "local", &facts.local);
	json_piece_string(&piece, "protocol", protocol_name((enum protocol)talk.protocol));
	json_piece_string(&piece, "state", trace_cmd_state_name((enum trace_cmd_state)talk.state));
	json_piece_put(&piece, "source", number ? json_integer((json_int_t)number) : json_null());
	json_piece_number(&piece, "received", conversation_received(&h));
	json_piece_number(&piece, "age_ms", (uint64_t)(p->view->now_ms - facts.accepted_ms));
	json_piece_number(&piece, "silent_ms", (uint64_t)(p->view->now_ms - last));
	json_text_element(&p->connection, &piece);
}

/* ---- the whole ---- */

static void make_lists(struct pass *p)
{
	const struct state_header *header = p->st->header;
	uint32_t high = atomic_load(&header->high_source);

	for (uint32_t i = 0; i < high; i++)
		add_source(p, &p->st->source[i]);
	high = atomic_load(&header->high_session);
	for (uint32_t i = 0; i < high; i++)
		add_session(p, &p->st->session[i], &p->of_session[i]);
	for (uint32_t i = 0; i < p->workers; i++)
		add_worker(p, i);
	high = atomic_load(&header->high_conversation);
	for (uint32_t i = 0; i < high; i++)
		add_connection(p, &p->st->conversation[i]);
}

static void make_head(struct pass *p)
{
	const struct status_view *v = p->view;
	struct json_piece head = json_piece_new(), totals = json_piece_new(),
			  readers = json_piece_new();

	json_piece_put(&head, "format", json_integer(STATUS_FORMAT));
	json_piece_string(&head, "version", PACKAGE_VERSION);
	json_piece_number(&head, "pid", (uint64_t)v->pid);
	json_piece_number(&head, "generation", atomic_load(&p->st->header->generation));
	json_piece_time(&head, "now", v->now_ns);
	json_piece_time(&head, "started", v->started_ns);
	json_piece_number(&head, "uptime_s", (uint64_t)(v->now_ms - v->started_ms) / 1000);
	json_piece_bool(&head, "synced", v->synced);
	json_piece_time(&head, "counters_since", p->st->header->started_ns);

	json_piece_number(&totals, "sources", p->all.sources);
	json_piece_number(&totals, "streams", p->all.streams);
	json_piece_number(&totals, "streams_open", p->all.open);
	json_piece_number(&totals, "leases", v->leases);
	put_ledger(&totals, &p->all.ledger, p->all.rate);
	head.failed |= totals.failed;
	json_piece_put(&head, "totals", totals.json);

	json_piece_number(&readers, "now", v->readers.now);
	json_piece_number(&readers, "documents", v->readers.documents);
	json_piece_number(&readers, "turned_away", v->readers.turned_away);
	json_piece_number(&readers, "given_up", v->readers.given_up);
	head.failed |= readers.failed;
	json_piece_put(&head, "readers", readers.json);
	json_text_members(&p->head, &head);
}

static void put_together(struct pass *p, struct json_text *t)
{
	json_t *counters = counters_to_json(p->st->counters, p->workers + 2);

	json_text_add(t, "{", 1);
	json_text_add(t, p->head.at, p->head.len);
	t->failed |= p->head.failed;
	json_text_list(t, "workers", &p->worker);
	json_text_list(t, "sessions", &p->session);
	json_text_list(t, "sources", &p->source);
	json_text_list(t, "streams", &p->stream);
	json_text_list(t, "connections", &p->connection);
	json_text_value(t, "counters", counters);
	json_text_value(t, "limits", p->view->limits);
	json_text_add(t, "}\n", 2);
	json_decref(counters);
}

static void free_pass(struct pass *p)
{
	free(p->of_worker);
	json_text_clear(&p->head);
	json_text_clear(&p->session);
	json_text_clear(&p->source);
	json_text_clear(&p->stream);
	json_text_clear(&p->worker);
	json_text_clear(&p->connection);
	free(p);
}

int status_document(const struct status_view *view, char **ret, size_t *ret_len)
{
	struct pass *p = calloc(1, sizeof(*p));
	struct json_text t = {0};

	if (!p)
		return -ENOMEM;
	p->view = view;
	p->st = view->st;
	p->workers = view->st->header->capacity.workers;
	p->of_worker = calloc(p->workers + 1, sizeof(*p->of_worker));
	if (!p->of_worker) {
		free_pass(p);
		return -ENOMEM;
	}
	make_lists(p);
	make_head(p);
	put_together(p, &t);
	free_pass(p);
	if (t.failed) {
		json_text_clear(&t);
		return -ENOMEM;
	}
	*ret = t.at;
	*ret_len = t.len;
	return 0;
}
