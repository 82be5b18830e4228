/* SPDX-License-Identifier: MIT */
/*
 * ctf_sources.c - a hash table of keys, and lists of who joined.
 *
 * Links are 1 + an index, so that calloc()'s zeros mean none. An entry of a conversation or source
 * is valid while the id in it is the slot's.
 */
#include "sessiond-lite/ctf_sources.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/log.h"
#include "sessiond-lite/clock.h"
#include "sessiond-lite/peer_tally.h"

#define BUCKETS 4096u /* a power of two */

/* By conversation slot: what the connection was given. */
struct member {
	uint64_t conversation;
	struct state_ref source;
	uint32_t next; /* the source's next member */
	/* The last stream it asked for. */
	uint64_t position;
	struct state_ref stream;
};

/* By source slot. */
struct client {
	uint64_t id;   /* of the slot; 0: none of LTTng */
	uint32_t next; /* in its bucket */
	uint32_t bucket;
	uint32_t members;     /* the first */
	uint32_t last_stream; /* of its list */
	uint32_t streams;     /* in its list */
};

struct ctf_sources {
	struct store *store;
	struct state *st;
	struct registry *registry;
	struct member *member; /* [capacity.conversations] */
	struct client *client; /* [capacity.sources] */
	uint32_t *before;      /* [capacity.streams]: the stream in front of it in its list */
	struct peer_tally *streams;
	uint64_t seed;
	uint32_t bucket[BUCKETS];
};

int ctf_sources_create(struct store *store, struct registry *registry, struct ctf_sources **ret)
{
	struct ctf_sources *x = calloc(1, sizeof(*x));

	if (!x)
		return -ENOMEM;
	x->store = store;
	x->st = store_state(store);
	x->registry = registry;
	x->member = calloc(x->st->header->capacity.conversations, sizeof(*x->member));
	x->client = calloc(x->st->header->capacity.sources, sizeof(*x->client));
	x->before = calloc(x->st->header->capacity.streams, sizeof(*x->before));
	if (getrandom(&x->seed, sizeof(x->seed), GRND_NONBLOCK) != sizeof(x->seed))
		x->seed = (uint64_t)(uintptr_t)x;
	if (!x->member || !x->client || !x->before || peer_tally_create(&x->streams) < 0) {
		ctf_sources_free(x);
		return -ENOMEM;
	}
	*ret = x;
	return 0;
}

void ctf_sources_free(struct ctf_sources *x)
{
	if (!x)
		return;
	peer_tally_free(x->streams);
	free(x->member);
	free(x->client);
	free(x->before);
	free(x);
}

/* ---- who has which source ---- */

static bool has_uuid(const struct ctf_key *key)
{
	static const uint8_t none[sizeof(key->uuid)];

	return memcmp(key->uuid, none, sizeof(none)) != 0;
}

static bool same_key(const struct ctf_key *a, const struct ctf_key *b)
{
	return !memcmp(a->uuid, b->uuid, sizeof(a->uuid)) && a->id == b->id &&
	       a->created == b->created;
}

/* Keys are a peer's choice, so the bucket must not be. */
static uint32_t bucket_of(const struct ctf_sources *x, const struct ctf_key *key)
{
	uint64_t word[4] = {0, 0, key->id, key->created};
	uint64_t h = x->seed;

	memcpy(word, key->uuid, sizeof(key->uuid));
	for (size_t i = 0; i < sizeof(word) / sizeof(word[0]); i++) {
		h = (h ^ word[i]) * UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 29;
	}
	return (uint32_t)(h >> 32) & (BUCKETS - 1);
}

static bool is_ending(const struct ctf_sources *x, const struct source_slot *slot)
{
	const struct session_slot *session = state_session_of(x->st, slot);

	return !session || atomic_load(&session->ending);
}

/* A source that more connections may join. */
static bool find(const struct ctf_sources *x, const struct ctf_key *key, const struct addr *peer,
		 struct state_ref *ret)
{
	uint32_t next;

	if (!has_uuid(key))
		return false;
	for (next = x->bucket[bucket_of(x, key)]; next; next = x->client[next - 1].next) {
		const struct source_slot *slot = &x->st->source[next - 1];

		if (!same_key(&x->st->ctf_source[next - 1].key, key) ||
		    !addr_same_host(&slot->peer, peer) || atomic_load(&slot->done) ||
		    is_ending(x, slot))
			continue;
		*ret = state_ref_of_source(x->st, slot);
		return true;
	}
	return false;
}

