/* SPDX-License-Identifier: MIT */
/* mpsc.c - a queue for one consumer on liburcu's wfcqueue. Contract: mpsc.h. */
#include "common/mpsc.h"

#include <assert.h>

#include "common/tsan.h"

static struct mpsc_node *taken(struct cds_wfcq_node *link)
{
	if (!link)
		return NULL;
	TSAN_ACQUIRE(link);
	return caa_container_of(link, struct mpsc_node, link);
}

void mpsc_init(struct mpsc *q)
{
	__cds_wfcq_init(&q->head, &q->tail);
}

void mpsc_fini(struct mpsc *q)
{
	assert(cds_wfcq_empty(&q->head, &q->tail));
	(void)q;
}

bool mpsc_push(struct mpsc *q, struct mpsc_node *node)
{
	cds_wfcq_node_init(&node->link);
	TSAN_RELEASE(&node->link);
	return !cds_wfcq_enqueue(&q->head, &q->tail, &node->link);
}

struct mpsc_node *mpsc_pop(struct mpsc *q)
{
	return taken(__cds_wfcq_dequeue_blocking(&q->head, &q->tail));
}

size_t mpsc_drain(struct mpsc *q, void (*take)(struct mpsc_node *node, void *arg), void *arg)
{
	struct __cds_wfcq_head head;
	struct cds_wfcq_tail tail;
	struct mpsc_node *node;
	size_t n = 0;

	__cds_wfcq_init(&head, &tail);
	(void)__cds_wfcq_splice_blocking(&head, &tail, &q->head, &q->tail);
	while ((node = taken(__cds_wfcq_dequeue_blocking(&head, &tail)))) {
		n++;
		take(node, arg); /* may free it */
	}
	return n;
}
