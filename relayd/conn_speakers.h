/* SPDX-License-Identifier: MIT */
/*
 * conn_speakers.h - which LTTng control connections speak for a source, and which wait for
 * something that no byte of theirs brings. So nobody looks through all connections for them.
 *
 * Thread: the front loop's.
 */
#ifndef TRACERELAY_RELAYD_CONN_SPEAKERS_H
#define TRACERELAY_RELAYD_CONN_SPEAKERS_H

#include <stdbool.h>
#include <stdint.h>

#include "relayd/conn.h"

/* 0, -ENOMEM */
int conn_speakers_init(struct relay *r);
/* What its dialect remembers now: the source it speaks for (1 + index, 0: none). */
void conn_speakers_note(struct conn *c, uint32_t source);
/* Whether it waits for a source, a stream or room. */
void conn_speakers_wait(struct conn *c, bool waits);
/* It is over. */
void conn_speakers_forget(struct conn *c);
/* Everybody who waits takes a turn. */
void conn_speakers_look(struct relay *r);
/* Whether a control connection other than that one (NULL: any) speaks for the source. */
bool conn_speakers_any(const struct relay *r, const struct conn *but, struct state_ref source);

#endif
