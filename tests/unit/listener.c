/* SPDX-License-Identifier: MIT */
/* listener.c - control ports: whom a connection belongs to, refusals, a port in use. */
#include "sessiond-lite/listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/unit/sessiond_rig.h"

static struct addr any(const char *text)
{
	struct addr a;

	cr_assert_eq(addr_parse(text, &a), 0);
	return a;
}

static uint64_t closed(struct rig *rig, enum close_reason reason)
{
	return counters_sum_closed(store_counters(rig->store), 1, reason);
}

Test(listener, slot_tells_peer_port_and_owner)
{
	struct rig rig;
	struct link_message m;
	struct conversation_slot *c;
	struct addr at = any("127.0.0.3:0"), got;
	struct listener_info info;
	int fd;

	rig_start(&rig, &(struct rig_config){0});
	cr_assert_eq(listener_add(rig.listeners, &at, CONVERSATION_TRACE_CMD, 7, &at), 0);
	cr_assert_neq(at.port, 0);
	fd = rig_connect("127.0.0.50", "127.0.0.3", at.port);
	rig_expect(&rig, LINK_CONVERSATIONS, &m);
	c = state_conversation(rig.st,
			       (struct state_ref){.index = m.item[0].index, .id = m.item[0].id});
	cr_assert_eq(c->own_session, 7);
	cr_assert(addr_equal(&c->local, &at));
	got = any("127.0.0.50");
	cr_assert(addr_same_host(&c->peer, &got));
	cr_assert_eq(listener_get(rig.listeners, 0, &info), 0);
	cr_assert_eq(info.own_session, 0);
	cr_assert_eq(listener_get(rig.listeners, 1, &info), 0);
	cr_assert_eq(info.own_session, 7);
	cr_assert(addr_equal(&info.at, &at));
	cr_assert_eq(info.role, CONVERSATION_TRACE_CMD);
	cr_assert_eq(listener_get(rig.listeners, 2, &info), -ENOENT);
	cr_assert_eq(counters_sum(store_counters(rig.store), 1, COUNTER_connections_control), 0,
		     "relayd counts those it gets");

	/* its port ends, its conversation does not */
	listener_remove(rig.listeners, 7);
	cr_assert_eq(listener_get(rig.listeners, 1, &info), -ENOENT);
	cr_assert_eq(listener_add(rig.listeners, &at, CONVERSATION_TRACE_CMD, 8, NULL), 0,
		     "the port is free again");
	rig_expect_silence(&rig);
	close(fd);
	rig_stop(&rig);
}

Test(listener, port_in_use)
{
	struct rig rig;
	struct store_counts before, after;

	rig_start(&rig, &(struct rig_config){0});
	store_counts(rig.store, &before);
	cr_assert_eq(listener_add(rig.listeners, &rig.control, CONVERSATION_TRACE_CMD, 0, NULL),
		     -EADDRINUSE);
	store_counts(rig.store, &after);
	cr_assert_eq(before.descriptors, after.descriptors);
	rig_stop(&rig);
}

Test(listener, limits_close_at_once)
{
	struct rig rig;
	struct link_message m;
	int fd[4];

	rig_start(&rig, &(struct rig_config){.sources = 2});
	for (int i = 0; i < 2; i++) {
		fd[i] = rig_connect("127.0.0.5", "127.0.0.1", rig.control.port);
		rig_expect(&rig, LINK_CONVERSATIONS, &m);
	}
	fd[2] = rig_connect("127.0.0.6", "127.0.0.1", rig.control.port);
	cr_assert(rig_is_closed(&rig, fd[2]));
	cr_assert_eq(closed(&rig, CLOSE_sources_limit), 1);
	rig_expect_silence(&rig);
	for (int i = 0; i < 3; i++)
		close(fd[i]);
	rig_stop(&rig);
}

Test(listener, one_peer_cannot_take_all_slots)
{
	struct rig rig;
	struct link_message m;
	int fd[34];

	rig_start(&rig, &(struct rig_config){0});
	for (int i = 0; i < 33; i++) /* the rig allows 32 a peer */
		fd[i] = rig_connect("127.0.0.5", "127.0.0.1", rig.control.port);
	cr_assert(rig_is_closed(&rig, fd[32]));
	cr_assert_eq(closed(&rig, CLOSE_streams_limit), 1);
	for (uint32_t n = 0; n < 32; n += m.items)
		rig_expect(&rig, LINK_CONVERSATIONS, &m);
	fd[33] = rig_connect("127.0.0.6", "127.0.0.1", rig.control.port);
	rig_expect(&rig, LINK_CONVERSATIONS, &m);
	for (int i = 0; i < 34; i++)
		close(fd[i]);
	rig_stop(&rig);
}

