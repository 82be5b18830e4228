/* SPDX-License-Identifier: MIT */
/* background.c - fork, setsid, and a pipe for the report. */
#include "sessiond-lite/background.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static _Noreturn void wait_for_report(int fd, pid_t child)
{
	char buf[4096];
	ssize_t n;
	int reported = 0, status = 0;

	while ((n = read(fd, buf, sizeof(buf))) > 0 || (n < 0 && errno == EINTR)) {
		if (n > 0 && fwrite(buf, 1, (size_t)n, stdout) == (size_t)n)
			reported = 1;
	}
	if (reported)
		_exit(fflush(stdout) ? 1 : 0);
	/* It has said on stderr what was wrong. */
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	_exit(WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : 1);
}

int background_start(void)
{
	int report[2], r;
	pid_t pid;

	if (pipe2(report, O_CLOEXEC) < 0)
		return -errno;
	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		r = -errno;
		close(report[0]);
		close(report[1]);
		return r;
	}
	if (pid) {
		close(report[1]);
		wait_for_report(report[0], pid);
	}
	close(report[0]);
	(void)setsid();
	return report[1];
}

void background_ready(int fd, const char *line)
{
	size_t len = strlen(line);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null >= 0) {
		(void)dup2(null, STDIN_FILENO);
		(void)dup2(null, STDOUT_FILENO);
		if (isatty(STDERR_FILENO))
			(void)dup2(null, STDERR_FILENO);
		close(null);
	}
	/* Nothing of ours keeps the directory busy we were started in. */
	if (chdir("/") < 0 || write(fd, line, len) != (ssize_t)len)
		(void)0;
	close(fd);
}
