/* SPDX-License-Identifier: MIT */
/* compactor.c - holes go, bytes stay, readers are never surprised, a killed one is taken up. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "consumer/compact_plan.h"
#include "consumer/compactor.h"
#include "tests/unit/worker_rig.h"

static struct rig rig;
static struct rig_chunk chunk;
static struct compactor *compactor;
static _Atomic int done, result, holds, releases;
static _Atomic bool answer = true;

static void on_hold(void *ctx, uint64_t key, const char *path, int fd)
{
	(void)ctx;
	(void)path;
	cr_assert_geq(fcntl(fd, F_GETFD), 0, "open while it is offered");
	holds++;
	if (answer)
		compactor_held(compactor, key);
}

static void on_release(void *ctx, uint64_t key)
{
	(void)ctx;
	(void)key;
	releases++;
}

static void on_done(void *ctx, const char *path, int r)
{
	(void)ctx;
	(void)path;
	result = r;
	done++;
}

static const struct compactor_events events = {on_hold, on_release, on_done};

/* A finished chunk with pages of both CPUs, terabytes apart. */
static void setup(void)
{
	rig_make(&rig, TRANSPORT_TCP);
	rig_start(&rig);
	rig_metadata(&rig, 7, SIZE_MAX);
	rig_send_pages(&rig, 0, 0, 30);
	rig_send_pages(&rig, 1, 0, 20);
	for (unsigned i = 0; i < RIG_CPUS; i++)
		rig_close(&rig, i);
	rig_end_control(&rig, true);
	rig_wait(rig.finished);
	cr_assert(rig.last_chunk.sparse);
	cr_assert_eq(compactor_start(rig.output, &events, NULL, &compactor), 0);
}

static void teardown(void)
{
	if (compactor)
		compactor_stop(compactor);
	rig_free(&rig);
}

TestSuite(compactor, .init = setup, .fini = teardown);

static off_t size_of_chunk(void)
{
	struct stat sb;

	cr_assert_eq(fstatat(rig.output, rig.last_chunk.path, &sb, 0), 0);
	return sb.st_size;
}

static bool can_collapse(void)
{
	if (result == -EOPNOTSUPP)
		cr_log_info("this file system cannot collapse: only that is tested");
	return result != -EOPNOTSUPP;
}

static void expect_all(bool sparse)
{
	rig_chunk_open(&rig, "trace.dat", &chunk);
	rig_chunk_expect(&chunk, 0, 0, 30, false);
	rig_chunk_expect(&chunk, 1, 0, 20, false);
	cr_assert_eq(chunk.record.sparse, sparse);
	rig_chunk_close(&chunk);
}

Test(compactor, holes_go_and_bytes_stay)
{
	off_t before = size_of_chunk();

	cr_assert_gt(before, (off_t)1 << 30);
	compactor_order(compactor, rig.last_chunk.path);
	rig_wait(done == 1);
	if (!can_collapse()) {
		cr_assert_eq(size_of_chunk(), before);
		expect_all(true);
		return;
	}
	cr_assert_eq(result, 0);
	cr_assert_lt(size_of_chunk(), 50 * 4096 + (1 << 20));
	expect_all(false);
	rig_chunk_open(&rig, "trace.dat", &chunk);
	cr_assert_gt(chunk.record.synced.tv_sec, 0);
	rig_chunk_close(&chunk);
	cr_assert_eq(holds, 1);
	cr_assert_eq(releases, 1);
}

Test(compactor, a_reader_is_left_alone)
{
	off_t before = size_of_chunk();
	int reader = openat(rig.output, rig.last_chunk.path, O_RDONLY);

	compactor_order(compactor, rig.last_chunk.path);
	rig_wait(done == 1);
	cr_assert_eq(result, -EAGAIN);
	cr_assert_eq(size_of_chunk(), before);
	cr_assert_eq(releases, 1);
	close(reader);
	compactor_order(compactor, rig.last_chunk.path);
	rig_wait(done == 2);
	if (!can_collapse())
		return;
	cr_assert_eq(result, 0);
	expect_all(false);
}

Test(compactor, what_a_killed_one_began_is_completed)
{
	struct compact_plan *plan;
	struct compact_step step;
	int fd;

	/* The first collapse is done, the table is not written: a kill in between. */
	rig_chunk_open(&rig, "trace.dat", &chunk);
	cr_assert_eq(compact_plan_new(chunk.regions, RIG_CPUS, 64 << 10, RIG_PAGE, 4096, &plan), 0);
	step = compact_plan_step(plan, 0);
	if (fallocate(chunk.fd, FALLOC_FL_COLLAPSE_RANGE, (off_t)step.offset, (off_t)step.length) <
	    0)
		cr_skip_test("this file system cannot collapse");
	compact_plan_free(plan);
	rig_chunk_close(&chunk);
	fd = openat(rig.output, rig.last_chunk.path, O_RDWR | O_CLOEXEC);
	cr_assert_eq(fcntl(fd, F_SETLEASE, F_WRLCK), 0, "as sessiond-lite held it");
	compactor_inherit(compactor, 77, rig.last_chunk.path, fd);
	rig_wait(done == 1);
	cr_assert_eq(result, 0);
	cr_assert_eq(holds, 0);
	cr_assert_eq(releases, 1);
	expect_all(false);
}

Test(compactor, stops_while_nobody_answers)
{
	answer = false;
	compactor_order(compactor, rig.last_chunk.path);
	rig_wait(holds == 1);
	compactor_stop(compactor);
	compactor = NULL;
	expect_all(true);
}
