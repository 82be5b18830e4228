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

#include "common/counters.h"
#include "common/tsan.h"
#include "relayd/status_connection.h"
#include "relayd/status_json.h"
#include "relayd/status_lttng.h"
#include "relayd/status_slot.h"
#include "relayd/status_sum.h"

struct pass {
	const struct status_view *view;
	const struct state *st;
	uint32_t workers;
	struct status_sum *of_worker; /* [workers] */
	uint32_t *viewers;            /* [n_viewers], by index of their source */
	uint32_t n_viewers;
	struct status_sum of_session[STATE_SESSIONS];
	struct status_sum all;
	struct json_text head, session, source, stream, worker, connection;
};

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
	uint32_t cpu;
	uint16_t port;
};

struct source_facts {
	uint64_t number;
	int64_t start_ns;
	struct addr peer;
	uint32_t cpus, protocol, transport;
};

TSAN_READS_RACILY static struct stream_facts look_at_stream(const volatile struct stream_slot *s)
{
	return (struct stream_facts){.source = s->source.id, .cpu = s->cpu, .port = s->port};
}

TSAN_READS_RACILY static struct source_facts look_at_source(const volatile struct source_slot *s)
{
	return (struct source_facts){.number = s->number,
				     .start_ns = s->start_ns,
				     .peer = s->peer,
				     .cpus = s->cpus,
				     .protocol = s->protocol,
				     .transport = s->transport};
}

/* ---- streams ---- */

static const char *stream_state_name(uint32_t state)
{
	static const char *const names[] = {
		[STREAM_WAITING] = "waiting", [STREAM_OPEN] = "open", [STREAM_ENDED] = "ended"};

	return state < sizeof(names) / sizeof(names[0]) ? names[state] : "unknown";
}

/* A source whose streams and figures are being read. */
struct subject {
	uint64_t id;
	uint32_t index;
	struct source_facts facts;
	const struct session_slot *session; /* NULL: none yet */
	bool is_lttng;
	struct status_lttng lttng; /* is_lttng */
	struct status_whole whole;
	struct status_sum sum;
};

static void put_number_or_null(struct json_piece *p, const char *key, bool known, uint64_t n)
{
	if (known)
		json_piece_number(p, key, n);
	else
		json_piece_string(p, key, NULL);
}

/* LTTng's clients close their streams one by one. */
static uint32_t stream_state(const struct stream_slot *slot, const struct stream_half *h)
{
	if (h->ctf.closed)
		return STREAM_ENDED;
	return h->state == STREAM_WAITING && atomic_load(&slot->connected) ? STREAM_OPEN : h->state;
}

static void put_stream(struct pass *p, const struct subject *s, const struct stream_facts *facts,
		       const char *name, uint32_t state, const struct status_sum *sum)
{
	struct json_piece piece = json_piece_new();

	json_piece_number(&piece, "source", s->facts.number);
	json_piece_string(&piece, "session", session_name(s->session));
	put_number_or_null(&piece, "cpu", !s->is_lttng, facts->cpu);
	put_number_or_null(&piece, "port", !s->is_lttng, facts->port);
	json_piece_string(&piece, "name", *name ? name : NULL);
	json_piece_string(&piece, "state", stream_state_name(state));
	status_sum_put(&piece, sum);
	json_text_element(&p->stream, &piece);
}

static void add_stream(struct pass *p, struct subject *s, struct state_ref ref)
{
	const struct stream_slot *slot = &p->st->stream[ref.index];
	struct stream_facts facts = look_at_stream(slot);
	struct status_sum sum = {.streams = 1};
	char name[STATUS_STREAM_NAME] = "";
	struct stream_half h;
	uint32_t state;

	stream_read(slot, &h);
	state = stream_state(slot, &h);
	sum.ledger = h.ledger;
	sum.rate = status_rates_of(p->view->rates, ref);
	sum.open = state == STREAM_OPEN;
	if (s->is_lttng) {
		status_lttng_stream(p->st, ref.index, &s->lttng, &h, name, &sum);
	} else {
		sum.tells = STATUS_TELLS_PAGES | STATUS_TELLS_LOST_EVENTS | STATUS_TELLS_INTERVALS;
		if (h.chunk != STREAM_NO_CHUNK)
			sum.in_chunk = h.ledger.stored - h.chunk_base.stored;
	}
	if (!status_slot_is_still(&slot->id, ref.id) || facts.source != s->id)
		return;
	status_sum_add(&s->sum, &sum);
	put_stream(p, s, &facts, name, state, &sum);
}

