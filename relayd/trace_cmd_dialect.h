/* SPDX-License-Identifier: MIT */
/*
 * trace_cmd_dialect.h - what the files of the trace-cmd half share; nobody else includes it.
 *
 * A state's function does one step (trace_cmd.h) and ends in one of the five ways below. It need
 * not look at silence or at the peer's end: trace_cmd_step() does, when the function waits.
 * Thread, life: as trace_cmd.h.
 */
#ifndef TRACERELAY_RELAYD_TRACE_CMD_DIALECT_H
#define TRACERELAY_RELAYD_TRACE_CMD_DIALECT_H

#include "common/wire.h"
#include "relayd/trace_cmd.h"

typedef enum trace_cmd_action trace_cmd_state_fn(struct trace_cmd *s,
						 const struct trace_cmd_input *in,
						 struct trace_cmd_output *out);

/* ---- the states, and the file that has them ---- */

trace_cmd_state_fn trace_cmd_hello_greet;    /* NEW */
trace_cmd_state_fn trace_cmd_hello_version;  /* VERSION */
trace_cmd_state_fn trace_cmd_hello_v2_magic; /* V2_MAGIC */
trace_cmd_state_fn trace_cmd_hello_v3_magic; /* V3_MAGIC */
trace_cmd_state_fn trace_cmd_v1_page;        /* V1_PAGE */
trace_cmd_state_fn trace_cmd_v1_options;     /* V1_OPTIONS */
trace_cmd_state_fn trace_cmd_v1_option;      /* V1_OPTION */
trace_cmd_state_fn trace_cmd_v1_metadata;    /* METADATA, RECORDING of V1 */
trace_cmd_state_fn trace_cmd_message;        /* TINIT, METADATA, RECORDING of V2 and V3 */

/* ---- how a step ends ---- */

static inline enum trace_cmd_action trace_cmd_wait(struct trace_cmd_output *out,
						   enum trace_cmd_wait wait)
{
	out->wait = wait;
	return TRACE_CMD_WAIT;
}

/* Took so many bytes and went on to a state. */
static inline enum trace_cmd_action trace_cmd_go(struct trace_cmd *s, struct trace_cmd_output *out,
						 size_t consumed, enum trace_cmd_state state)
{
	out->consumed = consumed;
	s->state = state;
	return TRACE_CMD_STEP;
}

/* The same, with a reply of n fixed bytes. */
enum trace_cmd_action trace_cmd_answer(struct trace_cmd *s, struct trace_cmd_output *out,
				       size_t consumed, enum trace_cmd_state state,
				       const void *reply, size_t n);

/* Over, at once. */
static inline enum trace_cmd_action trace_cmd_end(struct trace_cmd_output *out,
						  enum close_reason reason)
{
	out->reason = reason;
	return TRACE_CMD_END;
}

/* Over before the ports were sent; V2 and V3 get a CLOSE message first. */
enum trace_cmd_action trace_cmd_refuse(struct trace_cmd *s, struct trace_cmd_output *out,
				       size_t consumed, enum close_reason reason);

/* ---- what more than one dialect needs ---- */

/* When the peer fell silent: its last byte, or our last reply. */
static inline int64_t trace_cmd_silent_since(const struct trace_cmd *s,
					     const struct trace_cmd_input *in)
{
	return s->since_ms > in->last_byte_ms ? s->since_ms : in->last_byte_ms;
}

/*
 * A NUL-terminated string at the beginning of the input.
 * Return 1 and the string (inside in->bytes) with its length, NUL not counted; 0 if its end has
 * not come; -EMSGSIZE if it is longer than TRACE_CMD_STRING_MAX.
 */
int trace_cmd_string(const struct trace_cmd_input *in, const char **ret, size_t *ret_len);

/* Decimal digits only, at least one; what does not fit is UINT32_MAX. 0 or -EPROTO. */
int trace_cmd_number(const char *digits, size_t len, uint32_t *ret);

/* May a client of s->protocol have so many CPUs, by the limits and by the room of its port list?
 * CLOSE_none, else why not. */
enum close_reason trace_cmd_check_cpus(const struct trace_cmd *s, const struct trace_cmd_input *in,
				       uint32_t cpus);

/* What the client wants to lease, checked and remembered. CLOSE_none, else why not. */
enum close_reason trace_cmd_ask(struct trace_cmd *s, const struct trace_cmd_input *in,
				uint32_t cpus, uint32_t page_size, enum transport transport);

/* ---- port lists, by protocol ---- */

void trace_cmd_v1_put_ports(struct wire_writer *w, const uint16_t *ports, uint32_t n);
void trace_cmd_v2_put_ports(struct wire_writer *w, const uint16_t *ports, uint32_t n);
void trace_cmd_v3_put_ports(struct wire_writer *w, const uint16_t *ports, uint32_t n);

/* ---- messages of V2 and V3 ---- */

/*
 * Bodies, called by trace_cmd_message() in a legal state and with a legal length.
 * @size    of the whole message: what to take
 * @fixed   V3: the fixed part; V2: the whole body
 * @buffer  V3: what follows the fixed part; V2: empty
 */
typedef enum trace_cmd_action trace_cmd_message_fn(struct trace_cmd *s,
						   const struct trace_cmd_input *in,
						   struct trace_cmd_output *out, size_t size,
						   struct wire_reader *fixed,
						   struct wire_reader *buffer);

trace_cmd_message_fn trace_cmd_v2_tinit, trace_cmd_v2_metadata;
trace_cmd_message_fn trace_cmd_v3_tinit, trace_cmd_v3_metadata;

/* Hand out n bytes of metadata and take `size` bytes, if there is room and the limit allows. */
enum trace_cmd_action trace_cmd_give(const struct trace_cmd_input *in, struct trace_cmd_output *out,
				     size_t size, const uint8_t *payload, size_t n);

/* V2 and V3: the message that ends a conversation before it began. */
void trace_cmd_v2_put_close(struct wire_writer *w);
void trace_cmd_v3_put_close(struct wire_writer *w);
void trace_cmd_v3_put_not_supp(struct wire_writer *w);

#endif
