/* SPDX-License-Identifier: MIT */
/* ctf_feed.c - see ctf_feed.h. */
#include "tests/stress/ctf_feed.h"

#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "common/wire.h"
#include "relayd/lttng_orders.h"

#define STREAM_ID     10u
#define CONNECTION_ID 30u
#define CONTROL_ID    50u

const struct state_ref ctf_feed_source = {.index = 0, .id = 2};

void ctf_feed_rest(long ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static void make_stream(struct state *st, uint32_t i, uint32_t last, bool metadata)
{
	struct ctf_stream_slot *t = &st->ctf_stream[i];

	st->stream[i].source = ctf_feed_source;
	st->stream[i].cpu = i;
	st->stream[i].next = i < last ? i + 2 : 0;
	if (metadata)
		strcpy(t->name, "metadata");
	else
		snprintf(t->name, sizeof(t->name), "ch_%u", i);
	strcpy(t->path, CTF_FEED_PATH);
	t->metadata = metadata;
	atomic_store(&t->named, 1);
	atomic_store(&st->stream[i].id, STREAM_ID + i);
}

void ctf_feed_make(struct state *st, unsigned conns, unsigned streams, bool metadata)
{
	uint32_t all = streams + metadata;
	struct state_capacity capacity = {
		.conversations = conns + 1, .sources = 1, .streams = all, .workers = 1};
	struct ctf_source_slot *c;
	struct source_slot *s;

	if (state_create(&capacity, st) < 0)
		err(1, "state memory");
	strcpy(st->session[0].name, "default");
	atomic_store(&st->session[0].id, 1);
	s = &st->source[0];
	c = &st->ctf_source[0];
	s->number = 1;
	s->protocol = PROTOCOL_LTTNG;
	if (addr_parse("127.0.0.9:1", &s->peer) < 0)
		errx(1, "an address");
	c->minor = 13;
	strcpy(c->session_name, "s1");
	strcpy(c->host, "vm");
	c->name_has_time = 1;
	atomic_store(&s->session, 1);
	atomic_store(&s->worker, 1);
	for (uint32_t i = 0; i < all; i++)
		make_stream(st, i, all - 1, i == streams);
	s->first_stream = 1;
	atomic_store(&st->conversation[conns].id, CONTROL_ID);
	atomic_store(&s->id, ctf_feed_source.id);
	atomic_store(&st->header->high_source, 1);
	atomic_store(&st->header->high_conversation, conns + 1);
}

struct state_ref ctf_feed_connection(unsigned i)
{
	return (struct state_ref){.index = i, .id = CONNECTION_ID + i};
}

void ctf_feed_connect(struct state *st, unsigned i, const uint8_t header[CTF_DATA_HEADER_SIZE],
		      int *ret_client, int *ret_ours)
{
	struct conversation_slot *slot = &st->conversation[i];
	struct conversation_half *h;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		err(1, "socketpair");
	*ret_client = pair[0];
	*ret_ours = pair[1];
	fcntl(pair[1], F_SETFL, O_NONBLOCK);
	slot->role = CONVERSATION_LTTNG_DATA;
	h = conversation_begin(slot);
	memcpy(slot->ring, header, CTF_DATA_HEADER_SIZE);
	h->received_base = CTF_DATA_HEADER_SIZE;
	conversation_commit(slot);
	atomic_store(&slot->source, 1 + ctf_feed_source.index);
	atomic_store(&slot->id, CONNECTION_ID + i);
}

void ctf_feed_header(uint8_t to[CTF_DATA_HEADER_SIZE], unsigned stream, uint64_t seq, uint32_t len,
		     uint32_t padding)
{
	struct wire_writer w = wire_writer_init(to, CTF_DATA_HEADER_SIZE);

	wire_put_u64(&w, 0); /* circuit_id */
	wire_put_u64(&w, ctf_handle(stream, STREAM_ID + stream));
	wire_put_u64(&w, seq);
	wire_put_u32(&w, len);
	wire_put_u32(&w, padding);
}

void ctf_feed_order(struct state *st, const struct ctf_order *what, int stream, const void *bytes)
{
	static uint64_t position;
	struct ctf_source_slot *c = &st->ctf_source[ctf_feed_source.index];
	struct lttng_origin origin = {
		.conversation = {.index = st->header->capacity.conversations - 1, .id = CONTROL_ID},
		.position = ++position};
	struct ctf_order o = *what;

	if (stream >= 0) {
		o.stream = 1 + (uint32_t)stream;
		o.stream_id = STREAM_ID + (uint64_t)stream;
	}
	while (lttng_orders_room(st, c) < ctf_order_size(o.bytes))
		ctf_feed_rest(1);
	if (!lttng_orders_put(st, c, &origin, &o, bytes))
		errx(1, "an order that is there already");
}

void ctf_feed_send(int fd, const uint8_t *bytes, size_t len)
{
	while (len) {
		ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);

		if (n <= 0)
			err(1, "send");
		bytes += n;
		len -= (size_t)n;
	}
}

void ctf_feed_end(struct state *st)
{
	struct source_front *front = &st->source[ctf_feed_source.index].front;
	struct source_front_half *f = source_front_begin(front);

	f->control_ended = CLOSE_finished;
	f->closed_in_order = f->drained = 1;
	source_front_commit(front);
}
