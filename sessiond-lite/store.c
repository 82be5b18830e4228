/* SPDX-License-Identifier: MIT */
/*
 * store.c - a stack of free slots for each table, and an array of descriptors beside it.
 *
 * A slot that was freed last is used first, since its pages are there already; beyond a few the
 * pages are given back.
 */
#include "sessiond-lite/store.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sessiond-lite/store_internal.h"

/* Free slots that keep their pages: so many, and only among the first slots. */
#define WARM_CONVERSATIONS 256u
#define WARM_SOURCES       64u

/* Stream slots are small: touched so many at a time, and never given back. */
#define STREAMS_TOUCHED 64u

/* Descriptors of this process, and of relayd, that are no peer's: files, log, epoll ...; and of
 * each worker, its pipe and its loop's. */
#define DESCRIPTORS_OWN      128u
#define DESCRIPTORS_A_WORKER 8u

/* What relayd opens for a source: the file it fills and the one it is just finishing. */
#define DESCRIPTORS_A_SOURCE 2u

static int table_create(struct table *t, uint32_t capacity)
{
	t->capacity = capacity;
	t->free = calloc(capacity, sizeof(*t->free));
	t->fd = calloc(capacity, sizeof(*t->fd));
	return t->free && t->fd ? 0 : -ENOMEM;
}

static void table_free(struct table *t)
{
	for (uint32_t i = 0; t->fd && i < t->high; i++) /* beyond, nothing is open */
		if (t->fd[i] > 0)
			close(t->fd[i] - 1);
	free(t->free);
	free(t->fd);
}

static int table_take(struct table *t, uint32_t *ret)
{
	if (!t->n_free && t->high == t->capacity)
		return -ENOSPC;
	*ret = t->n_free ? t->free[--t->n_free] : t->high++;
	t->used++;
	return 0;
}

/*
 * An empty table begins anew, its mark included: readers look at every slot below the mark, and a
 * look makes a page real that had been given back.
 */
static void table_give(struct table *t, uint32_t index, _Atomic uint32_t *mark)
{
	assert(!t->fd[index]);
	t->free[t->n_free++] = index;
	if (--t->used)
		return;
	t->n_free = t->high = 0;
	atomic_store(mark, 0);
}

