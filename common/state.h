/* SPDX-License-Identifier: MIT */
/*
 * state.h - the state memory: what the next relayd needs to go on where a killed one stopped.
 *
 * One shared, sparse memfd, made and kept by sessiond-lite, mapped by both daemons, laid out as
 * tables of slots of fixed size. It holds no pointers: slots name each other by (index, id).
 *
 * Life of a slot: only sessiond-lite allocates it (state_ref with an id that is never used again)
 *         and frees it; relayd marks it `done`. Whatever refers to a slot carries the id, and a
 *         reader that finds another id finds nothing.
 * Writers: each field has exactly one writing process and thread, said beside it:
 *         [S] sessiond-lite, before or while the slot is alive; [F] relayd's front loop;
 *         [W] the consumer worker that owns the source. Everybody may read.
 * Steps:  state that changes is kept in two halves and a count; the half (count & 1) is the truth.
 *         X_begin() copies it into the idle half and returns that, X_commit() flips. A SIGKILL
 *         leaves either the old or the new truth, never a mixture. X_now() is the truth for the
 *         writer, X_read() a consistent copy for any other thread or process.
 * Source: doc/architecture.md "Crash-only"; the steps themselves are described where they are made.
 */
#ifndef TRACERELAY_COMMON_STATE_H
#define TRACERELAY_COMMON_STATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "common/addr.h"
#include "common/counters.h"
#include "common/ledger.h"
#include "common/state_ctf.h"
#include "common/state_viewer.h"

#define STATE_MAGIC         UINT64_C(0x74726c7973746131)
#define STATE_VERSION       3u
#define STATE_RING          16384u  /* bytes of a conversation's receive ring; power of two */
#define STATE_REPLY         8192u   /* bytes of a conversation's reply */
#define STATE_METADATA_RING 131072u /* bytes of a source's metadata ring; power of two */
#define STATE_DATAGRAM      65536u  /* bytes of a datagram buffer; no datagram is longer */
#define STATE_BATCH         16u     /* datagrams that one recvmmsg() of a worker takes */
#define STATE_INBOX         64u     /* first datagrams in transit from shared sockets to workers */
#define STATE_NAME          64u     /* bytes of a session's name, NUL included */
#define STATE_DIR           256u    /* bytes of a directory's path below output.dir, NUL included */
#define STATE_WORKERS_MAX   64u
#define STATE_SESSIONS      1024u
#define STATE_PAGE          4096u

/* A slot of some table. id 0 is nobody. */
struct state_ref {
	uint32_t index;
	uint32_t unused;
	uint64_t id;
};

enum transport { TRANSPORT_TCP = 0, TRANSPORT_UDP = 1 };

/* Which language a source speaks; the text is protocol_name(). */
enum protocol {
	PROTOCOL_UNKNOWN = 0,
	PROTOCOL_TRACE_CMD_V1,
	PROTOCOL_TRACE_CMD_V2_2015,
	PROTOCOL_TRACE_CMD_V2,
	PROTOCOL_TRACE_CMD_V3,
	PROTOCOL_LTTNG,
	PROTOCOL_COUNT
};
const char *protocol_name(enum protocol p);

/*
 * Two halves and a count. Generates, for a slot type with fields `count` and `half[2]`:
 * NAME_now(), NAME_begin(), NAME_commit() for the one writer, NAME_read() for everybody else.
 */
#define STATE_HALVES(name, slot_type, half_type)                                            \
	static inline const half_type *name##_now(const slot_type *s)                       \
	{                                                                                   \
		return &s->half[atomic_load_explicit(&s->count, memory_order_acquire) & 1]; \
	}                                                                                   \
	static inline half_type *name##_begin(slot_type *s)                                 \
	{                                                                                   \
		return state_begin(&s->count, &s->half[0], &s->half[1], sizeof(half_type)); \
	}                                                                                   \
	static inline void name##_commit(slot_type *s)                                      \
	{                                                                                   \
		uint32_t c = atomic_load_explicit(&s->count, memory_order_relaxed);         \
                                                                                            \
		atomic_store_explicit(&s->count, c + 1, memory_order_release);              \
	}                                                                                   \
	static inline void name##_read(const slot_type *s, half_type *ret)                  \
	{                                                                                   \
		state_read(&s->count, &s->half[0], &s->half[1], ret, sizeof(half_type));    \
	}

