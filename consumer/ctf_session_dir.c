/* SPDX-License-Identifier: MIT */
/*
 * ctf_session_dir.c - the directory of a client session, and whose it is.
 *
 * A hidden file .session in it names the owner. It appears whole: written under another name, then
 * linked. Another owner's directory is left alone: -2, -3, ... behind the name are tried. Sources
 * of the same client session (its snapshots, its other consumers) find their own claim and share
 * it.
 */
#include "consumer/ctf_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/ctf_place.h"
#include "consumer/ctf_repair.h"

#define CLAIM     ".session"
#define TRIES_MAX 1000

/* Who owns it. */
static void owner(const struct ctf_source *s, char *text, size_t cap)
{
	const struct ctf_key *k = &s->ctf->key;
	char hex[33], host[ADDR_TEXT_MAX];

	if (s->ctf->minor <= 10) {
		snprintf(text, cap, "%s\n", addr_format_host(&s->slot->peer, host));
		return;
	}
	for (unsigned i = 0; i < 16; i++)
		snprintf(hex + 2 * i, 3, "%02x", k->uuid[i]);
	snprintf(text, cap, "%s/%llu/%llu\n", hex, (unsigned long long)k->id,
		 (unsigned long long)k->created);
}

/* The name as lttng-relayd would choose it, or one that fits. */
static int wanted(const struct ctf_source *s, const struct ctf_stream *t, unsigned attempt,
		  char *dir, size_t cap)
{
	const struct session_slot *session = state_session_of(s->worker->st, s->slot);
	const struct ctf_source_slot *c = s->ctf;
	struct ctf_place place = {.group = s->worker->config.lttng_group,
				  .minor = c->minor,
				  .session_name = c->session_name,
				  .host = c->host,
				  .base_path = c->base_path,
				  .name_has_time = c->name_has_time,
				  .created = (int64_t)c->key.created,
				  .stream_path = t ? t->ctf->path : NULL,
				  .attempt = attempt};
	int n;

	if (!session)
		return -EAGAIN;
	place.root = session->name;
	if (c->minor <= 10)
		place.created = s->slot->start_ns / 1000000000;
	if (ctf_place_session(&place, dir, cap) == 0)
		return 0;
	n = snprintf(dir, cap, "%s/lttng-%llu-%u", session->name,
		     (unsigned long long)s->slot->number, attempt);
	return n < (int)cap ? 0 : -ENAMETOOLONG;
}

/* 1: it is ours; 0: somebody else's; negative errno. */
static int claim(struct ctf_source *s, const char *dir)
{
	int output = s->worker->config.output_fd;
	char want[128], got[128] = "", temporary[48];
	int at = ctf_dir_open(output, dir, true), fd, r = 0;
	size_t len;

	if (at < 0)
		return at;
	owner(s, want, sizeof(want));
	len = strlen(want);
	if (faccessat(at, CLAIM, F_OK, AT_SYMLINK_NOFOLLOW) < 0 &&
	    !ctf_tree_holds_chunk(output, dir)) {
		snprintf(temporary, sizeof(temporary), CLAIM ".%llu",
			 (unsigned long long)s->slot->number);
		fd = openat(at, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
			    0640);
		r = fd < 0 ? -errno : write(fd, want, len) == (ssize_t)len ? 0 : -ENOSPC;
		if (fd >= 0)
			close(fd);
		if (r == 0 && linkat(at, temporary, at, CLAIM, 0) < 0 && errno != EEXIST)
			r = -errno;
		unlinkat(at, temporary, 0);
	}
	if (r == 0) {
		fd = openat(at, CLAIM, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0) {
			r = read(fd, got, sizeof(got) - 1) == (ssize_t)len &&
			    memcmp(got, want, len) == 0;
			close(fd);
		}
	}
	close(at);
	return r;
}

/* For the record that a repair writes. It can do without. */
static void write_head(const struct ctf_source *s, int fd)
{
	char *head = ctf_record_head(s);

	if (head && write(fd, head, strlen(head)) < 0)
		log_warning("mark", "source %llu: its mark cannot be written: %s",
			    (unsigned long long)s->slot->number, strerror(errno));
	free(head);
}

/* While it is there, a pair of daemons that dies leaves something to repair. */
static void mark(struct ctf_source *s, const char *session, bool there)
{
	int at = ctf_dir_open(s->worker->config.output_fd, session, false), fd;
	char name[48];

	if (at < 0)
		return;
	snprintf(name, sizeof(name), CTF_REPAIR_MARK "%llu", (unsigned long long)s->slot->number);
	if (there) {
		fd = openat(at, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0640);
		if (fd >= 0) {
			write_head(s, fd);
			close(fd);
		}
	} else {
		unlinkat(at, name, 0);
	}
	close(at);
}

void ctf_session_dir_leave(struct ctf_source *s)
{
	if (ctf_source_now(s->ctf)->placed)
		mark(s, source_now(s->slot)->dir, false);
}

int ctf_session_dir_claim(struct ctf_source *s, const struct ctf_stream *t)
{
	struct ctf_source_half *h;
	char dir[STATE_DIR];
	struct source_half *sh;
	int r = 0;

	if (ctf_source_now(s->ctf)->placed)
		return 0;
	if (s->ctf->minor <= 10 && !t)
		return 0;
	for (unsigned i = 1; i <= TRIES_MAX && r != 1; i++) {
		r = wanted(s, t, i, dir, sizeof(dir));
		if (r == 0)
			r = claim(s, dir);
		if (r < 0 && r != -ELOOP && r != -ENOTDIR)
			return r;
	}
	if (r != 1)
		return -EEXIST;
	mark(s, dir, true);
	sh = source_begin(s->slot);
	memcpy(sh->dir, dir, sizeof(dir));
	snprintf(sh->host, sizeof(sh->host), "%.*s", (int)sizeof(sh->host) - 1, s->ctf->host);
	sh->placed = 1;
	source_commit(s->slot);
	h = ctf_source_begin(s->ctf);
	h->placed = 1;
	ctf_source_commit(s->ctf);
	return 0;
}
