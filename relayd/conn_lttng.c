/* SPDX-License-Identifier: MIT */
/*
 * conn_lttng.c - the engine and the effects of an LTTng control conversation.
 *
 * As conversation_trace_cmd.c: a step's effects come before its commit and are harmless to repeat.
 * What a step orders carries (conversation, ring position behind it), so that it is ordered once;
 * the same pair names the stream that a message asks sessiond-lite for.
 * Thread: the front loop's.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "common/log.h"
#include "relayd/conn_speakers.h"
#include "relayd/conversation_step.h"
#include "relayd/lttng_orders.h"
#include "relayd/lttng_view.h"

/* One call of run(): what holds for all its steps. */
struct turn {
	struct conn *c;
	int64_t now_ms;
	bool empty;
	struct conversation_view view;
	struct lttng_viewer viewer;
	struct lttng_control s; /* of the step under way */
	struct lttng_input in;
	struct lttng_output out;
};

static struct source_slot *source_of(const struct turn *t)
{
	struct state_ref ref = {.index = t->s.source - 1, .id = t->s.source_id};

	return t->s.source ? state_source(&t->c->relay->st, ref) : NULL;
}

static void prepare(struct turn *t, const struct conversation_half *h)
{
	struct relay *r = t->c->relay;
	struct source_slot *s;

	memcpy(&t->s, h->dialect, sizeof(t->s));
	s = source_of(t);
	t->viewer = (struct lttng_viewer){.relay = r, .epoch = &t->c->check_epoch};
	if (s)
		t->viewer.source = state_ref_of_source(&r->st, s);
	t->in = (struct lttng_input){
		.bytes = t->view.bytes + (h->consumed - t->view.begin),
		.len = conversation_unread(h),
		.eof = h->eof,
		.sending = conversation_sending(h),
		.empty = t->empty,
		.now_ms = t->now_ms,
		.last_byte_ms = h->last_byte_ms,
		.room = s ? lttng_orders_room(&r->st, &r->st.ctf_source[t->s.source - 1]) : 0,
		.late = t->c->room_late,
		.view = &lttng_view,
		.view_ctx = &t->viewer,
		.limits = &r->lttng_limits,
	};
}

/* ---- room for orders ---- */

/* Since when is it waited for? @t->in is of the step that waits. */
static void wait_for_room(struct turn *t)
{
	int64_t most = t->c->relay->lttng_limits.max_stall_ms, late;

	if (!t->c->room_since_ms)
		t->c->room_since_ms = t->now_ms;
	late = (t->now_ms - t->c->room_since_ms < most ? t->c->room_since_ms : t->now_ms) + most;
	if (most && late < t->out.deadline_ms)
		t->out.deadline_ms = late;
}

/* Because of the disk, and not of a worker that has much to do. */
static bool disk_is_stuck(const struct turn *t, const struct source_slot *s)
{
	uint32_t w = atomic_load(&s->worker);
	struct source_half h;

	source_read(s, &h);
	return h.disk_full || (w && worker_hangs(t->c->relay->workers[w - 1]));
}

/* True: it has been waited for too long just now. */
static bool becomes_late(struct turn *t)
{
	int64_t most = t->c->relay->lttng_limits.max_stall_ms;
	struct source_slot *s = source_of(t);

	if (t->out.wait != LTTNG_WAIT_ROOM || !most || t->c->room_late || !s ||
	    t->now_ms - t->c->room_since_ms < most || !disk_is_stuck(t, s))
		return false;
	log_error("orders-wait",
		  "source %llu: the disk is too slow: index records are dropped, and no metadata "
		  "can be kept (lttng.max-stall, lttng.metadata-wait)",
		  (unsigned long long)s->number);
	t->c->room_late = t->in.late = true;
	return true;
}

/* The disk goes on, when most of what waited has been applied. */
static void look_at_room(struct turn *t)
{
	if (t->in.room < CTF_RING - CTF_RING / 4)
		return;
	t->c->room_late = t->in.late = false;
	t->c->room_since_ms = 0;
}

