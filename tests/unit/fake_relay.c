/* SPDX-License-Identifier: MIT */
/* fake_relay.c - see fake_relay.h. */
#include "tests/unit/fake_relay.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "relayctl/cli.h"

#define ANSWERS   16
#define DOCUMENTS 16

struct server {
	int fd; /* -1: not there */
	pthread_t thread;
};

struct fake_relay {
	char dir[64];
	struct server control, status;
	pthread_mutex_t lock; /* guards all below */
	struct {
		char method[32];
		char *member; /* "\"result\":..." or "\"error\":..." */
	} answer[ANSWERS];
	char *say;
	char *document[DOCUMENTS];
	unsigned documents, served;
	json_t *request;
};

static int bound(const struct fake_relay *f, const char *name)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert_geq(fd, 0);
	snprintf(at.sun_path, sizeof(at.sun_path), "%s/%s", f->dir, name);
	(void)unlink(at.sun_path);
	cr_assert_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

static void serve(struct fake_relay *f, struct server *s, const char *name, void *(*thread)(void *))
{
	if (s->fd >= 0)
		return;
	s->fd = bound(f, name);
	cr_assert_eq(listen(s->fd, 16), 0);
	cr_assert_eq(pthread_create(&s->thread, NULL, thread, f), 0);
}

static void stop_serving(struct server *s)
{
	if (s->fd < 0)
		return;
	shutdown(s->fd, SHUT_RDWR); /* accept() fails from now on */
	pthread_join(s->thread, NULL);
	close(s->fd);
}

static void send_all(int fd, const char *bytes)
{
	size_t len = strlen(bytes);

	while (len) {
		ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		bytes += n;
		len -= (size_t)n;
	}
}

/* ---- control.sock ---- */

static const char *answer_to(struct fake_relay *f, const char *method)
{
	for (unsigned i = 0; i < ANSWERS; i++)
		if (f->answer[i].member && strcmp(f->answer[i].method, method) == 0)
			return f->answer[i].member;
	return "\"error\":{\"code\":-32601,\"message\":\"not scripted\"}";
}

static void answer_one(struct fake_relay *f, int fd)
{
	char line[65536], *text = NULL;
	size_t len = 0;
	json_t *request;

	while (len < sizeof(line) - 1 && (!len || line[len - 1] != '\n')) {
		ssize_t n = recv(fd, line + len, sizeof(line) - 1 - len, 0);

		if (n <= 0)
			return;
		len += (size_t)n;
	}
	request = json_loadb(line, len, 0, NULL);
	pthread_mutex_lock(&f->lock);
	json_decref(f->request);
	f->request = request;
	if (f->say)
		text = strdup(f->say);
	else if (asprintf(&text, "{\"jsonrpc\":\"2.0\",\"id\":%lld,%s}\n",
			  (long long)json_integer_value(json_object_get(request, "id")),
			  answer_to(f, json_string_value(json_object_get(request, "method")))) < 0)
		text = NULL;
	pthread_mutex_unlock(&f->lock);
	if (text)
		send_all(fd, text);
	free(text);
}

static void *control_thread(void *arg)
{
	struct fake_relay *f = arg;
	int fd;

	while ((fd = accept(f->control.fd, NULL, NULL)) >= 0) {
		answer_one(f, fd);
		close(fd);
	}
	return NULL;
}

static void set_answer(struct fake_relay *f, const char *method, char *member)
{
	unsigned i = 0;

	pthread_mutex_lock(&f->lock);
	while (f->answer[i].member && strcmp(f->answer[i].method, method) != 0)
		i++;
	cr_assert_lt(i, ANSWERS);
	free(f->answer[i].member);
	snprintf(f->answer[i].method, sizeof(f->answer[i].method), "%s", method);
	f->answer[i].member = member;
	pthread_mutex_unlock(&f->lock);
	serve(f, &f->control, "control.sock", control_thread);
}

