/* SPDX-License-Identifier: MIT */
/*
 * retention.c - keep-chunks: the oldest finished chunks of a source go.
 * Thread: the worker's; does I/O.
 */
#include "consumer/internal.h"

#include <stdio.h>
#include <unistd.h>

void retention_run(struct consumer_source *s)
{
	const struct session_slot *session = state_session_of(s->worker->st, s->slot);
	uint32_t keep = session ? atomic_load(&session->keep_chunks) : 0;
	int output = s->worker->config.output_fd;

	for (;;) {
		const struct source_half *now = source_now(s->slot);
		uint32_t oldest = now->keep_from ? now->keep_from : 1;
		uint32_t finished = now->next_chunk ? now->next_chunk - 1 : 0;
		struct worker_chunk info = {.source = s->ref,
					    .source_number = s->slot->number,
					    .number = oldest,
					    .deleted = true};
		struct source_half *h;
		char path[STATE_DIR + 64];

		for (unsigned i = 0; i < 2; i++)
			if (now->chunk[i].state != CHUNK_NONE && finished >= now->chunk[i].number)
				finished = now->chunk[i].number - 1;
		if (announce_pending(s, oldest))
			return; /* the catalog hears of its beginning first */
		if (!keep || finished < keep || oldest > finished - keep)
			return;
		snprintf(path, sizeof(path), "%s/trace.%06u.json", now->dir, oldest);
		(void)unlinkat(output, path, 0);
		snprintf(path, sizeof(path), "%s/trace.%06u.dat", now->dir, oldest);
		(void)unlinkat(output, path, 0);
		h = source_begin(s->slot);
		h->keep_from = oldest + 1;
		source_commit(s->slot);
		counters_add(s->worker->counters, COUNTER_chunks_dropped, 1);
		snprintf(info.path, sizeof(info.path), "%.*s/trace.%06u.dat", (int)STATE_DIR,
			 h->dir, oldest);
		s->worker->config.events->chunk(s->worker->config.ctx, &info);
	}
}
