/* SPDX-License-Identifier: MIT */
/*
 * link.h - what sessiond-lite and relayd say to each other over their SOCK_SEQPACKET pair.
 *
 * Both ends are ours and of one build (the SETUP message carries the version), so messages are
 * plain structs; nothing in them comes from a network peer unchecked. Every request may be
 * repeated: the answer is the same. No message is acknowledged that a restart would not repeat:
 * a new relayd is told everything that is alive (SETUP, then the descriptors, then SYNCED).
 * Descriptors travel beside the message, one for each entry of `item` where it says so.
 * Thread: sessiond-lite's loop on one end, relayd's front loop on the other.
 */
#ifndef TRACERELAY_COMMON_LINK_H
#define TRACERELAY_COMMON_LINK_H

#include <stdint.h>

#include "common/addr.h"
#include "common/state.h"

#define LINK_VERSION 2u
#define LINK_ITEMS   253u /* SCM_MAX_FD */

enum link_type {
	/* sessiond-lite -> relayd */
	LINK_SETUP = 1,     /* fds: state memory, options (JSON memfd), status listener, output.dir,
			       output lock, then read end and write end of each worker's pipe */
	LINK_CONVERSATIONS, /* items: conversation slots; a descriptor each */
	LINK_STREAMS, /* items: stream slots (TCP, or a stream's own UDP socket); a descriptor each
		       */
	LINK_SHARED,  /* items: .port of a leased UDP port; its shared socket each. A port may
			 have several (families, addresses of ours): .id tells them apart */
	LINK_SYNCED,  /* after SETUP: everything alive has been passed */
	LINK_LEASED,  /* answer to LEASE; error < 0: refused, else the source is in the slot */
	LINK_MATCHED, /* answer to MATCH: source_slot.session is set (error < 0: session gone) */
	LINK_DRAINED, /* answer to DRAIN; descriptors that waited came before it */
	LINK_UDP_REFUSED,     /* answer to UDP_SOCKET when no socket can be made */
	LINK_SESSION,         /* hint: session_slot index changed */
	LINK_CHUNK_KEPT,      /* answer to CHUNK: the catalog has it */
	LINK_COMPACT,         /* please compact the finished trace.dat at text (below output.dir) */
	LINK_HELD,            /* answer to HOLD. Before SYNCED: an earlier relayd had this held; its
				 chunk.key and text, its descriptor beside it; RELEASE when done */
	LINK_SHUTDOWN,        /* finish the open chunks and exit */
	LINK_CTF_STREAM_MADE, /* answer to CTF_STREAM; ref: conversation; ctf.stream; error < 0:
			       * refused
			       */

	/* relayd -> sessiond-lite */
	LINK_READY = 64, /* recovered, serving */
	LINK_RESEND,     /* a message lost descriptors (MSG_CTRUNC): pass everything again */
	LINK_LEASE,      /* ref: conversation; lease fields */
	LINK_MATCH,      /* ref: source; text: node name ("" if none) */
	LINK_DRAIN,      /* ref: source: accept what still waits on its unconnected ports */
	LINK_UDP_SOCKET, /* ref: stream; peer: first datagram's sender: give it a socket of its own
			  */
	LINK_DONE,       /* hint: slots are done (conversation / source / stream closed) */
	LINK_CHUNK, /* a finished chunk for the catalog; ref: source; chunk fields; text: path */
	LINK_COMPACTED,  /* text: path; error: 0 done, -EOPNOTSUPP stays sparse, else try later */
	LINK_HOLD,       /* fd: please keep a duplicate until RELEASE (a file lease lives on it);
			    chunk.key and text come back in HELD */
	LINK_RELEASE,    /* chunk.key */
	LINK_STOPPED,    /* everything is finished; relayd exits */
	LINK_CTF_SOURCE, /* ref: control connection of LTTng; ctf.key; text: host: its source, made
			    or (several connections of one client session) joined. Answer: LEASED */
	LINK_CTF_STREAM, /* ref: control connection; ctf.position: of the message that asks; makes a
			    stream of its source. Answer: CTF_STREAM_MADE */
};

enum link_done { LINK_DONE_CONVERSATION = 1, LINK_DONE_STREAM, LINK_DONE_SOURCE };

struct link_item {
	uint32_t index;
	uint16_t port;   /* SHARED */
	uint16_t family; /* SHARED: AF_INET or AF_INET6 */
	uint64_t id;     /* of the slot; SHARED: of the socket, never used again */
};

struct link_lease {
	uint32_t cpus;
	uint32_t page_size;
	uint32_t protocol;  /* enum protocol */
	uint32_t transport; /* enum transport */
};

struct link_chunk {
	uint64_t key; /* HOLD, RELEASE: chosen by relayd */
	uint64_t source_number;
	uint64_t bytes; /* stored in this chunk */
	uint64_t lost;  /* events, counted */
	int64_t start_ns, end_ns;
	uint32_t number; /* of the chunk */
	uint32_t complete;
	uint32_t deleted; /* keep-chunks removed it */
	uint32_t sparse;  /* has holes: order its compaction */
	uint32_t protocol;
};

struct link_ctf {
	struct ctf_key key;
	uint64_t position; /* in the conversation's ring: asked again, the same stream answers */
	union {
		struct state_ref stream; /* CTF_STREAM_MADE */
		/* LEASED of a control connection of LTTng: what it was given. It may have been
		 * marked done while the answer was under way: ask again. */
		struct state_ref source;
	};
};

struct link_message {
	uint32_t type;             /* enum link_type */
	uint32_t items;            /* entries of item[] */
	int32_t error;             /* 0 or negative errno */
	uint32_t kind;             /* DONE: enum link_done */
	uint32_t version, workers; /* SETUP */
	struct state_ref ref;
	struct addr peer;
	struct link_lease lease;
	union { /* no message has both, and 40 bytes more would halve what a queue holds */
		struct link_chunk chunk;
		struct link_ctf ctf;
	};
	char text[512]; /* NUL-terminated */
	struct link_item item[LINK_ITEMS];
};

/* Bytes of a message as sent: the items that are used, no more. */
static inline uint32_t link_size(const struct link_message *m)
{
	return (uint32_t)(offsetof(struct link_message, item) + m->items * sizeof(m->item[0]));
}

#endif
