/* SPDX-License-Identifier: MIT */
/*
 * ctf_stall.c - a disk that stands still now and then, under a worker with LTTng streams and the
 * guard beside it: whole packets are stored or discarded, none is half there, none twice.
 *
 *   main    is the front loop and the client: packets and their index orders, as fast as they go
 *   worker  stores them; every splice into a file may take a while
 *   guard   reads its sockets then
 *
 * usage: ctf_stall [PACKETS [SEED]]
 */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/state.h"
#include "common/wire.h"
#include "consumer/ctf_guard.h"
#include "consumer/worker.h"

#define STREAMS   4u /* two a connection */
#define CONNS     2u
#define LEN       20000u
#define PAD       480u
#define MAX_STALL 20 /* ms */

static struct state st;
static int output, pipes[2], peer[CONNS];
static char dir[] = "/tmp/tracerelay-stall-XXXXXX";
static _Atomic bool finished, stopped;
static _Atomic unsigned stalls;
static unsigned seed;

static void die(const char *what)
{
	fprintf(stderr, "ctf_stall: %s: %s (seed %u, files in %s)\n", what, strerror(errno), seed,
		dir);
	exit(1);
}

static void rest(long ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

/* ---- the disk ---- */

ssize_t splice(int in, loff_t *in_at, int out, loff_t *out_at, size_t len, unsigned flags)
{
	static unsigned n; /* of the worker's thread only */

	if (out_at && (n = n * 1103515245u + 12345u + seed) >> 16 & 1 && (n >> 20) % 64 == 0) {
		atomic_fetch_add(&stalls, 1);
		rest(3 * MAX_STALL);
	}
	return syscall(SYS_splice, in, in_at, out, out_at, len, flags);
}

/* ---- what sessiond-lite and the front loop do ---- */

static void on_finished(void *ctx, struct state_ref ref)
{
	(void)ctx, (void)ref;
	atomic_store(&finished, true);
}
static void on_stopped(void *ctx, struct worker *w)
{
	(void)ctx, (void)w;
	atomic_store(&stopped, true);
}
static void on_ref(void *ctx, struct state_ref ref)
{
	(void)ctx, (void)ref;
}
static struct worker *worker;
static void on_chunk(void *ctx, const struct worker_chunk *c)
{
	(void)ctx;
	worker_chunk_kept(worker, c->source, c->number);
}
static const struct worker_events events = {.room = on_ref,
					    .connection_closed = on_ref,
					    .chunk = on_chunk,
					    .finished = on_finished,
					    .stopped = on_stopped};

static const struct state_ref source_ref = {.index = 0, .id = 2};

static void order(enum ctf_order_type type, int stream, uint64_t number, const void *payload,
		  uint32_t bytes)
{
	struct ctf_source_slot *c = &st.ctf_source[0];
	struct ctf_order o = {.type = type, .bytes = bytes, .number = number};
	struct ctf_front_half *h;
	uint8_t record[256] = {0};
	uint64_t at = ctf_front_now(c)->ordered;

	if (stream >= 0) {
		o.stream = 1 + (uint32_t)stream;
		o.stream_id = 10 + (uint64_t)stream;
	}
	memcpy(record, &o, sizeof(o));
	if (bytes)
		memcpy(record + sizeof(o), payload, bytes);
	for (uint32_t i = 0; i < ctf_order_size(bytes); i++)
		c->ring[(at + i) & (CTF_RING - 1)] = record[i];
	h = ctf_front_begin(c);
	h->ordered += ctf_order_size(bytes);
	ctf_front_commit(c);
	worker_look(worker, source_ref);
}

static void make_slots(void)
{
	struct state_capacity capacity = {
		.conversations = CONNS, .sources = 1, .streams = STREAMS, .workers = 1};
	struct ctf_source_slot *c;
	struct source_slot *s;

	if (state_create(&capacity, &st) < 0)
		die("state memory");
	strcpy(st.session[0].name, "default");
	atomic_store(&st.session[0].id, 1);
	s = &st.source[0];
	c = &st.ctf_source[0];
	s->number = 1;
	s->protocol = PROTOCOL_LTTNG;
	assert(addr_parse("127.0.0.9:1", &s->peer) == 0);
	c->minor = 13;
	strcpy(c->session_name, "s1");
	strcpy(c->host, "vm");
	c->name_has_time = 1;
	atomic_store(&s->session, 1);
	atomic_store(&s->worker, 1);
	for (uint32_t i = 0; i < STREAMS; i++) {
		st.stream[i].source = source_ref;
		st.stream[i].next = i + 1 < STREAMS ? i + 2 : 0;
		snprintf(st.ctf_stream[i].name, sizeof(st.ctf_stream[i].name), "ch_%u", i);
		strcpy(st.ctf_stream[i].path, "ust");
		atomic_store(&st.ctf_stream[i].named, 1);
		atomic_store(&st.stream[i].id, 10 + i);
	}
	s->first_stream = 1;
	atomic_store(&s->id, source_ref.id);
	atomic_store(&st.header->high_source, 1);
}

static void start(struct ctf_guard **guard)
{
	struct worker_config config = {.state = &st,
				       .pipe_read = pipes[0],
				       .pipe_write = pipes[1],
				       .output_fd = output,
				       .max_stall_ms = MAX_STALL,
				       .events = &events};

	if (worker_start(&config, &worker) < 0 || ctf_guard_start(&worker, 1, MAX_STALL, guard) < 0)
		die("worker");
	order(CTF_ORDER_CHUNK, -1, 0, NULL, 0);
	for (unsigned i = 0; i < STREAMS; i++)
		order(CTF_ORDER_STREAM, (int)i, 0, NULL, 0);
}

/* ---- the client ---- */

static void header(uint8_t *to, unsigned stream, uint64_t seq)
{
	struct wire_writer w = wire_writer_init(to, CTF_DATA_HEADER_SIZE);

	wire_put_u64(&w, 0);
	wire_put_u64(&w, ctf_handle(stream, 10 + stream));
	wire_put_u64(&w, seq);
	wire_put_u32(&w, LEN);
	wire_put_u32(&w, PAD);
}

static void payload(uint8_t *to, unsigned stream, uint64_t seq)
{
	memset(to, (int)(seq * 7 + stream), LEN);
	memcpy(to, &seq, sizeof(seq));
}

static void send_all(int fd, const uint8_t *bytes, size_t len)
{
	while (len) {
		ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);

		if (n <= 0)
			die("send");
		bytes += n;
		len -= (size_t)n;
	}
}

