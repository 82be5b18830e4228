/* SPDX-License-Identifier: MIT */
/* worker.c - a source's way through a worker: from metadata and pages to chunks and records. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/wire.h"
#include "consumer/page.h"
#include "consumer/trace_dat_tail.h"
#include "tests/unit/worker_rig.h"

static struct rig rig;
static struct rig_chunk chunk;

static void close_streams(void)
{
	for (unsigned i = 0; i < RIG_CPUS; i++)
		rig_close(&rig, i);
}

Test(worker, a_recording_becomes_a_trace_dat)
{
	rig_make(&rig, TRANSPORT_TCP);
	rig_start(&rig);
	rig_send_pages(&rig, 0, 0, 3); /* overtake the metadata */
	rig_metadata(&rig, 7, SIZE_MAX);
	rig_send_pages(&rig, 1, 0, 5);
	close_streams();
	rig_end_control(&rig, true);
	rig_wait(rig.finished);
	cr_assert_eq(rig.chunks, 1);
	cr_assert_str_eq(rig.last_chunk.path, "default/sender/20231114-221320-7/trace.dat");
	cr_assert(rig.last_chunk.complete);
	cr_assert_eq(rig.last_chunk.bytes, 8 * RIG_PAGE);
	rig_chunk_open(&rig, "trace.dat", &chunk);
	rig_chunk_expect(&chunk, 0, 0, 3, false);
	rig_chunk_expect(&chunk, 1, 0, 5, false);
	cr_assert(chunk.record.complete);
	cr_assert_str_eq(chunk.record.host, "sender");
	cr_assert_eq(chunk.record.streams[1].ledger.pages, 5);
	rig_chunk_close(&chunk);
	rig_free(&rig);
}

Test(worker, a_dead_client_leaves_what_arrived)
{
	uint8_t page[RIG_PAGE];

	rig_make(&rig, TRANSPORT_TCP);
	rig_start(&rig);
	rig_metadata(&rig, 6, SIZE_MAX);
	rig_send_pages(&rig, 0, 0, 2);
	rig_page(page, 0, 2);
	cr_assert_eq(write(rig.peer[0], page, 1000), 1000); /* cut inside a page */
	rig_wait(rig_stream(&rig, 0).ledger.received == 2 * RIG_PAGE + 1000);
	rig_end_control(&rig, false); /* the control connection first: an orphan goes on */
	cr_assert_eq(rig.finished, 0);
	close_streams();
	rig_wait(rig.finished);
	cr_assert_not(rig.last_chunk.complete);
	rig_chunk_open(&rig, "trace.dat", &chunk);
	rig_chunk_expect(&chunk, 0, 0, 2, false);
	cr_assert_eq(chunk.record.streams[0].ledger.discarded[DISCARD_PARTIAL], 1000);
	cr_assert_not(chunk.record.complete);
	cr_assert_not_null(strstr(chunk.record.why, "CLOSE"));
	rig_chunk_close(&chunk);
	rig_free(&rig);
}

Test(worker, incomplete_metadata_is_kept_but_no_trace_dat)
{
	struct source_half h;
	struct stat sb;
	char path[400];

	rig_make(&rig, TRANSPORT_TCP);
	rig_start(&rig);
	rig_metadata(&rig, 6, 100);
	close_streams();
	rig_end_control(&rig, false);
	rig_wait(rig.finished);
	source_read(rig.source, &h);
	cr_assert_str_eq(h.dir, "default/127.0.0.9/20231114-221320-7", "by its address");
	snprintf(path, sizeof(path), "%s/%s/trace.partial", rig.dir, h.dir);
	cr_assert_eq(stat(path, &sb), 0);
	snprintf(path, sizeof(path), "%s/%s/trace.dat", rig.dir, h.dir);
	cr_assert_neq(stat(path, &sb), 0);
	rig_free(&rig);
}

