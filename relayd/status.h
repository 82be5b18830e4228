/* SPDX-License-Identifier: MIT */
/*
 * status.h - the status document and the thread that serves it.
 *
 * connect(status.sock), read one JSON document, end of file. The thread reads the state memory, the
 * stream table and counters as any reader does, so a document never waits for a loop, and no loop
 * for a reader.
 *
 * Life:   status_start() to the process's end.
 * Thread: status_start(): front loop; everything else: the status thread's own.
 * Source: design.md section 7; the schema is doc/status.md.
 */
#ifndef TRACERELAY_RELAYD_STATUS_H
#define TRACERELAY_RELAYD_STATUS_H

#include <jansson.h>

struct relay;

/* Serve listen_fd (bound and listening; owned). 0 or negative errno. */
int status_start(struct relay *r, int listen_fd);

#endif
