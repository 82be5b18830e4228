/* SPDX-License-Identifier: MIT */
/* session_end.c - the steps, last one first. */
#include "sessiond-lite/session_end.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "sessiond-lite/remove_tree.h"
#include "sessiond-lite/session_ports.h"

static void fail(struct session *s, const struct refusal *why)
{
	s->removing = false;
	snprintf(s->note, sizeof(s->note), "%s", why->sentence);
	session_answer(s, why);
}

static void finish(struct session *s)
{
	const struct registry_hooks *hooks = &s->registry->config.hooks;
	registry_done *done = s->done;
	void *context = s->context;

	if (s->row.id) {
		log_info("session-destroyed", "session \"%s\" is gone%s", s->row.spec->name,
			 s->row.delete_data ? ", and its data" : "");
		if (s->row.delete_data && hooks->data_deleted)
			hooks->data_deleted(hooks->context, s->row.spec->name);
	}
	session_forget(s);
	if (done)
		done(context, NULL);
}

static int delete_rows(sqlite3 *db, void *context)
{
	struct session *s = context;

	return session_rows_delete(db, s->row.id, s->row.spec->name, s->row.delete_data);
}

/* [a thread of libuv's pool] */
static void remove_data(uv_work_t *work)
{
	struct session *s = work->data;

	s->work_error = remove_tree(s->registry->config.output_dir_fd, s->row.spec->name,
				    &s->registry->cancel, s->work_at, sizeof(s->work_at));
}

static void on_data_removed(uv_work_t *work, int status)
{
	struct session *s = work->data;
	struct refusal why;

	(void)status; /* nobody cancels it */
	s->busy = false;
	if (s->registry->stopped) {
		refusal_set(
			&why, -ESHUTDOWN, "shutdown",
			"the relay is being shut down; the rest of the data of \"%s\" goes when "
			"it starts again",
			s->row.spec->name);
		session_answer(s, &why);
		return;
	}
	if (s->work_error == 0) {
		session_submit(s, delete_rows, finish, fail);
		return;
	}
	refusal_set(&why, s->work_error, "data-not-deleted",
		    "session \"%s\" has ended, but %s cannot be deleted: %s; see to it and destroy "
		    "the session again",
		    s->row.spec->name, s->work_at, strerror(-s->work_error));
	log_error("data-not-deleted", "%s", why.sentence);
	fail(s, &why);
}

static void remove_all(struct session *s)
{
	s->removing = true;
	s->note[0] = '\0';
	if (!s->row.id) { /* it was never in the database, and so nobody was told that it exists */
		finish(s);
		return;
	}
	if (!s->row.delete_data) {
		session_submit(s, delete_rows, finish, fail);
		return;
	}
	s->busy = true;
	s->work.data = s;
	/* Fails only without a function to call. */
	(void)uv_queue_work(s->registry->config.loop, &s->work, remove_data, on_data_removed);
}

void session_end_step(struct session *s)
{
	if (s->state != SESSION_ENDING || s->removing || s->busy || s->sources_left)
		return;
	/* Counted down from what it was at the begin; now exactly. */
	s->sources_left = session_count_sources(s).all;
	if (!s->sources_left)
		remove_all(s);
}

void session_end_begin(struct session *s)
{
	s->state = SESSION_ENDING;
	s->row.ending = true;
	atomic_store(&session_slot(s)->ending, 1);
	session_ports_close(s);
	session_changed(s);
	s->sources_left = session_count_sources(s).all;
	session_end_step(s);
}