Test(worker, rotation_by_order_on_page_boundaries)
{
	uint8_t page[RIG_PAGE];

	rig_make(&rig, TRANSPORT_TCP);
	rig_start(&rig);
	rig_metadata(&rig, 7, SIZE_MAX);
	rig_send_pages(&rig, 0, 0, 2);
	rig_send_pages(&rig, 1, 0, 1);
	rig_page(page, 0, 2);
	cr_assert_eq(write(rig.peer[0], page, 100), 100); /* CPU 0 stands inside a page */
	rig_wait(rig_stream(&rig, 0).ledger.received == 2 * RIG_PAGE + 100);
	rig_wait(rig_stream(&rig, 1).ledger.received == RIG_PAGE);
	atomic_fetch_add(&rig.session->rotation_orders, 1);
	worker_look_all(rig.worker);
	rig_wait(rig_stream(&rig, 1).chunk_number == 2); /* the idle one at once */
	cr_assert_eq(rig_stream(&rig, 0).chunk_number, 1);
	cr_assert_eq(rig.chunks, 0);
	cr_assert_eq(write(rig.peer[0], page + 100, RIG_PAGE - 100), RIG_PAGE - 100);
	rig_wait(rig.chunks == 1);
	rig_send_pages(&rig, 0, 3, 1);
	close_streams();
	rig_end_control(&rig, true);
	rig_wait(rig.finished);
	rig_chunk_open(&rig, "trace.000001.dat", &chunk);
	rig_chunk_expect(&chunk, 0, 0, 3, false);
	rig_chunk_expect(&chunk, 1, 0, 1, false);
	rig_chunk_close(&chunk);
	rig_chunk_open(&rig, "trace.000002.dat", &chunk);
	rig_chunk_expect(&chunk, 0, 3, 1, false);
	rig_chunk_close(&chunk);
	rig_free(&rig);
}

Test(worker, keep_chunks_drops_the_oldest)
{
	struct source_half h;
	struct stat sb;
	char path[400];

	rig_make(&rig, TRANSPORT_TCP);
	atomic_store(&rig.session->keep_chunks, 2);
	rig_start(&rig);
	rig_metadata(&rig, 6, SIZE_MAX);
	for (unsigned i = 0; i < 4; i++) {
		rig_send_pages(&rig, 0, i, 1);
		rig_wait(rig_stream(&rig, 0).ledger.received == (i + 1) * RIG_PAGE);
		atomic_fetch_add(&rig.session->rotation_orders, 1);
		worker_look_all(rig.worker);
		rig_wait(rig.chunks == i + 1);
	}
	close_streams();
	rig_end_control(&rig, true);
	rig_wait(rig.finished);
	cr_assert_eq(rig.deleted, 2);
	source_read(rig.source, &h);
	for (unsigned n = 1; n <= 4; n++) {
		snprintf(path, sizeof(path), "%s/%s/trace.%06u.dat", rig.dir, h.dir, n);
		cr_assert_eq(stat(path, &sb) == 0, n > 2, "chunk %u", n);
	}
	rig_free(&rig);
}

Test(worker, a_stopped_session_discards_and_counts)
{
	rig_make(&rig, TRANSPORT_TCP);
	rig_start(&rig);
	rig_metadata(&rig, 6, SIZE_MAX);
	rig_send_pages(&rig, 0, 0, 2);
	rig_wait(rig_stream(&rig, 0).ledger.stored == 2 * RIG_PAGE);
	atomic_store(&rig.session->stopped, 1);
	worker_look_all(rig.worker);
	rig_wait(rig.chunks == 1); /* finished, while connections stay */
	rig_send_pages(&rig, 0, 2, 3);
	rig_wait(rig_stream(&rig, 0).ledger.discarded[DISCARD_STOPPED] == 3 * RIG_PAGE);
	atomic_store(&rig.session->stopped, 0);
	worker_look_all(rig.worker);
	rig_wait(rig_stream(&rig, 0).chunk_number == 2);
	rig_send_pages(&rig, 0, 5, 2);
	close_streams();
	rig_end_control(&rig, true);
	rig_wait(rig.finished);
	rig_chunk_open(&rig, "trace.000001.dat", &chunk);
	rig_chunk_expect(&chunk, 0, 0, 2, false);
	rig_chunk_close(&chunk);
	rig_chunk_open(&rig, "trace.000002.dat", &chunk);
	rig_chunk_expect(&chunk, 0, 5, 2, true); /* EVENTS DROPPED before it */
	cr_assert_eq(chunk.record.streams[0].ledger.discarded[DISCARD_STOPPED], 3 * RIG_PAGE);
	cr_assert_eq(chunk.record.streams[0].ledger.lost_intervals, 0,
		     "our mark is not the kernel's");
	rig_chunk_close(&chunk);
	rig_free(&rig);
}

