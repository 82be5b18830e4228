/* SPDX-License-Identifier: MIT */
/*
 * catalog.c - chunks into the database, orders out of it.
 *
 * Which chunks wait for compaction is asked of the database whenever an order might be given, so
 * memory holds the few that are under way and no more. relayd compacts one file at a time; a second
 * order is there so that it need not wait for the next.
 */
#include "sessiond-lite/catalog.h"

#include <errno.h>
#include <search.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "sessiond-lite/chunk_rows.h"
#include "sessiond-lite/clock.h"

#define UNDER_WAY  2u
#define TRY_MIN_MS 1000
#define TRY_MAX_MS 60000
#define FAILED_MS                                                                      \
	600000 /* at most, for a file that cannot be compacted for a reason of its own \
		*/
#define ANSWER_MS   3600000 /* an order that got none is given again */
#define DATABASE_MS 5000    /* pause after the database failed */

/* What a job changed, as it stands then: jobs end in the order they were done. */
struct effect {
	char session[CHUNK_PATH];
	struct chunk_total total;
};

struct order {
	char path[CHUNK_PATH]; /* "": free */
	int64_t given_ms;
	/* the answer, on its way into the database */
	bool answered;
	int error;
	struct effect effect;
	struct catalog *catalog;
	struct database_job job;
};

struct catalog {
	struct catalog_config config;
	uv_timer_t timer;
	bool stopped;
	bool relayd; /* there is one that takes orders */
	struct order order[UNDER_WAY];
	/* the question for more, in the database thread */
	bool asking, ask_again;
	struct database_job ask;
	struct chunk_order found[2 * UNDER_WAY];
	unsigned n_found;
	int64_t now_ms, next_ms;
	void *totals; /* of struct total */
};

/* A row of the table in memory, which is a tree of tsearch(3) by name. */
struct total {
	char session[CHUNK_PATH];
	struct chunk_total total;
};

static void ask(struct catalog *c);

/* ---- totals ---- */

static int by_session(const void *a, const void *b)
{
	return strcmp(((const struct total *)a)->session, ((const struct total *)b)->session);
}

static struct total *totals_find(const struct catalog *c, const char *session)
{
	struct total key, **found;

	snprintf(key.session, sizeof(key.session), "%s", session);
	found = tfind(&key, &c->totals, by_session);
	return found ? *found : NULL;
}

/* 0 or -ENOMEM. */
static int totals_set(struct catalog *c, const char *session, const struct chunk_total *total)
{
	struct total *t = totals_find(c, session);

	if (!t) {
		t = calloc(1, sizeof(*t));
		if (!t)
			return -ENOMEM;
		snprintf(t->session, sizeof(t->session), "%s", session);
		if (!tsearch(t, &c->totals, by_session)) {
			free(t);
			return -ENOMEM;
		}
	}
	t->total = *total;
	return 0;
}

static int totals_load(void *context, const char *session, const struct chunk_total *total)
{
	return totals_set(context, session, total);
}

void catalog_total(const struct catalog *c, const char *session, struct chunk_total *ret)
{
	const struct total *t = totals_find(c, session);

	*ret = t ? t->total : (struct chunk_total){0};
}

void catalog_forget(struct catalog *c, const char *session)
{
	struct total *t = totals_find(c, session);

	if (!t)
		return;
	tdelete(t, &c->totals, by_session);
	free(t);
}

static int effect_read(sqlite3 *db, const char *path, struct effect *ret)
{
	chunk_rows_session_of(path, ret->session, sizeof(ret->session));
	return chunk_rows_total(db, ret->session, &ret->total);
}

static void effect_apply(struct catalog *c, const struct effect *e)
{
	/* Without memory the next change tells it. */
	(void)totals_set(c, e->session, &e->total);
}

/* ---- orders ---- */

static struct order *under_way(struct catalog *c, const char *path)
{
	for (unsigned i = 0; i < UNDER_WAY; i++)
		if (*c->order[i].path && strcmp(c->order[i].path, path) == 0)
			return &c->order[i];
	return NULL;
}

static struct order *free_order(struct catalog *c)
{
	for (unsigned i = 0; i < UNDER_WAY; i++)
		if (!*c->order[i].path)
			return &c->order[i];
	return NULL;
}

