/* SPDX-License-Identifier: MIT */
/* relayd_link.c - order, batches, a relayd that does not read, and one that is gone. */
#include "sessiond-lite/relayd_link.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/seqpacket.h"

static struct fixture {
	uv_loop_t loop;
	struct store *store;
	struct relayd_link *link;
	int relayd;
	int messages, gone, error;
	struct link_message last;
	bool keep;
	int kept;
} f;

static void on_message(void *context, const struct link_message *m, int *fds, unsigned n)
{
	(void)context;
	f.messages++;
	f.last = *m;
	if (n && f.keep) {
		f.kept = fds[0];
		fds[0] = -1;
	}
}

static void on_gone(void *context, int error)
{
	(void)context;
	f.gone++;
	f.error = error;
	relayd_link_close(f.link);
}

static void start(void)
{
	struct store_config c = {
		.capacity = {1024, 4, 16, 1}, .conversations_per_peer = 1024, .descriptors = 10000};
	int pair[2];

	memset(&f, 0, sizeof(f));
	cr_assert_eq(uv_loop_init(&f.loop), 0);
	cr_assert_eq(store_create(&c, &f.store), 0);
	cr_assert_eq(relayd_link_create(&f.loop, f.store,
					&(struct relayd_link_handlers){on_message, on_gone, NULL},
					&f.link),
		     0);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
		     0);
	cr_assert_eq(relayd_link_open(f.link, pair[0]), 0);
	f.relayd = pair[1];
}

static void stop(void)
{
	relayd_link_free(f.link);
	if (f.relayd >= 0)
		close(f.relayd);
	uv_run(&f.loop, UV_RUN_DEFAULT);
	cr_assert_eq(uv_loop_close(&f.loop), 0);
	store_free(f.store);
}

static void turn(void)
{
	for (int i = 0; i < 10; i++)
		uv_run(&f.loop, UV_RUN_NOWAIT);
}

/* The type of the next message, or 0; its descriptors are counted and closed. */
static uint32_t next(struct link_message *m, unsigned *ret_fds)
{
	int fds[LINK_ITEMS];
	unsigned n = LINK_ITEMS, flags;
	ssize_t len = seqpacket_recv(f.relayd, m, sizeof(*m), fds, &n, &flags);

	if (len < 0)
		return 0;
	cr_assert_eq((size_t)len, link_size(m));
	*ret_fds = n;
	while (n--)
		close(fds[n]);
	return m->type;
}

static struct state_ref conversation(void)
{
	struct store_conversation what = {.now_ms = 1};
	struct state_ref ref;

	cr_assert_eq(addr_parse("10.0.0.1:1", &what.peer), 0);
	cr_assert_eq(store_conversation_add(f.store, open("/dev/null", O_RDONLY | O_CLOEXEC), &what,
					    &ref),
		     0);
	return ref;
}

static void send_number(uint32_t number)
{
	struct link_message m = {.type = LINK_SESSION, .ref.index = number};

	relayd_link_send(f.link, &m);
}

Test(relayd_link, descriptors_travel_together_and_in_order)
{
	struct link_message m;
	struct state_ref ref[300];
	unsigned n;

	start();
	send_number(1);
	for (int i = 0; i < 300; i++) {
		ref[i] = conversation();
		relayd_link_conversation(f.link, ref[i]);
	}
	send_number(2);
	relayd_link_conversation(f.link, ref[0]);
	cr_assert_eq(relayd_link_waiting(f.link), 5);
	turn();
	cr_assert_eq(next(&m, &n), LINK_SESSION);
	cr_assert_eq(next(&m, &n), LINK_CONVERSATIONS);
	cr_assert_eq(m.items, LINK_ITEMS);
	cr_assert_eq(n, LINK_ITEMS);
	cr_assert_eq(m.item[0].id, ref[0].id);
	cr_assert_eq(next(&m, &n), LINK_CONVERSATIONS);
	cr_assert_eq(m.items, 300 - LINK_ITEMS);
	cr_assert_eq(m.item[0].id, ref[LINK_ITEMS].id);
	cr_assert_eq(next(&m, &n), LINK_SESSION);
	cr_assert_eq(m.ref.index, 2);
	cr_assert_eq(next(&m, &n), LINK_CONVERSATIONS);
	cr_assert_eq(m.items, 1);
	cr_assert_eq(next(&m, &n), 0);
	stop();
}