Test(worker, what_comes_after_start_is_stored)
{
	rig_make(&rig, TRANSPORT_TCP);
	rig_start(&rig);
	rig_metadata(&rig, 6, SIZE_MAX);
	rig_send_pages(&rig, 0, 0, 2);
	rig_wait(rig_stream(&rig, 0).ledger.stored == 2 * RIG_PAGE);
	atomic_store(&rig.session->stopped, 1);
	worker_look_all(rig.worker);
	rig_wait(rig.chunks == 1);
	rig_send_pages(&rig, 0, 2, 3);
	rig_wait(rig_stream(&rig, 0).ledger.discarded[DISCARD_STOPPED] == 3 * RIG_PAGE);
	atomic_store(&rig.session->stopped, 0); /* the worker has yet to be told */
	rig_send_pages(&rig, 0, 5, 2);
	close_streams();
	rig_end_control(&rig, true);
	rig_wait(rig.finished);
	rig_chunk_open(&rig, "trace.000002.dat", &chunk);
	rig_chunk_expect(&chunk, 0, 5, 2, true);
	cr_assert_eq(chunk.record.streams[0].ledger.discarded[DISCARD_STOPPED], 3 * RIG_PAGE);
	rig_chunk_close(&chunk);
	rig_free(&rig);
}

Test(worker, a_full_disk_discards_and_stores_again)
{
	struct rlimit small = {.rlim_cur = 0, .rlim_max = RLIM_INFINITY}, large;

	signal(SIGXFSZ, SIG_IGN);
	rig_make(&rig, TRANSPORT_TCP);
	rig_start(&rig);
	rig_metadata(&rig, 6, SIZE_MAX);
	rig_send_pages(&rig, 0, 0, 2);
	rig_wait(rig_stream(&rig, 0).ledger.stored == 2 * RIG_PAGE);
	getrlimit(RLIMIT_FSIZE, &large);
	small.rlim_max = large.rlim_max;
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &small), 0); /* every write fails from now on */
	rig_send_pages(&rig, 0, 2, 3);
	rig_wait(rig_stream(&rig, 0).ledger.discarded[DISCARD_DISK] == 3 * RIG_PAGE);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &large), 0);
	rig_wait(!source_now(rig.source)->disk_full);
	rig_send_pages(&rig, 0, 5, 2);
	close_streams();
	rig_end_control(&rig, true);
	rig_wait(rig.finished);
	rig_chunk_open(&rig, "trace.dat", &chunk);
	cr_assert_eq(chunk.regions[0].bytes, 4 * RIG_PAGE);
	cr_assert_eq(chunk.record.streams[0].ledger.discarded[DISCARD_DISK], 3 * RIG_PAGE);
	rig_chunk_close(&chunk);
	rig_free(&rig);
}