static void give(struct catalog *c, struct order *o)
{
	o->given_ms = clock_monotonic_ms();
	c->config.hooks.compact(c->config.hooks.context, o->path);
}

static void on_timer(uv_timer_t *timer)
{
	struct catalog *c = timer->data;
	int64_t now = clock_monotonic_ms();

	for (unsigned i = 0; i < UNDER_WAY; i++) {
		struct order *o = &c->order[i];

		if (*o->path && !o->answered && now - o->given_ms >= ANSWER_MS)
			give(c, o);
	}
	ask(c);
}

/* Look again when the next one's time comes, and now and then at orders without an answer. */
static void look_again(struct catalog *c, int64_t delay_ms)
{
	if (delay_ms < 1)
		delay_ms = 1;
	if (delay_ms > ANSWER_MS)
		delay_ms = ANSWER_MS;
	uv_timer_start(&c->timer, on_timer, (uint64_t)delay_ms, 0);
}

static void on_asked(void *context, int error, const char *cause)
{
	struct catalog *c = context;
	struct order *o;

	(void)cause;
	c->asking = false;
	if (c->stopped || !c->relayd)
		return;
	if (error < 0) {
		look_again(c, DATABASE_MS);
		return;
	}
	for (unsigned i = 0; i < c->n_found && (o = free_order(c)); i++) {
		if (under_way(c, c->found[i].path))
			continue;
		snprintf(o->path, sizeof(o->path), "%s", c->found[i].path);
		o->answered = false;
		give(c, o);
	}
	if (c->ask_again)
		ask(c);
	else if (free_order(c))
		look_again(c,
			   c->next_ms == INT64_MAX ? ANSWER_MS : c->next_ms - clock_monotonic_ms());
	else
		look_again(c, ANSWER_MS); /* the answers ask */
}

static int find_pending(sqlite3 *db, void *context)
{
	struct catalog *c = context;

	c->n_found = 2 * UNDER_WAY;
	return chunk_rows_pending(db, c->now_ms, c->found, &c->n_found, &c->next_ms);
}

static void ask(struct catalog *c)
{
	if (c->stopped || !c->relayd)
		return;
	c->ask_again = c->asking;
	if (c->asking || !free_order(c))
		return;
	c->asking = true;
	c->now_ms = clock_monotonic_ms();
	c->ask = (struct database_job){.work = find_pending, .done = on_asked, .context = c};
	database_submit(c->config.database, &c->ask);
}

/* ---- answers ---- */

static int note_error(sqlite3 *db, const struct order *o)
{
	int64_t now = clock_monotonic_ms();

	switch (o->error) {
	case 0:
		return chunk_rows_compacted(db, o->path, CHUNK_COMPACT_DONE);
	case -EOPNOTSUPP:
		return chunk_rows_compacted(db, o->path, CHUNK_COMPACT_SPARSE);
	case -ENOENT:
		return chunk_rows_gone(db, o->path);
	case -EAGAIN:
		return chunk_rows_try_again(db, o->path, now, TRY_MIN_MS, TRY_MAX_MS);
	default:
		return chunk_rows_try_again(db, o->path, now, TRY_MIN_MS, FAILED_MS);
	}
}

static int note_answer(sqlite3 *db, void *context)
{
	struct order *o = context;
	int r = note_error(db, o);

	return r < 0 ? r : effect_read(db, o->path, &o->effect);
}

static void on_noted(void *context, int error, const char *cause)
{
	struct order *o = context;
	struct catalog *c = o->catalog;

	(void)cause;
	*o->path = '\0';
	if (error == 0)
		effect_apply(c, &o->effect);
	if (c->stopped)
		return;
	if (error < 0) /* it still stands as pending: done again, which does no harm */
		look_again(c, DATABASE_MS);
	else
		ask(c);
}

void catalog_compacted(struct catalog *c, const char *path, int error)
{
	static struct log_limit limit = LOG_LIMIT_USUAL;
	struct order *o = under_way(c, path);

	/* Not ordered by us: an earlier relayd's, finished by this one. */
	if (!o && (o = free_order(c)))
		snprintf(o->path, sizeof(o->path), "%s", path);
	if (!o || o->answered)
		return;
	if (error < 0 && error != -EAGAIN && error != -EOPNOTSUPP && error != -ENOENT)
		log_limited(&limit, LOG_LEVEL_WARNING, NULL, "compaction-failed",
			    "%s stays sparse for now: %s", path, strerror(-error));
	o->answered = true;
	o->error = error;
	o->job = (struct database_job){.work = note_answer, .done = on_noted, .context = o};
	database_submit(c->config.database, &o->job);
}

