/* SPDX-License-Identifier: MIT */
/*
 * anonymous.h - data connections of LTTng that have not named a stream yet.
 *
 * Anybody may open one and be silent, so each peer may have only so many. relayd says in the slot
 * (`source`) that one has named its stream; it is noticed here when somebody asks.
 *
 * Life:   anonymous_create() to _free().
 * Thread: sessiond-lite's loop.
 * Cost:   a look-up by host while the peer has few data connections in all; else a walk over those
 *         that were anonymous at the last walk.
 * Source: doc/trust.md. Test: tests/unit/anonymous.c.
 */
#ifndef TRACERELAY_SESSIOND_LITE_ANONYMOUS_H
#define TRACERELAY_SESSIOND_LITE_ANONYMOUS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/state.h"

struct anonymous;

int anonymous_create(const struct state *st, struct anonymous **ret); /* st stays; 0 or -ENOMEM */
void anonymous_free(struct anonymous *a);                             /* NULL is a no-op */

/* A data connection in this conversation slot. 0 or -ENOMEM. */
int anonymous_add(struct anonymous *a, uint32_t index, const struct addr *peer);
/* It is over. One that was never added: a no-op. */
void anonymous_remove(struct anonymous *a, uint32_t index);

/* Does the peer have `most` of them, or more? */
bool anonymous_reached(struct anonymous *a, const struct addr *peer, uint32_t most);

#endif
