/* SPDX-License-Identifier: MIT */
/*
 * compactor.c - takes the holes out of finished chunks; see compactor.h.
 *
 *   sync --> hold --> file lease --> collapse the holes, last first --> table --> record --> lease
 *   given back --> release
 *   (where the file system collapses none: compact_clone.h, under the same lease)
 *
 * The file lease (F_SETLEASE) fails while somebody has the file open, and makes a new open wait
 * until it is given back; sessiond-lite holds a duplicate of the descriptor it lives on, so a kill
 * does not break it, and the next relayd goes on behind the same lease. How far a killed one got is
 * told by the file's size alone (compact_plan.h). Synced first, since collapsing dirty files is
 * slow, and an open must not wait long.
 * Thread: its own.
 */
#include "consumer/compactor.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <urcu/list.h>
#include <uv.h>

#include "consumer/compact_clone.h"
#include "consumer/compact_file.h"
#include "consumer/compact_plan.h"
#include "consumer/record.h"

#define NICE 10

struct job {
	struct cds_list_head node;
	uint64_t key; /* of the hold */
	int fd;       /* inherited with its file lease; -1: none */
	char path[512];
};

struct compactor {
	int output_fd;
	const struct compactor_events *events;
	void *ctx;
	uv_thread_t thread;
	/* lock guards what follows */
	uv_mutex_t lock;
	uv_cond_t changed;
	struct cds_list_head jobs;
	const char *under_way; /* path of the job in hand */
	uint64_t next_key;
	uint64_t held; /* the last key that was answered */
	bool stopping;
};

/* ---- one file ---- */

/* All steps that are not done yet; the caller has the file lease. */
static int collapse(int fd, const struct compact_file *f, const struct compact_plan *plan,
		    uint64_t size)
{
	uint32_t done, count = compact_plan_count(plan);
	int r = compact_plan_resume(plan, size, &done);

	if (r < 0)
		return r;
	for (uint32_t i = done; i < count; i++) {
		struct compact_step step = compact_plan_step(plan, i);

		if (fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, (off_t)step.offset,
			      (off_t)step.length) == 0)
			continue;
		r = -errno;
		/* The table must tell where things lie now. */
		if (i > 0)
			(void)compact_file_write_table(fd, f, plan, i);
		return r == -EINVAL && i == 0 ? -EOPNOTSUPP : r;
	}
	return compact_file_write_table(fd, f, plan, count);
}

