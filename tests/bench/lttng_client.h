/* SPDX-License-Identifier: MIT */
/*
 * lttng_client.h - what LTTng clients of protocol 2.13 say on a control connection: fields,
 * messages, and the beginning of a session. Everything blocks, and ends the program if it does not
 * work.
 */
#ifndef TRACERELAY_TESTS_BENCH_LTTNG_CLIENT_H
#define TRACERELAY_TESTS_BENCH_LTTNG_CLIENT_H

#include <stddef.h>
#include <stdint.h>

enum {
	CMD_ADD_STREAM = 1,
	CMD_CREATE_SESSION = 2,
	CMD_VERSION = 5,
	CMD_DATA_PENDING = 8,
	CMD_QUIESCENT = 9,
	CMD_SEND_INDEX = 13,
	CMD_STREAMS_SENT = 16,
	CMD_CREATE_CHUNK = 19,
	CMD_CONFIGURATION = 22,
	REPLY_OK = 10,
};

#define TIMEOUT_S 60 /* for one answer */

/* A message under construction: big-endian fields, one after the other. */
struct out {
	uint8_t bytes[512];
	size_t size;
};

void put(struct out *o, const void *from, size_t n);
void put_u8(struct out *o, uint8_t v);
void put_u32(struct out *o, uint32_t v);
void put_u64(struct out *o, uint64_t v);
uint32_t u32_at(const uint8_t *p);
uint64_t u64_at(const uint8_t *p);

double now(void);                        /* seconds */
uint64_t parse_number(const char *text); /* with K, M or G behind it */
void raise_descriptors(void);

/* From an address of this host's 127.0.0.0/8 to a port of 127.0.0.1. */
int connect_from(uint32_t address, uint16_t port);
void send_command(int fd, uint32_t command, const struct out *body);
void receive(int fd, void *to, size_t n, uint32_t command);
/* Ask and await a reply of n bytes with its code at `code_at` (negative: none). */
void ask(int fd, uint32_t command, const struct out *body, uint8_t *reply, size_t n, int code_at);

/* VERSION to CREATE_TRACE_CHUNK: a control connection whose session `number` takes streams. */
int open_control(uint32_t address, uint16_t port, unsigned number);
/* Its handle. */
uint64_t add_stream(int fd, const char *name);

#endif
