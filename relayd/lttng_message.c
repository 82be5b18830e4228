/* SPDX-License-Identifier: MIT */
/* lttng_message.c - one statement a field, in wire order; see lttng_message.h. */
#include "relayd/lttng_message.h"

#include <errno.h>
#include <string.h>

#define OLD_SESSION_NAME 255u
#define OLD_HOST_NAME    64u
#define OLD_STREAM_NAME  264u
#define OLD_STREAM_PATH  4096u

/* A field of fixed size that holds a string; what stands behind its NUL is garbage. */
static void get_field(struct wire_reader *r, size_t field, char *to, size_t cap)
{
	struct wire_reader part = wire_sub(r, field);
	size_t len;
	const char *s = wire_get_str(&part, field - 1, &len);

	if (r->err)
		return;
	if (part.err)
		wire_fail(r, -EBADMSG);
	else if (len >= cap)
		wire_fail(r, -ENAMETOOLONG);
	else
		memcpy(to, s, len + 1);
}

/* A string whose length, NUL included, was told before; a length of 0 is "". */
static void get_string(struct wire_reader *r, uint32_t len, char *to, size_t cap)
{
	to[0] = '\0';
	if (len > cap)
		wire_fail(r, -ENAMETOOLONG);
	else if (len)
		get_field(r, len, to, cap);
}

int lttng_header_decode(struct wire_reader *r, struct lttng_header *ret)
{
	struct lttng_header m;

	wire_skip(r, 8); /* circuit id */
	m.size = wire_get_u64(r);
	m.command = wire_get_u32(r);
	wire_skip(r, 4); /* version of the command */
	if (r->err)
		return r->err;
	*ret = m;
	return 0;
}

int lttng_version_decode(struct wire_reader *r, struct lttng_version *ret)
{
	struct lttng_version m;

	m.major = wire_get_u32(r);
	m.minor = wire_get_u32(r);
	if (wire_end(r) < 0)
		return wire_end(r);
	*ret = m;
	return 0;
}

static void get_session_names(struct wire_reader *r, uint32_t name, uint32_t host, uint32_t base,
			      struct lttng_session *m)
{
	get_string(r, name, m->name, sizeof(m->name));
	get_string(r, host, m->host, sizeof(m->host));
	get_string(r, base, m->base_path, sizeof(m->base_path));
}

int lttng_session_decode(struct wire_reader *r, uint32_t minor, struct lttng_session *ret)
{
	struct lttng_session m = {.has_chunk = false};
	uint32_t name, host, base;
	const uint8_t *uuid;

	if (minor >= 4 && minor <= 10) {
		get_field(r, OLD_SESSION_NAME, m.name, sizeof(m.name));
		get_field(r, OLD_HOST_NAME, m.host, sizeof(m.host));
		m.live_timer_us = wire_get_u32(r);
		m.snapshot = wire_get_u32(r);
	} else if (minor >= 11) {
		name = wire_get_u32(r);
		host = wire_get_u32(r);
		base = wire_get_u32(r);
		m.live_timer_us = wire_get_u32(r);
		m.snapshot = wire_get_u8(r);
		m.name_has_time = wire_get_u8(r);
		uuid = wire_take(r, sizeof(m.key.uuid));
		if (uuid)
			memcpy(m.key.uuid, uuid, sizeof(m.key.uuid));
		m.key.id = wire_get_u64(r);
		m.key.created = wire_get_u64(r);
		m.has_chunk = wire_get_u8(r);
		m.chunk_id = wire_get_u64(r);
		if (minor >= 15)
			wire_skip(r, 4); /* trace format */
		get_session_names(r, name, host, base, &m);
	}
	if (wire_end(r) < 0)
		return wire_end(r);
	*ret = m;
	return 0;
}

int lttng_stream_decode(struct wire_reader *r, uint32_t minor, struct lttng_stream *ret)
{
	struct lttng_stream m = {.tracefile_size = 0};
	uint32_t name, path;

	if (minor >= 11) {
		name = wire_get_u32(r);
		path = wire_get_u32(r);
		m.tracefile_size = wire_get_u64(r);
		m.tracefile_count = wire_get_u64(r);
		wire_skip(r, 8); /* chunk: the session's present one */
		get_string(r, name, m.name, sizeof(m.name));
		get_string(r, path, m.path, sizeof(m.path));
	} else {
		get_field(r, OLD_STREAM_NAME, m.name, sizeof(m.name));
		get_field(r, OLD_STREAM_PATH, m.path, sizeof(m.path));
		if (minor >= 2) {
			m.tracefile_size = wire_get_u64(r);
			m.tracefile_count = wire_get_u64(r);
		}
	}
	if (wire_end(r) < 0)
		return wire_end(r);
	*ret = m;
	return 0;
}

