/* SPDX-License-Identifier: MIT */
/* ctf_sources.c - client sessions of LTTng: who shares a source, what streams it has, its end. */
#include "sessiond-lite/ctf_sources.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/unit/sessiond_rig.h"

#define PEERS 8

static struct rig rig;
static uint16_t port;
static int peer[PEERS], peers;

static void start(const struct rig_config *config)
{
	rig_start(&rig, config);
	port = rig_listen(&rig, CONVERSATION_LTTNG_CONTROL);
	peers = 0;
}

static void stop(void)
{
	while (peers)
		close(peer[--peers]);
	rig_stop(&rig);
}

static struct state_ref control(const char *from)
{
	cr_assert_lt(peers, PEERS);
	return rig_conversation_at(&rig, from, port, &peer[peers++]);
}

static struct link_message ask(struct state_ref conversation, uint8_t uuid, uint64_t id)
{
	struct link_message m = {.type = LINK_CTF_SOURCE,
				 .ref = conversation,
				 .ctf.key = {.uuid = {uuid}, .id = id, .created = 1700000000}};

	strcpy(m.text, "web-1");
	return m;
}

/* The answer, and the source if it is 0. */
static int source_of(struct state_ref conversation, uint8_t uuid, uint64_t id,
		     struct state_ref *ret)
{
	struct link_message m = ask(conversation, uuid, id);

	rig_send(&rig, &m);
	rig_expect(&rig, LINK_LEASED, &m);
	cr_assert_eq(m.ref.id, conversation.id);
	if (m.error == 0) {
		*ret = m.ctf.source;
		cr_assert(state_source(rig.st, *ret));
		cr_assert_eq(atomic_load(&state_conversation(rig.st, conversation)->source),
			     1 + ret->index);
	}
	return m.error;
}

static int stream_of(struct state_ref conversation, uint64_t position, struct state_ref *ret)
{
	struct link_message m = {
		.type = LINK_CTF_STREAM, .ref = conversation, .ctf.position = position};

	rig_send(&rig, &m);
	rig_expect(&rig, LINK_CTF_STREAM_MADE, &m);
	cr_assert_eq(m.ref.id, conversation.id);
	cr_assert_eq(m.ctf.position, position);
	if (m.error == 0)
		*ret = m.ctf.stream;
	return m.error;
}

static void done(enum link_done kind, struct state_ref ref)
{
	struct link_message m = {.type = LINK_DONE, .kind = kind, .ref = ref};

	rig_send(&rig, &m);
	rig_turn(&rig);
}

static void end_source(struct state_ref source)
{
	atomic_store(&state_source(rig.st, source)->done, 1);
	done(LINK_DONE_SOURCE, source);
}

static void end_conversation(struct state_ref conversation)
{
	atomic_store(&state_conversation(rig.st, conversation)->done, 1);
	done(LINK_DONE_CONVERSATION, conversation);
}

Test(ctf_sources, a_source_is_made)
{
	struct state_ref c, source, again;
	struct source_slot *slot;
	struct ctf_source_slot *ctf;

	start(&(struct rig_config){0});
	rig.match = 2;
	atomic_store(&rig.st->session[2].id, 77);
	c = control("127.0.0.5");
	cr_assert_eq(source_of(c, 1, 9, &source), 0);
	slot = state_source(rig.st, source);
	ctf = &rig.st->ctf_source[source.index];
	cr_assert_eq(slot->protocol, PROTOCOL_LTTNG);
	cr_assert_eq(slot->transport, TRANSPORT_TCP);
	cr_assert_eq(slot->number, 1);
	cr_assert_eq(atomic_load(&slot->cpus), 0);
	cr_assert_eq(atomic_load(&slot->first_stream), 0);
	cr_assert_eq(atomic_load(&slot->session), 3);
	cr_assert_eq(slot->conversation.id, c.id);
	cr_assert_eq(slot->local.port, port);
	cr_assert_gt(slot->start_ns, 0);
	cr_assert_eq(ctf->key.uuid[0], 1);
	cr_assert_eq(ctf->key.id, 9);
	cr_assert_eq(ctf->key.created, 1700000000);
	cr_assert_eq(rig.subject.protocol, PROTOCOL_LTTNG);
	cr_assert_eq(rig.subject.local_port, port);
	cr_assert_str_eq(rig.host, "web-1");
	/* asked again, whatever the rules say by now */
	rig.match = 0;
	cr_assert_eq(source_of(c, 1, 9, &again), 0);
	cr_assert_eq(again.id, source.id);
	cr_assert_eq(rig.number, 2, "one number was used");
	stop();
}

