/* SPDX-License-Identifier: MIT */
/* control.c - clients that ask properly, in pieces, too much, too long, or not at all. */
#include "sessiond-lite/control.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/unit/registry_rig.h"
#include "sessiond-lite/unix_listener.h"

static struct rig rig;
static struct control *control;
static struct options *options;

static void open_rig(void)
{
	struct method_subjects subjects = {.loop = &rig.loop};
	char *error;
	int fd;

	cr_assert_neq(signal(SIGPIPE, SIG_IGN), SIG_ERR);
	rig_open(&rig);
	rig_start_both(&rig);
	cr_assert_eq(options_load(&(struct options_source){.file = NULL}, &options, &error), 0);
	subjects.registry = rig.registry;
	subjects.catalog = rig.catalog;
	subjects.database = rig.database;
	subjects.options = options;
	cr_assert_eq(unix_listener_open(rig.dir, "control.sock", 0600, &fd), 0);
	cr_assert_eq(control_create(&rig.loop, fd, &subjects, &control), 0);
}

static void close_rig(void)
{
	control_free(control);
	rig_close(&rig);
	options_free(options);
}

TestSuite(control, .init = open_rig, .fini = close_rig, .timeout = 60);

/* ---- a client ---- */

static int dial(void)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/control.sock", rig.dir);
	cr_assert_eq(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0, "%s", strerror(errno));
	return fd;
}

static void turn(void)
{
	for (int i = 0; i < 10; i++)
		uv_run(&rig.loop, UV_RUN_NOWAIT);
}

static void say(int fd, const char *bytes)
{
	size_t len = strlen(bytes);

	while (len) {
		ssize_t n = send(fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN) {
			turn();
			continue;
		}
		cr_assert_gt(n, 0, "%s", strerror(errno));
		bytes += n;
		len -= (size_t)n;
	}
}

/* The next line, or "" at end of file; a static buffer. */
static const char *hear(int fd)
{
	static char line[65536];
	size_t len = 0;

	for (int i = 0; i < 10000; i++) {
		ssize_t n = recv(fd, line + len, 1, MSG_DONTWAIT);

		if (n == 0 || (n < 0 && errno == ECONNRESET)) {
			line[len] = '\0';
			return line;
		}
		if (n == 1) {
			if (line[len++] != '\n')
				continue;
			line[len - 1] = '\0';
			return line;
		}
		turn();
		poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 1);
	}
	cr_assert_fail("no line came");
	return NULL;
}

