/* SPDX-License-Identifier: MIT */
/*
 * control.c - clients of control.sock.
 *
 * A client is read from only while it has neither a call under way nor an answer to be sent, so
 * that what is held for it is bounded and answers come in order:
 *
 *   READING --a line--> CALLING --answered--> WRITING --sent--> the next line, or READING
 *   any --error, a line too long, end of file and nothing left--> closed
 */
#include "sessiond-lite/control.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/jsonrpc.h"
#include "common/log.h"

#define CLIENTS_MAX 64u
#define BACKLOG     64
#define READ_BYTES  4096u

struct client {
	struct client *next;
	struct control *control;
	uv_pipe_t pipe;
	struct jsonrpc_lines *lines;
	struct call *call; /* CALLING */
	uv_write_t write;  /* WRITING */
	char *answer;      /* WRITING: owned */
	bool busy;         /* CALLING or WRITING */
	bool dispatching;  /* inside methods_call() */
	bool reading;
	bool eof;  /* the client will not ask more */
	bool last; /* closed after this answer */
	bool closing;
	char buffer[READ_BYTES];
};

struct control {
	uv_loop_t *loop;
	struct method_subjects subjects;
	uv_pipe_t server;
	struct client *first;
	size_t clients;
	bool freed; /* by its owner; goes with its last handle */
	bool server_closed;
};

static void take_next(struct client *c);

/* ---- ends ---- */

static void release(struct control *control)
{
	if (control->freed && control->server_closed && !control->first)
		free(control);
}

static void on_client_closed(uv_handle_t *handle)
{
	struct client *c = handle->data;
	struct control *control = c->control;
	struct client **place = &control->first;

	while (*place != c)
		place = &(*place)->next;
	*place = c->next;
	control->clients--;
	jsonrpc_lines_free(c->lines);
	free(c->answer);
	free(c);
	release(control);
}

static void close_client(struct client *c)
{
	if (c->closing)
		return;
	c->closing = true;
	if (c->call)
		call_abandon(c->call);
	uv_close((uv_handle_t *)&c->pipe, on_client_closed);
}

/* ---- answers ---- */

static void on_written(uv_write_t *write, int status)
{
	struct client *c = write->data;

	free(c->answer);
	c->answer = NULL;
	c->busy = false;
	if (c->closing)
		return;
	if (status < 0 || c->last)
		close_client(c);
	else
		take_next(c);
}

/* @response  taken */
static void send_answer(struct client *c, json_t *response)
{
	uv_buf_t buf;
	size_t len;
	int r = jsonrpc_to_line(response, &c->answer, &len);

	json_decref(response);
	if (r == 0) {
		buf = uv_buf_init(c->answer, (unsigned)len);
		c->write.data = c;
		c->busy = true;
		r = uv_write(&c->write, (uv_stream_t *)&c->pipe, &buf, 1, on_written);
	}
	if (r < 0)
		close_client(c);
}

static void on_answered(void *context, json_t *response, int error)
{
	struct client *c = context;

	c->call = NULL;
	c->busy = false;
	if (error < 0)
		close_client(c); /* waiting for ever would be worse */
	else if (response)
		send_answer(c, response);
	else if (!c->dispatching)
		take_next(c); /* a notification; else its caller goes on */
}

/* ---- requests ---- */

static void handle(struct client *c, const char *line, size_t len)
{
	struct jsonrpc_request request = {0};
	json_t *refusal = NULL;
	struct call *call;
	int r = jsonrpc_request_parse(line, len, &request, &refusal);

	if (r == -EBADMSG) {
		send_answer(c, refusal);
		return;
	}
	call = r == 0 ? call_new(&request, on_answered, c) : NULL;
	if (!call) {
		jsonrpc_request_clear(&request);
		close_client(c);
		return;
	}
	c->busy = true;
	c->call = call;
	c->dispatching = true;
	methods_call(&c->control->subjects, call);
	c->dispatching = false;
}

static void too_long(struct client *c)
{
	json_t *refusal;

	c->last = true;
	if (jsonrpc_refuse_line(JSONRPC_LINE_MAX, &refusal) < 0)
		close_client(c);
	else
		send_answer(c, refusal);
}

