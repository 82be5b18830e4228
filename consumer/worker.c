/* SPDX-License-Identifier: MIT */
/*
 * worker.c - the thread and loop of a consumer worker, and what is said to it.
 *
 * Other threads speak to a worker by its queue and one uv_async_t. Everything else happens on its
 * own thread.
 */
#include "consumer/worker.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include <urcu.h>

#include "consumer/ctf_internal.h"
#include "consumer/internal.h"

#define DUE_MS 2 /* for orders of LTTng sources in a round of the loop */

enum order {
	ORDER_LOOK,
	ORDER_LOOK_ALL,
	ORDER_STREAM,
	ORDER_CONNECTION,
	ORDER_INBOX,
	ORDER_KEPT,
	ORDER_STOP
};

struct order_message {
	struct mpsc_node node;
	enum order order;
	struct state_ref ref;
	int fd;                            /* STREAM */
	uint32_t number;                   /* INBOX: which; KEPT: chunk */
	struct ctf_connection *connection; /* CONNECTION */
};

/* ---- [any] ---- */

static void post(struct worker *w, const struct order_message *order)
{
	struct order_message *m = malloc(sizeof(*m));

	if (!m) { /* nothing can go on without: the next relayd starts from the state memory */
		log_error("no-memory", "no memory for a message between threads");
		abort();
	}
	*m = *order;
	if (mpsc_push(&w->queue, &m->node))
		uv_async_send(&w->wake);
}

void worker_look(struct worker *w, struct state_ref source)
{
	post(w, &(struct order_message){.order = ORDER_LOOK, .ref = source});
}

void worker_look_all(struct worker *w)
{
	post(w, &(struct order_message){.order = ORDER_LOOK_ALL});
}

void worker_stream(struct worker *w, struct state_ref stream, int fd)
{
	post(w, &(struct order_message){.order = ORDER_STREAM, .ref = stream, .fd = fd});
}

void worker_connection(struct worker *w, struct state_ref conversation, int fd)
{
	struct ctf_connection *c = ctf_connection_new(w, conversation, fd);

	if (c)
		post(w, &(struct order_message){.order = ORDER_CONNECTION, .connection = c});
}

void worker_inbox(struct worker *w, unsigned inbox)
{
	post(w, &(struct order_message){.order = ORDER_INBOX, .number = inbox});
}

void worker_chunk_kept(struct worker *w, struct state_ref source, uint32_t number)
{
	post(w, &(struct order_message){.order = ORDER_KEPT, .ref = source, .number = number});
}

void worker_stop(struct worker *w)
{
	post(w, &(struct order_message){.order = ORDER_STOP});
}

uint32_t worker_load(const struct worker *w)
{
	return atomic_load(&w->open_streams);
}

int64_t worker_busy_since_ms(const struct worker *w)
{
	return atomic_load(&w->busy_since_ms);
}

bool worker_hangs(const struct worker *w)
{
	return atomic_load_explicit(&w->hangs, memory_order_relaxed);
}

/* ---- the worker's thread ---- */

static struct consumer_stream *find_stream(struct worker *w, struct state_ref ref)
{
	struct stream_slot *slot = state_stream(w->st, ref);
	struct consumer_stream *t;

	if (!slot || !consumer_source_get(w, slot->source))
		return NULL;
	t = w->stream_at[ref.index];
	return t && t->ref.id == ref.id ? t : NULL;
}

/* Complete the move that an earlier relayd left in this worker's slot. */
static void recover_move(struct worker *w)
{
	const struct move_half *m = move_now(w->slot);
	struct consumer_stream *t;

	if (m->kind == MOVE_IDLE)
		return;
	if (m->kind == MOVE_PACKET || m->kind == MOVE_CUT) {
		ctf_packet_recover(w);
		return;
	}
	t = find_stream(w, m->stream);
	if (!t) {
		/* The last move before its end found nothing, and stayed as it was. Else it
		 * cannot happen: sessiond-lite keeps slots until they are done. */
		uint64_t id = m->stream.id, lost = move_abandon(w);

		if (lost)
			log_error("move-without-stream",
				  "%llu bytes of stream %llu were found, the stream was not",
				  (unsigned long long)lost, (unsigned long long)id);
	} else if (m->kind == MOVE_STORE || m->kind == MOVE_DISCARD) {
		move_recover(t);
	} else {
		datagrams_recover(t);
	}
}

