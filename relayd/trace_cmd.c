/* SPDX-License-Identifier: MIT */
/*
 * trace_cmd.c - one step of a conversation: the state's function, then silence and the peer's end.
 *
 * What a state does with bytes is in trace_cmd_hello.c, _v1.c and _message.c (with _v2.c, _v3.c);
 * here is what holds in all of them: who may be silent for how long, what an end of file means,
 * leases and refusals.
 */
#include "relayd/trace_cmd.h"

#include <assert.h>

#include "relayd/trace_cmd_dialect.h"

static trace_cmd_state_fn on_lease, on_metadata, on_leaving;

/* How long the peer may be silent, and what its end of file is called. */
enum phase { PHASE_HANDSHAKE, PHASE_OURS, PHASE_METADATA, PHASE_RECORDING };

static const struct {
	const char *name;
	enum phase phase;
	trace_cmd_state_fn *step;
} states[TRACE_CMD_STATE_COUNT] = {
	[TRACE_CMD_NEW] = {"new", PHASE_HANDSHAKE, trace_cmd_hello_greet},
	[TRACE_CMD_VERSION] = {"version", PHASE_HANDSHAKE, trace_cmd_hello_version},
	[TRACE_CMD_V1_PAGE] = {"v1-page", PHASE_HANDSHAKE, trace_cmd_v1_page},
	[TRACE_CMD_V1_OPTIONS] = {"v1-options", PHASE_HANDSHAKE, trace_cmd_v1_options},
	[TRACE_CMD_V1_OPTION] = {"v1-option", PHASE_HANDSHAKE, trace_cmd_v1_option},
	[TRACE_CMD_V2_MAGIC] = {"v2-magic", PHASE_HANDSHAKE, trace_cmd_hello_v2_magic},
	[TRACE_CMD_V3_MAGIC] = {"v3-magic", PHASE_HANDSHAKE, trace_cmd_hello_v3_magic},
	[TRACE_CMD_TINIT] = {"tinit", PHASE_HANDSHAKE, trace_cmd_message},
	[TRACE_CMD_LEASE] = {"lease", PHASE_OURS, on_lease},
	[TRACE_CMD_METADATA] = {"metadata", PHASE_METADATA, on_metadata},
	[TRACE_CMD_RECORDING] = {"recording", PHASE_RECORDING, on_metadata},
	[TRACE_CMD_LEAVING] = {"leaving", PHASE_HANDSHAKE, on_leaving},
	[TRACE_CMD_ENDED] = {"ended", PHASE_OURS, NULL},
};

const char *trace_cmd_state_name(enum trace_cmd_state state)
{
	return (unsigned)state < TRACE_CMD_STATE_COUNT ? states[state].name : "?";
}

enum trace_cmd_action trace_cmd_answer(struct trace_cmd *s, struct trace_cmd_output *out,
				       size_t consumed, enum trace_cmd_state state,
				       const void *reply, size_t n)
{
	assert(n <= STATE_REPLY);
	memcpy(out->reply, reply, n);
	out->reply_len = n;
	return trace_cmd_go(s, out, consumed, state);
}

enum trace_cmd_action trace_cmd_refuse(struct trace_cmd *s, struct trace_cmd_output *out,
				       size_t consumed, enum close_reason reason)
{
	struct wire_writer w = wire_writer_init(out->reply, STATE_REPLY);

	if (s->protocol == PROTOCOL_TRACE_CMD_V3)
		trace_cmd_v3_put_close(&w);
	else if (s->protocol != PROTOCOL_TRACE_CMD_V1)
		trace_cmd_v2_put_close(&w);
	out->consumed = consumed;
	out->reply_len = w.len;
	if (!w.len) /* V1 has no word for it */
		return trace_cmd_end(out, reason);
	s->leaving = 1 + reason;
	return trace_cmd_go(s, out, consumed, TRACE_CMD_LEAVING);
}

