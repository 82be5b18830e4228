/* SPDX-License-Identifier: MIT */
/*
 * internal.h - what the files of the consumer library share and nobody else sees.
 *
 *   worker ──owns──▶ consumer_source ──has──▶ chunk files (at most two open)
 *                         └──has──▶ consumer_stream ──has──▶ descriptor, poll handle
 *
 * These objects are the process side of slots: descriptors and libuv handles. Everything that must
 * survive is in the slot; an object can be dropped and made again at any time.
 * Thread: all of it belongs to the worker's thread.
 */
#ifndef TRACERELAY_CONSUMER_INTERNAL_H
#define TRACERELAY_CONSUMER_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <urcu/list.h>
#include <uv.h>

#include "common/log.h"
#include "common/mpsc.h"
#include "common/state.h"
#include "consumer/page.h"
#include "consumer/trace_dat_layout.h"
#include "consumer/worker.h"

#define WORKER_MOVE_MAX   (1u << 20) /* bytes of one move: what a pipe holds */
#define WORKER_SCAN_EVERY (2u << 20) /* bytes of pages between two readings of headers */
#define WORKER_TICK_MS    250
#define WORKER_COPY       (256u << 10) /* bytes of the buffer that copies metadata */

struct consumer_stream {
	struct consumer_source *source;
	struct stream_slot *slot;
	struct state_ref ref;
	struct cds_list_head node; /* of source->streams, in CPU order */
	uv_poll_t poll;            /* poll.data: this */
	int fd;                    /* -1: none */
	bool polling;              /* handle initialised */
	bool closing;              /* handle is being closed */
};

struct consumer_source {
	struct worker *worker;
	void (*run)(struct consumer_source *s); /* the machine, for those below it */
	struct source_slot *slot;
	struct state_ref ref;
	struct cds_list_head node;    /* of worker->sources */
	struct cds_list_head streams; /* of consumer_stream */
	struct trace_dat_layout layout;
	int file[2];          /* of chunk[0], chunk[1]; -1: not open here */
	bool asked;           /* for its session, since the last tick */
	bool asked_drain;     /* likewise */
	bool announced;       /* the chunk that an earlier relayd renamed */
	bool listed;          /* in worker->sources */
	bool orphan;          /* was counted as one */
	bool disk_logged;     /* a full disk was logged in this episode */
	uint64_t chunk_bytes; /* stored in the chunk being filled */
	unsigned doubts;      /* pages that the claimed sub-buffer size did not explain */
	unsigned handles;     /* of streams, still to be closed */
};

struct worker {
	/* [any] */
	uv_async_t wake;
	struct mpsc queue;
	_Atomic uint32_t open_streams;
	_Atomic int64_t busy_since_ms;
	_Atomic int64_t round_since_ms; /* of the first turn since it last waited; 0: it waits */
	_Atomic int thread_id;          /* gettid(), once it runs */
	_Atomic bool hangs;             /* the guard says so */
	/* What the guard reads in the worker's place; never held over the disk. */
	uv_mutex_t sockets;
	struct cds_list_head ctf_connections; /* under it: of struct ctf_connection */
	/* The guard's: for how long it found this worker blocked, in all and since a round began.
	 */
	int64_t blocked_ms, blocked_round_ms, blocked_round;
	/* Constant after start: the connection whose move an earlier relayd left, and how many
	 * bytes of its present payload that move had taken, or was about to store. */
	struct state_ref left_connection;
	uint32_t left_taken;
	/* constant after start */
	struct worker_config config;
	const struct state *st;
	struct worker_slot *slot;
	struct counters *counters;
	uv_thread_t thread;
	size_t pipe_size;
	int null_fd;
	uint64_t max_file_size;
	/* worker's thread */
	uv_loop_t loop;
	uv_timer_t tick;
	uv_prepare_t rest;
	struct cds_list_head sources;
	struct cds_list_head ctf_sources;   /* of struct ctf_source: LTTng */
	struct cds_list_head ctf_due;       /* those that have orders, and wait for their turn */
	struct cds_list_head ctf_files;     /* of struct ctf_file, the one used last at the end */
	unsigned ctf_open;                  /* of those */
	struct ctf_arrivals *ctf_arrivals;  /* ctf_arrivals.h */
	struct ctf_source **ctf_source_at;  /* by slot index */
	struct ctf_stream **ctf_stream_at;  /* by slot index */
	struct consumer_source **source_at; /* by slot index */
	struct consumer_stream **stream_at; /* by slot index */
	uint64_t *finished;                 /* by slot index: id of the source that was finished */
	uint8_t *copy;                      /* WORKER_COPY bytes for copying metadata */
	bool stopping;
	bool stopped;
};

/* ---- source_view.c: what the slots say ---- */

struct page_format source_view_format(const struct source_half *h);
/* True while a stream may not go beyond the end of its present page. */
bool source_view_switching(const struct consumer_source *s, const struct stream_half *h);
unsigned source_view_current_chunk(const struct source_half *h);
/* The session is stopped: what comes is discarded. */
bool source_view_stopped(const struct consumer_source *s);

/* ---- disk_trouble.c ---- */

/* A write failed: storing is suspended. */
void disk_trouble_note(struct consumer_source *s, int error);
/* Once in a while: is there room again? */
void disk_trouble_retry(struct consumer_source *s);

/* ---- consumer_source.c: the machine of one source ---- */

/* The object of a slot that belongs to this worker, made if need be; NULL if it is not ours. */
struct consumer_source *consumer_source_get(struct worker *w, struct state_ref ref);
/* Do whatever is due: metadata, place, rotation, stop, end. Re-entered by every event. */
void consumer_source_run(struct consumer_source *s);
/* The same, with what is only looked at once a second. */
void consumer_source_tick(struct consumer_source *s);
void consumer_source_drop(struct consumer_source *s); /* when its handles are closed */

