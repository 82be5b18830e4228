/* SPDX-License-Identifier: MIT */
/*
 * relayd_link.c - a list of messages, sent before the loop sleeps.
 *
 * Invariants: `first` is the only message that a send may have failed for; a batch (a message with
 * a descriptor per item) grows only while it is the last one.
 */
#include "sessiond-lite/relayd_link.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/seqpacket.h"

/* Messages taken in one turn, so that a busy relayd does not keep us from accepting. */
#define MESSAGES_A_TURN 64

/* How long to wait when too many descriptors are in flight; relayd is reading meanwhile. */
#define IN_FLIGHT_WAIT_MS 2

enum waiting_fds {
	FDS_NONE,
	FDS_OF_SLOTS, /* looked up when it is sent: the slot may be gone by then */
	FDS_LENT,     /* stay open as long as the link */
	FDS_OWNED,    /* closed when it was sent */
};

struct waiting {
	struct waiting *next;
	enum waiting_fds kind;
	unsigned n_fds;
	int *fds;              /* [LINK_ITEMS] behind m, or NULL */
	struct link_message m; /* the last member: allocated as long as its items need */
};

struct relayd_link {
	uv_loop_t *loop;
	struct store *store;
	struct relayd_link_handlers handlers;
	uv_prepare_t prepare;
	uv_timer_t in_flight;
	int handles;     /* of the two above still to be closed */
	uv_poll_t *poll; /* NULL: not open */
	int fd;
	int events; /* what poll waits for */
	struct waiting *first, *last;
	size_t n_waiting;
};

static void on_prepare(uv_prepare_t *h);

int relayd_link_create(uv_loop_t *loop, struct store *store,
		       const struct relayd_link_handlers *handlers, struct relayd_link **ret)
{
	struct relayd_link *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->loop = loop;
	l->store = store;
	l->handlers = *handlers;
	l->fd = -1;
	uv_prepare_init(loop, &l->prepare);
	uv_timer_init(loop, &l->in_flight);
	l->prepare.data = l->in_flight.data = l;
	l->handles = 2;
	uv_prepare_start(&l->prepare, on_prepare);
	uv_unref((uv_handle_t *)&l->prepare);
	*ret = l;
	return 0;
}

static void on_handle_closed(uv_handle_t *h)
{
	struct relayd_link *l = h->data;

	if (!--l->handles)
		free(l);
}

void relayd_link_free(struct relayd_link *l)
{
	if (!l)
		return;
	relayd_link_close(l);
	uv_close((uv_handle_t *)&l->prepare, on_handle_closed);
	uv_close((uv_handle_t *)&l->in_flight, on_handle_closed);
}

static void pop(struct relayd_link *l)
{
	struct waiting *w = l->first;

	l->first = w->next;
	if (!l->first)
		l->last = NULL;
	l->n_waiting--;
	if (w->kind == FDS_OWNED)
		for (unsigned i = 0; i < w->n_fds; i++)
			close(w->fds[i]);
	free(w);
}

static void on_poll(uv_poll_t *h, int status, int events);

static void wait_for(struct relayd_link *l, int events)
{
	if (l->events == events)
		return;
	l->events = events;
	uv_poll_start(l->poll, events, on_poll);
}

int relayd_link_open(struct relayd_link *l, int fd)
{
	uv_poll_t *poll = malloc(sizeof(*poll));
	int r = -ENOMEM;

	assert(!l->poll);
	if (poll)
		r = uv_poll_init(l->loop, poll, fd);
	if (r < 0) {
		free(poll);
		close(fd);
		return r;
	}
	poll->data = l;
	l->poll = poll;
	l->fd = fd;
	l->events = 0;
	wait_for(l, UV_READABLE);
	return 0;
}

static void on_poll_closed(uv_handle_t *h)
{
	free(h);
}

void relayd_link_close(struct relayd_link *l)
{
	if (!l->poll)
		return;
	uv_timer_stop(&l->in_flight);
	uv_poll_stop(l->poll);
	uv_close((uv_handle_t *)l->poll, on_poll_closed);
	l->poll = NULL;
	close(l->fd);
	l->fd = -1;
	while (l->first)
		pop(l);
}