Test(listener, connections_made_without_a_relayd_are_kept)
{
	struct rig rig;
	struct link_message m;
	int fd;

	rig_start(&rig, &(struct rig_config){0});
	rig_kill_relayd(&rig);
	fd = rig_connect(NULL, "127.0.0.1", rig.control.port);
	rig_turn(&rig);
	rig_start_relayd(&rig);
	sources_pass_all(rig.sources);
	rig_expect(&rig, LINK_CONVERSATIONS, &m);
	cr_assert_eq(m.items, 1);
	rig_expect_silence(&rig);
	close(fd);
	rig_stop(&rig);
}

Test(listener, slots_tell_what_is_spoken)
{
	static const char *const names[] = {"trace-cmd", "lttng-control", "lttng-data",
					    "lttng-live"};
	struct rig rig;
	struct conversation_slot *c;
	struct listener_info info;
	int fd[CONVERSATION_ROLES], fds[LINK_ITEMS], value = 0;
	socklen_t len = sizeof(value);
	struct link_message m;
	unsigned n;

	rig_start(&rig, &(struct rig_config){0});
	for (int role = 0; role < CONVERSATION_ROLES; role++) {
		uint16_t port = rig_listen(&rig, (enum conversation_role)role);

		cr_assert_eq(listener_get(rig.listeners, (size_t)role + 1, &info), 0);
		cr_assert_eq(info.at.port, port);
		cr_assert_eq((int)info.role, role);
		cr_assert_str_eq(listener_role_name(info.role), names[role]);
		fd[role] = rig_connect("127.0.0.5", "127.0.0.1", port);
		rig_receive(&rig, &m, fds, &n);
		cr_assert_eq(m.type, LINK_CONVERSATIONS);
		c = state_conversation(
			rig.st, (struct state_ref){.index = m.item[0].index, .id = m.item[0].id});
		cr_assert_eq(c->role, (uint32_t)role);
		cr_assert_eq(getsockopt(fds[0], IPPROTO_TCP, TCP_NODELAY, &value, &len), 0);
		cr_assert_neq(value, 0);
		cr_assert_eq(getsockopt(fds[0], IPPROTO_TCP, TCP_KEEPIDLE, &value, &len), 0);
		cr_assert_eq(value, 60);
		close(fds[0]);
	}
	/* all of them are passed to the next relayd */
	rig_kill_relayd(&rig);
	rig_start_relayd(&rig);
	sources_pass_all(rig.sources);
	rig_expect(&rig, LINK_CONVERSATIONS, &m);
	cr_assert_eq(m.items, CONVERSATION_ROLES);
	for (int role = 0; role < CONVERSATION_ROLES; role++)
		close(fd[role]);
	rig_stop(&rig);
}

Test(listener, silent_data_connections_are_limited)
{
	struct rig rig;
	struct link_message m;
	int fd[4];
	uint16_t port;

	rig_start(&rig, &(struct rig_config){.anonymous = 2});
	port = rig_listen(&rig, CONVERSATION_LTTNG_DATA);
	for (int i = 0; i < 2; i++) {
		fd[i] = rig_connect("127.0.0.5", "127.0.0.1", port);
		rig_expect(&rig, LINK_CONVERSATIONS, &m);
	}
	fd[2] = rig_connect("127.0.0.5", "127.0.0.1", port);
	cr_assert(rig_is_closed(&rig, fd[2]));
	cr_assert_eq(closed(&rig, CLOSE_anonymous_limit), 1);
	cr_assert_eq(counters_sum(store_counters(rig.store), 1, COUNTER_connections_stream), 1);
	cr_assert_eq(counters_sum(store_counters(rig.store), 1, COUNTER_connections_control), 0);
	rig_expect_silence(&rig);
	/* another host is not concerned */
	fd[3] = rig_connect("127.0.0.6", "127.0.0.1", port);
	rig_expect(&rig, LINK_CONVERSATIONS, &m);
	close(fd[2]);
	/* one has named its stream */
	atomic_store(&rig.st->conversation[0].source, 1);
	fd[2] = rig_connect("127.0.0.5", "127.0.0.1", port);
	rig_expect(&rig, LINK_CONVERSATIONS, &m);
	for (int i = 0; i < 4; i++)
		close(fd[i]);
	rig_stop(&rig);
}
