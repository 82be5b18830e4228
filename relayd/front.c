/* SPDX-License-Identifier: MIT */
/*
 * front.c - relayd's start, its end, and what workers and the compactor say meanwhile.
 *
 * Start and restart are one path: SETUP brings the state memory (all zero at the very first start),
 * workers complete the moves they find in their slots, sources are adopted, descriptors follow, and
 * SYNCED says that everything alive is here.
 * Thread: the front loop's; the event functions run on the threads of those who call them.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/log.h"
#include "consumer/ctf_guard.h"
#include "consumer/repair.h"
#include "relayd/conn_speakers.h"
#include "relayd/live.h"
#include "relayd/relay.h"
#include "relayd/setup_options.h"
#include "relayd/status.h"

/* ---- events from other threads ---- */

enum event {
	EVENT_ROOM,
	EVENT_MATCH,
	EVENT_DRAIN,
	EVENT_INBOX_FREED,
	EVENT_STREAM_CLOSED,
	EVENT_CONNECTION_CLOSED,
	EVENT_CHUNK,
	EVENT_FINISHED,
	EVENT_UNVIEWED,
	EVENT_STOPPED,
	EVENT_HOLD,
	EVENT_RELEASE,
	EVENT_COMPACTED,
};

struct event_message {
	struct mpsc_node node;
	enum event event;
	struct state_ref ref;
	uint64_t key;
	int fd;
	int result;
	struct worker_chunk chunk; /* CHUNK */
	char text[sizeof(((struct link_message *)0)->text)];
};

static void post(struct relay *r, const struct event_message *event)
{
	struct event_message *m = malloc(sizeof(*m));

	if (!m) {
		log_error("no-memory", "no memory for a message between threads");
		abort();
	}
	*m = *event;
	if (mpsc_push(&r->events, &m->node))
		uv_async_send(&r->events_wake);
}

static void event_room(void *ctx, struct state_ref source)
{
	post(ctx, &(struct event_message){.event = EVENT_ROOM, .ref = source});
}

static void event_match(void *ctx, struct state_ref source, const char *host)
{
	struct event_message m = {.event = EVENT_MATCH, .ref = source};

	strncpy(m.text, host, sizeof(m.text) - 1);
	post(ctx, &m);
}

static void event_drain(void *ctx, struct state_ref source)
{
	post(ctx, &(struct event_message){.event = EVENT_DRAIN, .ref = source});
}

static void event_inbox_freed(void *ctx)
{
	post(ctx, &(struct event_message){.event = EVENT_INBOX_FREED});
}

static void event_stream_closed(void *ctx, struct state_ref stream)
{
	post(ctx, &(struct event_message){.event = EVENT_STREAM_CLOSED, .ref = stream});
}

static void event_connection_closed(void *ctx, struct state_ref conversation)
{
	post(ctx, &(struct event_message){.event = EVENT_CONNECTION_CLOSED, .ref = conversation});
}

static void event_chunk(void *ctx, const struct worker_chunk *chunk)
{
	post(ctx, &(struct event_message){.event = EVENT_CHUNK, .chunk = *chunk});
}

static void event_finished(void *ctx, struct state_ref source)
{
	post(ctx, &(struct event_message){.event = EVENT_FINISHED, .ref = source});
}

static void event_stopped(void *ctx, struct worker *worker)
{
	(void)worker;
	post(ctx, &(struct event_message){.event = EVENT_STOPPED});
}

static const struct worker_events worker_events = {
	.room = event_room,
	.match = event_match,
	.drain = event_drain,
	.inbox_freed = event_inbox_freed,
	.stream_closed = event_stream_closed,
	.connection_closed = event_connection_closed,
	.chunk = event_chunk,
	.finished = event_finished,
	.stopped = event_stopped,
};

static void event_hold(void *ctx, uint64_t key, const char *path, int fd)
{
	struct event_message m = {.event = EVENT_HOLD, .key = key, .fd = dup(fd)};

	strncpy(m.text, path, sizeof(m.text) - 1);
	post(ctx, &m);
}

static void event_release(void *ctx, uint64_t key)
{
	post(ctx, &(struct event_message){.event = EVENT_RELEASE, .key = key});
}

static void event_compacted(void *ctx, const char *path, int result)
{
	struct event_message m = {.event = EVENT_COMPACTED, .result = result};

	strncpy(m.text, path, sizeof(m.text) - 1);
	post(ctx, &m);
}

static const struct compactor_events compactor_events = {
	.hold = event_hold,
	.release = event_release,
	.done = event_compacted,
};

