/* SPDX-License-Identifier: MIT */
/* acceptor.c - many at once, and no descriptors left. */
#include "sessiond-lite/acceptor.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "sessiond-lite/bound_socket.h"

static struct fixture {
	uv_loop_t loop;
	struct counters counters;
	struct acceptor *acceptor;
	struct accept_socket *socket;
	struct addr at;
	int accepted;
	int fds[4096];
} f;

static void on_accept(void *context, int fd, const struct addr *peer)
{
	(void)context;
	cr_assert(addr_is_loopback(peer));
	cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	cr_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
	f.fds[f.accepted++] = fd;
}

static void start(void)
{
	struct keep_alive k = {60, 10, 6};
	int fd;

	memset(&f, 0, sizeof(f));
	cr_assert_eq(uv_loop_init(&f.loop), 0);
	cr_assert_eq(acceptor_create(&f.loop, &f.counters, &f.acceptor), 0);
	cr_assert_eq(addr_parse("127.0.0.1:0", &f.at), 0);
	cr_assert_eq(bound_socket_listen(&f.at, BOUND_AS_WRITTEN, &k, &fd), 0);
	cr_assert_eq(bound_socket_address(fd, &f.at), 0);
	cr_assert_eq(acceptor_add(f.acceptor, fd, COUNTER_connections_control, on_accept, NULL,
				  &f.socket),
		     0);
}

static void stop(void)
{
	acceptor_free(f.acceptor);
	uv_run(&f.loop, UV_RUN_DEFAULT);
	cr_assert_eq(uv_loop_close(&f.loop), 0);
	while (f.accepted)
		close(f.fds[--f.accepted]);
}

static int dial(void)
{
	struct sockaddr_storage sa;
	socklen_t len;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert_geq(fd, 0);
	addr_to_sockaddr(&f.at, AF_INET, &sa, &len);
	cr_assert_eq(connect(fd, (struct sockaddr *)&sa, len), 0);
	return fd;
}

Test(acceptor, many_at_once)
{
	static int fds[500];

	start();
	for (int i = 0; i < 500; i++)
		fds[i] = dial();
	while (f.accepted < 500)
		uv_run(&f.loop, UV_RUN_ONCE);
	cr_assert_eq(counters_sum(&f.counters, 1, COUNTER_connections_control), 0);
	for (int i = 0; i < 500; i++)
		close(fds[i]);
	stop();
}

Test(acceptor, drain_takes_what_waits)
{
	int fds[3];

	start();
	for (int i = 0; i < 3; i++)
		fds[i] = dial();
	accept_socket_drain(f.socket);
	cr_assert_eq(f.accepted, 3);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	stop();
}

Test(acceptor, without_descriptors_connections_are_refused)
{
	struct rlimit limit;
	int fds[10];
	char c;

	start();
	for (int i = 0; i < 10; i++)
		(void)dial(); /* stay open */
	while (f.accepted < 10)
		uv_run(&f.loop, UV_RUN_ONCE);
	for (int i = 0; i < 10; i++)
		fds[i] = dial();
	/* nothing above the highest number in use may be opened, so fill the gaps below */
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = (rlim_t)fds[9] + 1;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	while (open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0)
		;
	cr_assert_eq(errno, EMFILE);
	while (counters_sum_closed(&f.counters, 1, CLOSE_no_descriptors) < 10)
		uv_run(&f.loop, UV_RUN_ONCE);
	cr_assert_eq(f.accepted, 10);
	cr_assert_eq(counters_sum(&f.counters, 1, COUNTER_connections_control), 10);
	for (int i = 0; i < 10; i++)
		cr_assert_eq(recv(fds[i], &c, 1, 0), 0, "the peer knows");

	/* as soon as there is room, all is well */
	close(fds[0]);
	fds[0] = dial(); /* takes the place */
	while (counters_sum_closed(&f.counters, 1, CLOSE_no_descriptors) < 11)
		uv_run(&f.loop, UV_RUN_ONCE);
	close(fds[1]);
	close(fds[2]);
	fds[1] = dial();
	while (f.accepted < 11)
		uv_run(&f.loop, UV_RUN_ONCE);
	stop();
}

Test(acceptor, without_a_reserve_it_rests_and_comes_back)
{
	struct rlimit limit, all;
	int peer;

	start();
	peer = dial();
	/* a limit below the numbers in use: even the reserve cannot be opened again */
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &all), 0);
	limit = all;
	limit.rlim_cur = 3;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	uv_run(&f.loop, UV_RUN_ONCE);
	uv_run(&f.loop, UV_RUN_NOWAIT);
	cr_assert_eq(f.accepted, 0);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &all), 0);
	while (!f.accepted)
		uv_run(&f.loop, UV_RUN_ONCE);
	cr_assert_eq(f.accepted, 1);
	close(peer);
	stop();
}
