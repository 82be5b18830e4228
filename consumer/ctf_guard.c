/* SPDX-License-Identifier: MIT */
/*
 * ctf_guard.c - the thread that looks after workers that hang; see ctf_guard.h.
 *
 *   a worker is busy for a while ──▶ is it blocked, or does it run? do bytes wait on its sockets?
 *   they wait for nearly max-stall ──▶ the connection is held: read and discarded, again and again
 *   the worker has joined ──▶ it reads the connection itself
 *
 * What counts is the time in which the worker was found blocked: one that runs, or waits for a
 * processor as we do, is not helped by discarding anything.
 *
 * Nothing here may wait: receives do not block, and the lock is never held over the disk.
 */
#include "consumer/ctf_guard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/log_limit.h"
#include "consumer/ctf_internal.h"

#define SCRATCH       (256u << 10) /* bytes received at once */
#define PASS_BUDGET   (32u << 20)  /* bytes discarded of one worker under one hold of its lock */
#define SOCKET_BUDGET (1u << 20)   /* of one connection in it */
#define HELD_TICK_MS  10           /* between two looks while a connection is held */
#define TICKS_A_STALL 8            /* looks in max-stall while a worker is busy */
#define TICK_MIN_MS   5

struct ctf_guard {
	struct worker **workers;
	unsigned n;
	int64_t max_stall_ms, tick_ms;
	uint8_t *scratch;
	uv_thread_t thread;
	uv_mutex_t mutex; /* of stopping */
	uv_cond_t wake;
	bool stopping;
};

/* What is the same for all connections that are looked at now. */
struct look {
	const struct ctf_guard *guard;
	bool slow; /* the worker is busy for a while */
};

static bool bytes_wait(const struct ctf_connection *c)
{
	int n = 0;

	return ioctl(c->fd, FIONREAD, &n) == 0 && n > 0;
}

/* Whether the connection has waited for so long that it must be read now. */
static bool overdue(struct ctf_connection *c, const struct look *l)
{
	if (!l->slow || c->closing)
		return false;
	if (!bytes_wait(c)) {
		c->unread_since = 0;
		return false;
	}
	if (!c->unread_since)
		c->unread_since = 1 + c->worker->blocked_ms;
	/* Two looks before the time is over: the next one comes later. */
	return 1 + c->worker->blocked_ms - c->unread_since >=
	       l->guard->max_stall_ms - 2 * l->guard->tick_ms;
}

/* Whether its thread waits for something. In the middle of a turn that can only be the disk. */
static bool is_blocked(const struct worker *w)
{
	char path[48], text[160], *end;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", atomic_load(&w->thread_id));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return true; /* no /proc: the clock alone decides */
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	end = strrchr(text, ')'); /* behind the name: a space, and the state */
	return !end || end[1] != ' ' || end[2] != 'R';
}

/* Add what passed since the last look, if it is blocked. @since: when its round began; 0: none. */
static void look_at_worker(const struct ctf_guard *g, struct worker *w, int64_t since,
			   int64_t passed)
{
	if (since != w->blocked_round) {
		w->blocked_round = since;
		w->blocked_round_ms = 0;
	}
	if (since && is_blocked(w)) {
		w->blocked_ms += passed;
		w->blocked_round_ms += passed;
	}
	atomic_store_explicit(&w->hangs, w->blocked_round_ms >= g->max_stall_ms / 2,
			      memory_order_relaxed);
}

static void hold(struct ctf_connection *c)
{
	static struct log_limit limit = LOG_LIMIT_USUAL;
	uint32_t source = atomic_load(&c->slot->source);

	log_limited(&limit, LOG_LEVEL_ERROR, NULL, "stall",
		    "source %llu: the disk is too slow: packets are discarded and counted, so that "
		    "its host can go on (lttng.max-stall)",
		    (unsigned long long)(source ? c->worker->st->source[source - 1].number : 0));
	counters_add(c->worker->counters, COUNTER_connections_held, 1);
	ctf_hold_start(c);
}

