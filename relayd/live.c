/* SPDX-License-Identifier: MIT */
/*
 * live.c - see live.h.
 *
 *   handed over --> OPEN --end of any kind--> CLOSING --handles closed--> freed, slot done
 *
 * What a connection does is decided by live_turn.h over its slots; here are its socket, its files
 * and the memory of its reply, which is real only while the reply is being sent.
 */
#include "relayd/live.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <urcu.h>
#include <urcu/compiler.h>
#include <uv.h>

#include "common/log.h"
#include "common/mpsc.h"
#include "relayd/live_catalog.h"
#include "relayd/live_files.h"
#include "relayd/live_turn.h"

/* A connection on its way to the thread, or a source that is to be released. */
struct arrival {
	struct mpsc_node node;
	struct state_ref ref;
	int fd; /* owned; -1: ref is a source */
};

/* A source that has ended, and may have viewers. */
struct leaving {
	struct state_ref ref;
	int64_t since_ms; /* its end, or when a viewer last got something of it */
	struct leaving *next;
};

struct viewer {
	struct live *live;
	struct conversation_slot *slot;
	struct viewer_slot *memory;
	struct state_ref ref;
	struct live_files *files;
	int fd;
	uv_poll_t poll;
	uv_timer_t timer;
	unsigned handles; /* not yet closed */
	int polled;       /* events asked of the loop */
	size_t touched;   /* bytes of the reply that are real */
	bool closing;
	struct viewer *next, **link; /* of the list of all that are open */
};

struct live {
	struct live_config config;
	uv_thread_t thread;
	uv_loop_t loop;
	uv_async_t wake;
	struct mpsc arrivals;
	_Atomic bool stop;
	struct viewer *viewers;
	struct viewer **at; /* by conversation slot index; NULL: none */
	struct leaving *leaving;
	uv_timer_t look; /* at those */
};

static int64_t monotonic_ms(void)
{
	return (int64_t)(uv_hrtime() / 1000000);
}

/* ---- sources that have ended ---- */

#define LOOK_MS 100

static bool is_viewed(const struct live *l, const struct leaving *e)
{
	const struct source_slot *slot = state_source(l->config.st, e->ref);
	const struct session_slot *session = slot ? state_session_of(l->config.st, slot) : NULL;

	int64_t patience = l->config.patience_ms;

	if (!slot || (session && atomic_load(&session->ending)) ||
	    (patience && monotonic_ms() - e->since_ms >= patience))
		return false;
	for (const struct viewer *v = l->viewers; v; v = v->next) {
		struct live_viewer s;

		live_turn_viewer(v->slot, &s);
		if (live_viewer_needs(&s, v->memory, conversation_now(v->slot)->consumed,
				      ctf_handle(e->ref.index, e->ref.id)))
			return true;
	}
	return false;
}

static void on_look(uv_timer_t *timer)
{
	struct live *l = timer->data;

	for (struct leaving **at = &l->leaving, *e; (e = *at);) {
		if (is_viewed(l, e)) {
			at = &e->next;
			continue;
		}
		*at = e->next;
		l->config.released(l->config.ctx, e->ref);
		free(e);
	}
	if (!l->leaving)
		uv_timer_stop(timer);
}

static void begin_leaving(struct live *l, struct state_ref source)
{
	struct leaving *e = calloc(1, sizeof(*e));

	if (!e) {
		l->config.released(l->config.ctx, source);
		return;
	}
	e->ref = source;
	e->since_ms = monotonic_ms();
	e->next = l->leaving;
	l->leaving = e;
	(void)uv_timer_start(&l->look, on_look, LOOK_MS, LOOK_MS); /* cannot fail */
	on_look(&l->look);
}

/* A viewer has got something of a session. Of one that has ended there is not much more. */
static void note_progress(struct live *l, uint64_t session)
{
	for (struct leaving *e = l->leaving; e; e = e->next)
		if (ctf_handle(e->ref.index, e->ref.id) == session)
			e->since_ms = monotonic_ms();
}

/* ---- facts; ctx: the viewer ---- */

static uint32_t count_clients(const struct live *l, uint64_t session)
{
	uint32_t n = 0;

	for (const struct viewer *v = l->viewers; v; v = v->next) {
		struct live_viewer s;

		live_turn_viewer(v->slot, &s);
		n += live_viewer_attached(&s, v->memory, conversation_now(v->slot)->consumed,
					  session);
	}
	return n;
}

