/* SPDX-License-Identifier: MIT */
/* shared_ports.c - for each port and kind, the sockets that are bound to it. */
#include "sessiond-lite/shared_ports.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How long a port that somebody else has is not tried again. */
#define SOMEBODY_ELSES_MS 30000

/* Of one port: the wildcard of one or two families, then addresses of its own (see join). */
struct bound {
	struct shared_ports *owner;
	struct bound *next;
	struct accept_socket *accepting; /* TCP: owns fd */
	int fd;
	struct addr at;
	bool dual;             /* an IPv6 wildcard that takes IPv4 peers too */
	struct link_item item; /* UDP */
};

struct port {
	struct bound *bound[2];   /* by enum transport; in the order they were bound */
	int64_t not_before_ms[2]; /* somebody else's until then at least */
};

struct shared_ports {
	struct shared_ports_config config;
	struct acceptor *acceptor;
	struct store *store;
	struct relayd_link *link;
	shared_ports_fn *on_accept;
	void *context;
	uint32_t n_bound;
	struct port *port; /* [last - first + 1] */
};

int shared_ports_create(const struct shared_ports_config *config, struct acceptor *acceptor,
			struct store *store, struct relayd_link *link, shared_ports_fn *on_accept,
			void *context, struct shared_ports **ret)
{
	struct shared_ports *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->config = *config;
	p->acceptor = acceptor;
	p->store = store;
	p->link = link;
	p->on_accept = on_accept;
	p->context = context;
	p->port = calloc((size_t)(config->last_port - config->first_port) + 1, sizeof(*p->port));
	if (!p->port) {
		free(p);
		return -ENOMEM;
	}
	*ret = p;
	return 0;
}

static void bound_close(struct bound *b)
{
	if (b->accepting)
		accept_socket_close(b->accepting);
	else
		close(b->fd);
	b->owner->n_bound--;
	store_descriptors_give(b->owner->store, 1);
	free(b);
}

void shared_ports_free(struct shared_ports *p)
{
	if (!p)
		return;
	for (size_t i = 0; i <= (size_t)(p->config.last_port - p->config.first_port); i++)
		for (int t = 0; t < 2; t++)
			while (p->port[i].bound[t]) {
				struct bound *b = p->port[i].bound[t];

				p->port[i].bound[t] = b->next;
				bound_close(b);
			}
	free(p->port);
	free(p);
}

static struct port *port_of(const struct shared_ports *p, uint16_t port)
{
	assert(port >= p->config.first_port && port <= p->config.last_port);
	return &p->port[port - p->config.first_port];
}

static void on_connection(void *context, int fd, const struct addr *peer)
{
	struct bound *b = context;

	b->owner->on_accept(b->owner->context, fd, peer, b->at.port);
}

static void pass(struct bound *b)
{
	relayd_link_shared(b->owner->link, &b->item, b->fd);
}

/* One more socket for a port. */
static int bind_one(struct shared_ports *p, const struct addr *at, enum bound_family family,
		    enum transport transport)
{
	struct bound **place = &port_of(p, at->port)->bound[transport];
	struct bound *b;
	int r;

	r = store_descriptors_take(p->store, 1);
	if (r < 0)
		return r;
	b = calloc(1, sizeof(*b));
	if (!b) {
		r = -ENOMEM;
		goto fail;
	}
	b->owner = p;
	b->at = *at;
	b->dual = family == BOUND_DUAL;
	r = transport == TRANSPORT_TCP
		    ? bound_socket_listen(at, family, &p->config.keep_alive, &b->fd)
		    : bound_socket_datagram(at, family, *place != NULL, &b->fd);
	if (r < 0)
		goto fail;
	if (transport == TRANSPORT_TCP) {
		r = acceptor_add(p->acceptor, b->fd, COUNTER_connections_stream, on_connection, b,
				 &b->accepting);
		if (r < 0) {
			close(b->fd);
			goto fail;
		}
	} else {
		b->item = (struct link_item){
			.id = store_new_id(p->store),
			.port = at->port,
			.family = family != BOUND_DUAL && addr_is_v4(at) ? AF_INET : AF_INET6};
		pass(b);
	}
	while (*place)
		place = &(*place)->next;
	*place = b;
	p->n_bound++;
	return 0;
fail:
	free(b);
	store_descriptors_give(p->store, 1);
	return r;
}