bool relayd_link_is_open(const struct relayd_link *l)
{
	return l->poll;
}

size_t relayd_link_waiting(const struct relayd_link *l)
{
	return l->n_waiting;
}

/* The descriptors of a batch's slots; items whose slot is gone are left out. */
static void look_up(struct relayd_link *l, struct waiting *w)
{
	struct link_message *m = &w->m;
	uint32_t n = 0;

	for (uint32_t i = 0; i < m->items; i++) {
		struct state_ref ref = {.index = m->item[i].index, .id = m->item[i].id};
		int fd = m->type == LINK_STREAMS ? store_stream_fd(l->store, ref)
						 : store_conversation_fd(l->store, ref);

		if (fd < 0)
			continue;
		m->item[n] = m->item[i];
		w->fds[n++] = fd;
	}
	m->items = w->n_fds = n;
}

static void on_in_flight(uv_timer_t *h)
{
	struct relayd_link *l = h->data;

	if (l->poll)
		wait_for(l, UV_READABLE | UV_WRITABLE);
}

static void flush(struct relayd_link *l)
{
	int r = 0;

	while (l->first) {
		struct waiting *w = l->first;

		if (w->kind == FDS_OF_SLOTS)
			look_up(l, w);
		if (w->kind == FDS_OF_SLOTS && !w->n_fds) {
			pop(l);
			continue;
		}
		r = seqpacket_send(l->fd, &w->m, link_size(&w->m), w->fds, w->n_fds);
		if (r < 0)
			break;
		pop(l);
	}
	switch (r) {
	case -EAGAIN:
		wait_for(l, UV_READABLE | UV_WRITABLE);
		return;
	case -ETOOMANYREFS:
		wait_for(l, UV_READABLE);
		uv_timer_start(&l->in_flight, on_in_flight, IN_FLIGHT_WAIT_MS, 0);
		return;
	case -EPIPE: /* what it had sent before can still be read; then comes the end of file */
		while (l->first)
			pop(l);
		/* fall through */
	case 0:
		wait_for(l, UV_READABLE);
		return;
	default:
		l->handlers.gone(l->handlers.context, r);
	}
}

static void on_prepare(uv_prepare_t *h)
{
	struct relayd_link *l = h->data;

	/* While poll waits until there is room, trying again would be in vain. */
	if (l->first && l->poll && l->events == UV_READABLE &&
	    !uv_is_active((uv_handle_t *)&l->in_flight))
		flush(l);
}

/* Return whether there may be more. */
static bool receive(struct relayd_link *l)
{
	static struct link_message m; /* one loop: 4.7 KiB that need not be cleared each time */
	int fds[LINK_ITEMS];

	for (int i = 0; i < MESSAGES_A_TURN && l->poll; i++) {
		unsigned n = LINK_ITEMS, flags = 0;
		ssize_t len = seqpacket_recv(l->fd, &m, sizeof(m), fds, &n, &flags);

		if (len == -EAGAIN)
			return false;
		if (len <= 0) {
			l->handlers.gone(l->handlers.context, (int)len);
			return false;
		}
		if ((size_t)len < offsetof(struct link_message, item) || m.items > LINK_ITEMS ||
		    (size_t)len < link_size(&m)) {
			/* Of one build, so this is a mistake of ours; as good as a crash. */
			for (unsigned k = 0; k < n; k++)
				close(fds[k]);
			l->handlers.gone(l->handlers.context, -EPROTO);
			return false;
		}
		m.text[sizeof(m.text) - 1] = '\0';
		l->handlers.message(l->handlers.context, &m, fds, n);
		for (unsigned k = 0; k < n; k++)
			if (fds[k] >= 0)
				close(fds[k]);
	}
	return l->poll;
}

void relayd_link_drain(struct relayd_link *l)
{
	while (l->poll && receive(l))
		;
}

