/* SPDX-License-Identifier: MIT */
/*
 * state_ctf.h - what LTTng sources, their streams and data connections need in the state memory.
 *
 * A client session of LTTng is a source (struct source_slot, protocol PROTOCOL_LTTNG) with a
 * ctf_source_slot of the same index beside it; each of its channel streams is a stream (struct
 * stream_slot) with a ctf_stream_slot of the same index beside it. They live and end with those.
 *
 * Orders. All that control connections say about files goes through the source's ring of orders,
 *         in the order it was said: the front loop appends (struct ctf_front_half), the worker
 *         applies (ctf_source_slot.applied). So control is answered from memory, never behind the
 *         disk. An order is applied in steps that are harmless to repeat until `applied` moves.
 * Handles. What the client knows a stream (or session) by names the slot and its id: whoever holds
 *         a handle of a stream that is gone finds nothing.
 * Writers: [S] sessiond-lite, [F] front loop, [W] the source's worker, as in state.h.
 * Source: doc/protocol.md "LTTng", doc/architecture.md "LTTng sources".
 */
#ifndef TRACERELAY_COMMON_STATE_CTF_H
#define TRACERELAY_COMMON_STATE_CTF_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "common/ledger.h"

#define CTF_NAME   256u       /* bytes of a session's, host's or stream's name, NUL included */
#define CTF_PATH   512u       /* bytes of a base path, or of a stream's path below its chunk */
#define CTF_DIR    1024u      /* bytes of a directory below output.dir, NUL included */
#define CTF_CHUNKS 4u         /* trace chunks of a source that exist at once */
#define CTF_PAST   4u         /* finished ones that viewers may still read */
#define CTF_RING   (2u << 20) /* bytes of a source's ring of orders; power of two */
/* The worker gives the ring's memory back part by part, once it has applied the orders in one; it
 * must not meet what the front loop writes. So orders that wait take two parts less than the ring.
 */
#define CTF_RING_PART 16384u
#define CTF_RING_ROOM (CTF_RING - 2 * CTF_RING_PART)
#define CTF_PIECE     4096u /* bytes of metadata that one order carries at most */
#define CTF_WAITING   4u    /* packets of a stream that wait for their index */
#define CTF_NONE      UINT64_MAX

#define CTF_ANNOUNCED    4u   /* finished chunks of a source that wait for the catalog */
#define CTF_CATALOG_PATH 328u /* bytes of a path for the catalog, NUL included; multiple of 8 */

/* ---- orders: front loop to worker ---- */

enum ctf_order_type {
	CTF_ORDER_STREAM = 1, /* stream: is announced; opens in the current chunk */
	CTF_ORDER_PUBLISH,    /* all streams so far may be shown to viewers (STREAMS_SENT) */
	CTF_ORDER_METADATA,   /* stream; bytes of payload; flag 1: its packet ends here, followed by
				 `value` bytes of padding */
	CTF_ORDER_RESET,      /* stream: metadata begins anew; value: version */
	CTF_ORDER_INDEX,      /* stream; number: net_seq_num; payload: what follows it in the
				 message: 48 bytes (minor < 8) or 64, as on the wire */
	CTF_ORDER_CHUNK,      /* number: chunk id; value: its creation time; payload: override name
				 without NUL */
	CTF_ORDER_ROTATE,     /* stream; flag 1: to chunk `number`, from packet_seq_num `value` on;
				 flag 0: to no chunk, at once */
	CTF_ORDER_CLOSE_CHUNK,  /* number: chunk id; value: close time; flag: enum ctf_close */
	CTF_ORDER_CLOSE_STREAM, /* stream; number: last net_seq_num, CTF_NONE: there was no packet
				 */
	CTF_ORDER_LEAVE,        /* a control connection has ended; number: its conversation's id;
				   flag: enum close_reason, 0: in order. Its streams take nothing but
				   what its data connection still brings */
};

/* What becomes of a closed chunk. */
enum ctf_close {
	CTF_CLOSE_STAY = 0,    /* no command */
	CTF_CLOSE_ARCHIVE = 1, /* the message's commands, plus one */
	CTF_CLOSE_NOTHING = 2,
	CTF_CLOSE_DELETE = 3,
};