/* Make the idle half a copy of the live one, and return it. The writer only. */
void *state_begin(const _Atomic uint32_t *count, void *half0, void *half1, size_t size);

/* Copy the live half, again until no commit came between. Any thread; never waits for a writer
 * that is between begin and commit. size is a multiple of 8. */
void state_read(const _Atomic uint32_t *count, const void *half0, const void *half1, void *ret,
		size_t size);

/* ---- sessions: what a source must know of the session it belongs to. [S] writes all of it ---- */

struct session_slot {
	_Atomic uint64_t id; /* 0: free */
	char name[STATE_NAME];
	_Atomic uint32_t stopped;         /* what comes is discarded and counted */
	_Atomic uint32_t ending;          /* destroy-session: its sources end */
	_Atomic uint32_t keep_chunks;     /* per source; 0: all */
	_Atomic uint32_t rotation_orders; /* `relayctl rotate` adds one */
	_Atomic uint64_t rotate_size;     /* data bytes of a chunk; 0: off */
	_Atomic uint64_t rotate_time_ms;  /* 0: off */
};

/* ---- conversations: one accepted control connection ---- */

/* What kind of port it came in on, and so which language it speaks. */
enum conversation_role {
	CONVERSATION_TRACE_CMD = 0,
	CONVERSATION_LTTNG_CONTROL,
	CONVERSATION_LTTNG_DATA, /* from the first header on (`source` is set) its worker's */
	CONVERSATION_LTTNG_LIVE, /* the live thread's */
	CONVERSATION_ROLES
};

/* What a protocol half remembers between messages: plain bytes, laid out by relayd/trace_cmd.h,
 * relayd/lttng_control.h, struct ctf_data, relayd/live_viewer.h. */
#define STATE_DIALECT 192u

struct conversation_half {
	uint64_t consumed;      /* ring position: bytes of the connection that were understood */
	uint64_t received_base; /* ring position: bytes received before the receive below */
	uint64_t sent_base;     /* bytes of the current reply sent before the send below */
	uint32_t reply_len;     /* bytes of the current reply; all sent: nothing to send */
	uint32_t closing;       /* 0, or 1 + enum close_reason: the closing step was taken */
	uint32_t closing_reset; /* close by reset instead of FIN */
	uint32_t eof;           /* the peer's end of file was seen */
	uint64_t metadata;      /* bytes of metadata given to the source so far */
	int64_t last_byte_ms;   /* CLOCK_MONOTONIC of the last byte received */
	struct mmsghdr receive; /* the kernel writes msg_len: received = received_base + msg_len */
	struct mmsghdr send;    /* likewise: sent = sent_base + msg_len */
	struct iovec receive_iov[2];
	struct iovec send_iov[1];
	_Alignas(8) uint8_t dialect[STATE_DIALECT];
};

struct conversation_slot {
	_Atomic uint64_t id;   /* [S] 0: free */
	_Atomic uint32_t done; /* [F] closed; sessiond-lite may close its duplicate and free */
	uint32_t own_session;  /* [S] 1 + index of the session that owns the listening port, or 0 */
	_Atomic uint32_t role; /* [S] enum conversation_role */
	struct addr peer;      /* [S] */
	struct addr local;     /* [S] */
	int64_t accepted_ms;   /* [S] CLOCK_MONOTONIC */
	/* 1 + index of its source, or 0. [S]; of a data connection [F], when its first header came
	 */
	_Atomic uint32_t source;
	/* [F] LTTng control: ctf_front_half.by_position of its last order, once an order of another
	 * conversation came behind that. */
	_Atomic uint64_t ordered;
	_Atomic uint32_t count; /* [F]; of a data connection that has a source [W] */
	struct conversation_half half[2];
	struct ctf_hold hold;                            /* of a data connection of LTTng */
	_Alignas(STATE_PAGE) uint8_t reply[STATE_REPLY]; /* [F] immutable while it is being sent */
	_Alignas(STATE_PAGE) uint8_t ring[STATE_RING];   /* [F] */
};
STATE_HALVES(conversation, struct conversation_slot, struct conversation_half)
STATE_HALVES(ctf_hold, struct ctf_hold, struct ctf_hold_half)
STATE_HALVES(ctf_stalled, struct ctf_stalled, struct ctf_stalled_half)

