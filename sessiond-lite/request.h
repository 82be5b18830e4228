/* SPDX-License-Identifier: MIT */
/*
 * request.h - from a message of relayd to the module that answers it.
 *
 * Thread: sessiond-lite's loop.
 * Source: common/link.h. Test: tests/unit/request.c.
 */
#ifndef TRACERELAY_SESSIOND_LITE_REQUEST_H
#define TRACERELAY_SESSIOND_LITE_REQUEST_H

#include "common/link.h"
#include "sessiond-lite/catalog.h"
#include "sessiond-lite/hold.h"
#include "sessiond-lite/listener.h"
#include "sessiond-lite/relayd_link.h"
#include "sessiond-lite/sources.h"
#include "sessiond-lite/supervisor.h"

/* Everybody whom a message may concern; borrowed. */
struct request_context {
	struct sources *sources;
	struct listeners *listeners;
	struct relayd_link *link;
	struct supervisor *supervisor;
	struct hold *hold;
	struct catalog *catalog;
};

/* A relayd_link_handlers.message: context is a struct request_context. */
void request_handle(void *context, const struct link_message *m, int *fds, unsigned n_fds);

/* Pass everything alive: to a new relayd, and to one that lost descriptors. */
void request_pass_all(const struct request_context *c);

#endif
