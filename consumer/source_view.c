/* SPDX-License-Identifier: MIT */
/*
 * source_view.c - what a source's slots say, worked out: nothing is changed here.
 * Thread: the worker's.
 */
#include "consumer/internal.h"

struct page_format source_view_format(const struct source_half *h)
{
	return (struct page_format){.size = h->sub_buffer,
				    .commit_size = (uint8_t)h->commit_size,
				    .big_endian = h->big_endian};
}

/*
 * The entry that streams fill, or wait for; 2 if there is none. Of two open ones it is the older: a
 * kill came between the next one's opening and the rotation.
 */
unsigned source_view_current_chunk(const struct source_half *h)
{
	unsigned found = 2;

	for (unsigned i = 0; i < 2; i++)
		if (h->chunk[i].state == CHUNK_OPEN &&
		    (found == 2 || h->chunk[i].number < h->chunk[found].number))
			found = i;
	return found;
}

bool source_view_stopped(const struct consumer_source *s)
{
	const struct session_slot *session = state_session_of(s->worker->st, s->slot);

	return session && atomic_load(&session->stopped);
}

bool source_view_switching(const struct consumer_source *s, const struct stream_half *h)
{
	const struct source_half *sh = source_now(s->slot);

	if (h->chunk == STREAM_NO_CHUNK)
		return !source_view_stopped(s) && source_view_current_chunk(sh) != 2;
	return sh->chunk[h->chunk].state == CHUNK_CLOSING;
}
