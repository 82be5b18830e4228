/* SPDX-License-Identifier: MIT */
/* catalog.c - for now: every chunk is taken as kept. */
#include "sessiond-lite/catalog.h"

#include <errno.h>
#include <stdlib.h>

struct catalog {
	struct catalog_hooks hooks;
};

int catalog_create(const struct catalog_hooks *hooks, struct catalog **ret)
{
	struct catalog *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->hooks = *hooks;
	*ret = c;
	return 0;
}

void catalog_free(struct catalog *c)
{
	free(c);
}

void catalog_chunk(struct catalog *c, const struct link_message *chunk)
{
	c->hooks.kept(c->hooks.context, chunk);
}

void catalog_compacted(struct catalog *c, const char *path, int error)
{
	(void)c, (void)path, (void)error;
}