/* Somebody is there, in this role. Any thread. */
static inline bool conversation_lives(const struct conversation_slot *c,
				      enum conversation_role role)
{
	return atomic_load(&c->id) && atomic_load(&c->role) == role && !atomic_load(&c->done);
}

static inline uint64_t conversation_received(const struct conversation_half *h)
{
	return h->received_base + h->receive.msg_len;
}

static inline uint64_t conversation_sent(const struct conversation_half *h)
{
	return h->sent_base + h->send.msg_len;
}

/* ---- sources: one tracer ---- */

/* What the front loop tells the worker. Level-triggered: the worker acts on what stands here. */
struct source_front_half {
	uint64_t metadata; /* bytes of metadata received, all of them in the ring or before */
	uint32_t metadata_complete; /* the client said so (V1: nothing more can come) */
	uint32_t control_ended;     /* 0, or enum close_reason */
	uint32_t closed_in_order;   /* CLOSE was received, or V1's end of file */
	uint32_t drained;           /* all connections that will ever come have been handed over */
};

struct source_front {
	_Atomic uint32_t count; /* [F] */
	struct source_front_half half[2];
};
STATE_HALVES(source_front, struct source_front, struct source_front_half)

enum chunk_state {
	CHUNK_NONE = 0,
	CHUNK_NAMED,   /* the name is in the state, the file may exist */
	CHUNK_OPEN,    /* the file exists; never O_CREAT again */
	CHUNK_CLOSING, /* streams switch; ends freeze */
	CHUNK_FROZEN,  /* all ends frozen: table, record, rename; then the catalog hears of it */
};

struct source_chunk {
	uint32_t state;    /* enum chunk_state */
	uint32_t number;   /* 1, 2, ... */
	int64_t start_ns;  /* CLOCK_REALTIME */
	int64_t end_ns;    /* of its freezing */
	uint32_t last;     /* the source ended with it */
	uint32_t why;      /* 0: complete, else enum close_reason */
	uint32_t numbered; /* named trace.NNNNNN.dat; else trace.dat */
	uint32_t tail;     /* its metadata may be followed by the table of an open chunk */
	uint32_t unused;
	uint32_t sub_buffer; /* bytes, as it was when frozen */
};

/* A chunk under its final name that the catalog has not answered for yet. */
struct source_announced {
	uint32_t number; /* 0: free */
	uint32_t complete;
	uint32_t readable; /* trace.dat; else trace.partial */
	uint32_t numbered;
	uint64_t bytes; /* stored in it */
	uint64_t lost;  /* events, counted */
	int64_t start_ns, end_ns;
};

#define SOURCE_ANNOUNCED 8u /* a catalog that is so far behind makes rotation wait */

