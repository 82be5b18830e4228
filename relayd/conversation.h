/* SPDX-License-Identifier: MIT */
/*
 * conversation.h - the engine of a control connection, over its slot in the state memory.
 *
 * It holds nothing: every call finds all it needs in the slot, so a process that was started a
 * moment ago goes on where a killed one stopped, whichever instruction that was. It does no I/O;
 * the shell makes the system calls with the headers that the engine lays out in the slot.
 *
 *   Steps. What changes is written into the idle half and committed by conversation_commit()
 *   (common/state.h). Effects come before the commit of the step that caused them, and are harmless
 *   to repeat: a kill between them and the commit repeats them, with the same positions.
 *   Bytes. The kernel itself counts: received = received_base + receive.msg_len, sent = sent_base +
 *   send.msg_len; msg_len is zeroed in a step of its own before each system call.
 *   Replies. One at a time; nothing more is understood until it is sent, so that it cannot change
 *   under the kernel's hands.
 *
 * The shell's turn, whenever the socket is ready, the deadline passed, an answer or room came:
 *
 *	while ((m = conversation_prepare_receive(slot, now)))
 *		n = recvmmsg(fd, m, 1, MSG_DONTWAIT, NULL);
 *		1 and m->msg_len > 0: again
 *		1 and m->msg_len = 0: conversation_note_eof(slot, CLOSE_none), break
 *		EAGAIN: empty = true, break
 *		ECONNRESET, ETIMEDOUT, ...: conversation_note_eof(slot, CLOSE_reset, ...), break
 *		(a budget may break this off: then run() with empty = false and come back)
 *	wants = conversation_run(slot, now, empty, env, &deadline);
 *	while ((m = conversation_prepare_send(slot)))
 *		n = sendmmsg(fd, m, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
 *		1: again; EAGAIN: break; EPIPE, ECONNRESET, ...: conversation_note_unsendable(slot)
 *	if something was sent: conversation_run() again
 *	poll for reading if wants & RECEIVE, for writing if wants & SEND, not at all if neither
 *(epoll would go on reporting a hang-up); on ENDED leave epoll, shutdown, close, mark the slot
 *done.
 *
 * A header that prepare_*() gave is to be used at once: any other call here may flip the halves.
 * A new process calls conversation_open() for each slot it finds alive, and takes such a turn.
 *
 * Life:   the slot's, which sessiond-lite allocates zeroed and frees.
 * Thread: relayd's front loop only ([F] in common/state.h). Reading the live half: any.
 * Source: design.md section 6; doc/protocol.md. Tests: tests/talk, tests/unit/conversation.c.
 */
#ifndef TRACERELAY_RELAYD_CONVERSATION_H
#define TRACERELAY_RELAYD_CONVERSATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/counters.h"
#include "common/state.h"
#include "relayd/trace_cmd.h"

/* What a client asks for. */
struct conversation_lease {
	uint32_t cpus;
	uint32_t page_size;
	enum protocol protocol;
	enum transport transport;
};

/* The shell's side. Every call may come again with the same arguments, even from the next process.
 */
struct conversation_ops {
	/* Ask sessiond-lite for ports, unless asked already: called in every run that finds the
	 * answer missing. */
	void (*lease)(void *ctx, struct conversation_slot *c,
		      const struct conversation_lease *want);
	/*
	 * The answer. > 0: that many ports were written, of CPU 0, 1, ..., at most max; 0: none
	 * yet; < 0: refused, a negative errno (conversation_refusal() says what becomes of it).
	 */
	int (*lease_answer)(void *ctx, struct conversation_slot *c, uint16_t *ports, uint32_t max);
	/* Bytes that metadata_append() may be given at that position now. */
	size_t (*metadata_room)(void *ctx, struct conversation_slot *c, uint64_t position);
	/*
	 * Put bytes at that position of the source's metadata, at most the room told just before.
	 * What the worker sees as received must never shrink: set it to the larger of what it is
	 * and position + len.
	 */
	void (*metadata_append)(void *ctx, struct conversation_slot *c, uint64_t position,
				const uint8_t *bytes, size_t len);
	void (*metadata_end)(void *ctx, struct conversation_slot *c);
	/*
	 * Nothing more will come (once for every conversation, those without a source included, but
	 * for repetitions). Tell the source, if slot->source names one. The socket is still open:
	 * the closing step is committed behind this call, and only then may it be shut.
	 */
	void (*control_ended)(void *ctx, struct conversation_slot *c, bool orderly,
			      enum close_reason reason);
	/* Behind the commit, so the only one that a kill may skip but never repeats. */
	void (*count)(void *ctx, enum counter id, uint64_t n);
};

