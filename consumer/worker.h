/* SPDX-License-Identifier: MIT */
/*
 * worker.h - a consumer worker: one thread with one loop that moves the pages of many sources.
 *
 * A worker owns the sources that are assigned to it (source_slot.worker): it alone writes their
 * worker half (struct source_half), their streams' halves, their chunk files and directories. It
 * is level-triggered: the calls below only say "look", what to do stands in the state memory, so
 * that a worker of the next relayd goes on from the same place.
 *
 * Life:   worker_start() to worker_free(); the state memory outlives it.
 * Thread: [any] may be called from any thread; events are called on the worker's thread and must
 *         not block: they push to a queue of the receiver's loop.
 * Source: design.md sections 5 and 6; doc/life-of-a-session.md.
 */
#ifndef TRACERELAY_CONSUMER_WORKER_H
#define TRACERELAY_CONSUMER_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/ctf_place.h"
#include "common/state.h"

struct worker; /* opaque: consumer/worker.c */

/* A chunk that is under its final name (or was deleted because of keep-chunks). */
struct worker_chunk {
	struct state_ref source;
	uint64_t source_number;
	uint32_t number; /* of the chunk, from 1 */
	bool complete;
	bool deleted;
	bool sparse;               /* has holes that compaction should remove */
	uint64_t bytes;            /* stored in it */
	uint64_t lost;             /* events, counted by the traced kernel */
	int64_t start_ns, end_ns;  /* CLOCK_REALTIME */
	char path[STATE_DIR + 80]; /* of the data file, below output.dir */
};

/* Called on the worker's thread. Each may be repeated after a restart. */
struct worker_events {
	/* The source's metadata ring, found full before, has room again. */
	void (*room)(void *ctx, struct state_ref source);
	/* Which session? @host: the node name, "" if there is none. Answer: set source_slot.session
	 * (sessiond-lite does), then worker_look(). Asked again every second until then. */
	void (*match)(void *ctx, struct state_ref source, const char *host);
	/* UDP: the source's linger is over. Hand over what waits on its ports' shared sockets, then
	 * set source_front.drained and worker_look(). Asked again until then. */
	void (*drain)(void *ctx, struct state_ref source);
	/* An inbox slot is free again. */
	void (*inbox_freed)(void *ctx);
	/* A stream has ended and its descriptor here is closed (stream_slot.closed is set). */
	void (*stream_closed)(void *ctx, struct state_ref stream);
	/* For the catalog. Repeated every second until worker_chunk_kept(); deleted ones once. */
	void (*chunk)(void *ctx, const struct worker_chunk *chunk);
	/* LTTng: a data connection is closed here and its slot is marked done. */
	void (*connection_closed)(void *ctx, struct state_ref conversation);
	/* The source has ended, its last chunk is kept; nothing refers to it here any more. */
	void (*finished)(void *ctx, struct state_ref source);
	/* After worker_stop(): every source has finished. worker_free() may be called. */
	void (*stopped)(void *ctx, struct worker *worker);
};

struct worker_config {
	const struct state *state; /* borrowed for the worker's life */
	unsigned index;            /* of its worker_slot and counters */
	int pipe_read, pipe_write; /* owned by the worker from success on; O_NONBLOCK */
	int output_fd;             /* output.dir; borrowed */
	uint64_t udp_linger_ms;
	/* LTTng; 0 each: a default. */
	uint64_t lttng_packet_max; /* bytes of a packet, padding included */
	uint64_t stall_timeout_ms; /* an index whose packet does not come is dropped then */
	uint64_t max_stall_ms; /* a packet that waits for the disk is discarded then; 0: never */
	enum ctf_group lttng_group;
	unsigned lttng_open_files;          /* descriptors of stream and index files kept */
	const struct worker_events *events; /* static */
	void *ctx;
};

/*
 * Start the thread, which first completes the move that an earlier relayd may have left in its
 * slot. Call it before any descriptor is handed over. Never waits for the disk. Return 0 or
 * negative errno.
 */
int worker_start(const struct worker_config *config, struct worker **ret);

/* [any] Something changed that concerns the source: metadata, control's end, session, orders. Also
 * how a worker learns of a source. A source that is not the worker's is ignored. */
void worker_look(struct worker *w, struct state_ref source);

/* [any] A session changed: all its sources are looked at. */
void worker_look_all(struct worker *w);

/* [any] The stream's descriptor; the worker owns it from now on (closes it if the stream is not
 * known or has one already). TCP: the data connection; UDP: the stream's own socket. */
void worker_stream(struct worker *w, struct state_ref stream, int fd);

/* [any] LTTng: a data connection of which the first header has come (it stands in the slot's ring,
 * conversation_slot.source names a source of this worker). The worker owns descriptor and slot from
 * now on; also how one is handed over after a restart, in any state. */
void worker_connection(struct worker *w, struct state_ref conversation, int fd);

/* [any] An inbox slot (STATE_INBOX) is INBOX_ASSIGNED to a stream of this worker: store it. The
 * order of calls is the order of storing; worker_stream() of that stream comes after. */
void worker_inbox(struct worker *w, unsigned inbox);

/* [any] The catalog has it. */
void worker_chunk_kept(struct worker *w, struct state_ref source, uint32_t number);

/* [any] Finish all sources now (reason CLOSE_shutdown, chunks readable), then events->stopped. */
void worker_stop(struct worker *w);

/* Join the thread and free. Only after events->stopped. */
void worker_free(struct worker *w);

/* [any] Streams open and bytes waiting; for spreading sources: lower is better. */
uint32_t worker_load(const struct worker *w);

/* [any] Milliseconds (CLOCK_MONOTONIC) since when the worker is inside one turn, 0 if it is idle
 * in its poll: a large value means a stalled file system. */
int64_t worker_busy_since_ms(const struct worker *w);

/* [any] The disk does not let it go on: it has been blocked for half of max-stall (ctf_guard.h). */
bool worker_hangs(const struct worker *w);

#endif
