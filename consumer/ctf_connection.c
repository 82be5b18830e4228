/* SPDX-License-Identifier: MIT */
/*
 * ctf_connection.c - a data connection and its turn.
 *
 *   HEADER ──32 bytes──▶ orders applied, packet begun ──▶ STORE / DISCARD ──whole──▶ HEADER
 *     └─ the stream's CTF_ORDER_STREAM is not applied yet: unpolled until it is
 *   any ──end of file, reset, fault, the source's end──▶ closing step, shutdown, close, done
 *
 * One packet or one move a turn: level-triggered polling comes back. The header is received by
 * recvmmsg() into the slot's ring: the kernel itself writes into the half how much came.
 */
#include "consumer/ctf_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static uint32_t phase(const struct ctf_connection *c)
{
	struct ctf_data d;

	memcpy(&d, conversation_now(c->slot)->dialect, sizeof(d));
	return d.phase;
}

static bool payload_left(const struct ctf_connection *c)
{
	struct ctf_data d;

	memcpy(&d, conversation_now(c->slot)->dialect, sizeof(d));
	return d.done < d.size;
}

/* The descriptor is out of the loop. */
static void on_closed(uv_handle_t *handle)
{
	struct ctf_connection *c = handle->data;
	struct ctf_source *s = c->source;
	struct worker *w = s->worker;
	struct conversation_slot *slot = c->slot;
	struct state_ref ref = c->ref;
	struct ctf_stream *t;

	cds_list_for_each_entry (t, &s->streams, node)
		if (t->fed_by == ref.id)
			t->orphan = true;
	cds_list_del(&c->node);
	atomic_fetch_sub(&w->open_streams, 1);
	ctf_connection_free(c);
	atomic_store(&slot->done, 1);
	w->config.events->connection_closed(w->config.ctx, ref);
	worker_turn_begin(w);
	ctf_source_run(s); /* its end waits for this */
	worker_turn_end(w);
	if (w->stopping)
		uv_async_send(&w->wake);
}

static void note_closing(struct conversation_slot *slot, enum close_reason why)
{
	struct conversation_half *h;

	if (conversation_now(slot)->closing)
		return;
	h = conversation_begin(slot);
	h->closing = 1 + why;
	conversation_commit(slot);
}

void ctf_connection_end(struct ctf_connection *c, enum close_reason why)
{
	if (c->closing)
		return;
	(void)ctf_hold_join(c);
	uv_mutex_lock(&c->worker->sockets);
	c->closing = true;
	uv_mutex_unlock(&c->worker->sockets);
	ctf_packet_cut(c->source, c->slot, DISCARD_PARTIAL);
	if (!conversation_now(c->slot)->closing) {
		counters_add_close(c->source->worker->counters, why);
		if (close_reason_is_error(why))
			log_warning("data-connection", "source %llu: data connection closed: %s",
				    (unsigned long long)c->source->slot->number,
				    close_reason_sentence(why));
	}
	note_closing(c->slot, why);
	shutdown(c->fd, SHUT_RDWR); /* sessiond-lite holds a duplicate */
	uv_poll_stop(&c->poll);
	uv_close((uv_handle_t *)&c->poll, on_closed);
}

/* More of what has begun is to come: the peer may be waiting for the acknowledgement (Nagle). */
static void acknowledge(struct ctf_connection *c)
{
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_QUICKACK, &(int){1}, sizeof(int));
}

static int receive_locked(struct ctf_connection *c)
{
	const struct conversation_half *now = conversation_now(c->slot);
	size_t got = (size_t)conversation_received(now);
	struct conversation_half *h;
	int r;

	if (c->held)
		return -EAGAIN;
	c->unread_since = 0;
	if (got >= CTF_DATA_HEADER_SIZE)
		return 1;
	h = conversation_begin(c->slot);
	h->received_base = got;
	memset(&h->receive, 0, sizeof(h->receive));
	h->receive_iov[0] = (struct iovec){.iov_base = c->slot->ring + got,
					   .iov_len = CTF_DATA_HEADER_SIZE - got};
	h->receive.msg_hdr.msg_iov = h->receive_iov;
	h->receive.msg_hdr.msg_iovlen = 1;
	conversation_commit(c->slot);
	do
		r = recvmmsg(c->fd, &h->receive, 1, MSG_DONTWAIT, NULL);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	if (!h->receive.msg_len)
		return 0;
	if (conversation_received(h) >= CTF_DATA_HEADER_SIZE)
		return 1;
	acknowledge(c);
	return -EAGAIN;
}

