/* SPDX-License-Identifier: MIT */
/*
 * seqpacket.c - one message with descriptors. Contract: seqpacket.h.
 */
#include "common/seqpacket.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* Aligned room for the one control message that carries descriptors. */
union control {
	struct cmsghdr align;
	char room[CMSG_SPACE(SEQPACKET_FDS_MAX * sizeof(int))];
};

int seqpacket_send(int fd, const void *buf, size_t len, const int *fds, unsigned n_fds)
{
	struct iovec iov = {.iov_base = (void *)buf, .iov_len = len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	union control control;
	ssize_t r;

	assert(len > 0);
	assert(n_fds <= SEQPACKET_FDS_MAX);
	if (n_fds) {
		size_t bytes = n_fds * sizeof(int);
		struct cmsghdr *c;

		memset(&control, 0, CMSG_SPACE(bytes));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(bytes);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(bytes);
		memcpy(CMSG_DATA(c), fds, bytes);
	}
	do
		r = sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return errno == ECONNRESET ? -EPIPE : -errno; /* the same event, reported early */
	assert((size_t)r == len); /* a message is queued whole or not at all */
	return 0;
}

static void close_all(const int *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		(void)close(fds[i]);
}

/* Move the descriptors of a received message to fds; how many. */
static unsigned take_fds(struct msghdr *msg, int *fds, unsigned room)
{
	unsigned n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t bytes = c->cmsg_len - CMSG_LEN(0);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		assert(n + bytes / sizeof(int) <= room); /* msg_controllen allowed no more */
		memcpy(fds + n, CMSG_DATA(c), bytes);
		n += (unsigned)(bytes / sizeof(int));
	}
	(void)room;
	return n;
}

ssize_t seqpacket_recv(int fd, void *buf, size_t cap, int *fds, unsigned *n_fds,
		       unsigned *ret_flags)
{
	struct iovec iov = {.iov_base = buf, .iov_len = cap};
	union control control;
	struct msghdr msg;
	unsigned n;
	ssize_t r;

	assert(cap > 0);
	assert(*n_fds <= SEQPACKET_FDS_MAX);
	do {
		msg = (struct msghdr){.msg_iov = &iov, .msg_iovlen = 1};
		if (*n_fds) {
			msg.msg_control = &control;
			/* CMSG_LEN and not CMSG_SPACE: the padding of an odd number would be room
			 * for one descriptor more than the caller has. */
			msg.msg_controllen = CMSG_LEN(*n_fds * sizeof(int));
		}
		r = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		/* A peer that died with messages of ours unread is reported once, ahead of what it
		 * had sent; that is still in the queue, and end of file behind it. */
	} while (r < 0 && (errno == EINTR || errno == ECONNRESET));
	if (r < 0)
		return -errno;
	n = take_fds(&msg, fds, *n_fds);
	if (r == 0 || (msg.msg_flags & MSG_TRUNC)) {
		close_all(fds, n);
		return r == 0 ? 0 : -EMSGSIZE;
	}
	*n_fds = n;
	*ret_flags = msg.msg_flags & MSG_CTRUNC ? SEQPACKET_FDS_LOST : 0;
	return r;
}
