/* SPDX-License-Identifier: MIT */
/*
 * stream.h - one data connection of a client, and the pages it sends.
 *
 * Life:   embedded in its client, stream_init() to stream_close(); closing is idempotent.
 * Owner:  the client. Thread: the only one.
 * Errors: negative errno; the stream is then of no more use.
 */
#ifndef TESTS_BENCH_STREAM_H
#define TESTS_BENCH_STREAM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "tests/bench/pages.h"

struct client;

struct stream {
	bool is_control; /* false; tells it from a client in an epoll event (see client.h) */
	struct client *client;
	struct pages_stream pages;
	int fd;         /* -1 when closed */
	bool connected; /* the peer has answered */
	uint64_t sent;  /* bytes */
	uint64_t goal;  /* bytes; sent until then */
	size_t turn;    /* bytes to offer next time, by what the socket took last time */
};

void stream_init(struct stream *s, struct client *client, const struct pages_stream *pages);

/*
 * Open a non-blocking socket of `type` from an address (NULL: the kernel's choice) to another. It
 * is shared with control connections. Return the descriptor, connected or connecting.
 */
int stream_dial(int type, const struct sockaddr *from, const struct sockaddr *to, socklen_t len);

/* An event on a connecting socket: 1 connected, 0 not yet, or the error. */
int stream_dial_result(int fd);

/*
 * TCP: offer the socket one turn's worth of pages; UDP: one datagram of `datagram` bytes.
 * Return 1 when the goal is reached, 0 when there is more to send, -EAGAIN when the socket took
 * nothing.
 */
int stream_send(struct stream *s);
int stream_send_datagram(struct stream *s, size_t datagram);

void stream_close(struct stream *s);

#endif
