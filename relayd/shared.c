/* SPDX-License-Identifier: MIT */
/*
 * shared.c - the shared sockets of leased UDP ports: the first datagrams of streams.
 *
 *   shared socket --recvmmsg--> inbox slot (RECEIVING) --whose? (peer, port)--> ASSIGNED
 *       --> its worker stores it --> FREE
 *   and sessiond-lite is asked for a socket of the stream's own, connected to that peer. From its
 *   connecting on nothing of this peer comes to the shared one: that is read empty, then the own
 *   socket is handed to the worker, behind those datagrams.
 *
 * A datagram that no lease explains is a stray: thrown away and counted.
 * What the kernel drops here may be anybody's: every stream that is still to come through here is
 * told of it, as drops in front of its next datagram, or behind its last one without a datagram.
 * Thread: the front loop's (workers free inbox slots).
 */
#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "relayd/relay.h"

struct shared_port {
	struct cds_list_head node;
	struct relay *relay;
	uv_poll_t poll;
	uint64_t id; /* of the socket */
	int fd;
	uint16_t port;
	bool polled;
};

/* A stream's own socket that waits until the shared ones of its port are read empty. */
struct waiting {
	struct cds_list_head node;
	struct state_ref stream;
	uint16_t port;
	int fd;
};

struct shared_ports {
	struct cds_list_head ports;
	struct cds_list_head waiting;
	uint64_t sequence;
	uint64_t *asked; /* by stream slot index: the id for which a socket was asked */
};

/* Drops of the port's sockets so far; `but` (0: none) is left out. */
static uint32_t drops_now(const struct relay *r, uint16_t port, uint64_t but)
{
	uint32_t info[SK_MEMINFO_VARS], sum = 0;
	const struct shared_port *p;

	cds_list_for_each_entry (p, &r->shared->ports, node) {
		socklen_t len = sizeof(info);

		if (p->port == port && p->id != but &&
		    getsockopt(p->fd, SOL_SOCKET, SO_MEMINFO, info, &len) == 0 &&
		    len >= (SK_MEMINFO_DROPS + 1) * sizeof(info[0]))
			sum += info[SK_MEMINFO_DROPS];
	}
	return sum;
}

/* Drops of its socket up to the datagram that was received. */
static uint32_t drops_at(struct inbox_slot *slot)
{
	const struct inbox_half *h = inbox_now(slot);
	struct msghdr m = h->datagram.msg_hdr;
	uint32_t n = 0;

	m.msg_control = slot->control[h - slot->half]; /* the pointer may be a dead relayd's */
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL)
			memcpy(&n, CMSG_DATA(c), sizeof(n));
	return n;
}

/* What is new to the stream. */
static uint32_t drops_unknown_to(const struct stream_slot *stream, uint32_t total)
{
	int32_t n = (int32_t)(total - atomic_load(&stream->shared_drops));

	return n > 0 ? (uint32_t)n : 0;
}

static void note_told(struct stream_slot *stream, uint32_t drops, uint32_t total)
{
	if (drops)
		atomic_store(&stream->shared_drops, total);
}

static unsigned free_inbox(const struct relay *r)
{
	for (unsigned i = 0; i < STATE_INBOX; i++)
		if (inbox_now(&r->st.inbox[i])->state == INBOX_FREE)
			return i;
	return STATE_INBOX;
}

static void set_free(struct inbox_slot *slot)
{
	struct inbox_half *h = inbox_begin(slot);

	h->state = INBOX_FREE;
	inbox_commit(slot);
}

static void ask_own_socket(struct relay *r, const struct stream_entry *entry,
			   const struct addr *from)
{
	if (r->shared->asked[entry->stream.index] == entry->stream.id)
		return;
	r->shared->asked[entry->stream.index] = entry->stream.id;
	link_send(r,
		  &(struct link_message){
			  .type = LINK_UDP_SOCKET, .ref = entry->stream, .peer = *from},
		  -1);
}