struct source_half {
	uint64_t metadata_written; /* bytes of metadata in the file */
	uint32_t version_checked;  /* metadata_shift is decided */
	uint32_t metadata_shift;   /* bytes inserted before the client's: 1 for an empty version */
	uint32_t metadata_parsed;  /* complete and understood; the fields below are from it */
	uint32_t metadata_bad;     /* complete and not understood */
	uint64_t metadata_parsed_at; /* metadata_written when it was parsed: more since, parse again
				      */
	uint32_t sub_buffer; /* bytes: claimed by the client until something proves better */
	uint32_t sub_buffer_proven;
	uint32_t commit_size; /* 8 or 4 */
	uint32_t big_endian;
	uint32_t placed;              /* dir is final (and not .incoming/N) */
	uint32_t next_chunk;          /* number the next chunk gets */
	uint32_t rotation_done;       /* session's rotation_orders that this source has obeyed */
	uint32_t keep_from;           /* oldest chunk number still kept */
	uint32_t disk_full;           /* storing is suspended */
	uint32_t ended;               /* its last chunk was frozen */
	uint32_t finished;            /* nothing more to do; slot done follows */
	int64_t linger_until_ms;      /* UDP: CLOCK_MONOTONIC, 0 until decided */
	char dir[STATE_DIR];          /* where its open chunk lies, below output.dir */
	char moving_to[STATE_DIR];    /* rename step of dir: "" or the new place */
	char host[72];                /* node name from the metadata, made safe, or "" */
	struct source_chunk chunk[2]; /* a stream says which of the two it fills */
	struct source_announced announced[SOURCE_ANNOUNCED];
};

struct source_slot {
	_Atomic uint64_t id;           /* [S] 0: free */
	_Atomic uint32_t done;         /* [F] */
	_Atomic uint32_t kept;         /* [F] before done: viewers may read it, not to be freed */
	_Atomic uint32_t cpus;         /* [S] its streams; of LTTng all that there ever were */
	uint64_t number;               /* [S] N: never repeats under this output.dir */
	struct state_ref conversation; /* [S] */
	struct addr peer;              /* [S] */
	struct addr local;             /* [S] */
	uint32_t protocol;             /* [S] enum protocol */
	uint32_t transport;            /* [S] enum transport */
	uint32_t page_size;            /* [S] as claimed at the handshake */
	/* [S] 1 + index; streams are linked by `next`, in CPU order. Of LTTng the list changes:
	 * stream_walk.h. */
	_Atomic uint32_t first_stream;
	int64_t start_ns;         /* [S] CLOCK_REALTIME */
	_Atomic uint32_t session; /* [S] 1 + index of its session; 0 until a rule was asked */
	_Atomic uint32_t worker;  /* [F] 1 + index of the worker that owns it */
	struct source_front front;
	_Atomic uint32_t count; /* [W] */
	struct source_half half[2];
	_Alignas(STATE_PAGE) uint8_t metadata[STATE_METADATA_RING]; /* [F] writes, [W] reads */
};
STATE_HALVES(source, struct source_slot, struct source_half)

STATE_HALVES(ctf_source, struct ctf_source_slot, struct ctf_source_half)

static inline const struct ctf_front_half *ctf_front_now(const struct ctf_source_slot *s)
{
	return &s->front_half[atomic_load_explicit(&s->front_count, memory_order_acquire) & 1];
}
static inline struct ctf_front_half *ctf_front_begin(struct ctf_source_slot *s)
{
	return state_begin(&s->front_count, &s->front_half[0], &s->front_half[1],
			   sizeof(s->front_half[0]));
}
static inline void ctf_front_commit(struct ctf_source_slot *s)
{
	uint32_t c = atomic_load_explicit(&s->front_count, memory_order_relaxed);

	atomic_store_explicit(&s->front_count, c + 1, memory_order_release);
}
static inline void ctf_front_read(const struct ctf_source_slot *s, struct ctf_front_half *ret)
{
	state_read(&s->front_count, &s->front_half[0], &s->front_half[1], ret, sizeof(*ret));
}

/* ---- streams: one CPU of a source ---- */

enum stream_state {
	STREAM_WAITING = 0, /* leased, nothing came yet */
	STREAM_OPEN,
	STREAM_ENDED, /* end of file, reset, or the source's end */
};

#define STREAM_NO_CHUNK 2u

