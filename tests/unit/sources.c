/* SPDX-License-Identifier: MIT */
/* sources.c - leases, streams, ends, restarts: sessiond-lite's part of a source's life. */
#include "sessiond-lite/sources.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/unit/sessiond_rig.h"

static uint64_t closed(struct rig *rig, enum close_reason reason)
{
	return counters_sum_closed(store_counters(rig->store), 1, reason);
}

static void done(struct rig *rig, enum link_done kind, struct state_ref ref)
{
	struct link_message m = {.type = LINK_DONE, .kind = kind, .ref = ref};

	rig_send(rig, &m);
	rig_turn(rig);
}

Test(sources, straight_path)
{
	struct rig rig;
	struct link_message m;
	struct state_ref conversation, source, stream;
	struct source_slot *slot;
	uint16_t ports[3];
	int control, data, fds[LINK_ITEMS];
	unsigned n;
	char byte;

	rig_start(&rig, &(struct rig_config){0});
	conversation = rig_conversation(&rig, "127.1.2.3", &control);
	source = rig_source(&rig, conversation, 3, TRANSPORT_TCP);
	slot = state_source(rig.st, source);
	cr_assert(slot);
	cr_assert_eq(slot->cpus, 3);
	cr_assert_eq(slot->number, 1);
	cr_assert_eq(slot->conversation.id, conversation.id);
	cr_assert_eq(atomic_load(&slot->session), 1);
	rig_ports(&rig, source, ports, 3);
	cr_assert(ports[0] < ports[1] && ports[1] < ports[2]);

	/* a data connection finds its stream, and what it sends comes out of the descriptor passed
	 */
	data = rig_connect("127.1.2.3", "127.0.0.1", ports[1]);
	cr_assert_eq(write(data, "x", 1), 1);
	rig_receive(&rig, &m, fds, &n);
	cr_assert_eq(m.type, LINK_STREAMS);
	cr_assert_eq(n, 1);
	stream = (struct state_ref){.index = m.item[0].index, .id = m.item[0].id};
	cr_assert_eq(state_stream(rig.st, stream)->cpu, 1);
	cr_assert_eq(atomic_load(&state_stream(rig.st, stream)->connected), 1);
	cr_assert_eq(read(fds[0], &byte, 1), 1);
	cr_assert_eq(byte, 'x');

	/* closing: relayd's duplicate alone sends no FIN, sessiond-lite's does it then */
	close(fds[0]);
	cr_assert_eq(recv(data, &byte, 1, MSG_DONTWAIT), -1);
	atomic_store(&state_stream(rig.st, stream)->closed, 1);
	done(&rig, LINK_DONE_STREAM, stream);
	cr_assert(rig_is_closed(&rig, data));

	atomic_store(&state_conversation(rig.st, conversation)->done, 1);
	done(&rig, LINK_DONE_CONVERSATION, conversation);
	cr_assert(rig_is_closed(&rig, control));
	cr_assert_null(state_conversation(rig.st, conversation));
	cr_assert(state_source(rig.st, source), "a source outlives its conversation");

	atomic_store(&slot->done, 1);
	done(&rig, LINK_DONE_SOURCE, source);
	cr_assert_null(state_source(rig.st, source));
	cr_assert_null(state_stream(rig.st, stream));
	cr_assert_eq(rig.ended, 1);
	close(data);
	close(control);
	rig_stop(&rig);
}

Test(sources, hint_without_mark_frees_nothing)
{
	struct rig rig;
	struct state_ref conversation, source;
	int control;

	rig_start(&rig, &(struct rig_config){0});
	conversation = rig_conversation(&rig, NULL, &control);
	source = rig_source(&rig, conversation, 1, TRANSPORT_TCP);
	done(&rig, LINK_DONE_SOURCE, source);
	done(&rig, LINK_DONE_CONVERSATION, conversation);
	cr_assert(state_source(rig.st, source));
	cr_assert(state_conversation(rig.st, conversation));
	close(control);
	rig_stop(&rig);
}

