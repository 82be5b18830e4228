/* SPDX-License-Identifier: MIT */
/*
 * ctf_feed.h - state memory with one LTTng source, as sessiond-lite makes it, and what relayd's
 * front loop and the client then put into it: for stress programs, where no Criterion can be.
 *
 * Whatever fails ends the program, with a line on stderr.
 */
#ifndef TESTS_STRESS_CTF_FEED_H
#define TESTS_STRESS_CTF_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/state.h"

#define CTF_FEED_PATH "ust/uid/0/64-bit"

extern const struct state_ref ctf_feed_source;

/* Streams ch_0, ch_1 ... and, if @metadata, one more of that name. Of the conversations the last is
 * the control connection's. */
void ctf_feed_make(struct state *st, unsigned conns, unsigned streams, bool metadata);

/* Data connection @i, whose first header the front loop has read. The client's end and ours. */
void ctf_feed_connect(struct state *st, unsigned i, const uint8_t header[CTF_DATA_HEADER_SIZE],
		      int *ret_client, int *ret_ours);
struct state_ref ctf_feed_connection(unsigned i);

/* The header of a packet. */
void ctf_feed_header(uint8_t to[CTF_DATA_HEADER_SIZE], unsigned stream, uint64_t seq, uint32_t len,
		     uint32_t padding);

/* @stream: index, or -1. Waits for room. The caller tells the worker. */
void ctf_feed_order(struct state *st, const struct ctf_order *what, int stream, const void *bytes);

void ctf_feed_send(int fd, const uint8_t *bytes, size_t len);

/* The control connection has ended in order; nothing more comes. */
void ctf_feed_end(struct state *st);

void ctf_feed_rest(long ms);

#endif
