/* SPDX-License-Identifier: MIT */
/*
 * ctf_internal.h - what the files of the consumer's LTTng side share.
 *
 *   worker ──owns──▶ ctf_source ──has──▶ ctf_stream ──has──▶ at most two descriptors (data, index)
 *                         └────────has──▶ ctf_connection ──has──▶ descriptor, poll handle
 *
 * As in internal.h: these objects are the process side of slots and can be made again at any time.
 *
 * Repetition: an order changes slots by one commit each, and each half remembers the ring position
 *         behind the last order that changed it: ctf_source_half.ordered, and of a stream
 *         stream_half.scanned (which LTTng streams use for nothing else).
 * Thread: all of it belongs to the worker's thread.
 */
#ifndef TRACERELAY_CONSUMER_CTF_INTERNAL_H
#define TRACERELAY_CONSUMER_CTF_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <urcu/list.h>
#include <uv.h>

#include "common/counters.h"
#include "common/log.h"
#include "common/state.h"
#include "common/stream_walk.h"
#include "consumer/ctf_arrivals.h"
#include "consumer/internal.h"

#define CTF_PACKET_MAX  (64u << 20) /* bytes, where the configuration says nothing */
#define CTF_STALL_MS    60000u      /* likewise */
#define CTF_OPEN_FILES  512u        /* likewise */
#define CTF_ORDERS_TURN 512u        /* orders that are applied in one turn */

/* A descriptor that may be closed and opened again at any time. */
struct ctf_file {
	struct cds_list_head node; /* of worker->ctf_files, the one used last at the end */
	int fd;                    /* -1: none */
	uint64_t serial;           /* of the chunk it lies in */
	uint64_t number;           /* of the tracefile */
};

struct ctf_connection;

struct ctf_stream {
	struct ctf_source *source;
	struct stream_slot *slot;
	struct ctf_stream_slot *ctf;
	struct state_ref ref;
	struct cds_list_head node; /* of source->streams */
	struct ctf_file data, index;
	struct ctf_connection *connection; /* that brings a packet at this moment */
	uint64_t fed_by;                   /* id of the connection that brought the last packet */
	bool orphan;                       /* that connection is closed */
	int64_t left_since_ms;             /* no order comes any more; 0: not so, or not noticed */
	int64_t over_since_ms;             /* likewise: everything of it is here */
};

struct ctf_connection {
	struct worker *worker;
	struct conversation_slot *slot;
	struct state_ref ref;
	int fd;
	/* Under worker->sockets, as is all that says where in a packet the connection is. */
	struct cds_list_head all; /* of worker->ctf_connections */
	uint32_t taken;           /* bytes of the present payload taken off the socket */
	bool held;                /* the guard reads it */
	bool deaf;                /* ... and has come to what only the worker can judge */
	bool closing;
	/* Bytes wait since worker->blocked_ms was that much less one; 0: none do. */
	int64_t unread_since;
	/* The worker's */
	struct ctf_source *source; /* NULL: on its way to the worker */
	struct cds_list_head node; /* of source->connections */
	uv_poll_t poll;
	bool waiting;        /* for an order: not polled */
	int64_t progress_ms; /* CLOCK_MONOTONIC of its last turn; 0: none yet */
};

struct ctf_source {
	struct worker *worker;
	struct source_slot *slot;
	struct ctf_source_slot *ctf;
	struct state_ref ref;
	struct cds_list_head node;     /* of worker->ctf_sources */
	struct cds_list_head due_node; /* of worker->ctf_due, if it is due */
	bool due;
	struct cds_list_head streams, connections;
	unsigned stream_count;
	int64_t blocked_since_ms;    /* an index waits for its packet; 0: none */
	uint64_t blocked_at;         /* ring position of it */
	int64_t incomplete_since_ms; /* control has ended, packets are missing; 0: not so */
	bool ending;                 /* indexes wait for nothing any more */
	bool rotating;               /* some stream may be armed for a rotation */
	int64_t said_ms;             /* when the catalog was told of its chunks; 0: not yet */
	int64_t cleared_since_ms;    /* a cleared chunk is there for viewers; 0: not known */
	int64_t trouble_ms;       /* of the last trouble with the disk that was logged; 0: none */
	struct stream_walk known; /* streams up to here have (or had) objects */
	bool running;             /* a turn is under way: not entered again */
};

/*
 * For tests: called before and behind every commit, where a SIGKILL may come. The commits of
 * state.h go through it in these files.
 */
extern void (*ctf_fault)(void);

static inline void ctf_fault_point(void)
{
	if (ctf_fault)
		ctf_fault();
}

#define CTF_COMMIT(commit, slot)  (ctf_fault_point(), (commit)(slot), ctf_fault_point())
#define stream_commit(slot)       CTF_COMMIT(stream_commit, slot)
#define source_commit(slot)       CTF_COMMIT(source_commit, slot)
#define ctf_source_commit(slot)   CTF_COMMIT(ctf_source_commit, slot)
#define conversation_commit(slot) CTF_COMMIT(conversation_commit, slot)
#define move_commit(slot)         CTF_COMMIT(move_commit, slot)