Test(worker, datagrams_are_cut_at_sub_buffers)
{
	uint8_t two[2 * RIG_PAGE + 10];

	rig_make(&rig, TRANSPORT_UDP);
	rig_start(&rig);
	rig_metadata(&rig, 7, SIZE_MAX);
	rig_send_pages(&rig, 0, 0, 1);
	rig_page(two, 0, 1);
	rig_page(two + RIG_PAGE, 0, 2);
	memset(two + 2 * RIG_PAGE, 0xee, 10);
	cr_assert_eq(write(rig.peer[0], two, sizeof(two)), sizeof(two));
	rig_wait(rig_stream(&rig, 0).ledger.datagrams == 2);
	rig_send_pages(&rig, 0, 3, 1);
	rig_wait(rig_stream(&rig, 0).ledger.datagrams == 3);
	rig_end_control(&rig, true); /* and the linger ends it */
	rig_wait(rig.finished);
	rig_chunk_open(&rig, "trace.dat", &chunk);
	rig_chunk_expect(&chunk, 0, 0, 4, false);
	cr_assert_eq(chunk.record.streams[0].ledger.discarded[DISCARD_PROTOCOL], 10);
	rig_chunk_close(&chunk);
	rig_free(&rig);
}

Test(worker, larger_sub_buffers_than_claimed_are_found_out)
{
	struct page_format big = {.size = 4 * RIG_PAGE, .commit_size = 8};
	static uint8_t page[4 * RIG_PAGE];

	rig_make(&rig, TRANSPORT_TCP);
	rig_start(&rig);
	rig_metadata(&rig, 6, SIZE_MAX); /* claims 4096 */
	for (unsigned i = 0; i < 6; i++) {
		memset(page, 0, sizeof(page));
		wire_set_u64_as(page, 1000 + i, false);
		wire_set_u64_as(page + 8, i % 2 ? 700 : 9000, false);
		memset(page + 16, 0x21, i % 2 ? 700 : 9000);
		cr_assert_eq(write(rig.peer[0], page, sizeof(page)), sizeof(page));
	}
	close_streams();
	rig_end_control(&rig, true);
	rig_wait(rig.finished);
	rig_chunk_open(&rig, "trace.dat", &chunk);
	cr_assert_eq(chunk.page_size, big.size);
	cr_assert_eq(chunk.record.streams[0].ledger.pages, 6);
	cr_assert_eq(chunk.regions[0].bytes, 6 * big.size);
	rig_chunk_close(&chunk);
	rig_free(&rig);
}

Test(worker, a_shutdown_finishes_what_is_open)
{
	rig_make(&rig, TRANSPORT_TCP);
	rig_start(&rig);
	rig_metadata(&rig, 7, SIZE_MAX);
	rig_send_pages(&rig, 0, 0, 2);
	rig_wait(rig_stream(&rig, 0).ledger.stored == 2 * RIG_PAGE);
	rig_stop(&rig);
	rig_chunk_open(&rig, "trace.dat", &chunk);
	rig_chunk_expect(&chunk, 0, 0, 2, false);
	cr_assert_not(chunk.record.complete);
	rig_chunk_close(&chunk);
	rig_free(&rig);
}

/* Killed between two streams' last steps: the one that has left its chunk must not leave it again.
 */
Test(worker, killed_while_the_last_chunk_freezes)
{
	struct stream_half *h;
	pid_t pid;
	int status;

	rig_make(&rig, TRANSPORT_TCP);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		rig_start(&rig);
		rig_metadata(&rig, 7, SIZE_MAX);
		rig_send_pages(&rig, 0, 0, 3);
		rig_send_pages(&rig, 1, 0, 5);
		for (;;)
			pause();
	}
	rig_wait(rig_stream(&rig, 0).ledger.stored == 3 * RIG_PAGE &&
		 rig_stream(&rig, 1).ledger.stored == 5 * RIG_PAGE);
	cr_assert_eq(kill(pid, SIGKILL), 0);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	h = stream_begin(&rig.st.stream[0]);
	h->state = STREAM_ENDED;
	h->frozen_number = h->chunk_number;
	h->frozen_end = h->position;
	h->frozen = h->chunk_base = h->ledger;
	h->chunk = STREAM_NO_CHUNK;
	h->chunk_number = 0;
	h->position = h->scanned = 0;
	stream_commit(&rig.st.stream[0]);
	rig_start(&rig);
	close_streams();
	rig_end_control(&rig, true);
	rig_wait(rig.finished);
	rig_chunk_open(&rig, "trace.dat", &chunk);
	rig_chunk_expect(&chunk, 0, 0, 3, false);
	rig_chunk_expect(&chunk, 1, 0, 5, false);
	rig_chunk_close(&chunk);
	rig_free(&rig);
}