/* ---- consumer_stream.c: a descriptor and its turn ---- */

struct consumer_stream *consumer_stream_new(struct consumer_source *s, struct stream_slot *slot);
void consumer_stream_attach(struct consumer_stream *t, int fd);
/* End of file, or reason to end: the closing step, then the descriptor. */
void consumer_stream_end(struct consumer_stream *t);
void consumer_stream_drop(struct consumer_stream *t);

/* ---- move.c: the step; datagrams.c: that of UDP streams ---- */

/*
 * One move from the stream's descriptor. Bytes moved; 0: end of file; -EAGAIN; another errno: the
 * connection failed. Trouble with the disk is handled inside and is no error here.
 */
ssize_t move_stream(struct consumer_stream *t);
ssize_t move_datagrams(struct consumer_stream *t);
/*
 * Empty the worker's pipe. @out_fd with @offset, or the null device with NULL. @left bytes are in
 * it. Return 0, or negative errno of the output with *left what is still in the pipe.
 */
int move_drain(const struct worker *w, int out_fd, loff_t *offset, size_t *left);
/* A first datagram. */
void move_inbox(struct consumer_stream *t, unsigned inbox);
/* One whose source has finished meanwhile: thrown away, and counted as a stray. */
void datagrams_refuse(struct worker *w, unsigned inbox);
/* Complete a move that an earlier relayd left: through the pipe, or of datagrams. */
void move_recover(struct consumer_stream *t);
void datagrams_recover(struct consumer_stream *t);
/* The same, of a stream that nobody knows: what was received is thrown away. Returns the bytes. */
uint64_t move_abandon(struct worker *w);
/* Before the end of a UDP stream: what its own socket holds. */
void datagrams_drain(struct consumer_stream *t);
/* At the end of a UDP stream: drops behind the last datagram. */
void datagrams_note_tail(struct consumer_stream *t);

/* ---- scan.c ---- */

/* Read the headers of the whole pages stored since the last time; sets due loss marks. Not before
 * the metadata says how to read them. */
void scan_stream(struct consumer_stream *t);
/* The same at a chunk's end, whatever is known. */
void scan_stream_end(struct consumer_stream *t);
/* A datagram holds whole sub-buffers: one that is no multiple of the claim proves that to be too
 * large. Before the datagram is stored. */
void scan_datagram(struct consumer_stream *t, const uint8_t *bytes, size_t len);

/* ---- chunk.c: files of chunks ---- */

/* The descriptor of the source's chunk 0 or 1, opened (or created, if its state says so); negative
 * errno. */
int chunk_file(struct consumer_source *s, unsigned which);
/* The chunk whose file takes metadata and first pages, made now if need be. 0..1 or errno. */
int chunk_first(struct consumer_source *s);
/* The file of the chunk that a stream fills; the very first one is made if need be. Errors as
 * chunk_file(). */
int chunk_data_file(struct consumer_source *s, unsigned which);
/* Start the next chunk in the free entry: name, file, metadata. 0 or negative errno. */
int chunk_begin(struct consumer_source *s, unsigned *ret_which);
/* Drop the chunk behind the present one, if a rotation had prepared it. */
void chunk_forget_next(struct consumer_source *s, unsigned present);
/* A frozen chunk: table, record, name. 0, or negative errno: try again later. */
int chunk_finish(struct consumer_source *s, unsigned which);
/* Its final name, without directory. */
void chunk_name(uint32_t number, bool numbered, bool readable, char *name, size_t cap);
/* Whether the metadata in the open chunk can be understood; commits what it says. */
void chunk_parse_metadata(struct consumer_source *s, bool final);

/* ---- announce.c: chunks that are in place, until the catalog has them ---- */

bool announce_full(const struct consumer_source *s); /* the catalog is far behind */
/* Whether a chunk (number 0: any) waits for the catalog's answer. */
bool announce_pending(const struct consumer_source *s, uint32_t number);
/* A chunk has its final name: its entry is free, in one step, and the catalog is told. */
void announce_add(struct consumer_source *s, unsigned which);
void announce_again(struct consumer_source *s);
void announce_kept(struct consumer_source *s, uint32_t number);

/* ---- retention.c ---- */

/* Delete what keep-chunks does not keep. */
void retention_run(struct consumer_source *s);

/* ---- place.c: directories ---- */

/* Give the source a directory (.incoming/N, or the final one) if it has none. 0 or errno. */
int place_first(struct consumer_source *s);
/* Move it to its final directory once session and host are known. 0 or errno. */
int place_final(struct consumer_source *s);
/* Complete a rename that was begun. */
int place_resume(struct consumer_source *s);

/* ---- rotation.c ---- */

/* Begin what is due (orders, size, time, stop, region) and let streams switch. */
void rotation_run(struct consumer_source *s);
/* A stream whose position is at the end of a page, while its source switches. */
void rotation_switch(struct consumer_stream *t);
/* All of a source's streams have ended: freeze the last chunk. */
void rotation_freeze_last(struct consumer_source *s, uint32_t why);

/* ---- around everything that may touch the disk, so that a hanging turn shows from outside ---- */

static inline void worker_turn_begin(struct worker *w)
{
	struct timespec ts;
	int64_t now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	now = (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
	atomic_store_explicit(&w->busy_since_ms, now, memory_order_relaxed);
	if (!atomic_load_explicit(&w->round_since_ms, memory_order_relaxed))
		atomic_store_explicit(&w->round_since_ms, now, memory_order_relaxed);
}

static inline void worker_turn_end(struct worker *w)
{
	atomic_store_explicit(&w->busy_since_ms, 0, memory_order_relaxed);
}

#endif
