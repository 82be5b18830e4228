/* SPDX-License-Identifier: MIT */
/* acceptor.c - accept4() until nothing waits, and what is done when it fails. */
#include "sessiond-lite/acceptor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"

/* Connections taken from one socket in one turn. */
#define CONNECTIONS_A_TURN 128

/* accept_socket_drain() is bounded by what can wait in a backlog, should somebody pour. */
#define CONNECTIONS_A_DRAIN 8192

#define REST_MS 100

struct accept_socket {
	uv_poll_t poll;
	struct acceptor *acceptor;
	struct accept_socket *prev, *next;
	int fd;
	enum counter counter;
	accept_fn *on_accept;
	void *context;
};

struct acceptor {
	uv_loop_t *loop;
	struct counters *counters;
	uv_timer_t rest;
	bool resting;
	int reserve; /* -1: spent */
	struct accept_socket *sockets;
};

static int reserve_open(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

int acceptor_create(uv_loop_t *loop, struct counters *counters, struct acceptor **ret)
{
	struct acceptor *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return -ENOMEM;
	a->loop = loop;
	a->counters = counters;
	a->reserve = reserve_open();
	if (a->reserve < 0) {
		r = -errno;
		free(a);
		return r;
	}
	uv_timer_init(loop, &a->rest);
	a->rest.data = a;
	*ret = a;
	return 0;
}

static void on_rest_closed(uv_handle_t *h)
{
	free(h->data);
}

void acceptor_free(struct acceptor *a)
{
	if (!a)
		return;
	while (a->sockets)
		accept_socket_close(a->sockets);
	if (a->reserve >= 0)
		close(a->reserve);
	uv_close((uv_handle_t *)&a->rest, on_rest_closed);
}

static void on_readable(uv_poll_t *h, int status, int events);

static void on_rested(uv_timer_t *h)
{
	struct acceptor *a = h->data;

	if (a->reserve < 0)
		a->reserve = reserve_open();
	a->resting = false;
	for (struct accept_socket *s = a->sockets; s; s = s->next)
		uv_poll_start(&s->poll, UV_READABLE, on_readable);
}

static void rest(struct acceptor *a)
{
	if (a->resting)
		return;
	a->resting = true;
	for (struct accept_socket *s = a->sockets; s; s = s->next)
		uv_poll_stop(&s->poll);
	uv_timer_start(&a->rest, on_rested, REST_MS, 0);
}

int acceptor_add(struct acceptor *a, int fd, enum counter counter, accept_fn *on_accept,
		 void *context, struct accept_socket **ret)
{
	struct accept_socket *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	r = uv_poll_init(a->loop, &s->poll, fd);
	if (r < 0) {
		free(s);
		return r;
	}
	s->poll.data = s;
	s->acceptor = a;
	s->fd = fd;
	s->counter = counter;
	s->on_accept = on_accept;
	s->context = context;
	s->next = a->sockets;
	if (s->next)
		s->next->prev = s;
	a->sockets = s;
	if (!a->resting)
		uv_poll_start(&s->poll, UV_READABLE, on_readable);
	*ret = s;
	return 0;
}

static void on_poll_closed(uv_handle_t *h)
{
	free(h->data);
}

void accept_socket_close(struct accept_socket *s)
{
	*(s->prev ? &s->prev->next : &s->acceptor->sockets) = s->next;
	if (s->next)
		s->next->prev = s->prev;
	uv_poll_stop(&s->poll);
	close(s->fd);
	s->fd = -1;
	uv_close((uv_handle_t *)&s->poll, on_poll_closed);
}

int accept_socket_fd(const struct accept_socket *s)
{
	return s->fd;
}

/* Refuse one connection for want of descriptors. Return whether that worked. */
static bool refuse_one(struct accept_socket *s)
{
	static struct log_limit limit = LOG_LIMIT(1, 10000);
	struct acceptor *a = s->acceptor;
	int fd;

	log_limited(&limit, LOG_LEVEL_ERROR, NULL, "no-descriptors",
		    "no descriptors are left, so connections are refused; raise RLIMIT_NOFILE");
	if (a->reserve < 0)
		return false;
	close(a->reserve);
	fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0) {
		close(fd);
		counters_add(a->counters, s->counter, 1);
		counters_add_close(a->counters, CLOSE_no_descriptors);
	}
	a->reserve = reserve_open();
	return fd >= 0 && a->reserve >= 0;
}

static void accept_some(struct accept_socket *s, unsigned most)
{
	struct acceptor *a = s->acceptor;

	for (unsigned i = 0; i < most && !a->resting; i++) {
		struct sockaddr_storage sa;
		socklen_t len = sizeof(sa);
		struct addr peer;
		int fd = accept4(s->fd, (struct sockaddr *)&sa, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0 && errno == EAGAIN)
			return;
		if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
			if (!refuse_one(s))
				rest(a);
			continue;
		}
		if (fd < 0 && (errno == ENOBUFS || errno == ENOMEM)) {
			rest(a);
			return;
		}
		if (fd < 0) /* the connection's own mishap; accept(2) lists many */
			continue;
		if (addr_from_sockaddr((struct sockaddr *)&sa, len, &peer) < 0) {
			close(fd); /* gone already: some kernels give no address then */
			counters_add(a->counters, s->counter, 1);
			counters_add_close(a->counters, CLOSE_reset);
			continue;
		}
		s->on_accept(s->context, fd, &peer);
	}
}

static void on_readable(uv_poll_t *h, int status, int events)
{
	struct accept_socket *s = h->data;

	(void)events;
	accept_some(s, CONNECTIONS_A_TURN);
	if (status < 0) /* libuv's word for POLLERR, and it has stopped polling */
		rest(s->acceptor);
}

void accept_socket_drain(struct accept_socket *s)
{
	accept_some(s, CONNECTIONS_A_DRAIN);
}
