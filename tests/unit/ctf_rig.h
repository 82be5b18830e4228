/* SPDX-License-Identifier: MIT */
/*
 * ctf_rig.h - one worker with one LTTng source, for tests: the rig plays sessiond-lite, relayd's
 * front loop (orders) and the client (data connections, as AF_UNIX socket pairs).
 */
#ifndef TESTS_UNIT_CTF_RIG_H
#define TESTS_UNIT_CTF_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/state.h"
#include "consumer/ctf_guard.h"
#include "consumer/worker.h"

/* From one life that ends at a commit to the next: odd. A sanitizer makes each fork so slow that
 * not every commit can have its own there. */
#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define CTF_RIG_LIVES 7u
#endif
#endif
#if !defined(CTF_RIG_LIVES) && defined(__SANITIZE_ADDRESS__)
#define CTF_RIG_LIVES 7u
#endif
#ifndef CTF_RIG_LIVES
#define CTF_RIG_LIVES 1u
#endif

#define CTF_RIG_STREAMS     4u
#define CTF_RIG_CONNECTIONS 2u
#define CTF_RIG_PAD         100u /* bytes of padding of a packet of ctf_rig_packet() */

struct ctf_rig {
	char dir[40];
	struct state st;
	struct source_slot *source;
	struct ctf_source_slot *ctf;
	struct session_slot *session;
	struct worker *worker;
	int output, pipes[2];
	int peer[CTF_RIG_CONNECTIONS], relay[CTF_RIG_CONNECTIONS];
	bool handed[CTF_RIG_CONNECTIONS];
	uint32_t chunk_id;
	uint64_t max_stall_ms; /* 0: nobody guards the worker */
	struct ctf_guard *guard;
	_Atomic unsigned finished, stopped, rooms, closed, retired, chunks;
	_Atomic uint64_t chunk_bytes; /* of those that the catalog was told of */
};

/* Everything but the worker. */
void ctf_rig_make(struct ctf_rig *r, unsigned minor, bool snapshot);
void ctf_rig_start(struct ctf_rig *r);
void ctf_rig_stop(struct ctf_rig *r);
void ctf_rig_free(struct ctf_rig *r);
void ctf_rig_look(struct ctf_rig *r);

/* ---- the front loop's part ---- */

/* Append an order; the ring must have room. @stream: index, or -1. */
void ctf_rig_order(struct ctf_rig *r, enum ctf_order_type type, int stream, uint64_t number,
		   uint64_t value, uint32_t flag, const void *payload, uint32_t bytes);
/* A stream slot and its order. Names: ch_N, or metadata. */
void ctf_rig_stream(struct ctf_rig *r, unsigned i, bool metadata, uint64_t tracefile_size,
		    uint64_t tracefile_count);
void ctf_rig_chunk(struct ctf_rig *r, uint64_t id, const char *name);
/* An index of packet seq, of ctf_rig_packet()'s size; packet_seq_num is @number. */
void ctf_rig_index(struct ctf_rig *r, unsigned i, uint64_t seq, uint64_t number, uint64_t lost);
void ctf_rig_metadata(struct ctf_rig *r, unsigned i, const char *text, uint32_t padding);
void ctf_rig_end_control(struct ctf_rig *r, bool in_order);
bool ctf_rig_applied(struct ctf_rig *r);

/* ---- the client's part ---- */

/* The payload of a packet: @len bytes. */
void ctf_rig_payload(uint8_t *to, unsigned i, uint64_t seq, uint32_t len);
/* Its header and payload, or only the first @cut bytes of both. The first one on a connection is
 * read by the rig into the slot, which is handed over then. */
void ctf_rig_send(struct ctf_rig *r, unsigned connection, unsigned i, uint64_t seq, uint32_t len,
		  uint32_t cut);
/* What ctf_rig_send() with that @cut left. */
void ctf_rig_send_rest(struct ctf_rig *r, unsigned connection, unsigned i, uint64_t seq,
		       uint32_t len, uint32_t cut);
void ctf_rig_close(struct ctf_rig *r, unsigned connection);

/* ---- the judge's part ---- */

struct stream_half ctf_rig_half(struct ctf_rig *r, unsigned i);
/* Bytes of a file below the session directory, or -1: it is not there. */
int64_t ctf_rig_size(struct ctf_rig *r, const char *path);
/* The file holds exactly these packets of a stream. */
void ctf_rig_expect(struct ctf_rig *r, const char *path, unsigned i, uint64_t seq, unsigned count,
		    uint32_t len);
/* The index file holds exactly the records of these packets. */
void ctf_rig_expect_index(struct ctf_rig *r, const char *path, uint64_t number, unsigned count,
			  uint32_t len);
/* A pattern of shell(1) that matches exactly one path below the session directory. */
void ctf_rig_glob(struct ctf_rig *r, const char *pattern, char *ret, size_t cap);

/* One stream, ch_0, is all that this chunk holds: its packets, whole, with indexes, metadata of so
 * many bytes, and a record. Paths as of minors from 11 on. */
void ctf_rig_expect_chunk(struct ctf_rig *r, const char *dir, uint64_t seq, unsigned count,
			  uint32_t len, int64_t metadata);
#define CTF_RIG_DIR "ust/uid/0/64-bit/"

void ctf_rig_pause(void);
#define ctf_rig_wait(condition)                                                       \
	do {                                                                          \
		for (int rig_i = 0; !(condition); rig_i++) {                          \
			cr_assert_lt(rig_i, 10000, "waited in vain for " #condition); \
			ctf_rig_pause();                                              \
		}                                                                     \
	} while (0)

#endif
