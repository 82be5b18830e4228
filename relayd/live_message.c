/* SPDX-License-Identifier: MIT */
/* live_message.c - see live_message.h. */
#include "relayd/live_message.h"

#define HOST_FIELD 64u
#define NAME_FIELD 255u
#define PATH_FIELD 4096u

static const struct {
	bool known;
	uint32_t size; /* bytes of the body */
} commands[LIVE_COMMAND_END] = {
	[LIVE_CONNECT] = {true, 20},        [LIVE_LIST_SESSIONS] = {true, 0},
	[LIVE_ATTACH_SESSION] = {true, 20}, [LIVE_GET_NEXT_INDEX] = {true, 8},
	[LIVE_GET_PACKET] = {true, 20},     [LIVE_GET_METADATA] = {true, 8},
	[LIVE_GET_NEW_STREAMS] = {true, 8}, [LIVE_CREATE_SESSION] = {true, 0},
	[LIVE_DETACH_SESSION] = {true, 8},
};

int live_request_decode(struct wire_reader *r, struct live_request *ret)
{
	struct wire_reader at = *r;
	struct live_request m = {0};
	uint64_t size;

	if (wire_left(&at) < LIVE_HEADER)
		return -EAGAIN;
	size = wire_get_u64(&at);
	m.command = wire_get_u32(&at);
	(void)wire_get_u32(&at); /* the command's version: always 0 */
	if (m.command >= LIVE_COMMAND_END || !commands[m.command].known)
		return -EOPNOTSUPP;
	if (size != commands[m.command].size)
		return -EMSGSIZE;
	if (wire_left(&at) < size)
		return -EAGAIN;
	switch (m.command) {
	case LIVE_CONNECT:
		m.id = wire_get_u64(&at);
		m.major = wire_get_u32(&at);
		m.minor = wire_get_u32(&at);
		m.type = wire_get_u32(&at);
		break;
	case LIVE_ATTACH_SESSION:
		m.id = wire_get_u64(&at);
		m.offset = wire_get_u64(&at);
		m.seek = wire_get_u32(&at);
		break;
	case LIVE_GET_PACKET:
		m.id = wire_get_u64(&at);
		m.offset = wire_get_u64(&at);
		m.len = wire_get_u32(&at);
		break;
	case LIVE_LIST_SESSIONS:
	case LIVE_CREATE_SESSION:
		break;
	default:
		m.id = wire_get_u64(&at);
	}
	*r = at;
	*ret = m;
	return 0;
}

void live_request_encode(struct wire_writer *w, const struct live_request *m)
{
	wire_put_u64(w, commands[m->command].size);
	wire_put_u32(w, m->command);
	wire_put_u32(w, 0);
	if (commands[m->command].size)
		wire_put_u64(w, m->id);
	if (m->command == LIVE_CONNECT) {
		wire_put_u32(w, m->major);
		wire_put_u32(w, m->minor);
		wire_put_u32(w, m->type);
	} else if (m->command == LIVE_ATTACH_SESSION) {
		wire_put_u64(w, m->offset);
		wire_put_u32(w, m->seek);
	} else if (m->command == LIVE_GET_PACKET) {
		wire_put_u64(w, m->offset);
		wire_put_u32(w, m->len);
	}
}

/* A string in a field of fixed size, cut to leave room for its NUL, zeros behind it. */
static void put_field(struct wire_writer *w, const char *s, size_t s_size, size_t size)
{
	size_t len = strnlen(s, s_size < size ? s_size : size - 1);

	wire_put_bytes(w, s, len);
	wire_put_zeros(w, size - len);
}

void live_connect_encode(struct wire_writer *w, uint64_t viewer, uint32_t minor)
{
	wire_put_u64(w, viewer);
	wire_put_u32(w, LIVE_MAJOR);
	wire_put_u32(w, minor);
	wire_put_u32(w, 0);
}

void live_session_encode(struct wire_writer *w, const struct live_session_entry *m)
{
	wire_put_u64(w, m->id);
	wire_put_u32(w, m->live_timer_us);
	wire_put_u32(w, m->clients);
	wire_put_u32(w, m->streams);
	put_field(w, m->host, sizeof(m->host), HOST_FIELD);
	put_field(w, m->name, sizeof(m->name), NAME_FIELD);
}

void live_stream_encode(struct wire_writer *w, const struct live_stream_entry *m)
{
	wire_put_u64(w, m->id);
	wire_put_u64(w, m->trace);
	wire_put_u32(w, m->metadata);
	put_field(w, m->path, sizeof(m->path), PATH_FIELD);
	put_field(w, m->name, sizeof(m->name), NAME_FIELD);
}

void live_streams_encode(struct wire_writer *w, uint32_t status, uint32_t count)
{
	wire_put_u32(w, status);
	wire_put_u32(w, count);
}

void live_index_encode(struct wire_writer *w, uint32_t status, const struct live_record *m,
		       uint32_t flags)
{
	wire_put_u64(w, m->offset);
	wire_put_u64(w, m->packet_size);
	wire_put_u64(w, m->content_size);
	wire_put_u64(w, m->ts_begin);
	wire_put_u64(w, m->ts_end);
	wire_put_u64(w, m->events_discarded);
	wire_put_u64(w, m->class_id);
	wire_put_u32(w, status);
	wire_put_u32(w, flags);
}

void live_packet_encode(struct wire_writer *w, uint32_t status, uint32_t len, uint32_t flags)
{
	wire_put_u32(w, status);
	wire_put_u32(w, len);
	wire_put_u32(w, flags);
}

void live_metadata_encode(struct wire_writer *w, uint32_t status, uint64_t len)
{
	wire_put_u64(w, len);
	wire_put_u32(w, status);
}

int live_record_decode(const uint8_t *bytes, size_t len, struct live_record *ret)
{
	struct wire_reader r = wire_reader_init(bytes, len);
	struct live_record m;

	m.offset = wire_get_u64(&r);
	m.packet_size = wire_get_u64(&r);
	m.content_size = wire_get_u64(&r);
	m.ts_begin = wire_get_u64(&r);
	m.ts_end = wire_get_u64(&r);
	m.events_discarded = wire_get_u64(&r);
	m.class_id = wire_get_u64(&r);
	if (r.err)
		return r.err;
	*ret = m;
	return 0;
}
