/* SPDX-License-Identifier: MIT */
/*
 * lttng_data.h - data connections of LTTng, until a worker has them.
 * Thread: the front loop's.
 */
#ifndef TRACERELAY_RELAYD_LTTNG_DATA_H
#define TRACERELAY_RELAYD_LTTNG_DATA_H

#include "common/state.h"

struct relay;

/* A data connection was accepted, or is handed over after a restart. Owns fd. */
void lttng_data_new(struct relay *r, struct state_ref ref, int fd);

#endif
