/* SPDX-License-Identifier: MIT */
/*
 * status_rates.h - how many bytes a second each stream receives.
 *
 * Nothing on the data path knows of rates: the status thread looks at every stream's count once a
 * second, and a rate is what came between the last two looks.
 *
 * Life:   status_rates_new() to status_rates_free().
 * Thread: the owner's (the status thread); the state memory is only read.
 * Units:  bytes a second; milliseconds of CLOCK_MONOTONIC.
 */
#ifndef TRACERELAY_RELAYD_STATUS_RATES_H
#define TRACERELAY_RELAYD_STATUS_RATES_H

#include <stdint.h>

#include "common/state.h"

#define STATUS_RATES_EVERY_MS 1000

struct status_rates;

/* @st  borrowed. NULL without memory. */
struct status_rates *status_rates_new(const struct state *st);
void status_rates_free(struct status_rates *r); /* NULL is a no-op */

/* Look at every stream. Reads one number of each, so that many idle streams cost next to nothing.
 */
void status_rates_sample(struct status_rates *r, int64_t now_ms);

/* Of the stream in a slot, as of the last look; 0 for one that was not there then. */
uint64_t status_rates_of(const struct status_rates *r, struct state_ref stream);

#endif
