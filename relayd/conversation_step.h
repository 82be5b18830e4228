/* SPDX-License-Identifier: MIT */
/*
 * conversation_step.h - what the engine of a dialect needs of a conversation's bytes; the shell
 * needs conversation.h only.
 *
 * A step: conversation_begin(), effects, conversation_commit_step(). Effects come before the commit
 * and are harmless to repeat.
 * Thread: relayd's front loop only.
 */
#ifndef TRACERELAY_RELAYD_CONVERSATION_STEP_H
#define TRACERELAY_RELAYD_CONVERSATION_STEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/state.h"
#include "relayd/conversation.h"

/* A place where a SIGKILL could strike; tests strike there. */
void conversation_here(const char *where);

void conversation_commit_step(struct conversation_slot *c);

/* Bytes of the reply are still to be sent. */
bool conversation_sending(const struct conversation_half *h);
/* Bytes received and not understood yet. */
size_t conversation_unread(const struct conversation_half *h);
/* Take over what the last receive brought, in a step of its own, so that its time is known. */
void conversation_fold(struct conversation_slot *c, int64_t now_ms);
/* The reply of the step: that many bytes stand in slot->reply. */
void conversation_set_reply(struct conversation_half *next, size_t len);

/* As conversation_prepare_send(), of a reply that stands elsewhere in the state memory. */
struct mmsghdr *conversation_prepare_send_of(struct conversation_slot *c, uint8_t *reply);

/* All unread bytes in one piece; valid until something is received. */
struct conversation_view {
	uint64_t begin; /* ring position of bytes[0] */
	const uint8_t *bytes;
	uint8_t unwrapped[STATE_RING];
};

void conversation_view_open(struct conversation_view *v, const struct conversation_slot *c);

#endif