struct conversation_env {
	const struct conversation_ops *ops;
	void *ctx; /* given to each of them */
	const struct trace_cmd_limits *limits;
};

enum conversation_want {
	CONVERSATION_RECEIVE = 1 << 0, /* the ring has room and the peer has not ended */
	CONVERSATION_SEND = 1 << 1,    /* a reply is to be sent */
	CONVERSATION_LEASE = 1 << 2,   /* waits for lease_answer() */
	CONVERSATION_ROOM = 1 << 3,  /* waits for metadata_room(); the ring may fill up meanwhile */
	CONVERSATION_ENDED = 1 << 4, /* the closing step is taken; nothing else is set */
};

/* A new or an inherited slot: after this the live half is valid. May be repeated at any time. */
void conversation_open(struct conversation_slot *c);

/* Lay out the next receive: recvmmsg() one message into the free part of the ring. NULL if the ring
 * is full, or nothing is to be read any more. */
struct mmsghdr *conversation_prepare_receive(struct conversation_slot *c, int64_t now_ms);

/* Lay out the next send; NULL if all of the reply is sent (or there is none). */
struct mmsghdr *conversation_prepare_send(struct conversation_slot *c);

/*
 * The receive met the end. @reason CLOSE_none: end of file; CLOSE_reset, CLOSE_keep_alive, ...: the
 * error that stood in its place. What was received before is still understood first. The first
 * call counts.
 */
void conversation_note_eof(struct conversation_slot *c, enum close_reason reason);

/* The reply cannot be sent (EPIPE, ECONNRESET): give it up. The receiving side says the rest. */
void conversation_note_unsendable(struct conversation_slot *c);

/*
 * Understand what there is, until something is missing.
 * @empty   a receive found the socket empty at now_ms; only then is silence believed
 * @ret_deadline_ms  call again at that time (take a whole turn: the socket must be looked at
 *          first); 0: no timer is needed
 * Return a set of enum conversation_want.
 */
unsigned conversation_run(struct conversation_slot *c, int64_t now_ms, bool empty,
			  const struct conversation_env *env, int64_t *ret_deadline_ms);

/*
 * End it for a reason that is not the peer's (shutdown, session destroyed, no memory). No effect on
 * one that has ended. @reset: before anything but the greeting was sent, a reset makes every
 * trace-cmd but a V1 one come back speaking V1; a FIN makes the 2015 client die.
 */
void conversation_close(struct conversation_slot *c, enum close_reason reason, bool reset,
			const struct conversation_env *env);

/* 0, or 1 + enum close_reason once the closing step is committed. */
uint32_t conversation_closing(const struct conversation_slot *c);

/* What the protocol half remembers; for status, logs and tests. */
void conversation_trace_cmd(const struct conversation_slot *c, struct trace_cmd *ret);

/*
 * Why a lease was refused:
 *   -EADDRNOTAVAIL ports_exhausted   -EUSERS sources_limit   -EDQUOT streams_limit
 *   -EMFILE, -ENFILE no_descriptors  -ENOMEM no_memory       -ENOSPC, -ENOBUFS no_slot
 *   -ECANCELED session_destroyed     -EPERM session_stopped  -ESHUTDOWN shutdown
 *   -EIO disk (catalog.db)           anything else internal
 */
enum close_reason conversation_refusal(int error);

/* For tests: called where a SIGKILL could strike between two writes; it may longjmp() away, which
 * leaves the slot as the kill would. NULL in the daemon. */
extern void (*conversation_fault)(const char *where);

#endif