Test(ctf_sources, connections_of_one_client_session_share_it)
{
	struct state_ref a, b, other, source, joined;

	start(&(struct rig_config){0});
	a = control("127.0.0.5");
	cr_assert_eq(source_of(a, 1, 9, &source), 0);
	b = control("127.0.0.5");
	cr_assert_eq(source_of(b, 1, 9, &joined), 0);
	cr_assert_eq(joined.id, source.id);
	cr_assert_eq(state_source(rig.st, source)->conversation.id, a.id);
	other = control("127.0.0.5");
	cr_assert_eq(source_of(other, 1, 10, &joined), 0);
	cr_assert_neq(joined.id, source.id, "another id");
	other = control("127.0.0.5");
	cr_assert_eq(source_of(other, 2, 9, &joined), 0);
	cr_assert_neq(joined.id, source.id, "another session daemon");
	other = control("127.0.0.6");
	cr_assert_eq(source_of(other, 1, 9, &joined), 0);
	cr_assert_neq(joined.id, source.id, "another host");
	/* the first connection's end is not the source's */
	end_conversation(a);
	other = control("127.0.0.5");
	cr_assert_eq(source_of(other, 1, 9, &joined), 0);
	cr_assert_eq(joined.id, source.id);
	stop();
}

Test(ctf_sources, without_a_uuid_nothing_is_shared)
{
	struct state_ref a, b, first, second;

	start(&(struct rig_config){0});
	a = control("127.0.0.5");
	b = control("127.0.0.5");
	cr_assert_eq(source_of(a, 0, 0, &first), 0);
	cr_assert_eq(source_of(b, 0, 0, &second), 0);
	cr_assert_neq(first.id, second.id);
	stop();
}

Test(ctf_sources, sessions_that_stop_or_end)
{
	struct state_ref a, b, source, second;

	start(&(struct rig_config){0});
	a = control("127.0.0.5");
	atomic_store(&rig.st->session[0].stopped, 1);
	cr_assert_eq(source_of(a, 1, 9, &source), -EPERM);
	atomic_store(&rig.st->session[0].ending, 1);
	cr_assert_eq(source_of(a, 1, 9, &source), -ECANCELED);
	cr_assert_eq(rig.number, 1, "no number was used");
	cr_assert_eq(atomic_load(&state_conversation(rig.st, a)->source), 0);
	atomic_store(&rig.st->session[0].stopped, 0);
	atomic_store(&rig.st->session[0].ending, 0);
	cr_assert_eq(source_of(a, 1, 9, &source), 0, "a refusal leaves nothing behind");
	/* of a session that ends nobody joins a source */
	atomic_store(&rig.st->session[1].id, 78);
	atomic_store(&rig.st->session[0].ending, 1);
	rig.match = 1;
	b = control("127.0.0.5");
	cr_assert_eq(source_of(b, 1, 9, &second), 0);
	cr_assert_neq(source.id, second.id);
	stop();
}

Test(ctf_sources, refusals)
{
	struct state_ref a, trace_cmd, source, stream;
	int other;

	start(&(struct rig_config){.sources = 1});
	cr_assert_eq(source_of((struct state_ref){.index = 3, .id = 99}, 1, 9, &source), -ENOENT);
	a = control("127.0.0.5");
	cr_assert_eq(stream_of(a, 64, &stream), -ENOENT, "no source yet");
	cr_assert_eq(source_of(a, 1, 9, &source), 0);
	cr_assert_eq(stream_of((struct state_ref){.index = 3, .id = 99}, 1, &stream), -ENOENT);
	stop();

	start(&(struct rig_config){0});
	trace_cmd = rig_conversation(&rig, "127.0.0.5", &other);
	cr_assert_eq(source_of(trace_cmd, 1, 9, &source), -EINVAL);
	close(other);
	stop();
}

Test(ctf_sources, sources_run_out)
{
	struct state_ref a, b, source;

	start(&(struct rig_config){.sources = 2});
	a = control("127.0.0.5");
	b = control("127.0.0.6");
	cr_assert_eq(source_of(a, 1, 1, &source), 0);
	cr_assert_eq(store_source_reserve(rig.store, 0, &source, NULL), 0);
	cr_assert_eq(source_of(b, 1, 2, &source), -EUSERS);
	stop();
}

