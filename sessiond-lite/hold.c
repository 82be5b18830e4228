/* SPDX-License-Identifier: MIT */
/* hold.c - a short list: relayd compacts a file or two at a time. */
#include "sessiond-lite/hold.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST 256

struct kept {
	struct kept *next;
	uint64_t key;
	int fd;
	char text[];
};

struct hold {
	struct kept *first;
	unsigned n;
};

int hold_create(struct hold **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

void hold_free(struct hold *h)
{
	if (!h)
		return;
	while (h->first)
		hold_release(h, h->first->key);
	free(h);
}

int hold_keep(struct hold *h, uint64_t key, const char *text, int fd)
{
	struct kept *k;

	hold_release(h, key);
	if (h->n == MOST)
		return -EMFILE;
	k = malloc(sizeof(*k) + strlen(text) + 1);
	if (!k)
		return -ENOMEM;
	k->key = key;
	k->fd = fd;
	strcpy(k->text, text);
	k->next = h->first;
	h->first = k;
	h->n++;
	return 0;
}

void hold_release(struct hold *h, uint64_t key)
{
	for (struct kept **at = &h->first; *at; at = &(*at)->next)
		if ((*at)->key == key) {
			struct kept *k = *at;

			*at = k->next;
			close(k->fd);
			free(k);
			h->n--;
			return;
		}
}

void hold_pass(const struct hold *h, struct relayd_link *link)
{
	for (const struct kept *k = h->first; k; k = k->next) {
		struct link_message m = {.type = LINK_HELD, .chunk.key = k->key};

		snprintf(m.text, sizeof(m.text), "%s", k->text);
		relayd_link_send_fds(link, &m, &k->fd, 1);
	}
}