static void set_reading(struct client *c, bool on);

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct client *c = handle->data;

	(void)suggested;
	*buf = uv_buf_init(c->buffer, sizeof(c->buffer));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct client *c = stream->data;

	if (n == 0)
		return;
	if (n < 0) {
		c->eof = true;
		set_reading(c, false);
	} else if (jsonrpc_lines_feed(c->lines, buf->base, (size_t)n) == -ENOMEM) {
		close_client(c);
		return;
	}
	take_next(c);
}

static void set_reading(struct client *c, bool on)
{
	uv_stream_t *stream = (uv_stream_t *)&c->pipe;

	if (on == c->reading || c->closing)
		return;
	c->reading = on;
	if (!on)
		uv_read_stop(stream);
	else if (uv_read_start(stream, on_alloc, on_read) < 0)
		close_client(c);
}

static void take_next(struct client *c)
{
	const char *line;
	size_t len;
	int r;

	while (!c->busy && !c->closing) {
		r = jsonrpc_lines_next(c->lines, &line, &len);
		if (r == 1) {
			handle(c, line, len);
		} else if (r == -EMSGSIZE) {
			too_long(c);
		} else if (c->eof) {
			close_client(c); /* a line without its end is none */
		} else {
			set_reading(c, true);
			return;
		}
	}
	set_reading(c, false);
}

/* ---- connections ---- */

static void on_refused(uv_handle_t *pipe)
{
	free(pipe);
}

/* One more than are served: accepted, so that it does not wait, and closed. */
static void turn_away(struct control *control)
{
	static struct log_limit limit = LOG_LIMIT_USUAL;
	uv_pipe_t *pipe = malloc(sizeof(*pipe));

	if (!pipe)
		return;
	uv_pipe_init(control->loop, pipe, 0);
	uv_accept((uv_stream_t *)&control->server, (uv_stream_t *)pipe);
	uv_close((uv_handle_t *)pipe, on_refused);
	log_limited(&limit, LOG_LEVEL_WARNING, NULL, "control-busy",
		    "control.sock has %u clients already; one was turned away", CLIENTS_MAX);
}

static void on_connection(uv_stream_t *server, int status)
{
	struct control *control = server->data;
	struct client *c;

	if (status < 0)
		return;
	if (control->clients >= CLIENTS_MAX) {
		turn_away(control);
		return;
	}
	c = calloc(1, sizeof(*c));
	if (!c) {
		turn_away(control);
		return;
	}
	c->control = control;
	c->pipe.data = c;
	uv_pipe_init(control->loop, &c->pipe, 0);
	c->next = control->first;
	control->first = c;
	control->clients++;
	c->lines = jsonrpc_lines_new(JSONRPC_LINE_MAX);
	if (!c->lines || uv_accept(server, (uv_stream_t *)&c->pipe) < 0)
		close_client(c);
	else
		take_next(c);
}

/* ---- life ---- */

int control_create(uv_loop_t *loop, int fd, const struct method_subjects *subjects,
		   struct control **ret)
{
	struct control *control = calloc(1, sizeof(*control));
	int r;

	if (!control) {
		close(fd);
		return -ENOMEM;
	}
	control->loop = loop;
	control->subjects = *subjects;
	uv_pipe_init(loop, &control->server, 0);
	control->server.data = control;
	r = uv_pipe_open(&control->server, fd);
	if (r < 0)
		close(fd);
	else
		r = uv_listen((uv_stream_t *)&control->server, BACKLOG, on_connection);
	if (r < 0) {
		control_free(control);
		return r;
	}
	*ret = control;
	return 0;
}

static void on_server_closed(uv_handle_t *handle)
{
	struct control *control = handle->data;

	control->server_closed = true;
	release(control);
}

/* The socket's file, if it is still this socket's. */
static void remove_file(const struct control *control)
{
	struct sockaddr_un sun = {0};
	socklen_t len = sizeof(sun);
	uv_os_fd_t fd;

	if (uv_fileno((const uv_handle_t *)&control->server, &fd) == 0 &&
	    getsockname(fd, (struct sockaddr *)&sun, &len) == 0 && sun.sun_path[0])
		(void)unlink(sun.sun_path);
}

void control_free(struct control *control)
{
	if (!control)
		return;
	for (struct client *c = control->first; c; c = c->next)
		close_client(c);
	remove_file(control);
	control->freed = true;
	uv_close((uv_handle_t *)&control->server, on_server_closed);
}

size_t control_clients(const struct control *c)
{
	return c->clients;
}
