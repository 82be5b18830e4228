/* SPDX-License-Identifier: MIT */
/*
 * trace_cmd.h - the server's half of a trace-cmd control conversation, in every dialect.
 *
 * Pure: bytes, a clock reading and a few answers go in; bytes taken, a reply and one action come
 * out. No I/O, no allocation, no memory of its own but the plain bytes of struct trace_cmd, which
 * lie in the conversation's half in the state memory, so that another process goes on with them.
 *
 *   NEW --greeting--> VERSION --number--> V1_PAGE --> V1_OPTIONS --> V1_OPTION... --> LEASE
 *                     VERSION --"-1V2"--> V2_MAGIC --magic, clock--> TINIT --TINIT--> LEASE
 *                     VERSION --"-1V3"--> V3_MAGIC --magic---------> TINIT --TINIT--> LEASE
 *                     VERSION --"-1V9"--> VERSION
 *   LEASE --granted: ports--> METADATA --FIN--> RECORDING --CLOSE--> ENDED
 *         --refused---------> LEAVING --CLOSE sent--> ENDED
 *                             METADATA (V1) --end of file--> RECORDING --> ENDED
 *   any --the peer's mistake, end of file, silence--> ENDED
 *
 * Invariants: a step that returns TRACE_CMD_WAIT has changed nothing; every other step takes at
 *         most one message (or one line of V1, or what there is of V1's raw metadata); nothing is
 *         sent behind the port list; after TRACE_CMD_END no step follows.
 * Thread: any; it works on its arguments only. relayd: the front loop.
 * Units:  bytes; milliseconds of CLOCK_MONOTONIC.
 * Source: doc/protocol.md. Tests: tests/talk, tests/unit/trace_cmd_*.c,
 * tests/fuzz/fuzz_trace_cmd.c.
 */
#ifndef TRACERELAY_RELAYD_TRACE_CMD_H
#define TRACERELAY_RELAYD_TRACE_CMD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/counters.h"
#include "common/state.h"

#define TRACE_CMD_MESSAGE_MAX 8192u /* bytes of one message, header included; both ways */
#define TRACE_CMD_STRING_MAX  64u   /* bytes of a version or a number, NUL included */
#define TRACE_CMD_CPUS_MAX    2045u /* ports that fit into the roomiest port list (V2) */
#define TRACE_CMD_MAGIC_MS    50    /* silence that tells 2.7's magic from that of 2015 */
#define TRACE_CMD_PATIENCE    16u   /* unknown versions, or messages out of place, in a handshake */

enum trace_cmd_state {
	TRACE_CMD_NEW = 0,    /* zeroed memory: the greeting is due */
	TRACE_CMD_VERSION,    /* the first string */
	TRACE_CMD_V1_PAGE,    /* V1: page size */
	TRACE_CMD_V1_OPTIONS, /* V1: number of options */
	TRACE_CMD_V1_OPTION,  /* V1: options_left of them */
	TRACE_CMD_V2_MAGIC,
	TRACE_CMD_V3_MAGIC,
	TRACE_CMD_TINIT,     /* V2, V3: messages from here on */
	TRACE_CMD_LEASE,     /* the client has said all it must; ports are awaited */
	TRACE_CMD_METADATA,  /* the port list is on its way or sent */
	TRACE_CMD_RECORDING, /* metadata is complete; silence is legal for months */
	TRACE_CMD_LEAVING,   /* a last reply is on its way */
	TRACE_CMD_ENDED,
	TRACE_CMD_STATE_COUNT
};

/* All that is remembered between steps. Zeroed memory is a new conversation. */
struct trace_cmd {
	uint32_t state;     /* enum trace_cmd_state */
	uint32_t protocol;  /* enum protocol, as soon as it is known */
	uint32_t transport; /* enum transport */
	uint32_t cpus;
	uint32_t page_size;
	uint32_t options_left;     /* V1 */
	uint32_t early;            /* V2: bytes were there before the version was answered */
	uint32_t unexpected;       /* messages that had no place where they came */
	uint32_t leaving;          /* LEAVING: 1 + enum close_reason */
	uint32_t unknown_versions; /* answered by V3 so far */
	int64_t since_ms;          /* our last reply: silence before it was not the peer's */
	char unknown[TRACE_CMD_STRING_MAX]; /* the unknown version asked for last */
};
_Static_assert(sizeof(struct trace_cmd) <= STATE_DIALECT, "struct trace_cmd lies in a half");

