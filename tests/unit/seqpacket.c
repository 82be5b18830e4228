/* SPDX-License-Identifier: MIT */
/*
 * seqpacket.c - messages with descriptors: borders, limits, and that no descriptor is ever lost
 * track of, on any path.
 */
#include "common/seqpacket.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Open descriptors of this process. */
static unsigned descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	cr_assert_not_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void pair(int fds[2])
{
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
}

/* A file whose content is its number, so that descriptors can be told apart. */
static int numbered(unsigned number)
{
	int fd = memfd_create("numbered", MFD_CLOEXEC);

	cr_assert_geq(fd, 0);
	cr_assert_eq(pwrite(fd, &number, sizeof(number), 0), (ssize_t)sizeof(number));
	return fd;
}

static unsigned number_of(int fd)
{
	unsigned number;

	cr_assert_eq(pread(fd, &number, sizeof(number), 0), (ssize_t)sizeof(number));
	return number;
}

static void close_all(const int *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		cr_assert_eq(close(fds[i]), 0);
}

Test(seqpacket, keeps_the_borders_of_messages)
{
	unsigned n = 0, flags = 7;
	char buf[16];
	int s[2];

	pair(s);
	cr_assert_eq(seqpacket_recv(s[1], buf, sizeof(buf), NULL, &n, &flags), -EAGAIN);
	cr_assert_eq(seqpacket_send(s[0], "one", 3, NULL, 0), 0);
	cr_assert_eq(seqpacket_send(s[0], "second", 6, NULL, 0), 0);
	cr_assert_eq(flags, 7, "output on failure");
	cr_assert_eq(seqpacket_recv(s[1], buf, sizeof(buf), NULL, &n, &flags), 3);
	cr_assert_arr_eq(buf, "one", 3);
	cr_assert_eq(n, 0);
	cr_assert_eq(flags, 0);
	cr_assert_eq(seqpacket_recv(s[1], buf, 6, NULL, &n, &flags), 6,
		     "exactly the room there is");
	cr_assert_arr_eq(buf, "second", 6);
	cr_assert_eq(seqpacket_send(s[0], "last", 4, NULL, 0), 0);
	close(s[0]);
	cr_assert_eq(seqpacket_recv(s[1], buf, sizeof(buf), NULL, &n, &flags), 4);
	cr_assert_eq(seqpacket_recv(s[1], buf, sizeof(buf), NULL, &n, &flags), 0);
	cr_assert_eq(seqpacket_recv(s[1], buf, sizeof(buf), NULL, &n, &flags), 0);
	cr_assert_eq(seqpacket_send(s[1], "x", 1, NULL, 0), -EPIPE);
	close(s[1]);
}

Test(seqpacket, passes_as_many_descriptors_as_the_kernel_does)
{
	int sent[SEQPACKET_FDS_MAX], got[SEQPACKET_FDS_MAX], s[2];
	unsigned n = SEQPACKET_FDS_MAX, flags = 7, before = descriptors();
	char buf[8];

	pair(s);
	for (unsigned i = 0; i < SEQPACKET_FDS_MAX; i++)
		sent[i] = numbered(i);
	cr_assert_eq(seqpacket_send(s[0], "all", 3, sent, SEQPACKET_FDS_MAX), 0);
	close_all(sent, SEQPACKET_FDS_MAX);
	cr_assert_eq(seqpacket_recv(s[1], buf, sizeof(buf), got, &n, &flags), 3);
	cr_assert_eq(n, 253);
	cr_assert_eq(flags, 0);
	for (unsigned i = 0; i < n; i++) {
		cr_assert_eq(number_of(got[i]), i, "in the order sent");
		cr_assert(fcntl(got[i], F_GETFD) & FD_CLOEXEC);
	}
	close_all(got, n);
	close_all(s, 2);
	cr_assert_eq(descriptors(), before);
}

