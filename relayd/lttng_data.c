/* SPDX-License-Identifier: MIT */
/*
 * lttng_data.c - a data connection of LTTng until its first packet header has come.
 *
 * Nobody says whose data connection it is: the stream in its first header does. The header is
 * received into the slot's ring, exactly its 32 bytes; then `source` is set in the slot, and
 * connection and slot belong to that source's worker. Until then silence is legal for ever (a
 * session may record nothing for months), but a header that has begun must go on.
 * Thread: the front loop's.
 * Source: doc/protocol.md "LTTng: data connections". Test: tests/wire/lttng.py.
 */
#include "relayd/lttng_data.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/wire.h"
#include "relayd/conversation_step.h"
#include "relayd/relay.h"

struct lttng_data {
	struct relay *relay;
	struct conversation_slot *slot;
	struct state_ref ref;
	int fd; /* -1: given to a worker */
	uv_poll_t poll;
	uv_timer_t timer; /* runs while a header has begun */
	unsigned handles; /* not yet closed */
	bool leaving;
};

static int64_t monotonic_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---- the end here ---- */

static void on_handle_closed(uv_handle_t *handle)
{
	struct lttng_data *d = handle->data;

	if (--d->handles)
		return;
	if (d->fd >= 0) {
		close(d->fd);
		atomic_store(&d->slot->done, 1);
		link_send(d->relay,
			  &(struct link_message){
				  .type = LINK_DONE, .kind = LINK_DONE_CONVERSATION, .ref = d->ref},
			  -1);
	}
	free(d);
}

static void leave(struct lttng_data *d)
{
	d->leaving = true;
	uv_poll_stop(&d->poll);
	uv_close((uv_handle_t *)&d->poll, on_handle_closed);
	uv_close((uv_handle_t *)&d->timer, on_handle_closed);
}

static void end(struct lttng_data *d, enum close_reason reason)
{
	static struct log_limit limit = LOG_LIMIT_USUAL;
	char peer[ADDR_TEXT_MAX];
	struct log_about about = {.connection = d->ref.id,
				  .peer = addr_format(&d->slot->peer, peer),
				  .reason = close_reason_name(reason)};
	struct conversation_half *h = conversation_begin(d->slot);

	h->closing = 1 + reason;
	conversation_commit_step(d->slot);
	counters_add_close(d->relay->counters, reason);
	log_limited(&limit, close_reason_is_error(reason) ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO,
		    &about, "closed", "data connection: %s", close_reason_sentence(reason));
	(void)shutdown(d->fd, SHUT_RDWR);
	leave(d);
}

/* ---- the header ---- */

static size_t received(const struct lttng_data *d)
{
	return (size_t)conversation_received(conversation_now(d->slot));
}

/* 1: something came; 0: nothing more for now; negative errno; -EPIPE: end of file. */
static int receive(struct lttng_data *d, int64_t now)
{
	struct conversation_half *next;
	size_t got;
	int n;

	conversation_fold(d->slot, now);
	got = received(d);
	next = conversation_begin(d->slot);
	next->receive_iov[0] = (struct iovec){.iov_base = d->slot->ring + got,
					      .iov_len = CTF_DATA_HEADER_SIZE - got};
	next->receive.msg_hdr.msg_iov = next->receive_iov;
	next->receive.msg_hdr.msg_iovlen = 1;
	conversation_commit_step(d->slot);
	do
		n = recvmmsg(d->fd, &next->receive, 1, MSG_DONTWAIT, NULL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	return next->receive.msg_len ? 1 : -EPIPE;
}

/* The source whose stream the header names, if it comes from that source's host. */
static struct source_slot *find_source(struct lttng_data *d)
{
	struct wire_reader r = wire_reader_init(d->slot->ring, CTF_DATA_HEADER_SIZE);
	struct stream_slot *stream;
	struct source_slot *source;
	uint64_t handle;

	wire_skip(&r, 8); /* circuit id */
	handle = wire_get_u64(&r);
	stream = state_stream(&d->relay->st, (struct state_ref){.index = ctf_handle_index(handle),
								.id = ctf_handle_id(handle)});
	source = stream ? state_source(&d->relay->st, stream->source) : NULL;
	if (!source || source->protocol != PROTOCOL_LTTNG ||
	    !addr_same_host(&source->peer, &d->slot->peer) || !atomic_load(&source->worker) ||
	    atomic_load(&source->done))
		return NULL;
	return source;
}

static void give_to_worker(struct lttng_data *d, struct source_slot *source)
{
	struct relay *r = d->relay;
	uint32_t w = atomic_load(&source->worker);
	int fd = d->fd;

	d->fd = -1;
	leave(d); /* out of this loop's epoll before another's */
	worker_connection(r->workers[w - 1], d->ref, fd);
}

static void turn(struct lttng_data *d)
{
	int64_t now = monotonic_ms(), stall = d->relay->limits.stall_timeout_ms;
	struct source_slot *source;
	int r = 1;

	if (d->leaving)
		return;
	while (r > 0 && received(d) < CTF_DATA_HEADER_SIZE)
		r = receive(d, now);
	if (received(d) == CTF_DATA_HEADER_SIZE) {
		source = find_source(d);
		if (!source) {
			end(d, CLOSE_unknown_stream);
			return;
		}
		atomic_store(&d->slot->source,
			     1 + state_ref_of_source(&d->relay->st, source).index);
		give_to_worker(d, source);
	} else if (r < 0) {
		end(d, r == -EPIPE ? CLOSE_eof : r == -ETIMEDOUT ? CLOSE_keep_alive : CLOSE_reset);
	} else if (received(d) && stall && now - conversation_now(d->slot)->last_byte_ms >= stall) {
		end(d, CLOSE_stall_timeout);
	}
}

static void on_timer(uv_timer_t *timer)
{
	turn(timer->data);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
	struct lttng_data *d = poll->data;
	uint64_t stall = (uint64_t)d->relay->limits.stall_timeout_ms;

	(void)status;
	(void)events;
	turn(d);
	if (!d->leaving && stall && received(d))
		uv_timer_start(&d->timer, on_timer, stall, stall);
}

void lttng_data_new(struct relay *r, struct state_ref ref, int fd)
{
	struct conversation_slot *slot = state_conversation(&r->st, ref);
	uint32_t has = slot ? atomic_load(&slot->source) : 0;
	uint32_t w = has ? atomic_load(&r->st.source[has - 1].worker) : 0;
	struct lttng_data *d;

	if (!slot || atomic_load(&slot->done)) {
		close(fd);
		return;
	}
	if (w) { /* an earlier relayd had got so far */
		worker_connection(r->workers[w - 1], ref, fd);
		return;
	}
	d = calloc(1, sizeof(*d));
	if (!d || uv_poll_init(&r->loop, &d->poll, fd) < 0) {
		close(fd);
		free(d);
		return;
	}
	uv_timer_init(&r->loop, &d->timer);
	d->relay = r;
	d->slot = slot;
	d->ref = ref;
	d->fd = fd;
	d->handles = 2;
	d->poll.data = d->timer.data = d;
	counters_add(r->counters, COUNTER_connections_stream, 1);
	conversation_open(slot);
	if (conversation_now(slot)->closing) { /* a killed relayd had got so far */
		end(d, (enum close_reason)(conversation_now(slot)->closing - 1));
		return;
	}
	uv_poll_start(&d->poll, UV_READABLE, on_ready);
	on_ready(&d->poll, 0, 0);
}