Test(ctf_sources, waits_for_a_number)
{
	struct state_ref a = {0};
	struct link_message m;

	start(&(struct rig_config){0});
	a = control("127.0.0.5");
	rig.number = 0;
	m = ask(a, 1, 9);
	rig_send(&rig, &m);
	rig_send(&rig, &m);
	rig_expect_silence(&rig);
	rig.number = 7;
	sources_numbers_ready(rig.sources);
	rig_expect(&rig, LINK_LEASED, &m);
	cr_assert_eq(m.error, 0);
	cr_assert_eq(state_source(rig.st, m.ctf.source)->number, 7);
	cr_assert_eq(rig.st->ctf_source[m.ctf.source.index].key.id, 9, "the request is whole");
	cr_assert_str_eq(rig.host, "web-1");
	rig_expect_silence(&rig);
	stop();
}

/* relayd marks it done while the answer to a second connection is under way. */
Test(ctf_sources, nobody_is_left_with_a_source_that_is_done)
{
	struct state_ref a, b, source, joined, next;

	start(&(struct rig_config){0});
	a = control("127.0.0.5");
	b = control("127.0.0.5");
	cr_assert_eq(source_of(a, 1, 9, &source), 0);
	cr_assert_eq(source_of(b, 1, 9, &joined), 0);
	cr_assert_eq(joined.id, source.id);
	atomic_store(&state_source(rig.st, source)->done, 1);
	cr_assert_eq(stream_of(b, 64, &next), -ESTALE);
	/* asked again before DONE has come: another one */
	cr_assert_eq(source_of(b, 1, 9, &next), 0);
	cr_assert_neq(next.id, source.id);
	/* and when it is gone nobody's slot names it, nor who gets that slot next */
	done(LINK_DONE_SOURCE, source);
	cr_assert_eq(rig.ended, 1);
	cr_assert_eq(atomic_load(&state_conversation(rig.st, a)->source), 0);
	cr_assert_eq(atomic_load(&state_conversation(rig.st, b)->source), 1 + next.index);
	cr_assert_eq(source_of(a, 1, 9, &joined), 0);
	cr_assert_eq(joined.id, next.id);
	/* the same by the scan after relayd's death */
	atomic_store(&state_source(rig.st, next)->done, 1);
	rig_kill_relayd(&rig);
	sources_sweep(rig.sources);
	cr_assert_null(state_source(rig.st, next));
	cr_assert_eq(atomic_load(&state_conversation(rig.st, a)->source), 0);
	cr_assert_eq(atomic_load(&state_conversation(rig.st, b)->source), 0);
	rig_start_relayd(&rig);
	cr_assert_eq(source_of(b, 1, 9, &joined), 0);
	stop();
}

Test(ctf_sources, members_leave_in_any_order)
{
	struct state_ref c[4], source, again;
	static const int order[] = {1, 3, 0};

	start(&(struct rig_config){0});
	for (int i = 0; i < 4; i++) {
		c[i] = control("127.0.0.5");
		cr_assert_eq(source_of(c[i], 1, 9, &source), 0);
	}
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		end_conversation(c[order[i]]);
	/* slots used again belong to nobody */
	c[0] = control("127.0.0.5");
	cr_assert_eq(atomic_load(&state_conversation(rig.st, c[0])->source), 0);
	end_source(source);
	cr_assert_eq(atomic_load(&state_conversation(rig.st, c[2])->source), 0);
	cr_assert_eq(source_of(c[0], 1, 9, &again), 0);
	cr_assert_neq(again.id, source.id);
	stop();
}

