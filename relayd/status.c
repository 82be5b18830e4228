/* SPDX-License-Identifier: MIT */
/*
 * status.c - the thread that serves status.sock.
 *
 *   FREE --accepted--> SENDING --all sent, hang-up, too slow--> CLOSING --handle closed--> FREE
 *
 * A document is made when a connection is accepted, never before, so it is no older than the
 * connection; those that come at the same time share one. Readers are a fixed array and are written
 * to without waiting: a slow one costs a place, a stalled one loses it, and nobody outside this
 * thread notices either.
 * Thread: its own, but for status_start().
 */
#include "relayd/status.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <urcu.h>
#include <urcu/compiler.h>
#include <uv.h>

#include "common/counters.h"
#include "relayd/relay.h"
#include "relayd/status_document.h"

#define READERS_MAX      64
#define READER_STALL_MS  10000       /* without taking a byte */
#define READER_YIELD_MS  500         /* the same, where others find no place */
#define SEND_AT_ONCE_MAX (256 << 10) /* bytes to one reader before the next one's turn */

/* One document, for all readers that came together. */
struct edition {
	unsigned readers;
	size_t len;
	char *text;
};

enum reader_state { READER_FREE, READER_SENDING, READER_CLOSING };

struct reader {
	enum reader_state state;
	int fd;
	uv_poll_t poll;
	struct edition *edition;
	size_t sent;
	int64_t moved_ms; /* when it took bytes last */
	struct status_server *server;
};

struct status_server {
	struct relay *relay;
	uv_thread_t thread;
	uv_loop_t loop;
	uv_poll_t listener;
	uv_timer_t tick;
	int listen_fd;
	bool listening; /* not so while no descriptor is left */
	struct status_rates *rates;
	json_t *limits;
	int64_t *busy_since_ms; /* [worker_count] */
	int64_t started_ms, started_ns;
	struct status_readers counts;
	struct reader reader[READERS_MAX];
};

static int64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int64_t monotonic_ms(void)
{
	return clock_ns(CLOCK_MONOTONIC) / 1000000;
}

/* ---- editions ---- */

static struct edition *make_edition(struct status_server *s)
{
	struct relay *r = s->relay;
	struct edition *e = calloc(1, sizeof(*e));
	struct status_view view = {.st = &r->st,
				   .rates = s->rates,
				   .limits = s->limits,
				   .busy_since_ms = s->busy_since_ms,
				   .leases = stream_table_count(r->streams),
				   .pid = getpid(),
				   .synced = r->synced,
				   .now_ns = clock_ns(CLOCK_REALTIME),
				   .started_ns = s->started_ns,
				   .now_ms = monotonic_ms(),
				   .started_ms = s->started_ms,
				   .readers = s->counts};

	if (!e)
		return NULL;
	for (unsigned i = 0; i < r->worker_count; i++)
		s->busy_since_ms[i] = worker_busy_since_ms(r->workers[i]);
	if (status_document(&view, &e->text, &e->len) < 0) {
		free(e);
		return NULL;
	}
	return e;
}

static void drop_edition(struct edition *e)
{
	if (e && --e->readers == 0) {
		free(e->text);
		free(e);
	}
}

/* ---- readers ---- */

static void on_closed(uv_handle_t *handle)
{
	struct reader *reader = handle->data;

	close(reader->fd);
	reader->state = READER_FREE;
	reader->server->counts.now--;
}

static void finish(struct reader *reader)
{
	reader->state = READER_CLOSING;
	drop_edition(reader->edition);
	reader->edition = NULL;
	uv_close((uv_handle_t *)&reader->poll, on_closed);
}

static void send_some(struct reader *reader)
{
	const struct edition *e = reader->edition;
	size_t budget = SEND_AT_ONCE_MAX;

	while (reader->sent < e->len && budget) {
		size_t len = e->len - reader->sent < budget ? e->len - reader->sent : budget;
		ssize_t n =
			send(reader->fd, e->text + reader->sent, len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) { /* it has gone away */
			finish(reader);
			return;
		}
		reader->sent += (size_t)n;
		reader->moved_ms = monotonic_ms();
		budget -= (size_t)n;
	}
	if (reader->sent == e->len) {
		reader->server->counts.documents++;
		counters_add(reader->server->relay->counters, COUNTER_status_documents, 1);
		finish(reader);
	}
}

static void on_writable(uv_poll_t *poll, int status, int events)
{
	(void)status; /* an error shows in send() */
	(void)events;
	send_some(poll->data);
}

/* A place for one more: READER_FREE, or the one that has waited longest. */
static struct reader *find_place(struct status_server *s)
{
	struct reader *stalest = NULL;

	for (unsigned i = 0; i < READERS_MAX; i++) {
		struct reader *reader = &s->reader[i];

		if (reader->state == READER_FREE)
			return reader;
		if (reader->state == READER_SENDING &&
		    (!stalest || reader->moved_ms < stalest->moved_ms))
			stalest = reader;
	}
	return stalest;
}

static void turn_away(struct status_server *s, int fd)
{
	close(fd);
	s->counts.turned_away++;
}

