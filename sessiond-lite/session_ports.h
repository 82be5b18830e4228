/* SPDX-License-Identifier: MIT */
/*
 * session_ports.h - the control ports that belong to one session.
 *
 * At create-session a port that cannot be had refuses the session. At the start of the daemon the
 * session stays, and the port is tried again every ten seconds.
 * Thread: sessiond-lite's loop. Source: design.md section 7. Test: tests/unit/registry.c.
 */
#ifndef TRACERELAY_SESSIOND_LITE_SESSION_PORTS_H
#define TRACERELAY_SESSIOND_LITE_SESSION_PORTS_H

#include "sessiond-lite/session.h"

/* All, or none and why. A port that was 0 is the bound one afterwards. */
int session_ports_open(struct session *s, struct refusal *why);
void session_ports_close(struct session *s);

/* Those of all sessions that should be open and are not. */
void session_ports_reopen(struct registry *r);

#endif
