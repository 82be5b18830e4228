/* SPDX-License-Identifier: MIT */
/*
 * daemon.h - the whole of sessiond-lite: its modules put together in order, run, and taken apart.
 *
 * Life:   daemon_create(), daemon_run() until SIGTERM or SIGINT and relayd's end, daemon_free().
 * Thread: the main thread, which is the loop's; SQLite and the log have threads of their own.
 * Errors: daemon_create() has printed a sentence on stderr when it fails.
 */
#ifndef TRACERELAY_SESSIOND_LITE_DAEMON_H
#define TRACERELAY_SESSIOND_LITE_DAEMON_H

#include "config/options.h"

struct daemon;

/*
 * @options  borrowed
 * @report   where to say that all is ready: -1 for stdout, else background_start()'s descriptor
 */
int daemon_create(const struct options *options, int report, struct daemon **ret);
int daemon_run(struct daemon *d); /* the exit status */
void daemon_free(struct daemon *d);

#endif