/* A record of the ring: this, then `bytes` of payload, then zeros up to a multiple of 8. */
struct ctf_order {
	uint32_t type; /* enum ctf_order_type */
	uint32_t bytes;
	uint32_t stream; /* 1 + index of its slot, 0: none */
	uint32_t flag;
	uint64_t stream_id; /* of its slot */
	uint64_t number;
	uint64_t value;
};

static inline uint32_t ctf_order_size(uint32_t bytes)
{
	return (uint32_t)sizeof(struct ctf_order) + ((bytes + 7u) & ~7u);
}

/* ---- sources ---- */

/* Whose client session it is. Minors up to 10 carry none: zeros, and the conversation's id. */
struct ctf_key {
	uint8_t uuid[16]; /* of the session daemon */
	uint64_t id;      /* of the session in it */
	uint64_t created; /* seconds since the epoch */
};

struct ctf_front_half {
	uint64_t ordered; /* bytes of orders put into the ring so far */
	/* Who put the last: a message is taken again after a kill, its order is not put again. When
	 * another conversation's order comes behind it, it goes to conversation_slot.ordered. */
	uint64_t by_conversation; /* slot id */
	uint64_t by_position;     /* ring position behind the part of the message that put it */
	uint32_t by_index;        /* of that slot */
	uint32_t unused;
	uint64_t touched; /* position in the ring of orders: up to it the pages are there */
};

/*
 * Streams that have ended long before their source (those of programs that come and go), and whose
 * slots were given back: what they did, all together.
 */
struct ctf_retired {
	uint64_t streams;
	uint64_t metadata; /* bytes stored of metadata, which are in the ledger too */
	struct stream_ledger ledger;
};

enum ctf_chunk_state {
	CTF_CHUNK_FREE = 0,
	CTF_CHUNK_OPEN,
	CTF_CHUNK_CLOSED, /* CLOSE_TRACE_CHUNK came; streams may still be in it */
};

struct ctf_chunk {
	uint32_t state;          /* enum ctf_chunk_state */
	uint32_t command;        /* enum ctf_close, once closed */
	uint64_t id;             /* CTF_NONE: the one that a client of minor 10 and below has */
	uint64_t serial;         /* of the source's chunks, from 1: never used twice, unlike id */
	int64_t created, closed; /* seconds since the epoch, of the client */
	char name[CTF_NAME];     /* override name, or "" */
	char dir[CTF_DIR];       /* where it lies now, below output.dir; holds ust/ or kernel/ */
	char moving_to[CTF_DIR]; /* rename step: "" or the new place */
	/* What retired streams did in it. */
	struct ctf_retired retired;
	uint32_t retired_discards; /* 1 + enum discard of some that was discarded; 0: nothing was */
	uint32_t retired_bare;     /* packets came, of their metadata nothing */
};

/* A finished chunk that the catalog has not answered for yet. */
struct ctf_announced {
	uint64_t serial;             /* of the chunk; 0: free */
	uint64_t complete;           /* 0 or 1 */
	uint64_t bytes, lost;        /* stored in it; events lost by the tracer, as far as told */
	int64_t start_ns, end_ns;    /* the client's clock */
	char path[CTF_CATALOG_PATH]; /* of its directory, below output.dir */
};

/* A chunk that is finished: where a viewer that is behind finds its files. */
struct ctf_past {
	uint64_t serial; /* 0: free */
	char dir[CTF_DIR];
};

struct ctf_source_half {
	uint64_t ordered;   /* position behind the last order that changed this half: one that is
			       applied again after a kill finds itself here */
	uint64_t published; /* streams with a lower number were announced before the last
			       CTF_ORDER_PUBLISH */
	uint64_t serial;    /* of the last chunk */
	uint32_t current;   /* 1 + index of the chunk that new streams open in; 0: none */
	uint32_t archived;  /* chunks moved to archives/ so far: then the last one goes there too */
	uint32_t placed;    /* source_half.dir is claimed */
	uint32_t unused;
	/* The chunk that was finished last, for a CLOSE_TRACE_CHUNK that comes again (or from
	 * another consumer daemon): id, serial (0: none yet), created, name. */
	struct ctf_chunk gone;
	struct ctf_chunk chunk[CTF_CHUNKS];
	struct ctf_announced announced[CTF_ANNOUNCED];
	struct ctf_past past[CTF_PAST]; /* the oldest gives way */
	/* Of all chunks, and the id of the stream that was added last: one at a time is retired. */
	struct ctf_retired retired;
	uint64_t retired_last;
};

