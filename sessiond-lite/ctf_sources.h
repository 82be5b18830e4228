/* SPDX-License-Identifier: MIT */
/*
 * ctf_sources.h - client sessions of LTTng: which source a control connection belongs to, and the
 * streams made for it.
 *
 * A client session comes by several control connections (its session daemon, its consumers), which
 * share one source: it is found by the key that CREATE_SESSION tells, from the same host only.
 *
 * What is guaranteed: as long as a conversation's slot names a source, that source is the one the
 * conversation was given (the slot is cleared before the source's is freed). A source that relayd
 * has marked done is joined by nobody. The mark may come while the answer is under way: no message
 * of that connection has been acted on then, and relayd asks again and is given another source.
 *
 * Life:   ctf_sources_create() to _free(), which leaves the slots alone.
 * Thread: sessiond-lite's loop.
 * Source: common/link.h CTF_SOURCE, CTF_STREAM. Test: tests/unit/ctf_sources.c.
 */
#ifndef TRACERELAY_SESSIOND_LITE_CTF_SOURCES_H
#define TRACERELAY_SESSIOND_LITE_CTF_SOURCES_H

#include <stdint.h>

#include "common/addr.h"
#include "common/state.h"
#include "sessiond-lite/registry.h"
#include "sessiond-lite/store.h"

struct ctf_sources;

int ctf_sources_create(struct store *store, struct registry *registry, struct ctf_sources **ret);
void ctf_sources_free(struct ctf_sources *x); /* NULL is a no-op */

/*
 * The source of a control connection: the one it has, one of the same key, or a new one.
 * @host  "": not told
 * Return 0; -EAGAIN: there is no number yet; -ENOENT: the connection is gone; -EINVAL: it is none
 * of LTTng's control connections; -EPERM: the session is stopped; -ECANCELED: it is ending; errors
 * of store_source_reserve() and registry_next_source_number().
 */
int ctf_sources_take(struct ctf_sources *x, struct state_ref conversation,
		     const struct ctf_key *key, const char *host, struct state_ref *ret);

/*
 * The stream that the message at this position of the connection asked for: made once.
 * @most  streams of the peer, in all its LTTng sources
 * Return 0; -ENOENT: the connection is gone or has no source; -ESTALE: its source has ended;
 * -EDQUOT: more than most; -ENOSPC; -ENOMEM.
 */
int ctf_sources_stream(struct ctf_sources *x, struct state_ref conversation, uint64_t position,
		       uint32_t most, struct state_ref *ret);

/* If the stream is retired (ctf_stream_slot.retired), its slot is free for others behind this. */
void ctf_sources_stream_done(struct ctf_sources *x, struct state_ref ref);

/* Streams of LTTng that the peer's host has now. */
uint32_t ctf_sources_streams_of(const struct ctf_sources *x, const struct addr *peer);

/* Before the slot is freed: of a source of LTTng; of any conversation. */
void ctf_sources_ended(struct ctf_sources *x, struct state_ref source);
void ctf_sources_left(struct ctf_sources *x, struct state_ref conversation);

#endif
