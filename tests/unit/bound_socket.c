/* SPDX-License-Identifier: MIT */
/* bound_socket.c - what a stream's own UDP socket hears, and what it leaves to the shared one. */
#include "sessiond-lite/bound_socket.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <criterion/criterion.h>

static struct addr address(const char *text, uint16_t port)
{
	struct addr a;

	cr_assert_eq(addr_parse(text, &a), 0);
	a.port = port;
	return a;
}

/* A peer's socket, and its address. */
static int peer(const char *from, struct addr *ret)
{
	struct addr a = address(from, 0);
	struct sockaddr_storage sa;
	socklen_t len;
	int fd;

	addr_to_sockaddr(&a, AF_UNSPEC, &sa, &len);
	fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	cr_assert_eq(bind(fd, (struct sockaddr *)&sa, len), 0);
	cr_assert_eq(bound_socket_address(fd, ret), 0);
	return fd;
}

static void say(int fd, const char *to, uint16_t port, const char *text)
{
	struct addr a = address(to, port);
	struct sockaddr_storage sa;
	socklen_t len;

	addr_to_sockaddr(&a, AF_UNSPEC, &sa, &len);
	cr_assert_eq(sendto(fd, text, strlen(text), 0, (struct sockaddr *)&sa, len),
		     (ssize_t)strlen(text));
}

/* How many datagrams wait on fd, all of which say text. */
static int heard(int fd, const char *text)
{
	char buf[64];
	ssize_t n;
	int count = 0;

	while ((n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) >= 0) {
		cr_assert_eq((size_t)n, strlen(text));
		cr_assert_eq(memcmp(buf, text, (size_t)n), 0, "'%.*s' is not for this socket",
			     (int)n, buf);
		count++;
	}
	cr_assert_eq(errno, EAGAIN);
	return count;
}

static void own_hears_its_peer_only(const char *ours, enum bound_family family, const char *to,
				    const char *from, const char *stranger_from)
{
	struct addr at = address(ours, 0), mine, other;
	int shared, own, second, a, b;

	cr_assert_eq(bound_socket_datagram(&at, family, false, &shared), 0);
	cr_assert_eq(bound_socket_address(shared, &at), 0);
	a = peer(from, &mine);
	b = peer(stranger_from, &other);
	say(a, to, at.port, "first");
	cr_assert_eq(heard(shared, "first"), 1);
	cr_assert_eq(bound_socket_join(shared, &mine, &own), 0);
	for (int i = 0; i < 200; i++) {
		say(a, to, at.port, "mine");
		say(b, to, at.port, "stranger");
	}
	cr_assert_eq(heard(own, "mine"), 200);
	cr_assert_eq(heard(shared, "stranger"), 200);
	/* a second own socket, then the first one's end */
	cr_assert_eq(bound_socket_join(shared, &other, &second), 0);
	say(a, to, at.port, "mine");
	say(b, to, at.port, "stranger");
	cr_assert_eq(heard(own, "mine"), 1);
	cr_assert_eq(heard(second, "stranger"), 1);
	cr_assert_eq(heard(shared, ""), 0);
	close(own);
	say(a, to, at.port, "late");
	say(b, to, at.port, "stranger");
	cr_assert_eq(heard(shared, "late"), 1);
	cr_assert_eq(heard(second, "stranger"), 1);
	close(second);
	close(shared);
	close(a);
	close(b);
}

Test(bound_socket, own_dual_ipv4)
{
	own_hears_its_peer_only("::", BOUND_DUAL, "127.0.0.1", "127.0.0.5", "127.0.0.6");
}

Test(bound_socket, own_dual_ipv6)
{
	own_hears_its_peer_only("::", BOUND_DUAL, "::1", "::1", "::1");
}

Test(bound_socket, own_ipv4)
{
	own_hears_its_peer_only("0.0.0.0", BOUND_AS_WRITTEN, "127.0.0.1", "127.0.0.5", "127.0.0.6");
}

Test(bound_socket, own_ipv6)
{
	own_hears_its_peer_only("::", BOUND_AS_WRITTEN, "::1", "::1", "::1");
}