Test(relayd_link, a_slot_that_is_gone_is_not_passed)
{
	struct link_message m;
	struct state_ref a, b;
	unsigned n;

	start();
	a = conversation();
	b = conversation();
	relayd_link_conversation(f.link, a);
	relayd_link_conversation(f.link, b);
	store_conversation_drop(f.store, a);
	turn();
	cr_assert_eq(next(&m, &n), LINK_CONVERSATIONS);
	cr_assert_eq(m.items, 1);
	cr_assert_eq(n, 1);
	cr_assert_eq(m.item[0].id, b.id);
	relayd_link_conversation(f.link, b);
	store_conversation_drop(f.store, b);
	turn();
	cr_assert_eq(next(&m, &n), 0);
	cr_assert_eq(relayd_link_waiting(f.link), 0);
	stop();
}

Test(relayd_link, what_does_not_fit_waits_in_order)
{
	struct link_message m;
	unsigned n;
	uint32_t got = 0;

	start();
	for (uint32_t i = 0; i < 2000; i++)
		send_number(i);
	turn();
	cr_assert_gt(relayd_link_waiting(f.link), 0, "the queue of the socket holds everything?");
	while (got < 2000) {
		if (next(&m, &n)) {
			cr_assert_eq(m.ref.index, got);
			got++;
		} else {
			turn();
		}
	}
	cr_assert_eq(relayd_link_waiting(f.link), 0);
	cr_assert_eq(f.gone, 0);
	stop();
}

Test(relayd_link, without_a_relayd_nothing_waits)
{
	start();
	close(f.relayd);
	f.relayd = -1;
	send_number(1);
	while (!f.gone)
		uv_run(&f.loop, UV_RUN_ONCE);
	cr_assert_eq(f.error, 0);
	cr_assert_not(relayd_link_is_open(f.link));
	send_number(2);
	relayd_link_conversation(f.link, conversation());
	cr_assert_eq(relayd_link_waiting(f.link), 0);
	stop();
}

Test(relayd_link, last_words_are_heard)
{
	struct link_message m = {.type = LINK_STOPPED};

	start();
	send_number(1); /* stays unread: the end then looks like an error */
	turn();
	cr_assert_eq(seqpacket_send(f.relayd, &m, link_size(&m), NULL, 0), 0);
	close(f.relayd);
	f.relayd = -1;
	while (!f.gone)
		uv_run(&f.loop, UV_RUN_ONCE);
	cr_assert_eq(f.messages, 1);
	cr_assert_eq(f.last.type, LINK_STOPPED);
	cr_assert_eq(f.error, 0);
	stop();
}

Test(relayd_link, drained_when_relayd_is_known_to_be_gone)
{
	struct link_message m = {.type = LINK_DONE};

	start();
	for (int i = 0; i < 100; i++)
		cr_assert_eq(seqpacket_send(f.relayd, &m, link_size(&m), NULL, 0), 0);
	relayd_link_drain(f.link);
	cr_assert_eq(f.messages, 100);
	cr_assert_eq(f.gone, 0, "somebody may still hold the other end");
	close(f.relayd);
	f.relayd = -1;
	relayd_link_drain(f.link);
	cr_assert_eq(f.gone, 1);
	stop();
}

Test(relayd_link, descriptors_received_are_closed_unless_kept)
{
	struct link_message m = {.type = LINK_HOLD, .chunk.key = 5};
	int fd[2], before, after;

	start();
	fd[0] = fd[1] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	before = dup(fd[0]);
	close(before);
	cr_assert_eq(seqpacket_send(f.relayd, &m, link_size(&m), fd, 2), 0);
	turn();
	cr_assert_eq(f.messages, 1);
	after = dup(fd[0]);
	close(after);
	cr_assert_eq(before, after);
	f.keep = true;
	cr_assert_eq(seqpacket_send(f.relayd, &m, link_size(&m), fd, 2), 0);
	turn();
	cr_assert_geq(fcntl(f.kept, F_GETFD), 0);
	close(f.kept);
	close(fd[0]);
	stop();
}

Test(relayd_link, nonsense_breaks_the_link)
{
	struct link_message m = {.type = LINK_DONE, .items = 4};

	start();
	cr_assert_eq(seqpacket_send(f.relayd, &m, link_size(&m) - 1, NULL, 0), 0);
	turn();
	cr_assert_eq(f.gone, 1);
	cr_assert_eq(f.error, -EPROTO);
	cr_assert_eq(f.messages, 0);
	stop();
}

Test(relayd_link, owned_descriptors_are_duplicates)
{
	struct link_message m = {.type = LINK_HELD, .text = "a/trace.dat"}, got;
	int fd;
	unsigned n;

	start();
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	relayd_link_send_fds(f.link, &m, &fd, 1);
	close(fd);
	turn();
	cr_assert_eq(next(&got, &n), LINK_HELD);
	cr_assert_eq(n, 1);
	cr_assert_str_eq(got.text, "a/trace.dat");
	stop();
}
