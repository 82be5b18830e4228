/* SPDX-License-Identifier: MIT */
/*
 * seqpacket.h - one message with descriptors over an AF_UNIX SOCK_SEQPACKET socket.
 *
 * What sessiond-lite and relayd speak through: message borders are kept, descriptors travel with
 * the message that explains them. Neither call ever blocks (MSG_DONTWAIT), raises SIGPIPE, or
 * leaves a descriptor that nobody knows of.
 *
 * Owner:  sending duplicates: the sender keeps its descriptors. Received ones (close-on-exec)
 *         belong to the caller.
 * Thread: any, one thread at a time per direction.
 * Source: design.md section 1 ("at most 253 a message"); unix(7), SCM_MAX_FD in the kernel.
 */
#ifndef TRACERELAY_COMMON_SEQPACKET_H
#define TRACERELAY_COMMON_SEQPACKET_H

#include <stddef.h>
#include <sys/types.h>

/* The kernel's limit for one message. */
#define SEQPACKET_FDS_MAX 253u

/* Some descriptors of the message could not be installed here: no room in the caller's array, or
 * no free number below RLIMIT_NOFILE. Those that could are given, first sent first. */
#define SEQPACKET_FDS_LOST 1u

/*
 * Send one message.
 * @len    1 or more (asserted: an empty message would read as end of file)
 * @fds    n_fds open descriptors, at most SEQPACKET_FDS_MAX (asserted); may be NULL if n_fds is 0
 * Return 0: the whole message is queued; or
 *   -EAGAIN        the queue is full: wait until writable
 *   -EPIPE         the other side is gone (what it sent before can still be received)
 *   -ETOOMANYREFS  more descriptors of this user are in flight than RLIMIT_NOFILE allows: send
 *                  again when the receiver has read some
 *   -EMSGSIZE      longer than the socket's send buffer takes; other errno as sendmsg(2)
 */
int seqpacket_send(int fd, const void *buf, size_t len, const int *fds, unsigned n_fds);

/*
 * Receive one message.
 * @cap        bytes buf has room for, 1 or more
 * @fds        room for *n_fds descriptors; may be NULL if that is 0
 * @n_fds      in: room in fds, at most SEQPACKET_FDS_MAX (asserted); out: how many came
 * @ret_flags  0 or SEQPACKET_FDS_LOST
 * Return the message's length; 0 at end of file (also after the other side was killed with
 * messages of ours unread: what it had sent before is given first); or
 *   -EAGAIN    nothing there: wait until readable
 *   -EMSGSIZE  the message was longer than cap; it is gone, and its descriptors are closed
 * On 0 and on errors *n_fds and *ret_flags are untouched and no descriptor is left open.
 */
ssize_t seqpacket_recv(int fd, void *buf, size_t cap, int *fds, unsigned *n_fds,
		       unsigned *ret_flags);

#endif