/* The first header is the front loop's to read. */
static void connect_data(unsigned i)
{
	struct conversation_slot *slot = &st.conversation[i];
	struct conversation_half *h;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		die("socketpair");
	peer[i] = pair[0];
	fcntl(pair[1], F_SETFL, O_NONBLOCK);
	slot->role = CONVERSATION_LTTNG_DATA;
	h = conversation_begin(slot);
	header(slot->ring, 2 * i, 0);
	h->received_base = CTF_DATA_HEADER_SIZE;
	conversation_commit(slot);
	atomic_store(&slot->source, 1);
	atomic_store(&slot->id, 30 + i);
	worker_connection(worker, (struct state_ref){.index = i, .id = 30 + i}, pair[1]);
}

static void send_packet(unsigned stream, uint64_t seq)
{
	static uint8_t bytes[CTF_DATA_HEADER_SIZE + LEN];
	uint8_t index[64];
	struct wire_writer w = wire_writer_init(index, sizeof(index));
	bool first = !seq && stream % 2 == 0;

	header(bytes, stream, seq);
	payload(bytes + CTF_DATA_HEADER_SIZE, stream, seq);
	send_all(peer[stream / 2], bytes + (first ? CTF_DATA_HEADER_SIZE : 0),
		 sizeof(bytes) - (first ? CTF_DATA_HEADER_SIZE : 0));
	wire_put_u64(&w, (uint64_t)(LEN + PAD) * 8);
	wire_put_u64(&w, (uint64_t)LEN * 8);
	for (unsigned k = 0; k < 5; k++)
		wire_put_u64(&w, k == 2 ? 0 : seq + k);
	wire_put_u64(&w, seq);
	while (ctf_front_now(&st.ctf_source[0])->ordered - atomic_load(&st.ctf_source[0].applied) >
	       CTF_RING / 2)
		rest(1);
	order(CTF_ORDER_INDEX, (int)stream, seq, index, (uint32_t)w.len);
}

/* ---- the judge ---- */

static void check_stream(unsigned i, uint64_t packets)
{
	static uint8_t got[LEN + PAD], want[LEN];
	struct stream_half h;
	struct source_half s;
	uint64_t sum, seq, last = 0, n = 0;
	char path[600];
	FILE *f;

	stream_read(&st.stream[i], &h);
	source_read(&st.source[0], &s);
	sum = h.ledger.stored + h.ledger.discarded[DISCARD_STALL];
	if (h.ledger.received != sum || sum != packets * LEN)
		die("the ledger");
	snprintf(path, sizeof(path), "%s/%s/ust/ch_%u", dir, s.dir, i);
	f = fopen(path, "r");
	if (!f)
		die(path);
	while (fread(got, 1, sizeof(got), f) == sizeof(got)) {
		memcpy(&seq, got, sizeof(seq));
		payload(want, i, seq);
		if (memcmp(got, want, LEN) != 0 || (n && seq <= last))
			die("a packet in the file");
		last = seq;
		n++;
	}
	if (ftell(f) != (long)(n * sizeof(got)) || n * LEN != h.ledger.stored)
		die("the file's size");
	fclose(f);
	printf("stream %u: %" PRIu64 " packets stored, %" PRIu64 " discarded\n", i, n, packets - n);
}

static void end(void)
{
	struct source_front_half *f = source_front_begin(&st.source[0].front);

	f->control_ended = CLOSE_finished;
	f->closed_in_order = f->drained = 1;
	source_front_commit(&st.source[0].front);
	for (unsigned i = 0; i < CONNS; i++)
		shutdown(peer[i], SHUT_WR);
	worker_look(worker, source_ref);
	for (unsigned i = 0; !atomic_load(&finished); i++) {
		if (i > 30000)
			die("waited for its end");
		rest(1);
	}
}

int main(int argc, char **argv)
{
	uint64_t packets = argc > 1 ? strtoull(argv[1], NULL, 10) : 600;
	struct ctf_guard *guard;
	char command[64];

	seed = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : (unsigned)getpid();
	if (!mkdtemp(dir) || (output = open(dir, O_RDONLY | O_DIRECTORY)) < 0 ||
	    pipe2(pipes, O_NONBLOCK) < 0)
		die("begin");
	make_slots();
	start(&guard);
	for (unsigned i = 0; i < CONNS; i++)
		connect_data(i);
	for (uint64_t seq = 0; seq < packets; seq++)
		for (unsigned i = 0; i < STREAMS; i++)
			send_packet(i, seq);
	end();
	worker_stop(worker);
	while (!atomic_load(&stopped))
		rest(1);
	ctf_guard_stop(guard);
	worker_free(worker);
	for (unsigned i = 0; i < STREAMS; i++)
		check_stream(i, packets);
	printf("the disk stood still %u times (seed %u)\n", stalls, seed);
	state_detach(&st);
	close(output);
	for (unsigned i = 0; i < CONNS; i++)
		close(peer[i]);
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command) ? 1 : 0;
}
