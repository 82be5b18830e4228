/* SPDX-License-Identifier: MIT */
/* daemon.c - see daemon.h. */
#include "relayctl/daemon.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/jsonrpc.h"
#include "config/option_env.h"
#include "relayctl/field.h"
#include "relayctl/status_reader.h"
#include "relayctl/text.h"

#define ANSWER_MAX     ((size_t)64 << 20) /* bytes */
#define RETRY_PAUSE_MS 50
#define REQUEST_ID     1
#define FORMAT         1 /* of the status document, as far as it is known here */

#define SYSTEM_RUN_DIR "/run/tracerelay"

/* ---- where ---- */

static char *join(const char *dir, const char *socket)
{
	char *path;

	return asprintf(&path, "%s/%s", dir, socket) < 0 ? NULL : path;
}

static bool serves(const char *dir)
{
	char *path = join(dir, "control.sock");
	bool there = path && access(path, F_OK) == 0;

	free(path);
	return there;
}

/* Where a relay of this user would be; if there is none, but one of the machine's: where that is.
 */
static char *default_dir(void)
{
	struct option_env env;
	char *dir;

	option_env_read(&env);
	dir = option_env_run_dir(&env);
	if (!dir || serves(dir) || !serves(SYSTEM_RUN_DIR))
		return dir;
	free(dir);
	return strdup(SYSTEM_RUN_DIR);
}

char *daemon_path(const struct cli *cli, const char *socket)
{
	const char *given = cli->run_dir ? cli->run_dir : getenv("TRACERELAY_RUN_DIR");
	char *dir, *path;

	if (given && *given)
		return join(given, socket);
	dir = default_dir();
	path = dir ? join(dir, socket) : NULL;
	free(dir);
	return path;
}

int daemon_unreachable(const struct cli *cli, const char *path, int error)
{
	if (error == -EACCES || error == -EPERM)
		return cli_fail(cli, EXIT_REFUSED,
				"%s: not for this user; run relayctl as the user that started the "
				"relay, or as root",
				path);
	if (error == -ENAMETOOLONG)
		return cli_fail(cli, EXIT_USAGE, "%s: too long for the path of a socket", path);
	if (error != -ENOENT && error != -ENOTDIR && error != -ECONNREFUSED)
		return cli_fail(cli, EXIT_NO_DAEMON, "%s: %s", path, strerror(-error));
	(void)cli_fail(cli, EXIT_NO_DAEMON, "no relay runs here (%s: %s)", path, strerror(-error));
	fputs("Start one with 'sessiond-lite' (or 'systemctl start tracerelay'), or say with "
	      "--run-dir where one runs.\n",
	      cli->err);
	return EXIT_NO_DAEMON;
}

/* ---- time ---- */

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Until fd is ready or the time has come. Whether it is ready. */
static bool wait_until(int fd, short events, int64_t deadline_ms)
{
	struct pollfd p = {.fd = fd, .events = events};
	int r;

	do {
		int64_t left = deadline_ms - now_ms();

		r = poll(&p, 1, left > 0 ? (int)left : 0);
	} while (r < 0 && errno == EINTR);
	return r > 0;
}

/* ---- control.sock ---- */

/* A socket or negative errno. */
static int connect_to(const char *path, int64_t deadline_ms)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd, err;

	if (strlen(path) >= sizeof(at.sun_path))
		return -ENAMETOOLONG;
	strcpy(at.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	while (connect(fd, (const struct sockaddr *)&at, sizeof(at)) < 0) {
		err = -errno;
		if (err == -EINTR)
			continue;
		if (err != -EAGAIN || now_ms() >= deadline_ms) { /* EAGAIN: a full backlog */
			close(fd);
			return err;
		}
		(void)poll(NULL, 0, RETRY_PAUSE_MS);
	}
	return fd;
}

static int send_all(int fd, const char *bytes, size_t len, int64_t deadline_ms)
{
	while (len) {
		ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			if (!wait_until(fd, POLLOUT, deadline_ms))
				return -ETIMEDOUT;
			continue;
		}
		if (n < 0)
			return -errno;
		bytes += n;
		len -= (size_t)n;
	}
	return 0;
}

/* The next line of the answer, borrowed from lines. 0 or negative errno; -EPIPE: it ended. */
static int receive_line(int fd, int64_t deadline_ms, struct jsonrpc_lines *lines,
			const char **ret_line, size_t *ret_len)
{
	char buf[65536];

	for (;;) {
		int r = jsonrpc_lines_next(lines, ret_line, ret_len);
		ssize_t n;

		if (r != 0)
			return r < 0 ? r : 0;
		if (!wait_until(fd, POLLIN, deadline_ms))
			return -ETIMEDOUT;
		n = recv(fd, buf, sizeof(buf), 0);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			return n ? -errno : -EPIPE;
		r = jsonrpc_lines_feed(lines, buf, (size_t)n);
		if (r < 0)
			return r;
	}
}