/* ---- what sessiond-lite is asked for ---- */

/* The first connection of a client session says what is known of it. */
static void introduce(struct turn *t)
{
	const struct lttng_session *m = &t->out.session;
	struct ctf_source_slot *s = &t->c->relay->st.ctf_source[t->c->granted.index];

	if (s->minor)
		return;
	s->live_timer_us = m->live_timer_us;
	s->snapshot = m->snapshot;
	s->name_has_time = m->name_has_time;
	memcpy(s->session_name, m->name, sizeof(s->session_name));
	memcpy(s->host, m->host, sizeof(s->host));
	memcpy(s->base_path, m->base_path, sizeof(s->base_path));
	atomic_store(&s->minor, t->s.minor); /* known from here on, also after a kill */
}

/* True: the source is there, as t->in.granted. */
static bool find_source(struct turn *t)
{
	struct conn *c = t->c;
	struct relay *r = c->relay;
	struct source_slot *s = c->granted.id ? state_source(&r->st, c->granted) : NULL;
	struct link_message m = {.type = LINK_CTF_SOURCE, .ref = c->ref};

	if (c->granted.id && (!s || atomic_load(&s->done))) { /* it ended meanwhile */
		c->granted = (struct state_ref){0};
		c->asked = false;
	}
	if (c->granted.id) {
		/* One that is about to end takes nobody in; behind its end there is a new one. */
		if (source_front_now(&s->front)->control_ended)
			return false;
		introduce(t);
		source_front_adopt(r, s);
		t->in.granted = t->viewer.source = c->granted;
		return true;
	}
	if (c->asked)
		return false;
	c->asked = true;
	m.ctf.key = t->out.session.key;
	if (t->s.minor < 11)
		m.ctf.key = (struct ctf_key){.id = c->ref.id};
	strncpy(m.text, t->out.session.host, sizeof(m.text) - 1);
	link_send(r, &m, -1);
	return false;
}

/* The same for all streams of one path of this source: that of the first of them. */
static uint64_t trace_of(const struct turn *t, uint32_t index)
{
	const struct state *st = &t->c->relay->st;
	struct state_ref source = {.index = t->s.source - 1, .id = t->s.source_id}, ref;
	struct stream_walk walk = {0};

	while (stream_walk_next(st, source, &walk, &ref)) {
		const struct ctf_stream_slot *c = &st->ctf_stream[ref.index];

		if (ref.index != index && atomic_load(&c->named) &&
		    !strcmp(c->path, t->out.stream.path))
			return c->trace;
	}
	return index + 1;
}

static bool find_stream(struct turn *t, uint64_t position)
{
	struct conn *c = t->c;
	struct link_message m = {
		.type = LINK_CTF_STREAM, .ref = c->ref, .ctf = {.position = position}};
	struct ctf_stream_slot *s;

	if (c->granted_position == position && c->granted.id) {
		s = &c->relay->st.ctf_stream[c->granted.index];
		if (!atomic_load(&s->named)) {
			memcpy(s->name, t->out.stream.name, sizeof(s->name));
			memcpy(s->path, t->out.stream.path, sizeof(s->path));
			s->tracefile_size = t->out.stream.tracefile_size;
			s->tracefile_count = t->out.stream.tracefile_count;
			s->metadata = !strcmp(s->name, "metadata");
			s->trace = trace_of(t, c->granted.index);
			c->relay->checked[c->granted.index] = 0; /* another's, maybe */
			atomic_store(&s->named, 1);
		}
		t->in.granted = c->granted;
		return true;
	}
	if (c->asked)
		return false;
	c->asked = true;
	link_send(c->relay, &m, -1);
	return false;
}

