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

static int add_role(struct store *s, const char *from, enum conversation_role role,
		    struct state_ref *ret)
{
	struct store_conversation what = {.role = role};
	int fd = some_fd(), r;

	cr_assert_eq(addr_parse(from, &what.peer), 0);
	r = store_conversation_add(s, fd, &what, ret);
	if (r < 0)
		close(fd);
	return r;
}

/* Each kind of connection has its own limit, so that none keeps another out. */
Test(store, limits_of_roles)
{
	struct store_config c = {.capacity = {10, 4, 4, 1},
				 .conversations_per_peer = 10,
				 .descriptors = 1000,
				 .conversations = {[CONVERSATION_TRACE_CMD] = 1,
						   [CONVERSATION_LTTNG_CONTROL] = 2,
						   [CONVERSATION_LTTNG_DATA] = 2,
						   [CONVERSATION_LTTNG_LIVE] = 1}};
	static const int full[] = {-EUSERS, -EUSERS, -ENOSPC, -ENOSPC};
	struct state_ref ref, first;
	struct store *s;

	cr_assert_eq(store_create(&c, &s), 0);
	for (int role = 0; role < CONVERSATION_ROLES; role++) {
		for (uint32_t i = 0; i < c.conversations[role]; i++) {
			cr_assert_eq(add_role(s, "10.0.0.1", (enum conversation_role)role, &ref),
				     0);
			cr_assert_eq(state_conversation(store_state(s), ref)->role, (uint32_t)role);
			if (!role)
				first = ref;
		}
		cr_assert_eq(add_role(s, "10.0.0.1", (enum conversation_role)role, &ref),
			     full[role]);
	}
	store_conversation_drop(s, first);
	cr_assert_eq(add_role(s, "10.0.0.1", CONVERSATION_TRACE_CMD, &ref), 0);
	store_free(s);
}

Test(store, silent_data_connections)
{
	struct store_config c = {.capacity = {10, 4, 4, 1},
				 .conversations_per_peer = 10,
				 .descriptors = 1000,
				 .anonymous_per_peer = 2};
	struct state_ref ref, first, second;
	struct store *s;

	cr_assert_eq(store_create(&c, &s), 0);
	cr_assert_eq(add_role(s, "10.0.0.1", CONVERSATION_LTTNG_DATA, &first), 0);
	cr_assert_eq(add_role(s, "10.0.0.1", CONVERSATION_LTTNG_DATA, &second), 0);
	cr_assert_eq(add_role(s, "10.0.0.1", CONVERSATION_LTTNG_DATA, &ref), -EBUSY);
	cr_assert_eq(add_role(s, "10.0.0.1", CONVERSATION_LTTNG_CONTROL, &ref), 0);
	cr_assert_eq(add_role(s, "10.0.0.2", CONVERSATION_LTTNG_DATA, &ref), 0);
	atomic_store(&state_conversation(store_state(s), first)->source, 1);
	cr_assert_eq(add_role(s, "10.0.0.1", CONVERSATION_LTTNG_DATA, &ref), 0);
	cr_assert_eq(add_role(s, "10.0.0.1", CONVERSATION_LTTNG_DATA, &ref), -EBUSY);
	store_conversation_drop(s, second);
	cr_assert_eq(add_role(s, "10.0.0.1", CONVERSATION_LTTNG_DATA, &ref), 0);
	store_free(s);
}

static long kib(struct store *s)
{
	struct stat sb;

	cr_assert_eq(fstat(store_state(s)->fd, &sb), 0);
	return (long)sb.st_blocks / 2;
}