Test(sources, lease_asked_again_is_the_same)
{
	struct rig rig;
	struct state_ref conversation, source, again;
	int control;

	rig_start(&rig, &(struct rig_config){0});
	conversation = rig_conversation(&rig, NULL, &control);
	source = rig_source(&rig, conversation, 2, TRANSPORT_TCP);
	again = rig_source(&rig, conversation, 2, TRANSPORT_TCP);
	cr_assert_eq(source.id, again.id);
	cr_assert_eq(rig.number, 2, "one number was used");
	close(control);
	rig_stop(&rig);
}

Test(sources, lease_waits_for_a_number)
{
	struct rig rig;
	struct state_ref conversation;
	struct link_message m = {.type = LINK_LEASE,
				 .lease = {.cpus = 1, .protocol = PROTOCOL_TRACE_CMD_V1}};
	int control;

	rig_start(&rig, &(struct rig_config){0});
	m.ref = conversation = rig_conversation(&rig, NULL, &control);
	rig.number = 0;
	rig_send(&rig, &m);
	rig_send(&rig, &m);
	rig_expect_silence(&rig);
	rig.number = 7;
	sources_numbers_ready(rig.sources);
	rig_expect(&rig, LINK_LEASED, &m);
	cr_assert_eq(m.error, 0);
	cr_assert_eq(rig.st->source[0].number, 7);
	rig_expect_silence(&rig);
	close(control);
	rig_stop(&rig);
}

Test(sources, refusals)
{
	struct rig rig;
	struct state_ref conversation;
	struct link_message m;
	struct store_counts before, after;
	struct {
		uint32_t cpus;
		uint32_t transport;
		int want;
	} c[] = {
		{0, TRANSPORT_TCP, -EINVAL},
		{1, 7, -EINVAL},
		{33, TRANSPORT_TCP, -EDQUOT},
		{20, TRANSPORT_TCP, -ENOSPC},
	};
	int control;

	rig_start(&rig, &(struct rig_config){.streams_per_peer = 32, .streams = 16});
	conversation = rig_conversation(&rig, NULL, &control);
	store_counts(rig.store, &before);
	for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		m = (struct link_message){.type = LINK_LEASE,
					  .ref = conversation,
					  .lease = {.cpus = c[i].cpus,
						    .protocol = PROTOCOL_TRACE_CMD_V1,
						    .transport = c[i].transport}};
		rig_send(&rig, &m);
		rig_expect(&rig, LINK_LEASED, &m);
		cr_assert_eq(m.error, c[i].want, "case %zu: %d", i, m.error);
	}
	store_counts(rig.store, &after);
	cr_assert_eq(memcmp(&before, &after, sizeof(before)), 0, "a refusal left something behind");

	m = (struct link_message){.type = LINK_LEASE, .ref = {.index = 5, .id = 99}};
	rig_send(&rig, &m);
	rig_expect(&rig, LINK_LEASED, &m);
	cr_assert_eq(m.error, -ENOENT);
	close(control);
	rig_stop(&rig);
}

Test(sources, ports_run_out_only_for_the_peer)
{
	struct rig rig;
	struct state_ref a, b;
	struct link_message m = {.type = LINK_LEASE,
				 .lease = {.cpus = 1, .protocol = PROTOCOL_TRACE_CMD_V1}};
	uint16_t pa[64], pb[2];
	int ca, cb;

	rig_start(&rig, &(struct rig_config){.streams_per_peer = 1000});
	a = rig_conversation(&rig, "127.0.0.2", &ca);
	rig_ports(&rig, rig_source(&rig, a, 64, TRANSPORT_TCP), pa, 64);
	a = rig_conversation(&rig, "127.0.0.2", &cb);
	m.ref = a;
	rig_send(&rig, &m);
	rig_expect(&rig, LINK_LEASED, &m);
	cr_assert_eq(m.error, -EADDRNOTAVAIL);
	close(cb);
	b = rig_conversation(&rig, "127.0.0.3", &cb);
	rig_ports(&rig, rig_source(&rig, b, 2, TRANSPORT_TCP), pb, 2);
	cr_assert_eq(pb[0], pa[0], "another host has the same ports");
	close(ca);
	close(cb);
	rig_stop(&rig);
}

