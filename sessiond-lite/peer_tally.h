/* SPDX-License-Identifier: MIT */
/*
 * peer_tally.h - how many of something each peer's host has.
 *
 * Life:   peer_tally_create() to _free(); a host at 0 is not remembered.
 * Thread: sessiond-lite's loop. Ports of addresses play no part.
 * Test:   tests/unit/peer_tally.c.
 */
#ifndef TRACERELAY_SESSIOND_LITE_PEER_TALLY_H
#define TRACERELAY_SESSIOND_LITE_PEER_TALLY_H

#include <stdint.h>

#include "common/addr.h"

struct peer_tally;

int peer_tally_create(struct peer_tally **ret); /* 0 or -ENOMEM */
void peer_tally_free(struct peer_tally *t);     /* NULL is a no-op */

uint32_t peer_tally_get(const struct peer_tally *t, const struct addr *peer);
int peer_tally_add(struct peer_tally *t, const struct addr *peer);     /* 0 or -ENOMEM */
void peer_tally_remove(struct peer_tally *t, const struct addr *peer); /* never below 0: asserted */

#endif
