/* SPDX-License-Identifier: MIT */
/* registry.c - for now: the session `default` alone, in memory; numbers from the clock. */
#include "sessiond-lite/registry.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "sessiond-lite/clock.h"

struct registry {
	struct state *st;
	uint64_t next_number;
};

int registry_create(const struct registry_config *config, struct registry **ret)
{
	struct registry *r = calloc(1, sizeof(*r));
	struct session_slot *session = &config->st->session[0];

	if (!r)
		return -ENOMEM;
	r->st = config->st;
	r->next_number = (uint64_t)(clock_realtime_ns() / 1000000000);
	snprintf(session->name, sizeof(session->name), "default");
	atomic_store(&config->st->header->high_session, 1);
	atomic_store(&session->id, atomic_fetch_add(&config->st->header->next_id, 1));
	*ret = r;
	return 0;
}

void registry_free(struct registry *r)
{
	free(r);
}

int registry_match(struct registry *r, const struct match_subject *subject)
{
	(void)r, (void)subject;
	return 0;
}

uint64_t registry_next_source_number(struct registry *r)
{
	return r->next_number++;
}

void registry_source_ended(struct registry *r, uint32_t session)
{
	(void)r, (void)session;
}
