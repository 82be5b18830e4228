/* SPDX-License-Identifier: MIT */
/*
 * mpsc.h - messages from any thread to the one thread that owns a queue, in order.
 *
 * How loops talk: the message is intrusive (a struct mpsc_node inside it), so pushing allocates
 * nothing and cannot fail. The queue wakes nobody itself: mpsc_push() says when its caller has to
 * (uv_async_send() of the owner's loop), which is once for a burst and not once for a message.
 *
 *   producer:  if (mpsc_push(&inbox, &m->node)) uv_async_send(&owner->wake);
 *   owner:     on wake: mpsc_drain(&inbox, on_message, owner);
 *
 * Life:   a struct mpsc lives where its owner puts it, from mpsc_init() to mpsc_fini(), and never
 *         moves. A node belongs to the queue from push to pop; then to the owner, who may free it.
 * Thread: mpsc_push() any thread, without a lock; everything else only the owner's.
 * Order:  messages of one thread come out in the order in which it pushed them; what a producer
 *         wrote before the push is visible after the pop.
 * Source: house style 6 (loops talk through a queue and one uv_async_t); liburcu's wfcqueue.
 */
#ifndef TRACERELAY_COMMON_MPSC_H
#define TRACERELAY_COMMON_MPSC_H

#include <stdbool.h>
#include <stddef.h>

#include <urcu/wfcqueue.h>

struct mpsc_node {
	struct cds_wfcq_node link;
};

struct mpsc {
	struct __cds_wfcq_head head;            /* without liburcu's mutex: there is one consumer */
	_Alignas(64) struct cds_wfcq_tail tail; /* producers' cache line */
};

void mpsc_init(struct mpsc *q);

/* The queue is empty and no producer knows it any longer (the first is asserted). */
void mpsc_fini(struct mpsc *q);

/*
 * [any] Append a message. Wait-free.
 * Return true if the queue was empty before: the caller then wakes the owner. Whoever gets false
 * need not: another producer's wake-up is on its way, or the owner has not looked yet.
 */
bool mpsc_push(struct mpsc *q, struct mpsc_node *node);

/*
 * [owner] Take out the oldest message, NULL if there is none. An owner that stops before NULL has
 * to come back by itself: no further wake-up is owed to it.
 */
struct mpsc_node *mpsc_pop(struct mpsc *q);

/*
 * [owner] Give every message that is in the queue at the time of the call to take(), oldest first.
 * What is pushed meanwhile, by take() too, stays for the next call and is announced by a wake-up
 * of its own, so that busy producers cannot hold the owner here. take() owns the node and must not
 * call mpsc_drain() or mpsc_pop() on the same queue.
 * Return how many there were.
 */
size_t mpsc_drain(struct mpsc *q, void (*take)(struct mpsc_node *node, void *arg), void *arg);

#endif
