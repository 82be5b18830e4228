/* SPDX-License-Identifier: MIT */
/* status_reader.c - see status_reader.h. */
#include "relayctl/status_reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FIRST_ROOM 65536

int status_reader_open(const char *path, struct status_reader *ret)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd, err;

	if (strlen(path) >= sizeof(at.sun_path))
		return -ENAMETOOLONG;
	strcpy(at.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&at, sizeof(at)) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	*ret = (struct status_reader){.fd = fd};
	return 0;
}

static int make_room(struct status_reader *r)
{
	size_t room = r->room ? 2 * r->room : FIRST_ROOM;
	char *text;

	if (r->len < r->room)
		return 0;
	text = realloc(r->text, room);
	if (!text)
		return -ENOMEM;
	r->text = text;
	r->room = room;
	return 0;
}

static int parse(const struct status_reader *r, json_t **ret)
{
	json_t *document = json_loadb(r->text, r->len, 0, NULL);

	if (!json_is_object(document)) {
		json_decref(document);
		return -EPROTO;
	}
	*ret = document;
	return 1;
}

int status_reader_step(struct status_reader *r, json_t **ret)
{
	for (;;) {
		int err = make_room(r);
		ssize_t n;

		if (err < 0)
			return err;
		n = read(r->fd, r->text + r->len, r->room - r->len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : errno == ECONNRESET ? -EPROTO : -errno;
		if (n == 0)
			return parse(r, ret);
		r->len += (size_t)n;
	}
}

void status_reader_close(struct status_reader *r)
{
	if (r->fd >= 0)
		close(r->fd);
	free(r->text);
	*r = (struct status_reader){.fd = -1};
}
