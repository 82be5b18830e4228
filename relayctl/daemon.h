/* SPDX-License-Identifier: MIT */
/*
 * daemon.h - the two sockets of a relay: control.sock (JSON-RPC) and status.sock (one document).
 *
 * Errors: the exit status, after a sentence on cli->err that says what to do.
 * Thread: one.
 * Source: doc/control.md, doc/status.md.
 */
#ifndef TRACERELAY_RELAYCTL_DAEMON_H
#define TRACERELAY_RELAYCTL_DAEMON_H

#include <jansson.h>

#include "relayctl/cli.h"

/* How long a relayd that is just being restarted is waited for. */
#define DAEMON_PATIENCE_MS 5000
/* How long an answer is waited for that should come at once. */
#define DAEMON_ANSWER_MS 30000

/* The path of "control.sock" or "status.sock"; malloc()ed, NULL without memory. */
char *daemon_path(const struct cli *cli, const char *socket);

/*
 * Ask control.sock.
 * @params  taken; NULL: none (that they could not be made is for the caller to notice)
 * @ret     the result, the caller's
 */
int daemon_call(const struct cli *cli, const char *method, json_t *params, json_t **ret);

/* Read status.sock. A relayd that is being restarted is waited for. */
int daemon_status(const struct cli *cli, int patience_ms, json_t **ret);

/* The sentences for a socket that cannot be reached, and the exit status that goes with them. */
int daemon_unreachable(const struct cli *cli, const char *path, int error);

#endif