static bool fact_next_session(void *ctx, uint32_t *at, struct live_session *ret)
{
	const struct live *l = ((struct viewer *)ctx)->live;

	if (!live_catalog_next_session(l->config.st, at, ret))
		return false;
	ret->entry.clients = count_clients(l, ret->entry.id);
	return true;
}

static bool fact_session(void *ctx, uint64_t handle, struct live_session *ret)
{
	return live_catalog_session(((struct viewer *)ctx)->live->config.st, handle, ret);
}

static bool fact_next_stream(void *ctx, uint64_t session, struct stream_walk *walk,
			     struct live_stream *ret)
{
	return live_catalog_next_stream(((struct viewer *)ctx)->live->config.st, session, walk,
					ret);
}

static void fact_untold(void *ctx, uint64_t session, const struct stream_walk *told,
			struct live_untold *ret)
{
	live_catalog_untold(((struct viewer *)ctx)->live->config.st, session, told, ret);
}

static bool fact_stream(void *ctx, uint64_t handle, struct live_stream *ret)
{
	return live_catalog_stream(((struct viewer *)ctx)->live->config.st, handle, ret);
}

static void fact_start(void *ctx, struct viewer_cursor *c, bool now)
{
	struct viewer *v = ctx;

	/* Before the viewer can have the index of any packet. */
	atomic_store(&v->live->config.st->ctf_source[ctf_handle_index(c->session)].viewed, 1);
	note_progress(v->live, c->session);
	live_files_start(v->files, c, now);
}

static enum live_next fact_next(void *ctx, uint32_t i, struct viewer_cursor *c,
				struct live_record *ret)
{
	struct viewer *v = ctx;
	enum live_next r = live_files_next(v->files, i, c, ret);

	if (r == LIVE_NEXT_RECORD)
		note_progress(v->live, c->session);
	return r;
}

static int fact_packet(void *ctx, uint32_t i, const struct viewer_cursor *c, uint64_t offset,
		       uint32_t len, uint8_t *to)
{
	return live_files_packet(((struct viewer *)ctx)->files, i, c, offset, len, to);
}

static int fact_metadata(void *ctx, uint32_t i, struct viewer_cursor *c, uint8_t *to, uint32_t max,
			 bool *ret_over)
{
	struct viewer *v = ctx;
	int r = live_files_metadata(v->files, i, c, to, max, ret_over);

	if (r > 0 && to)
		note_progress(v->live, c->session);
	return r;
}

/* Pages that must not fail once they are written to; more than asked, in steps. */
static int fact_room(void *ctx, size_t len)
{
	struct viewer *v = ctx;
	size_t want = (len + STATE_PAGE - 1) & ~(size_t)(STATE_PAGE - 1);
	int r;

	if (len <= v->touched)
		return 0;
	r = state_touch(v->live->config.st, v->memory->reply, want);
	if (r == 0)
		v->touched = want;
	return r < 0 ? -ENOMEM : 0;
}

static const struct live_facts facts = {
	.next_session = fact_next_session,
	.session = fact_session,
	.next_stream = fact_next_stream,
	.untold = fact_untold,
	.stream = fact_stream,
	.start = fact_start,
	.next = fact_next,
	.packet = fact_packet,
	.metadata = fact_metadata,
	.room = fact_room,
};

/* ---- the end ---- */

/* The peer hears of it before the slot is done: sessiond-lite holds a duplicate till then. */
static void hang_up(struct live *l, struct state_ref ref, struct conversation_slot *slot, int fd)
{
	(void)shutdown(fd, SHUT_RDWR);
	close(fd);
	atomic_store(&slot->done, 1);
	l->config.closed(l->config.ctx, ref);
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct viewer *v = handle->data;

	if (--v->handles)
		return;
	hang_up(v->live, v->ref, v->slot, v->fd);
	live_files_free(v->files);
	free(v);
}

static void note_end(struct live *l, struct state_ref ref, struct conversation_slot *slot)
{
	static struct log_limit limit = LOG_LIMIT_USUAL;
	enum close_reason reason = (enum close_reason)(conversation_now(slot)->closing - 1);
	char peer[ADDR_TEXT_MAX];
	struct log_about about = {.connection = ref.id,
				  .peer = addr_format(&slot->peer, peer),
				  .reason = close_reason_name(reason)};

	counters_add_close(l->config.counters, reason);
	log_limited(&limit, close_reason_is_error(reason) ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO,
		    &about, "closed", "%s", close_reason_sentence(reason));
}