static void look_all(struct worker *w)
{
	struct consumer_source *s, *next;
	struct ctf_source *c, *after;

	cds_list_for_each_entry_safe (s, next, &w->sources, node)
		consumer_source_run(s);
	cds_list_for_each_entry_safe (c, after, &w->ctf_sources, node)
		ctf_source_run(c);
}

static void look(struct worker *w, struct state_ref ref)
{
	struct consumer_source *s = consumer_source_get(w, ref);
	struct ctf_source *c = s ? NULL : ctf_source_get(w, ref);

	if (s)
		consumer_source_run(s);
	if (c && !c->due) {
		c->due = true;
		cds_list_add_tail(&c->due_node, &w->ctf_due);
	}
}

/* Sources with orders, for a moment: what control says of many sessions (each with directories and
 * files to be made) must not keep packets waiting. The rest comes behind a round of the loop. */
static void run_due(struct worker *w)
{
	int64_t begin = ctf_now_ms();

	while (!cds_list_empty(&w->ctf_due)) {
		struct ctf_source *c =
			cds_list_first_entry(&w->ctf_due, struct ctf_source, due_node);

		c->due = false;
		cds_list_del(&c->due_node);
		ctf_source_run(c);
		if (ctf_now_ms() - begin >= DUE_MS)
			break;
	}
	if (!cds_list_empty(&w->ctf_due))
		uv_async_send(&w->wake);
}

static void on_kept(struct worker *w, const struct order_message *m)
{
	struct consumer_source *s = consumer_source_get(w, m->ref);
	struct ctf_source *c = s ? NULL : ctf_source_get(w, m->ref);

	if (s) {
		announce_kept(s, m->number);
		consumer_source_run(s);
	}
	if (c) {
		ctf_announce_kept(c, m->number);
		ctf_source_run(c);
	}
}

static void on_inbox(struct worker *w, unsigned inbox)
{
	const struct inbox_half *in = inbox_now(&w->st->inbox[inbox]);
	struct consumer_stream *t;

	if (in->state != INBOX_ASSIGNED)
		return; /* stored before a kill */
	t = find_stream(w, in->stream);
	if (t)
		move_inbox(t, inbox);
	else
		datagrams_refuse(w, inbox);
}

static void on_stream(struct worker *w, const struct order_message *m)
{
	struct consumer_stream *t = find_stream(w, m->ref);
	struct consumer_source *s;

	if (!t) {
		close(m->fd);
		return;
	}
	s = t->source;
	consumer_stream_attach(t, m->fd);
	consumer_source_run(s);
}

static void take(struct mpsc_node *node, void *arg)
{
	struct order_message *m = caa_container_of(node, struct order_message, node);
	struct worker *w = arg;

	switch (m->order) {
	case ORDER_LOOK:
		look(w, m->ref);
		break;
	case ORDER_LOOK_ALL:
		look_all(w);
		break;
	case ORDER_STREAM:
		on_stream(w, m);
		break;
	case ORDER_CONNECTION:
		ctf_connection_attach(m->connection);
		break;
	case ORDER_INBOX:
		on_inbox(w, m->number);
		break;
	case ORDER_KEPT:
		on_kept(w, m);
		break;
	case ORDER_STOP:
		w->stopping = true;
		look_all(w);
		break;
	}
	free(m);
}

static void stop_when_done(struct worker *w)
{
	if (!w->stopping || w->stopped || !cds_list_empty(&w->sources) ||
	    !cds_list_empty(&w->ctf_sources))
		return;
	w->stopped = true;
	w->config.events->stopped(w->config.ctx, w);
	uv_close((uv_handle_t *)&w->tick, NULL);
	uv_close((uv_handle_t *)&w->rest, NULL);
	uv_close((uv_handle_t *)&w->wake, NULL);
}

static void on_wake(uv_async_t *wake)
{
	struct worker *w = wake->data;

	worker_turn_begin(w);
	mpsc_drain(&w->queue, take, w);
	run_due(w);
	stop_when_done(w);
	worker_turn_end(w);
}

/* Everything that was ready has had its turn. */
static void on_rest(uv_prepare_t *rest)
{
	struct worker *w = rest->data;

	atomic_store_explicit(&w->round_since_ms, 0, memory_order_relaxed);
}

static void on_tick(uv_timer_t *tick)
{
	struct worker *w = tick->data;
	struct consumer_source *s, *next;
	struct ctf_source *c, *after;

	worker_turn_begin(w);
	cds_list_for_each_entry_safe (s, next, &w->sources, node)
		consumer_source_tick(s);
	cds_list_for_each_entry_safe (c, after, &w->ctf_sources, node)
		ctf_source_tick(c);
	stop_when_done(w);
	worker_turn_end(w);
}