/* Something was waited for. True: it is there, or refused: step again. */
static bool answered(struct turn *t, const struct conversation_half *h)
{
	bool ready = false;

	if (t->out.wait != LTTNG_WAIT_SOURCE && t->out.wait != LTTNG_WAIT_STREAM)
		return false;
	if (t->c->refused) {
		t->in.grant = LTTNG_GRANT_REFUSED;
		t->in.refusal = conversation_refusal(t->c->refused);
		return true;
	}
	ready = t->out.wait == LTTNG_WAIT_SOURCE ? find_source(t) : find_stream(t, h->consumed);
	t->in.grant = LTTNG_GRANT_READY;
	return ready;
}

/* ---- effects ---- */

/* One that sessiond-lite gave to a connection that ends before it was told. */
static struct source_slot *given(const struct conn *c, struct state_ref *ret)
{
	uint32_t n = atomic_load(&c->slot->source);
	struct source_slot *s = n ? &c->relay->st.source[n - 1] : NULL;

	if (!s || !atomic_load(&s->id) || s->protocol != PROTOCOL_LTTNG)
		return NULL;
	*ret = state_ref_of_source(&c->relay->st, s);
	return s;
}

static void control_ended(struct conn *c, const struct lttng_control *s, bool orderly,
			  enum close_reason reason)
{
	struct state_ref ref = {.index = s->source - 1, .id = s->source_id};
	struct source_slot *slot = s->source ? state_source(&c->relay->st, ref) : given(c, &ref);
	struct lttng_origin origin = {.conversation = c->ref, .position = CTF_NONE};
	struct ctf_order leave = {
		.type = CTF_ORDER_LEAVE, .flag = orderly ? 0 : reason, .number = c->ref.id};
	struct ctf_source_slot *ctf;

	if (!slot)
		return;
	ctf = &c->relay->st.ctf_source[ref.index];
	if (lttng_orders_last_fits(&c->relay->st, ctf))
		(void)lttng_orders_put(&c->relay->st, ctf, &origin, &leave, NULL);
	if (conn_speakers_any(c->relay, c, ref))
		source_front_look(c->relay, slot);
	else
		source_front_control_ended(c->relay, slot, orderly, reason);
}

/* A step was made: its effects, then its commit. */
static void take(struct turn *t, struct conversation_half *next)
{
	struct conn *c = t->c;
	struct lttng_output *out = &t->out;
	struct lttng_origin origin = {.conversation = c->ref,
				      .position = next->consumed + out->consumed};

	if (out->order.type) {
		(void)lttng_orders_put(&c->relay->st, &c->relay->st.ctf_source[t->s.source - 1],
				       &origin, &out->order, out->payload);
		conversation_here("behind an order");
		c->source_moved = true;
	}
	if (out->dropped.id) {
		atomic_store(&c->relay->st.ctf_stream[out->dropped.index].index_dropped,
			     1 + out->dropped_seq);
		counters_add(c->relay->counters, COUNTER_indexes_dropped, 1);
	}
	if (out->order.type && !c->room_late)
		c->room_since_ms = 0;
	if (out->action == LTTNG_END) {
		control_ended(c, &t->s, out->orderly, out->reason);
		next->closing = 1 + out->reason;
	}
	memcpy(next->dialect, &t->s, sizeof(t->s));
	conn_speakers_note(c, t->s.source);
	next->consumed += out->consumed;
	if (out->reply_len)
		conversation_set_reply(next, out->reply_len);
	conversation_commit_step(c->slot);
	if (t->in.grant != LTTNG_GRANT_NONE) {
		c->granted = (struct state_ref){0};
		c->asked = false;
		c->refused = 0;
	}
}

static unsigned wants_of(const struct turn *t)
{
	const struct conversation_half *h = conversation_now(t->c->slot);
	unsigned wants = 0;

	if (!h->eof && conversation_unread(h) < STATE_RING)
		wants |= CONVERSATION_RECEIVE;
	if (t->out.wait == LTTNG_WAIT_SENT)
		wants |= CONVERSATION_SEND;
	if (t->out.wait == LTTNG_WAIT_ROOM)
		wants |= CONVERSATION_ROOM;
	if (t->out.wait == LTTNG_WAIT_SOURCE || t->out.wait == LTTNG_WAIT_STREAM)
		wants |= CONVERSATION_LEASE;
	return wants;
}