/* Whose datagram is it? Assign it, or throw it away. */
static void assign(struct relay *r, unsigned index)
{
	struct inbox_slot *slot = &r->st.inbox[index];
	const struct inbox_half *now = inbox_now(slot);
	struct stream_slot *stream;
	struct stream_entry entry;
	struct inbox_half *h;
	uint32_t total, drops;
	struct addr from;

	if (!now->datagram.msg_len ||
	    addr_from_sockaddr((struct sockaddr *)&slot->from, now->datagram.msg_hdr.msg_namelen,
			       &from) < 0 ||
	    !stream_table_find(r->streams, &from, now->port, TRANSPORT_UDP, &entry))
		goto stray;
	stream = state_stream(&r->st, entry.stream);
	/* The first sender is the stream; another socket of the same host is not. */
	if (!stream || (stream->peer.port && stream->peer.port != from.port))
		goto stray;
	total = drops_at(slot) + drops_now(r, now->port, now->socket);
	drops = drops_unknown_to(stream, total);
	h = inbox_begin(slot);
	h->state = INBOX_ASSIGNED;
	h->stream = entry.stream;
	h->drops = drops;
	h->drops_total = total;
	inbox_commit(slot);
	note_told(stream, drops, total);
	worker_inbox(r->workers[entry.worker], index);
	ask_own_socket(r, &entry, &from);
	return;
stray:
	counters_add(r->counters, COUNTER_datagrams_stray, now->datagram.msg_len ? 1 : 0);
	set_free(slot);
}

/* One datagram. 1: taken; 0: the socket is empty; -ENOBUFS: no inbox slot is free. */
static int receive(struct shared_port *p)
{
	struct relay *r = p->relay;
	unsigned index = free_inbox(r);
	struct inbox_slot *slot;
	struct inbox_half *h;
	int n;

	if (index == STATE_INBOX)
		return -ENOBUFS;
	slot = &r->st.inbox[index];
	if (state_touch(&r->st, slot, sizeof(*slot)) < 0)
		return -ENOBUFS;
	h = inbox_begin(slot);
	*h = (struct inbox_half){.state = INBOX_RECEIVING,
				 .port = p->port,
				 .socket = p->id,
				 .sequence = ++r->shared->sequence};
	h->iov = (struct iovec){slot->buffer, STATE_DATAGRAM};
	h->datagram.msg_hdr = (struct msghdr){.msg_name = &slot->from,
					      .msg_namelen = sizeof(slot->from),
					      .msg_iov = &h->iov,
					      .msg_iovlen = 1,
					      .msg_control = slot->control[h - slot->half],
					      .msg_controllen = sizeof(slot->control[0])};
	inbox_commit(slot);
	n = recvmmsg(p->fd, &h->datagram, 1, MSG_DONTWAIT, NULL);
	if (n < 0) {
		set_free(slot);
		return errno == EAGAIN ? 0 : 1;
	}
	assign(r, index);
	return 1;
}

/* True if it was read empty. */
static bool read_empty(struct shared_port *p)
{
	int n;

	while ((n = receive(p)) > 0)
		;
	return n == 0;
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
	struct shared_port *p = poll->data;

	(void)status;
	(void)events;
	if (!read_empty(p)) { /* until an inbox slot is free */
		uv_poll_stop(&p->poll);
		p->polled = false;
	}
}

static void start_polling(struct shared_port *p)
{
	if (!p->polled && p->relay->synced)
		p->polled = uv_poll_start(&p->poll, UV_READABLE, on_ready) == 0;
}

static bool port_read_empty(struct relay *r, uint16_t port)
{
	struct shared_port *p;

	cds_list_for_each_entry (p, &r->shared->ports, node)
		if (p->port == port && !read_empty(p))
			return false;
	return true;
}

/* Tell the stream of drops behind its last datagram. False: no inbox slot is free. */
static bool tell_drops(struct relay *r, struct state_ref ref)
{
	struct stream_slot *stream = state_stream(&r->st, ref);
	struct source_slot *s = stream ? state_source(&r->st, stream->source) : NULL;
	uint32_t worker = s ? atomic_load(&s->worker) : 0;
	uint32_t total, drops;
	struct inbox_slot *slot;
	unsigned index;

	if (!worker || atomic_load(&stream->own_socket))
		return true;
	total = drops_now(r, stream->port, 0);
	drops = drops_unknown_to(stream, total);
	if (!drops)
		return true;
	index = free_inbox(r);
	if (index == STATE_INBOX)
		return false;
	slot = &r->st.inbox[index];
	if (state_touch(&r->st, slot, sizeof(*slot)) < 0)
		return false;
	*inbox_begin(slot) = (struct inbox_half){.state = INBOX_ASSIGNED,
						 .port = stream->port,
						 .drops = drops,
						 .drops_total = total,
						 .stream = ref,
						 .sequence = ++r->shared->sequence};
	inbox_commit(slot);
	note_told(stream, drops, total);
	worker_inbox(r->workers[worker - 1], index);
	return true;
}

