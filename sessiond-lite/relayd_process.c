/* SPDX-License-Identifier: MIT */
/* relayd_process.c - fork, exec, and a pipe that tells whether exec worked. */
#include "sessiond-lite/relayd_process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef PKGLIBEXECDIR
#define PKGLIBEXECDIR "/usr/libexec/tracerelay"
#endif

/* Number of the link in the child; what it inherits besides is 0 to 2. */
#define LINK_FD 3

/* Only async-signal-safe calls: other threads of ours may have held locks at fork(). */
static _Noreturn void run_child(const char *path, int link, int failure)
{
	char *argv[] = {"relayd", "--link", "3", NULL};
	sigset_t none;
	int null, e;

	for (int sig = 1; sig < NSIG; sig++)
		(void)signal(sig, SIG_DFL);
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGTERM, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);

	/* The pipe must not stand where the link goes. */
	if (failure == LINK_FD)
		failure = fcntl(failure, F_DUPFD_CLOEXEC, LINK_FD + 1);
	if (link == LINK_FD)
		(void)fcntl(link, F_SETFD, 0);
	else if (dup2(link, LINK_FD) < 0)
		goto fail;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0)
		(void)dup2(null, STDIN_FILENO);
	/* Whoever reads our stdout waits for our end, not for relayd's. */
	(void)dup2(fcntl(STDERR_FILENO, F_GETFD) < 0 ? null : STDERR_FILENO, STDOUT_FILENO);
	/* All of ours are close-on-exec; this is for what we inherited ourselves. */
	(void)close_range(LINK_FD + 1, ~0U, CLOSE_RANGE_CLOEXEC);
	execv(path, argv);
fail:
	e = errno;
	if (write(failure, &e, sizeof(e)) < 0)
		_exit(126);
	_exit(127);
}

int relayd_process_start(const char *path, pid_t *ret_pid, int *ret_link)
{
	int link[2], failure[2];
	int e = 0, r;
	ssize_t n;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, link) < 0)
		return -errno;
	if (pipe2(failure, O_CLOEXEC) < 0) {
		r = -errno;
		goto no_pipe;
	}
	pid = fork();
	if (pid < 0) {
		r = -errno;
		close(failure[0]);
		close(failure[1]);
		goto no_pipe;
	}
	if (!pid)
		run_child(path, link[1], failure[1]);
	close(failure[1]);
	close(link[1]);
	do
		n = read(failure[0], &e, sizeof(e));
	while (n < 0 && errno == EINTR);
	close(failure[0]);
	if (n > 0) {
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
		close(link[0]);
		return -e;
	}
	*ret_pid = pid;
	*ret_link = link[0];
	return 0;
no_pipe:
	close(link[0]);
	close(link[1]);
	return r;
}

bool relayd_process_is_dying(pid_t pid)
{
	char path[64], text[512], *p;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return true;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return true;
	text[n] = '\0';
	p = strrchr(text, ')'); /* the name before it may contain anything */
	return p && p[1] == ' ' && (p[2] == 'Z' || p[2] == 'X');
}

void relayd_process_describe(int status, char *buf, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(buf, size, "was killed by signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	else
		snprintf(buf, size, "exited with status %d", WEXITSTATUS(status));
}

int relayd_process_find(char *buf, size_t size)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n > 0) {
		self[n] = '\0';
		slash = strrchr(self, '/');
		if (slash) {
			*slash = '\0';
			if ((size_t)snprintf(buf, size, "%s/relayd", self) >= size)
				return -ENAMETOOLONG;
			if (!access(buf, X_OK))
				return 0;
		}
	}
	if ((size_t)snprintf(buf, size, "%s/relayd", PKGLIBEXECDIR) >= size)
		return -ENAMETOOLONG;
	return access(buf, X_OK) ? -ENOENT : 0;
}