static void join(struct ctf_sources *x, struct state_ref conversation, struct state_ref source)
{
	struct client *client = &x->client[source.index];

	x->member[conversation.index] = (struct member){
		.conversation = conversation.id, .source = source, .next = client->members};
	client->members = 1 + conversation.index;
	atomic_store_explicit(&x->st->conversation[conversation.index].source, 1 + source.index,
			      memory_order_release);
}

void ctf_sources_left(struct ctf_sources *x, struct state_ref conversation)
{
	struct member *m = &x->member[conversation.index];
	uint32_t *at;

	if (!conversation.id || m->conversation != conversation.id)
		return;
	at = &x->client[m->source.index].members;
	while (*at != 1 + conversation.index)
		at = &x->member[*at - 1].next;
	*at = m->next;
	m->conversation = 0;
}

void ctf_sources_ended(struct ctf_sources *x, struct state_ref source)
{
	const struct source_slot *slot = &x->st->source[source.index];
	struct client *client = &x->client[source.index];
	uint32_t *at = &x->bucket[client->bucket];

	if (!source.id || client->id != source.id)
		return;
	while (client->members) {
		struct member *m = &x->member[client->members - 1];

		atomic_store(&x->st->conversation[client->members - 1].source, 0);
		m->conversation = 0;
		client->members = m->next;
	}
	for (; client->streams; client->streams--)
		peer_tally_remove(x->streams, &slot->peer);
	while (*at != 1 + source.index)
		at = &x->client[*at - 1].next;
	*at = client->next;
	client->id = 0;
}

/* ---- sources ---- */

/* Its session takes nobody in now. 0, or the error that it is refused with: the client is told no
 * more than that it was. */
static int refuse(const struct session_slot *session, const struct conversation_slot *c)
{
	static struct log_limit limit = LOG_LIMIT_USUAL;
	bool ending = atomic_load(&session->ending);
	char peer[ADDR_TEXT_MAX];
	struct log_about about = {.peer = addr_format(&c->peer, peer),
				  .reason = ending ? "ending" : "stopped"};

	if (!ending && !atomic_load(&session->stopped))
		return 0;
	log_limited(&limit, LOG_LEVEL_WARNING, &about, "lttng-refused",
		    "a new client session of LTTng was refused: session \"%s\" %s%s", session->name,
		    ending ? "is being destroyed" : "is stopped; relayctl start ",
		    ending ? "" : session->name);
	return ending ? -ECANCELED : -EPERM;
}

/* What the session says of rotation is for its other clients. */
static void say_who_rotates(const struct session_slot *session, uint64_t number)
{
	if (atomic_load(&session->rotate_size) || atomic_load(&session->rotate_time_ms) ||
	    atomic_load(&session->keep_chunks))
		log_info("lttng-not-rotated",
			 "source %llu is not rotated as session \"%s\" says: only its client can "
			 "order that, with lttng enable-rotation or lttng rotate on its host",
			 (unsigned long long)number, session->name);
}

static int begin(struct ctf_sources *x, struct state_ref conversation,
		 const struct conversation_slot *c, const struct ctf_key *key, const char *host,
		 struct state_ref *ret)
{
	struct match_subject subject = {.host = *host ? host : NULL,
					.peer = c->peer,
					.protocol = PROTOCOL_LTTNG,
					.local_port = c->local.port,
					.own_session = c->own_session};
	int session = registry_match(x->registry, &subject);
	uint32_t bucket = bucket_of(x, key);
	struct state_ref source;
	struct source_slot *slot;
	uint64_t number;
	int r;

	if (session < 0)
		return session;
	r = refuse(&x->st->session[session], c);
	if (r == 0)
		r = registry_next_source_number(x->registry, &number);
	if (r == 0)
		r = store_ctf_source_reserve(x->store, &source);
	if (r < 0)
		return r;
	x->st->ctf_source[source.index].key = *key;
	slot = &x->st->source[source.index];
	slot->number = number;
	slot->conversation = conversation;
	slot->peer = c->peer;
	slot->local = c->local;
	slot->protocol = PROTOCOL_LTTNG;
	slot->transport = TRANSPORT_TCP;
	slot->start_ns = clock_realtime_ns();
	atomic_store(&slot->session, (uint32_t)session + 1);
	store_source_publish(x->store, source, 0, NULL);
	x->client[source.index] =
		(struct client){.id = source.id, .bucket = bucket, .next = x->bucket[bucket]};
	x->bucket[bucket] = 1 + source.index;
	say_who_rotates(&x->st->session[session], number);
	*ret = source;
	return 0;
}