int store_create(const struct store_config *config, struct store **ret)
{
	struct store *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->config = *config;
	s->descriptors = DESCRIPTORS_OWN + DESCRIPTORS_A_WORKER * config->capacity.workers;
	s->st.fd = -1;
	if ((r = table_create(&s->conversations, config->capacity.conversations)) < 0 ||
	    (r = table_create(&s->sources, config->capacity.sources)) < 0 ||
	    (r = table_create(&s->streams, config->capacity.streams)) < 0 ||
	    (r = peer_tally_create(&s->tally)) < 0 ||
	    (r = state_create(&config->capacity, &s->st)) < 0 ||
	    (r = anonymous_create(&s->st, &s->anonymous)) < 0) {
		store_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

void store_free(struct store *s)
{
	if (!s)
		return;
	table_free(&s->conversations);
	table_free(&s->sources);
	table_free(&s->streams);
	peer_tally_free(s->tally);
	anonymous_free(s->anonymous);
	state_detach(&s->st);
	free(s);
}

struct state *store_state(struct store *s)
{
	return &s->st;
}

struct counters *store_counters(struct store *s)
{
	return &s->st.counters[s->config.capacity.workers + 1];
}

uint32_t store_descriptors_left(const struct store *s)
{
	return s->descriptors < s->config.descriptors ? s->config.descriptors - s->descriptors : 0;
}

int store_descriptors_take(struct store *s, uint32_t n)
{
	if (n > store_descriptors_left(s))
		return -EMFILE;
	s->descriptors += n;
	return 0;
}

void store_descriptors_give(struct store *s, uint32_t n)
{
	assert(n <= s->descriptors);
	s->descriptors -= n;
}

void store_clear(void *slot, size_t size)
{
	typedef uint64_t __attribute__((may_alias)) any_word;
	any_word *word = slot;

	atomic_thread_fence(memory_order_release);
	for (size_t i = 0; i < size / sizeof(*word); i++)
		__atomic_store_n(&word[i], 0, __ATOMIC_RELAXED);
}

_Static_assert(offsetof(struct conversation_slot, reply) % sizeof(uint64_t) == 0 &&
		       sizeof(struct stream_slot) % sizeof(uint64_t) == 0 &&
		       offsetof(struct source_slot, metadata) % sizeof(uint64_t) == 0,
	       "slots are cleared word by word");

uint64_t store_new_id(struct store *s)
{
	return atomic_fetch_add(&s->st.header->next_id, 1);
}

void store_raise_mark(_Atomic uint32_t *mark, uint32_t index)
{
	if (atomic_load(mark) <= index)
		atomic_store(mark, index + 1);
}

static int check_limits(struct store *s, const struct store_conversation *what)
{
	uint32_t most = s->config.conversations[what->role];
	bool begins_source =
		what->role == CONVERSATION_TRACE_CMD || what->role == CONVERSATION_LTTNG_CONTROL;

	if (peer_tally_get(s->tally, &what->peer) >= s->config.conversations_per_peer)
		return -EDQUOT;
	if (s->conversations.used == s->conversations.capacity ||
	    (most && s->of_role[what->role] >= most))
		return begins_source ? -EUSERS : -ENOSPC;
	if (what->role == CONVERSATION_LTTNG_DATA && s->config.anonymous_per_peer &&
	    anonymous_reached(s->anonymous, &what->peer, s->config.anonymous_per_peer))
		return -EBUSY;
	return 0;
}

/* A data connection says nothing that would be kept in reply or ring, but for its header. */
static int touch_conversation(struct store *s, struct conversation_slot *slot,
			      enum conversation_role role)
{
	int r;

	if (role != CONVERSATION_LTTNG_DATA)
		return state_touch(&s->st, slot, sizeof(*slot));
	r = state_touch(&s->st, slot, offsetof(struct conversation_slot, reply));
	return r < 0 ? r : state_touch(&s->st, slot->ring, STATE_PAGE);
}

int store_conversation_add(struct store *s, int fd, const struct store_conversation *what,
			   struct state_ref *ret)
{
	struct conversation_slot *slot;
	uint32_t index;
	uint64_t id;
	int r;

	r = check_limits(s, what);
	if (r < 0)
		return r;
	r = store_descriptors_take(s, 1);
	if (r < 0)
		return r;
	r = table_take(&s->conversations, &index);
	if (r < 0)
		goto fail;
	slot = &s->st.conversation[index];
	r = touch_conversation(s, slot, what->role);
	if (r == 0 && what->role == CONVERSATION_LTTNG_DATA)
		r = anonymous_add(s->anonymous, index, &what->peer);
	if (r == 0)
		r = peer_tally_add(s->tally, &what->peer);
	if (r < 0) {
		anonymous_remove(s->anonymous, index);
		table_give(&s->conversations, index, &s->st.header->high_conversation);
		r = -ENOMEM;
		goto fail;
	}
	/* The id is 0 until the end; the ring and the reply mean nothing without the halves. */
	store_clear(slot, offsetof(struct conversation_slot, reply));
	slot->own_session = what->own_session;
	slot->role = what->role;
	slot->peer = what->peer;
	slot->local = what->local;
	slot->accepted_ms = what->now_ms;
	s->conversations.fd[index] = fd + 1;
	s->of_role[what->role]++;
	store_raise_mark(&s->st.header->high_conversation, index);
	id = store_new_id(s);
	atomic_store_explicit(&slot->id, id, memory_order_release);
	*ret = (struct state_ref){.index = index, .id = id};
	return 0;
fail:
	store_descriptors_give(s, 1);
	return r;
}

int store_conversation_fd(const struct store *s, struct state_ref ref)
{
	return state_conversation(&s->st, ref) ? s->conversations.fd[ref.index] - 1 : -1;
}

void store_conversation_drop(struct store *s, struct state_ref ref)
{
	struct conversation_slot *slot = state_conversation(&s->st, ref);

	if (!slot)
		return;
	atomic_store(&slot->id, 0);
	peer_tally_remove(s->tally, &slot->peer);
	anonymous_remove(s->anonymous, ref.index);
	s->of_role[slot->role]--;
	close(s->conversations.fd[ref.index] - 1);
	s->conversations.fd[ref.index] = 0;
	store_descriptors_give(s, 1);
	table_give(&s->conversations, ref.index, &s->st.header->high_conversation);
	if (s->conversations.n_free > WARM_CONVERSATIONS || ref.index >= 2 * WARM_CONVERSATIONS)
		state_release(&s->st, slot, sizeof(*slot));
}

/* What the stream has, or was promised, goes. */
static void stream_close(struct store *s, uint32_t index)
{
	int held = s->streams.fd[index];

	if (!held)
		return;
	if (held > 0)
		close(held - 1);
	s->streams.fd[index] = 0;
	store_descriptors_give(s, 1);
}

int store_stream_take(struct store *s, bool promise, struct state_ref *ret)
{
	struct stream_slot *slot;
	uint32_t index, n;
	int r;

	r = table_take(&s->streams, &index);
	if (r < 0)
		return r;
	slot = &s->st.stream[index];
	if (index >= s->touched) {
		n = s->streams.capacity - s->touched;
		if (n > STREAMS_TOUCHED)
			n = STREAMS_TOUCHED;
		if (state_touch(&s->st, &s->st.stream[s->touched], n * sizeof(*slot)) < 0) {
			table_give(&s->streams, index, &s->st.header->high_stream);
			return -ENOMEM;
		}
		s->touched += n;
	}
	store_clear(slot, sizeof(*slot));
	if (promise) {
		s->streams.fd[index] = PROMISED;
		s->descriptors++;
	}
	*ret = (struct state_ref){.index = index, .id = store_new_id(s)};
	return 0;
}

void store_stream_give(struct store *s, uint32_t index)
{
	stream_close(s, index);
	table_give(&s->streams, index, &s->st.header->high_stream);
}

static void source_give(struct store *s, uint32_t index)
{
	struct source_slot *slot = &s->st.source[index];

	table_give(&s->sources, index, &s->st.header->high_source);
	store_descriptors_give(s, DESCRIPTORS_A_SOURCE);
	if (s->sources.n_free > WARM_SOURCES || index >= 2 * WARM_SOURCES)
		state_release(&s->st, slot, sizeof(*slot));
}

/* Of other protocols these pages were never made. */
static void release_ctf(struct store *s, uint32_t index)
{
	if (s->st.source[index].protocol == PROTOCOL_LTTNG)
		state_release(&s->st, &s->st.ctf_source[index], sizeof(s->st.ctf_source[index]));
}

int store_source_reserve(struct store *s, uint32_t cpus, struct state_ref *ret_source,
			 struct state_ref *ret_streams)
{
	struct source_slot *slot;
	uint32_t index, done;
	int r;

	if (s->sources.used == s->sources.capacity)
		return -EUSERS;
	if (cpus > s->streams.capacity - s->streams.used)
		return -ENOSPC;
	if (cpus + DESCRIPTORS_A_SOURCE > store_descriptors_left(s))
		return -EMFILE;
	r = table_take(&s->sources, &index);
	assert(r == 0);
	s->descriptors += DESCRIPTORS_A_SOURCE;
	slot = &s->st.source[index];
	if (state_touch(&s->st, slot, sizeof(*slot)) < 0) {
		source_give(s, index);
		return -ENOMEM;
	}
	for (done = 0; done < cpus; done++) {
		r = store_stream_take(s, true, &ret_streams[done]);
		if (r < 0) {
			while (done--)
				store_stream_give(s, ret_streams[done].index);
			source_give(s, index);
			return r;
		}
	}
	store_clear(slot, offsetof(struct source_slot, metadata));
	*ret_source = (struct state_ref){.index = index, .id = store_new_id(s)};
	return 0;
}

void store_source_return(struct store *s, struct state_ref source, uint32_t cpus,
			 const struct state_ref *streams)
{
	for (uint32_t i = 0; i < cpus; i++)
		store_stream_give(s, streams[i].index);
	release_ctf(s, source.index);
	source_give(s, source.index);
}

void store_source_publish(struct store *s, struct state_ref source, uint32_t cpus,
			  const struct state_ref *streams)
{
	for (uint32_t i = 0; i < cpus; i++) {
		store_raise_mark(&s->st.header->high_stream, streams[i].index);
		atomic_store_explicit(&s->st.stream[streams[i].index].id, streams[i].id,
				      memory_order_release);
	}
	store_raise_mark(&s->st.header->high_source, source.index);
	atomic_store_explicit(&s->st.source[source.index].id, source.id, memory_order_release);
}

void store_source_drop(struct store *s, struct state_ref ref)
{
	struct source_slot *slot = state_source(&s->st, ref);
	struct stream_slot *stream;

	if (!slot)
		return;
	atomic_store(&slot->id, 0);
	for (uint32_t next = slot->first_stream; next; next = stream->next) {
		uint32_t index = next - 1;

		stream = &s->st.stream[index];
		atomic_store(&stream->id, 0);
		store_stream_give(s, index);
	}
	release_ctf(s, ref.index);
	source_give(s, ref.index);
}

void store_stream_connected(struct store *s, struct state_ref ref, int fd, const struct addr *peer)
{
	struct stream_slot *slot = state_stream(&s->st, ref);

	assert(slot && !slot->connected && s->streams.fd[ref.index] == PROMISED);
	slot->peer = *peer;
	s->streams.fd[ref.index] = fd + 1;
	atomic_store_explicit(&slot->connected, 1, memory_order_release);
}

int store_stream_fd(const struct store *s, struct state_ref ref)
{
	return state_stream(&s->st, ref) && s->streams.fd[ref.index] > 0
		       ? s->streams.fd[ref.index] - 1
		       : -1;
}

void store_stream_close(struct store *s, struct state_ref ref)
{
	if (state_stream(&s->st, ref))
		stream_close(s, ref.index);
}

void store_counts(const struct store *s, struct store_counts *ret)
{
	*ret = (struct store_counts){.conversations = s->conversations.used,
				     .sources = s->sources.used,
				     .streams = s->streams.used,
				     .descriptors = s->descriptors,
				     .descriptors_max = s->config.descriptors};
}