static void thread_main(void *arg)
{
	struct worker *w = arg;

	rcu_register_thread();
	atomic_store(&w->thread_id, (int)gettid());
	worker_turn_begin(w);
	recover_move(w); /* before anything that was handed over meanwhile */
	worker_turn_end(w);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	rcu_unregister_thread();
}

/* ---- life ---- */

static void free_parts(struct worker *w)
{
	if (w->null_fd >= 0)
		close(w->null_fd);
	ctf_arrivals_free(w->ctf_arrivals);
	free(w->ctf_source_at);
	free(w->ctf_stream_at);
	free(w->source_at);
	free(w->stream_at);
	free(w->finished);
	free(w->copy);
	uv_mutex_destroy(&w->sockets);
	free(w);
}

static int init_loop(struct worker *w)
{
	int r = uv_loop_init(&w->loop);

	if (r < 0)
		return r;
	w->wake.data = w->tick.data = w->rest.data = w;
	uv_async_init(&w->loop, &w->wake, on_wake);
	uv_timer_init(&w->loop, &w->tick);
	uv_timer_start(&w->tick, on_tick, WORKER_TICK_MS, WORKER_TICK_MS);
	uv_prepare_init(&w->loop, &w->rest);
	uv_prepare_start(&w->rest, on_rest);
	return 0;
}

int worker_start(const struct worker_config *config, struct worker **ret)
{
	const struct state_capacity *capacity = &config->state->header->capacity;
	struct worker *w = calloc(1, sizeof(*w));
	int r = -ENOMEM;

	if (!w)
		return -ENOMEM;
	r = uv_mutex_init(&w->sockets);
	if (r < 0) {
		free(w);
		return r;
	}
	r = -ENOMEM;
	CDS_INIT_LIST_HEAD(&w->ctf_connections);
	w->config = *config;
	w->st = config->state;
	w->slot = &config->state->worker[config->index];
	w->counters = &config->state->counters[config->index];
	w->null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	w->ctf_source_at = calloc(capacity->sources, sizeof(struct ctf_source *));
	w->ctf_stream_at = calloc(capacity->streams, sizeof(struct ctf_stream *));
	w->source_at = calloc(capacity->sources, sizeof(struct consumer_source *));
	w->stream_at = calloc(capacity->streams, sizeof(struct consumer_stream *));
	w->finished = calloc(capacity->sources, sizeof(*w->finished));
	w->copy = malloc(WORKER_COPY);
	CDS_INIT_LIST_HEAD(&w->sources);
	CDS_INIT_LIST_HEAD(&w->ctf_sources);
	CDS_INIT_LIST_HEAD(&w->ctf_due);
	CDS_INIT_LIST_HEAD(&w->ctf_files);
	mpsc_init(&w->queue);
	if (w->null_fd < 0 || !w->source_at || !w->stream_at || !w->finished || !w->copy ||
	    !w->ctf_source_at || !w->ctf_stream_at || ctf_arrivals_new(w->st, &w->ctf_arrivals) < 0)
		goto fail;
	r = fcntl(config->pipe_write, F_GETPIPE_SZ);
	w->pipe_size = r > 0 ? (size_t)r : 65536;
	r = trace_dat_layout_probe(config->output_fd, &w->max_file_size);
	if (r < 0)
		goto fail;
	r = state_touch(w->st, w->slot, sizeof(*w->slot));
	if (r < 0)
		goto fail;
	r = init_loop(w);
	if (r < 0)
		goto fail;
	ctf_packet_look_back(w);
	r = uv_thread_create(&w->thread, thread_main, w);
	if (r < 0)
		abort(); /* a start that cannot have threads: sessiond-lite tries again */
	*ret = w;
	return 0;
fail:
	free_parts(w);
	return r;
}

static void throw_away(struct mpsc_node *node, void *arg)
{
	struct order_message *m = caa_container_of(node, struct order_message, node);

	(void)arg;
	if (m->order == ORDER_STREAM)
		close(m->fd);
	if (m->order == ORDER_CONNECTION)
		ctf_connection_free(m->connection);
	free(m);
}

void worker_free(struct worker *w)
{
	if (!w)
		return;
	uv_thread_join(&w->thread);
	mpsc_drain(&w->queue, throw_away, NULL); /* what came behind its end */
	uv_loop_close(&w->loop);
	close(w->config.pipe_read);
	close(w->config.pipe_write);
	free_parts(w);
}
