/* SPDX-License-Identifier: MIT */
/* fleet.c - many clients in one epoll loop; see fleet.h. */
#include "tests/bench/fleet.h"

#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/backlog.h"

#define EVENTS 512

struct fleet {
	struct client_setup setup;
	uint32_t count;
	uint32_t open; /* clients that are OPEN or past it */
	uint32_t done;
	uint64_t deadline_ns;
	uint64_t sending;   /* streams short of their goal */
	uint64_t unchecked; /* bytes sent since the backlog was looked at */
	struct client *clients;
};

uint64_t fleet_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

struct fleet *fleet_new(const struct client_setup *setup, uint32_t clients, uint64_t deadline_ns)
{
	struct fleet *f = calloc(1, sizeof(*f));

	if (!f)
		err(1, "out of memory");
	f->setup = *setup;
	f->count = clients;
	f->deadline_ns = deadline_ns;
	f->setup.epoll = epoll_create1(EPOLL_CLOEXEC);
	f->clients = calloc(clients, sizeof(*f->clients));
	if (f->setup.epoll < 0 || !f->clients)
		err(1, "cannot begin");
	for (uint32_t i = 0; i < clients; i++)
		client_init(&f->clients[i], &f->setup, i);
	return f;
}

void fleet_free(struct fleet *f)
{
	if (!f)
		return;
	for (uint32_t i = 0; i < f->count; i++)
		client_free(&f->clients[i]);
	close(f->setup.epoll);
	free(f->clients);
	free(f);
}

static const char *const state_names[] = {
	"new", "talking", "sending metadata", "dialling", "open", "closing", "done"};

/* Do one client's part and keep the counts; r is what came of it. */
static int account(struct fleet *f, struct client *c, enum client_state before, int r)
{
	if (r < 0) {
		warnx("client %u (%s): %s", c->number, state_names[before], strerror(-r));
		return r;
	}
	if (before < CLIENT_OPEN && c->state >= CLIENT_OPEN)
		f->open++;
	if (before < CLIENT_DONE && c->state == CLIENT_DONE)
		f->done++;
	return 0;
}

static int say_close(struct fleet *f, struct client *c)
{
	enum client_state before = c->state;

	return account(f, c, before, client_say_close(c));
}

static int finish_stream(struct fleet *f, struct stream *s, const struct fleet_sending *how)
{
	struct client *c = s->client;
	struct epoll_event quiet = {.events = EPOLLRDHUP, .data.ptr = s};

	f->sending--;
	if (how->close_streams) {
		client_close_stream(s);
		return how->say_close && c->closed == f->setup.cpus ? say_close(f, c) : 0;
	}
	return epoll_ctl(f->setup.epoll, EPOLL_CTL_MOD, s->fd, &quiet) < 0 ? -errno : 0;
}

static int on_sending_stream(struct fleet *f, struct stream *s, uint32_t events,
			     const struct fleet_sending *how)
{
	uint64_t had = s->sent;
	int r;

	if (s->fd < 0 || s->sent >= s->goal)
		return 0;
	if (events & EPOLLRDHUP)
		return account(f, s->client, s->client->state, -ECONNRESET);
	r = how->datagram ? stream_send_datagram(s, how->datagram) : stream_send(s);
	f->unchecked += s->sent - had;
	if (how->backlog && f->unchecked > how->backlog / 16) {
		f->unchecked = 0;
		if (backlog_rest(how->backlog, f->deadline_ns) < 0)
			return -EIO;
	}
	if (r == -EAGAIN)
		return 0;
	if (r == 1)
		return finish_stream(f, s, how);
	return account(f, s->client, s->client->state, r);
}

/* One round of events. With `how`, connected streams send. */
static int turn(struct fleet *f, int timeout_ms, const struct fleet_sending *how)
{
	struct epoll_event events[EVENTS];
	int r, n = epoll_wait(f->setup.epoll, events, EVENTS, timeout_ms);

	if (n < 0 && errno != EINTR)
		return -errno;
	for (int i = 0; i < n; i++) {
		const bool *is_control = events[i].data.ptr; /* the first field of both */
		struct stream *s = events[i].data.ptr;
		struct client *c = *is_control ? events[i].data.ptr : s->client;
		enum client_state before = c->state;

		if (*is_control)
			r = account(f, c, before, client_on_control(c, events[i].events));
		else if (how)
			r = on_sending_stream(f, s, events[i].events, how);
		else
			r = account(f, c, before, client_on_stream(s, events[i].events));
		if (r < 0)
			return r;
	}
	if (fleet_now() > f->deadline_ns) {
		warnx("out of time: %u of %u clients open, %u done, %llu streams sending", f->open,
		      f->count, f->done, (unsigned long long)f->sending);
		return -ETIMEDOUT;
	}
	return 0;
}

int fleet_open(struct fleet *f, uint32_t in_flight)
{
	uint32_t started = 0;
	int r = 0;

	while (r == 0 && f->open < f->count) {
		for (; r == 0 && started < f->count && started - f->open < in_flight; started++) {
			struct client *c = &f->clients[started];

			r = account(f, c, c->state, client_start(c));
		}
		if (r == 0)
			r = turn(f, 100, NULL);
	}
	return r;
}

static int watch_all(struct fleet *f, bool writable)
{
	for (uint32_t i = 0; i < f->count; i++) {
		int r = client_watch_streams(&f->clients[i], writable);

		if (r < 0)
			return r;
	}
	return 0;
}

/* UDP has no pushing back, so a rate is kept: at most what is due, then a rest. */
static int send_at_rate(struct fleet *f, const struct fleet_sending *how)
{
	uint64_t begun = fleet_now(), sent = 0;

	for (uint64_t i = 0; f->sending > 0; i++) {
		struct client *c = &f->clients[i / f->setup.cpus % f->count];
		struct stream *s = &c->streams[i % f->setup.cpus];
		uint64_t due = (uint64_t)((double)(fleet_now() - begun) / 1e9 * (double)how->rate);
		uint64_t had = s->sent;
		int r = sent < due ? on_sending_stream(f, s, 0, how) : turn(f, 1, how);

		if (r < 0)
			return r;
		sent += s->sent - had;
	}
	return 0;
}

int fleet_send(struct fleet *f, const struct fleet_sending *how)
{
	int r;

	for (uint32_t i = 0; i < f->count; i++)
		for (uint32_t cpu = 0; cpu < f->setup.cpus; cpu++) {
			struct stream *s = &f->clients[i].streams[cpu];

			s->goal = how->goal;
			f->sending += s->sent < s->goal;
		}
	if (how->rate)
		return send_at_rate(f, how);
	r = watch_all(f, true);
	while (r == 0 && f->sending > 0)
		r = turn(f, 100, how);
	return r;
}

int fleet_close(struct fleet *f)
{
	int r = 0;

	for (uint32_t i = 0; i < f->count && r == 0; i++) {
		struct client *c = &f->clients[i];

		for (uint32_t cpu = 0; cpu < f->setup.cpus; cpu++)
			client_close_stream(&c->streams[cpu]);
		if (c->state == CLIENT_OPEN)
			r = say_close(f, c);
	}
	while (r == 0 && f->done < f->count)
		r = turn(f, 100, NULL);
	return r;
}
