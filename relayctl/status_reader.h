/* SPDX-License-Identifier: MIT */
/*
 * status_reader.h - reads one document from status.sock, without blocking.
 *
 * Life:   status_reader_open() to status_reader_close(). Thread: one.
 * Errors: negative errno. -EPROTO: the connection ended before the document did, as when relayd is
 *         killed meanwhile or has too many readers: try again.
 * Source: doc/status.md.
 */
#ifndef TRACERELAY_RELAYCTL_STATUS_READER_H
#define TRACERELAY_RELAYCTL_STATUS_READER_H

#include <stddef.h>

#include <jansson.h>

struct status_reader {
	int fd; /* to poll for reading; -1: closed */
	char *text;
	size_t len, room;
};

/* Connect. -ENOENT, -ECONNREFUSED: nobody serves it; -EACCES: not for us; -EAGAIN: very busy. */
int status_reader_open(const char *path, struct status_reader *ret);

/* Take what there is. 1: *ret is the whole document; 0: more will come. */
int status_reader_step(struct status_reader *r, json_t **ret);

void status_reader_close(struct status_reader *r); /* copes with a closed one */

#endif
