/* SPDX-License-Identifier: MIT */
/*
 * lttng_message.h - the messages of an LTTng control connection: requests decoded, replies encoded.
 *
 * Pure: bytes to structs and back. Layouts depend on the minor that both ends agreed on. Strings
 * are bounded by their fields and end at their first NUL; what stands behind it is garbage.
 * Thread: any.
 * Errors: -EBADMSG: cut short, bytes left over, or a string without an end; -EPROTO: a number that
 *         no peer may send; -ENAMETOOLONG. Outputs are untouched on failure.
 * Source: doc/protocol.md "LTTng: control". Tests: tests/unit/lttng_message.c, fuzz_lttng.c.
 */
#ifndef TRACERELAY_RELAYD_LTTNG_MESSAGE_H
#define TRACERELAY_RELAYD_LTTNG_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/state_ctf.h"
#include "common/wire.h"

#define LTTNG_HEADER_SIZE 24u
#define LTTNG_MAJOR       2u
#define LTTNG_MINOR_MAX   15u

enum lttng_command {
	LTTNG_ADD_STREAM = 1,
	LTTNG_CREATE_SESSION = 2,
	LTTNG_START_DATA = 3,
	LTTNG_VERSION = 5,
	LTTNG_SEND_METADATA = 6,
	LTTNG_CLOSE_STREAM = 7,
	LTTNG_DATA_PENDING = 8,
	LTTNG_QUIESCENT = 9,
	LTTNG_BEGIN_DATA_PENDING = 10,
	LTTNG_END_DATA_PENDING = 11,
	LTTNG_SEND_INDEX = 13,
	LTTNG_STREAMS_SENT = 16,
	LTTNG_RESET_METADATA = 17,
	LTTNG_ROTATE_STREAMS = 18,
	LTTNG_CREATE_CHUNK = 19,
	LTTNG_CLOSE_CHUNK = 20,
	LTTNG_CHUNK_EXISTS = 21,
	LTTNG_GET_CONFIGURATION = 22,
	LTTNG_COMMAND_COUNT
};

/* What replies say. */
enum lttng_code {
	LTTNG_OK = 10,
	LTTNG_UNKNOWN = 11,
	LTTNG_FATAL = 25,
	LTTNG_INVALID = 97,
	LTTNG_PROTOCOL = 152,
};
#define LTTNG_NO_STREAM UINT32_MAX /* DATA_PENDING of a stream that is not there */

struct lttng_header {
	uint64_t size; /* of what follows */
	uint32_t command;
};
int lttng_header_decode(struct wire_reader *r, struct lttng_header *ret);

struct lttng_version {
	uint32_t major, minor;
};
int lttng_version_decode(struct wire_reader *r, struct lttng_version *ret);

/* What CREATE_SESSION tells; minors up to 3 tell nothing, up to 10 no key. */
struct lttng_session {
	struct ctf_key key;
	uint32_t live_timer_us, snapshot, name_has_time;
	bool has_chunk;    /* another consumer daemon made the session's present chunk */
	uint64_t chunk_id; /* that */
	char name[CTF_NAME], host[CTF_NAME], base_path[CTF_PATH];
};
int lttng_session_decode(struct wire_reader *r, uint32_t minor, struct lttng_session *ret);

struct lttng_stream {
	uint64_t tracefile_size, tracefile_count;
	char name[CTF_NAME]; /* of its files, or "metadata" */
	char path[CTF_PATH];
};
int lttng_stream_decode(struct wire_reader *r, uint32_t minor, struct lttng_stream *ret);

/* Two numbers: CLOSE_STREAM (handle, last number), DATA_PENDING, RESET_METADATA (handle, version).
 */
struct lttng_pair {
	uint64_t first, second;
};
int lttng_pair_decode(struct wire_reader *r, struct lttng_pair *ret);

struct lttng_index {
	uint64_t stream, seq;
	const uint8_t *record; /* packet size and what follows; borrowed */
	size_t record_len;
};
int lttng_index_decode(struct wire_reader *r, uint32_t minor, struct lttng_index *ret);

struct lttng_metadata {
	uint64_t stream;
	uint32_t padding;
};
#define LTTNG_METADATA_HEAD 12u
int lttng_metadata_decode(struct wire_reader *head, struct lttng_metadata *ret);

struct lttng_chunk {
	uint64_t id;
	int64_t created;
	char name[CTF_NAME]; /* override name, or "" */
};
int lttng_chunk_decode(struct wire_reader *r, struct lttng_chunk *ret);

struct lttng_close_chunk {
	uint64_t id;
	int64_t closed;
	enum ctf_close command;
};
int lttng_close_chunk_decode(struct wire_reader *r, struct lttng_close_chunk *ret);

/*
 * ROTATE_STREAMS comes in parts: a head, whose padding only the size of the whole tells, then
 * entries of 16 bytes.
 */
struct lttng_rotation {
	uint32_t streams;
	bool has_chunk;
	uint64_t chunk_id;
};
#define LTTNG_ROTATION_ENTRY 16u
/* Bytes of the head: 13, 16 or 20; 0: no such message has @size bytes and that many streams. */
size_t lttng_rotation_head(uint64_t size, uint32_t streams);
int lttng_rotation_decode(struct wire_reader *head, struct lttng_rotation *ret);

/* Replies. A path always has its NUL: a length of 0 hangs the peer. */
void lttng_version_encode(struct wire_writer *w, uint32_t minor);
void lttng_code_encode(struct wire_writer *w, uint32_t code);
void lttng_configuration_encode(struct wire_writer *w, uint32_t code, bool clear_allowed);
void lttng_session_encode(struct wire_writer *w, uint32_t minor, uint64_t session, uint32_t code,
			  const char *path);
void lttng_handle_encode(struct wire_writer *w, uint64_t handle, uint32_t code);
void lttng_path_encode(struct wire_writer *w, uint32_t code, const char *path);
void lttng_exists_encode(struct wire_writer *w, uint32_t code, bool exists);

#endif
