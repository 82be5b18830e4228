/* SPDX-License-Identifier: MIT */
/*
 * conversation.c - the engine's headers and halves, looked at one by one. Whole conversations, and
 * kills at every instant of them, are in tests/talk.
 */
#include "relayd/conversation.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

struct world {
	struct conversation_slot *c;
	struct conversation_env env;
	struct trace_cmd_limits limits;
	int leases, appends, ends;
	enum close_reason reason;
	int answer;
	int64_t deadline;
};

static void op_lease(void *ctx, struct conversation_slot *c, const struct conversation_lease *want)
{
	(void)c;
	cr_assert(want->cpus == 2 && want->page_size == 4096 && want->transport == TRANSPORT_UDP);
	cr_assert_eq(want->protocol, PROTOCOL_TRACE_CMD_V1);
	((struct world *)ctx)->leases++;
}

static int op_answer(void *ctx, struct conversation_slot *c, uint16_t *ports, uint32_t max)
{
	(void)c;
	cr_assert_geq(max, 2);
	ports[0] = 30000;
	ports[1] = 30001;
	return ((struct world *)ctx)->answer;
}

static size_t op_room(void *ctx, struct conversation_slot *c, uint64_t position)
{
	(void)ctx, (void)c, (void)position;
	return 1000;
}

static void op_append(void *ctx, struct conversation_slot *c, uint64_t position,
		      const uint8_t *bytes, size_t len)
{
	(void)c, (void)position, (void)bytes, (void)len;
	((struct world *)ctx)->appends++;
}

static void op_metadata_end(void *ctx, struct conversation_slot *c)
{
	(void)ctx, (void)c;
}

static void op_ended(void *ctx, struct conversation_slot *c, bool orderly, enum close_reason reason)
{
	struct world *w = ctx;

	(void)orderly;
	cr_assert_eq(conversation_closing(c), 0, "the end is told before it is committed");
	w->ends++;
	w->reason = reason;
}

static void op_count(void *ctx, enum counter id, uint64_t n)
{
	(void)ctx, (void)id, (void)n;
}

static const struct conversation_ops ops = {op_lease,        op_answer, op_room, op_append,
					    op_metadata_end, op_ended,  op_count};

static void begin(struct world *w)
{
	memset(w, 0, sizeof(*w));
	w->c = aligned_alloc(STATE_PAGE, sizeof(*w->c));
	cr_assert(w->c);
	memset(w->c, 0, sizeof(*w->c));
	w->c->accepted_ms = 500;
	w->limits = (struct trace_cmd_limits){10000, 60000, 60000, 1u << 20, 4096};
	w->env = (struct conversation_env){&ops, w, &w->limits};
	conversation_open(w->c);
}

static unsigned run(struct world *w, int64_t now)
{
	return conversation_run(w->c, now, true, &w->env, &w->deadline);
}

/* As the kernel would: fill what the header says, and write msg_len. */
static void deliver(struct mmsghdr *m, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;

	cr_assert(m);
	m->msg_len = (unsigned)len;
	for (size_t i = 0; len; i++) {
		struct iovec *v = &m->msg_hdr.msg_iov[i];
		size_t n = len < v->iov_len ? len : v->iov_len;

		cr_assert_lt(i, m->msg_hdr.msg_iovlen);
		memcpy(v->iov_base, at, n);
		at += n;
		len -= n;
	}
}

static void drain_reply(struct world *w)
{
	struct mmsghdr *m;

	while ((m = conversation_prepare_send(w->c)))
		m->msg_len = (unsigned)m->msg_hdr.msg_iov[0].iov_len;
}

static void say(struct world *w, const char *bytes, size_t len)
{
	deliver(conversation_prepare_receive(w->c, 1000), bytes, len);
	run(w, 1000);
	drain_reply(w);
	run(w, 1000);
}

static const struct conversation_half *live(const struct world *w)
{
	return conversation_now(w->c);
}

