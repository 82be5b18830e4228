/* SPDX-License-Identifier: MIT */
/*
 * place.c - the directory of a source: OUTPUT/SESSION/HOST/START-N.
 *
 * A V3 client's host and hence its session are known when its metadata is complete; until then it
 * lies in OUTPUT/.incoming/N and is moved by a step: the new name is committed, then renamed, so
 * that a killed rename is completed by looking which of the two exists.
 * HOST and SESSION are made of harmless characters only: nothing leaves the output directory.
 * Thread: the worker's; does I/O.
 */
#include "consumer/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "consumer/place_name.h"

/* SESSION/HOST/START-N. -EAGAIN while the session is not known. */
static int final_dir(const struct consumer_source *s, char dir[STATE_DIR])
{
	const struct session_slot *session = state_session_of(s->worker->st, s->slot);
	const struct source_half *h = source_now(s->slot);
	char host[ADDR_TEXT_MAX], name[STATE_NAME], start[32];
	time_t seconds = (time_t)(s->slot->start_ns / 1000000000);
	struct tm tm;
	int n;

	if (!session)
		return -EAGAIN;
	place_name_safe(session->name, name, sizeof(name));
	if (h->host[0])
		place_name_safe(h->host, host, sizeof(host));
	else
		addr_format_name(&s->slot->peer, host);
	gmtime_r(&seconds, &tm);
	strftime(start, sizeof(start), "%Y%m%d-%H%M%S", &tm);
	n = snprintf(dir, STATE_DIR, "%s/%s/%s-%llu", name, host, start,
		     (unsigned long long)s->slot->number);
	return n < (int)STATE_DIR ? 0 : -ENAMETOOLONG;
}

/* A client whose metadata will tell its host. */
static bool host_comes_later(const struct consumer_source *s)
{
	return s->slot->protocol == PROTOCOL_TRACE_CMD_V3;
}

int place_first(struct consumer_source *s)
{
	struct source_half *h;
	char dir[STATE_DIR];
	bool final = false;

	if (source_now(s->slot)->dir[0])
		return 0;
	if (!host_comes_later(s) && final_dir(s, dir) == 0)
		final = true;
	else
		snprintf(dir, sizeof(dir), ".incoming/%llu", (unsigned long long)s->slot->number);
	h = source_begin(s->slot);
	memcpy(h->dir, dir, sizeof(dir));
	h->placed = final;
	source_commit(s->slot);
	return 0;
}

int place_resume(struct consumer_source *s)
{
	struct worker *w = s->worker;
	const struct source_half *now = source_now(s->slot);
	char parent[STATE_DIR];
	struct source_half *h;
	char *slash;
	int r;

	if (!now->moving_to[0])
		return 0;
	memcpy(parent, now->moving_to, sizeof(parent));
	slash = strrchr(parent, '/');
	if (slash)
		*slash = '\0';
	r = place_name_make(w->config.output_fd, parent);
	if (r < 0)
		return r;
	/* ENOENT: done before, or nothing was created yet. */
	if (renameat2(w->config.output_fd, now->dir, w->config.output_fd, now->moving_to,
		      RENAME_NOREPLACE) < 0 &&
	    errno != ENOENT)
		return -errno;
	h = source_begin(s->slot);
	memcpy(h->dir, h->moving_to, sizeof(h->dir));
	h->moving_to[0] = '\0';
	h->placed = 1;
	source_commit(s->slot);
	return 0;
}

int place_final(struct consumer_source *s)
{
	const struct source_half *now = source_now(s->slot);
	struct source_half *h;
	char dir[STATE_DIR] = "";
	int r;

	if (now->placed)
		return 0;
	r = final_dir(s, dir);
	if (r < 0)
		return r;
	h = source_begin(s->slot);
	if (h->dir[0]) {
		memcpy(h->moving_to, dir, sizeof(dir));
	} else {
		memcpy(h->dir, dir, sizeof(dir));
		h->placed = 1;
	}
	source_commit(s->slot);
	return place_resume(s);
}