/* Takes fd. */
static void add_reader(struct status_server *s, struct reader *reader, int fd)
{
	if (uv_poll_init(&s->loop, &reader->poll, fd) < 0) {
		turn_away(s, fd);
		return;
	}
	reader->state = READER_SENDING;
	reader->server = s;
	reader->fd = fd;
	reader->poll.data = reader;
	reader->edition = NULL;
	reader->sent = 0;
	reader->moved_ms = monotonic_ms();
	s->counts.now++;
}

/* Take one connection: 0, or -EAGAIN (enough for this turn), or another negative errno. */
static int accept_one(struct status_server *s)
{
	struct reader *place = find_place(s);
	int fd;

	/* Who holds a place without reading gives it to the next: behind this turn it is free. */
	if (place && place->state == READER_SENDING &&
	    monotonic_ms() - place->moved_ms > READER_YIELD_MS) {
		s->counts.given_up++;
		finish(place);
		return -EAGAIN;
	}
	fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return errno == EINTR || errno == ECONNABORTED ? 0 : -errno;
	if (place && place->state == READER_FREE)
		add_reader(s, place, fd);
	else
		turn_away(s, fd);
	return 0;
}

/* Give those that have just come an edition of their own. */
static void serve_new(struct status_server *s)
{
	struct edition *e = make_edition(s);

	if (e)
		e->readers = 1; /* ours */
	for (unsigned i = 0; i < READERS_MAX; i++) {
		struct reader *reader = &s->reader[i];

		if (reader->state != READER_SENDING || reader->edition)
			continue;
		if (!e || uv_poll_start(&reader->poll, UV_WRITABLE, on_writable) < 0) {
			s->counts.turned_away++;
			finish(reader);
			continue;
		}
		reader->edition = e;
		e->readers++;
		send_some(reader);
	}
	drop_edition(e);
}

static void on_connection(uv_poll_t *poll, int status, int events)
{
	struct status_server *s = poll->data;
	int r = 0;

	(void)status;
	(void)events;
	for (int i = 0; i < READERS_MAX && r == 0; i++)
		r = accept_one(s);
	if (r < 0 && r != -EAGAIN) { /* no descriptor, no memory: it would wake us for ever */
		uv_poll_stop(poll);
		s->listening = false;
	}
	serve_new(s);
}

/* ---- the tick ---- */

static void listen_again(struct status_server *s)
{
	if (!s->listening)
		s->listening = uv_poll_start(&s->listener, UV_READABLE, on_connection) == 0;
}

static void on_tick(uv_timer_t *timer)
{
	struct status_server *s = timer->data;
	int64_t now = monotonic_ms();

	status_rates_sample(s->rates, now);
	for (unsigned i = 0; i < READERS_MAX; i++) {
		struct reader *reader = &s->reader[i];

		if (reader->state == READER_SENDING && now - reader->moved_ms > READER_STALL_MS) {
			s->counts.given_up++;
			finish(reader);
		}
	}
	listen_again(s);
}

/* ---- start ---- */

/* The options in use by name, without what the manual says of them. */
static json_t *make_limits(const struct options *options)
{
	json_t *all = options_to_json(options), *limits = json_object(), *one;
	bool failed = !all || !limits;
	size_t i;

	json_array_foreach (json_object_get(all, "options"), i, one)
		if (json_object_set(limits, json_string_value(json_object_get(one, "name")),
				    json_object_get(one, "value")) < 0)
			failed = true;
	json_decref(all);
	if (failed) {
		json_decref(limits);
		return NULL;
	}
	return limits;
}

static void thread_main(void *arg)
{
	struct status_server *s = arg;

	pthread_setname_np(pthread_self(), "status");
	rcu_register_thread();
	status_rates_sample(s->rates, monotonic_ms());
	uv_run(&s->loop, UV_RUN_DEFAULT);
	rcu_unregister_thread();
}

static int init_handles(struct status_server *s)
{
	int r = uv_loop_init(&s->loop);

	if (r == 0)
		r = uv_poll_init(&s->loop, &s->listener, s->listen_fd); /* sets O_NONBLOCK */
	if (r == 0)
		r = uv_timer_init(&s->loop, &s->tick);
	if (r < 0)
		return r;
	s->listener.data = s->tick.data = s;
	listen_again(s);
	return uv_timer_start(&s->tick, on_tick, STATUS_RATES_EVERY_MS, STATUS_RATES_EVERY_MS);
}

int status_start(struct relay *r, int listen_fd)
{
	struct status_server *s = calloc(1, sizeof(*s));
	int err = -ENOMEM;

	if (!s)
		return -ENOMEM;
	s->relay = r;
	s->listen_fd = listen_fd;
	s->started_ms = monotonic_ms();
	s->started_ns = clock_ns(CLOCK_REALTIME);
	s->busy_since_ms = calloc(r->worker_count + 1, sizeof(*s->busy_since_ms));
	s->rates = status_rates_new(&r->st);
	s->limits = make_limits(r->options);
	if (s->busy_since_ms && s->rates && s->limits)
		err = init_handles(s);
	if (err == 0)
		err = uv_thread_create(&s->thread, thread_main, s);
	if (err < 0) { /* the process ends, and with it the loop */
		status_rates_free(s->rates);
		json_decref(s->limits);
		free(s->busy_since_ms);
		free(s);
		return err;
	}
	r->status = s;
	return 0;
}
