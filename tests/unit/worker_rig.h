/* SPDX-License-Identifier: MIT */
/*
 * worker_rig.h - one worker with one source, for tests: the rig plays sessiond-lite and relayd's
 * front loop. Streams are AF_UNIX socket pairs (splice does not mind), UDP streams datagram pairs.
 */
#ifndef TESTS_UNIT_WORKER_RIG_H
#define TESTS_UNIT_WORKER_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/state.h"
#include "consumer/record.h"
#include "consumer/worker.h"

#define RIG_CPUS 2
#define RIG_PAGE 4096u

struct rig {
	char dir[40];
	struct state st;
	struct source_slot *source;
	struct session_slot *session;
	struct worker *worker;
	int output, pipes[2];
	int peer[RIG_CPUS];  /* the client's ends */
	int relay[RIG_CPUS]; /* ours; the worker gets duplicates */
	/* what the worker said; read with rig_wait() */
	_Atomic unsigned chunks, deleted, finished, stopped, matches, inboxes;
	_Atomic unsigned open_at_end; /* streams that were not closed yet when it had finished */
	struct worker_chunk last_chunk;
};

/* State memory, directory, session "default", a V3 source; no worker yet. */
void rig_make(struct rig *r, enum transport transport);
/* Start the worker on what is there (again, after rig_stop()), streams handed over. */
void rig_start(struct rig *r);
void rig_stop(struct rig *r); /* worker_stop(), worker_free() */
void rig_free(struct rig *r); /* files too */

/* The client's metadata, complete or (len) only its beginning. */
void rig_metadata(struct rig *r, int version, size_t len);
void rig_end_control(struct rig *r, bool in_order);
void rig_look(struct rig *r);

/* Pages n .. n+count-1 of a CPU, RIG_PAGE bytes each; rig_page() makes one. */
void rig_page(uint8_t *page, unsigned cpu, uint64_t n);
void rig_send_pages(struct rig *r, unsigned cpu, uint64_t n, unsigned count);
void rig_close(struct rig *r, unsigned cpu);

/* Until the condition holds; fails the test after some seconds. */
#define rig_wait(condition)                                                           \
	do {                                                                          \
		for (int rig_i = 0; !(condition); rig_i++) {                          \
			cr_assert_lt(rig_i, 10000, "waited in vain for " #condition); \
			rig_pause();                                                  \
		}                                                                     \
	} while (0)
void rig_pause(void);

/* A consistent copy of a stream's half. */
struct stream_half rig_stream(struct rig *r, unsigned cpu);

/* Open and parse a finished chunk; its record too. Regions by CPU. */
struct rig_chunk {
	int fd;
	struct trace_dat_region *regions; /* [RIG_CPUS] */
	uint32_t page_size;               /* of the header */
	struct record record;
};
void rig_chunk_open(struct rig *r, const char *name, struct rig_chunk *ret);
void rig_chunk_close(struct rig_chunk *c);
/* The chunk holds exactly these pages of the CPU. @marked: the first is marked as behind a loss. */
void rig_chunk_expect(const struct rig_chunk *c, unsigned cpu, uint64_t n, unsigned count,
		      bool marked);

#endif