struct ctf_source_slot {
	struct ctf_key key; /* [S] */
	/* [F] from CREATE_SESSION, before source_slot.worker is set. Names hold no '/'. */
	_Atomic uint32_t minor; /* written last: what stands here is known */
	uint32_t live_timer_us; /* 0: not live */
	uint32_t snapshot;
	uint32_t name_has_time; /* the name carries the creation time already */
	char session_name[CTF_NAME], host[CTF_NAME]; /* "": minors below 4 */
	char base_path[CTF_PATH];                    /* "" or checked: relative, no ".." */
	_Atomic uint32_t front_count;                /* [F] */
	/* [live thread] A viewer has been told of its streams: their files are not just removed. */
	_Atomic uint32_t viewed;
	struct ctf_front_half front_half[2];
	_Atomic uint32_t count; /* [W] */
	uint32_t unused2;
	/* [W] Bytes of orders applied; not in a half, since it moves with every packet. */
	_Atomic uint64_t applied;
	struct ctf_source_half half[2];
	_Alignas(4096) uint8_t ring[CTF_RING]; /* [F] writes, [W] reads */
};

/* ---- streams ---- */

/* What the guard discarded of a stream while its worker hung in the disk (consumer/ctf_guard.h).
 * The worker adds it to its own half when it is back: ctf_stream_half.stalled says how much. */
struct ctf_stalled_half {
	uint64_t bytes;
	uint64_t packets; /* whole ones */
	uint64_t seq;     /* net_seq_num of the last of them */
	uint64_t any;     /* seq is valid */
};

struct ctf_stalled {
	_Atomic uint32_t count; /* [G] the guard, under the lock of the worker's sockets */
	uint32_t unused;
	struct ctf_stalled_half half[2];
};

struct ctf_stream_slot {
	/* [S] Asked for by this message of this conversation: asked again, it is the same stream.
	 */
	uint64_t by_conversation, by_position;
	/* [F] before `named` is set */
	_Atomic uint32_t named;
	uint32_t metadata; /* it is the metadata of its path */
	/* [F] 1 + net_seq_num of the last index that was dropped for want of room; 0: none */
	_Atomic uint64_t index_dropped;
	/* [W] It is retired and counted: sessiond-lite may take its slot out of the list. */
	_Atomic uint32_t retired;
	uint32_t unused;
	uint64_t tracefile_size;  /* bytes; 0: one file without limit */
	uint64_t tracefile_count; /* 0: without limit */
	uint64_t trace; /* the same for all streams of one path of one source: the index + 1
			   of the first stream slot with it */
	struct ctf_stalled stalled; /* [G] */
	char path[CTF_PATH]; /* minors 11 and up: below the chunk; else below the session's place */
	char name[CTF_NAME]; /* of its files, without suffix */
};

/* A packet that is in its file and waits for its index. */
struct ctf_waiting {
	uint64_t seq;    /* net_seq_num */
	uint64_t offset; /* in its file */
	uint64_t size;   /* with padding */
	uint64_t file;   /* which tracefile */
	uint32_t chunk;  /* 1 + index; 0: this entry is free */
	uint32_t unused;
};

/* Beside the rest of struct stream_half: position is the end of the file being filled (whole
 * packets, padding included; metadata: whole packets too). */
