/* SPDX-License-Identifier: MIT */
/*
 * link.c - relayd's end of the link to sessiond-lite: messages in, messages out, in order.
 *
 * What a message means is inbound.c's. End of file means that sessiond-lite is gone.
 * Thread: the front loop's.
 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/log.h"
#include "common/seqpacket.h"
#include "relayd/relay.h"

#define MESSAGES_PER_TURN 64

struct outgoing {
	struct cds_list_head node;
	int fd; /* -1: none; owned */
	uint32_t size;
	uint8_t bytes[];
};

struct link {
	struct relay *relay;
	link_receive receive;
	link_lost lost;
	int fd;
	uv_poll_t poll;
	struct cds_list_head queue;
	struct link_message in;
	int fds[SEQPACKET_FDS_MAX];
};

static void on_ready(uv_poll_t *poll, int status, int events);

/* ---- out ---- */

/* 0: all sent; -EAGAIN; another errno: the other end is gone. */
static int send_queued(struct link *l)
{
	struct outgoing *o, *next;

	cds_list_for_each_entry_safe (o, next, &l->queue, node) {
		int r = seqpacket_send(l->fd, o->bytes, o->size, &o->fd, o->fd >= 0 ? 1 : 0);

		if (r < 0)
			return r == -ETOOMANYREFS ? -EAGAIN : r;
		cds_list_del(&o->node);
		if (o->fd >= 0)
			close(o->fd);
		free(o);
	}
	return 0;
}

void link_send(struct relay *r, const struct link_message *m, int fd)
{
	struct link *l = r->link;
	uint32_t size = link_size(m);
	struct outgoing *o;

	if (r->orphaned)
		return;
	o = malloc(sizeof(*o) + size);
	if (!o) {
		log_error("no-memory", "no memory for a message to sessiond-lite");
		abort(); /* the next relayd starts from the state memory */
	}
	o->size = size;
	o->fd = fd >= 0 ? dup(fd) : -1;
	memcpy(o->bytes, m, size);
	cds_list_add_tail(&o->node, &l->queue);
	if (send_queued(l) == -EAGAIN)
		uv_poll_start(&l->poll, UV_READABLE | UV_WRITABLE, on_ready);
}

void link_flush(struct relay *r)
{
	struct link *l = r->link;

	while (!r->orphaned && send_queued(l) == -EAGAIN) {
		struct pollfd p = {.fd = l->fd, .events = POLLOUT};

		(void)poll(&p, 1, -1);
	}
}

/* ---- in ---- */

static void lost(struct link *l)
{
	struct relay *r = l->relay;

	if (r->orphaned)
		return;
	uv_poll_stop(&l->poll);
	r->orphaned = true;
	if (!r->stopping)
		log_error("link-lost", "sessiond-lite is gone; finishing the open chunks");
	l->lost(r);
}

/* One message. False: nothing more for now. */
static bool receive(struct link *l)
{
	unsigned n_fds = SEQPACKET_FDS_MAX, flags;
	ssize_t n = seqpacket_recv(l->fd, &l->in, sizeof(l->in), l->fds, &n_fds, &flags);

	if (n == -EAGAIN)
		return false;
	if (n <= 0) {
		lost(l);
		return false;
	}
	l->receive(l->relay, &l->in, l->fds, n_fds);
	if (flags & SEQPACKET_FDS_LOST) {
		counters_add(l->relay->counters, COUNTER_descriptors_repeated, 1);
		link_send(l->relay, &(struct link_message){.type = LINK_RESEND}, -1);
	}
	return true;
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
	struct link *l = poll->data;

	if (status < 0) {
		lost(l);
		return;
	}
	if (events & UV_WRITABLE && send_queued(l) != -EAGAIN)
		uv_poll_start(&l->poll, UV_READABLE, on_ready);
	for (int i = 0; i < MESSAGES_PER_TURN && receive(l); i++)
		;
}

int link_start(struct relay *r, int fd, link_receive on_message, link_lost on_lost)
{
	struct link *l = calloc(1, sizeof(*l));
	int err;

	if (!l)
		return -ENOMEM;
	l->relay = r;
	l->receive = on_message;
	l->lost = on_lost;
	l->fd = fd;
	CDS_INIT_LIST_HEAD(&l->queue);
	err = uv_poll_init(&r->loop, &l->poll, fd);
	if (err < 0) {
		free(l);
		return err;
	}
	l->poll.data = l;
	r->link = l;
	return uv_poll_start(&l->poll, UV_READABLE, on_ready);
}