/* CPUs whose ports fit into the port list of a protocol, five digits each. */
static uint32_t list_room(enum protocol protocol)
{
	switch (protocol) {
	case PROTOCOL_TRACE_CMD_V1:
		return STATE_REPLY / 6; /* "30000," */
	case PROTOCOL_TRACE_CMD_V3:
		return (TRACE_CMD_MESSAGE_MAX - 16) / 6; /* "30000\0" */
	default:
		return TRACE_CMD_CPUS_MAX;
	}
}

enum close_reason trace_cmd_check_cpus(const struct trace_cmd *s, const struct trace_cmd_input *in,
				       uint32_t cpus)
{
	if (!cpus || cpus > list_room(s->protocol))
		return CLOSE_protocol;
	return cpus > in->limits->cpus_max ? CLOSE_streams_limit : CLOSE_none;
}

enum close_reason trace_cmd_ask(struct trace_cmd *s, const struct trace_cmd_input *in,
				uint32_t cpus, uint32_t page_size, enum transport transport)
{
	enum close_reason reason = trace_cmd_check_cpus(s, in, cpus);

	if (reason)
		return reason;
	/* The smallest and the largest sub-buffer that any kernel has. */
	if (page_size < 1024 || page_size > 1024 * 1024 || (page_size & (page_size - 1)))
		return CLOSE_protocol;
	s->cpus = cpus;
	s->page_size = page_size;
	s->transport = transport;
	return CLOSE_none;
}

static enum trace_cmd_action on_lease(struct trace_cmd *s, const struct trace_cmd_input *in,
				      struct trace_cmd_output *out)
{
	struct wire_writer w = wire_writer_init(out->reply, STATE_REPLY);

	if (in->grant == TRACE_CMD_GRANT_NONE)
		return trace_cmd_wait(out, TRACE_CMD_WAIT_LEASE);
	if (in->grant == TRACE_CMD_GRANT_REFUSED)
		return trace_cmd_refuse(s, out, 0, in->refusal);
	assert(in->port_count == s->cpus);
	if (s->protocol == PROTOCOL_TRACE_CMD_V1)
		trace_cmd_v1_put_ports(&w, in->ports, in->port_count);
	else if (s->protocol == PROTOCOL_TRACE_CMD_V3)
		trace_cmd_v3_put_ports(&w, in->ports, in->port_count);
	else
		trace_cmd_v2_put_ports(&w, in->ports, in->port_count);
	assert(!w.err); /* trace_cmd_check_cpus() saw to it */
	out->reply_len = w.len;
	return trace_cmd_go(s, out, 0, TRACE_CMD_METADATA);
}

static enum trace_cmd_action on_metadata(struct trace_cmd *s, const struct trace_cmd_input *in,
					 struct trace_cmd_output *out)
{
	return s->protocol == PROTOCOL_TRACE_CMD_V1 ? trace_cmd_v1_metadata(s, in, out)
						    : trace_cmd_message(s, in, out);
}

/* The last reply is sent: trace_cmd_step() lets nobody in here before. */
static enum trace_cmd_action on_leaving(struct trace_cmd *s, const struct trace_cmd_input *in,
					struct trace_cmd_output *out)
{
	(void)in;
	return trace_cmd_end(out, (enum close_reason)(s->leaving - 1));
}

enum trace_cmd_action trace_cmd_give(const struct trace_cmd_input *in, struct trace_cmd_output *out,
				     size_t size, const uint8_t *payload, size_t n)
{
	if (in->metadata > in->limits->metadata_max || n > in->limits->metadata_max - in->metadata)
		return trace_cmd_end(out, CLOSE_metadata_limit);
	if (n > in->room)
		return trace_cmd_wait(out, TRACE_CMD_WAIT_ROOM);
	out->consumed = size;
	out->payload = payload;
	out->payload_len = n;
	return n ? TRACE_CMD_GIVE_METADATA : TRACE_CMD_STEP;
}

static void sooner(int64_t *deadline_ms, enum close_reason *reason, int64_t at_ms,
		   enum close_reason why)
{
	if (*deadline_ms && *deadline_ms <= at_ms)
		return;
	*deadline_ms = at_ms;
	*reason = why;
}

