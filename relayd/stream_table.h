/* SPDX-License-Identifier: MIT */
/*
 * stream_table.h - (peer host, local port, transport) -> stream: a lock-free hash table.
 *
 * An accepted data connection, or the first datagram of a UDP stream, is known by nothing but its
 * sender's address and the port it came to; the lease of that pair says whose it is.
 *
 * Life:   entries from a lease to the end of its source; removed ones live on for an RCU grace
 *         period.
 * Thread: [front] only relayd's front loop adds and removes; [any] any thread registered with RCU
 *         looks up and walks, without a lock. The entry is copied out, so no reference leaves.
 * Source: design.md section 4; liburcu's cds_lfht (memb flavour).
 */
#ifndef TRACERELAY_RELAYD_STREAM_TABLE_H
#define TRACERELAY_RELAYD_STREAM_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/state.h"

struct stream_table; /* opaque */

struct stream_entry {
	struct state_ref stream;
	struct state_ref source;
	uint32_t worker; /* index */
	uint32_t cpu;
};

int stream_table_new(struct stream_table **ret); /* [front] 0 or -ENOMEM */
void stream_table_free(struct stream_table *t);  /* [front] all entries too; after a grace period */

/* [front] 0, -EEXIST (another stream holds this lease), -ENOMEM. */
int stream_table_add(struct stream_table *t, const struct addr *peer, uint16_t port,
		     enum transport transport, const struct stream_entry *entry);
/* [front] Whether it was there with this stream. */
bool stream_table_remove(struct stream_table *t, const struct addr *peer, uint16_t port,
			 enum transport transport, uint64_t stream_id);
/* [any] */
bool stream_table_find(struct stream_table *t, const struct addr *peer, uint16_t port,
		       enum transport transport, struct stream_entry *ret);
/* [any] Calls see() for every entry; entries that come or go meanwhile may be missed. see() does
 * no I/O. */
void stream_table_walk(struct stream_table *t,
		       void (*see)(void *ctx, const struct stream_entry *entry), void *ctx);
uint64_t stream_table_count(struct stream_table *t); /* [any] approximate */

#endif
