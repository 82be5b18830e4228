/* SPDX-License-Identifier: MIT */
/*
 * disk_trouble.c - a source whose file could not be written stops storing, and starts again when
 * there is room.
 * Thread: the worker's.
 */
#include "consumer/internal.h"

#include <errno.h>
#include <sys/statvfs.h>

#define ROOM_TO_STORE_AGAIN ((uint64_t)1 << 20) /* bytes free before storing is tried again */

void disk_trouble_note(struct consumer_source *s, int error)
{
	bool full = error == -ENOSPC || error == -EDQUOT;
	struct source_half *h;

	counters_add(s->worker->counters, full ? COUNTER_disk_full_episodes : COUNTER_disk_errors,
		     full && s->disk_logged ? 0 : 1);
	if (!s->disk_logged) {
		log_error("disk",
			  "source %llu: %s; its pages are discarded and counted until there "
			  "is room (make room below output.dir)",
			  (unsigned long long)s->slot->number, strerror(-error));
		s->disk_logged = true;
	}
	if (source_now(s->slot)->disk_full)
		return;
	h = source_begin(s->slot);
	h->disk_full = 1;
	source_commit(s->slot);
}

void disk_trouble_retry(struct consumer_source *s)
{
	struct source_half *h;
	struct statvfs fs;

	if (!source_now(s->slot)->disk_full)
		return;
	if (fstatvfs(s->worker->config.output_fd, &fs) == 0 &&
	    (uint64_t)fs.f_bavail * fs.f_frsize < ROOM_TO_STORE_AGAIN)
		return;
	h = source_begin(s->slot);
	h->disk_full = 0;
	source_commit(s->slot);
}