Test(store, memory_is_for_those_who_need_it)
{
	struct store *s = make(8, 8, 8, 8, 1000);
	struct state *st = store_state(s);
	struct state_ref ref, trace_cmd, ctf, stream[2];
	long before = kib(s), base;

	cr_assert_eq(add_role(s, "10.0.0.1", CONVERSATION_LTTNG_DATA, &ref), 0);
	cr_assert_eq(kib(s) - before, 8, "halves, and a page for headers");
	st->conversation[ref.index].ring[CTF_DATA_HEADER_SIZE - 1] = 1;
	cr_assert_eq(kib(s) - before, 8, "which is what a header is received into");
	/* the slot is used again by one that needs all of it */
	store_conversation_drop(s, ref);
	before = kib(s);
	cr_assert_eq(add_role(s, "10.0.0.1", CONVERSATION_LTTNG_CONTROL, &ref), 0);
	cr_assert_eq(kib(s) - before, (long)(sizeof(struct conversation_slot) / 1024) - 8);

	before = kib(s);
	cr_assert_eq(store_source_reserve(s, 2, &trace_cmd, stream), 0);
	base = kib(s) - before;
	store_source_return(s, trace_cmd, 2, stream);
	before = kib(s);
	cr_assert_eq(store_ctf_source_reserve(s, &ctf), 0);
	cr_assert_eq(ctf.index, trace_cmd.index);
	cr_assert_eq(kib(s) - before, (long)(offsetof(struct ctf_source_slot, ring) / 1024),
		     "trace-cmd did not pay for it (%ld)", base);
	store_source_publish(s, ctf, 0, NULL);
	/* relayd leaves traces behind, in the ring too */
	cr_assert_eq(state_touch(st, st->ctf_source[ctf.index].ring, CTF_RING), 0);
	st->ctf_source[ctf.index].half[1].serial = 99;
	st->ctf_source[ctf.index].minor = 13;
	store_source_drop(s, ctf);
	cr_assert_eq(kib(s), before);
	cr_assert_eq(store_ctf_source_reserve(s, &ctf), 0);
	cr_assert_eq(st->ctf_source[ctf.index].half[1].serial, 0);
	cr_assert_eq(st->ctf_source[ctf.index].minor, 0);
	store_ctf_source_return(s, ctf);
	cr_assert_eq(kib(s), before);
	store_free(s);
}

Test(store, streams_are_added_to_a_source_of_lttng)
{
	struct store *s = make(4, 4, 3, 4, 1000);
	struct state *st = store_state(s);
	struct state_ref source, stream[3], ref;
	uint32_t left;

	cr_assert_eq(store_ctf_source_reserve(s, &source), 0);
	store_source_publish(s, source, 0, NULL);
	left = store_descriptors_left(s);
	cr_assert_eq(store_ctf_stream_add(s, source, 0, 7, 100, &stream[0]), 0);
	cr_assert_eq(store_ctf_stream_add(s, source, 1 + stream[0].index, 7, 200, &stream[1]), 0);
	cr_assert_eq(store_ctf_stream_add(s, source, 1 + stream[1].index, 7, 300, &stream[2]), 0);
	cr_assert_eq(store_ctf_stream_add(s, source, 1 + stream[2].index, 7, 400, &ref), -ENOSPC);
	cr_assert_eq(store_descriptors_left(s), left, "none is promised");
	cr_assert_eq(atomic_load(&st->source[source.index].cpus), 3);
	cr_assert_eq(atomic_load(&st->source[source.index].first_stream), 1 + stream[0].index);
	cr_assert_eq(atomic_load(&st->stream[stream[0].index].next), 1 + stream[1].index);
	cr_assert_eq(atomic_load(&st->stream[stream[1].index].next), 1 + stream[2].index);
	cr_assert_eq(atomic_load(&st->stream[stream[2].index].next), 0);
	cr_assert_eq(st->ctf_stream[stream[1].index].by_position, 200);
	cr_assert_eq(store_stream_fd(s, stream[0]), -1);
	st->ctf_stream[stream[0].index].tracefile_size = 5;
	store_stream_close(s, stream[0]);
	store_source_drop(s, source);
	cr_assert_null(state_stream(st, stream[2]));
	cr_assert_eq(store_ctf_source_reserve(s, &source), 0);
	store_source_publish(s, source, 0, NULL);
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(store_ctf_stream_add(s, source, i ? 1 + ref.index : 0, 8, 1, &ref), 0);
		cr_assert_eq(st->ctf_stream[ref.index].tracefile_size, 0);
	}
	store_free(s);
}
