/* SPDX-License-Identifier: MIT */
/* talk_lttng_relay.c - the simulated surroundings of LTTng control conversations. */
#include "tests/talk/talk_lttng_relay.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "relayd/conn_speakers.h"

static struct talk_lttng_relay *current; /* whose the relay's functions below are */

static uint32_t index_of(const struct talk_lttng_relay *r, const struct talk_connection *c)
{
	return (uint32_t)(c - r->connection);
}

static struct conversation_slot *slot_of(const struct talk_lttng_relay *r,
					 const struct talk_connection *c)
{
	return &r->st.conversation[index_of(r, c)];
}

const struct conversation_half *talk_lttng_half(struct talk_lttng_relay *r,
						const struct talk_connection *c)
{
	return conversation_now(slot_of(r, c));
}

void talk_lttng_control(struct talk_lttng_relay *r, const struct talk_connection *c,
			struct lttng_control *ret)
{
	memcpy(ret, talk_lttng_half(r, c)->dialect, sizeof(*ret));
}

/* ---- sessiond-lite ---- */

static bool same_key(const struct ctf_key *a, const struct ctf_key *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static struct state_ref source_for(struct talk_lttng_relay *r, const struct ctf_key *key)
{
	struct source_slot *s;

	for (unsigned i = 0; i < r->sources; i++)
		if (same_key(&r->st.ctf_source[i].key, key) &&
		    !source_front_now(&r->st.source[i].front)->control_ended)
			return state_ref_of_source(&r->st, &r->st.source[i]);
	if (r->sources == TALK_SOURCES)
		talk_fail("too many sources");
	s = &r->st.source[r->sources];
	r->st.ctf_source[r->sources].key = *key;
	s->protocol = PROTOCOL_LTTNG;
	strcpy(s->half[0].dir, "default/vm/s1");
	atomic_store(&s->worker, 1);
	atomic_store(&s->id, 1 + r->sources);
	r->sources++;
	atomic_store(&r->st.header->high_source, r->sources);
	return state_ref_of_source(&r->st, s);
}

static struct state_ref stream_for(struct talk_lttng_relay *r, struct talk_connection *c,
				   uint64_t position)
{
	struct source_slot *source = state_source(&r->st, c->source);
	_Atomic uint32_t *next = &source->first_stream;
	struct stream_slot *s;

	for (; atomic_load(next); next = &r->st.stream[atomic_load(next) - 1].next) {
		const struct ctf_stream_slot *ctf = &r->st.ctf_stream[atomic_load(next) - 1];

		if (ctf->by_conversation == atomic_load(&slot_of(r, c)->id) &&
		    ctf->by_position == position)
			return state_ref_of_stream(&r->st, &r->st.stream[atomic_load(next) - 1]);
	}
	if (r->streams == TALK_STREAMS)
		talk_fail("too many streams");
	s = &r->st.stream[r->streams];
	s->source = c->source;
	s->cpu = r->streams;
	r->st.ctf_stream[r->streams].by_conversation = atomic_load(&slot_of(r, c)->id);
	r->st.ctf_stream[r->streams].by_position = position;
	atomic_store(&s->id, 100 + r->streams);
	atomic_store(next, ++r->streams);
	return state_ref_of_stream(&r->st, s);
}

/* Asked once or more, by one relayd or several: the answer is the same. */
void link_send(struct relay *relay, const struct link_message *m, int fd)
{
	struct talk_lttng_relay *r = current;
	struct talk_connection *c = &r->connection[m->ref.index];
	struct link_message a = {.ref = m->ref, .ctf.position = m->ctf.position};

	(void)relay;
	(void)fd;
	if (m->type != LINK_CTF_SOURCE && m->type != LINK_CTF_STREAM)
		talk_fail("message %u to sessiond-lite", m->type);
	talk_instant("before a request");
	a.type = m->type;
	a.error = r->refuse;
	if (!r->refuse && m->type == LINK_CTF_SOURCE) {
		a.ctf.source = c->source = source_for(r, &m->ctf.key);
		atomic_store(&slot_of(r, c)->source, 1 + c->source.index);
	} else if (!r->refuse) {
		a.ctf.stream = stream_for(r, c, m->ctf.position);
	}
	c->answered = a;
	c->answer = true;
	talk_instant("behind a request");
}

static bool answer(struct talk_lttng_relay *r, struct talk_connection *c)
{
	struct conn *conn = &r->conn[index_of(r, c)];

	if (!c->answer || r->hold)
		return false;
	c->answer = false;
	if (c->answered.error)
		conn->refused = c->answered.error;
	else if (c->answered.type == LINK_CTF_SOURCE)
		conn_granted(conn, c->answered.ctf.source, 0);
	else
		conn_granted(conn, c->answered.ctf.stream, c->answered.ctf.position);
	return true;
}

/* ---- the rest of relayd ---- */

void source_front_look(struct relay *r, struct source_slot *s)
{
	(void)r;
	(void)s;
}

void source_front_adopt(struct relay *r, struct source_slot *s)
{
	(void)r;
	if (!current->st.ctf_source[s - current->st.source].minor)
		talk_fail("a source was adopted of which nothing is known");
}

void source_front_control_ended(struct relay *relay, struct source_slot *s, bool orderly,
				enum close_reason reason)
{
	struct source_front_half *f;
	unsigned speakers = 0;

	(void)relay;
	talk_instant("before control_ended");
	if (source_front_now(&s->front)->control_ended)
		return;
	for (unsigned i = 0; i < current->connections; i++) {
		struct lttng_control c;

		talk_lttng_control(current, &current->connection[i], &c);
		speakers += c.source == 1 + (uint32_t)(s - current->st.source) &&
			    !conversation_closing(&current->st.conversation[i]);
	}
	if (speakers > 1)
		talk_fail("a source ends though another connection speaks for it");
	f = source_front_begin(&s->front);
	f->control_ended = reason ? reason : CLOSE_eof;
	f->closed_in_order = orderly;
	source_front_commit(&s->front);
}

void conn_turn(struct conn *c)
{
	(void)c;
}

/* ---- kills ---- */

static void make_process(struct talk_lttng_relay *r)
{
	free(r->relay.speakers);
	memset(&r->relay, 0, sizeof(r->relay));
	memset(r->conn, 0, sizeof(r->conn));
	memset(r->conn_at, 0, sizeof(r->conn_at));
	memset(r->checked, 0, sizeof(r->checked));
	r->relay.st = r->st;
	r->relay.options = &r->options;
	r->relay.lttng_limits = r->limits;
	r->relay.conn_at = r->conn_at;
	r->relay.checked = r->checked;
	if (conn_speakers_init(&r->relay) < 0)
		abort();
	for (unsigned i = 0; i < r->connections; i++) {
		struct conn *c = &r->conn[i];

		c->relay = &r->relay;
		c->dialect = &conn_lttng;
		c->slot = &r->st.conversation[i];
		c->ref = state_ref_of_conversation(&r->st, c->slot);
		c->fd = -1;
		r->conn_at[i] = c;
		r->connection[i].wants = 0;
		r->connection[i].deadline_ms = 0;
		r->connection[i].answer = false;
	}
}

static void take_orders(struct talk_lttng_relay *r, struct talk_connection *c);

/* Another process maps the state memory, and asks anew what was asked. */
static void reborn(struct talk_lttng_relay *r)
{
	int fd = fcntl(r->st.fd, F_DUPFD_CLOEXEC, 0);
	struct state again;

	if (fd < 0 || state_attach(fd, &again) < 0)
		abort();
	state_detach(&r->st);
	r->st = again;
	make_process(r);
	r->fate.kills++;
}

static void tear(struct talk_lttng_relay *r, struct talk_connection *c)
{
	take_orders(r, c);
	if (r->fate.mode->torn)
		reborn(r);
	conversation_open(slot_of(r, c));
}

/* ---- the worker ---- */

static void ring_read(const struct ctf_source_slot *s, uint64_t at, void *to, size_t n)
{
	for (size_t i = 0; i < n; i++)
		((uint8_t *)to)[i] = s->ring[(at + i) & (CTF_RING - 1)];
}

static void learn(struct talk_lttng_relay *r, struct talk_connection *c, uint32_t source)
{
	struct ctf_source_slot *s = &r->st.ctf_source[source];
	struct talk_ordered *o = &r->order[r->orders];
	uint64_t at = r->taken[source];
	uint8_t payload[CTF_PIECE];

	if (r->orders == TALK_ORDERS)
		talk_fail("too many orders");
	ring_read(s, at, &o->head, sizeof(o->head));
	if (o->head.bytes > CTF_PIECE)
		talk_fail("an order of %u bytes", o->head.bytes);
	ring_read(s, at + sizeof(o->head), payload, o->head.bytes);
	o->source = source;
	o->hash = 2166136261; /* FNV-1a */
	for (uint32_t i = 0; i < o->head.bytes; i++)
		o->hash = (o->hash ^ payload[i]) * 16777619;
	r->taken[source] += ctf_order_size(o->head.bytes);
	c->ordered[c->orders++] = r->orders++;
}

/* What was ordered since it was looked at last is that connection's. */
static void take_orders(struct talk_lttng_relay *r, struct talk_connection *c)
{
	for (uint32_t i = 0; i < r->sources && c; i++) {
		uint64_t end = ctf_front_now(&r->st.ctf_source[i])->ordered;

		while (r->taken[i] < end)
			learn(r, c, i);
		if (r->taken[i] != end)
			talk_fail("half an order");
	}
}

static void apply_chunk(struct ctf_source_slot *s, const struct ctf_order *o)
{
	struct ctf_source_half *h = ctf_source_begin(s);
	uint32_t at = 0;

	while (at < CTF_CHUNKS && h->chunk[at].state &&
	       (o->type == CTF_ORDER_CHUNK || h->chunk[at].id != o->number))
		at++;
	if (at == CTF_CHUNKS)
		return;
	if (o->type == CTF_ORDER_CLOSE_CHUNK) {
		h->gone = h->chunk[at];
		h->gone.serial = 1;
	}
	memset(&h->chunk[at], 0, sizeof(h->chunk[at]));
	if (o->type == CTF_ORDER_CHUNK) {
		h->chunk[at].state = CTF_CHUNK_OPEN;
		h->chunk[at].id = o->number;
		h->chunk[at].created = (int64_t)o->value;
		strcpy(h->chunk[at].dir, "default/vm/s1");
	}
	ctf_source_commit(s);
}

static void apply_one(struct talk_lttng_relay *r, const struct talk_ordered *o)
{
	struct ctf_source_slot *s = &r->st.ctf_source[o->source];
	struct stream_half *h = NULL;

	if (o->head.stream) {
		struct stream_slot *t = &r->st.stream[o->head.stream - 1];

		if (atomic_load(&t->id) != o->head.stream_id || t->source.index != o->source)
			talk_fail("an order about another source's stream");
		h = stream_begin(t);
		switch (o->head.type) {
		case CTF_ORDER_STREAM:
			h->ctf.opened = 1;
			h->ctf.last_seq = CTF_NONE;
			break;
		case CTF_ORDER_INDEX:
			h->ctf.any_index = 1;
			h->ctf.index_seq = o->head.number;
			break;
		case CTF_ORDER_CLOSE_STREAM:
			h->ctf.closed = 1;
			h->ctf.last_seq = o->head.number;
			break;
		default:
			break;
		}
		stream_commit(t);
	} else if (o->head.type == CTF_ORDER_CHUNK || o->head.type == CTF_ORDER_CLOSE_CHUNK) {
		apply_chunk(s, &o->head);
	}
	atomic_store(&s->applied, atomic_load(&s->applied) + ctf_order_size(o->head.bytes));
}

void talk_lttng_fall_behind(struct talk_lttng_relay *r, uint32_t bytes)
{
	struct ctf_source_slot *s = &r->st.ctf_source[0];
	struct ctf_front_half *h = ctf_front_begin(s);

	if (state_touch(&r->st, s->ring, CTF_RING) < 0)
		abort();
	h->ordered += bytes;
	h->touched = (h->ordered + CTF_RING_PART - 1) & ~(uint64_t)(CTF_RING_PART - 1);
	ctf_front_commit(s);
	r->taken[0] += bytes;
	r->behind[0] += bytes;
	r->worker_holds = true;
}

void talk_lttng_apply(struct talk_lttng_relay *r)
{
	atomic_store(&r->st.ctf_source[0].applied,
		     atomic_load(&r->st.ctf_source[0].applied) + r->behind[0]);
	r->behind[0] = 0;
	while (r->applied < r->orders)
		apply_one(r, &r->order[r->applied++]);
}

/* ---- what must hold at every instant ---- */

static void check(struct talk_lttng_relay *r, const struct talk_connection *c)
{
	const struct conversation_half *h = talk_lttng_half(r, c);
	uint64_t received = conversation_received(h);

	if (received != c->peer.to_relay_taken)
		talk_fail("received is %llu of %zu bytes", (unsigned long long)received,
			  c->peer.to_relay_taken);
	if (h->consumed > received || received - h->consumed > STATE_RING)
		talk_fail("consumed is out of range");
	for (uint64_t at = h->consumed, n; at < received; at += n) {
		n = STATE_RING - (at & (STATE_RING - 1)); /* in one piece */
		n = n < received - at ? n : received - at;
		if (memcmp(slot_of(r, c)->ring + (at & (STATE_RING - 1)), c->peer.to_relay + at,
			   n) != 0)
			talk_fail("the ring is wrong behind %llu", (unsigned long long)at);
	}
	if (conversation_sent(h) > h->reply_len || h->reply_len > STATE_REPLY)
		talk_fail("sent is out of range");
}

/* ---- turns ---- */

static bool receive_all(struct talk_lttng_relay *r, struct talk_connection *c)
{
	struct mmsghdr *m;

	for (;;) {
		int n;

		tear(r, c);
		m = conversation_prepare_receive(slot_of(r, c), r->now_ms);
		if (!m)
			return false;
		n = talk_peer_receive(&c->peer, &r->fate, m);
		if (n > 0 && m->msg_len && (r->fate.mode->piece || r->fate.mode->seed))
			return false; /* the budget is spent: look at this piece alone */
		if (n > 0 && m->msg_len)
			continue;
		if (n > 0)
			conversation_note_eof(slot_of(r, c), CLOSE_none);
		else if (n < 0)
			conversation_note_eof(slot_of(r, c), CLOSE_reset);
		return n == 0;
	}
}

static void send_all(struct talk_lttng_relay *r, struct talk_connection *c)
{
	struct mmsghdr *m;
	int n = 1;

	while (n > 0) {
		tear(r, c);
		m = conversation_prepare_send(slot_of(r, c));
		if (!m)
			return;
		n = talk_peer_transmit(&c->peer, &r->fate, m);
		if (n < 0)
			conversation_note_unsendable(slot_of(r, c));
	}
}

static unsigned run(struct talk_lttng_relay *r, struct talk_connection *c, bool empty)
{
	return conn_lttng.run(&r->conn[index_of(r, c)], r->now_ms, empty, &c->deadline_ms);
}

static void turn(struct talk_lttng_relay *r, struct talk_connection *c)
{
	bool empty;

	if (conversation_closing(slot_of(r, c)))
		return;
	empty = receive_all(r, c);
	tear(r, c);
	c->wants = run(r, c, empty);
	send_all(r, c);
	tear(r, c);
	c->wants = run(r, c, empty);
	if (answer(r, c))
		c->wants = run(r, c, false);
	take_orders(r, c);
	if (!r->worker_holds)
		talk_lttng_apply(r);
}

/* What turns can change. */
struct progress {
	uint64_t received, consumed, sent, ordered, answers;
	uint32_t replies, state, eof, closing;
};

static struct progress progress(struct talk_lttng_relay *r)
{
	struct progress p;

	memset(&p, 0, sizeof(p));
	for (unsigned i = 0; i < r->connections; i++) {
		const struct talk_connection *c = &r->connection[i];
		const struct conversation_half *h = talk_lttng_half(r, c);
		struct lttng_control s;

		talk_lttng_control(r, c, &s);
		p.received += conversation_received(h);
		p.consumed += h->consumed;
		p.sent += c->peer.to_client_len + conversation_sent(h);
		p.replies += h->reply_len;
		p.state += s.state;
		p.eof += h->eof;
		p.closing += h->closing;
		p.answers += c->answer && !r->hold;
	}
	p.ordered = r->orders;
	return p;
}

/* Random sends may find no room many times in a row. */
static bool sending(const struct talk_lttng_relay *r)
{
	unsigned wants = 0;

	for (unsigned i = 0; i < r->connections; i++)
		wants |= r->connection[i].wants;
	return wants & CONVERSATION_SEND;
}

/* One round of turns; a kill ends it. Behind a kill whoever comes first comes first. */
static void round_of_turns(struct talk_lttng_relay *r)
{
	struct talk_connection *volatile c = NULL;
	bool last_first = r->fate.kills % 2 || (r->fate.mode->seed && talk_chance(&r->fate) % 2);

	talk_alive = &r->fate;
	if (setjmp(talk_death)) {
		talk_alive = NULL;
		take_orders(r, c);
		reborn(r);
	} else {
		for (unsigned i = 0; i < r->connections; i++) {
			c = &r->connection[last_first ? r->connections - 1 - i : i];
			turn(r, c);
		}
		atomic_store(&r->relay.synced, true); /* all have been passed */
	}
	talk_alive = NULL;
	for (unsigned i = 0; i < r->connections; i++)
		check(r, &r->connection[i]);
}

void talk_lttng_settle(struct talk_lttng_relay *r)
{
	unsigned still = 0, kills;

	current = r;
	while (still < 3) {
		struct progress before = progress(r), now;

		kills = r->fate.kills;
		round_of_turns(r);
		now = progress(r);
		still = memcmp(&before, &now, sizeof(now)) != 0 || sending(r) ||
					(kills != r->fate.kills && !r->fate.mode->torn)
				? 0
				: still + 1;
	}
}

static int64_t next_deadline(const struct talk_lttng_relay *r)
{
	int64_t first = 0;

	for (unsigned i = 0; i < r->connections; i++) {
		int64_t at = r->connection[i].deadline_ms;

		if (at && (!first || at < first) && !conversation_closing(&r->st.conversation[i]))
			first = at;
	}
	return first;
}

void talk_lttng_advance(struct talk_lttng_relay *r, uint64_t ms)
{
	int64_t until = r->now_ms + (int64_t)ms;
	unsigned guard = 0;

	talk_lttng_settle(r);
	while (r->now_ms < until) {
		int64_t next = next_deadline(r), to = next && next < until ? next : until;

		if (to <= r->now_ms && ++guard > 3)
			talk_fail("a deadline that nothing happens at");
		if (to > r->now_ms) {
			r->now_ms = to;
			guard = 0;
		}
		talk_lttng_settle(r);
	}
}

void talk_lttng_close(struct talk_lttng_relay *r, struct talk_connection *c,
		      enum close_reason reason)
{
	current = r;
	while (!conversation_closing(slot_of(r, c))) {
		talk_alive = &r->fate;
		if (!setjmp(talk_death))
			conn_lttng.close(&r->conn[index_of(r, c)], reason);
		else
			reborn(r);
		talk_alive = NULL;
	}
	take_orders(r, c);
}

/* ---- life ---- */

struct talk_connection *talk_lttng_connect(struct talk_lttng_relay *r, const char *name)
{
	struct talk_connection *c = r->connection;

	for (; c < r->connection + r->connections; c++)
		if (!strcmp(c->name, name))
			return c;
	if (r->connections == TALK_CONNECTIONS || strlen(name) >= sizeof(c->name))
		talk_fail("too many connections, or a long name");
	strcpy(c->name, name);
	atomic_store(&r->st.header->high_conversation, ++r->connections);
	talk_lttng_reconnect(r, c);
	return c;
}

void talk_lttng_reconnect(struct talk_lttng_relay *r, struct talk_connection *c)
{
	struct conversation_slot *slot = slot_of(r, c);

	memset(slot, 0, sizeof(*slot));
	slot->accepted_ms = r->now_ms;
	slot->role = CONVERSATION_LTTNG_CONTROL;
	atomic_store(&slot->id, 1000 + ++r->last_id);
	talk_peer_free(&c->peer);
	make_process(r);
}

void talk_lttng_start(struct talk_lttng_relay *r, const struct talk_mode *mode, unsigned minor)
{
	struct state_capacity capacity = {.conversations = TALK_CONNECTIONS,
					  .sources = TALK_SOURCES,
					  .streams = TALK_STREAMS,
					  .workers = 1};

	memset(r, 0, sizeof(*r));
	talk_fate_start(&r->fate, mode);
	r->now_ms = 1000000;
	r->limits = (struct lttng_limits){
		.minor = minor,
		.allow_clear = true,
		.message_max = 1 << 20,
		.handshake_timeout_ms = 10000,
		.stall_timeout_ms = 60000,
		.metadata_wait = LTTNG_ORDERS_SHARE,
	};
	if (state_create(&capacity, &r->st) < 0)
		abort();
	conversation_fault = talk_instant;
}

void talk_lttng_stop(struct talk_lttng_relay *r)
{
	for (unsigned i = 0; i < r->connections; i++)
		talk_peer_free(&r->connection[i].peer);
	free(r->relay.speakers);
	state_detach(&r->st);
	conversation_fault = NULL;
}
