/* SPDX-License-Identifier: MIT */
/*
 * trace_cmd_v2.c - bodies of V2's messages; the dialects of 2015 and of 2.7 differ in padding only.
 * Source: doc/protocol.md "V2".
 */
#include "relayd/trace_cmd_dialect.h"

#define V2_CLOSE        1u
#define V2_RINIT        5u
#define V2_OPTION_TCP   1u
#define OPTION_SIZE_MIN 8u
#define OPTION_SIZE_MAX 4096u /* bytes, as both servers */

static void put_header(struct wire_writer *w, uint32_t body, uint32_t command)
{
	wire_put_u32(w, 8 + body);
	wire_put_u32(w, command);
}

/* Options, each with its size; what follows the words we know is padding or a string of length 0.
 */
static enum close_reason read_options(struct wire_reader *body, uint32_t n,
				      enum transport *ret_transport)
{
	enum transport transport = TRANSPORT_UDP;
	struct wire_reader option;
	uint32_t size;

	while (n--) {
		size = wire_get_u32(body);
		if (body->err || size < OPTION_SIZE_MIN)
			return CLOSE_protocol;
		if (size > OPTION_SIZE_MAX)
			return CLOSE_oversize;
		option = wire_sub(body, size - 4);
		if (wire_get_u32(&option) != V2_OPTION_TCP) /* also if bytes were missing */
			return CLOSE_protocol;
		transport = TRANSPORT_TCP;
	}
	*ret_transport = transport;
	return CLOSE_none;
}

enum trace_cmd_action trace_cmd_v2_tinit(struct trace_cmd *s, const struct trace_cmd_input *in,
					 struct trace_cmd_output *out, size_t size,
					 struct wire_reader *fixed, struct wire_reader *buffer)
{
	uint32_t cpus = wire_get_u32(fixed);
	uint32_t page_size = wire_get_u32(fixed);
	uint32_t options = wire_get_u32(fixed);
	enum transport transport = TRANSPORT_UDP;
	enum close_reason reason;

	(void)buffer;
	reason = read_options(fixed, options, &transport);
	if (!reason)
		reason = trace_cmd_ask(s, in, cpus, page_size, transport);
	if (reason)
		return trace_cmd_refuse(s, out, size, reason);
	return trace_cmd_go(s, out, size, TRACE_CMD_LEASE);
}

void trace_cmd_v2_put_ports(struct wire_writer *w, const uint16_t *ports, uint32_t n)
{
	put_header(w, 4 + 4 * n, V2_RINIT);
	wire_put_u32(w, n);
	for (uint32_t i = 0; i < n; i++)
		wire_put_u32(w, ports[i]);
}

/* An inner length, so many bytes, and padding (8 bytes in a full message of 2015). */
enum trace_cmd_action trace_cmd_v2_metadata(struct trace_cmd *s, const struct trace_cmd_input *in,
					    struct trace_cmd_output *out, size_t size,
					    struct wire_reader *fixed, struct wire_reader *buffer)
{
	uint32_t n = wire_get_u32(fixed);
	const uint8_t *payload = wire_take(fixed, n);

	(void)s, (void)buffer;
	if (fixed->err)
		return trace_cmd_end(out, CLOSE_protocol);
	return trace_cmd_give(in, out, size, payload, n);
}

void trace_cmd_v2_put_close(struct wire_writer *w)
{
	put_header(w, 0, V2_CLOSE);
}
