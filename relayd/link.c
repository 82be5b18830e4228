/* SPDX-License-Identifier: MIT */
/*
 * link.c - relayd's end of the link to sessiond-lite: messages in, messages out, in order.
 *
 * End of file means that sessiond-lite is gone: the open chunks are finished and relayd ends.
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

static void take_descriptors(struct relay *r, const struct link_message *m, const int *fds,
			     unsigned n)
{
	for (unsigned i = 0; i < m->items; i++) {
		struct state_ref ref = {.index = m->item[i].index, .id = m->item[i].id};
		struct stream_slot *stream;

		if (i >= n)
			break; /* lost; asked for again below */
		switch (m->type) {
		case LINK_CONVERSATIONS:
			conn_new(r, ref, fds[i]);
			break;
		case LINK_SHARED:
			shared_add(r, &m->item[i], fds[i]);
			break;
		default:
			stream = state_stream(&r->st, ref);
			if (!stream) {
				close(fds[i]);
			} else if (stream->transport == TRANSPORT_UDP) {
				shared_own_socket(r, ref, fds[i]);
			} else {
				struct source_slot *s = state_source(&r->st, stream->source);
				uint32_t w = s ? atomic_load(&s->worker) : 0;

				counters_add(r->counters, COUNTER_connections_stream, 1);
				if (w)
					worker_stream(r->workers[w - 1], ref, fds[i]);
				else
					close(fds[i]);
			}
		}
	}
}

static void on_leased(struct relay *r, const struct link_message *m)
{
	struct conversation_slot *slot = state_conversation(&r->st, m->ref);
	struct conn *c = slot ? r->conn_at[m->ref.index] : NULL;
	struct source_slot *s;

	if (!c)
		return;
	if (m->error < 0) {
		conn_lease_refused(c, m->error);
	} else {
		s = source_front_of(r, slot);
		if (s)
			source_front_adopt(r, s);
	}
	conn_turn(c);
}

static void look_at_all(struct relay *r)
{
	for (unsigned i = 0; i < r->worker_count; i++)
		worker_look_all(r->workers[i]);
}

static void look_at(struct relay *r, struct state_ref ref)
{
	struct source_slot *s = state_source(&r->st, ref);

	if (s)
		source_front_look(r, s);
}

static void on_chunk_kept(struct relay *r, const struct link_message *m)
{
	struct source_slot *s = state_source(&r->st, m->ref);
	uint32_t w = s ? atomic_load(&s->worker) : 0;

	if (w)
		worker_chunk_kept(r->workers[w - 1], m->ref, m->chunk.number);
}

static void dispatch(struct relay *r, const struct link_message *m, const int *fds, unsigned n_fds)
{
	int err;

	switch (m->type) {
	case LINK_SETUP:
		err = relay_setup(r, m, fds, n_fds);
		if (err < 0) {
			log_error("setup", "relayd cannot start: %s", strerror(-err));
			exit(EXIT_FAILURE);
		}
		break;
	case LINK_CONVERSATIONS:
	case LINK_STREAMS:
	case LINK_SHARED:
		take_descriptors(r, m, fds, n_fds);
		break;
	case LINK_SYNCED:
		relay_synced(r);
		break;
	case LINK_LEASED:
		on_leased(r, m);
		break;
	case LINK_MATCHED:
		look_at(r, m->ref);
		break;
	case LINK_DRAINED:
		source_front_drained(r, m->ref);
		break;
	case LINK_UDP_REFUSED:
		break; /* its datagrams go on through the shared socket */
	case LINK_SESSION:
		conn_follow_sessions(r);
		look_at_all(r);
		break;
	case LINK_CHUNK_KEPT:
		on_chunk_kept(r, m);
		break;
	case LINK_COMPACT:
		compactor_order(r->compactor, m->text);
		break;
	case LINK_HELD:
		if (n_fds)
			compactor_inherit(r->compactor, m->chunk.key, m->text, fds[0]);
		else
			compactor_held(r->compactor, m->chunk.key);
		break;
	case LINK_SHUTDOWN:
		relay_stop(r);
		break;
	default:
		log_warning("link", "unknown message %u", m->type);
	}
}

static void lost(struct link *l)
{
	struct relay *r = l->relay;

	if (r->orphaned)
		return;
	uv_poll_stop(&l->poll);
	r->orphaned = true;
	if (!r->stopping)
		log_error("link-lost", "sessiond-lite is gone; finishing the open chunks");
	relay_stop(r);
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
	dispatch(l->relay, &l->in, l->fds, n_fds);
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

int link_start(struct relay *r, int fd)
{
	struct link *l = calloc(1, sizeof(*l));
	int err;

	if (!l)
		return -ENOMEM;
	l->relay = r;
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