Test(conversation, open_counts_silence_from_the_accept_and_only_once)
{
	struct world w;

	begin(&w);
	cr_assert_eq(live(&w)->last_byte_ms, 500);
	say(&w, "1", 1);
	conversation_open(w.c);
	cr_assert_eq(live(&w)->last_byte_ms, 1000);
	free(w.c);
}

Test(conversation, the_greeting_is_a_reply_and_is_laid_out_again_from_where_it_got)
{
	struct world w;
	struct mmsghdr *m;

	begin(&w);
	cr_assert_null(conversation_prepare_send(w.c));
	cr_assert_eq(run(&w, 500), CONVERSATION_SEND | CONVERSATION_RECEIVE);
	m = conversation_prepare_send(w.c);
	cr_assert_eq(m, &live(&w)->send, "the header is in the live half");
	cr_assert_eq(m->msg_hdr.msg_iov, live(&w)->send_iov);
	cr_assert(m->msg_hdr.msg_iov[0].iov_base == w.c->reply &&
		  m->msg_hdr.msg_iov[0].iov_len == 8);
	m->msg_len = 3;
	cr_assert_eq(run(&w, 500), CONVERSATION_SEND | CONVERSATION_RECEIVE);
	m = conversation_prepare_send(w.c);
	cr_assert(m && !m->msg_len && m->msg_hdr.msg_iov[0].iov_len == 5);
	cr_assert_eq(m->msg_hdr.msg_iov[0].iov_base, w.c->reply + 3);
	m->msg_len = 5;
	cr_assert_null(conversation_prepare_send(w.c));
	cr_assert_eq(run(&w, 500), CONVERSATION_RECEIVE);
	cr_assert_eq(w.deadline, 10500);
	free(w.c);
}

Test(conversation, the_free_part_of_the_ring_in_one_piece_or_two)
{
	static const char version[] = "-1V3";
	static const uint8_t many[STATE_RING];
	struct world w;
	struct mmsghdr *m;

	begin(&w);
	run(&w, 500);
	drain_reply(&w);
	m = conversation_prepare_receive(w.c, 600);
	cr_assert_eq(m, &live(&w)->receive);
	cr_assert_eq(m->msg_hdr.msg_iov, live(&w)->receive_iov);
	cr_assert_eq(m->msg_hdr.msg_iovlen, 1);
	cr_assert_eq(m->msg_hdr.msg_iov[0].iov_base, w.c->ring);
	cr_assert_eq(m->msg_hdr.msg_iov[0].iov_len, STATE_RING);
	deliver(m, version, 5);
	run(&w, 600);

	m = conversation_prepare_receive(w.c, 700); /* the reply is not sent: nothing is taken */
	cr_assert_eq(m->msg_hdr.msg_iovlen, 2);
	cr_assert_eq(m->msg_hdr.msg_iov[0].iov_base, w.c->ring + 5);
	cr_assert_eq(m->msg_hdr.msg_iov[0].iov_len, STATE_RING - 5);
	cr_assert_eq(m->msg_hdr.msg_iov[1].iov_base, w.c->ring);
	cr_assert_eq(m->msg_hdr.msg_iov[1].iov_len, 5);
	deliver(m, many, STATE_RING - 1);
	m = conversation_prepare_receive(w.c, 700);
	cr_assert_eq(m->msg_hdr.msg_iovlen, 1, "one byte, behind the wrap");
	cr_assert_eq(m->msg_hdr.msg_iov[0].iov_base, w.c->ring + 4);
	cr_assert_eq(m->msg_hdr.msg_iov[0].iov_len, 1);
	deliver(m, many, 1);
	cr_assert_null(conversation_prepare_receive(w.c, 700), "full");
	cr_assert_eq(run(&w, 700), CONVERSATION_SEND);
	cr_assert_eq(conversation_received(live(&w)), 5 + STATE_RING);
	free(w.c);
}

Test(conversation, bytes_that_came_just_before_run_are_news)
{
	struct world w;

	begin(&w);
	run(&w, 500);
	drain_reply(&w);
	deliver(conversation_prepare_receive(w.c, 9000), "1", 1);
	cr_assert_eq(run(&w, 10600), CONVERSATION_RECEIVE, "not a timeout");
	cr_assert_eq(w.deadline, 20600);
	cr_assert_eq(live(&w)->received_base, 1);
	free(w.c);
}