struct stream_half {
	uint32_t state; /* enum stream_state */
	uint32_t chunk; /* 0, 1: which of the source's chunks it fills; STREAM_NO_CHUNK: none */
	uint32_t chunk_number; /* of that chunk */
	uint32_t loss_due;     /* the page at loss_at is to be marked */
	uint64_t loss_at;      /* bytes from the region's start */
	uint64_t position;     /* bytes from the region's start: where the next byte goes */
	uint64_t scanned;      /* bytes from the region's start: page headers read so far */
	uint64_t drop_counter; /* SO_RXQ_OVFL as last seen */
	uint64_t first_time;   /* page time stamps of the traced clock in this chunk; 0: none */
	uint64_t last_time;
	struct stream_ledger ledger;     /* since the source began */
	struct stream_ledger chunk_base; /* the same when this chunk began */
	/* The chunk before this one, until its record is written. */
	uint32_t frozen_number; /* 0: none */
	uint32_t unused;
	uint64_t frozen_end; /* bytes in its region */
	uint64_t frozen_first_time, frozen_last_time;
	struct stream_ledger frozen; /* within it */
	struct ctf_stream_half ctf;  /* LTTng */
};

struct stream_slot {
	_Atomic uint64_t id;        /* [S] 0: free */
	struct state_ref source;    /* [S] */
	_Atomic uint32_t next;      /* [S] 1 + index of the source's next stream, or 0 */
	uint32_t cpu;               /* [S] its number among its source's, which never comes again */
	uint16_t port;              /* [S] leased */
	uint16_t transport;         /* [S] */
	_Atomic uint32_t connected; /* [S] a descriptor is held for it */
	_Atomic uint32_t closed;    /* [W] sessiond-lite may close its duplicate */
	/* UDP: drops of the port's shared sockets, as far as this stream has been told; and whether
	 * its own socket was handed to its worker, so that they concern it no more. */
	_Atomic uint32_t shared_drops, own_socket; /* [F] */
	struct addr peer;       /* [S] of the connection, or of the first datagram */
	_Atomic uint32_t count; /* [W] */
	struct stream_half half[2];
};
STATE_HALVES(stream, struct stream_slot, struct stream_half)

/* ---- workers: the one move each may have under way ---- */

enum move_kind {
	MOVE_IDLE = 0,
	MOVE_STORE,     /* socket, pipe, file */
	MOVE_DISCARD,   /* socket, pipe, /dev/null */
	MOVE_DATAGRAMS, /* recvmmsg into the worker's buffers, then the file (or nothing: discard)
			 */
	MOVE_INBOX,     /* a first datagram that the front loop received */
	MOVE_PACKET, /* LTTng: payload of a packet: socket, pipe, file or /dev/null (store = 0) */
	MOVE_CUT,    /* LTTng: a packet that stays incomplete is cut off; moves no byte */
};

struct move_half {
	uint32_t kind;           /* enum move_kind */
	uint32_t cause;          /* enum discard, for bytes that are not stored */
	uint32_t store;          /* datagrams: 1 = into the file */
	uint32_t inbox;          /* MOVE_INBOX: which */
	uint64_t inbox_sequence; /* and what it held: it may have been freed and filled again */
	struct state_ref stream;
	uint64_t n; /* bytes: 0 while the pipe is being filled, else what is being drained */
	/* The stream before the move; with n they give the absolute values after it. */
	uint64_t position;
	struct stream_ledger ledger;
	struct mmsghdr datagram[STATE_BATCH]; /* the kernel writes each msg_len */
	struct iovec datagram_iov[STATE_BATCH];
	/* MOVE_PACKET: the data connection, and its ctf_data.done before the move. */
	struct state_ref connection;
	uint64_t done;
};

struct worker_slot {
	_Atomic uint32_t count; /* [W] */
	struct move_half half[2];
	uint8_t control[2][STATE_BATCH][64]; /* ancillary data (drop counters) of the datagrams */
	_Alignas(STATE_PAGE) uint8_t buffer[STATE_BATCH][STATE_DATAGRAM];
};
STATE_HALVES(move, struct worker_slot, struct move_half)

/* ---- first datagrams, received by the front loop on a port's shared socket ---- */

enum inbox_state { INBOX_FREE = 0, INBOX_RECEIVING, INBOX_ASSIGNED };