Test(ctf_sources, streams_are_appended)
{
	struct state_ref a, b, source, stream[4];
	struct source_slot *slot;
	uint32_t next, n = 0;

	start(&(struct rig_config){0});
	a = control("127.0.0.5");
	b = control("127.0.0.5");
	cr_assert_eq(source_of(a, 1, 9, &source), 0);
	cr_assert_eq(source_of(b, 1, 9, &source), 0);
	cr_assert_eq(stream_of(a, 100, &stream[0]), 0);
	cr_assert_eq(stream_of(a, 200, &stream[1]), 0);
	cr_assert_eq(stream_of(b, 100, &stream[2]), 0, "positions are a connection's own");
	cr_assert_eq(stream_of(a, 300, &stream[3]), 0);
	slot = state_source(rig.st, source);
	cr_assert_eq(atomic_load(&slot->cpus), 4);
	for (next = atomic_load(&slot->first_stream); next; n++) {
		const struct stream_slot *s = &rig.st->stream[next - 1];

		cr_assert_lt(n, 4);
		cr_assert_eq(atomic_load(&s->id), stream[n].id);
		cr_assert_eq(s->source.id, source.id);
		cr_assert_eq(s->cpu, n);
		cr_assert_eq(s->transport, TRANSPORT_TCP);
		cr_assert_eq(rig.st->ctf_stream[next - 1].by_conversation, n == 2 ? b.id : a.id);
		next = atomic_load(&s->next);
	}
	cr_assert_eq(n, 4);
	cr_assert_eq(rig.st->ctf_stream[stream[3].index].by_position, 300);
	cr_assert_gt(atomic_load(&rig.st->header->high_stream), stream[3].index);
	/* none has a descriptor, so none is passed */
	rig_kill_relayd(&rig);
	rig_start_relayd(&rig);
	sources_pass_all(rig.sources);
	{
		struct link_message m;

		rig_expect(&rig, LINK_CONVERSATIONS, &m);
		cr_assert_eq(m.items, 2);
		rig_expect_silence(&rig);
	}
	stop();
}

Test(ctf_sources, a_stream_asked_for_again_is_the_same)
{
	struct state_ref a, source, first, second, again;

	start(&(struct rig_config){0});
	a = control("127.0.0.5");
	cr_assert_eq(source_of(a, 1, 9, &source), 0);
	cr_assert_eq(stream_of(a, 100, &first), 0);
	cr_assert_eq(stream_of(a, 200, &second), 0);
	cr_assert_eq(stream_of(a, 200, &again), 0);
	cr_assert_eq(again.id, second.id);
	cr_assert_eq(stream_of(a, 100, &again), 0);
	cr_assert_eq(again.id, first.id);
	cr_assert_eq(atomic_load(&state_source(rig.st, source)->cpus), 2);
	cr_assert_eq(stream_of(a, 150, &again), 0, "one that was not asked for yet");
	cr_assert_eq(atomic_load(&state_source(rig.st, source)->cpus), 3);
	stop();
}

/* The limit is the host's: over its client sessions and its trace-cmd sources. */
Test(ctf_sources, streams_of_a_peer_are_limited)
{
	struct state_ref a, b, other, conversation, source, stream;
	struct link_message m;
	int client;

	start(&(struct rig_config){.streams_per_peer = 4});
	a = control("127.0.0.5");
	b = control("127.0.0.5");
	other = control("127.0.0.6");
	conversation = rig_conversation(&rig, "127.0.0.5", &client);
	rig_source(&rig, conversation, 1, TRANSPORT_TCP);
	cr_assert_eq(source_of(b, 2, 9, &source), 0);
	cr_assert_eq(stream_of(b, 1, &stream), 0);
	cr_assert_eq(source_of(a, 1, 9, &source), 0);
	cr_assert_eq(stream_of(a, 1, &stream), 0);
	cr_assert_eq(stream_of(a, 2, &stream), 0);
	cr_assert_eq(stream_of(a, 3, &stream), -EDQUOT);
	cr_assert_eq(stream_of(a, 2, &stream), 0, "what it has it may ask for");
	end_conversation(conversation);
	close(client);

	/* the other way round: leases find the streams counted */
	conversation = rig_conversation(&rig, "127.0.0.5", &client);
	m = (struct link_message){.type = LINK_LEASE,
				  .ref = conversation,
				  .lease = {.cpus = 2, .protocol = PROTOCOL_TRACE_CMD_V1}};
	rig_send(&rig, &m);
	rig_expect(&rig, LINK_LEASED, &m);
	cr_assert_eq(m.error, -EDQUOT);
	close(client);

	cr_assert_eq(source_of(other, 1, 9, &stream), 0);
	for (uint64_t i = 1; i <= 4; i++)
		cr_assert_eq(stream_of(other, i, &stream), 0, "another host has its own");
	/* the source's end gives them back */
	end_source(source);
	cr_assert_eq(source_of(a, 1, 9, &source), 0);
	cr_assert_eq(stream_of(a, 1, &stream), 0);
	cr_assert_eq(stream_of(a, 2, &stream), 0);
	cr_assert_eq(stream_of(a, 3, &stream), -EDQUOT);
	stop();
}

