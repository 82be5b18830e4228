/* SPDX-License-Identifier: MIT */
/*
 * source_front.c - sources as the front loop sees them: their worker, leases and ends.
 *
 * What the front loop decides stands in source_slot.front (absolute values, so repeating a step is
 * harmless); the worker reads it. A TCP source whose control connection has ended asks
 * sessiond-lite to accept what still waits on its unconnected ports (DRAIN); behind the answer
 * nothing more can come.
 * Thread: the front loop's.
 */
#include <assert.h>

#include "common/log.h"
#include "relayd/live.h"
#include "relayd/relay.h"

struct source_slot *source_front_of(struct relay *r, const struct conversation_slot *c)
{
	uint32_t n = atomic_load(&c->source);
	struct source_slot *s;

	if (!n || n > r->st.header->capacity.sources)
		return NULL;
	s = &r->st.source[n - 1];
	/* Of a session that is destroyed a source may end, and its slot be another's, before this.
	 */
	return atomic_load(&s->id) && s->conversation.id == atomic_load(&c->id) ? s : NULL;
}

void source_front_look(struct relay *r, struct source_slot *s)
{
	uint32_t w = atomic_load(&s->worker);

	if (w)
		worker_look(r->workers[w - 1], state_ref_of_source(&r->st, s));
}

/* One that hangs in the disk is the last choice. */
static unsigned least_assigned(const struct relay *r)
{
	unsigned best = 0;
	bool best_hangs = worker_hangs(r->workers[0]);

	for (unsigned i = 1; i < r->worker_count; i++) {
		bool h = worker_hangs(r->workers[i]);

		if (h < best_hangs || (h == best_hangs && r->assigned[i] < r->assigned[best])) {
			best = i;
			best_hangs = h;
		}
	}
	return best;
}

/* How much work it is likely to be: its streams; of LTTng they are not known at the beginning. */
static uint32_t weight(const struct source_slot *s)
{
	return s->protocol == PROTOCOL_LTTNG ? 2 : s->cpus;
}

static void count_protocol(struct relay *r, uint32_t protocol)
{
	static const enum counter of[PROTOCOL_COUNT] = {
		[PROTOCOL_TRACE_CMD_V1] = COUNTER_sources_v1,
		[PROTOCOL_TRACE_CMD_V2_2015] = COUNTER_sources_v2_2015,
		[PROTOCOL_TRACE_CMD_V2] = COUNTER_sources_v2_2018,
		[PROTOCOL_TRACE_CMD_V3] = COUNTER_sources_v3,
		[PROTOCOL_LTTNG] = COUNTER_sources_lttng,
	};

	if (protocol != PROTOCOL_UNKNOWN && protocol < PROTOCOL_COUNT)
		counters_add(r->counters, of[protocol], 1);
}

/* Its streams that are found by their port; LTTng's are found by the handles in their packets. */
static uint32_t leased_streams(const struct source_slot *s)
{
	return s->protocol == PROTOCOL_LTTNG ? 0 : s->first_stream;
}

/* A client session of which nothing is known yet: its connection was not told that it is there. */
static bool is_unknown(const struct relay *r, const struct source_slot *s)
{
	return s->protocol == PROTOCOL_LTTNG && !source_front_now(&s->front)->control_ended &&
	       !r->st.ctf_source[state_ref_of_source(&r->st, s).index].minor;
}

void source_front_adopt(struct relay *r, struct source_slot *s)
{
	struct state_ref ref = state_ref_of_source(&r->st, s);
	uint32_t w = atomic_load(&s->worker);

	if (atomic_load(&s->done) || r->adopted[ref.index] == ref.id || is_unknown(r, s))
		return;
	r->adopted[ref.index] = ref.id;
	if (!w) {
		w = least_assigned(r) + 1;
		count_protocol(r, s->protocol);
		shared_begin(r, s);
		atomic_store(&s->worker, w);
	}
	r->assigned[w - 1] += weight(s);
	for (uint32_t i = leased_streams(s); i; i = r->st.stream[i - 1].next) {
		const struct stream_slot *t = &r->st.stream[i - 1];
		struct stream_entry entry = {.stream = state_ref_of_stream(&r->st, t),
					     .source = ref,
					     .worker = w - 1,
					     .cpu = t->cpu};

		if (stream_table_add(r->streams, &s->peer, t->port, (enum transport)t->transport,
				     &entry) < 0)
			log_error("stream-table", "port %u is leased twice to one peer", t->port);
	}
	worker_look(r->workers[w - 1], ref);
}

static void ask_drain(struct relay *r, struct source_slot *s)
{
	struct state_ref ref = state_ref_of_source(&r->st, s);

	if (s->transport == TRANSPORT_UDP) /* when its linger is over, its worker asks */
		return;
	link_send(r, &(struct link_message){.type = LINK_DRAIN, .ref = ref}, -1);
}

