/* SPDX-License-Identifier: MIT */
/*
 * conn.c - the shell of a control connection: its socket and its timer. What its bytes mean is its
 * dialect's (conn.h).
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
#include "relayd/conn_speakers.h"
#include "relayd/conversation.h"

#define RECEIVES_PER_TURN 16 /* of at most a ring each */

static int64_t monotonic_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

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
	conn_speakers_forget(c);
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
 * What the beginning of a conversation needed is given back when it will be silent for hours, but
 * for the page into which its next message will come. Nothing unread or unsent may stand there.
 */
static void give_back(struct conn *c)
{
	const struct conversation_half *h = conversation_now(c->slot);
	size_t at = (size_t)(h->consumed % STATE_RING);

	if (c->gave_back || !c->dialect->idle(c) || conversation_received(h) != h->consumed ||
	    conversation_sent(h) != h->reply_len)
		return;
	c->gave_back = true;
	state_release(&c->relay->st, c->slot->reply, sizeof(c->slot->reply));
	state_release(&c->relay->st, c->slot->ring, sizeof(c->slot->ring));
	(void)state_touch(&c->relay->st, c->slot->ring + at, 1);
}

void conn_turn(struct conn *c)
{
	struct relay *r = c->relay;
	int64_t now = monotonic_ms(), deadline = 0;
	unsigned wants = 0;
	struct source_slot *s;

	if (c->closing)
		return;
	for (int i = 0; i < RECEIVES_PER_TURN; i++) {
		bool empty = receive_some(c, now), answered = false;

		while ((wants = c->dialect->run(c, now, empty, &deadline)), send_some(c))
			answered = true;
		/* Who was answered has hardly said more already. */
		if (empty || answered || !(wants & CONVERSATION_RECEIVE))
			break;
	}
	if (c->source_moved) {
		c->source_moved = false;
		s = c->dialect->source(c);
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
	c->dialect = slot->role == CONVERSATION_LTTNG_CONTROL ? &conn_lttng : &conn_trace_cmd;
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

void conn_refused(struct conn *c, int error)
{
	c->refused = error;
}

struct conn *conn_of_slot(struct relay *r, const struct conversation_slot *slot)
{
	return r->conn_at[slot - r->st.conversation];
}

struct conn *conn_of_source(struct relay *r, const struct source_slot *s)
{
	struct conversation_slot *slot = state_conversation(&r->st, s->conversation);

	return slot ? r->conn_at[s->conversation.index] : NULL;
}

void conn_follow_sessions(struct relay *r)
{
	uint32_t high = atomic_load(&r->st.header->high_conversation);

	for (uint32_t i = 0; i < high; i++) {
		struct conn *c = r->conn_at[i];
		struct source_slot *s = c ? c->dialect->source(c) : NULL;
		struct session_slot *session = s ? state_session_of(&r->st, s) : NULL;

		if (!session || !atomic_load(&session->ending))
			continue;
		c->dialect->close(c, CLOSE_session_destroyed);
		finish(c);
	}
}