Test(sources, strangers_and_second_connections_are_closed)
{
	struct rig rig;
	struct state_ref conversation;
	struct link_message m;
	uint16_t port;
	int control, first, second, stranger;

	rig_start(&rig, &(struct rig_config){0});
	conversation = rig_conversation(&rig, "127.0.0.9", &control);
	rig_ports(&rig, rig_source(&rig, conversation, 1, TRANSPORT_TCP), &port, 1);
	stranger = rig_connect("127.0.0.8", "127.0.0.1", port);
	cr_assert(rig_is_closed(&rig, stranger));
	cr_assert_eq(closed(&rig, CLOSE_no_lease), 1);
	first = rig_connect("127.0.0.9", "127.0.0.1", port);
	rig_expect(&rig, LINK_STREAMS, &m);
	second = rig_connect("127.0.0.9", "127.0.0.1", port);
	cr_assert(rig_is_closed(&rig, second));
	cr_assert_eq(closed(&rig, CLOSE_lease_in_use), 1);
	cr_assert_eq(counters_sum(store_counters(rig.store), 1, COUNTER_connections_stream), 2,
		     "relayd counts those it gets");
	rig_expect_silence(&rig);
	close(first);
	close(second);
	close(stranger);
	close(control);
	rig_stop(&rig);
}

Test(sources, everything_is_passed_again)
{
	struct rig rig;
	struct state_ref conversation, source, gone;
	struct link_message m;
	uint16_t ports[2];
	int control, control_2, data, fds[LINK_ITEMS];
	unsigned n;
	char byte;

	rig_start(&rig, &(struct rig_config){0});
	conversation = rig_conversation(&rig, "127.0.0.9", &control);
	gone = rig_conversation(&rig, "127.0.0.10", &control_2);
	source = rig_source(&rig, conversation, 2, TRANSPORT_TCP);
	rig_ports(&rig, source, ports, 2);
	data = rig_connect("127.0.0.9", "127.0.0.1", ports[0]);
	rig_expect(&rig, LINK_STREAMS, &m);

	/* it dies with a mark that no message told of */
	atomic_store(&state_conversation(rig.st, gone)->done, 1);
	rig_kill_relayd(&rig);
	sources_sweep(rig.sources);
	cr_assert_null(state_conversation(rig.st, gone));
	cr_assert(rig_is_closed(&rig, control_2));

	/* connections that come meanwhile wait for the next one */
	int late = rig_connect("127.0.0.9", "127.0.0.1", ports[1]);

	rig_turn(&rig);
	rig_start_relayd(&rig);
	sources_pass_all(rig.sources);
	rig_receive(&rig, &m, fds, &n);
	cr_assert_eq(m.type, LINK_CONVERSATIONS);
	cr_assert_eq(n, 1);
	cr_assert_eq(m.item[0].id, conversation.id);
	cr_assert_eq(write(control, "c", 1), 1);
	cr_assert_eq(read(fds[0], &byte, 1), 1);
	cr_assert_eq(byte, 'c');
	close(fds[0]);
	rig_receive(&rig, &m, fds, &n);
	cr_assert_eq(m.type, LINK_STREAMS);
	cr_assert_eq(n, 2);
	cr_assert_eq(write(data, "d", 1), 1);
	cr_assert_eq(read(fds[0], &byte, 1), 1);
	cr_assert_eq(byte, 'd');
	close(fds[0]);
	close(fds[1]);
	rig_expect_silence(&rig);
	close(late);
	close(data);
	close(control);
	close(control_2);
	rig_stop(&rig);
}

