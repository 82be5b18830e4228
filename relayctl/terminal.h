/* SPDX-License-Identifier: MIT */
/*
 * terminal.h - the terminal as a canvas: another screen, single keys, and everything given back.
 *
 * Life:   terminal_enter() to terminal_leave(), once at a time. A signal that ends the program is
 *         an event here, so that whoever waits leaves in order; stopping (Ctrl-Z) and continuing
 *         happen inside terminal_wait().
 * Thread: the main one; signal handlers are set while entered.
 */
#ifndef TRACERELAY_RELAYCTL_TERMINAL_H
#define TRACERELAY_RELAYCTL_TERMINAL_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* @out  the terminal. 0; -ENOTTY: it, or standard input, is none. */
int terminal_enter(FILE *out);
void terminal_leave(void); /* not entered: a no-op */

/* Its size now; 80 x 24 if it does not say. */
void terminal_size(size_t *ret_columns, size_t *ret_rows);

enum terminal_event {
	TERMINAL_TIME,   /* the deadline has come */
	TERMINAL_KEYS,   /* take them with terminal_key() */
	TERMINAL_FD,     /* fd is ready for reading */
	TERMINAL_REDRAW, /* it was resized, or we were stopped meanwhile */
	TERMINAL_QUIT,   /* a signal asks us to end (terminal_signal()), or the terminal is gone */
};

/* Wait for one of them; fd -1: none; deadline in CLOCK_MONOTONIC. */
enum terminal_event terminal_wait(int fd, int64_t deadline_ms);
int terminal_signal(void); /* the signal behind TERMINAL_QUIT, 0 if it was none */

/* A key: a character, or one of these; 0: no (whole) key is left. */
enum terminal_special {
	TERMINAL_UP = 256,
	TERMINAL_DOWN,
	TERMINAL_PAGE_UP,
	TERMINAL_PAGE_DOWN,
	TERMINAL_HOME,
	TERMINAL_END,
	TERMINAL_OTHER, /* a sequence that means nothing here */
};
int terminal_key(void);

/* The key at the front of what a terminal sent. @ret_used  bytes of it; 0: it is not complete. */
int terminal_decode(const char *bytes, size_t len, size_t *ret_used);

#endif