int lttng_pair_decode(struct wire_reader *r, struct lttng_pair *ret)
{
	struct lttng_pair m;

	m.first = wire_get_u64(r);
	m.second = wire_get_u64(r);
	if (wire_end(r) < 0)
		return wire_end(r);
	*ret = m;
	return 0;
}

int lttng_index_decode(struct wire_reader *r, uint32_t minor, struct lttng_index *ret)
{
	struct lttng_index m;

	m.stream = wire_get_u64(r);
	m.seq = wire_get_u64(r);
	m.record_len = minor >= 8 ? 64 : 48;
	m.record = wire_take(r, m.record_len);
	if (wire_end(r) < 0)
		return wire_end(r);
	*ret = m;
	return 0;
}

int lttng_metadata_decode(struct wire_reader *head, struct lttng_metadata *ret)
{
	struct lttng_metadata m;

	m.stream = wire_get_u64(head);
	m.padding = wire_get_u32(head);
	if (wire_end(head) < 0)
		return wire_end(head);
	*ret = m;
	return 0;
}

int lttng_chunk_decode(struct wire_reader *r, struct lttng_chunk *ret)
{
	struct lttng_chunk m;
	uint32_t name;

	m.id = wire_get_u64(r);
	m.created = (int64_t)wire_get_u64(r);
	name = wire_get_u32(r);
	get_string(r, name, m.name, sizeof(m.name));
	if (wire_end(r) < 0)
		return wire_end(r);
	*ret = m;
	return 0;
}

int lttng_close_chunk_decode(struct wire_reader *r, struct lttng_close_chunk *ret)
{
	struct lttng_close_chunk m;
	uint32_t has, command;

	m.id = wire_get_u64(r);
	m.closed = (int64_t)wire_get_u64(r);
	has = wire_get_u8(r);
	command = wire_get_u32(r);
	if (wire_end(r) < 0)
		return wire_end(r);
	if (has && command > 2)
		return -EPROTO;
	m.command = has ? (enum ctf_close)(command + 1) : CTF_CLOSE_STAY;
	*ret = m;
	return 0;
}

size_t lttng_rotation_head(uint64_t size, uint32_t streams)
{
	uint64_t entries = (uint64_t)LTTNG_ROTATION_ENTRY * streams, head = size - entries;

	if (entries > size || (head != 13 && head != 16 && head != 20))
		return 0;
	return (size_t)head;
}

int lttng_rotation_decode(struct wire_reader *head, struct lttng_rotation *ret)
{
	struct lttng_rotation m;

	m.streams = wire_get_u32(head);
	m.has_chunk = wire_get_u8(head);
	if (wire_left(head) > 8)
		wire_skip(head, wire_left(head) - 8); /* the compiler's padding: garbage */
	m.chunk_id = wire_get_u64(head);
	if (wire_end(head) < 0)
		return wire_end(head);
	*ret = m;
	return 0;
}

/* ---- replies ---- */

void lttng_version_encode(struct wire_writer *w, uint32_t minor)
{
	wire_put_u32(w, LTTNG_MAJOR);
	wire_put_u32(w, minor);
}

void lttng_code_encode(struct wire_writer *w, uint32_t code)
{
	wire_put_u32(w, code);
}

void lttng_configuration_encode(struct wire_writer *w, uint32_t code, bool clear_allowed)
{
	wire_put_u32(w, code);
	wire_put_u64(w, clear_allowed);
}

static void put_path(struct wire_writer *w, const char *path)
{
	wire_put_u32(w, (uint32_t)strlen(path) + 1);
	wire_put_str(w, path);
}

void lttng_session_encode(struct wire_writer *w, uint32_t minor, uint64_t session, uint32_t code,
			  const char *path)
{
	wire_put_u64(w, session);
	wire_put_u32(w, code);
	if (minor >= 11)
		put_path(w, path);
}

void lttng_handle_encode(struct wire_writer *w, uint64_t handle, uint32_t code)
{
	wire_put_u64(w, handle);
	wire_put_u32(w, code);
}

void lttng_path_encode(struct wire_writer *w, uint32_t code, const char *path)
{
	wire_put_u32(w, code);
	put_path(w, path);
}

void lttng_exists_encode(struct wire_writer *w, uint32_t code, bool exists)
{
	wire_put_u32(w, code);
	wire_put_u8(w, exists);
}
