/* SPDX-License-Identifier: MIT */
/*
 * trace_cmd_feed.h - one step of the trace-cmd half with everything around it at hand.
 * Life: a value on the test's stack, from feed_in(). Defaults: plenty of room, nothing granted, the
 * socket found empty, all clocks at 1,000,000.
 */
#ifndef TRACERELAY_TESTS_UNIT_TRACE_CMD_FEED_H
#define TRACERELAY_TESTS_UNIT_TRACE_CMD_FEED_H

#include <string.h>

#include "relayd/trace_cmd_dialect.h"

struct feed {
	struct trace_cmd s;
	struct trace_cmd_limits limits;
	struct trace_cmd_input in;
	struct trace_cmd_output out;
	uint8_t reply[STATE_REPLY];
};

static inline void feed_in(struct feed *f, enum trace_cmd_state state, enum protocol protocol)
{
	memset(f, 0, sizeof(*f));
	f->s.state = state;
	f->s.protocol = protocol;
	f->s.cpus = 2;
	f->limits = (struct trace_cmd_limits){10000, 60000, 20000, 1000000, 4096};
	f->in.empty = true;
	f->in.now_ms = f->in.last_byte_ms = 1000000;
	f->in.room = 100000;
}

static inline enum trace_cmd_action feed(struct feed *f, const void *bytes, size_t len)
{
	f->in.bytes = bytes;
	f->in.len = len;
	f->in.limits = &f->limits;
	f->out.reply = f->reply;
	return trace_cmd_step(&f->s, &f->in, &f->out);
}

/* A message: header, then body. Returns its length. */
static inline size_t feed_message(uint8_t *buf, enum protocol protocol, uint32_t command,
				  uint32_t fixed, const void *body, size_t len)
{
	struct wire_writer w = wire_writer_init(buf, TRACE_CMD_MESSAGE_MAX);

	wire_put_u32(&w, (uint32_t)len + (protocol == PROTOCOL_TRACE_CMD_V3 ? 12 : 8));
	wire_put_u32(&w, command);
	if (protocol == PROTOCOL_TRACE_CMD_V3)
		wire_put_u32(&w, fixed);
	wire_put_bytes(&w, body, len);
	return w.len;
}

#endif
