/* SPDX-License-Identifier: MIT */
/*
 * unix_listener.h - control.sock and status.sock.
 *
 * Thread: the main thread, at the start. Test: tests/unit/unix_listener.c.
 */
#ifndef TRACERELAY_SESSIOND_LITE_UNIX_LISTENER_H
#define TRACERELAY_SESSIOND_LITE_UNIX_LISTENER_H

#include <sys/types.h>

/*
 * Listen on DIR/NAME, in place of a socket that an earlier daemon left there; the caller holds the
 * lock that says that this is ours to do. Nobody can connect before the mode is as asked.
 * Return 0; -ENAMETOOLONG; errors of bind(2).
 */
int unix_listener_open(const char *dir, const char *name, mode_t mode, int *ret_fd);

#endif
