/* SPDX-License-Identifier: MIT */
/*
 * hold.h - files that relayd wants kept open whatever happens to it: a file lease lives on them.
 *
 * Life:   hold_create() to hold_free(), which closes all.
 * Thread: sessiond-lite's loop.
 * Source: design.md section 5 (compaction), common/link.h. Test: tests/unit/hold.c.
 */
#ifndef TRACERELAY_SESSIOND_LITE_HOLD_H
#define TRACERELAY_SESSIOND_LITE_HOLD_H

#include <stdint.h>

#include "sessiond-lite/relayd_link.h"

struct hold;

int hold_create(struct hold **ret); /* 0 or -ENOMEM */
void hold_free(struct hold *h);     /* NULL is a no-op */

/*
 * Keep fd (taken over on success) under a key until hold_release(); a key that is kept already is
 * released first. 0; -ENOMEM; -EMFILE: too many at once.
 */
int hold_keep(struct hold *h, uint64_t key, const char *text, int fd);
void hold_release(struct hold *h, uint64_t key); /* unknown: a no-op */

/* Tell a new relayd what is held: a HELD with the descriptor for each. */
void hold_pass(const struct hold *h, struct relayd_link *link);

#endif
