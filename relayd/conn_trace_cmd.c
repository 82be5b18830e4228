/* SPDX-License-Identifier: MIT */
/*
 * conn_trace_cmd.c - what a trace-cmd conversation sets off: leases, metadata, ends.
 *
 * Each effect may come again with the same arguments, from this process or the next.
 * Thread: the front loop's.
 */
#include "relayd/conn.h"
#include "relayd/conversation.h"

static void effect_lease(void *ctx, struct conversation_slot *slot,
			 const struct conversation_lease *want)
{
	struct conn *c = conn_of_slot(ctx, slot);

	if (c->asked)
		return;
	c->asked = true;
	link_send(c->relay,
		  &(struct link_message){.type = LINK_LEASE,
					 .ref = c->ref,
					 .lease = {.cpus = want->cpus,
						   .page_size = want->page_size,
						   .protocol = want->protocol,
						   .transport = want->transport}},
		  -1);
}

static int effect_lease_answer(void *ctx, struct conversation_slot *slot, uint16_t *ports,
			       uint32_t max)
{
	struct conn *c = conn_of_slot(ctx, slot);
	struct source_slot *s = source_front_of(c->relay, slot);
	uint32_t n = 0;

	if (c->refused)
		return c->refused;
	if (!s)
		return 0;
	/* The slot may say so before LEASED has come; what follows needs its worker. */
	source_front_adopt(c->relay, s);
	for (uint32_t i = s->first_stream; i && n < max; i = c->relay->st.stream[i - 1].next)
		ports[n++] = c->relay->st.stream[i - 1].port;
	return (int)n;
}

static size_t effect_metadata_room(void *ctx, struct conversation_slot *slot, uint64_t position)
{
	struct source_slot *s = source_front_of(ctx, slot);
	struct source_half h;
	uint64_t waiting;

	if (!s)
		return 0;
	source_read(s, &h);
	waiting = position > h.metadata_written ? position - h.metadata_written : 0;
	return waiting < STATE_METADATA_RING ? (size_t)(STATE_METADATA_RING - waiting) : 0;
}

static void effect_metadata_append(void *ctx, struct conversation_slot *slot, uint64_t position,
				   const uint8_t *bytes, size_t len)
{
	struct source_slot *s = source_front_of(ctx, slot);
	size_t at = position % STATE_METADATA_RING;
	size_t first = len < STATE_METADATA_RING - at ? len : STATE_METADATA_RING - at;
	struct source_front_half *f;
	struct source_half h;

	source_read(s, &h);
	if (position + len <= h.metadata_written)
		return; /* a repetition of what is in the file already; the ring may be in use */
	memcpy(s->metadata + at, bytes, first);
	memcpy(s->metadata, bytes + first, len - first);
	f = source_front_begin(&s->front);
	if (f->metadata < position + len)
		f->metadata = position + len;
	source_front_commit(&s->front);
	conn_of_slot(ctx, slot)->source_moved = true;
}

static void effect_metadata_end(void *ctx, struct conversation_slot *slot)
{
	struct source_slot *s = source_front_of(ctx, slot);
	struct source_front_half *f;

	if (!s)
		return;
	f = source_front_begin(&s->front);
	f->metadata_complete = 1;
	source_front_commit(&s->front);
	conn_of_slot(ctx, slot)->source_moved = true;
}

static void effect_control_ended(void *ctx, struct conversation_slot *slot, bool orderly,
				 enum close_reason reason)
{
	struct source_slot *s = source_front_of(ctx, slot);

	if (s)
		source_front_control_ended(ctx, s, orderly, reason);
}

static void effect_count(void *ctx, enum counter id, uint64_t n)
{
	counters_add(((struct relay *)ctx)->counters, id, n);
}

static const struct conversation_ops effects = {
	.lease = effect_lease,
	.lease_answer = effect_lease_answer,
	.metadata_room = effect_metadata_room,
	.metadata_append = effect_metadata_append,
	.metadata_end = effect_metadata_end,
	.control_ended = effect_control_ended,
	.count = effect_count,
};

static struct conversation_env env_of(struct conn *c)
{
	return (struct conversation_env){
		.ops = &effects, .ctx = c->relay, .limits = &c->relay->limits};
}

static unsigned run(struct conn *c, int64_t now_ms, bool empty, int64_t *ret_deadline_ms)
{
	struct conversation_env env = env_of(c);

	return conversation_run(c->slot, now_ms, empty, &env, ret_deadline_ms);
}

static void close_for(struct conn *c, enum close_reason reason)
{
	struct conversation_env env = env_of(c);

	conversation_close(c->slot, reason, false, &env);
}

/* Behind the metadata a recording is silent for hours. */
static bool idle(struct conn *c)
{
	const struct source_slot *s = source_front_of(c->relay, c->slot);

	return s && source_front_now(&s->front)->metadata_complete;
}

const struct conn_dialect conn_trace_cmd = {.run = run, .close = close_for, .idle = idle};