static void on_poll(uv_poll_t *h, int status, int events)
{
	struct relayd_link *l = h->data;

	if (status < 0) { /* libuv's word for POLLERR, and it has stopped polling */
		l->events = 0;
		relayd_link_drain(l);
		if (l->poll == h)
			wait_for(l, UV_READABLE);
		return;
	}
	if (events & UV_WRITABLE)
		flush(l);
	if (events & UV_READABLE && l->poll == h)
		receive(l);
}

/* A message at the queue's end with room for so many items and descriptors; NULL: no relayd. */
static struct waiting *append(struct relayd_link *l, uint32_t items, bool fds)
{
	size_t size = offsetof(struct waiting, m.item) + items * sizeof(struct link_item);
	struct waiting *w;

	if (!l->poll)
		return NULL;
	size = (size + sizeof(int) - 1) & ~(sizeof(int) - 1);
	w = calloc(1, size + (fds ? LINK_ITEMS * sizeof(int) : 0));
	if (!w) {
		/* With a message missing relayd would wait for ever; a restart tells it all. */
		l->handlers.gone(l->handlers.context, -ENOMEM);
		return NULL;
	}
	w->fds = fds ? (int *)((char *)w + size) : NULL;
	*(l->last ? &l->last->next : &l->first) = w;
	l->last = w;
	l->n_waiting++;
	return w;
}

static void copy(struct link_message *to, const struct link_message *from)
{
	memcpy(to, from, link_size(from));
}

void relayd_link_send(struct relayd_link *l, const struct link_message *m)
{
	struct waiting *w = append(l, m->items, false);

	if (w)
		copy(&w->m, m);
}

void relayd_link_send_fds(struct relayd_link *l, const struct link_message *m, const int *fds,
			  unsigned n)
{
	struct waiting *w = append(l, m->items, true);

	assert(n <= LINK_ITEMS);
	if (!w)
		return;
	copy(&w->m, m);
	w->kind = FDS_OWNED;
	for (; w->n_fds < n; w->n_fds++) {
		int fd = fcntl(fds[w->n_fds], F_DUPFD_CLOEXEC, 0);

		if (fd < 0) {
			l->handlers.gone(l->handlers.context, -errno);
			return;
		}
		w->fds[w->n_fds] = fd;
	}
}

void relayd_link_send_lent(struct relayd_link *l, const struct link_message *m, const int *fds,
			   unsigned n)
{
	struct waiting *w = append(l, m->items, true);

	assert(n <= LINK_ITEMS);
	if (!w)
		return;
	copy(&w->m, m);
	w->kind = FDS_LENT;
	w->n_fds = n;
	memcpy(w->fds, fds, n * sizeof(*fds));
}

/* The batch at the queue's end, a new one if that is of another kind or full. */
static struct waiting *batch(struct relayd_link *l, enum link_type type, enum waiting_fds kind)
{
	struct waiting *w = l->last;

	/* Only batches have one of these types. */
	if (w && w->m.type == type && w->m.items < LINK_ITEMS)
		return w;
	w = append(l, LINK_ITEMS, true);
	if (w) {
		w->m.type = type;
		w->kind = kind;
	}
	return w;
}

static void add_slot(struct relayd_link *l, enum link_type type, struct state_ref ref)
{
	struct waiting *w = batch(l, type, FDS_OF_SLOTS);

	if (w)
		w->m.item[w->m.items++] = (struct link_item){.index = ref.index, .id = ref.id};
}

void relayd_link_conversation(struct relayd_link *l, struct state_ref ref)
{
	add_slot(l, LINK_CONVERSATIONS, ref);
}

void relayd_link_stream(struct relayd_link *l, struct state_ref ref)
{
	add_slot(l, LINK_STREAMS, ref);
}

void relayd_link_shared(struct relayd_link *l, const struct link_item *item, int fd)
{
	struct waiting *w = batch(l, LINK_SHARED, FDS_LENT);

	if (!w)
		return;
	w->m.item[w->m.items++] = *item;
	w->fds[w->n_fds++] = fd;
}