Test(ctf_sources, no_stream_slot_is_left)
{
	struct state_ref a, source, stream;

	start(&(struct rig_config){.streams = 2});
	a = control("127.0.0.5");
	cr_assert_eq(source_of(a, 1, 9, &source), 0);
	cr_assert_eq(stream_of(a, 1, &stream), 0);
	cr_assert_eq(stream_of(a, 2, &stream), 0);
	for (int i = 0; i < 10; i++)
		cr_assert_eq(stream_of(a, 3, &stream), -ENOSPC);
	cr_assert_eq(atomic_load(&state_source(rig.st, source)->cpus), 2);
	end_source(source);
	cr_assert_eq(source_of(a, 1, 9, &source), 0);
	cr_assert_eq(stream_of(a, 1, &stream), 0);
	stop();
}

Test(ctf_sources, everything_is_given_back)
{
	struct state_ref a, source, stream[2];
	struct store_counts before, after;

	start(&(struct rig_config){0});
	store_counts(rig.store, &before);
	a = control("127.0.0.5");
	cr_assert_eq(source_of(a, 1, 9, &source), 0);
	cr_assert_eq(stream_of(a, 1, &stream[0]), 0);
	cr_assert_eq(stream_of(a, 2, &stream[1]), 0);
	end_source(source);
	cr_assert_null(state_stream(rig.st, stream[0]));
	cr_assert_null(state_stream(rig.st, stream[1]));
	end_conversation(a);
	store_counts(rig.store, &after);
	cr_assert_eq(memcmp(&before, &after, sizeof(before)), 0);
	stop();
}

static void retire(struct state_ref stream)
{
	atomic_store(&rig.st->ctf_stream[stream.index].retired, 1);
	done(LINK_DONE_STREAM, stream);
}

/* The ids of the source's streams, in order. */
static unsigned list(struct state_ref source, uint64_t *ids)
{
	struct stream_walk walk = {0};
	struct state_ref ref;
	unsigned n = 0;

	while (stream_walk_next(rig.st, source, &walk, &ref))
		ids[n++] = ref.id;
	return n;
}

Test(ctf_sources, retired_streams_leave_the_list)
{
	static const unsigned order[] = {2, 0, 4, 1, 3}; /* in the middle, first, last */
	struct state_ref a, source, stream[5], next;
	uint64_t ids[8], left[5];
	unsigned n = 5;

	start(&(struct rig_config){.streams_per_peer = 5});
	a = control("127.0.0.5");
	cr_assert_eq(source_of(a, 1, 9, &source), 0);
	for (unsigned i = 0; i < 5; i++) {
		cr_assert_eq(stream_of(a, i + 1, &stream[i]), 0);
		left[i] = stream[i].id;
	}
	cr_assert_eq(stream_of(a, 9, &next), -EDQUOT);
	done(LINK_DONE_STREAM, stream[0]); /* that is no word about it */
	cr_assert_eq(list(source, ids), 5);
	for (unsigned k = 0; k < 5; k++) {
		unsigned gone = order[k], at = 0;

		retire(stream[gone]);
		cr_assert_null(state_stream(rig.st, stream[gone]));
		while (left[at] != stream[gone].id)
			at++;
		memmove(&left[at], &left[at + 1], (n - at - 1) * sizeof(left[0]));
		n--;
		cr_assert_eq(list(source, ids), n);
		for (unsigned i = 0; i < n; i++)
			cr_assert_eq(ids[i], left[i]);
		/* its place is another's, at the end */
		cr_assert_eq(stream_of(a, 100 + k, &next), 0);
		cr_assert_eq(state_stream(rig.st, next)->cpu, 5 + k, "numbers do not come again");
		cr_assert_eq(list(source, ids), n + 1);
		cr_assert_eq(ids[n], next.id);
		retire(next);
		done(LINK_DONE_STREAM, next); /* said again: of whoever has the slot by then */
	}
	cr_assert_eq(atomic_load(&state_source(rig.st, source)->first_stream), 0);
	for (uint64_t i = 0; i < 5; i++)
		cr_assert_eq(stream_of(a, 200 + i, &next), 0, "nothing of the limit is lost");
	cr_assert_eq(stream_of(a, 300, &next), -EDQUOT);
	end_source(source);
	cr_assert_eq(source_of(a, 1, 9, &source), 0);
	for (uint64_t i = 0; i < 5; i++)
		cr_assert_eq(stream_of(a, 400 + i, &next), 0);
	stop();
}
