/* SPDX-License-Identifier: MIT */
/*
 * status_connection.h - connections in the status document: control, data, viewers, each in the
 * words of its protocol.
 *
 * Thread: any; nothing waits for a writer. Source: doc/status.md "connections[]".
 * Tests: tests/unit/status_document.c, status_lttng.c.
 */
#ifndef TRACERELAY_RELAYD_STATUS_CONNECTION_H
#define TRACERELAY_RELAYD_STATUS_CONNECTION_H

#include <stdint.h>

#include "common/state.h"
#include "relayd/status_json.h"

/* Nothing, if the slot is free or done. @now_ms: CLOCK_MONOTONIC. */
void status_connection_add(const struct state *st, const struct conversation_slot *slot,
			   int64_t now_ms, struct json_text *list);

#endif
