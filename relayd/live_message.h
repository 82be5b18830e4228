/* SPDX-License-Identifier: MIT */
/*
 * live_message.h - requests and replies of the live viewer protocol, layouts of minors below 15.
 *
 * A request is a header of 16 bytes and a body whose size its command fixes; a reply has no
 * header. Everything is big-endian.
 * Thread: any; nothing is kept.
 * Source: doc/protocol.md "LTTng live". Test: tests/unit/live_message.c.
 */
#ifndef TRACERELAY_RELAYD_LIVE_MESSAGE_H
#define TRACERELAY_RELAYD_LIVE_MESSAGE_H

#include <stdint.h>

#include "common/state_ctf.h"
#include "common/wire.h"

#define LIVE_HEADER        16u
#define LIVE_REQUEST_MAX   (LIVE_HEADER + 20u)
#define LIVE_MAJOR         2u
#define LIVE_MINOR         13u /* what we announce at most */
#define LIVE_SESSION_ENTRY 339u
#define LIVE_STREAM_ENTRY  4371u
#define LIVE_BODY_MAX      (1u << 20) /* bytes of a packet or of metadata in one reply */

enum live_command {
	LIVE_CONNECT = 1,
	LIVE_LIST_SESSIONS,
	LIVE_ATTACH_SESSION,
	LIVE_GET_NEXT_INDEX,
	LIVE_GET_PACKET,
	LIVE_GET_METADATA,
	LIVE_GET_NEW_STREAMS,
	LIVE_CREATE_SESSION,
	LIVE_DETACH_SESSION,
	LIVE_COMMAND_END
};

enum live_attach {
	LIVE_ATTACH_OK = 1,
	LIVE_ATTACH_ALREADY,
	LIVE_ATTACH_UNKNOWN,
	LIVE_ATTACH_NOT_LIVE,
	LIVE_ATTACH_SEEK,
	LIVE_ATTACH_NO_SESSION,
};
enum live_seek { LIVE_SEEK_BEGINNING = 1, LIVE_SEEK_NOW = 2 };
enum live_streams {
	LIVE_STREAMS_OK = 1,
	LIVE_STREAMS_NONE,
	LIVE_STREAMS_ERROR,
	LIVE_STREAMS_HUP,
};
enum live_index {
	LIVE_INDEX_OK = 1,
	LIVE_INDEX_RETRY,
	LIVE_INDEX_HUP,
	LIVE_INDEX_ERROR,
	LIVE_INDEX_INACTIVE,
};
enum live_packet { LIVE_PACKET_OK = 1, LIVE_PACKET_RETRY, LIVE_PACKET_ERROR };
enum live_metadata { LIVE_METADATA_OK = 1, LIVE_METADATA_NONE, LIVE_METADATA_ERROR };
enum live_create { LIVE_CREATE_OK = 1, LIVE_CREATE_ERROR };
enum live_detach { LIVE_DETACH_OK = 1, LIVE_DETACH_UNKNOWN, LIVE_DETACH_ERROR };

#define LIVE_NEW_METADATA 1u /* flags of an index or a packet */
#define LIVE_NEW_STREAMS  2u

/* Any request; what its command does not have is 0. */
struct live_request {
	uint32_t command;      /* enum live_command */
	uint64_t id;           /* of a stream or a session */
	uint64_t offset;       /* GET_PACKET, ATTACH_SESSION */
	uint32_t len;          /* GET_PACKET */
	uint32_t seek;         /* ATTACH_SESSION: enum live_seek, unchecked */
	uint32_t major, minor; /* CONNECT */
	uint32_t type;         /* CONNECT */
};

/*
 * The request at the reader's beginning; the reader then stands behind it.
 * Return 0; -EAGAIN: it is not whole yet (the reader has not moved); -EOPNOTSUPP: no such command;
 * -EMSGSIZE: its size is not the command's.
 */
int live_request_decode(struct wire_reader *r, struct live_request *ret);
/* For tests and tools. */
void live_request_encode(struct wire_writer *w, const struct live_request *m);

struct live_session_entry {
	uint64_t id; /* handle */
	uint32_t live_timer_us, clients, streams;
	char host[CTF_NAME], name[CTF_NAME]; /* cut where the field is shorter */
};

struct live_stream_entry {
	uint64_t id; /* handle */
	uint64_t trace;
	uint32_t metadata;
	char path[CTF_PATH], name[CTF_NAME];
};

/* An index record, or what INACTIVE needs of one. */
struct live_record {
	uint64_t offset;                    /* bytes in its file */
	uint64_t packet_size, content_size; /* bits */
	uint64_t ts_begin, ts_end;
	uint64_t events_discarded; /* as the tracer counts */
	uint64_t class_id;
};

void live_connect_encode(struct wire_writer *w, uint64_t viewer, uint32_t minor);
void live_session_encode(struct wire_writer *w, const struct live_session_entry *m);
void live_stream_encode(struct wire_writer *w, const struct live_stream_entry *m);
/* status, count: what entries follow; ATTACH_SESSION and GET_NEW_STREAMS. */
void live_streams_encode(struct wire_writer *w, uint32_t status, uint32_t count);
void live_index_encode(struct wire_writer *w, uint32_t status, const struct live_record *m,
		       uint32_t flags);
void live_packet_encode(struct wire_writer *w, uint32_t status, uint32_t len, uint32_t flags);
void live_metadata_encode(struct wire_writer *w, uint32_t status, uint64_t len);

/* A record of an index file: len is 56 (minors below 8) or more. 0 or -EBADMSG. */
int live_record_decode(const uint8_t *bytes, size_t len, struct live_record *ret);

#endif
