/* SPDX-License-Identifier: MIT */
/* client.c - one made-up traced host; see client.h. */
#include "tests/bench/client.h"

#include <arpa/inet.h>
#include <assert.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/conversation.h"
#include "tests/bench/metadata.h"

#define REDIAL_TRIES 1000 /* a millisecond apart */

void client_init(struct client *c, const struct client_setup *setup, uint32_t number)
{
	struct pages_stream pages = {
		.seed = setup->seed,
		.client = number,
		.page_size = setup->page_size,
	};

	*c = (struct client){.is_control = true, .number = number, .fd = -1, .setup = setup};
	c->streams = calloc(setup->cpus, sizeof(*c->streams));
	if (!c->streams)
		err(1, "out of memory");
	for (pages.cpu = 0; pages.cpu < setup->cpus; pages.cpu++)
		stream_init(&c->streams[pages.cpu], c, &pages);
}

void client_free(struct client *c)
{
	for (uint32_t cpu = 0; cpu < c->setup->cpus; cpu++)
		stream_close(&c->streams[cpu]);
	if (c->fd >= 0)
		close(c->fd);
	conversation_free(c->talk);
	free(c->streams);
}

static int dial(const struct client *c, int type, uint16_t port)
{
	struct sockaddr_storage to = c->setup->server;
	struct sockaddr_in from = {.sin_family = AF_INET};

	if (port && to.ss_family == AF_INET)
		((struct sockaddr_in *)&to)->sin_port = htons(port);
	else if (port)
		((struct sockaddr_in6 *)&to)->sin6_port = htons(port);
	from.sin_addr.s_addr = htonl(c->setup->source + c->number);
	return stream_dial(type, c->setup->source ? (struct sockaddr *)&from : NULL,
			   (struct sockaddr *)&to, c->setup->server_len);
}

static int watch(const struct client *c, int op, int fd, uint32_t events, void *endpoint)
{
	struct epoll_event e = {.events = events, .data.ptr = endpoint};

	return epoll_ctl(c->setup->epoll, op, fd, &e) < 0 ? -errno : 0;
}

static int stream_is_connected(struct stream *s)
{
	struct client *c = s->client;

	s->connected = true;
	if (++c->connected == c->setup->cpus)
		c->state = CLIENT_OPEN;
	/* A socket that could be written to all the time must not wake the loop. */
	return watch(c, EPOLL_CTL_MOD, s->fd, EPOLLRDHUP, s);
}