Test(bound_socket, own_on_one_address)
{
	own_hears_its_peer_only("127.0.0.7", BOUND_AS_WRITTEN, "127.0.0.7", "127.0.0.5",
				"127.0.0.6");
}

struct flood {
	int fds[16];
	uint16_t port;
	atomic_bool over;
};

/* Strangers of many ports, since the kernel would spread them by hash. */
static void *flood(void *context)
{
	struct flood *f = context;

	for (unsigned i = 0; !atomic_load(&f->over); i++)
		say(f->fds[i % 16], "127.0.0.1", f->port, "stranger");
	return NULL;
}

/* Between bind() and connect() an own socket is open to everybody, but for the group's program. */
Test(bound_socket, strangers_during_many_joins)
{
	struct addr at = address("::", 0), mine, other;
	struct flood f = {0};
	pthread_t thread;
	int shared, own, a;

	cr_assert_eq(bound_socket_datagram(&at, BOUND_DUAL, false, &shared), 0);
	cr_assert_eq(bound_socket_address(shared, &at), 0);
	f.port = at.port;
	a = peer("127.0.0.5", &mine);
	for (int i = 0; i < 16; i++)
		f.fds[i] = peer("127.0.0.99", &other);
	cr_assert_eq(pthread_create(&thread, NULL, flood, &f), 0);
	for (int round = 0; round < 4000; round++) {
		cr_assert_eq(bound_socket_join(shared, &mine, &own), 0);
		cr_assert_eq(heard(own, "mine"), 0);
		close(own);
	}
	atomic_store(&f.over, true);
	pthread_join(thread, NULL);
	for (int i = 0; i < 16; i++)
		close(f.fds[i]);
	close(a);
	close(shared);
}

Test(bound_socket, a_port_is_not_shared_with_others)
{
	struct addr at = address("::", 0), v4;
	struct keep_alive k = {60, 10, 6};
	int first, second;

	cr_assert_eq(bound_socket_datagram(&at, BOUND_DUAL, false, &first), 0);
	cr_assert_eq(bound_socket_address(first, &at), 0);
	cr_assert_eq(bound_socket_datagram(&at, BOUND_DUAL, false, &second), -EADDRINUSE);
	v4 = address("0.0.0.0", at.port);
	cr_assert_eq(bound_socket_datagram(&v4, BOUND_AS_WRITTEN, false, &second), -EADDRINUSE);
	close(first);
	at.port = 0;
	cr_assert_eq(bound_socket_listen(&at, BOUND_DUAL, &k, &first), 0);
	cr_assert_eq(bound_socket_address(first, &at), 0);
	cr_assert_eq(bound_socket_listen(&at, BOUND_DUAL, &k, &second), -EADDRINUSE);
	close(first);
}

Test(bound_socket, ipv6_as_written_leaves_ipv4_alone)
{
	struct addr v6 = address("::", 0), v4;
	struct keep_alive k = {60, 10, 6};
	int first, second;

	cr_assert_eq(bound_socket_listen(&v6, BOUND_AS_WRITTEN, &k, &first), 0);
	cr_assert_eq(bound_socket_address(first, &v6), 0);
	v4 = address("0.0.0.0", v6.port);
	cr_assert_eq(bound_socket_listen(&v4, BOUND_AS_WRITTEN, &k, &second), 0);
	close(first);
	close(second);
}

Test(bound_socket, queues_are_large_and_drops_are_counted)
{
	struct addr at = address("::", 0), mine;
	int shared, own, a, value;
	socklen_t len = sizeof(value);

	cr_assert_eq(bound_socket_datagram(&at, BOUND_DUAL, false, &shared), 0);
	a = peer("127.0.0.5", &mine);
	cr_assert_eq(bound_socket_join(shared, &mine, &own), 0);
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(getsockopt(i ? own : shared, SOL_SOCKET, SO_RCVBUF, &value, &len), 0);
		cr_assert_gt(value, 212992);
		cr_assert_eq(getsockopt(i ? own : shared, SOL_SOCKET, SO_RXQ_OVFL, &value, &len),
			     0);
		cr_assert_eq(value, 1);
	}
	close(own);
	close(a);
	close(shared);
}