/* Killed when a first datagram is stored and its inbox slot already holds the next one. */
Test(worker, killed_behind_a_freed_inbox_slot)
{
	struct inbox_slot *inbox;
	struct inbox_half *in;
	struct move_half *m;
	pid_t pid;
	int status;

	rig_make(&rig, TRANSPORT_UDP);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		rig_start(&rig);
		rig_metadata(&rig, 7, SIZE_MAX);
		rig_send_pages(&rig, 0, 0, 1);
		for (;;)
			pause();
	}
	rig_wait(rig_stream(&rig, 0).ledger.stored == RIG_PAGE);
	cr_assert_eq(kill(pid, SIGKILL), 0);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	m = move_begin(&rig.st.worker[0]);
	*m = (struct move_half){.kind = MOVE_INBOX,
				.store = 1,
				.inbox_sequence = 1,
				.stream = {.id = atomic_load(&rig.st.stream[0].id)}};
	move_commit(&rig.st.worker[0]);
	inbox = &rig.st.inbox[0];
	cr_assert_eq(state_touch(&rig.st, inbox, sizeof(*inbox)), 0);
	rig_page(inbox->buffer, 0, 1);
	in = inbox_begin(inbox);
	in->state = INBOX_ASSIGNED;
	in->stream = m->stream;
	in->sequence = 2;
	in->datagram.msg_len = RIG_PAGE;
	inbox_commit(inbox);
	rig_start(&rig);
	worker_inbox(rig.worker, 0);
	rig_wait(rig_stream(&rig, 0).ledger.stored == 2 * RIG_PAGE);
	rig_end_control(&rig, true);
	rig_wait(rig.finished);
	rig_chunk_open(&rig, "trace.dat", &chunk);
	rig_chunk_expect(&chunk, 0, 0, 2, false);
	rig_chunk_close(&chunk);
	rig_free(&rig);
}

Test(worker, finished_behind_the_last_descriptor)
{
	rig_make(&rig, TRANSPORT_TCP);
	rig_start(&rig);
	rig_end_control(&rig, false); /* no metadata, no chunk: nothing else takes time */
	close_streams();
	rig_wait(rig.finished);
	cr_assert_eq(rig.open_at_end, 0, "sessiond-lite may give the slots to another now");
	rig_free(&rig);
}

Test(worker, nothing_comes_behind_finished)
{
	struct inbox_slot *inbox;
	struct inbox_half *h;

	rig_make(&rig, TRANSPORT_UDP);
	rig_start(&rig);
	rig_metadata(&rig, 7, SIZE_MAX);
	rig_end_control(&rig, true);
	rig_wait(rig.finished);
	/* A datagram that the front loop gave it before it heard of that. */
	inbox = &rig.st.inbox[0];
	cr_assert_eq(state_touch(&rig.st, inbox, sizeof(*inbox)), 0);
	h = inbox_begin(inbox);
	h->state = INBOX_ASSIGNED;
	h->stream = (struct state_ref){.id = atomic_load(&rig.st.stream[0].id)};
	h->datagram.msg_len = RIG_PAGE;
	inbox_commit(inbox);
	rig_look(&rig);
	worker_inbox(rig.worker, 0);
	rig_wait(rig.inboxes);
	cr_assert_eq(inbox_now(inbox)->state, INBOX_FREE);
	cr_assert_eq(counters_sum(rig.st.counters, 1, COUNTER_datagrams_stray), 1);
	cr_assert_eq(rig_stream(&rig, 0).ledger.received, 0);
	cr_assert_eq(rig.finished, 1);
	rig_free(&rig);
}
