/* SPDX-License-Identifier: MIT */
/*
 * ctf_arrivals.h - LTTng data connections that are on their way to some worker.
 *
 * Who asks is a source whose client is gone and whose packets are not all here. All connections
 * have to be looked at for that, and sources end by the thousand when a network is cut: so one look
 * serves all that ask within a moment.
 *
 * Thread: the worker's. Source: reference 3.3. Test: tests/unit/ctf_arrivals.c.
 */
#ifndef TRACERELAY_CONSUMER_CTF_ARRIVALS_H
#define TRACERELAY_CONSUMER_CTF_ARRIVALS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/state.h"

struct ctf_arrivals;

/* 0 or -ENOMEM. The state memory is borrowed. */
int ctf_arrivals_new(const struct state *st, struct ctf_arrivals **ret);
void ctf_arrivals_free(struct ctf_arrivals *a); /* NULL is a no-op */

/* Look, unless the last look was at @since_ms or later. Both CLOCK_MONOTONIC. */
void ctf_arrivals_look(struct ctf_arrivals *a, int64_t since_ms, int64_t now_ms);

/* As of the last look: is there a connection of this source that is not done? */
bool ctf_arrivals_of_source(const struct ctf_arrivals *a, struct state_ref source);
/* And one of this host's that has not said whose it is? */
bool ctf_arrivals_of_host(const struct ctf_arrivals *a, const struct addr *host);

#endif
