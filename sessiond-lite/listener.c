/* SPDX-License-Identifier: MIT */
/* listener.c - from an accepted control connection to a slot that relayd knows. */
#include "sessiond-lite/listener.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "sessiond-lite/clock.h"

struct listener {
	struct listeners *owner;
	struct listener *next;
	struct accept_socket *accepting;
	struct addr at;
	enum conversation_role role;
	uint32_t own_session;
};

struct listeners {
	struct keep_alive keep_alive;
	struct acceptor *acceptor;
	struct store *store;
	struct relayd_link *link;
	struct listener *first;
};

int listener_create(const struct keep_alive *keep_alive, struct acceptor *acceptor,
		    struct store *store, struct relayd_link *link, struct listeners **ret)
{
	struct listeners *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->keep_alive = *keep_alive;
	l->acceptor = acceptor;
	l->store = store;
	l->link = link;
	*ret = l;
	return 0;
}

static enum close_reason reason_of(int error)
{
	switch (error) {
	case -EUSERS:
		return CLOSE_sources_limit;
	case -EDQUOT:
		return CLOSE_streams_limit;
	case -EMFILE:
		return CLOSE_no_descriptors;
	case -EBUSY:
		return CLOSE_anonymous_limit;
	case -ENOSPC:
		return CLOSE_no_slot;
	case -ENOMEM:
		return CLOSE_no_memory;
	default:
		return CLOSE_internal;
	}
}

static enum counter counter_of(enum conversation_role role)
{
	static const enum counter of[CONVERSATION_ROLES] = {
		[CONVERSATION_TRACE_CMD] = COUNTER_connections_control,
		[CONVERSATION_LTTNG_CONTROL] = COUNTER_connections_control,
		[CONVERSATION_LTTNG_DATA] = COUNTER_connections_stream,
		[CONVERSATION_LTTNG_LIVE] = COUNTER_connections_live,
	};

	return of[role];
}

static void on_connection(void *context, int fd, const struct addr *peer)
{
	static struct log_limit limit = LOG_LIMIT_USUAL;
	struct listener *li = context;
	struct listeners *l = li->owner;
	struct store_conversation what = {.peer = *peer,
					  .role = li->role,
					  .own_session = li->own_session,
					  .now_ms = clock_monotonic_ms()};
	char text[ADDR_TEXT_MAX];
	struct state_ref ref;
	int r;

	r = bound_socket_address(fd, &what.local);
	if (r == 0)
		r = store_conversation_add(l->store, fd, &what, &ref);
	if (r < 0) {
		enum close_reason reason = reason_of(r);
		struct log_about about = {.peer = addr_format(peer, text),
					  .reason = close_reason_name(reason)};

		close(fd);
		counters_add(store_counters(l->store), counter_of(li->role), 1);
		counters_add_close(store_counters(l->store), reason);
		log_limited(&limit, LOG_LEVEL_WARNING, &about, "connection-refused",
			    "a connection to port %u (%s) was closed at once: %s", what.local.port,
			    listener_role_name(li->role), close_reason_sentence(reason));
		return;
	}
	relayd_link_conversation(l->link, ref);
}

int listener_add(struct listeners *l, const struct addr *at, enum conversation_role role,
		 uint32_t own_session, struct addr *ret_bound)
{
	struct listener *li, **place;
	int fd, r;

	r = store_descriptors_take(l->store, 1);
	if (r < 0)
		return r;
	li = calloc(1, sizeof(*li));
	if (!li) {
		r = -ENOMEM;
		goto fail;
	}
	li->owner = l;
	li->role = role;
	li->own_session = own_session;
	r = bound_socket_listen(at, BOUND_AS_WRITTEN, &l->keep_alive, &fd);
	if (r < 0)
		goto fail;
	r = bound_socket_address(fd, &li->at);
	if (r == 0)
		r = acceptor_add(l->acceptor, fd, counter_of(role), on_connection, li,
				 &li->accepting);
	if (r < 0) {
		close(fd);
		goto fail;
	}
	for (place = &l->first; *place;)
		place = &(*place)->next;
	*place = li;
	if (ret_bound)
		*ret_bound = li->at;
	return 0;
fail:
	free(li);
	store_descriptors_give(l->store, 1);
	return r;
}

void listener_drain(struct listeners *l, enum conversation_role role)
{
	for (struct listener *li = l->first; li; li = li->next)
		if (li->role == role)
			accept_socket_drain(li->accepting);
}

static void remove_at(struct listeners *l, struct listener **place)
{
	struct listener *li = *place;

	*place = li->next;
	accept_socket_close(li->accepting);
	store_descriptors_give(l->store, 1);
	free(li);
}

void listener_remove(struct listeners *l, uint32_t own_session)
{
	for (struct listener **place = &l->first; *place;)
		if ((*place)->own_session == own_session)
			remove_at(l, place);
		else
			place = &(*place)->next;
}

void listener_remove_all(struct listeners *l)
{
	while (l->first)
		remove_at(l, &l->first);
}

void listener_free(struct listeners *l)
{
	if (!l)
		return;
	listener_remove_all(l);
	free(l);
}

int listener_get(const struct listeners *l, size_t i, struct listener_info *ret)
{
	const struct listener *li = l->first;

	while (li && i--)
		li = li->next;
	if (!li)
		return -ENOENT;
	*ret = (struct listener_info){
		.at = li->at, .role = li->role, .own_session = li->own_session};
	return 0;
}

const char *listener_role_name(enum conversation_role role)
{
	static const char *const names[CONVERSATION_ROLES] = {
		[CONVERSATION_TRACE_CMD] = "trace-cmd",
		[CONVERSATION_LTTNG_CONTROL] = "lttng-control",
		[CONVERSATION_LTTNG_DATA] = "lttng-data",
		[CONVERSATION_LTTNG_LIVE] = "lttng-live",
	};

	return names[role];
}