int ctf_sources_take(struct ctf_sources *x, struct state_ref conversation,
		     const struct ctf_key *key, const char *host, struct state_ref *ret)
{
	struct conversation_slot *c = state_conversation(x->st, conversation);
	const struct source_slot *has;
	struct state_ref source;
	int r;

	if (!c)
		return -ENOENT;
	if (c->role != CONVERSATION_LTTNG_CONTROL)
		return -EINVAL;
	if (x->member[conversation.index].conversation == conversation.id) {
		has = state_source(x->st, x->member[conversation.index].source);
		assert(has);
		if (!atomic_load(&has->done)) {
			*ret = x->member[conversation.index].source;
			return 0;
		}
		ctf_sources_left(x, conversation);
		atomic_store(&c->source, 0);
	}
	if (!find(x, key, &c->peer, &source)) {
		r = begin(x, conversation, c, key, host, &source);
		if (r < 0)
			return r;
	}
	join(x, conversation, source);
	*ret = source;
	return 0;
}

/* ---- streams ---- */

/* One that this message asked for before others of the same connection did. */
static bool find_stream(const struct ctf_sources *x, const struct source_slot *slot,
			uint64_t conversation, uint64_t position, struct state_ref *ret)
{
	struct state_ref source = state_ref_of_source(x->st, slot);
	struct stream_walk walk = {0};

	while (stream_walk_next(x->st, source, &walk, ret)) {
		const struct ctf_stream_slot *ctf = &x->st->ctf_stream[ret->index];

		if (ctf->by_conversation == conversation && ctf->by_position == position)
			return true;
	}
	return false;
}

int ctf_sources_stream(struct ctf_sources *x, struct state_ref conversation, uint64_t position,
		       uint32_t most, struct state_ref *ret)
{
	struct member *m;
	struct source_slot *slot;
	struct client *client;
	int r;

	if (!state_conversation(x->st, conversation))
		return -ENOENT;
	m = &x->member[conversation.index];
	if (m->conversation != conversation.id)
		return -ENOENT;
	slot = state_source(x->st, m->source);
	assert(slot);
	if (atomic_load(&slot->done))
		return -ESTALE;
	/* Positions only grow, so one behind the last asked for is new. */
	if (m->stream.id && position <= m->position &&
	    find_stream(x, slot, conversation.id, position, ret))
		return 0;
	if (peer_tally_get(x->streams, &slot->peer) >= most)
		return -EDQUOT;
	r = peer_tally_add(x->streams, &slot->peer);
	if (r < 0)
		return r;
	client = &x->client[m->source.index];
	r = store_ctf_stream_add(x->store, m->source, client->last_stream, conversation.id,
				 position, ret);
	if (r < 0) {
		peer_tally_remove(x->streams, &slot->peer);
		return r;
	}
	x->before[ret->index] = client->last_stream;
	client->last_stream = 1 + ret->index;
	client->streams++;
	if (position > m->position)
		m->position = position;
	m->stream = *ret;
	return 0;
}

void ctf_sources_stream_done(struct ctf_sources *x, struct state_ref ref)
{
	struct stream_slot *stream = state_stream(x->st, ref);
	uint32_t before = x->before[ref.index], next;
	struct source_slot *slot;
	struct client *client;

	if (!stream || !atomic_load(&x->st->ctf_stream[ref.index].retired))
		return;
	slot = state_source(x->st, stream->source);
	assert(slot);
	client = &x->client[stream->source.index];
	next = atomic_load(&stream->next);
	if (next)
		x->before[next - 1] = before;
	else
		client->last_stream = before;
	client->streams--;
	peer_tally_remove(x->streams, &slot->peer);
	store_ctf_stream_drop(x->store, ref, before);
}

uint32_t ctf_sources_streams_of(const struct ctf_sources *x, const struct addr *peer)
{
	return peer_tally_get(x->streams, peer);
}
