/* SPDX-License-Identifier: MIT */
/*
 * status_slot.h - whether a slot is still whose it was.
 *
 * sessiond-lite may free a slot and give it to another at any moment. What is read in between is
 * worth something only if the id is still the same behind it.
 * Thread: any.
 */
#ifndef TRACERELAY_RELAYD_STATUS_SLOT_H
#define TRACERELAY_RELAYD_STATUS_SLOT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/tsan.h"

/* @before  the id, as it was read first */
static inline bool status_slot_is_still(const _Atomic uint64_t *id, uint64_t before)
{
	RACY_READS_END_HERE();
	return atomic_load(id) == before;
}

#endif
