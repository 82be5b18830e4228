/* SPDX-License-Identifier: MIT */
/*
 * ctf_chunk.c - the chunks of a source, and where their directories go.
 *
 *   created  in the session directory (the first), in one of its own name (override), or, while an
 *            older one is there, in a hidden .chunk-SERIAL
 *   closed   and left by every stream: chunk.json, then its command: stays, goes to archives/, or
 * is removed (with viewers: later, see keep_cleared())
 *   hidden, and no older one is left: takes the session directory if that is free again and the
 *            session never rotated, else <created>-<id>
 *
 * A move is a step: moving_to is committed, then renamed, then dir says so. The session directory
 * itself is never renamed: its chunk moves by its contents.
 */
#include "consumer/ctf_internal.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "common/ctf_place.h"

uint32_t ctf_chunk_find(const struct ctf_source_half *h, uint64_t id)
{
	for (uint32_t i = 0; i < CTF_CHUNKS; i++)
		if (h->chunk[i].state == CTF_CHUNK_OPEN && h->chunk[i].id == id)
			return i + 1;
	return 0;
}

static bool any_chunk(const struct ctf_source_half *h)
{
	for (uint32_t i = 0; i < CTF_CHUNKS; i++)
		if (h->chunk[i].state != CTF_CHUNK_FREE)
			return true;
	return false;
}

static int put_dir(char dir[CTF_DIR], const char *session, const char *sub)
{
	int n = snprintf(dir, CTF_DIR, "%s%s%s", session, *sub ? "/" : "", sub);

	return n < (int)CTF_DIR ? 0 : -ENAMETOOLONG;
}

static bool hidden(const struct ctf_chunk *c)
{
	const char *slash = strrchr(c->dir, '/');

	return strncmp(slash ? slash + 1 : c->dir, ".chunk-", 7) == 0;
}

static int first_place(struct ctf_source *s, const struct ctf_source_half *h, struct ctf_chunk *c)
{
	const char *session = source_now(s->slot)->dir;
	char sub[CTF_PLACE_CHUNK];

	if (ctf_place_check_name(c->name) == 0)
		return put_dir(c->dir, session, c->name);
	if (c->id == CTF_NONE || (!any_chunk(h) && !h->archived &&
				  !ctf_tree_holds_chunk(s->worker->config.output_fd, session)))
		return put_dir(c->dir, session, "");
	if (any_chunk(h))
		ctf_place_hidden(c->serial, sub);
	else
		ctf_place_open(c->created, c->id, sub);
	return put_dir(c->dir, session, sub);
}

int ctf_chunk_create(struct ctf_source *s, uint64_t id, int64_t created, const uint8_t *name,
		     size_t len, uint64_t behind)
{
	const struct ctf_source_half *now = ctf_source_now(s->ctf);
	struct ctf_source_half *h;
	struct ctf_chunk c = {.state = CTF_CHUNK_OPEN, .id = id, .created = created};
	uint32_t at = ctf_chunk_find(now, id);
	int r;

	if (!at) {
		r = ctf_session_dir_claim(s, NULL);
		if (r < 0)
			return r;
		for (at = 1; at <= CTF_CHUNKS && now->chunk[at - 1].state; at++)
			;
		if (at > CTF_CHUNKS) {
			log_error("chunks", "source %llu: more than %u chunks at once",
				  (unsigned long long)s->slot->number, CTF_CHUNKS);
			return 0;
		}
		c.serial = now->serial + 1;
		if (len && len < sizeof(c.name))
			memcpy(c.name, name, len);
		r = first_place(s, now, &c);
		if (r < 0)
			return r;
	}
	h = ctf_source_begin(s->ctf);
	if (!h->chunk[at - 1].state) {
		h->chunk[at - 1] = c;
		h->serial = c.serial;
	}
	h->current = at;
	if (behind)
		h->ordered = behind;
	ctf_source_commit(s->ctf);
	return 0;
}

/* `lttng clear` empties the ring buffers too: packets that streams in this chunk miss from now on
 * were not lost. */
static void forget_numbers(struct ctf_source *s, uint64_t serial)
{
	struct ctf_stream *t;

	cds_list_for_each_entry (t, &s->streams, node) {
		const struct ctf_stream_half *c = &stream_now(t->slot)->ctf;

		if (!c->opened || c->cleared || (c->any_index && c->packet_serial != serial))
			continue;
		stream_begin(t->slot)->ctf.cleared = 1;
		stream_commit(t->slot);
	}
}