/* The closing step is committed. */
static void finish(struct viewer *v)
{
	if (v->closing)
		return;
	v->closing = true;
	note_end(v->live, v->ref, v->slot);
	v->live->at[v->ref.index] = NULL;
	*v->link = v->next;
	if (v->next)
		v->next->link = v->link;
	state_release(v->live->config.st, v->memory, sizeof(*v->memory));
	uv_close((uv_handle_t *)&v->poll, on_handle_closed);
	uv_close((uv_handle_t *)&v->timer, on_handle_closed);
}

/* ---- the turn ---- */

static void receive_some(struct viewer *v)
{
	struct mmsghdr *m = conversation_prepare_receive(v->slot, monotonic_ms());
	int n;

	if (!m)
		return;
	do
		n = recvmmsg(v->fd, m, 1, MSG_DONTWAIT, NULL);
	while (n < 0 && errno == EINTR);
	if (n == 1 && m->msg_len > 0)
		return;
	if (n == 1)
		conversation_note_eof(v->slot, CLOSE_none);
	else if (errno != EAGAIN)
		conversation_note_eof(v->slot, errno == ETIMEDOUT ? CLOSE_keep_alive : CLOSE_reset);
}

/* Whether the reply is sent (or given up). */
static bool send_some(struct viewer *v)
{
	struct mmsghdr *m;

	while ((m = live_turn_prepare_send(v->slot, v->memory))) {
		if (sendmmsg(v->fd, m, 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1 || errno == EINTR)
			continue;
		if (errno == EAGAIN)
			return false;
		/* It has gone away, whatever it may still have sent before. */
		live_turn_close(v->slot, errno == ETIMEDOUT ? CLOSE_keep_alive : CLOSE_reset);
		return true;
	}
	if (v->touched > STATE_PAGE) {
		state_release(v->live->config.st, v->memory->reply + STATE_PAGE,
			      v->touched - STATE_PAGE);
		v->touched = STATE_PAGE;
	}
	return true;
}

static void turn(struct viewer *v);

static void on_ready(uv_poll_t *poll, int status, int events)
{
	struct viewer *v = poll->data;

	(void)status; /* an error shows in the calls */
	if (events & UV_READABLE || status < 0)
		receive_some(v);
	turn(v);
}

static void ask_loop(struct viewer *v, unsigned wants)
{
	int events = (wants & CONVERSATION_RECEIVE ? UV_READABLE : 0) |
		     (wants & CONVERSATION_SEND ? UV_WRITABLE : 0);

	if (events == v->polled)
		return;
	if (uv_poll_start(&v->poll, events, on_ready) < 0) {
		live_turn_close(v->slot, CLOSE_no_memory);
		finish(v);
		return;
	}
	v->polled = events;
}

/* Answer what was received. A request behind another waits for the next turn: the socket or what
 * is left of the reply will call for it, or the one that is whole in the ring is answered here. */
static void turn(struct viewer *v)
{
	unsigned wants;

	if (v->closing)
		return;
	do
		wants = live_turn_run(v->slot, v->memory, &facts, v);
	while (wants == CONVERSATION_SEND && send_some(v));
	if (wants & CONVERSATION_ENDED)
		finish(v);
	else
		ask_loop(v, wants);
}

static void on_handshake_over(uv_timer_t *timer)
{
	struct viewer *v = timer->data;
	struct live_viewer s;

	live_turn_viewer(v->slot, &s);
	if (v->closing || s.state != LIVE_VIEWER_HELLO)
		return;
	live_turn_close(v->slot, CLOSE_handshake_timeout);
	finish(v);
}

/* ---- arrivals ---- */

static int start_handshake_timer(struct viewer *v)
{
	int64_t left = v->slot->accepted_ms + v->live->config.handshake_ms - monotonic_ms();

	if (!v->live->config.handshake_ms)
		return 0;
	return uv_timer_start(&v->timer, on_handshake_over, left > 0 ? (uint64_t)left : 0, 0);
}

/* Takes fd, if 0 is returned. */
static int open_viewer(struct live *l, struct state_ref ref, struct conversation_slot *slot, int fd)
{
	struct viewer *v = calloc(1, sizeof(*v));
	int r = -ENOMEM;

	if (!v)
		return -ENOMEM;
	v->live = l;
	v->slot = slot;
	v->memory = &l->config.st->viewer[ref.index];
	v->ref = ref;
	v->fd = fd;
	v->files = live_files_new(l->config.st, l->config.output_fd);
	if (v->files)
		r = state_touch(l->config.st, v->memory, offsetof(struct viewer_slot, reply));
	if (r == 0)
		r = uv_poll_init(&l->loop, &v->poll, fd);
	if (r < 0) {
		live_files_free(v->files);
		free(v);
		return r;
	}
	(void)uv_timer_init(&l->loop, &v->timer); /* cannot fail */
	v->poll.data = v->timer.data = v;
	v->handles = 2;
	v->touched = conversation_now(slot)->reply_len; /* of an earlier process */
	v->link = &l->viewers;
	v->next = l->viewers;
	if (v->next)
		v->next->link = &v->next;
	l->viewers = v;
	l->at[ref.index] = v;
	(void)start_handshake_timer(v);
	live_turn_open(slot, v->memory);
	turn(v);
	return 0;
}

static void on_arrival(struct mpsc_node *node, void *ctx)
{
	struct arrival *a = caa_container_of(node, struct arrival, node);
	struct live *l = ctx;
	struct conversation_slot *slot;
	int r;

	if (a->fd < 0) {
		if (!atomic_load(&l->stop))
			begin_leaving(l, a->ref);
		free(a);
		return;
	}
	slot = state_conversation(l->config.st, a->ref);
	if (!slot || atomic_load(&slot->done) || l->at[a->ref.index] || atomic_load(&l->stop)) {
		close(a->fd); /* it is over, or was handed over before, or all is over */
		free(a);
		return;
	}
	counters_add(l->config.counters, COUNTER_connections_live, 1);
	r = open_viewer(l, a->ref, slot, a->fd);
	if (r < 0) {
		live_turn_close(slot, CLOSE_no_memory);
		note_end(l, a->ref, slot);
		hang_up(l, a->ref, slot, a->fd);
	}
	free(a);
}

static void on_wake(uv_async_t *wake)
{
	struct live *l = wake->data;

	mpsc_drain(&l->arrivals, on_arrival, l);
	if (!atomic_load(&l->stop) || uv_is_closing((uv_handle_t *)wake))
		return;
	while (l->viewers) {
		struct viewer *v = l->viewers;

		live_turn_close(v->slot, CLOSE_shutdown);
		finish(v);
	}
	while (l->leaving) {
		struct leaving *e = l->leaving;

		l->leaving = e->next;
		free(e);
	}
	uv_close((uv_handle_t *)&l->look, NULL);
	uv_close((uv_handle_t *)wake, NULL);
}

/* ---- start and stop ---- */

static void thread_main(void *arg)
{
	struct live *l = arg;

	pthread_setname_np(pthread_self(), "live");
	rcu_register_thread();
	uv_run(&l->loop, UV_RUN_DEFAULT);
	rcu_unregister_thread();
}

int live_start(const struct live_config *config, struct live **ret)
{
	struct live *l = calloc(1, sizeof(*l));
	int r = -ENOMEM;

	if (!l)
		return -ENOMEM;
	l->config = *config;
	mpsc_init(&l->arrivals);
	l->at = calloc(config->st->header->capacity.conversations + 1, sizeof(struct viewer *));
	if (!l->at)
		goto no_loop;
	r = uv_loop_init(&l->loop);
	if (r < 0)
		goto no_loop;
	r = uv_async_init(&l->loop, &l->wake, on_wake);
	if (r < 0)
		goto no_wake;
	l->wake.data = l;
	(void)uv_timer_init(&l->loop, &l->look); /* cannot fail */
	l->look.data = l;
	r = uv_thread_create(&l->thread, thread_main, l);
	if (r < 0)
		goto no_thread;
	*ret = l;
	return 0;
no_thread:
	uv_close((uv_handle_t *)&l->look, NULL);
	uv_close((uv_handle_t *)&l->wake, NULL);
	uv_run(&l->loop, UV_RUN_DEFAULT);
no_wake:
	uv_loop_close(&l->loop);
no_loop:
	mpsc_fini(&l->arrivals);
	free(l->at);
	free(l);
	return r;
}

static int arrive(struct live *l, struct state_ref ref, int fd)
{
	struct arrival *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->ref = ref;
	a->fd = fd;
	if (mpsc_push(&l->arrivals, &a->node))
		uv_async_send(&l->wake);
	return 0;
}

int live_connection(struct live *l, struct state_ref conversation, int fd)
{
	return arrive(l, conversation, fd);
}

int live_release(struct live *l, struct state_ref source)
{
	return arrive(l, source, -1);
}

void live_stop(struct live *l)
{
	atomic_store(&l->stop, true);
	uv_async_send(&l->wake);
	uv_thread_join(&l->thread);
	mpsc_drain(&l->arrivals, on_arrival, l); /* none, if nobody hands over any more */
	mpsc_fini(&l->arrivals);
	uv_loop_close(&l->loop);
	free(l->at);
	free(l);
}
