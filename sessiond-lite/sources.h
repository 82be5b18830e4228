/* SPDX-License-Identifier: MIT */
/*
 * sources.h - from relayd's request for a lease to the end of the source.
 *
 * A source gets its number, its slots and a port for each CPU; connections to those ports become
 * its streams; when relayd has marked it done, all of it is given back.
 *
 * Life:   sources_create() to sources_free(). Owns the lease table and the ports of the pool.
 * Thread: sessiond-lite's loop.
 * Errors of LEASED: -EUSERS limits.sources; -EDQUOT limits.streams-per-peer; -EADDRNOTAVAIL no port
 *         left for this peer; -ENOSPC no slot; -EMFILE no descriptors; -ENOMEM; -ECANCELED the
 *         session that owns the listening port is gone; -ESTALE the source has ended; -EINVAL;
 *         -EIO: the database fails, so there is no number for the source. Of LTTng: see
 *         ctf_sources.h.
 * Source: design.md section 4, common/link.h. Test: tests/unit/sources.c.
 */
#ifndef TRACERELAY_SESSIOND_LITE_SOURCES_H
#define TRACERELAY_SESSIOND_LITE_SOURCES_H

#include "common/link.h"
#include "sessiond-lite/acceptor.h"
#include "sessiond-lite/registry.h"
#include "sessiond-lite/relayd_link.h"
#include "sessiond-lite/shared_ports.h"
#include "sessiond-lite/store.h"

struct sources;

struct sources_config {
	struct shared_ports_config ports;
	uint32_t streams_per_peer;
};

int sources_create(const struct sources_config *config, struct acceptor *acceptor,
		   struct store *store, struct relayd_link *link, struct registry *registry,
		   struct sources **ret);
void sources_free(struct sources *s); /* NULL is a no-op */

/* relayd's requests, each of which may be repeated. */
void sources_lease(struct sources *s, const struct link_message *m);
void sources_match(struct sources *s, const struct link_message *m);
void sources_drain(struct sources *s, const struct link_message *m);
/* True of an LTTng source: its data comes in on ports that it shares with others. */
bool sources_is_lttng(const struct sources *s, struct state_ref source);
void sources_udp_socket(struct sources *s, const struct link_message *m);
void sources_ctf_source(struct sources *s, const struct link_message *m);
void sources_ctf_stream(struct sources *s, const struct link_message *m);

/* Slots that relayd has marked done are given back: those a message names ... */
void sources_done(struct sources *s, const struct link_message *m);
/* ... or all of them, since a message is only a hint. Conversations too. */
void sources_sweep(struct sources *s);

/* Lease requests had to wait for numbers, and there are some again. */
void sources_numbers_ready(struct sources *s);

/* Pass everything alive to relayd: conversations, streams, shared ports. */
void sources_pass_all(struct sources *s);

struct sources_counts {
	uint64_t leases, peers; /* peers: holding a lease, or having held one in the last minute */
	uint32_t ports;         /* sockets bound for the pool */
	uint32_t waiting;       /* lease requests waiting for a number */
};

void sources_counts(const struct sources *s, struct sources_counts *ret);

#endif
