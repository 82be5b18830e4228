/* SPDX-License-Identifier: MIT */
/*
 * background.h - `--daemonize`: the shell has its prompt back when the relay is ready, not before.
 *
 *   parent: waits, prints what the child reports, exits 0; or 1 when the child ends before that
 *   child:  works in a session of its own; background_ready() reports and lets go of the terminal
 *
 * Life:   background_start() before any thread is made, background_ready() once.
 * Test:   tests/unit/background.c.
 */
#ifndef TRACERELAY_SESSIOND_LITE_BACKGROUND_H
#define TRACERELAY_SESSIOND_LITE_BACKGROUND_H

/* Returns in the child alone, with the descriptor to report to; negative errno: no child. */
int background_start(void);

/* Report a line, and give stdin, stdout and (if it is a terminal) stderr away. Closes fd. */
void background_ready(int fd, const char *line);

#endif