int ctf_chunk_close(struct ctf_source *s, uint64_t id, int64_t closed, uint32_t command,
		    uint64_t behind)
{
	uint32_t at = ctf_chunk_find(ctf_source_now(s->ctf), id);
	struct ctf_source_half *h;

	if (at && command == CTF_CLOSE_DELETE)
		forget_numbers(s, ctf_source_now(s->ctf)->chunk[at - 1].serial);
	h = ctf_source_begin(s->ctf);
	h->ordered = behind;
	if (at) {
		h->chunk[at - 1].state = CTF_CHUNK_CLOSED;
		h->chunk[at - 1].command = command;
		h->chunk[at - 1].closed = closed;
		if (h->current == at)
			h->current = 0;
	}
	ctf_source_commit(s->ctf);
	return 0;
}

/* ---- moves ---- */

static int resume_move(struct ctf_source *s, uint32_t i)
{
	const struct ctf_chunk *c = &ctf_source_now(s->ctf)->chunk[i];
	const char *session = source_now(s->slot)->dir;
	int output = s->worker->config.output_fd;
	bool whole = strcmp(c->dir, session) != 0 && strcmp(c->moving_to, session) != 0;
	struct ctf_source_half *h;
	int r;

	if (!c->moving_to[0])
		return 0;
	r = ctf_tree_move(output, c->dir, c->moving_to, whole);
	if (r == -EEXIST && strlen(c->moving_to) + 3 < CTF_DIR) { /* somebody else's */
		h = ctf_source_begin(s->ctf);
		strcat(h->chunk[i].moving_to, "-2");
		ctf_source_commit(s->ctf);
		return resume_move(s, i);
	}
	if (r == 0 && !whole && hidden(c))
		r = ctf_tree_remove(output, c->dir);
	if (r < 0)
		return r;
	h = ctf_source_begin(s->ctf);
	memcpy(h->chunk[i].dir, h->chunk[i].moving_to, CTF_DIR);
	h->chunk[i].moving_to[0] = '\0';
	ctf_source_commit(s->ctf);
	return 0;
}

static int move(struct ctf_source *s, uint32_t i, const char *to)
{
	struct ctf_source_half *h = ctf_source_begin(s->ctf);

	memcpy(h->chunk[i].moving_to, to, CTF_DIR);
	ctf_source_commit(s->ctf);
	return resume_move(s, i);
}

/* Archived: SESSION/archives/<created>-<closed>-<id>. */
static int archive(struct ctf_source *s, uint32_t i)
{
	const struct ctf_chunk *c = &ctf_source_now(s->ctf)->chunk[i];
	char sub[CTF_PLACE_CHUNK], to[CTF_DIR];
	int r;

	if (strstr(c->dir, "/archives/"))
		return 0;
	ctf_place_archive(c->created, c->closed, c->id, sub);
	r = put_dir(to, source_now(s->slot)->dir, sub);
	return r < 0 ? r : move(s, i, to);
}

/* ---- cleared chunks ---- */

#define CLEARED_MS 10000 /* a viewer has its packet by then, a killed relayd's successor too */

static void free_past(struct ctf_source *s, uint32_t i)
{
	struct ctf_source_half *h = ctf_source_begin(s->ctf);

	memset(&h->past[i], 0, sizeof(h->past[i]));
	ctf_source_commit(s->ctf);
}

static int forget_cleared(struct ctf_source *s)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < CTF_PAST; i++) {
		const struct ctf_past *p = &ctf_source_now(s->ctf)->past[i];

		if (!p->serial || !ctf_place_is_cleared(p->dir))
			continue;
		r = ctf_tree_remove(s->worker->config.output_fd, p->dir);
		if (r == 0)
			free_past(s, i);
	}
	s->cleared_since_ms = 0;
	return r;
}

static int forget_old_cleared(struct ctf_source *s)
{
	bool any = false;

	for (uint32_t i = 0; i < CTF_PAST; i++)
		any = any || ctf_place_is_cleared(ctf_source_now(s->ctf)->past[i].dir);
	if (!any)
		return 0;
	if (!s->cleared_since_ms)
		s->cleared_since_ms = ctf_now_ms();
	return ctf_now_ms() - s->cleared_since_ms >= CLEARED_MS ? forget_cleared(s) : 0;
}

/* A viewer may have the index of a packet in there and not the packet, and the file that it has
 * open is lost with a killed relayd. */