Test(sources, drained_comes_behind_what_waited)
{
	struct rig rig;
	struct state_ref conversation, source;
	struct link_message m = {.type = LINK_DRAIN};
	uint16_t ports[3];
	int control, data[2], other;

	rig_start(&rig, &(struct rig_config){0});
	conversation = rig_conversation(&rig, "127.0.0.9", &control);
	source = rig_source(&rig, conversation, 3, TRANSPORT_TCP);
	rig_ports(&rig, source, ports, 3);
	m.ref = source;
	/* the request is there before the loop has seen the connections */
	rig_send(&rig, &m);
	data[0] = rig_connect("127.0.0.9", "127.0.0.1", ports[0]);
	data[1] = rig_connect("127.0.0.9", "127.0.0.1", ports[2]);
	other = rig_connect("127.0.0.4", "127.0.0.1", ports[1]);
	rig_expect(&rig, LINK_STREAMS, &m);
	cr_assert_eq(m.items, 2);
	rig_expect(&rig, LINK_DRAINED, &m);
	cr_assert_eq(m.ref.id, source.id);
	cr_assert(rig_is_closed(&rig, other));
	m = (struct link_message){.type = LINK_DRAIN, .ref = {.index = 9, .id = 1234}};
	rig_send(&rig, &m);
	rig_expect(&rig, LINK_DRAINED, &m);
	cr_assert_eq(m.error, -ENOENT);
	close(data[0]);
	close(data[1]);
	close(other);
	close(control);
	rig_stop(&rig);
}

Test(sources, v3_gets_its_session_later)
{
	struct rig rig;
	struct state_ref conversation;
	struct link_message m = {
		.type = LINK_LEASE,
		.lease = {.cpus = 1, .protocol = PROTOCOL_TRACE_CMD_V3, .page_size = 4096}};
	struct source_slot *slot;
	int control;

	rig_start(&rig, &(struct rig_config){0});
	m.ref = conversation = rig_conversation(&rig, "127.0.0.9", &control);
	rig.match = 4;
	rig_send(&rig, &m);
	rig_expect(&rig, LINK_LEASED, &m);
	slot = &rig.st->source[atomic_load(&state_conversation(rig.st, conversation)->source) - 1];
	cr_assert_eq(atomic_load(&slot->session), 0);

	m = (struct link_message){.type = LINK_MATCH, .ref = state_ref_of_source(rig.st, slot)};
	strcpy(m.text, "web-1");
	rig_send(&rig, &m);
	rig_expect(&rig, LINK_MATCHED, &m);
	cr_assert_eq(m.error, 0);
	cr_assert_eq(atomic_load(&slot->session), 5);
	cr_assert_str_eq(rig.host, "web-1");
	cr_assert_eq(rig.subject.local_port, rig.control.port);
	/* asked again: the answer stays, whatever the rules say now */
	rig.match = 6;
	m = (struct link_message){.type = LINK_MATCH, .ref = state_ref_of_source(rig.st, slot)};
	rig_send(&rig, &m);
	rig_expect(&rig, LINK_MATCHED, &m);
	cr_assert_eq(atomic_load(&slot->session), 5);
	close(control);
	rig_stop(&rig);
}

Test(sources, keep_alive_and_nodelay_are_set)
{
	struct rig rig;
	struct state_ref conversation;
	struct link_message m;
	uint16_t port;
	int control, data, fds[LINK_ITEMS], value;
	socklen_t len = sizeof(value);
	unsigned n;

	rig_start(&rig, &(struct rig_config){0});
	conversation = rig_conversation(&rig, "127.0.0.9", &control);
	rig_ports(&rig, rig_source(&rig, conversation, 1, TRANSPORT_TCP), &port, 1);
	data = rig_connect("127.0.0.9", "127.0.0.1", port);
	rig_receive(&rig, &m, fds, &n);
	cr_assert_eq(getsockopt(fds[0], SOL_SOCKET, SO_KEEPALIVE, &value, &len), 0);
	cr_assert_eq(value, 1);
	cr_assert_eq(getsockopt(fds[0], IPPROTO_TCP, TCP_KEEPIDLE, &value, &len), 0);
	cr_assert_eq(value, 60);
	cr_assert_eq(getsockopt(fds[0], IPPROTO_TCP, TCP_KEEPCNT, &value, &len), 0);
	cr_assert_eq(value, 6);
	cr_assert_eq(getsockopt(fds[0], IPPROTO_TCP, TCP_NODELAY, &value, &len), 0);
	cr_assert_neq(value, 0);
	close(fds[0]);
	close(data);
	close(control);
	rig_stop(&rig);
}

