/* SPDX-License-Identifier: MIT */
/*
 * daemon.c - the program sessiond-lite itself, with the fake relayd beside it: how it starts, what
 * it says when it cannot, how it ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/addr.h"
#include "sessiond-lite/bound_socket.h"

static char top[64];

static void shell(const char *format, ...)
{
	char command[9000];
	va_list ap;

	va_start(ap, format);
	vsnprintf(command, sizeof(command), format, ap);
	va_end(ap);
	cr_assert_eq(system(command), 0, "%s", command);
}

static void set_up(void)
{
	const char *bin = getenv("TRACERELAY_BIN"), *build = getenv("TRACERELAY_BUILD");

	cr_assert(bin && build, "run this by make check, or set TRACERELAY_BIN and _BUILD");
	strcpy(top, "/tmp/daemon.XXXXXX");
	cr_assert(mkdtemp(top));
	shell("mkdir %s/bin && cp %s/sessiond-lite %s/bin/ && cp %s/tests/unit/fake_relayd "
	      "%s/bin/relayd",
	      top, bin, top, build, top);
}

static void tear_down(void)
{
	shell("rm -rf %s", top);
}

struct daemon {
	pid_t pid;
	int out; /* its stdout and stderr */
	char text[16384];
	size_t len;
};

/* Start it in run.dir NAME/run with more arguments, NULL at the end. */
static void start(struct daemon *d, const char *name, ...)
{
	char path[128], run[160], out[160];
	const char *argv[32] = {"sessiond-lite",
				"--set",
				run,
				"--set",
				out,
				"--set",
				"trace-cmd.stream-ports=29000-29063",
				"--set",
				"lttng.control=",
				"--set",
				"lttng.data=",
				"--set",
				"lttng.live="};
	size_t n = 13;
	va_list ap;
	int pipe_fds[2];

	snprintf(path, sizeof(path), "%s/bin/sessiond-lite", top);
	snprintf(run, sizeof(run), "run.dir=%s/%s/run", top, name);
	snprintf(out, sizeof(out), "output.dir=%s/%s/out", top, name);
	va_start(ap, name);
	while ((argv[n] = va_arg(ap, const char *)))
		n++;
	va_end(ap);
	memset(d, 0, sizeof(*d));
	cr_assert_eq(pipe2(pipe_fds, O_CLOEXEC), 0);
	d->pid = fork();
	if (!d->pid) {
		prctl(PR_SET_PDEATHSIG, SIGTERM); /* a failed test leaves nothing behind */
		dup2(pipe_fds[1], STDOUT_FILENO);
		dup2(pipe_fds[1], STDERR_FILENO);
		execv(path, (char **)argv);
		_exit(126);
	}
	close(pipe_fds[1]);
	d->out = pipe_fds[0];
}

/* Read on until a text was seen; asserted within 20 s. NULL: until end of file. */
static void wait_for(struct daemon *d, const char *text)
{
	while (!text || !strstr(d->text, text)) {
		struct pollfd p = {.fd = d->out, .events = POLLIN};
		ssize_t n;

		cr_assert_eq(poll(&p, 1, 20000), 1, "no '%s' in: %s", text ? text : "end", d->text);
		n = read(d->out, d->text + d->len, sizeof(d->text) - 1 - d->len);
		cr_assert_geq(n, 0);
		if (!n) {
			cr_assert_null(text, "no '%s' in: %s", text, d->text);
			return;
		}
		d->len += (size_t)n;
	}
}

static int exit_status(struct daemon *d)
{
	int status;

	wait_for(d, NULL); /* relayd has gone too: it holds stderr */
	close(d->out);
	cr_assert_eq(waitpid(d->pid, &status, 0), d->pid);
	cr_assert(WIFEXITED(status), "%s", d->text);
	return WEXITSTATUS(status);
}

static bool exists(const char *name, const char *file)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s/%s", top, name, file);
	return !access(path, F_OK);
}

Test(daemon, starts_says_so_and_ends)
{
	struct daemon d;
	struct stat sb;
	char path[128], text[ADDR_TEXT_MAX + 32], *at;
	struct addr a;
	socklen_t len;
	struct sockaddr_storage sa;
	int fd;

	set_up();
	start(&d, "a", "--set", "trace-cmd.listen=127.0.0.1:0,[::1]:0", NULL);
	wait_for(&d, "ready trace-cmd 127.0.0.1:");
	wait_for(&d, " [::1]:");
	snprintf(path, sizeof(path), "%s/a/run/control.sock", top);
	cr_assert_eq(stat(path, &sb), 0);
	cr_assert_eq(sb.st_mode & 0777, 0600);
	snprintf(path, sizeof(path), "%s/a/run/status.sock", top);
	cr_assert_eq(stat(path, &sb), 0);
	cr_assert_eq(sb.st_mode & 0777, 0666);
	/* the address in the line is where it listens */
	at = strstr(d.text, "ready trace-cmd ") + strlen("ready trace-cmd ");
	snprintf(text, sizeof(text), "%.*s", (int)strcspn(at, " \n"), at);
	cr_assert_eq(addr_parse(text, &a), 0);
	addr_to_sockaddr(&a, AF_UNSPEC, &sa, &len);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert_eq(connect(fd, (struct sockaddr *)&sa, len), 0);
	close(fd);
	kill(d.pid, SIGTERM);
	kill(d.pid, SIGINT); /* so soon after it that is the same request */
	cr_assert_eq(exit_status(&d), 0);
	cr_assert_null(strstr(d.text, "leaving"), "%s", d.text);
	cr_assert_not(exists("a", "run/control.sock"));
	cr_assert_not(exists("a", "run/status.sock"));
	tear_down();
}

