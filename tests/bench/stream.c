/* SPDX-License-Identifier: MIT */
/* stream.c - one data connection and the pages it sends; see stream.h. */
#include "tests/bench/stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

#define TURN_MAX (256 * 1024) /* stays in the second-level cache until the kernel has copied it */
#define TURN_MIN (16 * 1024)

/* Made anew for each send(): cheaper than memory traffic of pages made ahead. */
static _Alignas(64) uint8_t turn_pages[TURN_MAX + PAGES_SIZE_MAX];

void stream_init(struct stream *s, struct client *client, const struct pages_stream *pages)
{
	*s = (struct stream){.client = client, .pages = *pages, .fd = -1, .turn = TURN_MAX};
}

int stream_dial(int type, const struct sockaddr *from, const struct sockaddr *to, socklen_t len)
{
	const int on = 1;
	int r, fd = socket(to->sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (type == SOCK_STREAM)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (from) {
		/* The local port is chosen at connect(), so that thousands fit one address. */
		(void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
		if (bind(fd, from, len) < 0)
			goto fail;
	}
	if (connect(fd, to, len) < 0 && errno != EINPROGRESS)
		goto fail;
	return fd;
fail:
	r = -errno;
	close(fd);
	return r;
}

int stream_dial_result(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	int error = 0;
	socklen_t len = sizeof(error);

	if (poll(&p, 1, 0) < 1)
		return 0;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -errno;
	return error ? -error : 1;
}

/* Send up to n bytes from where the stream stands. */
static int send_some(struct stream *s, size_t n)
{
	uint64_t first = s->sent / s->pages.page_size;
	size_t skip = s->sent % s->pages.page_size;
	size_t pages = (skip + n + s->pages.page_size - 1) / s->pages.page_size;
	ssize_t r;

	pages_make(&s->pages, first, turn_pages, pages);
	r = send(s->fd, turn_pages + skip, n, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (r < 0)
		return -errno;
	s->sent += (uint64_t)r;
	/* What does not fit would be made in vain. */
	if ((size_t)r == n)
		s->turn = s->turn * 2 > TURN_MAX ? TURN_MAX : s->turn * 2;
	else
		s->turn = r < TURN_MIN ? TURN_MIN : (size_t)r;
	return s->sent == s->goal;
}

int stream_send(struct stream *s)
{
	uint64_t left = s->goal - s->sent;

	return left ? send_some(s, left < s->turn ? left : s->turn) : 1;
}

int stream_send_datagram(struct stream *s, size_t datagram)
{
	uint64_t left = s->goal - s->sent;

	return left ? send_some(s, left < datagram ? left : datagram) : 1;
}

void stream_close(struct stream *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}