/* ---- UDP ---- */

static int udp_peer(const char *from, struct addr *ret)
{
	struct sockaddr_storage sa;
	socklen_t len;
	int fd;

	cr_assert_eq(addr_parse(from, ret), 0);
	addr_to_sockaddr(ret, AF_UNSPEC, &sa, &len);
	fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	cr_assert_eq(bind(fd, (struct sockaddr *)&sa, len), 0);
	cr_assert_eq(bound_socket_address(fd, ret), 0);
	return fd;
}

static void say(int fd, const char *to, uint16_t port, char what)
{
	struct sockaddr_storage sa;
	struct addr a;
	socklen_t len;

	cr_assert_eq(addr_parse(to, &a), 0);
	a.port = port;
	addr_to_sockaddr(&a, AF_UNSPEC, &sa, &len);
	cr_assert_eq(sendto(fd, &what, 1, 0, (struct sockaddr *)&sa, len), 1);
}

/* The one byte that waits, or 0. */
static char heard(int fd)
{
	char c;

	return recv(fd, &c, 1, MSG_DONTWAIT) == 1 ? c : 0;
}

/*
 * A UDP source of two CPUs whose client reaches us at `to`: the first datagram comes to a shared
 * socket, the next ones to the stream's own, a stranger's to a shared one.
 */