/* Bytes of the header. 1: it is whole; 0: the connection has ended; -EAGAIN, or another errno. */
static int receive_header(struct ctf_connection *c)
{
	int r;

	uv_mutex_lock(&c->worker->sockets);
	r = receive_locked(c);
	uv_mutex_unlock(&c->worker->sockets);
	return r;
}

static enum close_reason reason_of(ssize_t r)
{
	if (r == 0)
		return CLOSE_eof;
	return r == -ETIMEDOUT ? CLOSE_keep_alive : CLOSE_reset;
}

/* False: nothing more to do for this connection in this turn. @late: it has waited too long. */
static bool begin_packet(struct ctf_connection *c, bool late)
{
	int r = receive_header(c);

	if (r == -EAGAIN)
		return false;
	if (r <= 0) {
		ctf_connection_end(c, reason_of(r));
		return false;
	}
	(void)ctf_order_apply(c->source);
	r = ctf_packet_begin(c, late);
	if (r == -EAGAIN) {
		c->waiting = true;
		uv_poll_stop(&c->poll);
		return false;
	}
	if (r > 0) {
		ctf_connection_end(c, (enum close_reason)(r - 1));
		return false;
	}
	return true;
}

static void turn(struct ctf_connection *c, bool late)
{
	ssize_t n;

	if (phase(c) == CTF_DATA_HEADER && !begin_packet(c, late))
		return;
	if (payload_left(c)) {
		n = ctf_packet_move(c);
		if (n == -EAGAIN) {
			acknowledge(c);
			return;
		}
		if (n <= 0) {
			ctf_connection_end(c, reason_of(n));
			return;
		}
	}
	if (payload_left(c))
		return;
	ctf_packet_finish(c->source, c->slot);
	(void)ctf_order_apply(c->source);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
	struct ctf_connection *c = poll->data;
	struct ctf_source *s = c->source;
	struct worker *w = s->worker;

	(void)status;
	(void)events;
	if (c->closing || c->waiting)
		return;
	c->progress_ms = ctf_now_ms();
	worker_turn_begin(w);
	(void)ctf_hold_join(c);
	turn(c, false);
	ctf_source_run(s);
	worker_turn_end(w);
}

/* A header or packet has begun. */
static bool inside(const struct ctf_connection *c)
{
	return phase(c) != CTF_DATA_HEADER || conversation_received(conversation_now(c->slot));
}

/* What its packet waited for is there, or is not waited for any more. */
static void wake(struct ctf_connection *c, bool late)
{
	c->waiting = false;
	uv_poll_start(&c->poll, UV_READABLE, on_ready);
	/* The header is here already; readable or not, it is this connection's turn. */
	turn(c, late);
}

static void tick(struct ctf_connection *c, int64_t now)
{
	const struct worker_config *config = &c->worker->config;
	int64_t stall = (int64_t)config->stall_timeout_ms;
	int64_t most = (int64_t)config->max_stall_ms;

	if (!c->progress_ms)
		c->progress_ms = now; /* handed over */
	if (c->closing)
		return;
	if (c->waiting && most && now - c->progress_ms >= most)
		wake(c, true);
	else if (!c->waiting && stall && inside(c) && now - c->progress_ms >= stall)
		ctf_connection_end(c, CLOSE_stall_timeout);
}

void ctf_connection_tick(struct ctf_source *s)
{
	struct ctf_connection *c, *next;

	(void)ctf_order_apply(s);
	ctf_connection_resume(s); /* and join, before anything is too late */
	cds_list_for_each_entry_safe (c, next, &s->connections, node)
		tick(c, ctf_now_ms());
}