void source_front_control_ended(struct relay *r, struct source_slot *s, bool orderly,
				enum close_reason reason)
{
	struct source_front_half *f;

	if (source_front_now(&s->front)->control_ended)
		return; /* repeated */
	f = source_front_begin(&s->front);
	f->control_ended = reason ? reason : CLOSE_eof;
	f->closed_in_order = orderly;
	f->metadata_complete = f->metadata_complete || s->protocol == PROTOCOL_TRACE_CMD_V1;
	source_front_commit(&s->front);
	source_front_adopt(r, s); /* nobody may have, if its connection ended that early */
	ask_drain(r, s);
	source_front_look(r, s);
}

void source_front_unclaimed(struct relay *r, struct state_ref conversation)
{
	uint32_t high = atomic_load(&r->st.header->high_source);

	for (uint32_t i = 0; i < high; i++) {
		struct source_slot *s = &r->st.source[i];

		if (!atomic_load(&s->id) || s->conversation.id != conversation.id)
			continue;
		source_front_adopt(r, s);
		source_front_control_ended(r, s, false, CLOSE_eof_in_handshake);
		return;
	}
}

void source_front_linger_over(struct relay *r, struct state_ref ref)
{
	struct source_slot *s = state_source(&r->st, ref);

	if (s && r->synced && shared_drain(r, s))
		source_front_drained(r, ref);
}

void source_front_drained(struct relay *r, struct state_ref ref)
{
	struct source_slot *s = state_source(&r->st, ref);
	struct source_front_half *f;

	if (!s || source_front_now(&s->front)->drained)
		return;
	f = source_front_begin(&s->front);
	f->drained = 1;
	source_front_commit(&s->front);
	source_front_look(r, s);
}

/* A control connection speaks for it, or may still come to. */
static bool spoken_for(struct relay *r, const struct source_slot *s)
{
	return s->protocol == PROTOCOL_LTTNG ? conn_lttng_speaks(r, state_ref_of_source(&r->st, s))
					     : conn_of_source(r, s) != NULL;
}

void source_front_released(struct relay *r, struct state_ref ref)
{
	struct source_slot *s = state_source(&r->st, ref);

	if (!s || !atomic_load(&s->done))
		return;
	atomic_store(&s->kept, 0);
	link_send(r,
		  &(struct link_message){.type = LINK_DONE, .kind = LINK_DONE_SOURCE, .ref = ref},
		  -1);
}

/* Viewers read it to its end, if they know of it: who they are is known once all are here. */
static void release(struct relay *r, struct source_slot *s, struct state_ref ref)
{
	if (atomic_load(&s->kept) && !r->synced)
		return;
	if (!atomic_load(&s->kept) || live_release(r->live, ref) < 0)
		source_front_released(r, ref);
}

void source_front_resume(struct relay *r)
{
	uint32_t high = atomic_load(&r->st.header->high_source);

	for (uint32_t i = 0; i < high; i++) {
		struct source_slot *s = &r->st.source[i];
		const struct source_front_half *f = source_front_now(&s->front);

		if (atomic_load(&s->id) && atomic_load(&s->done))
			release(r, s, state_ref_of_source(&r->st, s));
		if (!atomic_load(&s->id) || atomic_load(&s->done))
			continue;
		if (!f->control_ended && !spoken_for(r, s)) /* it ended before its lease came */
			source_front_control_ended(r, s, false, CLOSE_eof_in_handshake);
		else if (f->control_ended && !f->drained)
			ask_drain(r, s);
		else
			source_front_look(r, s);
	}
}

static bool is_live(const struct relay *r, const struct source_slot *s, struct state_ref ref)
{
	return s->protocol == PROTOCOL_LTTNG && r->live && !r->stopping &&
	       r->st.ctf_source[ref.index].live_timer_us;
}

void source_front_finished(struct relay *r, struct state_ref ref)
{
	struct source_slot *s = state_source(&r->st, ref);
	uint32_t w;

	if (!s || atomic_load(&s->done))
		return;
	w = atomic_load(&s->worker);
	if (w && r->assigned[w - 1] >= weight(s))
		r->assigned[w - 1] -= weight(s);
	for (uint32_t i = leased_streams(s); i; i = r->st.stream[i - 1].next) {
		const struct stream_slot *t = &r->st.stream[i - 1];

		stream_table_remove(r->streams, &s->peer, t->port, (enum transport)t->transport,
				    atomic_load(&t->id));
	}
	atomic_store(&s->kept, is_live(r, s, ref));
	atomic_store(&s->done, 1);
	release(r, s, ref);
	if (s->protocol == PROTOCOL_LTTNG)
		conn_lttng_look(r);
}