/* When silence will end a waiting conversation, and how that is called. 0: never. */
static int64_t patience(const struct trace_cmd *s, const struct trace_cmd_input *in,
			enum trace_cmd_wait wait, enum close_reason *ret_reason)
{
	const struct trace_cmd_limits *l = in->limits;
	int64_t since = trace_cmd_silent_since(s, in), deadline = 0;
	enum phase phase = states[s->state].phase;
	bool message = s->protocol != PROTOCOL_TRACE_CMD_V1 && in->len > 0;

	if (wait == TRACE_CMD_WAIT_LEASE || wait == TRACE_CMD_WAIT_ROOM)
		return 0; /* the silence is ours */
	if (wait == TRACE_CMD_WAIT_SENT)
		phase = PHASE_HANDSHAKE; /* until the port list is sent */

	if (phase == PHASE_HANDSHAKE && l->handshake_timeout_ms)
		sooner(&deadline, ret_reason, since + l->handshake_timeout_ms,
		       s->leaving ? (enum close_reason)(s->leaving - 1) : CLOSE_handshake_timeout);
	/* V1's metadata has no end mark: once it has begun, silence may mean that it is complete.
	 */
	if (phase == PHASE_METADATA && l->metadata_timeout_ms &&
	    (s->protocol != PROTOCOL_TRACE_CMD_V1 || !in->metadata))
		sooner(&deadline, ret_reason, since + l->metadata_timeout_ms,
		       CLOSE_metadata_timeout);
	if (phase != PHASE_HANDSHAKE && message && l->stall_timeout_ms)
		sooner(&deadline, ret_reason, since + l->stall_timeout_ms, CLOSE_stall_timeout);
	return deadline;
}

/* What the peer's end is called where it was not expected. */
static enum close_reason end_of_file(const struct trace_cmd *s, const struct trace_cmd_input *in)
{
	if (in->eof > 1)
		return (enum close_reason)(in->eof - 1);
	switch (states[s->state].phase) {
	case PHASE_METADATA:
		return CLOSE_eof_in_metadata;
	case PHASE_RECORDING:
		return CLOSE_eof_without_close;
	default:
		return CLOSE_eof_in_handshake;
	}
}

/* The state's function has nothing to do: is that for ever? */
static enum trace_cmd_action waiting(const struct trace_cmd *s, const struct trace_cmd_input *in,
				     struct trace_cmd_output *out)
{
	enum close_reason reason = CLOSE_none;
	int64_t deadline;

	/* Bytes behind a request whose lease is awaited are worth the wait: half a connection may
	 * be closed already. */
	if (in->eof &&
	    (out->wait == TRACE_CMD_WAIT_BYTES || (out->wait == TRACE_CMD_WAIT_LEASE && !in->len)))
		return trace_cmd_end(out, end_of_file(s, in));

	deadline = patience(s, in, out->wait, &reason);
	if (deadline && in->now_ms >= deadline && (in->empty || out->wait == TRACE_CMD_WAIT_SENT))
		return trace_cmd_end(out, reason);
	/* A state may have a reason of its own to be woken earlier. */
	if (deadline && (!out->deadline_ms || deadline < out->deadline_ms))
		out->deadline_ms = deadline;
	return TRACE_CMD_WAIT;
}

enum trace_cmd_action trace_cmd_step(struct trace_cmd *s, const struct trace_cmd_input *in,
				     struct trace_cmd_output *out)
{
	*out = (struct trace_cmd_output){.reply = out->reply};
	assert(s->state < TRACE_CMD_ENDED);

	out->action = in->sending ? trace_cmd_wait(out, TRACE_CMD_WAIT_SENT)
				  : states[s->state].step(s, in, out);
	if (out->action == TRACE_CMD_WAIT)
		out->action = waiting(s, in, out);
	if (out->action == TRACE_CMD_END)
		s->state = TRACE_CMD_ENDED;
	if (out->reply_len)
		s->since_ms = in->now_ms;
	assert(out->consumed <= in->len && out->reply_len <= STATE_REPLY);
	return out->action;
}