static void on_chunk(struct relay *r, const struct worker_chunk *c)
{
	struct source_slot *s = state_source(&r->st, c->source);
	struct link_message m = {.type = LINK_CHUNK,
				 .ref = c->source,
				 .chunk = {.source_number = c->source_number,
					   .bytes = c->bytes,
					   .lost = c->lost,
					   .start_ns = c->start_ns,
					   .end_ns = c->end_ns,
					   .number = c->number,
					   .complete = c->complete,
					   .deleted = c->deleted,
					   .sparse = c->sparse,
					   .protocol = s ? s->protocol : PROTOCOL_UNKNOWN}};

	strncpy(m.text, c->path, sizeof(m.text) - 1);
	link_send(r, &m, -1);
}

static void on_room(struct relay *r, struct state_ref ref)
{
	struct source_slot *s = state_source(&r->st, ref);
	struct conn *c = s ? conn_of_source(r, s) : NULL;

	if (s && s->protocol == PROTOCOL_LTTNG)
		conn_lttng_look(r);
	else if (c)
		conn_turn(c);
}

static void end_loop(struct relay *r)
{
	ctf_guard_stop(r->guard);
	r->guard = NULL;
	if (r->compactor)
		compactor_stop(r->compactor);
	r->compactor = NULL;
	if (r->live)
		live_stop(r->live);
	r->live = NULL;
	link_send(r, &(struct link_message){.type = LINK_STOPPED}, -1);
	link_flush(r);
	uv_stop(&r->loop);
}

static void on_event(struct mpsc_node *node, void *arg)
{
	struct event_message *m = caa_container_of(node, struct event_message, node);
	struct relay *r = arg;
	struct link_message out = {.ref = m->ref, .error = m->result, .chunk = {.key = m->key}};

	memcpy(out.text, m->text, sizeof(out.text));
	switch (m->event) {
	case EVENT_ROOM:
		on_room(r, m->ref);
		break;
	case EVENT_MATCH:
		out.type = LINK_MATCH;
		link_send(r, &out, -1);
		break;
	case EVENT_DRAIN:
		source_front_linger_over(r, m->ref);
		break;
	case EVENT_INBOX_FREED:
		shared_run(r);
		break;
	case EVENT_STREAM_CLOSED:
		out.type = LINK_DONE;
		out.kind = LINK_DONE_STREAM;
		link_send(r, &out, -1);
		break;
	case EVENT_CONNECTION_CLOSED:
		out.type = LINK_DONE;
		out.kind = LINK_DONE_CONVERSATION;
		link_send(r, &out, -1);
		break;
	case EVENT_CHUNK:
		on_chunk(r, &m->chunk);
		break;
	case EVENT_FINISHED:
		source_front_finished(r, m->ref);
		break;
	case EVENT_UNVIEWED:
		source_front_released(r, m->ref);
		break;
	case EVENT_STOPPED:
		if (++r->workers_stopped == r->worker_count)
			end_loop(r);
		break;
	case EVENT_HOLD:
		out.type = LINK_HOLD;
		link_send(r, &out, m->fd);
		if (m->fd >= 0)
			close(m->fd);
		break;
	case EVENT_RELEASE:
		out.type = LINK_RELEASE;
		link_send(r, &out, -1);
		break;
	case EVENT_COMPACTED:
		out.type = LINK_COMPACTED;
		link_send(r, &out, -1);
		break;
	}
	free(m);
}

static void on_events(uv_async_t *wake)
{
	struct relay *r = wake->data;

	mpsc_drain(&r->events, on_event, r);
}

/* ---- start ---- */

static void event_viewer_closed(void *ctx, struct state_ref conversation)
{
	post(ctx, &(struct event_message){.event = EVENT_CONNECTION_CLOSED, .ref = conversation});
}

static void event_unviewed(void *ctx, struct state_ref source)
{
	post(ctx, &(struct event_message){.event = EVENT_UNVIEWED, .ref = source});
}

static int start_live(struct relay *r)
{
	return live_start(
		&(struct live_config){.st = &r->st,
				      .output_fd = r->output_fd,
				      .counters = r->counters,
				      .handshake_ms = (uint32_t)r->limits.handshake_timeout_ms,
				      .patience_ms = (uint32_t)r->lttng_limits.stall_timeout_ms,
				      .closed = event_viewer_closed,
				      .released = event_unviewed,
				      .ctx = r},
		&r->live);
}