/* A source's streams in CPU order; LTTng's as they were announced. */
static void add_streams(struct pass *p, struct subject *s)
{
	struct state_ref source = {.index = s->index, .id = s->id}, ref;
	struct stream_walk walk = {0};

	while (stream_walk_next(p->st, source, &walk, &ref))
		if (!s->is_lttng || !status_lttng_is_retired(p->st, ref, &s->whole))
			add_stream(p, s, ref);
}

#define PASSES 8 /* over one source whose streams retire meanwhile */

/* Those that are there and those that were, each once: it is begun anew when one goes from here to
 * there meanwhile. */
static void add_lttng_streams(struct pass *p, struct subject *s)
{
	struct status_sum begin = s->sum;
	size_t rows = p->stream.len;

	for (unsigned i = 0; i < PASSES; i++) {
		s->sum = begin;
		p->stream.len = rows;
		status_lttng_whole(p->st, s->index, &s->lttng, &s->whole);
		add_streams(p, s);
		if (status_lttng_is_still(p->st, s->index, &s->whole))
			break;
	}
	status_sum_add(&s->sum, &s->whole.sum);
}

/* ---- sources ---- */

static bool has_open_chunk(const struct source_half *h)
{
	return h->chunk[0].state == CHUNK_OPEN || h->chunk[1].state == CHUNK_OPEN;
}