static int send_request(int fd, const char *method, json_t *params, int64_t deadline_ms)
{
	json_t *request = NULL;
	char *line = NULL;
	size_t len;
	int r = jsonrpc_request_new(REQUEST_ID, method, params, &request);

	if (r == 0)
		r = jsonrpc_to_line(request, &line, &len);
	if (r == 0)
		r = send_all(fd, line, len, deadline_ms);
	json_decref(request);
	free(line);
	return r;
}

/* The daemon's sentence; it may quote names that are not fit for a terminal. */
static int refused(const struct cli *cli, const char *sentence)
{
	size_t width;
	char *clean = text_clean(sentence, &width);
	int status = cli_fail(cli, EXIT_REFUSED, "%s", clean ? clean : "no memory");

	free(clean);
	return status;
}

static int understand(const struct cli *cli, const char *line, size_t len, json_t **ret)
{
	struct jsonrpc_response response;
	int status = EXIT_DONE;

	if (jsonrpc_response_parse(line, len, &response) < 0)
		return cli_fail(cli, EXIT_REFUSED, "the daemon's answer is not understood");
	if (!jsonrpc_response_is_to(&response, REQUEST_ID))
		status = cli_fail(cli, EXIT_REFUSED, "the daemon answered something else");
	else if (response.result)
		*ret = json_incref(response.result);
	else
		status = refused(cli, response.message);
	jsonrpc_response_clear(&response);
	return status;
}

static int exchange(const struct cli *cli, int fd, const char *method, json_t *params, json_t **ret)
{
	struct jsonrpc_lines *lines = jsonrpc_lines_new(ANSWER_MAX);
	int64_t deadline = now_ms() + DAEMON_ANSWER_MS;
	const char *line;
	size_t len;
	int status, r = lines ? 0 : -ENOMEM;

	if (r == 0)
		r = send_request(fd, method, params, deadline);
	else
		json_decref(params);
	if (r == 0)
		r = receive_line(fd, deadline, lines, &line, &len);
	if (r == 0)
		status = understand(cli, line, len, ret);
	else if (r == -EPIPE || r == -ECONNRESET)
		status = cli_fail(cli, EXIT_NO_DAEMON, "the daemon ended before it answered");
	else if (r == -ETIMEDOUT)
		status = cli_fail(cli, EXIT_REFUSED, "the daemon does not answer");
	else
		status = cli_fail(cli, EXIT_REFUSED, "talking to the daemon: %s", strerror(-r));
	jsonrpc_lines_free(lines);
	return status;
}

int daemon_call(const struct cli *cli, const char *method, json_t *params, json_t **ret)
{
	char *path = daemon_path(cli, "control.sock");
	int fd, status;

	if (!path) {
		json_decref(params);
		return cli_no_memory(cli);
	}
	fd = connect_to(path, now_ms() + DAEMON_PATIENCE_MS);
	if (fd < 0) {
		json_decref(params);
		status = daemon_unreachable(cli, path, fd);
	} else {
		status = exchange(cli, fd, method, params, ret);
		close(fd);
	}
	free(path);
	return status;
}

/* ---- status.sock ---- */

/* One attempt. 0, or negative errno: -EPROTO, -EAGAIN and -ETIMEDOUT are relayd's restart. */
static int read_status(const char *path, int64_t deadline_ms, json_t **ret)
{
	struct status_reader reader;
	int r = status_reader_open(path, &reader);

	if (r < 0)
		return r;
	do {
		if (!wait_until(reader.fd, POLLIN, deadline_ms))
			r = -ETIMEDOUT;
		else
			r = status_reader_step(&reader, ret);
	} while (r == 0);
	status_reader_close(&reader);
	return r < 0 ? r : 0;
}

int daemon_status(const struct cli *cli, int patience_ms, json_t **ret)
{
	int64_t deadline = now_ms() + patience_ms;
	char *path = daemon_path(cli, "status.sock");
	int status = EXIT_DONE, r;

	if (!path)
		return cli_no_memory(cli);
	while ((r = read_status(path, deadline, ret)) < 0) {
		if ((r != -EPROTO && r != -EAGAIN) || now_ms() >= deadline)
			break;
		(void)poll(NULL, 0, RETRY_PAUSE_MS);
	}
	if (r == -EPROTO || r == -EAGAIN || r == -ETIMEDOUT)
		status = cli_fail(cli, EXIT_REFUSED,
				  "relayd does not answer; perhaps it is just being restarted "
				  "('relayctl status' says)");
	else if (r < 0)
		status = daemon_unreachable(cli, path, r);
	else if (field_number(*ret, "format") > FORMAT)
		status = cli_fail(cli, EXIT_REFUSED,
				  "this relay is newer than relayctl: install the same version");
	if (status != EXIT_DONE && r == 0) {
		json_decref(*ret);
		*ret = NULL;
	}
	free(path);
	return status;
}