static void udp_life(const char *to, bool families_apart, int shared_expected)
{
	struct rig rig;
	struct link_message m;
	struct state_ref conversation, source, stream;
	struct addr client, stranger, at;
	struct source_slot *slot;
	uint16_t ports[2];
	int control, peer, other, shared[8], n_shared = 0, own = -1, fds[LINK_ITEMS], got = 0;
	uint64_t ids[8];
	unsigned n;

	rig_start(&rig, &(struct rig_config){.families_apart = families_apart});
	cr_assert_eq(addr_parse(to, &at), 0);
	cr_assert_eq(listener_add(rig.listeners, &at, CONVERSATION_TRACE_CMD, 0, &at), 0);
	control = rig_connect("127.0.0.5", to, at.port);
	rig_expect(&rig, LINK_CONVERSATIONS, &m);
	conversation = (struct state_ref){.index = m.item[0].index, .id = m.item[0].id};
	m = (struct link_message){.type = LINK_LEASE,
				  .ref = conversation,
				  .lease = {.cpus = 2,
					    .protocol = PROTOCOL_TRACE_CMD_V1,
					    .transport = TRANSPORT_UDP}};
	rig_send(&rig, &m);
	do {
		rig_receive(&rig, &m, fds, &n);
		for (unsigned i = 0; i < n; i++) {
			cr_assert_eq(m.type, LINK_SHARED);
			ids[n_shared] = m.item[i].id;
			shared[n_shared++] = fds[i];
		}
	} while (m.type != LINK_LEASED);
	cr_assert_eq(m.error, 0);
	cr_assert_eq(n_shared, families_apart ? 4 : 2);
	slot = &rig.st->source[atomic_load(&state_conversation(rig.st, conversation)->source) - 1];
	source = state_ref_of_source(rig.st, slot);
	rig_ports(&rig, source, ports, 2);
	stream = state_ref_of_stream(rig.st, &rig.st->stream[slot->first_stream - 1]);

	peer = udp_peer("127.0.0.5", &client);
	other = udp_peer("127.0.0.6", &stranger);
	say(peer, to, ports[0], '1');
	for (int i = 0; i < n_shared; i++)
		got += heard(shared[i]) == '1';
	cr_assert_eq(got, 1);

	/* not for strangers */
	m = (struct link_message){.type = LINK_UDP_SOCKET, .ref = stream, .peer = stranger};
	rig_send(&rig, &m);
	rig_expect(&rig, LINK_UDP_REFUSED, &m);
	cr_assert_eq(m.error, -EACCES);

	for (int again = 0; again < 2; again++) {
		m = (struct link_message){.type = LINK_UDP_SOCKET, .ref = stream, .peer = client};
		rig_send(&rig, &m);
		do {
			rig_receive(&rig, &m, fds, &n);
			cr_assert_eq(n, 1);
			if (m.type == LINK_SHARED) {
				cr_assert_eq(again, 0);
				ids[n_shared] = m.item[0].id;
				cr_assert_eq(m.item[0].port, ports[0]);
				shared[n_shared++] = fds[0];
			}
		} while (m.type == LINK_SHARED);
		cr_assert_eq(m.type, LINK_STREAMS);
		cr_assert_eq(m.item[0].id, stream.id);
		if (own >= 0)
			close(own);
		own = fds[0];
		say(peer, to, ports[0], 'm');
		say(other, to, ports[0], 's');
		cr_assert_eq(heard(own), 'm', "the same socket is passed again");
		cr_assert_eq(heard(own), 0);
		got = 0;
		for (int i = 0; i < n_shared; i++)
			got += heard(shared[i]) == 's';
		cr_assert_eq(got, 1);
	}
	cr_assert_eq(n_shared, shared_expected);
	for (int i = 0; i < n_shared; i++)
		for (int k = 0; k < i; k++)
			cr_assert_neq(ids[i], ids[k]);

	/* a new relayd gets all of it */
	rig_kill_relayd(&rig);
	rig_start_relayd(&rig);
	sources_pass_all(rig.sources);
	rig_expect(&rig, LINK_SHARED, &m);
	cr_assert_eq(m.items, (uint32_t)n_shared);
	rig_expect(&rig, LINK_CONVERSATIONS, &m);
	rig_expect(&rig, LINK_STREAMS, &m);

	/* its own socket ends with it, and the port goes back to the shared one */
	close(own);
	atomic_store(&slot->done, 1);
	done(&rig, LINK_DONE_SOURCE, source);
	say(peer, to, ports[0], 'l');
	got = 0;
	for (int i = 0; i < n_shared; i++) {
		got += heard(shared[i]) == 'l';
		close(shared[i]);
	}
	cr_assert_eq(got, 1);
	close(peer);
	close(other);
	close(control);
	rig_stop(&rig);
}

Test(sources, udp_dual)
{
	udp_life("127.0.0.1", false, 2);
}

Test(sources, udp_families_apart)
{
	udp_life("127.0.0.1", true, 4);
}

/* The client came to an address that connect() would not choose as ours. */
Test(sources, udp_at_another_address_of_ours)
{
	udp_life("127.0.0.77", false, 3);
}

Test(sources, udp_ports_take_no_tcp)
{
	struct rig rig;
	struct state_ref conversation, tcp;
	uint16_t udp_port, tcp_port;
	int c1, c2, stranger;

	rig_start(&rig, &(struct rig_config){0});
	/* another host makes the port a TCP one, too */
	conversation = rig_conversation(&rig, "127.0.0.5", &c1);
	tcp = rig_source(&rig, conversation, 1, TRANSPORT_TCP);
	rig_ports(&rig, tcp, &tcp_port, 1);
	conversation = rig_conversation(&rig, "127.0.0.6", &c2);
	rig_ports(&rig, rig_source(&rig, conversation, 1, TRANSPORT_UDP), &udp_port, 1);
	cr_assert_eq(tcp_port, udp_port);
	stranger = rig_connect("127.0.0.6", "127.0.0.1", tcp_port);
	cr_assert(rig_is_closed(&rig, stranger));
	cr_assert_eq(closed(&rig, CLOSE_no_lease), 1);
	close(stranger);
	close(c1);
	close(c2);
	rig_stop(&rig);
}
