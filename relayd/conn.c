/* SPDX-License-Identifier: MIT */
/*
 * conn.c - the shell of a control connection: its socket, its timer, and the effects of the
 * conversation that runs over its slot.
 *
 * Callbacks only say that something may have changed; conn_turn() does what conversation.h asks of
 * a shell. The end is committed by the engine before the socket is touched.
 * Thread: the front loop's.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "relayd/conversation.h"
#include "relayd/relay.h"

#define RECEIVES_PER_TURN 16 /* of at most a ring each */

struct conn {
	struct relay *relay;
	struct conversation_slot *slot;
	struct state_ref ref;
	int fd;
	uv_poll_t poll;
	uv_timer_t timer;
	unsigned handles; /* not yet closed */
	int polled;       /* events asked of the loop */
	int lease_error;  /* the refusal, 0: none */
	bool lease_asked;
	bool closing;
	bool gave_back;      /* the memory that only the metadata needed */
	bool metadata_moved; /* in this turn */
};

static int64_t monotonic_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---- effects ---- */

static struct conn *conn_of(void *ctx, const struct conversation_slot *slot)
{
	struct relay *r = ctx;

	return r->conn_at[slot - r->st.conversation];
}

static void effect_lease(void *ctx, struct conversation_slot *slot,
			 const struct conversation_lease *want)
{
	struct conn *c = conn_of(ctx, slot);

	if (c->lease_asked)
		return;
	c->lease_asked = true;
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
	struct conn *c = conn_of(ctx, slot);
	struct source_slot *s = source_front_of(c->relay, slot);
	uint32_t n = 0;

	if (c->lease_error)
		return c->lease_error;
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
	conn_of(ctx, slot)->metadata_moved = true;
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
	conn_of(ctx, slot)->metadata_moved = true;
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

/* ---- the end ---- */

static void on_handle_closed(uv_handle_t *handle)
{
	struct conn *c = handle->data;

	if (--c->handles)
		return;
	if (c->fd >= 0)
		close(c->fd);
	atomic_store(&c->slot->done, 1);
	link_send(c->relay,
		  &(struct link_message){
			  .type = LINK_DONE, .kind = LINK_DONE_CONVERSATION, .ref = c->ref},
		  -1);
	free(c);
}

static void log_end(const struct conn *c, enum close_reason reason)
{
	static struct log_limit limit = LOG_LIMIT_USUAL;
	char peer[ADDR_TEXT_MAX];
	struct log_about about = {.connection = c->ref.id,
				  .peer = addr_format(&c->slot->peer, peer),
				  .reason = close_reason_name(reason)};

	log_limited(&limit, close_reason_is_error(reason) ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO,
		    &about, "closed", "%s", close_reason_sentence(reason));
}

/* The closing step is committed: leave the loop, tell the peer, close, say done. */
static void finish(struct conn *c)
{
	const struct conversation_half *h = conversation_now(c->slot);

	if (c->closing)
		return;
	c->closing = true;
	counters_add_close(c->relay->counters, (enum close_reason)(h->closing - 1));
	log_end(c, (enum close_reason)(h->closing - 1));
	c->relay->conn_at[c->ref.index] = NULL;
	uv_poll_stop(&c->poll);
	if (h->closing_reset) /* a duplicate is held elsewhere: closing alone would send nothing */
		(void)connect(c->fd, &(struct sockaddr){.sa_family = AF_UNSPEC},
			      sizeof(struct sockaddr));
	else
		(void)shutdown(c->fd, SHUT_RDWR);
	uv_close((uv_handle_t *)&c->poll, on_handle_closed);
	uv_close((uv_handle_t *)&c->timer, on_handle_closed);
}

/* ---- the turn ---- */

/* Receive into the ring. Whether the socket was found empty. */
static bool receive_some(struct conn *c, int64_t now)
{
	for (int i = 0; i < RECEIVES_PER_TURN; i++) {
		struct mmsghdr *m = conversation_prepare_receive(c->slot, now);
		int n;

		if (!m)
			return false;
		n = recvmmsg(c->fd, m, 1, MSG_DONTWAIT, NULL);
		if (n == 1 && m->msg_len > 0)
			return false; /* understood first: the ring is small */
		if (n == 1) {
			conversation_note_eof(c->slot, CLOSE_none);
			return true;
		}
		if (errno == EINTR)
			continue;
		if (errno == EAGAIN)
			return true;
		conversation_note_eof(c->slot, errno == ETIMEDOUT ? CLOSE_keep_alive : CLOSE_reset);
		return true;
	}
	return false;
}

/* Whether something was sent. */
static bool send_some(struct conn *c)
{
	bool sent = false;
	struct mmsghdr *m;

	while ((m = conversation_prepare_send(c->slot))) {
		if (sendmmsg(c->fd, m, 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1) {
			sent = true;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			conversation_note_unsendable(c->slot);
		break;
	}
	return sent;
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	conn_turn(poll->data);
}

static void on_deadline(uv_timer_t *timer)
{
	conn_turn(timer->data);
}

static void ask_loop(struct conn *c, unsigned wants, int64_t deadline, int64_t now)
{
	int events = (wants & CONVERSATION_RECEIVE ? UV_READABLE : 0) |
		     (wants & CONVERSATION_SEND ? UV_WRITABLE : 0);

	if (events != c->polled) {
		if (events)
			uv_poll_start(&c->poll, events, on_ready);
		else
			uv_poll_stop(&c->poll);
		c->polled = events;
	}
	if (deadline)
		uv_timer_start(&c->timer, on_deadline,
			       deadline > now ? (uint64_t)(deadline - now) : 0, 0);
	else
		uv_timer_stop(&c->timer);
}

/*
 * Behind the metadata a recording is silent for hours: what handshake and metadata needed is given
 * back, but for the page into which CLOSE will come. Nothing unread or unsent may stand there.
 */
static void give_back(struct conn *c)
{
	const struct conversation_half *h = conversation_now(c->slot);
	const struct source_slot *s = source_front_of(c->relay, c->slot);
	size_t at = (size_t)(h->consumed % STATE_RING);

	if (c->gave_back || !s || !source_front_now(&s->front)->metadata_complete ||
	    conversation_received(h) != h->consumed || conversation_sent(h) != h->reply_len)
		return;
	c->gave_back = true;
	state_release(&c->relay->st, c->slot->reply, sizeof(c->slot->reply));
	state_release(&c->relay->st, c->slot->ring, sizeof(c->slot->ring));
	(void)state_touch(&c->relay->st, c->slot->ring + at, 1);
}

void conn_turn(struct conn *c)
{
	struct relay *r = c->relay;
	struct conversation_env env = {.ops = &effects, .ctx = r, .limits = &r->limits};
	int64_t now = monotonic_ms(), deadline = 0;
	unsigned wants = 0;
	struct source_slot *s;

	if (c->closing)
		return;
	for (int i = 0; i < RECEIVES_PER_TURN; i++) {
		bool empty = receive_some(c, now);

		do
			wants = conversation_run(c->slot, now, empty, &env, &deadline);
		while (send_some(c));
		if (empty || !(wants & CONVERSATION_RECEIVE))
			break;
	}
	if (c->metadata_moved) {
		c->metadata_moved = false;
		s = source_front_of(r, c->slot);
		if (s)
			source_front_look(r, s);
	}
	if (wants & CONVERSATION_ENDED) {
		finish(c);
		return;
	}
	give_back(c);
	if (wants & CONVERSATION_ROOM)
		counters_add(r->counters, COUNTER_metadata_ring_full, 1);
	ask_loop(c, wants, deadline, now);
}

/* ---- life ---- */

void conn_new(struct relay *r, struct state_ref ref, int fd)
{
	struct conversation_slot *slot = state_conversation(&r->st, ref);
	struct conn *c;

	if (!slot || r->conn_at[ref.index]) { /* freed meanwhile, or passed again */
		close(fd);
		return;
	}
	c = calloc(1, sizeof(*c));
	if (!c || uv_poll_init(&r->loop, &c->poll, fd) < 0) {
		close(fd);
		free(c);
		return;
	}
	uv_timer_init(&r->loop, &c->timer);
	c->relay = r;
	c->slot = slot;
	c->ref = ref;
	c->fd = fd;
	c->handles = 2;
	c->poll.data = c->timer.data = c;
	r->conn_at[ref.index] = c;
	if (conversation_now(slot)->received_base || conversation_now(slot)->reply_len)
		counters_add(r->counters, COUNTER_recovered_conversations, 1);
	else
		counters_add(r->counters, COUNTER_connections_control, 1);
	conversation_open(slot);
	conn_turn(c);
}

void conn_lease_refused(struct conn *c, int error)
{
	c->lease_error = error;
}

struct conn *conn_of_source(struct relay *r, const struct source_slot *s)
{
	struct conversation_slot *slot = state_conversation(&r->st, s->conversation);

	return slot ? r->conn_at[s->conversation.index] : NULL;
}

void conn_follow_sessions(struct relay *r)
{
	struct conversation_env env = {.ops = &effects, .ctx = r, .limits = &r->limits};
	uint32_t high = atomic_load(&r->st.header->high_conversation);

	for (uint32_t i = 0; i < high; i++) {
		struct conn *c = r->conn_at[i];
		struct source_slot *s = c ? source_front_of(r, c->slot) : NULL;
		struct session_slot *session = s ? state_session_of(&r->st, s) : NULL;

		if (!session || !atomic_load(&session->ending))
			continue;
		conversation_close(c->slot, CLOSE_session_destroyed, false, &env);
		finish(c);
	}
}
