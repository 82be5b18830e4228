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
#include <time.h>
#include <unistd.h>

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

/* The name as the client's protocol gives it, below the session of this program. */
static int wanted(const struct ctf_source *s, const struct ctf_stream *t, char *dir, size_t cap)
{
	const struct session_slot *session = state_session_of(s->worker->st, s->slot);
	const struct ctf_source_slot *c = s->ctf;
	time_t created = (time_t)c->key.created;
	char when[32] = "";
	struct tm tm;
	int n;

	if (!session)
		return -EAGAIN;
	if (c->minor <= 10) {
		const char *path = t->ctf->path;
		size_t len = (size_t)(ctf_stream_path(t) - path);

		if (!*ctf_stream_path(t))
			len = strlen(path);
		while (len && path[len - 1] == '/')
			len--;
		while (len && *path == '/') {
			path++;
			len--;
		}
		n = snprintf(dir, cap, "%s/%.*s", session->name, (int)len, path);
		return n < (int)cap ? 0 : -ENAMETOOLONG;
	}
	if (localtime_r(&created, &tm) && !c->name_has_time)
		strftime(when, sizeof(when), "-%Y%m%d-%H%M%S", &tm);
	if (c->base_path[0])
		n = snprintf(dir, cap, "%s/%s/%s", session->name, c->host, c->base_path);
	else
		n = snprintf(dir, cap, "%s/%s/%s%s", session->name, c->host, c->session_name, when);
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

int ctf_session_dir_claim(struct ctf_source *s, const struct ctf_stream *t)
{
	char name[CTF_DIR], dir[STATE_DIR];
	struct ctf_source_half *h;
	struct source_half *sh;
	int r;

	if (ctf_source_now(s->ctf)->placed)
		return 0;
	if (s->ctf->minor <= 10 && !t)
		return 0;
	r = wanted(s, t, name, sizeof(name));
	if (r < 0)
		return r;
	for (unsigned i = 1; i <= TRIES_MAX; i++) {
		int n = i == 1 ? snprintf(dir, sizeof(dir), "%s", name)
			       : snprintf(dir, sizeof(dir), "%s-%u", name, i);

		if (n >= (int)sizeof(dir)) { /* too long for the state memory */
			const struct session_slot *session =
				state_session_of(s->worker->st, s->slot);

			snprintf(name, sizeof(name), "%s/lttng-%llu", session ? session->name : "",
				 (unsigned long long)s->slot->number);
			continue;
		}
		r = claim(s, dir);
		if (r < 0 && r != -ELOOP && r != -ENOTDIR)
			return r;
		if (r == 1)
			break;
	}
	if (r != 1)
		return -EEXIST;
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