/* From the options; a timeout of 0 is none. */
struct trace_cmd_limits {
	int64_t handshake_timeout_ms; /* silence until the port list is sent */
	int64_t metadata_timeout_ms;  /* silence inside the metadata */
	int64_t stall_timeout_ms;     /* silence inside a message that has begun */
	uint64_t metadata_max;        /* bytes */
	uint32_t cpus_max; /* streams a client may have; the port list's room also counts */
};

enum trace_cmd_grant { TRACE_CMD_GRANT_NONE = 0, TRACE_CMD_GRANT_PORTS, TRACE_CMD_GRANT_REFUSED };

struct trace_cmd_input {
	const uint8_t *bytes; /* everything received and not taken yet, in one piece */
	size_t len;
	/* Nothing will come behind these bytes: 0, or 1 + enum close_reason, where 1 (CLOSE_none)
	 * is an ordinary end of file. */
	uint32_t eof;
	bool sending; /* the last reply is not sent: only the clock is looked at */
	bool empty;   /* the socket was found empty at now_ms; otherwise no silence is believed */
	int64_t now_ms;
	int64_t last_byte_ms; /* when the last byte came, or the connection */
	uint64_t metadata;    /* bytes of metadata given out so far */
	size_t room;          /* METADATA: bytes of metadata that can be taken now */
	/* LEASE: the answer, if there is one */
	enum trace_cmd_grant grant;
	enum close_reason refusal; /* GRANT_REFUSED */
	const uint16_t *ports;     /* GRANT_PORTS: of CPU 0, 1, ... */
	uint32_t port_count;
	const struct trace_cmd_limits *limits;
};

enum trace_cmd_action {
	TRACE_CMD_WAIT,          /* nothing can be done before `wait` comes */
	TRACE_CMD_STEP,          /* bytes were taken, a reply made, or the state moved */
	TRACE_CMD_GIVE_METADATA, /* payload: the next bytes of the metadata */
	TRACE_CMD_METADATA_END,  /* no more metadata will come: FIN, or V1's end of file */
	TRACE_CMD_END,           /* the conversation is over: reason, orderly */
};

enum trace_cmd_wait {
	TRACE_CMD_WAIT_BYTES,
	TRACE_CMD_WAIT_LEASE, /* cpus, page_size, transport, protocol are in struct trace_cmd */
	TRACE_CMD_WAIT_ROOM,  /* for metadata */
	TRACE_CMD_WAIT_SENT,  /* the reply */
};

struct trace_cmd_output {
	uint8_t *reply; /* in: STATE_REPLY bytes to write a reply into; untouched if in->sending */
	/* All below is the step's answer, zeroed at its beginning. */
	enum trace_cmd_action action;
	size_t consumed;  /* bytes taken, <= len */
	size_t reply_len; /* bytes to send in one write; 0: nothing */
	enum trace_cmd_wait wait;
	int64_t deadline_ms;    /* WAIT: when silence ends it; 0: never */
	const uint8_t *payload; /* GIVE_METADATA: inside in->bytes */
	size_t payload_len;
	enum close_reason reason; /* END */
	bool orderly;             /* END: as the protocol says (CLOSE, or V1's end of file) */
	bool reset;        /* END: close by reset, so that the client tries an older version */
	bool renegotiated; /* an unknown version was answered by V3 */
	bool unexpected;   /* a message had no place here; skipped, or answered NOT_SUPP */
};

/*
 * Do the next thing. Call it again until it returns TRACE_CMD_WAIT or TRACE_CMD_END (asserted: not
 * behind the latter).
 */
enum trace_cmd_action trace_cmd_step(struct trace_cmd *s, const struct trace_cmd_input *in,
				     struct trace_cmd_output *out);

/* "metadata"; for status, logs and tests. */
const char *trace_cmd_state_name(enum trace_cmd_state state);

#endif
