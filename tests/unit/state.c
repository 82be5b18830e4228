/* SPDX-License-Identifier: MIT */
/* state.c - the state memory: made, mapped twice, stepped, read. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "common/state.h"

static const struct state_capacity capacity = {
	.conversations = 4, .sources = 3, .streams = 8, .workers = 2};

Test(state, another_process_sees_the_same)
{
	struct state a, b;

	cr_assert_eq(state_create(&capacity, &a), 0);
	cr_assert_eq(state_attach(dup(a.fd), &b), 0);
	cr_assert_neq(a.header, b.header);
	cr_assert_eq(state_touch(&a, &a.stream[7], sizeof(a.stream[7])), 0);
	a.stream[7].port = 4711;
	cr_assert_eq(b.stream[7].port, 4711);
	cr_assert_eq((uint8_t *)b.conversation - (uint8_t *)b.header,
		     (uint8_t *)a.conversation - (uint8_t *)a.header);
	state_detach(&b);
	state_detach(&a);
	state_detach(&a); /* harmless */
}

Test(state, what_is_no_state_memory_is_refused)
{
	struct state a, b;
	uint64_t magic = 1;
	int fd = open("/dev/null", O_RDWR);

	cr_assert_eq(state_attach(fd, &b), -EPROTO);
	close(fd);
	cr_assert_eq(state_create(&capacity, &a), 0);
	cr_assert_eq(pwrite(a.fd, &magic, sizeof(magic), 0), sizeof(magic));
	cr_assert_eq(state_attach(a.fd, &b), -EPROTO, "magic");
	a.header->magic = STATE_MAGIC;
	a.header->version++;
	cr_assert_eq(state_attach(a.fd, &b), -EPROTO, "version");
	a.header->version--;
	cr_assert_eq(ftruncate(a.fd, (off_t)a.size - 4096), 0);
	cr_assert_eq(state_attach(a.fd, &b), -EPROTO, "size");
}

Test(state, a_step_shows_only_when_committed)
{
	struct stream_slot s = {0};
	struct stream_half copy, *h;

	h = stream_begin(&s);
	h->position = 10;
	cr_assert_eq(stream_now(&s)->position, 0);
	stream_read(&s, &copy);
	cr_assert_eq(copy.position, 0);
	stream_commit(&s);
	cr_assert_eq(stream_now(&s)->position, 10);
	h = stream_begin(&s);
	cr_assert_eq(h->position, 10, "the idle half begins as a copy");
	h->position = 20;
	/* A kill here: the next begin starts from the truth. */
	h = stream_begin(&s);
	cr_assert_eq(h->position, 10);
	stream_read(&s, &copy);
	cr_assert_eq(copy.position, 10);
}

Test(state, a_reference_ends_with_the_slot)
{
	struct state st;
	struct state_ref ref;

	cr_assert_eq(state_create(&capacity, &st), 0);
	cr_assert_null(state_source(&st, (struct state_ref){.index = 0, .id = 0}));
	atomic_store(&st.source[2].id, 9);
	ref = state_ref_of_source(&st, &st.source[2]);
	cr_assert_eq(ref.index, 2);
	cr_assert_eq(state_source(&st, ref), &st.source[2]);
	atomic_store(&st.source[2].id, 10); /* freed, and given to another */
	cr_assert_null(state_source(&st, ref));
	cr_assert_null(state_source(&st, (struct state_ref){.index = 3, .id = 10}), "beyond");
	state_detach(&st);
}

Test(state, released_pages_read_as_zero)
{
	struct state st;
	struct source_slot *s;

	cr_assert_eq(state_create(&capacity, &st), 0);
	s = &st.source[1];
	cr_assert_eq(state_touch(&st, s, sizeof(*s)), 0);
	memset(s->metadata, 0x55, sizeof(s->metadata));
	s->cpus = 3;
	state_release(&st, s->metadata, sizeof(s->metadata));
	cr_assert_eq(s->metadata[0], 0);
	cr_assert_eq(s->metadata[STATE_METADATA_RING - 1], 0);
	cr_assert_eq(s->cpus, 3, "the slot itself stays");
	state_detach(&st);
}

Test(state, the_session_of_a_source)
{
	struct state st;

	cr_assert_eq(state_create(&capacity, &st), 0);
	cr_assert_null(state_session_of(&st, &st.source[0]));
	atomic_store(&st.source[0].session, 5);
	cr_assert_null(state_session_of(&st, &st.source[0]), "gone");
	atomic_store(&st.session[4].id, 1);
	cr_assert_eq(state_session_of(&st, &st.source[0]), &st.session[4]);
	atomic_store(&st.source[0].session, STATE_SESSIONS + 1);
	cr_assert_null(state_session_of(&st, &st.source[0]));
	state_detach(&st);
}