/* One step. False: nothing more can be done now. */
static bool step(struct turn *t)
{
	struct conversation_slot *slot = t->c->slot;
	struct conversation_half *next = conversation_begin(slot);

	t->out.reply = slot->reply;
	prepare(t, next);
	look_at_room(t);
	if (lttng_control_step(&t->s, &t->in, &t->out) == LTTNG_WAIT) {
		if (t->out.wait == LTTNG_WAIT_ROOM)
			wait_for_room(t);
		if (!(answered(t, next) || becomes_late(t)) ||
		    lttng_control_step(&t->s, &t->in, &t->out) == LTTNG_WAIT)
			return false;
	}
	take(t, next);
	return t->out.action != LTTNG_END;
}

/* One that an earlier relayd had begun speaks from its first turn on. */
static void note_speaker(struct conn *c)
{
	struct lttng_control s;

	memcpy(&s, conversation_now(c->slot)->dialect, sizeof(s));
	conn_speakers_note(c, s.source);
}

static unsigned run(struct conn *c, int64_t now_ms, bool empty, int64_t *ret_deadline_ms)
{
	struct turn t;
	unsigned wants;
	bool came;

	t.c = c;
	t.now_ms = now_ms;
	t.empty = empty;
	*ret_deadline_ms = 0;
	if (conversation_now(c->slot)->closing)
		return CONVERSATION_ENDED;
	came = conversation_now(c->slot)->receive.msg_len > 0;
	conversation_fold(c->slot, now_ms);
	conversation_view_open(&t.view, c->slot);
	note_speaker(c);
	while (step(&t))
		;
	if (t.out.action == LTTNG_END)
		return CONVERSATION_ENDED;
	/* A reply takes the acknowledgement along. Without one the peer's next write may wait for
	 * it: a push of metadata, in three writes, would take 40 ms. Not sticky. */
	if (came && !conversation_sending(conversation_now(c->slot)))
		(void)setsockopt(c->fd, IPPROTO_TCP, TCP_QUICKACK, &(int){1}, sizeof(int));
	*ret_deadline_ms = t.out.deadline_ms;
	wants = wants_of(&t);
	conn_speakers_wait(c, wants & (CONVERSATION_ROOM | CONVERSATION_LEASE));
	return wants;
}

static void close_for(struct conn *c, enum close_reason reason)
{
	struct conversation_half *next;
	struct lttng_control s;

	if (conversation_now(c->slot)->closing)
		return;
	memcpy(&s, conversation_now(c->slot)->dialect, sizeof(s));
	control_ended(c, &s, false, reason);
	next = conversation_begin(c->slot);
	next->closing = 1 + reason;
	conversation_commit_step(c->slot);
}

/* Messages come all the time. */
static bool idle(struct conn *c)
{
	(void)c;
	return false;
}

static struct source_slot *source(struct conn *c)
{
	struct lttng_control s;
	struct state_ref ref;

	memcpy(&s, conversation_now(c->slot)->dialect, sizeof(s));
	ref = (struct state_ref){.index = s.source - 1, .id = s.source_id};
	return s.source ? state_source(&c->relay->st, ref) : NULL;
}

const struct conn_dialect conn_lttng = {
	.run = run, .close = close_for, .source = source, .idle = idle};

/* ---- what others say ---- */

void conn_granted(struct conn *c, struct state_ref ref, uint64_t position)
{
	c->granted = ref;
	c->granted_position = position;
}

void conn_lttng_look(struct relay *r)
{
	conn_speakers_look(r);
}

bool conn_lttng_speaks(struct relay *r, struct state_ref source)
{
	return conn_speakers_any(r, NULL, source);
}
