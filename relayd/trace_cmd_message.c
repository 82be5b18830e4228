/* SPDX-License-Identifier: MIT */
/*
 * trace_cmd_message.c - messages of V2 and V3: framing, and the one table that says which message
 * is legal where.
 *
 * Behind the port list nothing may be sent any more (unread bytes would turn the client's close
 * into a reset, which may cost its CLOSE), and data streams may be running. So there a message that
 * has no place is passed over and counted; only broken framing ends the conversation.
 * Source: doc/protocol.md "Messages".
 */
#include "relayd/trace_cmd_dialect.h"

#define IN(state) (1u << TRACE_CMD_##state)
#define ANY       UINT32_MAX

static trace_cmd_message_fn on_fin, on_close, on_not_supp;

struct command {
	const char *name;
	unsigned allowed_in;         /* states in which a client may send it; 0: only servers do */
	uint32_t body_min, body_max; /* bytes behind the header */
	trace_cmd_message_fn *handle;
};

#define V2_COMMANDS 8u
#define V3_COMMANDS 12u

static const struct command commands[2][V3_COMMANDS] = {
	/* V2, both dialects */
	{
		[1] = {"CLOSE", IN(TINIT) | IN(METADATA) | IN(RECORDING), 0, 0, on_close},
		[4] = {"TINIT", IN(TINIT), 12, ANY, trace_cmd_v2_tinit},
		[5] = {"RINIT", 0, 0, ANY, NULL},
		[6] = {"SENDMETA", IN(METADATA), 4, ANY, trace_cmd_v2_metadata},
		[7] = {"FINMETA", IN(METADATA), 0, 0, on_fin},
	},
	/* V3; fixed parts may be shorter or longer than we know them */
	{
		[0] = {"CLOSE", IN(TINIT) | IN(METADATA) | IN(RECORDING), 0, ANY, on_close},
		[1] = {"TINIT", IN(TINIT), 0, ANY, trace_cmd_v3_tinit},
		[2] = {"RINIT", 0, 0, ANY, NULL},
		[3] = {"SEND_DATA", IN(METADATA), 0, ANY, trace_cmd_v3_metadata},
		[4] = {"FIN_DATA", IN(METADATA), 0, ANY, on_fin},
		[5] = {"NOT_SUPP", IN(TINIT) | IN(METADATA) | IN(RECORDING), 0, ANY, on_not_supp},
		[6] = {"TRACE_REQ", 0, 0, ANY, NULL},
		[7] = {"TRACE_RESP", 0, 0, ANY, NULL},
		[8] = {"CLOSE_RESP", 0, 0, ANY, NULL},
		[9] = {"TIME_SYNC", 0, 0, ANY, NULL},
		[10] = {"TRACE_PROXY", 0, 0, ANY, NULL},
		[11] = {"CONT", 0, 0, ANY, NULL},
	},
};

static enum trace_cmd_action on_fin(struct trace_cmd *s, const struct trace_cmd_input *in,
				    struct trace_cmd_output *out, size_t size,
				    struct wire_reader *fixed, struct wire_reader *buffer)
{
	(void)in, (void)fixed, (void)buffer;
	(void)trace_cmd_go(s, out, size, TRACE_CMD_RECORDING);
	return TRACE_CMD_METADATA_END;
}

static enum trace_cmd_action on_close(struct trace_cmd *s, const struct trace_cmd_input *in,
				      struct trace_cmd_output *out, size_t size,
				      struct wire_reader *fixed, struct wire_reader *buffer)
{
	(void)in, (void)fixed, (void)buffer;
	out->consumed = size;
	if (s->state == TRACE_CMD_TINIT)
		return trace_cmd_end(out, CLOSE_eof_in_handshake);
	if (s->state == TRACE_CMD_METADATA)
		return trace_cmd_end(out, CLOSE_eof_in_metadata);
	out->orderly = true;
	return trace_cmd_end(out, CLOSE_finished);
}

/* A message that has no place here. Counted; a handshake has patience for a few. */
static enum trace_cmd_action unexpected(struct trace_cmd *s, struct trace_cmd_output *out,
					size_t size, bool answer)
{
	struct wire_writer w = wire_writer_init(out->reply, STATE_REPLY);

	out->unexpected = true;
	out->consumed = size;
	if (s->unexpected < UINT32_MAX)
		s->unexpected++;
	if (s->state != TRACE_CMD_TINIT)
		return TRACE_CMD_STEP;
	if (s->protocol != PROTOCOL_TRACE_CMD_V3 || s->unexpected >= TRACE_CMD_PATIENCE)
		return trace_cmd_end(out, CLOSE_protocol);
	if (answer) {
		trace_cmd_v3_put_not_supp(&w);
		out->reply_len = w.len;
	}
	return TRACE_CMD_STEP;
}

/* Never answered: two that do not understand each other would go on for ever. */
static enum trace_cmd_action on_not_supp(struct trace_cmd *s, const struct trace_cmd_input *in,
					 struct trace_cmd_output *out, size_t size,
					 struct wire_reader *fixed, struct wire_reader *buffer)
{
	(void)in, (void)fixed, (void)buffer;
	return unexpected(s, out, size, false);
}

/* The only door from a client's message to a handler. */
enum trace_cmd_action trace_cmd_message(struct trace_cmd *s, const struct trace_cmd_input *in,
					struct trace_cmd_output *out)
{
	bool v3 = s->protocol == PROTOCOL_TRACE_CMD_V3;
	uint32_t header = v3 ? 12 : 8, size, number, fixed_len;
	struct wire_reader r = wire_reader_init(in->bytes, in->len), fixed;
	const struct command *cmd = NULL;

	if (in->len < 4)
		return trace_cmd_wait(out, TRACE_CMD_WAIT_BYTES);
	size = wire_get_u32(&r);
	if (size > TRACE_CMD_MESSAGE_MAX)
		return trace_cmd_end(out, CLOSE_oversize);
	if (size < header)
		return trace_cmd_end(out, CLOSE_protocol);
	if (in->len < size)
		return trace_cmd_wait(out, TRACE_CMD_WAIT_BYTES);

	r = wire_reader_init(in->bytes + 4, size - 4);
	number = wire_get_u32(&r);
	fixed_len = v3 ? wire_get_u32(&r) : size - header;
	if (fixed_len > size - header)
		return trace_cmd_end(out, CLOSE_protocol);
	fixed = wire_sub(&r, fixed_len);

	if (number < (v3 ? V3_COMMANDS : V2_COMMANDS))
		cmd = &commands[v3][number];
	if (!cmd || !(cmd->allowed_in & 1u << s->state))
		return unexpected(s, out, size, true);
	if (size - header < cmd->body_min || size - header > cmd->body_max)
		return trace_cmd_end(out, CLOSE_protocol);
	return cmd->handle(s, in, out, size, &fixed, &r);
}