void ctf_connection_resume(struct ctf_source *s)
{
	struct ctf_connection *c;

	cds_list_for_each_entry (c, &s->connections, node) {
		if (c->closing)
			continue;
		(void)ctf_hold_join(c);
		if (c->waiting)
			wake(c, false);
	}
}

/* A packet under way: its stream takes no other connection's. */
static void claim_stream(struct ctf_connection *c)
{
	struct ctf_stream *t;
	struct ctf_data d;

	memcpy(&d, conversation_now(c->slot)->dialect, sizeof(d));
	t = d.phase && d.stream ? ctf_source_stream(c->source, d.stream - 1, d.stream_id) : NULL;
	if (!t)
		return;
	t->connection = c;
	t->fed_by = c->ref.id;
	t->orphan = false;
}

/* ---- its life ---- */

struct ctf_connection *ctf_connection_new(struct worker *w, struct state_ref ref, int fd)
{
	struct conversation_slot *slot = state_conversation(w->st, ref);
	struct ctf_connection *c;
	struct ctf_data d;

	if (!slot || atomic_load(&slot->done)) {
		close(fd);
		return NULL;
	}
	c = calloc(1, sizeof(*c));
	if (!c) { /* nothing can go on without: the next relayd starts from the state memory */
		log_error("no-memory", "no memory for a data connection");
		abort();
	}
	memcpy(&d, conversation_now(slot)->dialect, sizeof(d));
	c->worker = w;
	c->slot = slot;
	c->ref = ref;
	c->fd = fd;
	c->taken = d.done;
	if (w->left_connection.id == ref.id && w->left_connection.index == ref.index &&
	    d.phase != CTF_DATA_HEADER)
		c->taken = w->left_taken;
	uv_mutex_lock(&w->sockets);
	cds_list_add_tail(&c->all, &w->ctf_connections);
	uv_mutex_unlock(&w->sockets);
	return c;
}

void ctf_connection_free(struct ctf_connection *c)
{
	uv_mutex_lock(&c->worker->sockets);
	cds_list_del(&c->all);
	uv_mutex_unlock(&c->worker->sockets);
	close(c->fd);
	free(c);
}

static void refuse(struct ctf_connection *c, enum close_reason why)
{
	struct worker *w = c->worker;
	struct conversation_slot *slot = c->slot;
	struct state_ref ref = c->ref;

	uv_mutex_lock(&w->sockets);
	c->closing = true;
	uv_mutex_unlock(&w->sockets);
	if (!conversation_now(slot)->closing)
		counters_add_close(w->counters, why);
	note_closing(slot, why);
	shutdown(c->fd, SHUT_RDWR);
	ctf_connection_free(c);
	atomic_store(&slot->done, 1);
	w->config.events->connection_closed(w->config.ctx, ref);
}

void ctf_connection_attach(struct ctf_connection *c)
{
	struct worker *w = c->worker;
	uint32_t source = atomic_load(&c->slot->source);
	struct source_slot *source_slot = source ? &w->st->source[source - 1] : NULL;

	if (source_slot)
		c->source = ctf_source_get(w, state_ref_of_source(w->st, source_slot));
	if (!c->source) {
		refuse(c, CLOSE_unknown_stream);
		return;
	}
	if (uv_poll_init(&w->loop, &c->poll, c->fd) < 0) {
		refuse(c, CLOSE_no_memory);
		return;
	}
	c->poll.data = c;
	cds_list_add_tail(&c->node, &c->source->connections);
	atomic_fetch_add(&w->open_streams, 1);
	claim_stream(c);
	uv_poll_start(&c->poll, UV_READABLE, on_ready);
	if (conversation_now(c->slot)->closing) { /* a killed relayd had got so far */
		ctf_connection_end(c, (enum close_reason)(conversation_now(c->slot)->closing - 1));
	} else {
		(void)ctf_hold_join(c);
		turn(c, false); /* the header may be all that is ever readable */
	}
	ctf_source_run(c->source);
}
