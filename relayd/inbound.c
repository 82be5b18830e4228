/* SPDX-License-Identifier: MIT */
/*
 * inbound.c - what each message of sessiond-lite sets off.
 * Thread: the front loop's.
 */
#include <stdlib.h>
#include <unistd.h>

#include "common/log.h"
#include "relayd/live.h"
#include "relayd/lttng_data.h"
#include "relayd/relay.h"

static void take_viewer(struct relay *r, struct state_ref ref, int fd)
{
	/* At the end nobody serves it any more: sessiond-lite closes what it holds. */
	if (!r->live || live_connection(r->live, ref, fd) < 0)
		close(fd);
}

static void take_conversation(struct relay *r, struct state_ref ref, int fd)
{
	const struct conversation_slot *slot = state_conversation(&r->st, ref);

	if (slot && slot->role == CONVERSATION_LTTNG_DATA)
		lttng_data_new(r, ref, fd);
	else if (slot && slot->role == CONVERSATION_LTTNG_LIVE)
		take_viewer(r, ref, fd);
	else
		conn_new(r, ref, fd);
}

static void take_descriptors(struct relay *r, const struct link_message *m, const int *fds,
			     unsigned n)
{
	for (unsigned i = 0; i < m->items; i++) {
		struct state_ref ref = {.index = m->item[i].index, .id = m->item[i].id};
		struct stream_slot *stream;

		if (i >= n)
			break; /* lost; asked for again below */
		switch (m->type) {
		case LINK_CONVERSATIONS:
			take_conversation(r, ref, fds[i]);
			break;
		case LINK_SHARED:
			shared_add(r, &m->item[i], fds[i]);
			break;
		default:
			stream = state_stream(&r->st, ref);
			if (!stream) {
				close(fds[i]);
			} else if (stream->transport == TRANSPORT_UDP) {
				shared_own_socket(r, ref, fds[i]);
			} else {
				struct source_slot *s = state_source(&r->st, stream->source);
				uint32_t w = s ? atomic_load(&s->worker) : 0;

				if (r->synced) /* before: an earlier relayd counted it */
					counters_add(r->counters, COUNTER_connections_stream, 1);
				if (w)
					worker_stream(r->workers[w - 1], ref, fds[i]);
				else
					close(fds[i]);
			}
		}
	}
}

static void on_leased(struct relay *r, const struct link_message *m)
{
	struct conversation_slot *slot = state_conversation(&r->st, m->ref);
	struct conn *c = slot ? r->conn_at[m->ref.index] : NULL;
	struct source_slot *s;

	if (!c) {
		source_front_unclaimed(r, m->ref);
		return;
	}
	if (m->error < 0) {
		conn_refused(c, m->error);
	} else if (slot->role == CONVERSATION_LTTNG_CONTROL) {
		conn_granted(c, m->ctf.source, 0);
	} else {
		s = source_front_of(r, slot);
		if (s)
			source_front_adopt(r, s);
	}
	conn_turn(c);
}

static void on_ctf_stream_made(struct relay *r, const struct link_message *m)
{
	struct conversation_slot *slot = state_conversation(&r->st, m->ref);
	struct conn *c = slot ? r->conn_at[m->ref.index] : NULL;

	if (!c)
		return;
	if (m->error < 0)
		conn_refused(c, m->error);
	else
		conn_granted(c, m->ctf.stream, m->ctf.position);
	conn_turn(c);
}

static void look_at_all(struct relay *r)
{
	for (unsigned i = 0; i < r->worker_count; i++)
		worker_look_all(r->workers[i]);
}

static void look_at(struct relay *r, struct state_ref ref)
{
	struct source_slot *s = state_source(&r->st, ref);

	if (s)
		source_front_look(r, s);
}

static void on_chunk_kept(struct relay *r, const struct link_message *m)
{
	struct source_slot *s = state_source(&r->st, m->ref);
	uint32_t w = s ? atomic_load(&s->worker) : 0;

	if (w)
		worker_chunk_kept(r->workers[w - 1], m->ref, m->chunk.number);
}

void inbound_message(struct relay *r, const struct link_message *m, const int *fds, unsigned n_fds)
{
	int err;

	switch (m->type) {
	case LINK_SETUP:
		err = relay_setup(r, m, fds, n_fds);
		if (err < 0) {
			log_error("setup", "relayd cannot start: %s", strerror(-err));
			exit(EXIT_FAILURE);
		}
		break;
	case LINK_CONVERSATIONS:
	case LINK_STREAMS:
	case LINK_SHARED:
		take_descriptors(r, m, fds, n_fds);
		break;
	case LINK_SYNCED:
		relay_synced(r);
		break;
	case LINK_LEASED:
		on_leased(r, m);
		break;
	case LINK_CTF_STREAM_MADE:
		on_ctf_stream_made(r, m);
		break;
	case LINK_MATCHED:
		look_at(r, m->ref);
		break;
	case LINK_DRAINED:
		source_front_drained(r, m->ref);
		break;
	case LINK_UDP_REFUSED:
		break; /* its datagrams go on through the shared socket */
	case LINK_SESSION:
		conn_follow_sessions(r);
		look_at_all(r);
		break;
	case LINK_CHUNK_KEPT:
		on_chunk_kept(r, m);
		break;
	case LINK_COMPACT:
		if (r->compactor) /* else this is the end */
			compactor_order(r->compactor, m->text);
		break;
	case LINK_HELD:
		if (!r->compactor)
			break;
		if (n_fds)
			compactor_inherit(r->compactor, m->chunk.key, m->text, fds[0]);
		else
			compactor_held(r->compactor, m->chunk.key);
		break;
	case LINK_SHUTDOWN:
		relay_stop(r);
		break;
	default:
		log_warning("link", "unknown message %u", m->type);
	}
}