void catalog_relayd_ready(struct catalog *c)
{
	c->relayd = true;
	for (unsigned i = 0; i < UNDER_WAY; i++)
		if (*c->order[i].path && !c->order[i].answered)
			give(c, &c->order[i]);
	ask(c);
}

/* ---- chunks ---- */

struct keeping {
	struct database_job job;
	struct catalog *catalog;
	struct state_ref ref;
	struct link_chunk chunk;
	struct chunk_row row;
	struct effect effect;
};

static int keep(sqlite3 *db, void *context)
{
	struct keeping *k = context;
	int r = k->chunk.deleted ? chunk_rows_delete(db, &k->row) : chunk_rows_add(db, &k->row);

	return r < 0 ? r : effect_read(db, k->row.path, &k->effect);
}

static void on_kept(void *context, int error, const char *cause)
{
	static struct log_limit limit = LOG_LIMIT_USUAL;
	struct keeping *k = context;
	struct catalog *c = k->catalog;
	struct link_message m = {.type = LINK_CHUNK, .ref = k->ref, .chunk = k->chunk};

	if (error < 0) {
		/* Not answered, so relayd will say it again. */
		log_limited(&limit, LOG_LEVEL_ERROR, NULL, "chunk-not-kept",
			    "%s is not in the catalog yet, since %s cannot be written: %s",
			    k->row.path, database_path(c->config.database), cause);
	} else {
		effect_apply(c, &k->effect);
		snprintf(m.text, sizeof(m.text), "%s", k->row.path);
		if (!c->stopped)
			c->config.hooks.kept(c->config.hooks.context, &m);
		if (k->chunk.sparse && !k->chunk.deleted)
			ask(c);
	}
	free(k);
}

void catalog_chunk(struct catalog *c, const struct link_message *m)
{
	struct source_slot *source = state_source(c->config.st, m->ref);
	struct keeping *k = calloc(1, sizeof(*k));

	if (!k)
		return; /* relayd says it again */
	k->catalog = c;
	k->ref = m->ref;
	k->chunk = m->chunk;
	k->row = (struct chunk_row){.source = m->chunk.source_number,
				    .number = m->chunk.number,
				    .protocol = protocol_name((enum protocol)m->chunk.protocol),
				    .start_ns = m->chunk.start_ns,
				    .end_ns = m->chunk.deleted ? clock_realtime_ns()
							       : m->chunk.end_ns,
				    .bytes = m->chunk.bytes,
				    .lost = m->chunk.lost,
				    .complete = m->chunk.complete,
				    .sparse = m->chunk.sparse};
	snprintf(k->row.path, sizeof(k->row.path), "%s", m->text);
	if (source)
		addr_format(&source->peer, k->row.peer);
	k->job = (struct database_job){.work = keep, .done = on_kept, .context = k};
	database_submit(c->config.database, &k->job);
}

/* ---- life ---- */

static int load(sqlite3 *db, void *context)
{
	struct catalog *c = context;
	int r = chunk_rows_reset_tries(db);

	return r < 0 ? r : chunk_rows_each_total(db, totals_load, c);
}

int catalog_create(const struct catalog_config *config, struct catalog **ret, struct refusal *why)
{
	struct catalog *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return refusal_set(why, -ENOMEM, "no-memory", "no memory");
	r = database_run(config->database, load, c, why);
	if (r < 0) {
		catalog_free(c);
		return r;
	}
	c->config = *config;
	for (unsigned i = 0; i < UNDER_WAY; i++)
		c->order[i].catalog = c;
	uv_timer_init(config->loop, &c->timer);
	c->timer.data = c;
	*ret = c;
	return 0;
}

void catalog_stop(struct catalog *c)
{
	c->stopped = true;
	uv_close((uv_handle_t *)&c->timer, NULL);
}

void catalog_free(struct catalog *c)
{
	if (!c)
		return;
	tdestroy(c->totals, free);
	free(c);
}