/* ---- ctf_source.c: the machine of one source ---- */

struct ctf_source *ctf_source_get(struct worker *w, struct state_ref ref);
/* Do whatever is due. The object may be gone behind it. */
void ctf_source_run(struct ctf_source *s);
void ctf_source_tick(struct ctf_source *s);
/* The object of a stream of this source, made if need be; NULL if it is not one. */
struct ctf_stream *ctf_source_stream(struct ctf_source *s, uint32_t index, uint64_t id);
/* Its object goes, with its descriptors; its slot stays. */
void ctf_source_forget(struct ctf_stream *t);
/* A data connection may still bring what is missing. */
bool ctf_source_may_come(struct ctf_source *s);
bool ctf_source_stopped(const struct ctf_source *s);
/* A write failed: logged once an episode; packets are discarded until there is room. */
void ctf_source_disk_trouble(struct ctf_source *s, int error);
/* No room: worth waiting for. Other errors stay. */
bool ctf_source_disk_is_full(int error);
/* True of a client that sends no index: old ones, and snapshots. */
bool ctf_source_indexless(const struct ctf_source *s);
/* The stream has ended for its client and everything of it is here. */
bool ctf_stream_complete(const struct stream_half *h);
int64_t ctf_now_ms(void);

/* ---- ctf_order.c: the ring ---- */

/* Apply orders, as many as a turn may. True: it made room, or something else may go on now. */
bool ctf_order_apply(struct ctf_source *s);
bool ctf_order_all_applied(const struct ctf_source *s);

/* ---- ctf_connection.c: a data connection and its turn ---- */

/* [front loop] Known to the guard from here on. Owns the descriptor; NULL: the slot is gone. */
struct ctf_connection *ctf_connection_new(struct worker *w, struct state_ref ref, int fd);
/* It has come to its worker. It may be gone behind this. */
void ctf_connection_attach(struct ctf_connection *c);
/* One that never came. */
void ctf_connection_free(struct ctf_connection *c);
/* Once in a while: a packet that has begun must go on. */
void ctf_connection_tick(struct ctf_source *s);
/* Those that waited for an order look again. */
void ctf_connection_resume(struct ctf_source *s);
void ctf_connection_end(struct ctf_connection *c, enum close_reason why);

/* ---- ctf_packet.c: a packet from its header to its place ---- */

/* 0: begun; -EAGAIN: waits for an order; else 1 + enum close_reason: the connection is at fault.
 * @late: it has waited long enough, and is discarded. */
int ctf_packet_begin(struct ctf_connection *c, bool late);
/* One move. Bytes; 0: end of file; -EAGAIN, or another errno of the connection. */
ssize_t ctf_packet_move(struct ctf_connection *c);
/* The payload is there: the stream's half moves on, the connection is ready for a header. */
void ctf_packet_finish(struct ctf_source *s, struct conversation_slot *slot);
/* The rest of a packet never comes: what is there of it is cut off, and discarded for @cause. */
void ctf_packet_cut(struct ctf_source *s, struct conversation_slot *slot, enum discard cause);
/* Before the worker's thread runs: what a move of an earlier relayd had taken off its socket. */
void ctf_packet_look_back(struct worker *w);
/* A MOVE_PACKET or MOVE_CUT of an earlier relayd. */
void ctf_packet_recover(struct worker *w);

/* ---- ctf_hold.c: a data connection while its worker hangs in the disk ---- */

/* [guard, under worker->sockets] From here on the guard reads it. */
void ctf_hold_start(struct ctf_connection *c);
/* [guard, likewise] Receive into @scratch and discard, about @budget bytes at most. Bytes. */
size_t ctf_hold_discard(struct ctf_connection *c, void *scratch, size_t cap, size_t budget);
/* [worker] If it was held: goes on from where the guard is. True: it was. */
bool ctf_hold_join(struct ctf_connection *c);

/* ---- ctf_file.c: descriptors, names, directories ---- */

/* A directory below the output directory, component by component, never through a link. @make: make
 * what is missing. A descriptor of the caller's, or negative errno. */
int ctf_dir_open(int output_fd, const char *dir, bool make);
/* Where the files of a stream lie below its chunk. */
const char *ctf_stream_path(const struct ctf_stream *t);
/* The directory of a stream's files in a chunk (1 + index), or of their index files. */
int ctf_stream_dir(const struct ctf_stream *t, uint32_t chunk, bool index, bool make);
void ctf_stream_file_name(const struct ctf_stream *t, uint64_t number, bool index, char *name,
			  size_t cap);
/* The file being filled; made if it is not (commits file_made). Borrowed, or negative errno. */
int ctf_file_data(struct ctf_stream *t);
/* The index file of a tracefile of a chunk (1 + index), made if need be. Borrowed. */
int ctf_file_index(struct ctf_stream *t, uint32_t chunk, uint64_t serial, uint64_t number);
void ctf_file_forget(struct worker *w, struct ctf_file *f);
/* Remove what is left, for viewers, of a ring of tracefiles in a chunk; last: its last one. */
void ctf_file_sweep(const struct ctf_stream *t, uint32_t chunk, uint64_t last);