/* True: there is a connection that is held. Served ones go to the list's end. */
static bool look(struct worker *w, const struct look *l)
{
	struct ctf_connection *c, *next;
	CDS_LIST_HEAD(served);
	size_t budget = PASS_BUDGET;
	bool held = false;

	uv_mutex_lock(&w->sockets);
	cds_list_for_each_entry_safe (c, next, &w->ctf_connections, all) {
		size_t n = 0;

		if (!c->held && overdue(c, l))
			hold(c);
		if (!c->held)
			continue;
		held = true;
		if (budget)
			n = ctf_hold_discard(c, l->guard->scratch, SCRATCH, SOCKET_BUDGET);
		budget -= n < budget ? n : budget;
		if (n) {
			cds_list_del(&c->all);
			cds_list_add_tail(&c->all, &served);
		}
	}
	cds_list_for_each_entry_safe (c, next, &served, all) {
		cds_list_del(&c->all);
		cds_list_add_tail(&c->all, &w->ctf_connections);
	}
	uv_mutex_unlock(&w->sockets);
	return held;
}

/* True: the time is over; false: the guard stops. */
static bool rest(struct ctf_guard *g, int64_t ms)
{
	bool stopping;

	uv_mutex_lock(&g->mutex);
	if (!g->stopping)
		(void)uv_cond_timedwait(&g->wake, &g->mutex, (uint64_t)ms * 1000000);
	stopping = g->stopping;
	uv_mutex_unlock(&g->mutex);
	return !stopping;
}

static void thread_main(void *arg)
{
	struct ctf_guard *g = arg;
	int64_t tick = g->tick_ms, last = ctf_now_ms();
	bool held = false;

	while (rest(g, held && tick > HELD_TICK_MS ? HELD_TICK_MS : tick)) {
		int64_t now = ctf_now_ms();
		int64_t passed = now - last < tick ? now - last : tick; /* we may be late */
		struct look l = {.guard = g};
		bool was_held = held;

		last = now;
		held = false;
		for (unsigned i = 0; i < g->n; i++) {
			int64_t since = atomic_load_explicit(&g->workers[i]->round_since_ms,
							     memory_order_relaxed);

			l.slow = since && now - since >= tick;
			look_at_worker(g, g->workers[i], l.slow ? since : 0, passed);
			if (l.slow || was_held)
				held = look(g->workers[i], &l) || held;
		}
	}
}

int ctf_guard_start(struct worker **workers, unsigned n, uint64_t max_stall_ms,
		    struct ctf_guard **ret)
{
	struct ctf_guard *g = calloc(1, sizeof(*g));
	int r = -ENOMEM;

	if (!g)
		return -ENOMEM;
	g->workers = workers;
	g->n = n;
	g->max_stall_ms = (int64_t)max_stall_ms;
	g->tick_ms = g->max_stall_ms / TICKS_A_STALL;
	if (g->tick_ms < TICK_MIN_MS)
		g->tick_ms = TICK_MIN_MS;
	g->scratch = malloc(SCRATCH);
	if (!g->scratch)
		goto fail;
	r = uv_mutex_init(&g->mutex);
	if (r < 0)
		goto fail;
	r = uv_cond_init(&g->wake);
	if (r < 0)
		goto fail_mutex;
	r = uv_thread_create(&g->thread, thread_main, g);
	if (r < 0)
		goto fail_cond;
	*ret = g;
	return 0;
fail_cond:
	uv_cond_destroy(&g->wake);
fail_mutex:
	uv_mutex_destroy(&g->mutex);
fail:
	free(g->scratch);
	free(g);
	return r;
}

void ctf_guard_stop(struct ctf_guard *g)
{
	if (!g)
		return;
	uv_mutex_lock(&g->mutex);
	g->stopping = true;
	uv_cond_signal(&g->wake);
	uv_mutex_unlock(&g->mutex);
	uv_thread_join(&g->thread);
	uv_cond_destroy(&g->wake);
	uv_mutex_destroy(&g->mutex);
	free(g->scratch);
	free(g);
}