static int keep_cleared(struct ctf_source *s, uint32_t i)
{
	const struct ctf_chunk *c = &ctf_source_now(s->ctf)->chunk[i];
	char sub[CTF_PLACE_CHUNK], to[CTF_DIR];
	int r;

	if (ctf_place_is_cleared(c->dir))
		return 0;
	ctf_place_cleared(c->serial, sub);
	r = put_dir(to, source_now(s->slot)->dir, sub);
	return r < 0 ? r : move(s, i, to);
}

static int remove_chunk(struct ctf_source *s, uint32_t i)
{
	const struct ctf_chunk *c = &ctf_source_now(s->ctf)->chunk[i];
	int output = s->worker->config.output_fd;

	if (atomic_load(&s->ctf->viewed))
		return keep_cleared(s, i);
	if (strcmp(c->dir, source_now(s->slot)->dir) == 0)
		return ctf_tree_remove_contents(output, c->dir);
	return ctf_tree_remove(output, c->dir);
}

/* ---- the end of a chunk ---- */

/* Its control connection has ended without closing it, and so has its data connection. A restart
 * forgets which that was: then it is gone when nothing has come for long. */
static bool is_gone(struct ctf_stream *t)
{
	struct ctf_source *s = t->source;
	uint64_t limit = s->worker->config.stall_timeout_ms;

	if (!stream_now(t->slot)->ctf.left)
		return false;
	if (t->orphan || cds_list_empty(&s->connections))
		return true;
	if (!t->left_since_ms || t->fed_by)
		t->left_since_ms = ctf_now_ms();
	return ctf_now_ms() - t->left_since_ms >= (int64_t)(limit ? limit : CTF_STALL_MS);
}

static bool in_use(struct ctf_source *s, uint32_t chunk)
{
	struct ctf_stream *t;

	cds_list_for_each_entry (t, &s->streams, node) {
		const struct ctf_stream_half *c = &stream_now(t->slot)->ctf;

		if (c->rotating && c->to_chunk == chunk)
			return true;
		for (unsigned i = 0; i < CTF_WAITING; i++)
			if (c->waiting[i].chunk == chunk && !c->closed && !is_gone(t))
				return true;
		if (c->chunk == chunk &&
		    (c->rotating || !(ctf_stream_complete(stream_now(t->slot)) || is_gone(t))))
			return true;
	}
	return false;
}

/* Tracefiles that viewers were left with. */
static void sweep(struct ctf_source *s, uint32_t chunk)
{
	uint64_t serial = ctf_source_now(s->ctf)->chunk[chunk - 1].serial;
	struct ctf_stream *t;

	cds_list_for_each_entry (t, &s->streams, node) {
		const struct ctf_stream_half *c = &stream_now(t->slot)->ctf;

		if (c->chunk_serial == serial || c->left_serial == serial)
			ctf_file_sweep(t, chunk,
				       c->chunk_serial == serial ? c->file : c->left_file);
	}
}

/* Streams that have ended, and their descriptors. */
static void leave(struct ctf_source *s, uint32_t chunk)
{
	uint64_t serial = ctf_source_now(s->ctf)->chunk[chunk - 1].serial;
	struct ctf_stream *t;

	cds_list_for_each_entry (t, &s->streams, node) {
		if (t->index.fd >= 0 && t->index.serial == serial)
			ctf_file_forget(s->worker, &t->index);
		if (stream_now(t->slot)->ctf.chunk != chunk)
			continue;
		ctf_index_give_up(t);
		ctf_rotate_leave(t);
	}
}

static void remember(struct ctf_source_half *h, const struct ctf_chunk *c)
{
	struct ctf_past *to = &h->past[0];

	for (uint32_t i = 1; i < CTF_PAST; i++)
		if (h->past[i].serial < to->serial)
			to = &h->past[i];
	to->serial = c->serial;
	memcpy(to->dir, c->dir, sizeof(to->dir));
}