/* ---- ctf_index.c: the join ---- */

/* An index has come, as on the wire. 0; -EAGAIN: its packet has not; negative errno of the disk. */
int ctf_index_apply(struct ctf_stream *t, uint64_t seq, const uint8_t *bytes, size_t len,
		    uint64_t behind);
/* Its packet never comes: it is left out, and what it tells of losses still counts. */
void ctf_index_drop(struct ctf_stream *t, const uint8_t *bytes, size_t len, uint64_t behind);
/* Packets that wait for an index get none any more, because the ring had no room for it. */
bool ctf_index_is_lost(const struct ctf_stream *t);
/* So it is with those of this stream. */
void ctf_index_give_up(struct ctf_stream *t);

/* ---- ctf_metadata.c ---- */

int ctf_metadata_append(struct ctf_stream *t, const uint8_t *bytes, size_t len, bool end,
			uint64_t padding, uint64_t behind);
int ctf_metadata_reset(struct ctf_stream *t, uint64_t version, uint64_t behind);

/* ---- ctf_rotate.c: a stream goes to another chunk ---- */

/* Armed by an order. 0 or negative errno: later. */
int ctf_rotate_arm(struct ctf_stream *t, uint32_t to_chunk, uint64_t at, bool now, uint64_t behind);
/* If it is armed and its time has come. @next: packet_seq_num that comes next. */
int ctf_rotate_due(struct ctf_stream *t);
/* True if a packet with this number is beyond the rotation that the stream is armed for. */
bool ctf_rotate_beyond(const struct stream_half *h, uint64_t packet_seq);
int ctf_rotate_now(struct ctf_stream *t);
/* The stream leaves its chunk for none. */
void ctf_rotate_leave(struct ctf_stream *t);

/* ---- ctf_retire.c: streams that are over give their slots back ---- */

/* The one that a killed relayd was at: before anything else is done for the source. */
void ctf_retire_resume(struct ctf_source *s);
/* Once in a while. Streams' objects may be gone behind it. */
void ctf_retire_run(struct ctf_source *s);
extern int64_t ctf_retire_after_ms; /* for tests */

/* ---- ctf_session_dir.c: the place of a session ---- */

/* The session directory is claimed: source_half.dir. 0; negative errno: later. @t: the stream that
 * names the place, of clients of minor 10 and below; or NULL. */
int ctf_session_dir_claim(struct ctf_source *s, const struct ctf_stream *t);

/* The source has ended: its mark goes (ctf_repair.h). */
void ctf_session_dir_leave(struct ctf_source *s);

/* ---- ctf_chunk.c ---- */

int ctf_chunk_create(struct ctf_source *s, uint64_t id, int64_t created, const uint8_t *name,
		     size_t len, uint64_t behind);
int ctf_chunk_close(struct ctf_source *s, uint64_t id, int64_t closed, uint32_t command,
		    uint64_t behind);
/* The index + 1 of an open chunk with this id, or 0. */
uint32_t ctf_chunk_find(const struct ctf_source_half *h, uint64_t id);
/* Moves that were begun: before any file is opened by its name. */
int ctf_chunk_resume(struct ctf_source *s);
/* Those, and chunks that every stream has left. 0 or negative errno: later. */
int ctf_chunk_run(struct ctf_source *s);
/* At the source's end: all chunks that are left. */
int ctf_chunk_finish_all(struct ctf_source *s);

/* ---- ctf_announce.c: chunks that are in place, until the catalog has them ---- */

/* What a chunk holds. */
struct ctf_chunk_sum {
	uint64_t bytes, lost;
	bool complete;
};

/* Part of the caller's step: into the half that it commits. */
void ctf_announce_add(struct ctf_source *s, struct ctf_source_half *h, const struct ctf_chunk *c,
		      const struct ctf_chunk_sum *sum);
/* Say what is not answered; once a second. */
void ctf_announce_run(struct ctf_source *s);
bool ctf_announce_pending(const struct ctf_source *s);
void ctf_announce_kept(struct ctf_source *s, uint32_t number);

/* ---- ctf_tree.c: directories as wholes ---- */

/* Remove a directory and all below it; a missing one is no error. */
int ctf_tree_remove(int output_fd, const char *dir);
int ctf_tree_remove_at(int at, const char *name); /* or a file */
/* Move a chunk's contents (ust, kernel, chunk.json), or with @whole the directory itself. */
int ctf_tree_move(int output_fd, const char *from, const char *to, bool whole);
int ctf_tree_remove_contents(int output_fd, const char *dir);
/* Whether a chunk lies in it. */
bool ctf_tree_holds_chunk(int output_fd, const char *dir);

/* ---- ctf_record.c ---- */

/* What is the same in the records of all chunks of a source, as JSON text to be freed; or NULL. */
char *ctf_record_head(const struct ctf_source *s);
/* chunk.json of a chunk (1 + index), and what it says of it. */
int ctf_record_write(struct ctf_source *s, uint32_t chunk, struct ctf_chunk_sum *ret);

#endif
