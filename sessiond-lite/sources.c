/* SPDX-License-Identifier: MIT */
/* sources.c - the requests one by one, then the ends. */
#include "sessiond-lite/sources.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "sessiond-lite/clock.h"
#include "sessiond-lite/ctf_sources.h"
#include "sessiond-lite/lease.h"

/* A port that was leased rests so long. */
#define REST_MS 60000

/* A lease request, or one for a client session's source, that waits for a number. */
struct waiting_lease {
	struct waiting_lease *next;
	uint32_t type; /* LINK_LEASE or LINK_CTF_SOURCE */
	struct state_ref conversation;
	struct link_lease lease;
	struct ctf_key key;
	char text[sizeof(((struct link_message *)0)->text)];
};

struct sources {
	struct sources_config config;
	struct store *store;
	struct state *st;
	struct relayd_link *link;
	struct registry *registry;
	struct lease_table *leases;
	struct shared_ports *ports;
	struct ctf_sources *ctf;
	struct waiting_lease *first_waiting, **last_waiting;
	uint32_t n_waiting;
};

static void on_data_connection(void *context, int fd, const struct addr *peer, uint16_t port);

int sources_create(const struct sources_config *config, struct acceptor *acceptor,
		   struct store *store, struct relayd_link *link, struct registry *registry,
		   struct sources **ret)
{
	struct lease_config lease = {.first_port = config->ports.first_port,
				     .last_port = config->ports.last_port,
				     .per_peer = config->streams_per_peer,
				     .rest_ms = REST_MS};
	struct sources *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->config = *config;
	s->store = store;
	s->st = store_state(store);
	s->link = link;
	s->registry = registry;
	s->last_waiting = &s->first_waiting;
	if ((r = ctf_sources_create(store, registry, &s->ctf)) < 0 ||
	    (r = lease_table_create(&lease, &s->leases)) < 0 ||
	    (r = shared_ports_create(&config->ports, acceptor, store, link, on_data_connection, s,
				     &s->ports)) < 0) {
		sources_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

static void forget_waiting(struct sources *s)
{
	while (s->first_waiting) {
		struct waiting_lease *w = s->first_waiting;

		s->first_waiting = w->next;
		free(w);
	}
	s->last_waiting = &s->first_waiting;
	s->n_waiting = 0;
}

void sources_free(struct sources *s)
{
	if (!s)
		return;
	forget_waiting(s);
	shared_ports_free(s->ports);
	lease_table_free(s->leases);
	ctf_sources_free(s->ctf);
	free(s);
}

static void answer(struct sources *s, enum link_type type, struct state_ref ref, int error)
{
	struct link_message m = {.type = type, .ref = ref, .error = error};

	relayd_link_send(s->link, &m);
}

/* ---- leases ---- */

static int bind_port(void *context, uint16_t port, enum transport transport)
{
	struct sources *s = context;

	return shared_ports_bind(s->ports, port, transport, clock_monotonic_ms());
}

/* With a number: slots, ports, everything filled in, then visible. */
static int begin(struct sources *s, struct state_ref ref, struct conversation_slot *c,
		 const struct link_lease *lease, uint64_t number)
{
	uint32_t n = lease->cpus;
	struct state_ref *streams = calloc(n, sizeof(*streams));
	uint16_t *ports = calloc(n, sizeof(*ports));
	struct lease_request rq = {.peer = &c->peer,
				   .transport = lease->transport,
				   .n = n,
				   .streams = streams,
				   .bind = bind_port,
				   .context = s};
	struct match_subject subject = {.peer = c->peer,
					.protocol = lease->protocol,
					.local_port = c->local.port,
					.own_session = c->own_session};
	struct source_slot *slot;
	struct state_ref source;
	int session = -1;
	int r = -ENOMEM;

	if (!streams || !ports)
		goto out;
	/* V3 tells the host's name later; the others never do, and a session's own port needs none.
	 */
	if (lease->protocol != PROTOCOL_TRACE_CMD_V3 || c->own_session) {
		r = session = registry_match(s->registry, &subject);
		if (r < 0)
			goto out;
	}
	r = store_source_reserve(s->store, n, &source, streams);
	if (r < 0)
		goto out;
	r = lease_take(s->leases, &rq, clock_monotonic_ms(), ports);
	if (r < 0) {
		store_source_return(s->store, source, n, streams);
		goto out;
	}
	slot = &s->st->source[source.index];
	slot->cpus = n;
	slot->number = number;
	slot->conversation = ref;
	slot->peer = c->peer;
	slot->local = c->local;
	slot->protocol = lease->protocol;
	slot->transport = lease->transport;
	slot->page_size = lease->page_size;
	slot->first_stream = 1 + streams[0].index;
	slot->start_ns = clock_realtime_ns();
	atomic_store(&slot->session, (uint32_t)(session + 1));
	for (uint32_t i = 0; i < n; i++) {
		struct stream_slot *stream = &s->st->stream[streams[i].index];

		stream->source = source;
		stream->next = i + 1 < n ? 1 + streams[i + 1].index : 0;
		stream->cpu = i;
		stream->port = ports[i];
		stream->transport = (uint16_t)lease->transport;
	}
	store_source_publish(s->store, source, n, streams);
	atomic_store_explicit(&c->source, 1 + source.index, memory_order_release);
out:
	free(streams);
	free(ports);
	return r < 0 ? r : 0;
}

/* Return 0 or an error for LEASED; -EAGAIN: there is no number yet. */
static int lease(struct sources *s, struct state_ref ref, struct conversation_slot *c,
		 const struct link_lease *what)
{
	uint32_t has = atomic_load(&c->source);
	uint64_t number;
	int r;

	if (has) /* asked again: the same source, if it still lives */
		return s->st->source[has - 1].conversation.id == ref.id &&
				       atomic_load(&s->st->source[has - 1].id)
			       ? 0
			       : -ESTALE;
	if (!what->cpus || what->transport > TRANSPORT_UDP || what->protocol >= PROTOCOL_LTTNG)
		return -EINVAL;
	if (what->cpus > s->config.streams_per_peer ||
	    ctf_sources_streams_of(s->ctf, &c->peer) > s->config.streams_per_peer - what->cpus)
		return -EDQUOT;
	r = registry_next_source_number(s->registry, &number);
	return r < 0 ? r : begin(s, ref, c, what, number);
}

static int wait_for_number(struct sources *s, const struct link_message *m)
{
	struct waiting_lease *w;

	for (w = s->first_waiting; w; w = w->next)
		if (w->conversation.id == m->ref.id)
			return 0;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->type = m->type;
	w->conversation = m->ref;
	w->lease = m->lease;
	w->key = m->ctf.key;
	memcpy(w->text, m->text, sizeof(w->text));
	*s->last_waiting = w;
	s->last_waiting = &w->next;
	s->n_waiting++;
	return 0;
}

void sources_lease(struct sources *s, const struct link_message *m)
{
	struct conversation_slot *c = state_conversation(s->st, m->ref);
	int r = c ? lease(s, m->ref, c, &m->lease) : -ENOENT;

	if (r == -EAGAIN) {
		r = wait_for_number(s, m);
		if (r == 0)
			return;
	}
	answer(s, LINK_LEASED, m->ref, r);
}

void sources_ctf_source(struct sources *s, const struct link_message *m)
{
	struct link_message leased = {.type = LINK_LEASED, .ref = m->ref};
	int r = ctf_sources_take(s->ctf, m->ref, &m->ctf.key, m->text, &leased.ctf.source);

	if (r == -EAGAIN) {
		r = wait_for_number(s, m);
		if (r == 0)
			return;
	}
	leased.error = r;
	relayd_link_send(s->link, &leased);
}

void sources_ctf_stream(struct sources *s, const struct link_message *m)
{
	struct link_message made = {.type = LINK_CTF_STREAM_MADE, .ref = m->ref};
	struct conversation_slot *c = state_conversation(s->st, m->ref);
	uint32_t leases = c ? lease_held(s->leases, &c->peer) : 0;
	uint32_t most = s->config.streams_per_peer;

	made.ctf.position = m->ctf.position;
	made.error = ctf_sources_stream(s->ctf, m->ref, m->ctf.position,
					leases < most ? most - leases : 0, &made.ctf.stream);
	relayd_link_send(s->link, &made);
}

void sources_numbers_ready(struct sources *s)
{
	struct waiting_lease *w = s->first_waiting;

	s->first_waiting = NULL;
	s->last_waiting = &s->first_waiting;
	s->n_waiting = 0;
	while (w) {
		struct waiting_lease *next = w->next;
		struct link_message m = {.type = w->type,
					 .ref = w->conversation,
					 .lease = w->lease,
					 .ctf.key = w->key};

		memcpy(m.text, w->text, sizeof(m.text));
		free(w);
		(m.type == LINK_CTF_SOURCE ? sources_ctf_source : sources_lease)(s, &m);
		w = next;
	}
}

void sources_match(struct sources *s, const struct link_message *m)
{
	struct source_slot *slot = state_source(s->st, m->ref);
	struct match_subject subject;
	int r;

	if (!slot) {
		answer(s, LINK_MATCHED, m->ref, -ENOENT);
		return;
	}
	if (!atomic_load(&slot->session)) {
		subject = (struct match_subject){.host = *m->text ? m->text : NULL,
						 .peer = slot->peer,
						 .protocol = slot->protocol,
						 .local_port = slot->local.port};
		r = registry_match(s->registry, &subject);
		if (r < 0) {
			answer(s, LINK_MATCHED, m->ref, r);
			return;
		}
		atomic_store(&slot->session, (uint32_t)r + 1);
	}
	answer(s, LINK_MATCHED, m->ref, 0);
}

/* ---- streams ---- */

static void refuse(struct sources *s, int fd, const struct addr *peer, uint16_t port,
		   enum close_reason reason)
{
	static struct log_limit limit = LOG_LIMIT_USUAL;
	char text[ADDR_TEXT_MAX];
	struct log_about about = {.peer = addr_format(peer, text),
				  .reason = close_reason_name(reason)};

	close(fd);
	counters_add(store_counters(s->store), COUNTER_connections_stream, 1);
	counters_add_close(store_counters(s->store), reason);
	log_limited(&limit, LOG_LEVEL_WARNING, &about, "stream-refused",
		    "a connection to port %u was closed at once: %s", port,
		    close_reason_sentence(reason));
}

static void on_data_connection(void *context, int fd, const struct addr *peer, uint16_t port)
{
	struct sources *s = context;
	struct stream_slot *slot = NULL;
	struct state_ref ref;

	if (lease_find(s->leases, peer, port, &ref) == 0)
		slot = state_stream(s->st, ref);
	if (!slot || slot->transport != TRANSPORT_TCP || atomic_load(&slot->closed)) {
		refuse(s, fd, peer, port, CLOSE_no_lease);
		return;
	}
	if (atomic_load(&slot->connected)) {
		refuse(s, fd, peer, port, CLOSE_lease_in_use);
		return;
	}
	store_stream_connected(s->store, ref, fd, peer);
	relayd_link_stream(s->link, ref);
}

bool sources_is_lttng(const struct sources *s, struct state_ref source)
{
	const struct source_slot *slot = state_source(s->st, source);

	return slot && slot->protocol == PROTOCOL_LTTNG;
}

void sources_drain(struct sources *s, const struct link_message *m)
{
	struct source_slot *slot = state_source(s->st, m->ref);
	struct stream_slot *stream;

	if (slot && slot->transport == TRANSPORT_TCP && slot->protocol != PROTOCOL_LTTNG)
		for (uint32_t next = slot->first_stream; next; next = stream->next) {
			stream = &s->st->stream[next - 1];
			if (!atomic_load(&stream->connected))
				shared_ports_drain(s->ports, stream->port);
		}
	answer(s, LINK_DRAINED, m->ref, slot ? 0 : -ENOENT);
}

/* The stream's own socket: made now, or already there. */
static int own_socket(struct sources *s, const struct link_message *m)
{
	struct stream_slot *stream = state_stream(s->st, m->ref);
	struct source_slot *slot = stream ? state_source(s->st, stream->source) : NULL;
	int fd, r;

	if (!slot || atomic_load(&stream->closed))
		return -ENOENT;
	if (stream->transport != TRANSPORT_UDP || !addr_same_host(&m->peer, &slot->peer))
		return -EACCES;
	if (atomic_load(&stream->connected))
		return 0;
	r = shared_ports_join(s->ports, stream->port, &m->peer, &slot->local, &fd);
	if (r < 0)
		return r;
	store_stream_connected(s->store, m->ref, fd, &m->peer);
	return 0;
}

void sources_udp_socket(struct sources *s, const struct link_message *m)
{
	int r = own_socket(s, m);

	if (r < 0)
		answer(s, LINK_UDP_REFUSED, m->ref, r);
	else
		relayd_link_stream(s->link, m->ref);
}

/* ---- ends ---- */

static void source_end(struct sources *s, struct state_ref ref)
{
	struct source_slot *slot = state_source(s->st, ref);
	struct stream_slot *stream;
	uint32_t session = atomic_load(&slot->session);
	int64_t now = clock_monotonic_ms();

	for (uint32_t next = slot->first_stream; next && slot->protocol != PROTOCOL_LTTNG;
	     next = stream->next) {
		stream = &s->st->stream[next - 1];
		lease_end(s->leases, &slot->peer, stream->port, now);
	}
	ctf_sources_ended(s->ctf, ref);
	store_source_drop(s->store, ref);
	if (session)
		registry_source_ended(s->registry, session - 1);
}

static void conversation_done(struct sources *s, struct state_ref ref)
{
	struct conversation_slot *c = state_conversation(s->st, ref);

	if (!c || !atomic_load(&c->done))
		return;
	ctf_sources_left(s->ctf, ref);
	store_conversation_drop(s->store, ref);
}

static void stream_done(struct sources *s, struct state_ref ref)
{
	struct stream_slot *stream = state_stream(s->st, ref);

	if (stream && sources_is_lttng(s, stream->source))
		ctf_sources_stream_done(s->ctf, ref);
	else if (stream && atomic_load(&stream->closed))
		store_stream_close(s->store, ref);
}

static void source_done(struct sources *s, struct state_ref ref)
{
	struct source_slot *slot = state_source(s->st, ref);

	if (slot && atomic_load(&slot->done) && !atomic_load(&slot->kept))
		source_end(s, ref);
}

void sources_done(struct sources *s, const struct link_message *m)
{
	for (uint32_t i = 0; i <= m->items; i++) {
		/* One slot in ref, more in the items. */
		struct state_ref ref = m->ref;

		if (i) {
			ref.index = m->item[i - 1].index;
			ref.id = m->item[i - 1].id;
		}
		switch ((enum link_done)m->kind) {
		case LINK_DONE_CONVERSATION:
			conversation_done(s, ref);
			break;
		case LINK_DONE_STREAM:
			stream_done(s, ref);
			break;
		case LINK_DONE_SOURCE:
			source_done(s, ref);
			break;
		}
	}
}

/* f for every slot of a table that is in use. */
#define EACH(s, table, high, f)                                               \
	for (uint32_t i_ = 0; i_ < atomic_load(&(s)->st->header->high); i_++) \
	f(s, (struct state_ref){.index = i_, .id = atomic_load(&(s)->st->table[i_].id)})

void sources_sweep(struct sources *s)
{
	EACH(s, conversation, high_conversation, conversation_done);
	EACH(s, stream, high_stream, stream_done);
	EACH(s, source, high_source, source_done);
	lease_forget(s->leases, clock_monotonic_ms());
	forget_waiting(s); /* the next relayd asks again */
}

static void pass_conversation(struct sources *s, struct state_ref ref)
{
	if (store_conversation_fd(s->store, ref) >= 0)
		relayd_link_conversation(s->link, ref);
}

static void pass_stream(struct sources *s, struct state_ref ref)
{
	if (store_stream_fd(s->store, ref) >= 0)
		relayd_link_stream(s->link, ref);
}

void sources_pass_all(struct sources *s)
{
	shared_ports_pass(s->ports);
	EACH(s, conversation, high_conversation, pass_conversation);
	EACH(s, stream, high_stream, pass_stream);
}

void sources_counts(const struct sources *s, struct sources_counts *ret)
{
	*ret = (struct sources_counts){.leases = lease_count(s->leases),
				       .peers = lease_peer_count(s->leases),
				       .ports = shared_ports_bound(s->ports),
				       .waiting = s->n_waiting};
}