/* Of each worker. sessiond-lite has raised the limit and counts with as many. */
static unsigned open_files(const struct relay *r)
{
	struct rlimit limit = {.rlim_cur = 1024};

	(void)getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur > UINT32_MAX)
		limit.rlim_cur = UINT32_MAX;
	return options_open_files(r->options, (uint32_t)limit.rlim_cur) / r->worker_count;
}

static int start_workers(struct relay *r, const int *pipes)
{
	r->workers = calloc(r->worker_count, sizeof(struct worker *));
	r->assigned = calloc(r->worker_count, sizeof(*r->assigned));
	if (!r->workers || !r->assigned)
		return -ENOMEM;
	for (unsigned i = 0; i < r->worker_count; i++) {
		struct worker_config config = {
			.state = &r->st,
			.index = i,
			.pipe_read = pipes[2 * i],
			.pipe_write = pipes[2 * i + 1],
			.output_fd = r->output_fd,
			.udp_linger_ms = setup_udp_linger_ms(r->options),
			.stall_timeout_ms = (uint64_t)r->limits.stall_timeout_ms,
			.max_stall_ms = r->options->lttng.max_stall_ms,
			.lttng_group = r->options->lttng.group == OPTION_GROUP_SESSION
					       ? CTF_GROUP_SESSION
					       : CTF_GROUP_HOST,
			.lttng_open_files = open_files(r) + 2,
			.events = &worker_events,
			.ctx = r};
		int err = worker_start(&config, &r->workers[i]);

		if (err < 0)
			return err;
	}
	return ctf_guard_start(r->workers, r->worker_count, r->options->lttng.max_stall_ms,
			       &r->guard);
}

static void adopt_sources(struct relay *r)
{
	uint32_t high = atomic_load(&r->st.header->high_source);

	for (uint32_t i = 0; i < high; i++)
		if (atomic_load(&r->st.source[i].id))
			source_front_adopt(r, &r->st.source[i]);
}

#define SETUP_FDS 5 /* before the pipes */

int relay_setup(struct relay *r, const struct link_message *m, const int *fds, unsigned n_fds)
{
	int err;

	if (m->version != LINK_VERSION || !m->workers || m->workers > STATE_WORKERS_MAX ||
	    n_fds != SETUP_FDS + 2 * m->workers)
		return -EPROTO;
	r->worker_count = m->workers;
	err = state_attach(fds[0], &r->st);
	if (err < 0)
		return err;
	err = setup_options(r, fds[1]);
	if (err < 0)
		return err;
	r->output_fd = fds[3];
	r->lock_fd = fds[4];
	r->counters = &r->st.counters[r->worker_count];
	if (atomic_load(&r->st.header->generation) > 1)
		counters_add(r->counters, COUNTER_recoveries, 1);
	r->conn_at = calloc(r->st.header->capacity.conversations, sizeof(struct conn *));
	r->adopted = calloc(r->st.header->capacity.sources, sizeof(*r->adopted));
	r->checked = calloc(r->st.header->capacity.streams, sizeof(*r->checked));
	if (!r->conn_at || !r->adopted || !r->checked || conn_speakers_init(r) < 0)
		return -ENOMEM;
	mpsc_init(&r->events);
	r->events_wake.data = r;
	uv_async_init(&r->loop, &r->events_wake, on_events);
	err = stream_table_new(&r->streams);
	if (err == 0)
		err = shared_new(r);
	if (err == 0)
		err = start_workers(r, fds + SETUP_FDS);
	if (err == 0)
		err = compactor_start(r->output_fd, &compactor_events, r, &r->compactor);
	if (err == 0)
		err = start_live(r);
	if (err == 0)
		err = status_start(r, fds[2]);
	if (err < 0)
		return err;
	adopt_sources(r);
	/* What a pair of daemons left that died together. Ends with the process, if need be. */
	return repair_start(r->output_fd, r->st.header->started_ns, event_chunk, r, &r->repair);
}

void relay_synced(struct relay *r)
{
	if (r->synced)
		return;
	r->synced = true;
	shared_resume_inbox(r);
	shared_run(r);
	source_front_resume(r);
	conn_follow_sessions(r);
	link_send(r, &(struct link_message){.type = LINK_READY}, -1);
}

void relay_stop(struct relay *r)
{
	if (r->stopping)
		return;
	r->stopping = true;
	if (!r->worker_count) {
		uv_stop(&r->loop);
		return;
	}
	for (unsigned i = 0; i < r->worker_count; i++)
		worker_stop(r->workers[i]);
}