/* The name of the last part of a path below the output directory, and the directory opened. */
static int open_dir_of(const struct compactor *c, const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	char dir[sizeof(((struct job *)0)->path)] = ".";
	int fd;

	if (slash) {
		memcpy(dir, path, (size_t)(slash - path));
		dir[slash - path] = '\0';
	}
	*ret_name = slash ? slash + 1 : path;
	fd = openat(c->output_fd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* The record of DIR/NAME.dat: NAME.json, and its directory opened. False: no chunk's name. */
static bool find_record(const struct compactor *c, const char *path, int *ret_dir, char *ret_name,
			size_t cap)
{
	const char *name;
	size_t len;

	*ret_dir = open_dir_of(c, path, &name);
	if (*ret_dir < 0)
		return false;
	len = strlen(name);
	if (len < 5 || len + 2 > cap || strcmp(name + len - 4, ".dat") != 0) {
		close(*ret_dir);
		return false;
	}
	snprintf(ret_name, cap, "%.*sjson", (int)len - 3, name);
	return true;
}

/* The record says compact (or sparse for good) and since when its data is on the disk. */
static void update_record(struct compactor *c, const char *path, bool compact)
{
	struct record record;
	char name[64];
	int dir;

	if (!find_record(c, path, &dir, name, sizeof(name)))
		return;
	if (record_read(dir, name, &record) == 0) {
		record.sparse = !compact;
		clock_gettime(CLOCK_REALTIME, &record.synced);
		(void)record_write(dir, name, &record);
		record_free(&record);
	}
	close(dir);
}

/* Ask sessiond-lite to hold the descriptor, and wait for its answer. False: stopping. */
static bool hold(struct compactor *c, const struct job *j, int fd)
{
	bool held;

	c->events->hold(c->ctx, j->key, j->path, fd);
	uv_mutex_lock(&c->lock);
	while (c->held != j->key && !c->stopping)
		uv_cond_wait(&c->changed, &c->lock);
	held = c->held == j->key;
	uv_mutex_unlock(&c->lock);
	return held;
}

static int share_extents(const struct compactor *c, const char *path, int fd,
			 const struct compact_file *f, const struct compact_plan *plan,
			 uint32_t block)
{
	const char *name;
	int dir = open_dir_of(c, path, &name), r;

	if (dir < 0)
		return dir;
	r = compact_clone(dir, name, fd, f, plan, block);
	close(dir);
	return r;
}

static int compact_leased(const struct compactor *c, const char *path, int fd, uint64_t size,
			  uint32_t block)
{
	struct compact_plan *plan;
	struct compact_file f;
	int r = compact_file_read(fd, size, &f);

	if (r < 0)
		return r;
	r = compact_plan_new(f.regions, f.cpus, f.tail_end, f.meta.page_size, block, &plan);
	if (r == 0) {
		if (compact_plan_count(plan))
			r = collapse(fd, &f, plan, size);
		if (r == -EOPNOTSUPP)
			r = share_extents(c, path, fd, &f, plan, block);
		compact_plan_free(plan);
	}
	compact_file_clear(&f);
	return r;
}

static int compact(struct compactor *c, struct job *j)
{
	int fd = j->fd;
	struct stat sb;
	int r = 0;

	if (fd < 0) {
		fd = openat(c->output_fd, j->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0)
			return -errno;
		if (fsync(fd) < 0) {
			r = -errno;
			goto out;
		}
		if (!hold(c, j, fd)) {
			r = -EAGAIN;
			goto out;
		}
		if (fcntl(fd, F_SETLEASE, F_WRLCK) < 0) {
			r = errno == EAGAIN ? -EAGAIN : -errno;
			c->events->release(c->ctx, j->key);
			goto out;
		}
	}
	if (fstat(fd, &sb) < 0)
		r = -errno;
	else
		r = compact_leased(c, j->path, fd, (uint64_t)sb.st_size, (uint32_t)sb.st_blksize);
	if (r == 0 && fdatasync(fd) < 0)
		r = -errno;
	(void)fcntl(fd, F_SETLEASE, F_UNLCK);
	c->events->release(c->ctx, j->key);
	if (r == 0 || r == -EOPNOTSUPP)
		update_record(c, j->path, r == 0);
out:
	close(fd);
	return r;
}

/* ---- the thread ---- */

static struct job *next_job(struct compactor *c)
{
	struct job *j = NULL;

	uv_mutex_lock(&c->lock);
	c->under_way = NULL;
	while (!c->stopping && cds_list_empty(&c->jobs))
		uv_cond_wait(&c->changed, &c->lock);
	if (!c->stopping) {
		j = cds_list_first_entry(&c->jobs, struct job, node);
		cds_list_del(&j->node);
		c->under_way = j->path;
		if (j->fd < 0)
			j->key = ++c->next_key;
	}
	uv_mutex_unlock(&c->lock);
	return j;
}

static void thread_main(void *arg)
{
	struct compactor *c = arg;
	struct job *j;

	/* Behind everybody who has a client waiting. A thread's id names it alone on Linux. */
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
	while ((j = next_job(c))) {
		c->events->done(c->ctx, j->path, compact(c, j));
		uv_mutex_lock(&c->lock);
		c->under_way = NULL;
		uv_mutex_unlock(&c->lock);
		free(j);
	}
}

/* ---- [any] ---- */

static bool known(const struct compactor *c, const char *path)
{
	struct job *j;

	if (c->under_way && strcmp(c->under_way, path) == 0)
		return true;
	cds_list_for_each_entry (j, &c->jobs, node)
		if (strcmp(j->path, path) == 0)
			return true;
	return false;
}

static void add(struct compactor *c, uint64_t key, const char *path, int fd)
{
	struct job *j = calloc(1, sizeof(*j));

	if (!j || strlen(path) >= sizeof(j->path)) {
		if (fd >= 0)
			close(fd);
		free(j);
		return; /* ordered again later */
	}
	*j = (struct job){.key = key, .fd = fd};
	strcpy(j->path, path);
	uv_mutex_lock(&c->lock);
	if (fd >= 0) {
		cds_list_add(&j->node, &c->jobs);
		if (key > c->next_key)
			c->next_key = key;
	} else if (known(c, path)) {
		free(j);
	} else {
		cds_list_add_tail(&j->node, &c->jobs);
	}
	uv_cond_signal(&c->changed);
	uv_mutex_unlock(&c->lock);
}

void compactor_order(struct compactor *c, const char *path)
{
	add(c, 0, path, -1);
}

void compactor_inherit(struct compactor *c, uint64_t key, const char *path, int fd)
{
	add(c, key, path, fd);
}

void compactor_held(struct compactor *c, uint64_t key)
{
	uv_mutex_lock(&c->lock);
	c->held = key;
	uv_cond_signal(&c->changed);
	uv_mutex_unlock(&c->lock);
}

int compactor_start(int output_fd, const struct compactor_events *events, void *ctx,
		    struct compactor **ret)
{
	struct compactor *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->output_fd = output_fd;
	c->events = events;
	c->ctx = ctx;
	CDS_INIT_LIST_HEAD(&c->jobs);
	uv_mutex_init(&c->lock);
	uv_cond_init(&c->changed);
	r = uv_thread_create(&c->thread, thread_main, c);
	if (r < 0) {
		free(c);
		return r;
	}
	*ret = c;
	return 0;
}

void compactor_stop(struct compactor *c)
{
	struct job *j, *next;

	uv_mutex_lock(&c->lock);
	c->stopping = true;
	uv_cond_signal(&c->changed);
	uv_mutex_unlock(&c->lock);
	uv_thread_join(&c->thread);
	cds_list_for_each_entry_safe (j, next, &c->jobs, node) {
		if (j->fd >= 0)
			close(j->fd);
		free(j);
	}
	uv_mutex_destroy(&c->lock);
	uv_cond_destroy(&c->changed);
	free(c);
}