/* On loopback a refusal is known at once. Return the descriptor, or why there is none. */
static int dial_stream(const struct client *c, uint16_t port)
{
	int tries = c->setup->redial ? REDIAL_TRIES : 1;

	for (;;) {
		int r = dial(c, c->setup->udp ? SOCK_DGRAM : SOCK_STREAM, port);

		if (r != -ECONNREFUSED || --tries == 0)
			return r;
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
}

static int dial_streams(struct client *c)
{
	const uint16_t *ports = c->talk ? conversation_ports(c->talk) : NULL;

	c->state = CLIENT_DIALLING;
	for (uint32_t cpu = 0; cpu < c->setup->cpus; cpu++) {
		struct stream *s = &c->streams[cpu];
		int r = dial_stream(c, ports ? ports[cpu] : 0);

		if (r < 0)
			return r;
		s->fd = r;
		r = watch(c, EPOLL_CTL_ADD, s->fd, EPOLLOUT | EPOLLRDHUP, s);
		if (r < 0)
			return r;
	}
	return 0;
}

int client_start(struct client *c)
{
	int r;

	assert(c->state == CLIENT_NEW);
	if (c->setup->raw)
		return dial_streams(c);
	c->talk = conversation_new(&(struct conversation_setup){
		.protocol = c->setup->protocol,
		.cpus = c->setup->cpus,
		.page_size = c->setup->page_size,
		.udp = c->setup->udp,
	});
	r = dial(c, SOCK_STREAM, 0);
	if (r < 0)
		return r;
	c->fd = r;
	c->state = CLIENT_TALKING;
	return watch(c, EPOLL_CTL_ADD, c->fd, EPOLLIN, c);
}

/* Send what the conversation has to say, as far as the socket takes it. */
static int flush(struct client *c)
{
	size_t n;
	const uint8_t *p = conversation_output(c->talk, &n);

	while (n > 0) {
		ssize_t r = send(c->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (r < 0 && errno == EAGAIN)
			break;
		if (r < 0)
			return -errno;
		conversation_sent(c->talk, (size_t)r);
		p = conversation_output(c->talk, &n);
	}
	if (n == 0 && c->state == CLIENT_METADATA)
		return dial_streams(c);
	if (n == 0 && c->state == CLIENT_CLOSING) {
		close(c->fd);
		c->fd = -1;
		c->state = CLIENT_DONE;
		return 0;
	}
	return 0;
}

static int watch_control(struct client *c)
{
	size_t n;

	if (c->fd < 0)
		return 0;
	(void)conversation_output(c->talk, &n);
	return watch(c, EPOLL_CTL_MOD, c->fd, n ? EPOLLIN | EPOLLOUT : EPOLLIN, c);
}

static void put_metadata(struct client *c)
{
	struct bytes metadata = {0};
	char node[128];

	snprintf(node, sizeof(node), "%s-%u", c->setup->node, c->number);
	metadata_make(
		&(struct metadata_about){
			.version = (int)c->setup->format,
			.with_options = c->setup->protocol != 1,
			.cpus = c->setup->cpus,
			.page_size = c->setup->page_size,
			.node = node,
			.trace_id = c->setup->seed + c->number,
			.padding = (size_t)c->setup->padding,
		},
		&metadata);
	conversation_put_metadata(c->talk, &metadata);
	bytes_free(&metadata);
	c->state = CLIENT_METADATA;
}

static int receive(struct client *c)
{
	uint8_t buf[8192];
	ssize_t n = recv(c->fd, buf, sizeof(buf), MSG_DONTWAIT);
	int r;

	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	if (n == 0)
		return -ECONNRESET;
	r = conversation_feed(c->talk, buf, (size_t)n);
	if (r == 0 && c->state == CLIENT_TALKING && conversation_ports(c->talk))
		put_metadata(c);
	return r;
}

int client_on_control(struct client *c, uint32_t events)
{
	int r = 0;

	if (c->fd < 0)
		return 0; /* closed by an earlier event of the same round */
	if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
		r = receive(c);
	if (r == 0)
		r = flush(c);
	return r < 0 ? r : watch_control(c);
}

int client_on_stream(struct stream *s, uint32_t events)
{
	int r;

	if (s->fd < 0)
		return 0;
	if (s->connected)
		return events & (EPOLLRDHUP | EPOLLERR | EPOLLHUP) ? -ECONNRESET : 0;
	r = stream_dial_result(s->fd);
	return r > 0 ? stream_is_connected(s) : r;
}

int client_watch_streams(struct client *c, bool writable)
{
	uint32_t events = writable ? EPOLLOUT | EPOLLRDHUP : EPOLLRDHUP;

	for (uint32_t cpu = 0; cpu < c->setup->cpus; cpu++) {
		struct stream *s = &c->streams[cpu];
		int r = s->fd < 0 ? 0 : watch(c, EPOLL_CTL_MOD, s->fd, events, s);

		if (r < 0)
			return r;
	}
	return 0;
}

void client_close_stream(struct stream *s)
{
	if (s->fd < 0)
		return;
	stream_close(s);
	s->client->closed++;
}

int client_say_close(struct client *c)
{
	int r;

	assert(c->state == CLIENT_OPEN && c->closed == c->setup->cpus);
	if (!c->talk) {
		c->state = CLIENT_DONE;
		return 0;
	}
	c->state = CLIENT_CLOSING;
	conversation_put_close(c->talk);
	r = flush(c);
	return r < 0 ? r : watch_control(c);
}