Test(daemon, port_in_use)
{
	struct keep_alive k = {60, 10, 6};
	char option[64], want[128];
	struct daemon d;
	struct addr a;
	int fd;

	set_up();
	cr_assert_eq(addr_parse("127.0.0.1:0", &a), 0);
	cr_assert_eq(bound_socket_listen(&a, BOUND_AS_WRITTEN, &k, &fd), 0);
	cr_assert_eq(bound_socket_address(fd, &a), 0);
	snprintf(option, sizeof(option), "trace-cmd.listen=127.0.0.1:%u", a.port);
	start(&d, "a", "--set", option, NULL);
	cr_assert_eq(exit_status(&d), 1);
	snprintf(want, sizeof(want), "trace-cmd.listen: port %u", a.port);
	cr_assert(strstr(d.text, want), "%s", d.text);
	snprintf(want, sizeof(want), "(process %d)", (int)getpid());
	cr_assert(strstr(d.text, want), "%s", d.text);
	close(fd);
	tear_down();
}

Test(daemon, sentences)
{
	static const struct {
		const char *option, *want;
		int status;
	} c[] = {
		{"trace-cmd.listen=203.0.113.7:0", "is no address of this machine", 1},
		{"output.dir=/proc/nowhere", "output.dir: cannot use /proc/nowhere", 1},
		{"run.nonsense=1", "run.nonsense", 2},
	};
	struct daemon d;

	set_up();
	for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		start(&d, "a", "--set", c[i].option, NULL);
		cr_assert_eq(exit_status(&d), c[i].status, "%s: %s", c[i].option, d.text);
		cr_assert(strstr(d.text, c[i].want), "%s: %s", c[i].option, d.text);
	}
	start(&d, "a", "nonsense", NULL);
	cr_assert_eq(exit_status(&d), 2);
	if (access(PKGLIBEXECDIR "/relayd", X_OK) < 0) { /* else it takes the installed one */
		shell("rm %s/bin/relayd", top);
		start(&d, "a", "--set", "trace-cmd.listen=127.0.0.1:0", NULL);
		cr_assert_eq(exit_status(&d), 1);
		cr_assert(strstr(d.text, "relayd is neither"), "%s", d.text);
	}
	tear_down();
}

Test(daemon, goes_to_the_background_when_ready)
{
	char path[128], text[32] = "";
	struct daemon d;
	int fd, lock;
	pid_t pid;

	set_up();
	start(&d, "a", "--set", "trace-cmd.listen=127.0.0.1:0", "--daemonize", NULL);
	wait_for(&d, "ready trace-cmd 127.0.0.1:");
	cr_assert_eq(waitpid(d.pid, &fd, 0), d.pid);
	cr_assert_eq(fd, 0);
	snprintf(path, sizeof(path), "%s/a/run/lock", top);
	lock = open(path, O_RDONLY);
	cr_assert_gt(read(lock, text, sizeof(text) - 1), 0);
	close(lock);
	pid = (pid_t)atoi(text);
	cr_assert_neq(pid, d.pid);
	cr_assert_eq(getsid(pid), pid);
	cr_assert_eq(kill(pid, SIGTERM), 0);
	wait_for(&d, NULL); /* stderr is this pipe until the last one is gone */
	close(d.out);
	tear_down();
}

Test(daemon, what_fails_in_the_background_is_told)
{
	struct daemon d;

	set_up();
	start(&d, "a", "--set", "trace-cmd.listen=203.0.113.7:0", "--daemonize", NULL);
	cr_assert_eq(exit_status(&d), 1);
	cr_assert(strstr(d.text, "is no address"), "%s", d.text);
	tear_down();
}

/* After a SIGKILL the sockets and locks that are left behind hinder nobody. */
Test(daemon, killed_and_started_again)
{
	struct daemon d;
	int status;

	set_up();
	start(&d, "a", "--set", "trace-cmd.listen=127.0.0.1:0", NULL);
	wait_for(&d, "ready");
	kill(d.pid, SIGKILL);
	cr_assert_eq(waitpid(d.pid, &status, 0), d.pid);
	wait_for(&d, NULL); /* relayd has seen the end of the link and left */
	close(d.out);
	cr_assert(exists("a", "run/control.sock"));
	start(&d, "a", "--set", "trace-cmd.listen=127.0.0.1:0", NULL);
	wait_for(&d, "ready");
	kill(d.pid, SIGINT);
	cr_assert_eq(exit_status(&d), 0);
	tear_down();
}
