/* SPDX-License-Identifier: MIT */
/*
 * trace_cmd_v1.c - V1: lines of text, then raw metadata until the end of file.
 *
 * V1 has no word for "no": a refused client meets a closed connection. Nothing marks the end of its
 * metadata either, so the end of file ends both the metadata and the recording.
 * Source: doc/protocol.md "V1".
 */
#include <stdio.h>

#include "relayd/trace_cmd_dialect.h"

#define OPTIONS_MAX     16u   /* one exists */
#define OPTION_SIZE_MAX 4096u /* bytes, as the reference server */

/* A line that is a number. CLOSE_none and its length, NUL included (0: it is not there yet). */
static enum close_reason number_line(const struct trace_cmd_input *in, uint32_t *ret_value,
				     size_t *ret_len)
{
	const char *string;
	size_t len;
	int r;

	r = trace_cmd_string(in, &string, &len);
	if (r < 0)
		return CLOSE_oversize;
	*ret_len = 0;
	if (!r)
		return CLOSE_none;
	if (trace_cmd_number(string, len, ret_value) < 0)
		return CLOSE_protocol;
	*ret_len = len + 1;
	return CLOSE_none;
}

enum trace_cmd_action trace_cmd_v1_page(struct trace_cmd *s, const struct trace_cmd_input *in,
					struct trace_cmd_output *out)
{
	enum close_reason reason;
	uint32_t page_size;
	size_t len;

	reason = number_line(in, &page_size, &len);
	if (reason)
		return trace_cmd_end(out, reason);
	if (!len)
		return trace_cmd_wait(out, TRACE_CMD_WAIT_BYTES);
	reason = trace_cmd_ask(s, in, s->cpus, page_size, TRANSPORT_UDP);
	if (reason)
		return trace_cmd_refuse(s, out, len, reason);
	return trace_cmd_go(s, out, len, TRACE_CMD_V1_OPTIONS);
}

enum trace_cmd_action trace_cmd_v1_options(struct trace_cmd *s, const struct trace_cmd_input *in,
					   struct trace_cmd_output *out)
{
	enum close_reason reason;
	uint32_t options;
	size_t len;

	reason = number_line(in, &options, &len);
	if (reason)
		return trace_cmd_end(out, reason);
	if (!len)
		return trace_cmd_wait(out, TRACE_CMD_WAIT_BYTES);
	if (options > OPTIONS_MAX)
		return trace_cmd_end(out, CLOSE_protocol);
	s->options_left = options;
	return trace_cmd_go(s, out, len, options ? TRACE_CMD_V1_OPTION : TRACE_CMD_LEASE);
}

/* Its size, a line; then so many bytes. */
enum trace_cmd_action trace_cmd_v1_option(struct trace_cmd *s, const struct trace_cmd_input *in,
					  struct trace_cmd_output *out)
{
	enum close_reason reason;
	uint32_t size;
	size_t len;

	reason = number_line(in, &size, &len);
	if (reason)
		return trace_cmd_end(out, reason);
	if (!len)
		return trace_cmd_wait(out, TRACE_CMD_WAIT_BYTES);
	if (size > OPTION_SIZE_MAX)
		return trace_cmd_end(out, CLOSE_oversize);
	if (in->len - len < size)
		return trace_cmd_wait(out, TRACE_CMD_WAIT_BYTES);
	if (size != 4 || memcmp(in->bytes + len, "TCP", 4))
		return trace_cmd_end(out, CLOSE_protocol);
	s->transport = TRANSPORT_TCP;
	s->options_left--;
	return trace_cmd_go(s, out, len + size,
			    s->options_left ? TRACE_CMD_V1_OPTION : TRACE_CMD_LEASE);
}

void trace_cmd_v1_put_ports(struct wire_writer *w, const uint16_t *ports, uint32_t n)
{
	char text[8];

	for (uint32_t i = 0; i < n; i++) {
		int len = snprintf(text, sizeof(text), "%s%u", i ? "," : "", ports[i]);

		wire_put_bytes(w, text, (size_t)len);
	}
	wire_put_u8(w, 0);
}

enum trace_cmd_action trace_cmd_v1_metadata(struct trace_cmd *s, const struct trace_cmd_input *in,
					    struct trace_cmd_output *out)
{
	uint64_t allowed = in->limits->metadata_max - in->metadata;
	size_t n = in->len;

	if (s->state == TRACE_CMD_RECORDING) { /* the end of file was seen */
		out->orderly = true;
		return trace_cmd_end(out, CLOSE_finished);
	}
	if (n) {
		/* Raw bytes: as many as fit now, and up to the limit before it is an error. */
		if (in->metadata < in->limits->metadata_max && n > allowed)
			n = (size_t)allowed;
		if (in->room && n > in->room)
			n = in->room;
		return trace_cmd_give(in, out, n, in->bytes, n);
	}
	if (in->eof == 1 && in->metadata) { /* a reset is no end, nor is one before it began */
		s->state = TRACE_CMD_RECORDING;
		return TRACE_CMD_METADATA_END;
	}
	return trace_cmd_wait(out, TRACE_CMD_WAIT_BYTES);
}
