/* SPDX-License-Identifier: MIT */
/*
 * session_end.h - destroy-session: from `ending` in the slot to the free slot.
 *
 *   relayd ends the sources --> the last one is gone --> (data deleted) --> rows removed --> gone
 *
 * Each step is found again in catalog.db, so a kill in between is made good at the next start. If
 * one fails the session stays as it is, says why, and may be destroyed again.
 * Thread: sessiond-lite's loop; data is deleted in libuv's pool. Test: tests/unit/registry.c.
 */
#ifndef TRACERELAY_SESSIOND_LITE_SESSION_END_H
#define TRACERELAY_SESSIOND_LITE_SESSION_END_H

#include "sessiond-lite/session.h"

/* From here on nothing more belongs to it. May free it. */
void session_end_begin(struct session *s);

/* The next step of an ending session, if its time has come; else nothing. May free it. */
void session_end_step(struct session *s);

#endif
