/* SPDX-License-Identifier: MIT */
/*
 * client.h - one made-up traced host: a control connection and a stream per CPU.
 *
 *	NEW --start--> TALKING --ports--> METADATA --sent--> DIALLING --connected--> OPEN
 *	OPEN --client_say_close()--> CLOSING --CLOSE sent--> DONE
 *	raw (the bare loop): NEW --start--> DIALLING, and no control connection at all
 *
 * The streams are opened after the metadata is out, as real clients do.
 *
 * Life:   client_init() to client_free(). Owner: the fleet. Thread: the only one.
 * Errors: negative errno, -EPROTO when the server broke the protocol, -ECONNRESET when it closed.
 */
#ifndef TESTS_BENCH_CLIENT_H
#define TESTS_BENCH_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "tests/bench/stream.h"

struct conversation;

/* What all clients of a run have in common. Borrowed by every client while it lives. */
struct client_setup {
	struct sockaddr_storage server; /* loopback only; raw: with the port of the streams */
	socklen_t server_len;
	uint32_t source; /* 0, or the IPv4 address of client 0 (host order); the others follow */
	int protocol;    /* 1 or 3 */
	uint32_t format; /* 6 or 7 */
	bool raw;        /* no conversation, every stream to the server's port */
	bool udp;
	bool redial; /* a stream that is refused is tried again for a second */
	uint32_t cpus;
	uint32_t page_size;
	uint64_t seed;
	uint64_t padding; /* bytes by which the metadata is made larger */
	const char *node; /* the clients' host names: this, a '-' and the client's number */
	int epoll;
};

enum client_state {
	CLIENT_NEW,
	CLIENT_TALKING,
	CLIENT_METADATA,
	CLIENT_DIALLING,
	CLIENT_OPEN,
	CLIENT_CLOSING,
	CLIENT_DONE
};

struct client {
	bool is_control; /* true; the first field of streams too */
	enum client_state state;
	uint32_t number;
	int fd; /* control, -1 when closed */
	const struct client_setup *setup;
	struct conversation *talk; /* NULL when raw */
	struct stream *streams;    /* setup->cpus */
	uint32_t connected;        /* streams */
	uint32_t closed;           /* streams */
};

void client_init(struct client *c, const struct client_setup *setup, uint32_t number);
void client_free(struct client *c);

int client_start(struct client *c);

/* An event on the control connection. */
int client_on_control(struct client *c, uint32_t events);

/* An event on a stream that is not being sent on: it connects, or the server has closed it. */
int client_on_stream(struct stream *s, uint32_t events);

/* Have the loop told when the streams can take pages (or no longer). */
int client_watch_streams(struct client *c, bool writable);

/* Idempotent. */
void client_close_stream(struct stream *s);

/* All streams are closed: say CLOSE; the client becomes CLOSING, then DONE. */
int client_say_close(struct client *c);

#endif