Test(conversation, a_lease_is_asked_for_while_it_is_missing)
{
	struct world w;

	begin(&w);
	run(&w, 500);
	drain_reply(&w);
	say(&w,
	    "2\0"
	    "4096\0"
	    "0",
	    9);
	cr_assert_eq(run(&w, 1000), CONVERSATION_LEASE | CONVERSATION_RECEIVE);
	cr_assert_eq(w.leases, 3, "harmless to repeat");
	cr_assert_eq(w.deadline, 0);
	w.answer = 2;
	cr_assert_eq(run(&w, 1000), CONVERSATION_SEND | CONVERSATION_RECEIVE);
	cr_assert_eq(live(&w)->reply_len, 12);
	cr_assert_str_eq((char *)w.c->reply, "30000,30001");
	cr_assert_eq(w.leases, 3);
	drain_reply(&w);
	say(&w, "abc", 3);
	cr_assert(w.appends == 1 && live(&w)->metadata == 3);
	free(w.c);
}

Test(conversation, a_reply_that_cannot_be_sent_is_given_up)
{
	struct world w;

	begin(&w);
	run(&w, 500);
	conversation_prepare_send(w.c)->msg_len = 2;
	conversation_note_unsendable(w.c);
	cr_assert_null(conversation_prepare_send(w.c));
	cr_assert_eq(conversation_sent(live(&w)), 8);
	cr_assert_eq(run(&w, 500), CONVERSATION_RECEIVE);
	free(w.c);
}

Test(conversation, the_first_end_counts_and_stops_receiving)
{
	struct world w;

	begin(&w);
	run(&w, 500);
	drain_reply(&w);
	conversation_note_eof(w.c, CLOSE_keep_alive);
	conversation_note_eof(w.c, CLOSE_none);
	cr_assert_null(conversation_prepare_receive(w.c, 600));
	cr_assert_eq(run(&w, 600), CONVERSATION_ENDED);
	cr_assert(w.ends == 1 && w.reason == CLOSE_keep_alive);
	cr_assert_eq(conversation_closing(w.c), 1 + CLOSE_keep_alive);
	cr_assert_eq(run(&w, 600), CONVERSATION_ENDED);
	conversation_close(w.c, CLOSE_shutdown, true, &w.env);
	cr_assert_eq(w.ends, 1);
	cr_assert_eq(live(&w)->closing_reset, 0);
	free(w.c);
}

Test(conversation, the_shell_may_end_it)
{
	struct world w;

	begin(&w);
	run(&w, 500);
	conversation_close(w.c, CLOSE_no_memory, true, &w.env);
	cr_assert(w.ends == 1 && w.reason == CLOSE_no_memory);
	cr_assert_eq(conversation_closing(w.c), 1 + CLOSE_no_memory);
	cr_assert_eq(live(&w)->closing_reset, 1);
	cr_assert_null(conversation_prepare_receive(w.c, 600));
	cr_assert_null(conversation_prepare_send(w.c), "nothing is sent any more");
	free(w.c);
}

Test(conversation, refusals_have_reasons)
{
	static const struct {
		int error;
		enum close_reason reason;
	} cases[] = {
		{-EADDRNOTAVAIL, CLOSE_ports_exhausted},
		{-EUSERS, CLOSE_sources_limit},
		{-EDQUOT, CLOSE_streams_limit},
		{-EMFILE, CLOSE_no_descriptors},
		{-ENFILE, CLOSE_no_descriptors},
		{-ENOMEM, CLOSE_no_memory},
		{-ENOSPC, CLOSE_no_slot},
		{-ENOBUFS, CLOSE_no_slot},
		{-ECANCELED, CLOSE_session_destroyed},
		{-EIO, CLOSE_disk},
		{-EPERM, CLOSE_session_stopped},
		{-ESHUTDOWN, CLOSE_shutdown},
		{-EPROTO, CLOSE_internal},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_assert_eq(conversation_refusal(cases[i].error), cases[i].reason);
}
