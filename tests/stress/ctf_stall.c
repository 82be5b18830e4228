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
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/state.h"
#include "common/wire.h"
#include "consumer/ctf_guard.h"
#include "consumer/worker.h"
#include "tests/stress/ctf_feed.h"

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

/* ---- the disk ---- */

ssize_t splice(int in, loff_t *in_at, int out, loff_t *out_at, size_t len, unsigned flags)
{
	static unsigned n; /* of the worker's thread only */

	if (out_at && (n = n * 1103515245u + 12345u + seed) >> 16 & 1 && (n >> 20) % 64 == 0) {
		atomic_fetch_add(&stalls, 1);
		ctf_feed_rest(3 * MAX_STALL);
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
					    .stream_closed = on_ref,
					    .connection_closed = on_ref,
					    .chunk = on_chunk,
					    .finished = on_finished,
					    .stopped = on_stopped};

static void order(enum ctf_order_type type, int stream, uint64_t number, const void *payload,
		  uint32_t bytes)
{
	ctf_feed_order(&st, &(struct ctf_order){.type = type, .number = number, .bytes = bytes},
		       stream, payload);
	worker_look(worker, ctf_feed_source);
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

static void payload(uint8_t *to, unsigned stream, uint64_t seq)
{
	memset(to, (int)(seq * 7 + stream), LEN);
	memcpy(to, &seq, sizeof(seq));
}

static void connect_data(unsigned i)
{
	uint8_t first[CTF_DATA_HEADER_SIZE];
	int ours;

	ctf_feed_header(first, 2 * i, 0, LEN, PAD);
	ctf_feed_connect(&st, i, first, &peer[i], &ours);
	worker_connection(worker, ctf_feed_connection(i), ours);
}

static void send_packet(unsigned stream, uint64_t seq)
{
	static uint8_t bytes[CTF_DATA_HEADER_SIZE + LEN];
	uint8_t index[64];
	struct wire_writer w = wire_writer_init(index, sizeof(index));
	bool first = !seq && stream % 2 == 0;

	ctf_feed_header(bytes, stream, seq, LEN, PAD);
	payload(bytes + CTF_DATA_HEADER_SIZE, stream, seq);
	ctf_feed_send(peer[stream / 2], bytes + (first ? CTF_DATA_HEADER_SIZE : 0),
		      sizeof(bytes) - (first ? CTF_DATA_HEADER_SIZE : 0));
	wire_put_u64(&w, (uint64_t)(LEN + PAD) * 8);
	wire_put_u64(&w, (uint64_t)LEN * 8);
	for (unsigned k = 0; k < 5; k++)
		wire_put_u64(&w, k == 2 ? 0 : seq + k);
	wire_put_u64(&w, seq);
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
	snprintf(path, sizeof(path), "%s/%s/" CTF_FEED_PATH "/ch_%u", dir, s.dir, i);
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
	ctf_feed_end(&st);
	for (unsigned i = 0; i < CONNS; i++)
		shutdown(peer[i], SHUT_WR);
	worker_look(worker, ctf_feed_source);
	for (unsigned i = 0; !atomic_load(&finished); i++) {
		if (i > 30000)
			die("waited for its end");
		ctf_feed_rest(1);
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
	ctf_feed_make(&st, CONNS, STREAMS, false);
	start(&guard);
	for (unsigned i = 0; i < CONNS; i++)
		connect_data(i);
	for (uint64_t seq = 0; seq < packets; seq++)
		for (unsigned i = 0; i < STREAMS; i++)
			send_packet(i, seq);
	end();
	worker_stop(worker);
	while (!atomic_load(&stopped))
		ctf_feed_rest(1);
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