void fake_relay_answer(struct fake_relay *f, const char *method, const char *result)
{
	char *member;

	cr_assert_gt(asprintf(&member, "\"result\":%s", result), 0);
	set_answer(f, method, member);
}

void fake_relay_refuse(struct fake_relay *f, const char *method, int code, const char *message)
{
	char *member;

	cr_assert_gt(asprintf(&member, "\"error\":{\"code\":%d,\"message\":\"%s\"}", code, message),
		     0);
	set_answer(f, method, member);
}

void fake_relay_say(struct fake_relay *f, const char *bytes)
{
	pthread_mutex_lock(&f->lock);
	free(f->say);
	f->say = strdup(bytes);
	pthread_mutex_unlock(&f->lock);
	serve(f, &f->control, "control.sock", control_thread);
}

const json_t *fake_relay_request(struct fake_relay *f)
{
	const json_t *request;

	pthread_mutex_lock(&f->lock);
	request = f->request;
	pthread_mutex_unlock(&f->lock);
	cr_assert(request, "nothing was asked");
	return request;
}

/* ---- status.sock ---- */

static void *status_thread(void *arg)
{
	struct fake_relay *f = arg;
	int fd;

	while ((fd = accept(f->status.fd, NULL, NULL)) >= 0) {
		char *text;

		pthread_mutex_lock(&f->lock);
		text = strdup(f->document[f->served]);
		if (f->served + 1 < f->documents)
			f->served++;
		pthread_mutex_unlock(&f->lock);
		send_all(fd, text);
		free(text);
		close(fd);
	}
	return NULL;
}

void fake_relay_document(struct fake_relay *f, const char *text)
{
	pthread_mutex_lock(&f->lock);
	cr_assert_lt(f->documents, DOCUMENTS);
	f->document[f->documents++] = strdup(text);
	pthread_mutex_unlock(&f->lock);
	serve(f, &f->status, "status.sock", status_thread);
}

/* ---- life ---- */

struct fake_relay *fake_relay_start(void)
{
	struct fake_relay *f = calloc(1, sizeof(*f));

	cr_assert(f);
	strcpy(f->dir, "/tmp/fake-relay-XXXXXX");
	cr_assert(mkdtemp(f->dir));
	f->control.fd = f->status.fd = -1;
	pthread_mutex_init(&f->lock, NULL);
	return f;
}

static void remove_file(const struct fake_relay *f, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	(void)unlink(path);
}

void fake_relay_stop(struct fake_relay *f)
{
	stop_serving(&f->control);
	stop_serving(&f->status);
	for (unsigned i = 0; i < ANSWERS; i++)
		free(f->answer[i].member);
	for (unsigned i = 0; i < f->documents; i++)
		free(f->document[i]);
	free(f->say);
	json_decref(f->request);
	remove_file(f, "control.sock");
	remove_file(f, "status.sock");
	cr_expect_eq(rmdir(f->dir), 0);
	free(f);
}

const char *fake_relay_dir(const struct fake_relay *f)
{
	return f->dir;
}

void fake_relay_dead_socket(struct fake_relay *f, const char *name)
{
	close(bound(f, name));
}

/* ---- relayctl ---- */

const struct said *fake_relay_run(struct fake_relay *f, ...)
{
	static struct said said;
	char *argv[32] = {"relayctl", "--run-dir", f->dir};
	int argc = 3;
	FILE *out, *err;
	va_list words;

	va_start(words, f);
	while ((argv[argc] = va_arg(words, char *)))
		cr_assert_lt(++argc, 31);
	va_end(words);
	memset(&said, 0, sizeof(said));
	out = fmemopen(said.out, sizeof(said.out) - 1, "w");
	err = fmemopen(said.err, sizeof(said.err) - 1, "w");
	cr_assert(out && err);
	said.status = cli_run(argc, argv, out, err);
	fclose(out);
	fclose(err);
	return &said;
}
