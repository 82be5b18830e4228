/* SPDX-License-Identifier: MIT */
/*
 * live_turn.h - the engine of a live viewer's connection, over its two slots in the state memory.
 *
 * As relayd/conversation.h, whose receiving half it uses: it holds nothing and does no I/O; a
 * process that was started a moment ago goes on where a killed one stopped. The shell's turn:
 *
 *	while ((m = conversation_prepare_receive(slot, now))) recvmmsg() ... as there
 *	wants = live_turn_run(...)
 *	while ((m = live_turn_prepare_send(slot, viewer))) sendmmsg() ... as there
 *	if all was sent: live_turn_run() again
 *
 * Life:   the slots'.
 * Thread: relayd's live thread.
 * Tests:  tests/unit/live.c, tests/fuzz/fuzz_live.c.
 */
#ifndef TRACERELAY_RELAYD_LIVE_TURN_H
#define TRACERELAY_RELAYD_LIVE_TURN_H

#include "common/state.h"
#include "relayd/conversation.h"
#include "relayd/live_viewer.h"

/* A new or an inherited slot. The viewer's slot must be real memory up to its reply. */
void live_turn_open(struct conversation_slot *c, struct viewer_slot *v);

/*
 * Answer what there is. A set of CONVERSATION_RECEIVE, _SEND, _ENDED (enum conversation_want);
 * while a reply is being sent nothing else is asked for.
 */
unsigned live_turn_run(struct conversation_slot *c, struct viewer_slot *v,
		       const struct live_facts *facts, void *ctx);

/* Lay out the next send; NULL if there is nothing to send. */
struct mmsghdr *live_turn_prepare_send(struct conversation_slot *c, struct viewer_slot *v);

/* End it for a reason that is not the peer's. No effect on one that has ended. */
void live_turn_close(struct conversation_slot *c, enum close_reason reason);

void live_turn_viewer(const struct conversation_slot *c, struct live_viewer *ret);

#endif
