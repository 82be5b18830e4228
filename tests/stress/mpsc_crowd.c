/* SPDX-License-Identifier: MIT */
/*
 * mpsc_crowd.c - many threads push to one, which sleeps until it is woken: the way loops talk.
 *
 * Every message comes out once, in the order of its sender, whole; and no wake-up gets lost, since
 * only the push that found the queue empty wakes.
 *
 * usage: mpsc_crowd [MESSAGES-EACH]
 */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/mpsc.h"

#define SENDERS       4u
#define PATIENCE_MS   10000
#define ALONE         100u
#define BETWEEN_RESTS 200u

struct message {
	struct mpsc_node node;
	unsigned sender;
	uint64_t number;
	uint64_t payload[8]; /* each is number + its place */
};

static struct mpsc queue;
static int wake;
static uint64_t messages_each;
static _Atomic uint64_t next[SENDERS]; /* the receiver writes it */

static void fail(const char *what)
{
	fprintf(stderr, "mpsc_crowd: %s\n", what);
	abort();
}

static void *send_all(void *arg)
{
	unsigned sender = (unsigned)(uintptr_t)arg;

	/* At first one alone: nobody comes who would wake in its place. */
	while (sender && atomic_load(&next[0]) < ALONE)
		sched_yield();
	for (uint64_t n = 0; n < messages_each; n++) {
		struct message *m = malloc(sizeof(*m));

		if (!m)
			fail("no memory");
		m->sender = sender;
		m->number = n;
		for (unsigned i = 0; i < 8; i++)
			m->payload[i] = n + i;
		if (mpsc_push(&queue, &m->node) && eventfd_write(wake, 1) < 0)
			fail("eventfd");
		while ((n < ALONE || n % BETWEEN_RESTS == 0) && atomic_load(&next[sender]) <= n)
			sched_yield();
	}
	return NULL;
}

static void take(struct mpsc_node *node, void *arg)
{
	struct message *m = caa_container_of(node, struct message, node);
	uint64_t *taken = arg;

	if (m->sender >= SENDERS || m->number != next[m->sender])
		fail("a message out of order");
	for (unsigned i = 0; i < 8; i++)
		if (m->payload[i] != m->number + i)
			fail("a message that is not as it was sent");
	next[m->sender]++;
	++*taken;
	free(m);
}

/* As a loop does: all there is, one way or the other. */
static void receive(uint64_t *taken, bool pop)
{
	struct mpsc_node *node;

	if (!pop) {
		mpsc_drain(&queue, take, taken);
		return;
	}
	while ((node = mpsc_pop(&queue)))
		take(node, taken);
}

int main(int argc, char **argv)
{
	pthread_t thread[SENDERS];
	uint64_t taken = 0, wakes = 0;
	eventfd_t n;

	messages_each = argc > 1 ? strtoull(argv[1], NULL, 10) : 60000;
	wake = eventfd(0, EFD_CLOEXEC);
	mpsc_init(&queue);
	for (unsigned i = 0; i < SENDERS; i++)
		if (pthread_create(&thread[i], NULL, send_all, (void *)(uintptr_t)i))
			return 1;
	while (taken < SENDERS * messages_each) {
		struct pollfd p = {.fd = wake, .events = POLLIN};

		if (poll(&p, 1, PATIENCE_MS) != 1)
			fail("a wake-up was lost");
		if (eventfd_read(wake, &n) < 0)
			fail("eventfd");
		wakes++;
		receive(&taken, wakes % 2);
	}
	for (unsigned i = 0; i < SENDERS; i++)
		pthread_join(thread[i], NULL);
	if (mpsc_pop(&queue))
		fail("a message too many");
	mpsc_fini(&queue);
	close(wake);
	printf("%llu messages, %llu wake-ups\n", (unsigned long long)taken,
	       (unsigned long long)wakes);
	return 0;
}
