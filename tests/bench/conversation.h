/* SPDX-License-Identifier: MIT */
/*
 * conversation.h - the client's half of the control connection, V1 or V3, without I/O.
 *
 *	GREETING --"tracecmd"--> DIALECT --"V3"--> MAGIC --"OK"--> PORTS --ports--> OPEN
 *	V1:      --"tracecmd"--> PORTS
 *
 * What it wants to send piles up in an output that the caller empties. It answers in the steps in
 * which real clients do, one write each, so that a server meets what it would meet in the field.
 *
 * Life:   conversation_new() to conversation_free(). Owner: its client. Thread: the only one.
 * Source: doc/protocol.md, "V1" and "V3".
 */
#ifndef TESTS_BENCH_CONVERSATION_H
#define TESTS_BENCH_CONVERSATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/bench/bytes.h"

struct conversation; /* opaque */

struct conversation_setup {
	int protocol; /* 1 or 3 */
	uint32_t cpus;
	uint32_t page_size;
	bool udp; /* ask for datagram streams */
};

struct conversation *conversation_new(const struct conversation_setup *setup);
void conversation_free(struct conversation *c); /* NULL is a no-op */

/* Bytes came from the server. Return 0, or -EPROTO: it did not keep to the protocol. */
int conversation_feed(struct conversation *c, const uint8_t *data, size_t n);

/* One port per CPU once the server has named them, else NULL. Lives as long as the conversation. */
const uint16_t *conversation_ports(const struct conversation *c);

/* After the ports: append the metadata to the output, framed as the protocol wants it. */
void conversation_put_metadata(struct conversation *c, const struct bytes *metadata);

/* After the streams were closed: what is said before the connection is closed (V1: nothing). */
void conversation_put_close(struct conversation *c);

/* The bytes still to be sent, borrowed until the next call; how many of them were. */
const uint8_t *conversation_output(const struct conversation *c, size_t *ret_n);
void conversation_sent(struct conversation *c, size_t n);

#endif