static bool silent(int fd)
{
	char c;

	turn();
	return recv(fd, &c, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static void expect_id(int fd, int id)
{
	json_t *response = json_loads(hear(fd), 0, NULL);

	cr_assert(response);
	cr_assert_eq(json_integer_value(json_object_get(response, "id")), id);
	json_decref(response);
}

#define VERSION(id) "{\"jsonrpc\":\"2.0\",\"id\":" #id ",\"method\":\"daemon.version\"}\n"

/* ---- */

Test(control, asked_and_answered)
{
	int fd = dial();

	say(fd, VERSION(1));
	cr_assert(strstr(hear(fd), "\"version\""));
	say(fd, VERSION(2));
	expect_id(fd, 2);
	cr_assert_eq(control_clients(control), 1);
	close(fd);
	turn();
	cr_assert_eq(control_clients(control), 0);
}

Test(control, many_clients)
{
	int fds[20];

	for (int i = 0; i < 20; i++)
		say(fds[i] = dial(), "{\"jsonrpc\":\"2.0\",\"id\":5,");
	for (int i = 19; i >= 0; i--)
		say(fds[i], "\"method\":\"session.list\"}\n");
	for (int i = 0; i < 20; i++) {
		expect_id(fds[i], 5);
		close(fds[i]);
	}
}

Test(control, a_byte_at_a_time)
{
	static const char line[] = VERSION(1) "  \r\n" VERSION(2);
	int fd = dial();

	for (const char *c = line; *c; c++) {
		say(fd, (char[]){*c, '\0'});
		turn();
	}
	expect_id(fd, 1);
	expect_id(fd, 2);
	close(fd);
}

Test(control, in_order_though_one_waits_for_the_disk)
{
	int fd = dial();

	say(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session.create\","
		"\"params\":{\"name\":\"web\"}}\n" VERSION(
			2) "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"session.stop\","
			   "\"params\":{\"name\":\"web\"}}\n"
			   "{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"session.show\","
			   "\"params\":{\"name\":\"web\"}}\n");
	expect_id(fd, 1);
	expect_id(fd, 2);
	expect_id(fd, 3);
	cr_assert(strstr(hear(fd), "\"stopped\""));
	close(fd);
}

Test(control, nonsense)
{
	int fd = dial();

	say(fd, "hello\n");
	cr_assert(strstr(hear(fd), "-32700"));
	say(fd, "{}\n");
	cr_assert(strstr(hear(fd), "-32600"));
	say(fd, "["
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"daemon.version\"}"
		"]\n");
	cr_assert(strstr(hear(fd), "-32600"));
	say(fd, VERSION(4));
	expect_id(fd, 4);
	close(fd);
}

Test(control, notifications_are_not_answered)
{
	int fd = dial();

	for (int i = 0; i < 1000; i++)
		say(fd, "{\"jsonrpc\":\"2.0\",\"method\":\"daemon.version\"}\n");
	say(fd,
	    "{\"jsonrpc\":\"2.0\",\"method\":\"session.create\",\"params\":{\"name\":\"web\"}}\n");
	say(fd, "{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"session.show\","
		"\"params\":{\"name\":\"web\"}}\n");
	expect_id(fd, 9);
	cr_assert(silent(fd));
	close(fd);
}

Test(control, a_line_too_long)
{
	char *line = malloc(JSONRPC_LINE_MAX + 10);
	int fd = dial(), other = dial();

	memset(line, 'x', JSONRPC_LINE_MAX + 9);
	line[JSONRPC_LINE_MAX + 9] = '\0';
	say(fd, line);
	cr_assert(strstr(hear(fd), "-32600"));
	cr_assert_str_empty(hear(fd), "and closed");
	say(other, VERSION(1));
	expect_id(other, 1);
	free(line);
	close(fd);
	close(other);
}

Test(control, end_of_file_after_the_last_question)
{
	int fd = dial();

	say(fd, VERSION(1) "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"session.create\","
			   "\"params\":{\"name\":\"web\"}}\n" VERSION(3) "{\"jsonrpc\"");
	shutdown(fd, SHUT_WR);
	expect_id(fd, 1);
	expect_id(fd, 2);
	expect_id(fd, 3);
	cr_assert_str_empty(hear(fd));
	close(fd);
}

Test(control, a_client_that_leaves_while_it_is_served)
{
	struct session_info info;
	struct refusal why;
	int fd = dial();

	say(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session.create\","
		"\"params\":{\"name\":\"web\"}}\n" VERSION(2) VERSION(3));
	close(fd);
	rig_turn(&rig);
	turn();
	rig_turn(&rig);
	turn();
	cr_assert_eq(control_clients(control), 0);
	cr_assert_eq(registry_find(rig.registry, "web", &info, &why), 0);
}

/* It asks and asks and does not read: it is left alone, and nobody else notices. */
Test(control, a_client_that_does_not_read)
{
	static const char ask[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"daemon.config\"}\n";
	int fd = dial(), other = dial();
	size_t said = 0;
	int blocked = 0;

	while (blocked < 50) {
		ssize_t n = send(fd, ask, sizeof(ask) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0) {
			said += (size_t)n;
			blocked = 0;
		} else {
			blocked++;
		}
		turn();
		cr_assert_lt(said, (size_t)4 << 20, "it is read from for ever");
	}
	say(other, VERSION(1));
	expect_id(other, 1);
	/* and when it reads at last, it gets all its answers */
	cr_assert(strstr(hear(fd), "\"options\""));
	cr_assert(strstr(hear(fd), "\"options\""));
	close(fd);
	close(other);
}

Test(control, too_many_clients)
{
	int fds[65];

	for (int i = 0; i < 65; i++) {
		fds[i] = dial();
		turn();
	}
	cr_assert_eq(control_clients(control), 64);
	cr_assert_str_empty(hear(fds[64]), "turned away");
	say(fds[63], VERSION(1));
	expect_id(fds[63], 1);
	close(fds[0]);
	turn();
	close(fds[64]);
	fds[64] = dial();
	say(fds[64], VERSION(1));
	expect_id(fds[64], 1);
	for (int i = 1; i < 65; i++)
		close(fds[i]);
}

Test(control, freed_while_clients_wait)
{
	struct method_subjects subjects = {.loop = &rig.loop};
	struct stat sb;
	int fd = dial(), idle = dial(), listening;
	uint32_t source;

	say(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session.create\","
		"\"params\":{\"name\":\"web\"}}\n");
	expect_id(fd, 1);
	source = rig_source(&rig, 1);
	say(fd, "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"session.destroy\","
		"\"params\":{\"name\":\"web\"}}\n");
	rig_turn(&rig);
	rig_turn(&rig);
	control_free(control);
	cr_assert_eq(fstatat(rig.dir_fd, "control.sock", &sb, 0), -1, "the file is gone");
	cr_assert_str_empty(hear(idle));
	cr_assert_str_empty(hear(fd));
	rig_source_gone(&rig, source); /* now there would be an answer */
	rig_turn(&rig);
	close(fd);
	close(idle);
	cr_assert_eq(unix_listener_open(rig.dir, "control.sock", 0600, &listening), 0);
	cr_assert_eq(control_create(&rig.loop, listening, &subjects, &control), 0);
}

Test(control, what_is_no_socket)
{
	struct method_subjects subjects = {.loop = &rig.loop};
	struct control *c = NULL;
	int fds[2];

	cr_assert_eq(pipe(fds), 0);
	cr_assert_lt(control_create(&rig.loop, fds[0], &subjects, &c), 0);
	cr_assert_null(c);
	turn();
	cr_assert_eq(close(fds[0]), -1, "taken over, on failure too");
	close(fds[1]);
}