static int finish(struct ctf_source *s, uint32_t i)
{
	const struct ctf_source_half *now = ctf_source_now(s->ctf);
	uint32_t command = now->chunk[i].command;
	bool removed = command == CTF_CLOSE_DELETE;
	struct ctf_source_half *h;
	struct ctf_chunk_sum sum;
	int r;

	if (now->archived && (command == CTF_CLOSE_STAY || command == CTF_CLOSE_NOTHING) &&
	    !now->chunk[i].name[0])
		command = CTF_CLOSE_ARCHIVE;
	if (!removed) {
		r = ctf_record_write(s, i + 1, &sum);
		if (r < 0)
			return r;
	}
	sweep(s, i + 1);
	leave(s, i + 1);
	r = forget_cleared(s); /* one at a time */
	if (r < 0)
		return r;
	r = removed ? remove_chunk(s, i) : command == CTF_CLOSE_ARCHIVE ? archive(s, i) : 0;
	if (r < 0)
		return r;
	now = ctf_source_now(s->ctf); /* where it lies now */
	h = ctf_source_begin(s->ctf);
	if (!removed)
		ctf_announce_add(s, h, &now->chunk[i], &sum);
	h->gone = h->chunk[i];
	if (!removed || ctf_place_is_cleared(h->chunk[i].dir))
		remember(h, &h->chunk[i]);
	memset(&h->chunk[i], 0, sizeof(h->chunk[i]));
	if (h->current == i + 1)
		h->current = 0;
	h->archived += command == CTF_CLOSE_ARCHIVE;
	ctf_source_commit(s->ctf);
	counters_add(s->worker->counters, COUNTER_chunks_finished, 1);
	return 0;
}

/* ---- what is due ---- */

/* A hidden chunk comes out when no older one is left. */
static int come_out(struct ctf_source *s, uint32_t i)
{
	const struct ctf_source_half *now = ctf_source_now(s->ctf);
	const struct ctf_chunk *c = &now->chunk[i];
	const char *session = source_now(s->slot)->dir;
	char to[CTF_DIR], sub[CTF_PLACE_CHUNK];
	int r;

	for (uint32_t k = 0; k < CTF_CHUNKS; k++)
		if (now->chunk[k].state && now->chunk[k].serial < c->serial)
			return 0;
	if (!now->archived && !ctf_tree_holds_chunk(s->worker->config.output_fd, session)) {
		r = put_dir(to, session, "");
	} else {
		ctf_place_open(c->created, c->id, sub);
		r = put_dir(to, session, sub);
	}
	return r < 0 ? r : move(s, i, to);
}

int ctf_chunk_resume(struct ctf_source *s)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < CTF_CHUNKS; i++)
		if (ctf_source_now(s->ctf)->chunk[i].state)
			r = resume_move(s, i);
	return r;
}

/* Packets whose index was dropped keep no chunk from being finished. */
static void stop_waiting(struct ctf_source *s)
{
	struct ctf_stream *t;

	cds_list_for_each_entry (t, &s->streams, node)
		if (ctf_index_is_lost(t))
			ctf_index_give_up(t);
}

int ctf_chunk_run(struct ctf_source *s)
{
	int r = ctf_chunk_resume(s);

	if (r < 0)
		return r;
	for (uint32_t i = 0; i < CTF_CHUNKS; i++) {
		if (ctf_source_now(s->ctf)->chunk[i].state != CTF_CHUNK_CLOSED)
			continue;
		stop_waiting(s);
		if (in_use(s, i + 1))
			continue;
		r = finish(s, i);
		if (r < 0)
			return r;
	}
	r = forget_old_cleared(s);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < CTF_CHUNKS; i++) {
		const struct ctf_chunk *c = &ctf_source_now(s->ctf)->chunk[i];

		if (!c->state || !hidden(c))
			continue;
		r = come_out(s, i);
		if (r < 0)
			return r;
	}
	return 0;
}

int ctf_chunk_finish_all(struct ctf_source *s)
{
	int r = ctf_chunk_run(s);

	for (uint32_t n = 0; r == 0 && n < CTF_CHUNKS; n++) {
		uint32_t oldest = CTF_CHUNKS;
		const struct ctf_source_half *h = ctf_source_now(s->ctf);

		for (uint32_t i = 0; i < CTF_CHUNKS; i++)
			if (h->chunk[i].state &&
			    (oldest == CTF_CHUNKS || h->chunk[i].serial < h->chunk[oldest].serial))
				oldest = i;
		if (oldest == CTF_CHUNKS)
			break;
		if (hidden(&h->chunk[oldest]))
			r = come_out(s, oldest);
		if (r == 0 && ctf_source_now(s->ctf)->chunk[oldest].state == CTF_CHUNK_OPEN) {
			struct ctf_source_half *next = ctf_source_begin(s->ctf);

			next->chunk[oldest].state = CTF_CHUNK_CLOSED;
			next->chunk[oldest].command = CTF_CLOSE_STAY;
			next->chunk[oldest].closed = (int64_t)time(NULL);
			ctf_source_commit(s->ctf);
		}
		if (r == 0)
			r = finish(s, oldest);
	}
	return r < 0 ? r : forget_cleared(s);
}
