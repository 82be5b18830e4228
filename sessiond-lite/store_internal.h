/* SPDX-License-Identifier: MIT */
/*
 * store_internal.h - what store.c and store_ctf.c share; for nobody else.
 *
 * Thread: sessiond-lite's loop.
 */
#ifndef TRACERELAY_SESSIOND_LITE_STORE_INTERNAL_H
#define TRACERELAY_SESSIOND_LITE_STORE_INTERNAL_H

#include "sessiond-lite/anonymous.h"
#include "sessiond-lite/peer_tally.h"
#include "sessiond-lite/store.h"

/* No descriptor yet, but it is counted: a stream whose port a client was told. */
#define PROMISED (-1)

struct table {
	uint32_t capacity;
	uint32_t high;  /* slots from here on were never used */
	uint32_t *free; /* [capacity], a stack */
	uint32_t n_free;
	int *fd; /* [capacity]: 1 + descriptor; 0: none; PROMISED */
	uint32_t used;
};

struct store {
	struct store_config config;
	struct state st;
	struct table conversations, sources, streams;
	struct peer_tally *tally; /* conversations */
	uint32_t of_role[CONVERSATION_ROLES];
	struct anonymous *anonymous; /* data connections */
	uint32_t touched;            /* stream slots */
	uint32_t descriptors;        /* open or promised */
};

/*
 * A free slot, before it is another's. Threads of relayd may be looking at it: each word is one
 * write, and whoever sees one of them sees that the old id is gone.
 */
void store_clear(void *slot, size_t size);

/* Scans stop at the marks: raise them before a slot can be seen. */
void store_raise_mark(_Atomic uint32_t *mark, uint32_t index);

/* A cleared stream slot. -ENOSPC, -ENOMEM. @promise  a descriptor; the caller saw that there is
 * room for it. */
int store_stream_take(struct store *s, bool promise, struct state_ref *ret);
void store_stream_give(struct store *s, uint32_t index);

#endif