struct inbox_half {
	uint32_t state; /* enum inbox_state */
	uint16_t port;  /* of the shared socket */
	uint16_t unused;
	uint32_t drops;          /* INBOX_ASSIGNED: datagrams lost in front of it */
	uint32_t drops_total;    /* and its stream's shared_drops then */
	uint64_t socket;         /* the shared socket's id */
	struct state_ref stream; /* INBOX_ASSIGNED: whose it is */
	uint64_t sequence;       /* order of arrival */
	struct mmsghdr datagram; /* the kernel writes msg_len; 0: only drops are told */
	struct iovec iov;
};

struct inbox_slot {
	_Atomic uint32_t count; /* [F]; the flip to INBOX_FREE that ends a MOVE_INBOX is [W]'s */
	struct inbox_half half[2];
	struct sockaddr_storage from;
	uint8_t control[2][64]; /* ancillary data (drop counter) */
	_Alignas(STATE_PAGE) uint8_t buffer[STATE_DATAGRAM];
};
STATE_HALVES(inbox, struct inbox_slot, struct inbox_half)

/* ---- the whole ---- */

struct state_capacity {
	uint32_t conversations, sources, streams, workers;
};

struct state_header {
	uint64_t magic;   /* [S] */
	uint32_t version; /* [S] */
	uint32_t unused;
	uint64_t size;                  /* [S] bytes of the whole mapping */
	struct state_capacity capacity; /* [S] */
	_Atomic uint64_t next_id;       /* [S] slot ids, from 1 */
	_Atomic uint32_t generation;    /* [S] relayds started so far */
	_Atomic uint32_t high_conversation, high_source, high_stream, high_session; /* [S] slots
		at or above were never used: scans stop there */
	int64_t started_ns;   /* [S] CLOCK_REALTIME of sessiond-lite's start */
	char output_uuid[40]; /* [S] unused by relayd */
};

struct state {
	struct state_header *header;
	struct session_slot *session;           /* [STATE_SESSIONS] */
	struct conversation_slot *conversation; /* [capacity.conversations] */
	struct source_slot *source;
	struct stream_slot *stream;
	struct worker_slot *worker;
	struct inbox_slot *inbox;           /* [STATE_INBOX] */
	struct ctf_source_slot *ctf_source; /* [capacity.sources], beside source[] */
	struct ctf_stream_slot *ctf_stream; /* [capacity.streams], beside stream[] */
	struct viewer_slot *viewer;         /* [capacity.conversations], beside conversation[] */
	struct counters
		*counters; /* [workers + 2]: one a worker, then front loop, then sessiond-lite */
	int fd;            /* owned */
	size_t size;
};

/* [S] Make the memfd for a capacity and map it; header written. -ENOMEM, -EMFILE, ... */
int state_create(const struct state_capacity *capacity, struct state *ret);
/* Map what sessiond-lite made; takes fd over on success. -EPROTO: other version or size. */
int state_attach(int fd, struct state *ret);
void state_detach(struct state *st); /* unmap and close; copes with a zeroed struct */

/*
 * Make the pages of a range real, so that no later access meets SIGBUS or EFAULT. Any process.
 * 0, -ENOMEM or -ENOSPC. `at` lies inside the mapping.
 */
int state_touch(const struct state *st, const void *at, size_t len);
/* Give the pages of a range back; they read as zero then. Whole pages inside the range only. */
void state_release(const struct state *st, const void *at, size_t len);

/* Slots by reference: NULL where the slot has another id by now. Any thread. */
struct conversation_slot *state_conversation(const struct state *st, struct state_ref ref);
struct source_slot *state_source(const struct state *st, struct state_ref ref);
struct stream_slot *state_stream(const struct state *st, struct state_ref ref);
/* The session of a source, or NULL while none was chosen (or it is gone). Any thread. */
struct session_slot *state_session_of(const struct state *st, const struct source_slot *source);

struct state_ref state_ref_of_conversation(const struct state *st,
					   const struct conversation_slot *s);
struct state_ref state_ref_of_source(const struct state *st, const struct source_slot *s);
struct state_ref state_ref_of_stream(const struct state *st, const struct stream_slot *s);

#endif
