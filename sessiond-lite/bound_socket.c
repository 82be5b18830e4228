/* SPDX-License-Identifier: MIT */
/* bound_socket.c - what is set on a socket, in the order the kernel wants it. */
#include "sessiond-lite/bound_socket.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

/* As many as somaxconn allows: a fleet that starts at once connects at once. */
#define BACKLOG 65535

/* A stream's queue: datagrams of 64 KiB arrive faster than a worker's turn comes. */
#define QUEUE_BYTES (4 << 20)

static int set(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int family_of(const struct addr *a, enum bound_family family)
{
	return family == BOUND_DUAL || !addr_is_v4(a) ? AF_INET6 : AF_INET;
}

static int open_socket(int af, int type, enum bound_family family, int *ret_fd)
{
	int fd = socket(af, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r = 0;

	if (fd < 0)
		return -errno;
	if (af == AF_INET6)
		r = set(fd, IPPROTO_IPV6, IPV6_V6ONLY, family != BOUND_DUAL);
	if (r < 0) {
		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

static int bind_to(int fd, const struct addr *a, int af)
{
	struct sockaddr_storage sa;
	struct addr any;
	socklen_t len;
	int r;

	if (af == AF_INET6 && addr_is_v4(a)) { /* dual: the wildcard of both */
		any = (struct addr){.port = a->port};
		a = &any;
	}
	r = addr_to_sockaddr(a, af, &sa, &len);
	if (r < 0)
		return r;
	return bind(fd, (struct sockaddr *)&sa, len) < 0 ? -errno : 0;
}

int bound_socket_listen(const struct addr *a, enum bound_family family,
			const struct keep_alive *keep_alive, int *ret_fd)
{
	int af = family_of(a, family);
	int fd, r;

	r = open_socket(af, SOCK_STREAM, family, &fd);
	if (r < 0)
		return r;
	if ((r = set(fd, SOL_SOCKET, SO_REUSEADDR, 1)) < 0 ||
	    (r = set(fd, SOL_SOCKET, SO_KEEPALIVE, 1)) < 0 ||
	    (r = set(fd, IPPROTO_TCP, TCP_KEEPIDLE, (int)keep_alive->idle_s)) < 0 ||
	    (r = set(fd, IPPROTO_TCP, TCP_KEEPINTVL, (int)keep_alive->interval_s)) < 0 ||
	    (r = set(fd, IPPROTO_TCP, TCP_KEEPCNT, (int)keep_alive->probes)) < 0 ||
	    (r = set(fd, IPPROTO_TCP, TCP_NODELAY, 1)) < 0 || (r = bind_to(fd, a, af)) < 0)
		goto fail;
	if (listen(fd, BACKLOG) < 0) {
		r = -errno;
		goto fail;
	}
	*ret_fd = fd;
	return 0;
fail:
	close(fd);
	return r;
}

/* As large as the system lets us; the system's own default is no error. */
static void enlarge_queue(int fd)
{
	if (set(fd, SOL_SOCKET, SO_RCVBUFFORCE, QUEUE_BYTES) < 0)
		(void)set(fd, SOL_SOCKET, SO_RCVBUF, QUEUE_BYTES);
}

/* Of the sockets on this address and port, the first one gets whatever no connection claims. */
static int first_gets_all(int fd)
{
	struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
	struct sock_fprog program = {.len = 1, .filter = code};

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof(program)) < 0)
		return -errno;
	return 0;
}

/* SO_REUSEPORT lets another program of this user share a port without a word, so ask without it. */
static int nobody_has(const struct addr *a, enum bound_family family, int af)
{
	int fd, r;

	if (!a->port)
		return 0;
	r = open_socket(af, SOCK_DGRAM, family, &fd);
	if (r < 0)
		return r;
	r = bind_to(fd, a, af);
	close(fd);
	return r;
}

int bound_socket_datagram(const struct addr *a, enum bound_family family, bool beside_ours,
			  int *ret_fd)
{
	int af = family_of(a, family);
	int fd, r;

	r = beside_ours ? 0 : nobody_has(a, family, af);
	if (r < 0)
		return r;
	r = open_socket(af, SOCK_DGRAM, family, &fd);
	if (r < 0)
		return r;
	enlarge_queue(fd);
	if ((r = set(fd, SOL_SOCKET, SO_REUSEPORT, 1)) < 0 ||
	    (r = set(fd, SOL_SOCKET, SO_RXQ_OVFL, 1)) < 0 || (r = bind_to(fd, a, af)) < 0 ||
	    (r = first_gets_all(fd)) < 0) {
		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

int bound_socket_join(int shared, const struct addr *peer, int *ret_fd)
{
	struct sockaddr_storage here, there;
	socklen_t here_len = sizeof(here), there_len;
	int v6only = 0;
	socklen_t v6only_len = sizeof(v6only);
	int fd, r;

	if (getsockname(shared, (struct sockaddr *)&here, &here_len) < 0)
		return -errno;
	if (here.ss_family == AF_INET6 &&
	    getsockopt(shared, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, &v6only_len) < 0)
		return -errno;
	r = addr_to_sockaddr(peer, here.ss_family, &there, &there_len);
	if (r < 0)
		return r;
	r = open_socket(here.ss_family, SOCK_DGRAM, v6only ? BOUND_AS_WRITTEN : BOUND_DUAL, &fd);
	if (r < 0)
		return r;
	enlarge_queue(fd);
	if ((r = set(fd, SOL_SOCKET, SO_REUSEPORT, 1)) < 0 ||
	    (r = set(fd, SOL_SOCKET, SO_RXQ_OVFL, 1)) < 0)
		goto fail;
	if (bind(fd, (struct sockaddr *)&here, here_len) < 0 ||
	    connect(fd, (struct sockaddr *)&there, there_len) < 0) {
		r = -errno;
		goto fail;
	}
	*ret_fd = fd;
	return 0;
fail:
	close(fd);
	return r;
}

int bound_socket_address(int fd, struct addr *ret)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);

	if (getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
		return -errno;
	return addr_from_sockaddr((struct sockaddr *)&sa, len, ret);
}