/* Odd and even rooms: a control message is padded to eight bytes, room for one more. */
Test(seqpacket, gives_no_more_than_there_is_room_for)
{
	for (unsigned room = 0; room <= 5; room++) {
		int sent[5], got[6], s[2];
		unsigned n = room, flags = 7, before = descriptors();
		char buf[8];

		pair(s);
		for (unsigned i = 0; i < 5; i++)
			sent[i] = numbered(i);
		memset(got, 0xff, sizeof(got));
		cr_assert_eq(seqpacket_send(s[0], "m", 1, sent, 5), 0);
		cr_assert_eq(seqpacket_recv(s[1], buf, sizeof(buf), got, &n, &flags), 1);
		cr_assert_eq(n, room);
		cr_assert_eq(flags, room < 5 ? SEQPACKET_FDS_LOST : 0, "room for %u", room);
		for (unsigned i = 0; i < n; i++)
			cr_assert_eq(number_of(got[i]), i, "first sent, first given");
		cr_assert_eq(got[room], -1);
		close_all(got, n);
		close_all(sent, 5);
		close_all(s, 2);
		cr_assert_eq(descriptors(), before, "room for %u", room);
	}
}

/* What happens to relayd in a container with few descriptors. The limit is lowered in a child. */
Test(seqpacket, says_when_descriptors_could_not_be_installed)
{
	int sent[20], s[2], status;
	pid_t child;

	pair(s);
	for (unsigned i = 0; i < 20; i++)
		sent[i] = numbered(i);
	cr_assert_eq(seqpacket_send(s[0], "twenty", 6, sent, 20), 0);
	cr_assert_eq(seqpacket_send(s[0], "none", 4, NULL, 0), 0);
	close_all(sent, 20);
	child = fork();
	cr_assert_geq(child, 0);
	if (child == 0) { /* its exit status is the step that failed, 0 for none */
		int got[SEQPACKET_FDS_MAX], free_fd = dup(s[1]);
		unsigned n = SEQPACKET_FDS_MAX, flags = 0;
		struct rlimit limit = {.rlim_cur = (rlim_t)free_fd + 7,
				       .rlim_max = (rlim_t)free_fd + 7};
		char buf[16];

#define NEED(step, true_if_fine) \
	if (!(true_if_fine))     \
	_exit(step)
		close(free_fd); /* the lowest free number: room for seven from there */
		NEED(1, setrlimit(RLIMIT_NOFILE, &limit) == 0);
		NEED(2, seqpacket_recv(s[1], buf, sizeof(buf), got, &n, &flags) == 6);
		NEED(3, memcmp(buf, "twenty", 6) == 0);
		NEED(4, flags == SEQPACKET_FDS_LOST);
		NEED(5, n >= 1 && n <= 7);
		for (unsigned i = 0; i < n; i++)
			NEED(6, fcntl(got[i], F_GETFD) >= 0);
		for (unsigned i = 0; i < n; i++) {
			unsigned number = 99;

			NEED(7, pread(got[i], &number, sizeof(number), 0) == sizeof(number));
			NEED(8, number == i);
			close(got[i]);
		}
		n = SEQPACKET_FDS_MAX;
		NEED(9, seqpacket_recv(s[1], buf, sizeof(buf), got, &n, &flags) == 4);
		NEED(10, n == 0 && flags == 0);
		_exit(0);
#undef NEED
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert(WIFEXITED(status));
	cr_assert_eq(WEXITSTATUS(status), 0, "step %d of the child", WEXITSTATUS(status));
	close_all(s, 2);
}

Test(seqpacket, a_message_too_long_leaves_nothing_behind)
{
	int sent = numbered(1), got[2] = {-1, -1}, s[2];
	unsigned n = 2, flags = 7, before;
	char buf[4] = "";

	pair(s);
	before = descriptors();
	cr_assert_eq(seqpacket_send(s[0], "12345", 5, &sent, 1), 0);
	cr_assert_eq(seqpacket_send(s[0], "next", 4, NULL, 0), 0);
	cr_assert_eq(seqpacket_recv(s[1], buf, sizeof(buf), got, &n, &flags), -EMSGSIZE);
	cr_assert_eq(n, 2, "output on failure");
	cr_assert_eq(flags, 7, "output on failure");
	cr_assert_eq(descriptors(), before);
	cr_assert_eq(seqpacket_recv(s[1], buf, sizeof(buf), got, &n, &flags), 4);
	cr_assert_arr_eq(buf, "next", 4);
	close(sent);
	close_all(s, 2);
}

Test(seqpacket, a_full_queue_says_so_and_keeps_whole_messages)
{
	static char message[4096], buf[4096];
	unsigned n = 0, flags, queued = 0;
	int s[2], r;

	pair(s);
	while ((r = seqpacket_send(s[0], message, sizeof(message), NULL, 0)) == 0)
		queued++;
	cr_assert_eq(r, -EAGAIN);
	cr_assert_gt(queued, 0);
	for (unsigned i = 0; i < queued; i++)
		cr_assert_eq(seqpacket_recv(s[1], buf, sizeof(buf), NULL, &n, &flags),
			     (ssize_t)sizeof(message));
	cr_assert_eq(seqpacket_recv(s[1], buf, sizeof(buf), NULL, &n, &flags), -EAGAIN);
	cr_assert_eq(seqpacket_send(s[0], message, sizeof(message), NULL, 0), 0);
	close_all(s, 2);
}

/* relayd is killed while messages for it wait: the kernel reports a reset first, but what it said
 * before its death is still there and counts. */
Test(seqpacket, what_the_dead_said_is_heard)
{
	int sent = numbered(5), got[1] = {-1}, s[2], status;
	unsigned n = 1, flags;
	char buf[16];
	pid_t child;

	pair(s);
	child = fork();
	cr_assert_geq(child, 0);
	if (child == 0) {
		close(s[1]);
		if (seqpacket_send(s[0], "last words", 10, &sent, 1) < 0)
			_exit(1);
		raise(SIGKILL);
	}
	cr_assert_eq(seqpacket_send(s[1], "unread", 6, NULL, 0), 0);
	close(s[0]); /* the child's end now is the only one */
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert(WIFSIGNALED(status));
	cr_assert_eq(seqpacket_recv(s[1], buf, sizeof(buf), got, &n, &flags), 10);
	cr_assert_eq(n, 1);
	cr_assert_eq(number_of(got[0]), 5);
	close(got[0]);
	cr_assert_eq(seqpacket_recv(s[1], buf, sizeof(buf), got, &n, &flags), 0);
	cr_assert_eq(seqpacket_send(s[1], "x", 1, NULL, 0), -EPIPE);
	close(sent);
	close(s[1]);
}

Test(seqpacket, sending_to_the_dead_is_one_error)
{
	unsigned n = 0, flags;
	char buf[16];
	int s[2];

	pair(s);
	cr_assert_eq(seqpacket_send(s[0], "said", 4, NULL, 0), 0);
	cr_assert_eq(seqpacket_send(s[1], "unread", 6, NULL, 0), 0);
	close(s[0]);
	cr_assert_eq(seqpacket_send(s[1], "x", 1, NULL, 0), -EPIPE, "not -ECONNRESET");
	cr_assert_eq(seqpacket_send(s[1], "x", 1, NULL, 0), -EPIPE);
	cr_assert_eq(seqpacket_recv(s[1], buf, sizeof(buf), NULL, &n, &flags), 4);
	close(s[1]);
}

Test(seqpacket, other_errors_pass)
{
	unsigned n = 0, flags;
	int s[2], bad = -1;
	char buf[4];

	pair(s);
	cr_assert_eq(seqpacket_send(s[0], "x", 1, &bad, 1), -EBADF);
	cr_assert_eq(seqpacket_recv(s[1], buf, sizeof(buf), NULL, &n, &flags), -EAGAIN);
	close_all(s, 2);
	cr_assert_eq(seqpacket_send(s[0], "x", 1, NULL, 0), -EBADF);
	cr_assert_eq(seqpacket_recv(s[0], buf, sizeof(buf), NULL, &n, &flags), -EBADF);
}