static bool no_such_family(int error)
{
	return error == -EAFNOSUPPORT || error == -EADDRNOTAVAIL || error == -ENOPROTOOPT;
}

int shared_ports_bind(struct shared_ports *p, uint16_t port, enum transport transport,
		      int64_t now_ms)
{
	struct port *place = port_of(p, port);
	struct addr v4 = {.ip = {[10] = 0xff, [11] = 0xff}, .port = port};
	struct addr v6 = {.port = port};
	int r;

	if (place->bound[transport])
		return 0;
	if (now_ms < place->not_before_ms[transport])
		return -EADDRINUSE;
	r = p->config.families_apart ? -EAFNOSUPPORT : bind_one(p, &v6, BOUND_DUAL, transport);
	if (no_such_family(r)) {
		r = bind_one(p, &v4, BOUND_AS_WRITTEN, transport);
		if (r == 0) {
			int r6 = bind_one(p, &v6, BOUND_AS_WRITTEN, transport);

			if (r6 < 0 && !no_such_family(r6)) {
				/* A port whose IPv6 half is somebody else's is theirs. */
				bound_close(place->bound[transport]);
				place->bound[transport] = NULL;
				r = r6;
			}
		}
	}
	if (r == -EADDRINUSE || r == -EACCES) {
		place->not_before_ms[transport] = now_ms + SOMEBODY_ELSES_MS;
		r = -EADDRINUSE;
	}
	return r;
}

void shared_ports_drain(struct shared_ports *p, uint16_t port)
{
	for (struct bound *b = port_of(p, port)->bound[TRANSPORT_TCP]; b; b = b->next)
		accept_socket_drain(b->accepting);
}

void shared_ports_pass(struct shared_ports *p)
{
	for (size_t i = 0; i <= (size_t)(p->config.last_port - p->config.first_port); i++)
		for (struct bound *b = p->port[i].bound[TRANSPORT_UDP]; b; b = b->next)
			pass(b);
}

static bool is_any(const struct addr *a)
{
	static const uint8_t zero[16];

	return !memcmp(a->ip + (addr_is_v4(a) ? 12 : 0), zero, addr_is_v4(a) ? 4 : 16);
}

/* Of a port's sockets, the one on this address. */
static struct bound *find_at(struct bound *b, const struct addr *at)
{
	while (b && !addr_same_host(&b->at, at))
		b = b->next;
	return b;
}

/* The one that takes this peer wherever it sends to. */
static struct bound *find_any(struct bound *b, const struct addr *peer)
{
	while (b && !(is_any(&b->at) && (b->dual || addr_is_v4(&b->at) == addr_is_v4(peer))))
		b = b->next;
	return b;
}

int shared_ports_join(struct shared_ports *p, uint16_t port, const struct addr *peer,
		      const struct addr *local, int *ret_fd)
{
	struct bound *first = port_of(p, port)->bound[TRANSPORT_UDP];
	struct bound *shared = find_any(first, peer);
	struct addr at = *local, got;
	int fd, r;

	if (!shared)
		return -EADDRNOTAVAIL;
	r = bound_socket_join(shared->fd, peer, &fd);
	if (r < 0)
		return r;
	if (bound_socket_address(fd, &got) == 0 && addr_same_host(&got, local)) {
		*ret_fd = fd;
		return 0;
	}
	/*
	 * connect() chose another of our addresses than the one the peer sends to, and would hear
	 * nothing. A socket bound to the right one needs a shared one there, for what others send.
	 */
	close(fd);
	at.port = port;
	shared = find_at(first, &at);
	if (!shared) {
		r = bind_one(p, &at, BOUND_AS_WRITTEN, TRANSPORT_UDP);
		if (r < 0)
			return r;
		shared = find_at(first, &at);
	}
	return bound_socket_join(shared->fd, peer, ret_fd);
}

uint32_t shared_ports_bound(const struct shared_ports *p)
{
	return p->n_bound;
}
