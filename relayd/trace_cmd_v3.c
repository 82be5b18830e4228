/* SPDX-License-Identifier: MIT */
/*
 * trace_cmd_v3.c - bodies of V3's messages. A fixed part may be shorter than we know it (what is
 * missing is 0) or longer (what is more is passed over).
 * Source: doc/protocol.md "V3".
 */
#include <stdio.h>

#include "relayd/trace_cmd_dialect.h"

#define V3_CLOSE    0u
#define V3_RINIT    2u
#define V3_NOT_SUPP 5u

static void put_header(struct wire_writer *w, uint32_t command, uint32_t fixed)
{
	wire_put_u32(w, 12 + fixed); /* patched if a buffer follows */
	wire_put_u32(w, command);
	wire_put_u32(w, fixed);
}

/* Strings; those we don't know are passed over. vsock is known, and no way to reach us. */
static enum close_reason read_options(struct wire_reader *buffer, uint32_t n,
				      enum transport *ret_transport)
{
	enum transport transport = TRANSPORT_UDP;
	const char *string;

	while (n--) {
		string = wire_get_str(buffer, TRACE_CMD_MESSAGE_MAX, NULL);
		if (buffer->err || !strcmp(string, "vsock"))
			return CLOSE_protocol;
		if (!strcmp(string, "tcp"))
			transport = TRANSPORT_TCP;
	}
	*ret_transport = transport;
	return CLOSE_none;
}

enum trace_cmd_action trace_cmd_v3_tinit(struct trace_cmd *s, const struct trace_cmd_input *in,
					 struct trace_cmd_output *out, size_t size,
					 struct wire_reader *fixed, struct wire_reader *buffer)
{
	uint32_t cpus = wire_get_u32(fixed); /* what is missing reads as 0, and is meant to */
	uint32_t page_size = wire_get_u32(fixed);
	uint32_t options = wire_get_u32(fixed);
	enum transport transport = TRANSPORT_UDP;
	enum close_reason reason;

	reason = read_options(buffer, options, &transport);
	if (!reason)
		reason = trace_cmd_ask(s, in, cpus, page_size, transport);
	if (reason)
		return trace_cmd_refuse(s, out, size, reason);
	return trace_cmd_go(s, out, size, TRACE_CMD_LEASE);
}

void trace_cmd_v3_put_ports(struct wire_writer *w, const uint16_t *ports, uint32_t n)
{
	char text[8];

	put_header(w, V3_RINIT, 4);
	wire_put_u32(w, n);
	for (uint32_t i = 0; i < n; i++) {
		(void)snprintf(text, sizeof(text), "%u", ports[i]);
		wire_put_str(w, text);
	}
	if (!w->err)
		wire_patch_u32(w, 0, (uint32_t)w->len);
}

enum trace_cmd_action trace_cmd_v3_metadata(struct trace_cmd *s, const struct trace_cmd_input *in,
					    struct trace_cmd_output *out, size_t size,
					    struct wire_reader *fixed, struct wire_reader *buffer)
{
	size_t n = wire_left(buffer);

	(void)s, (void)fixed;
	return trace_cmd_give(in, out, size, wire_take(buffer, n), n);
}

void trace_cmd_v3_put_close(struct wire_writer *w)
{
	put_header(w, V3_CLOSE, 0);
}

void trace_cmd_v3_put_not_supp(struct wire_writer *w)
{
	put_header(w, V3_NOT_SUPP, 0);
}
