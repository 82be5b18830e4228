/* SPDX-License-Identifier: MIT */
/*
 * port_owner.h - who listens on a TCP port, for a message to the user.
 *
 * Reads /proc/net/tcp and what it may of /proc/PID/fd: another user's processes stay unnamed.
 *
 * Thread: any; takes some milliseconds, for the start and for user commands only.
 * Test:   tests/unit/port_owner.c.
 */
#ifndef TRACERELAY_SESSIOND_LITE_PORT_OWNER_H
#define TRACERELAY_SESSIOND_LITE_PORT_OWNER_H

#include <stddef.h>
#include <stdint.h>

/*
 * "trace-cmd (process 4711)"; "a process of user alice" if /proc does not say which; "" if nobody
 * listens. Return whether anything was found.
 */
int port_owner(uint16_t port, char *buf, size_t size);

#endif