static void hand_over(struct relay *r, const struct waiting *w)
{
	struct stream_slot *stream = state_stream(&r->st, w->stream);
	struct source_slot *s = stream ? state_source(&r->st, stream->source) : NULL;
	uint32_t worker = s ? atomic_load(&s->worker) : 0;

	if (worker) {
		worker_stream(r->workers[worker - 1], w->stream, w->fd);
		atomic_store(&stream->own_socket, 1);
	} else {
		close(w->fd);
	}
}

void shared_begin(struct relay *r, const struct source_slot *s)
{
	for (uint32_t i = s->first_stream; s->transport == TRANSPORT_UDP && i;
	     i = r->st.stream[i - 1].next)
		atomic_store(&r->st.stream[i - 1].shared_drops,
			     drops_now(r, r->st.stream[i - 1].port, 0));
}

bool shared_drain(struct relay *r, const struct source_slot *s)
{
	for (uint32_t i = s->first_stream; i; i = r->st.stream[i - 1].next) {
		const struct stream_slot *t = &r->st.stream[i - 1];

		if (!port_read_empty(r, t->port) || !tell_drops(r, state_ref_of_stream(&r->st, t)))
			return false;
	}
	shared_run(r);
	return true;
}

void shared_run(struct relay *r)
{
	struct waiting *w, *next;
	struct shared_port *p;

	if (!r->synced)
		return; /* the leases of what is to come are not all known yet */
	cds_list_for_each_entry_safe (w, next, &r->shared->waiting, node) {
		if (!port_read_empty(r, w->port) || !tell_drops(r, w->stream))
			break;
		hand_over(r, w);
		cds_list_del(&w->node);
		free(w);
	}
	cds_list_for_each_entry (p, &r->shared->ports, node)
		start_polling(p);
}

void shared_own_socket(struct relay *r, struct state_ref ref, int fd)
{
	struct stream_slot *stream = state_stream(&r->st, ref);
	struct waiting *w = calloc(1, sizeof(*w));

	if (!w || !stream) {
		close(fd);
		free(w);
		return;
	}
	*w = (struct waiting){.stream = ref, .port = stream->port, .fd = fd};
	cds_list_add_tail(&w->node, &r->shared->waiting);
	shared_run(r);
}

void shared_add(struct relay *r, const struct link_item *item, int fd)
{
	uint16_t port = item->port;
	struct shared_port *p;

	cds_list_for_each_entry (p, &r->shared->ports, node) {
		if (p->id == item->id) { /* passed again */
			close(fd);
			return;
		}
	}
	p = calloc(1, sizeof(*p));
	if (!p || uv_poll_init(&r->loop, &p->poll, fd) < 0) {
		log_error("no-memory", "no memory for UDP port %u", port);
		close(fd);
		free(p);
		return;
	}
	p->relay = r;
	p->fd = fd;
	p->id = item->id;
	p->port = port;
	p->poll.data = p;
	cds_list_add_tail(&p->node, &r->shared->ports);
	start_polling(p);
}

/* What a killed relayd had in its hands, in the order of arrival. */
void shared_resume_inbox(struct relay *r)
{
	uint64_t done = 0;

	for (;;) {
		unsigned next = STATE_INBOX;
		const struct inbox_half *h;

		for (unsigned i = 0; i < STATE_INBOX; i++) {
			h = inbox_now(&r->st.inbox[i]);
			if (h->state != INBOX_FREE && h->sequence > done &&
			    (next == STATE_INBOX ||
			     h->sequence < inbox_now(&r->st.inbox[next])->sequence))
				next = i;
		}
		if (next == STATE_INBOX)
			break;
		h = inbox_now(&r->st.inbox[next]);
		done = h->sequence;
		if (h->state == INBOX_RECEIVING) {
			assign(r, next);
		} else {
			struct stream_slot *stream = state_stream(&r->st, h->stream);
			struct source_slot *s =
				stream ? state_source(&r->st, stream->source) : NULL;
			uint32_t worker = s ? atomic_load(&s->worker) : 0;

			if (worker) { /* the commit was made, what follows it perhaps not */
				note_told(stream, h->drops, h->drops_total);
				worker_inbox(r->workers[worker - 1], next);
			} else {
				set_free(&r->st.inbox[next]);
			}
		}
	}
	r->shared->sequence = done > r->shared->sequence ? done : r->shared->sequence;
}

int shared_new(struct relay *r)
{
	struct shared_ports *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->asked = calloc(r->st.header->capacity.streams, sizeof(*s->asked));
	if (!s->asked) {
		free(s);
		return -ENOMEM;
	}
	CDS_INIT_LIST_HEAD(&s->ports);
	CDS_INIT_LIST_HEAD(&s->waiting);
	r->shared = s;
	return 0;
}