/* One word; the first that is true. doc/status.md says what each means. */
static const char *source_state_name(const struct subject *s, const struct source_half *h,
				     const struct source_front_half *f)
{
	if (h->finished)
		return "ended";
	if (h->ended || (s->session && atomic_load(&s->session->ending)))
		return "finishing";
	if (h->disk_full)
		return "disk-full";
	if (s->session && atomic_load(&s->session->stopped))
		return "stopped";
	if (f->control_ended)
		return !f->closed_in_order && s->sum.open ? "orphan" : "finishing";
	if (s->is_lttng)
		return s->sum.streams || s->whole.retired ? "recording" : "waiting";
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

/* What follows for LTTng from its own slots, for trace-cmd from the source's halves. */
static void put_chunk(struct json_piece *piece, const struct subject *s,
		      const struct source_half *h)
{
	uint32_t number = s->is_lttng ? s->whole.chunk : chunk_number(h);
	bool open = s->is_lttng ? s->whole.open : has_open_chunk(h);

	json_piece_number(piece, "chunk", number);
	json_piece_number(piece, "chunk_bytes", open ? s->sum.in_chunk : 0);
}

static void put_metadata(struct json_piece *piece, const struct subject *s,
			 const struct source_half *h, const struct source_front_half *f)
{
	put_number_or_null(piece, "sub_buffer", !s->is_lttng, h->sub_buffer);
	json_piece_number(piece, "metadata_bytes", s->is_lttng ? s->sum.metadata : f->metadata);
	if (s->is_lttng) /* more may come at any time */
		json_piece_string(piece, "metadata_complete", NULL);
	else
		json_piece_bool(piece, "metadata_complete",
				f->metadata_complete || h->metadata_parsed);
}

static const char *text_or_null(const char *text)
{
	return *text ? text : NULL;
}

static void put_who(struct pass *p, struct json_piece *piece, const struct subject *s,
		    const struct source_half *h)
{
	const char *protocol = protocol_name((enum protocol)s->facts.protocol);
	char lttng[STATUS_PROTOCOL_MAX];

	if (s->is_lttng)
		protocol = status_lttng_protocol(s->lttng.minor, lttng);
	json_piece_number(piece, "number", s->facts.number);
	json_piece_string(piece, "session", session_name(s->session));
	json_piece_string(piece, "host", text_or_null(s->is_lttng ? s->lttng.host : h->host));
	put_addr(piece, "peer", &s->facts.peer);
	json_piece_string(piece, "protocol", protocol);
	json_piece_string(piece, "transport", transport_name(s->facts.transport));
	json_piece_string(piece, "client_session", text_or_null(s->lttng.session_name));
	json_piece_string(piece, "mode", s->is_lttng ? status_lttng_mode(&s->lttng) : NULL);
	put_number_or_null(piece, "viewers", s->is_lttng,
			   s->is_lttng && s->index < p->n_viewers ? p->viewers[s->index] : 0);
}

static void put_source(struct pass *p, const struct subject *s, uint32_t worker,
		       const struct source_half *h, const struct source_front_half *f)
{
	struct json_piece piece = json_piece_new();

	put_who(p, &piece, s, h);
	json_piece_string(&piece, "state", source_state_name(s, h, f));
	put_number_or_null(&piece, "cpus", !s->is_lttng, s->facts.cpus);
	json_piece_number(&piece, "streams", s->sum.streams);
	json_piece_number(&piece, "streams_open", s->sum.open);
	json_piece_number(&piece, "streams_retired", s->whole.retired);
	put_number_or_null(&piece, "worker", worker != 0, worker - 1);
	json_piece_time(&piece, "started", s->facts.start_ns);
	json_piece_string(&piece, "directory", text_or_null(h->dir));
	put_chunk(&piece, s, h);
	put_metadata(&piece, s, h, f);
	json_piece_string(&piece, "control_ended",
			  f->control_ended ? close_reason_name(f->control_ended) : NULL);
	status_sum_put(&piece, &s->sum);
	json_text_element(&p->source, &piece);
}

static void add_source(struct pass *p, const struct source_slot *slot)
{
	struct subject s = {.id = atomic_load(&slot->id),
			    .index = (uint32_t)(slot - p->st->source),
			    .session = state_session_of(p->st, slot),
			    .sum = {.sources = 1}};
	uint32_t session_number = atomic_load(&slot->session);
	uint32_t worker = atomic_load(&slot->worker);
	struct source_front_half f;
	struct source_half h;

	if (!s.id)
		return;
	s.facts = look_at_source(slot);
	source_front_read(&slot->front, &f);
	source_read(slot, &h);
	s.is_lttng = s.facts.protocol == PROTOCOL_LTTNG;
	if (s.is_lttng)
		status_lttng_source(p->st, s.index, &s.lttng);
	if (!status_slot_is_still(&slot->id, s.id))
		return;
	if (s.is_lttng)
		add_lttng_streams(p, &s);
	else
		add_streams(p, &s);
	put_source(p, &s, worker, &h, &f);
	status_sum_add(&p->all, &s.sum);
	if (s.session)
		status_sum_add(&p->of_session[session_number - 1], &s.sum);
	if (worker && worker <= p->workers)
		status_sum_add(&p->of_worker[worker - 1], &s.sum);
}

/* ---- sessions, workers ---- */

static void add_session(struct pass *p, const struct session_slot *slot,
			const struct status_sum *sum)
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
	status_sum_put(&piece, sum);
	json_text_element(&p->session, &piece);
}

static void add_worker(struct pass *p, uint32_t index)
{
	const struct status_sum *sum = &p->of_worker[index];
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
		status_connection_add(p->st, &p->st->conversation[i], p->view->now_ms,
				      &p->connection);
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
	status_sum_put(&totals, &p->all);
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
	free(p->viewers);
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
	p->n_viewers = atomic_load(&p->st->header->high_source);
	p->viewers = calloc(p->n_viewers + 1, sizeof(*p->viewers));
	if (!p->of_worker || !p->viewers) {
		free_pass(p);
		return -ENOMEM;
	}
	status_lttng_viewers(p->st, p->viewers, p->n_viewers);
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
