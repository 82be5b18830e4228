/* SPDX-License-Identifier: MIT */
/*
 * store.h - slots of the state memory, and the descriptors that are held for them.
 *
 * Whatever a peer is connected to us by, this process holds a duplicate, so that the end of relayd
 * ends no connection. A slot is allocated here, with an id that is never used again, and freed here
 * when relayd has marked it done; its fields are complete before its id can be seen.
 *
 * Life:   store_create() to store_free(), which closes everything.
 * Owner:  descriptors given to _add() and _connected() belong to the store, which closes them.
 * Thread: sessiond-lite's loop.
 * Errors: -EUSERS: the limit over all peers; -EDQUOT: the limit of this peer; -EBUSY: its limit of
 *         silent data connections; -ENOSPC: no slot; -EMFILE: no descriptors would be left;
 * -ENOMEM. Source: design.md sections 1 and 6, common/state.h. Test: tests/unit/store.c.
 */
#ifndef TRACERELAY_SESSIOND_LITE_STORE_H
#define TRACERELAY_SESSIOND_LITE_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/counters.h"
#include "common/state.h"

struct store;

struct store_config {
	struct state_capacity capacity;
	uint32_t conversations_per_peer;
	uint32_t conversations[CONVERSATION_ROLES]; /* of a role at a time; 0: capacity alone */
	uint32_t anonymous_per_peer; /* data connections that named no stream yet; 0: no limit */
	uint32_t descriptors;        /* how many may be open, here as in relayd: RLIMIT_NOFILE */
};

int store_create(const struct store_config *config, struct store **ret);
void store_free(struct store *s); /* NULL is a no-op */

struct state *store_state(struct store *s);
struct counters *store_counters(struct store *s); /* sessiond-lite's own shard */

/*
 * Descriptors are counted before they exist: a stream that a client was promised a port for must
 * find one when it connects. Who keeps others open for long (listening sockets) takes them here.
 */
int store_descriptors_take(struct store *s, uint32_t n); /* 0 or -EMFILE */
void store_descriptors_give(struct store *s, uint32_t n);
uint32_t store_descriptors_left(const struct store *s);

/* A number that is used once, for a slot or for anything else that relayd tells apart by it. */
uint64_t store_new_id(struct store *s);

struct store_conversation {
	struct addr peer, local;
	enum conversation_role role;
	uint32_t own_session; /* 1 + index, or 0 */
	int64_t now_ms;       /* CLOCK_MONOTONIC */
};

/* A connection was accepted. On failure fd stays the caller's. */
int store_conversation_add(struct store *s, int fd, const struct store_conversation *what,
			   struct state_ref *ret);
int store_conversation_fd(const struct store *s, struct state_ref ref); /* -1: gone */
void store_conversation_drop(struct store *s, struct state_ref ref);    /* gone: a no-op */

/*
 * A source and a stream for each CPU. Reserved slots have their ids, which nobody can see yet; the
 * caller fills their fields in, links the streams, and either publishes or returns them.
 * @ret_streams  [cpus]
 */
int store_source_reserve(struct store *s, uint32_t cpus, struct state_ref *ret_source,
			 struct state_ref *ret_streams);
void store_source_return(struct store *s, struct state_ref source, uint32_t cpus,
			 const struct state_ref *streams);
void store_source_publish(struct store *s, struct state_ref source, uint32_t cpus,
			  const struct state_ref *streams);

/*
 * A client session of LTTng: a source without streams, and its ctf_source_slot, all zero but for
 * the ring, whose pages are made by who writes there. It is published or returned, and dropped, as
 * every source.
 */
int store_ctf_source_reserve(struct store *s, struct state_ref *ret);
void store_ctf_source_return(struct store *s, struct state_ref source);

/*
 * One more stream at the end of its list, visible at once. No descriptor is promised for it.
 * @last             1 + index of the stream that is the last now; 0: there is none
 * @by_conversation  and @by_position: struct ctf_stream_slot
 */
int store_ctf_stream_add(struct store *s, struct state_ref source, uint32_t last,
			 uint64_t by_conversation, uint64_t by_position, struct state_ref *ret);

/*
 * A stream leaves the list of its source, and its slot is free again.
 * @before  1 + index of the stream in front of it; 0: it is the first
 */
void store_ctf_stream_drop(struct store *s, struct state_ref ref, uint32_t before);

/* The source's slot and those of its streams are free again, what was held is closed. */
void store_source_drop(struct store *s, struct state_ref ref);

/* A stream's connection, or its own UDP socket. The stream has none yet (asserted). */
void store_stream_connected(struct store *s, struct state_ref ref, int fd, const struct addr *peer);
int store_stream_fd(const struct store *s, struct state_ref ref); /* -1: none */

/* The stream is over: close what is held. Its slot stays until its source is dropped. */
void store_stream_close(struct store *s, struct state_ref ref);

struct store_counts {
	uint32_t conversations, sources, streams, descriptors, descriptors_max;
};

void store_counts(const struct store *s, struct store_counts *ret);

#endif