struct ctf_stream_half {
	uint32_t opened;      /* CTF_ORDER_STREAM was applied */
	uint32_t closed;      /* CTF_ORDER_CLOSE_STREAM was applied */
	uint32_t any_data;    /* data_seq is valid */
	uint32_t any_index;   /* index_seq is valid */
	uint64_t data_seq;    /* net_seq_num of the last packet that is whole (or was discarded) */
	uint64_t index_seq;   /* of the last index that is written (or dropped with its packet) */
	uint64_t last_seq;    /* closed: the last packet's net_seq_num, or CTF_NONE */
	uint64_t packet_seq;  /* packet_seq_num of the last index, CTF_NONE: not known */
	uint64_t lost_events; /* events_discarded as last told: cumulative */
	/* Of the chunk in which packet_seq was told, 0: none. Where its client has ordered that
	 * chunk away (`lttng clear`), what is missing behind packet_seq is no loss. */
	uint64_t packet_serial;
	uint32_t cleared;
	uint32_t left;     /* CTF_ORDER_LEAVE of its control connection was applied */
	uint32_t retiring; /* it is (being) added to what retired streams did */
	uint32_t unused;
	uint64_t stalled; /* bytes of struct ctf_stalled that stand in the ledger */
	/* The file being filled. */
	uint32_t chunk;     /* 1 + index into the source's chunks; 0: none */
	uint32_t file_made; /* it exists: never O_CREAT again */
	uint64_t chunk_serial;
	uint64_t file;             /* number of the tracefile, from 0 in each chunk */
	uint64_t records;          /* of its index file */
	uint64_t metadata_partial; /* metadata: bytes of a packet that is not whole yet, behind
				      position */
	uint64_t metadata_version;
	/* The file that was the last in the chunk it left. */
	uint64_t left_serial, left_file;
	/* Armed by CTF_ORDER_ROTATE. */
	uint32_t rotating;  /* 1: to_chunk is due */
	uint32_t to_chunk;  /* 1 + index; 0: to no chunk */
	uint64_t rotate_at; /* packet_seq_num */
	/* For viewers: beacon_end is 0 once a record came behind the beacon. */
	uint64_t beacon_end;                     /* nothing happened before this time */
	uint64_t class_id;                       /* CTF stream class id, CTF_NONE: not known */
	struct ctf_waiting waiting[CTF_WAITING]; /* in order of their packets */
};

/* ---- data connections: conversation_half.dialect of one. The header is received into the slot's
 * ring, from its beginning; conversation_received() says how much of it is there ---- */

enum ctf_data_phase {
	CTF_DATA_HEADER = 0,
	CTF_DATA_STORE,   /* payload goes to its place */
	CTF_DATA_DISCARD, /* payload goes nowhere */
};

struct ctf_data {
	uint32_t phase;               /* enum ctf_data_phase */
	uint32_t cause;               /* enum discard */
	uint32_t size, padding, done; /* bytes; done: of the payload, in place or discarded */
	uint32_t stream;              /* 1 + index */
	uint64_t stream_id;
	uint64_t seq;    /* net_seq_num */
	uint64_t offset; /* of the packet in its file */
	uint64_t joined; /* the last ctf_hold_half.serial that the worker went on from */
};

#define CTF_DATA_HEADER_SIZE 32u

/*
 * A data connection that the guard reads in its worker's place: where it is. In force while serial
 * is one more than ctf_data.joined; then it, and not the conversation's half, says where in a
 * packet the connection is.
 */
struct ctf_hold_half {
	uint64_t serial;              /* of the holds of this connection, from 1 */
	uint32_t phase;               /* CTF_DATA_HEADER or CTF_DATA_DISCARD */
	uint32_t got;                 /* bytes of ctf_hold.header before the receive */
	uint32_t size, padding, done; /* bytes; done: before the receive */
	uint32_t stream;              /* 1 + index */
	uint64_t stream_id;
	uint64_t seq;
	struct ctf_stalled_half before; /* the stream's, before the receive */
	struct mmsghdr receive;         /* the kernel writes msg_len */
	struct iovec receive_iov[1];
};

struct ctf_hold {
	_Atomic uint32_t count; /* [G] */
	uint32_t unused;
	struct ctf_hold_half half[2];
	uint8_t header[CTF_DATA_HEADER_SIZE];
};

/* ---- handles ---- */

#define CTF_HANDLE_INDEX_BITS 24

static inline uint64_t ctf_handle(uint32_t index, uint64_t id)
{
	return id << CTF_HANDLE_INDEX_BITS | index;
}
static inline uint32_t ctf_handle_index(uint64_t handle)
{
	return (uint32_t)(handle & ((UINT64_C(1) << CTF_HANDLE_INDEX_BITS) - 1));
}
static inline uint64_t ctf_handle_id(uint64_t handle)
{
	return handle >> CTF_HANDLE_INDEX_BITS;
}

#endif
