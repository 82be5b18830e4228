/* SPDX-License-Identifier: MIT */
/* store.c - slots, ids, limits and descriptors of the store. */
#include "sessiond-lite/store.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>

static struct store *make(uint32_t conversations, uint32_t sources, uint32_t streams,
			  uint32_t per_peer, uint32_t descriptors)
{
	struct store_config c = {.capacity = {conversations, sources, streams, 1},
				 .conversations_per_peer = per_peer,
				 .descriptors = descriptors};
	struct store *s;

	cr_assert_eq(store_create(&c, &s), 0);
	return s;
}

static int some_fd(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	cr_assert_geq(fd, 0);
	return fd;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static int add(struct store *s, int fd, const char *from, struct state_ref *ret)
{
	struct store_conversation what = {.own_session = 3, .now_ms = 42};

	cr_assert_eq(addr_parse(from, &what.peer), 0);
	cr_assert_eq(addr_parse("127.0.0.1:12345", &what.local), 0);
	return store_conversation_add(s, fd, &what, ret);
}

Test(store, a_conversation_comes_and_goes)
{
	struct store *s = make(4, 4, 4, 4, 1000);
	struct state *st = store_state(s);
	struct conversation_slot *slot;
	struct state_ref a, b;
	int fd = some_fd();

	cr_assert_eq(add(s, fd, "10.0.0.1:4711", &a), 0);
	slot = state_conversation(st, a);
	cr_assert(slot);
	cr_assert_eq(slot->peer.port, 4711);
	cr_assert_eq(slot->local.port, 12345);
	cr_assert_eq(slot->own_session, 3);
	cr_assert_eq(slot->accepted_ms, 42);
	cr_assert_eq(store_conversation_fd(s, a), fd);
	cr_assert_eq(atomic_load(&st->header->high_conversation), a.index + 1);
	/* relayd leaves traces behind */
	atomic_store(&slot->done, 1);
	atomic_store(&slot->count, 3);
	slot->half[1].consumed = 99;
	store_conversation_drop(s, a);
	cr_assert_not(is_open(fd));
	cr_assert_null(state_conversation(st, a));
	cr_assert_eq(store_conversation_fd(s, a), -1);
	store_conversation_drop(s, a);

	fd = some_fd();
	cr_assert_eq(add(s, fd, "10.0.0.1", &b), 0);
	cr_assert_eq(b.index, a.index, "the slot is used again");
	cr_assert_neq(b.id, a.id, "the id never");
	slot = state_conversation(st, b);
	cr_assert_eq(atomic_load(&slot->done), 0);
	cr_assert_eq(atomic_load(&slot->count), 0);
	cr_assert_eq(slot->half[1].consumed, 0);
	cr_assert_eq(store_conversation_fd(s, a), -1, "the old name finds nothing");
	store_free(s);
	cr_assert_not(is_open(fd));
}

Test(store, limits_of_conversations)
{
	struct store *s = make(3, 4, 4, 2, 1000);
	struct store_counts counts;
	struct state_ref ref, first;
	int fd = some_fd();

	cr_assert_eq(add(s, some_fd(), "10.0.0.1:1", &first), 0);
	cr_assert_eq(add(s, some_fd(), "10.0.0.1:2", &ref), 0);
	cr_assert_eq(add(s, fd, "10.0.0.1:3", &ref), -EDQUOT);
	cr_assert(is_open(fd), "a refused descriptor stays the caller's");
	cr_assert_eq(add(s, some_fd(), "10.0.0.2:1", &ref), 0);
	cr_assert_eq(add(s, fd, "10.0.0.3:1", &ref), -EUSERS);
	store_conversation_drop(s, first);
	cr_assert_eq(add(s, fd, "10.0.0.1:3", &ref), 0);
	store_counts(s, &counts);
	cr_assert_eq(counts.conversations, 3);
	store_free(s);
}

Test(store, descriptors_are_counted_before_they_exist)
{
	struct store *s = make(10, 10, 100, 10, 128 + 8 + 38); /* our own, a worker's */
	struct state_ref source, second, streams[40];
	struct addr peer = {0};
	uint32_t left = store_descriptors_left(s);
	int fd = some_fd();

	cr_assert_eq(left, 38);
	cr_assert_eq(store_source_reserve(s, 37, &source, streams), -EMFILE);
	cr_assert_eq(store_descriptors_left(s), left);
	cr_assert_eq(store_source_reserve(s, 36, &source, streams), 0);
	cr_assert_eq(store_descriptors_left(s), 0);
	cr_assert_eq(add(s, fd, "10.0.0.1", &second), -EMFILE);
	cr_assert_eq(store_source_reserve(s, 1, &second, streams + 36), -EMFILE);
	store_source_return(s, source, 36, streams);
	cr_assert_eq(store_descriptors_left(s), left);

	cr_assert_eq(store_source_reserve(s, 2, &source, streams), 0);
	store_state(s)->source[source.index].first_stream = 1 + streams[0].index;
	store_state(s)->stream[streams[0].index].next = 1 + streams[1].index;
	store_source_publish(s, source, 2, streams);
	store_stream_connected(s, streams[0], fd, &peer);
	cr_assert_eq(store_descriptors_left(s), left - 4, "the promise was kept, not repeated");
	cr_assert_eq(store_stream_fd(s, streams[0]), fd);
	cr_assert_eq(store_stream_fd(s, streams[1]), -1);
	store_stream_close(s, streams[0]);
	store_stream_close(s, streams[0]);
	cr_assert_not(is_open(fd));
	cr_assert_eq(store_descriptors_left(s), left - 3);
	store_source_drop(s, source);
	store_source_drop(s, source);
	cr_assert_eq(store_descriptors_left(s), left);
	cr_assert_null(state_source(store_state(s), source));
	cr_assert_null(state_stream(store_state(s), streams[1]));
	store_free(s);
}

Test(store, reserved_slots_cannot_be_seen)
{
	struct store *s = make(4, 4, 8, 4, 1000);
	struct state *st = store_state(s);
	struct state_ref source, streams[3];

	cr_assert_eq(store_source_reserve(s, 3, &source, streams), 0);
	cr_assert_null(state_source(st, source));
	cr_assert_null(state_stream(st, streams[0]));
	cr_assert_eq(atomic_load(&st->header->high_source), 0);
	for (int i = 0; i < 3; i++)
		st->stream[streams[i].index].next = i < 2 ? 1 + streams[i + 1].index : 0;
	st->source[source.index].first_stream = 1 + streams[0].index;
	store_source_publish(s, source, 3, streams);
	cr_assert(state_source(st, source));
	cr_assert(state_stream(st, streams[2]));
	cr_assert_gt(atomic_load(&st->header->high_stream), streams[2].index);
	store_free(s);
}

Test(store, no_slots)
{
	struct store *s = make(4, 2, 8, 4, 1000);
	struct state_ref a, b, c, streams[9];
	struct store_counts counts;

	cr_assert_eq(store_source_reserve(s, 9, &a, streams), -ENOSPC);
	cr_assert_eq(store_source_reserve(s, 8, &a, streams), 0);
	cr_assert_eq(store_source_reserve(s, 1, &b, streams), -ENOSPC);
	store_source_return(s, a, 8, streams);
	cr_assert_eq(store_source_reserve(s, 1, &a, streams), 0);
	cr_assert_eq(store_source_reserve(s, 1, &b, streams), 0);
	cr_assert_eq(store_source_reserve(s, 1, &c, streams), -EUSERS);
	store_counts(s, &counts);
	cr_assert_eq(counts.sources, 2);
	cr_assert_eq(counts.streams, 2);
	store_free(s);
}

/* Memory follows use: what many conversations needed once is given back. */
Test(store, pages_of_freed_slots_are_given_back)
{
	enum { N = 1000 };
	static struct state_ref ref[N];
	struct store *s = make(N, 4, 4, N, 4000);
	struct stat empty, full, after;
	int fd = store_state(s)->fd;

	cr_assert_eq(fstat(fd, &empty), 0);
	for (int i = 0; i < N; i++)
		cr_assert_eq(add(s, some_fd(), "10.0.0.1", &ref[i]), 0);
	cr_assert_eq(fstat(fd, &full), 0);
	cr_assert_geq(full.st_blocks - empty.st_blocks,
		      N * (long)sizeof(struct conversation_slot) / 512);
	for (int i = 0; i < N; i++)
		store_conversation_drop(s, ref[i]);
	cr_assert_eq(fstat(fd, &after), 0);
	cr_assert_lt(after.st_blocks - empty.st_blocks, (full.st_blocks - empty.st_blocks) / 3);
	cr_assert_eq(atomic_load(&store_state(s)->header->high_conversation), 0,
		     "readers have nothing to look at");
	for (int i = 0; i < N; i++)
		cr_assert_eq(add(s, some_fd(), "10.0.0.1", &ref[i]), 0);
	store_free(s);
}
