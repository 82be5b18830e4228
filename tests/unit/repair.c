/* SPDX-License-Identifier: MIT */
/* repair.c - chunks of daemons that died together become readable; others are left alone. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "consumer/repair.h"
#include "consumer/trace_dat_tail.h"
#include "tests/unit/worker_rig.h"

static struct rig rig;
static struct rig_chunk chunk;
static struct worker_chunk told;
static unsigned count;

static void on_repaired(void *ctx, const struct worker_chunk *c)
{
	(void)ctx;
	told = *c;
	count++;
}

/*
 * A recording whose daemons are killed: the worker runs in a child, which is killed when the bytes
 * are stored; the state memory is then thrown away.
 */
static void record_and_kill(int version, size_t metadata, bool session_known, unsigned pages)
{
	pid_t pid;

	rig_make(&rig, TRANSPORT_TCP);
	atomic_store(&rig.source->session, session_known);
	rig_metadata(&rig, version, metadata);
	pid = fork();
	if (!pid) {
		rig_start(&rig);
		pause();
	}
	rig_send_pages(&rig, 0, 0, pages);
	rig_wait(rig_stream(&rig, 0).ledger.stored == pages * RIG_PAGE);
	rig_wait(source_now(rig.source)->metadata_written > 0);
	if (metadata == SIZE_MAX)
		rig_wait(source_now(rig.source)->placed &&
			 source_now(rig.source)->chunk[0].state == CHUNK_OPEN);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void repaired_is_readable(int version)
{
	record_and_kill(version, SIZE_MAX, true, 5);
	cr_assert_eq(repair_run(rig.output, INT64_MAX, on_repaired, NULL), 1);
	cr_assert_eq(count, 1);
	cr_assert_str_eq(told.path, "default/sender/20231114-221320-7/trace.dat");
	cr_assert_not(told.complete);
	cr_assert_eq(told.bytes, 5 * RIG_PAGE);
	rig_chunk_open(&rig, "trace.dat", &chunk);
	rig_chunk_expect(&chunk, 0, 0, 5, false);
	cr_assert_eq(chunk.regions[1].bytes, 0);
	cr_assert_not(chunk.record.complete);
	cr_assert_eq(chunk.record.streams[0].ledger.pages, 5);
	cr_assert_eq(chunk.record.source, 7);
	rig_chunk_close(&chunk);
	cr_assert_eq(repair_run(rig.output, INT64_MAX, on_repaired, NULL), 0, "once");
	rig_free(&rig);
}

Test(repair, v6)
{
	repaired_is_readable(6);
}

Test(repair, v7)
{
	repaired_is_readable(7);
}

Test(repair, what_is_being_written_is_left_alone)
{
	record_and_kill(6, SIZE_MAX, true, 2);
	cr_assert_eq(repair_run(rig.output, 0, on_repaired, NULL), 0);
	cr_assert_eq(count, 0);
	cr_assert_eq(repair_run(rig.output, INT64_MAX, on_repaired, NULL), 1);
	rig_free(&rig);
}

Test(repair, killed_inside_the_metadata)
{
	struct stat sb;
	char path[400];

	record_and_kill(6, 100, false, 2);
	cr_assert_eq(repair_run(rig.output, INT64_MAX, on_repaired, NULL), 1);
	cr_assert_eq(strncmp(told.path, "default/127.0.0.9/", 18), 0, "%s", told.path);
	cr_assert_not_null(strstr(told.path, "/trace.partial"));
	snprintf(path, sizeof(path), "%s/%s", rig.dir, told.path);
	cr_assert_eq(stat(path, &sb), 0, "nothing is thrown away");
	rig_free(&rig);
}
