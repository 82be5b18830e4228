/* SPDX-License-Identifier: MIT */
/*
 * log.c - the log's thread: order, whole lines, never waiting for the target, summaries, fork().
 * Criterion gives every test a process of its own, so each starts with a fresh log.
 */
#include "common/log.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int reading = -1; /* what is written to stderr comes out here */

static void catch_stderr(void)
{
	int fds[2];

	unsetenv("JOURNAL_STREAM");
	cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
	cr_assert_eq(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
	close(fds[1]);
	reading = fds[0];
}

/* The next line without its newline, however long it takes to come (the test has a time limit). */
static const char *next_line(void)
{
	static char line[4096];
	size_t len = 0;

	while (read(reading, line + len, 1) == 1) {
		if (line[len] == '\n') {
			line[len] = '\0';
			return line;
		}
		cr_assert_lt(++len, sizeof(line));
	}
	return NULL;
}

/* What follows date, program and process. */
static const char *next_text(void)
{
	const char *line = next_line();

	cr_assert_not_null(line);
	cr_assert_not_null(strstr(line, "] "), "%s", line);
	return strstr(line, "] ") + 2;
}

static bool nothing_to_read(void)
{
	struct pollfd p = {.fd = reading, .events = POLLIN};

	return poll(&p, 1, 0) == 0;
}

TestSuite(log, .init = catch_stderr, .timeout = 30);

Test(log, lines_come_in_order)
{
	cr_assert_eq(log_init(LOG_LEVEL_INFO, LOG_TARGET_STDERR), 0);
	log_info("first", "a %d", 1);
	log_warning("second", "b");
	log_error("third", "c");
	cr_assert_str_eq(next_text(), "info first: a 1");
	cr_assert_str_eq(next_text(), "warning second: b");
	cr_assert_str_eq(next_text(), "error third: c");
	cr_assert(log_flush(10000));
}

Test(log, works_before_it_is_started)
{
	log_info("early", "x");
	log_debug("early", "y");
	cr_assert_str_eq(next_text(), "info early: x");
	cr_assert(nothing_to_read());
}

static int evaluated;

static int evaluate(void)
{
	return ++evaluated;
}

Test(log, level_says_what_is_written)
{
	log_init(LOG_LEVEL_WARNING, LOG_TARGET_STDERR);
	cr_assert_not(log_enabled(LOG_LEVEL_INFO));
	cr_assert(log_enabled(LOG_LEVEL_WARNING));
	log_info("off", "%d", evaluate());
	log_warning("on", "%d", evaluate());
	cr_assert_str_eq(next_text(), "warning on: 1");

	log_init(LOG_LEVEL_DEBUG, LOG_TARGET_STDERR); /* a reload */
	log_debug("on", "%d", evaluate());
	cr_assert_str_eq(next_text(), "debug on: 2");
}

Test(log, about_whom)
{
	struct log_about about = {.connection = 7, .peer = "10.0.0.1:5", .reason = "timeout"};

	log_init(LOG_LEVEL_INFO, LOG_TARGET_STDERR);
	log_about(LOG_LEVEL_INFO, &about, "closed", "silent for %d s", 10);
	cr_assert_str_eq(next_text(),
			 "info closed: silent for 10 s (connection 7, peer 10.0.0.1:5, "
			 "reason timeout)");
}

Test(log, errno_is_kept)
{
	log_init(LOG_LEVEL_INFO, LOG_TARGET_STDERR);
	errno = EXDEV;
	log_info("x", "y");
	cr_assert_eq(errno, EXDEV);
}

/* Nobody reads: every call returns all the same, and what was dropped is said afterwards. */
Test(log, caller_never_waits_for_the_target)
{
	static const unsigned lines = 3000;
	unsigned seen = 0, lost = 0;

	cr_assert_geq(fcntl(reading, F_SETPIPE_SZ, 4096), 4096);
	log_init(LOG_LEVEL_INFO, LOG_TARGET_STDERR);
	for (unsigned i = 0; i < lines; i++)
		log_info("flood", "%0500u", i);
	cr_assert_not(log_flush(10), "nobody has read");
	cr_assert_gt(log_lines_lost(), 2000);

	while (seen + lost < lines) {
		const char *text = next_text();
		unsigned n;

		if (sscanf(text, "info flood: %u", &n) == 1) {
			cr_assert_geq(n, seen, "in order");
			seen++;
		} else {
			cr_assert_eq(sscanf(text, "warning log-lines-lost: %u lines", &n), 1, "%s",
				     text);
			lost += n;
		}
	}
	cr_assert_eq(seen + lost, lines);
	cr_assert_eq(lost, log_lines_lost());
	cr_assert(log_flush(10000));
	cr_assert(nothing_to_read());
}

enum { THREADS = 4, EACH = 50 };

static void *write_lines(void *number)
{
	for (int i = 0; i < EACH; i++)
		log_info("thread", "%d %d", *(int *)number, i);
	return NULL;
}

Test(log, any_thread_may_log)
{
	pthread_t threads[THREADS];
	int numbers[THREADS], next[THREADS] = {0};

	log_init(LOG_LEVEL_INFO, LOG_TARGET_STDERR);
	for (int i = 0; i < THREADS; i++) {
		numbers[i] = i;
		cr_assert_eq(pthread_create(&threads[i], NULL, write_lines, &numbers[i]), 0);
	}
	for (int n = 0; n < THREADS * EACH; n++) {
		int thread, i;

		cr_assert_eq(sscanf(next_text(), "info thread: %d %d", &thread, &i), 2);
		cr_assert_eq(i, next[thread]++);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	cr_assert(log_flush(10000));
	cr_assert(nothing_to_read());
	cr_assert_eq(log_lines_lost(), 0);
}

/* The summary comes by itself, without another line. */
Test(log, limited_lines_end_in_a_summary)
{
	static struct log_limit limit = LOG_LIMIT(3, 50);

	log_init(LOG_LEVEL_INFO, LOG_TARGET_STDERR);
	for (int i = 0; i < 100; i++)
		log_limited(&limit, LOG_LEVEL_INFO, NULL, "stray", "%d", i);
	for (int said = 0; said < 100;) {
		const char *text = next_text();
		int n;

		if (sscanf(text, "info stray: %d more such lines were left out", &n) == 1 &&
		    strstr(text, "more"))
			said += n;
		else
			said++;
	}
	log_flush(10000);
	cr_assert(nothing_to_read());
}

Test(log, owed_summaries_are_said_at_the_end)
{
	static struct log_limit a = LOG_LIMIT(1, 3600 * 1000), b = LOG_LIMIT(1, 3600 * 1000);

	log_init(LOG_LEVEL_INFO, LOG_TARGET_STDERR);
	for (int i = 0; i < 3; i++)
		log_limited(&a, LOG_LEVEL_INFO, NULL, "a", "%d", i);
	for (int i = 0; i < 5; i++)
		log_limited(&b, LOG_LEVEL_WARNING, NULL, "b", "%d", i);
	cr_assert_str_eq(next_text(), "info a: 0");
	cr_assert_str_eq(next_text(), "warning b: 0");
	log_close();
	cr_assert_str_eq(next_text(), "warning b: 4 more such lines were left out");
	cr_assert_str_eq(next_text(), "info a: 2 more such lines were left out");
	cr_assert(nothing_to_read());
	log_info("late", "x"); /* after the end, the caller writes */
	cr_assert_str_eq(next_text(), "info late: x");
	log_close();
}

Test(log, end_does_not_wait_for_a_hung_target)
{
	cr_assert_geq(fcntl(reading, F_SETPIPE_SZ, 4096), 4096);
	log_init(LOG_LEVEL_INFO, LOG_TARGET_STDERR);
	for (int i = 0; i < 100; i++)
		log_info("flood", "%0500d", i);
	log_close();
	log_info("late", "x"); /* dropped: the target would hold up this caller too */
	cr_assert_eq(log_lines_lost(), 1);
}

Test(log, child_process_writes_its_own_lines)
{
	int status;
	pid_t child;

	log_init(LOG_LEVEL_INFO, LOG_TARGET_STDERR);
	log_info("parent", "before");
	child = fork();
	cr_assert_geq(child, 0);
	if (child == 0) {
		log_info("child", "alone");
		_exit(log_flush(0) ? 0 : 1);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(status, 0);
	log_info("parent", "after");
	cr_assert(log_flush(10000));

	char all[3][200];
	int at = 0;

	for (int i = 0; i < 3; i++)
		snprintf(all[i], sizeof(all[i]), "%s", next_text());
	for (int i = 0; i < 3; i++) /* the child's may be anywhere */
		if (strcmp(all[i], "info child: alone") != 0)
			cr_assert_str_eq(all[i],
					 at++ ? "info parent: after" : "info parent: before");
	cr_assert_eq(at, 2);
}

Test(log, stderr_of_a_systemd_service)
{
	struct stat st;
	char stream[64];

	cr_assert_not(log_stderr_is_journal());
	cr_assert_eq(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	cr_assert(log_stderr_is_journal());
	log_init(LOG_LEVEL_INFO, LOG_TARGET_STDERR);
	log_info("x", "y");
	cr_assert_str_eq(next_line(), "<6>x: y");

	setenv("JOURNAL_STREAM", "1:2", 1); /* of the service, but stderr was redirected */
	cr_assert_not(log_stderr_is_journal());
	setenv("JOURNAL_STREAM", "nonsense", 1);
	cr_assert_not(log_stderr_is_journal());
}

/* A /run of our own, with or without a journal in it. */
static void make_run(int *ret_journal)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/socket"};

	if (unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		cr_skip_test("no mount namespaces here");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("run", "/run", "tmpfs", 0, NULL) < 0)
		cr_skip_test("no mounts here");
	if (!ret_journal)
		return;
	cr_assert_eq(mkdir("/run/systemd", 0755), 0);
	cr_assert_eq(mkdir("/run/systemd/journal", 0755), 0);
	*ret_journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	cr_assert_eq(bind(*ret_journal, (struct sockaddr *)&at, sizeof(at)), 0);
}

Test(log, without_a_journal_lines_go_to_stderr)
{
	make_run(NULL);
	cr_assert_eq(log_init(LOG_LEVEL_INFO, LOG_TARGET_JOURNAL), -EOPNOTSUPP);
	log_info("x", "y");
	cr_assert_str_eq(next_text(), "info x: y");
}

#ifdef HAVE_LIBSYSTEMD
Test(log, journal_gets_the_fields)
{
	struct log_about about = {.connection = 7, .peer = "10.0.0.1:5", .reason = "timeout"};
	static const char *const want[] = {
		"MESSAGE=silent\n",  "PRIORITY=4\n",     "EVENT=closed\n",    "CONNECTION=7\n",
		"PEER=10.0.0.1:5\n", "REASON=timeout\n", "SYSLOG_IDENTIFIER="};
	char datagram[4096];
	ssize_t len;
	int journal;

	make_run(&journal);
	cr_assert_eq(log_init(LOG_LEVEL_INFO, LOG_TARGET_JOURNAL), 0);
	log_about(LOG_LEVEL_WARNING, &about, "closed", "silent");
	len = recv(journal, datagram, sizeof(datagram) - 1, 0);
	cr_assert_gt(len, 0);
	datagram[len] = '\0';
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		cr_assert_not_null(strstr(datagram, want[i]), "%s in %s", want[i], datagram);
	cr_assert(log_flush(10000));
	cr_assert(nothing_to_read());
}
#endif
