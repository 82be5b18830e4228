/* SPDX-License-Identifier: MIT */
/*
 * mpsc.c - order, hand-over and the one wake-up. Also run under ThreadSanitizer.
 */
#include "common/mpsc.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct message {
	struct mpsc_node node;
	unsigned producer, number;
};

static struct message *message_of(struct mpsc_node *node)
{
	return caa_container_of(node, struct message, node);
}

Test(mpsc, first_in_first_out_and_one_wake_up)
{
	struct message m[3] = {{.number = 0}, {.number = 1}, {.number = 2}};
	struct mpsc q;

	mpsc_init(&q);
	cr_assert_null(mpsc_pop(&q));
	cr_assert(mpsc_push(&q, &m[0].node), "it was empty");
	cr_assert_not(mpsc_push(&q, &m[1].node));
	cr_assert_eq(message_of(mpsc_pop(&q))->number, 0);
	cr_assert_not(mpsc_push(&q, &m[2].node));
	cr_assert_eq(message_of(mpsc_pop(&q))->number, 1);
	cr_assert_eq(message_of(mpsc_pop(&q))->number, 2);
	cr_assert_null(mpsc_pop(&q));
	cr_assert(mpsc_push(&q, &m[0].node), "empty again, and a node may be used again");
	cr_assert_eq(mpsc_pop(&q), &m[0].node);
	mpsc_fini(&q);
}

struct pushing_back {
	struct mpsc *q;
	unsigned seen, woken;
};

static void push_back(struct mpsc_node *node, void *arg)
{
	struct pushing_back *p = arg;

	p->seen++;
	p->woken += mpsc_push(p->q, node);
}

Test(mpsc, draining_takes_what_is_there_and_no_more)
{
	struct message m[3];
	struct mpsc q;
	struct pushing_back p = {.q = &q};

	mpsc_init(&q);
	cr_assert_eq(mpsc_drain(&q, push_back, &p), 0);
	for (int i = 0; i < 3; i++)
		mpsc_push(&q, &m[i].node);
	cr_assert_eq(mpsc_drain(&q, push_back, &p), 3, "though each comes back");
	cr_assert_eq(p.seen, 3);
	cr_assert_eq(p.woken, 1, "the first that came back announces itself");
	for (int i = 0; i < 3; i++)
		cr_assert_eq(mpsc_pop(&q), &m[i].node);
	mpsc_fini(&q);
}

/* Producers that wake the consumer by the rule of mpsc.h, and never otherwise: were a wake-up
 * missing, the consumer would wait in poll() and the test say so. */
enum { PRODUCERS = 4, EACH = 20000 };

struct crowd {
	struct mpsc q;
	int wake; /* an eventfd in the role of uv_async_t */
	unsigned next[PRODUCERS];
	unsigned out_of_order, total;
};

struct producer {
	struct crowd *crowd;
	unsigned index;
};

static void *produce(void *arg)
{
	struct producer *p = arg;
	const uint64_t one = 1;

	for (unsigned i = 0; i < EACH; i++) {
		struct message *m = malloc(sizeof(*m));

		m->producer = p->index;
		m->number = i;
		if (mpsc_push(&p->crowd->q, &m->node) &&
		    write(p->crowd->wake, &one, sizeof(one)) != sizeof(one))
			abort();
	}
	return NULL;
}

static void consume(struct mpsc_node *node, void *arg)
{
	struct message *m = message_of(node);
	struct crowd *crowd = arg;

	crowd->out_of_order += m->number != crowd->next[m->producer]++;
	crowd->total++;
	free(m);
}

static void run_crowd(bool by_pop)
{
	struct crowd crowd = {.wake = eventfd(0, EFD_CLOEXEC)};
	struct producer producers[PRODUCERS];
	pthread_t threads[PRODUCERS];

	mpsc_init(&crowd.q);
	for (unsigned i = 0; i < PRODUCERS; i++) {
		producers[i] = (struct producer){.crowd = &crowd, .index = i};
		cr_assert_eq(pthread_create(&threads[i], NULL, produce, &producers[i]), 0);
	}
	while (crowd.total < PRODUCERS * EACH) {
		struct pollfd wake = {.fd = crowd.wake, .events = POLLIN};
		struct mpsc_node *node;
		uint64_t count;

		cr_assert_eq(poll(&wake, 1, 20000), 1, "asleep with %u of %u", crowd.total,
			     PRODUCERS * EACH);
		cr_assert_eq(read(crowd.wake, &count, sizeof(count)), (ssize_t)sizeof(count));
		if (by_pop)
			while ((node = mpsc_pop(&crowd.q)))
				consume(node, &crowd);
		else
			mpsc_drain(&crowd.q, consume, &crowd);
	}
	for (unsigned i = 0; i < PRODUCERS; i++)
		pthread_join(threads[i], NULL);
	cr_assert_eq(crowd.total, PRODUCERS * EACH);
	cr_assert_eq(crowd.out_of_order, 0);
	mpsc_fini(&crowd.q);
	close(crowd.wake);
}

Test(mpsc, many_threads_one_drains)
{
	run_crowd(false);
}

Test(mpsc, many_threads_one_pops)
{
	run_crowd(true);
}
