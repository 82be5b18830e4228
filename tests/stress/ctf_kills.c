/* SPDX-License-Identifier: MIT */
/*
 * ctf_kills.c - a worker with an LTTng source is killed at random instants, again and again, while
 * the source is fed, rotated and cleared: every chunk must hold its packets, index records and
 * metadata, each byte in its place, once.
 *
 *   parent    makes state memory, pipes and connections, as sessiond-lite does, and keeps them
 *   feeder    a process: the client, and relayd's front loop with its orders; it rotates only when
 *             the chunk before is gone, as a client does
 *   consumer  a process with one worker: killed after a random time, started anew
 *
 * Every third chunk is closed with DELETE (lttng clear), the others go to the archives.
 *
 * usage: ctf_kills [KILLS [CHUNKS [PACKETS [SEED]]]]: packets of each stream in each chunk
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/state.h"
#include "common/wire.h"
#include "consumer/worker.h"
#include "relayd/lttng_orders.h"
#include "tests/stress/ctf_feed.h"

#define STREAMS  4u      /* with data, two a connection; the metadata is one more */
#define METADATA STREAMS /* which stream that is */
#define CONNS    2u
#define LEN_MAX  60000u
#define CREATED  UINT64_C(1700000000)

static struct state st;
static int output, pipes[2], ours[CONNS], theirs[CONNS];
static char dir[] = "/tmp/tracerelay-ctf-kills-XXXXXX";
static unsigned chunks, packets, seed;

static void die(const char *what)
{
	fprintf(stderr, "ctf_kills: %s: %s (seed %u, files in %s)\n", what, strerror(errno), seed,
		dir);
	exit(1);
}

static bool is_deleted(unsigned chunk)
{
	return chunk % 3 == 2;
}

/* ---- what is sent: every byte says where it belongs ---- */

static uint64_t mix(uint64_t stream, uint64_t seq)
{
	uint64_t x = (seq + 1) * 0x9e3779b97f4a7c15u + stream * 0xd1342543de82ef95u + seed;

	x ^= x >> 29;
	return x * 0xbf58476d1ce4e5b9u;
}

static uint32_t length_of(unsigned stream, uint64_t seq)
{
	return 1 + (uint32_t)(mix(stream, seq) >> 33) % LEN_MAX;
}

static uint32_t padded(uint32_t len)
{
	return (len + 4095) & ~4095u;
}

static void payload(uint8_t *to, unsigned stream, uint64_t seq)
{
	uint64_t x = mix(stream, seq);

	for (uint32_t i = 0; i < length_of(stream, seq); i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		to[i] = (uint8_t)(x >> 56);
	}
}

static void header(uint8_t *to, unsigned stream, uint64_t seq)
{
	uint32_t len = length_of(stream, seq);

	ctf_feed_header(to, stream, seq, len, padded(len) - len);
}

/* What follows the net_seq_num in an index message, and the offset in an index file. */
static void index_record(uint8_t to[64], unsigned stream, uint64_t seq)
{
	struct wire_writer w = wire_writer_init(to, 64);

	wire_put_u64(&w, (uint64_t)padded(length_of(stream, seq)) * 8);
	wire_put_u64(&w, (uint64_t)length_of(stream, seq) * 8);
	wire_put_u64(&w, 1000 + seq);
	wire_put_u64(&w, 1001 + seq);
	wire_put_u64(&w, 0);
	wire_put_u64(&w, 5);
	wire_put_u64(&w, stream);
	wire_put_u64(&w, seq);
}

/* ---- what sessiond-lite does ---- */

static void make(void)
{
	uint8_t first[CTF_DATA_HEADER_SIZE];

	ctf_feed_make(&st, CONNS, STREAMS, true);
	for (unsigned i = 0; i < CONNS; i++) {
		header(first, 2 * i, 0);
		ctf_feed_connect(&st, i, first, &theirs[i], &ours[i]);
	}
}

/* ---- the feeder ---- */

static void order(const struct ctf_order *what, int stream, const void *bytes)
{
	ctf_feed_order(&st, what, stream, bytes);
}

static void send_packet(unsigned stream, uint64_t seq)
{
	static uint8_t bytes[CTF_DATA_HEADER_SIZE + LEN_MAX];
	size_t from = !seq && stream % 2 == 0 ? CTF_DATA_HEADER_SIZE : 0;
	uint8_t record[64];

	header(bytes, stream, seq);
	payload(bytes + CTF_DATA_HEADER_SIZE, stream, seq);
	ctf_feed_send(theirs[stream / 2], bytes + from,
		      CTF_DATA_HEADER_SIZE + length_of(stream, seq) - from);
	index_record(record, stream, seq);
	order(&(struct ctf_order){.type = CTF_ORDER_INDEX, .number = seq, .bytes = 64}, (int)stream,
	      record);
}

/* The metadata of a chunk: the same each time, in two pieces. */
static uint32_t metadata_bytes(uint8_t to[8192])
{
	for (uint32_t i = 0; i < 8000; i++)
		to[i] = (uint8_t)(i * 31 + i / 256);
	memset(to + 8000, 0, 192);
	return 8192;
}

static void send_metadata(void)
{
	uint8_t text[8192];

	(void)metadata_bytes(text);
	order(&(struct ctf_order){.type = CTF_ORDER_METADATA, .bytes = CTF_PIECE}, METADATA, text);
	order(&(struct ctf_order){.type = CTF_ORDER_METADATA,
				  .bytes = 8000 - CTF_PIECE,
				  .flag = 1,
				  .value = 192},
	      METADATA, text + CTF_PIECE);
}

static bool chunk_exists(uint64_t id)
{
	struct ctf_source_half h;

	if (lttng_orders_pending(&st.ctf_source[0]))
		return true;
	ctf_source_read(&st.ctf_source[0], &h);
	for (unsigned i = 0; i < CTF_CHUNKS; i++)
		if (h.chunk[i].state && h.chunk[i].id == id)
			return true;
	return false;
}

static void rotate(unsigned from)
{
	uint64_t next = (uint64_t)(from + 1) * packets;

	order(&(struct ctf_order){.type = CTF_ORDER_CHUNK,
				  .number = from + 1,
				  .value = CREATED + from + 1},
	      -1, NULL);
	for (unsigned i = 0; i <= STREAMS; i++)
		order(&(struct ctf_order){.type = CTF_ORDER_ROTATE,
					  .flag = 1,
					  .number = from + 1,
					  .value = i == METADATA ? 0 : next},
		      (int)i, NULL);
	order(&(struct ctf_order){.type = CTF_ORDER_CLOSE_CHUNK,
				  .number = from,
				  .value = CREATED + from + 1,
				  .flag = is_deleted(from) ? CTF_CLOSE_DELETE : CTF_CLOSE_ARCHIVE},
	      -1, NULL);
	send_metadata();
}

static void feed(void)
{
	order(&(struct ctf_order){.type = CTF_ORDER_CHUNK, .value = CREATED}, -1, NULL);
	for (unsigned i = 0; i <= STREAMS; i++)
		order(&(struct ctf_order){.type = CTF_ORDER_STREAM}, (int)i, NULL);
	send_metadata();
	for (unsigned c = 0; c < chunks; c++) {
		for (uint64_t k = 0; k < packets; k++)
			for (unsigned i = 0; i < STREAMS; i++)
				send_packet(i, (uint64_t)c * packets + k);
		if (c + 1 == chunks)
			break;
		rotate(c);
		/* Some packets of the new chunk come before the old one is gone. */
		for (unsigned ms = 0; c % 2 && chunk_exists(c); ms++) {
			if (ms > 60000)
				die("waited for a rotation");
			ctf_feed_rest(1);
		}
		while (c && chunk_exists(c - 1))
			ctf_feed_rest(1);
	}
	for (unsigned i = 0; i <= STREAMS; i++)
		order(&(struct ctf_order){.type = CTF_ORDER_CLOSE_STREAM,
					  .number = i == METADATA ? CTF_NONE
								  : (uint64_t)chunks * packets - 1},
		      (int)i, NULL);
	ctf_feed_end(&st);
}

/* ---- the consumer ---- */

static struct worker *worker;
static _Atomic bool stopped;

static void on_ref(void *ctx, struct state_ref ref)
{
	(void)ctx;
	(void)ref;
}

static void on_closed(void *ctx, struct state_ref ref)
{
	(void)ctx;
	atomic_store(&st.conversation[ref.index].done, 1);
}

static void on_chunk(void *ctx, const struct worker_chunk *c)
{
	(void)ctx;
	worker_chunk_kept(worker, c->source, c->number);
}

static void on_finished(void *ctx, struct state_ref ref)
{
	(void)ctx;
	atomic_store(&st.source[ref.index].done, 1);
	worker_stop(worker);
}

static void on_stopped(void *ctx, struct worker *w)
{
	(void)ctx;
	(void)w;
	atomic_store(&stopped, true);
}

static const struct worker_events events = {.room = on_ref,
					    .stream_closed = on_ref,
					    .connection_closed = on_closed,
					    .chunk = on_chunk,
					    .finished = on_finished,
					    .stopped = on_stopped};

/* Returns when the source has finished. */
static void consume(void)
{
	struct worker_config config = {.state = &st,
				       .pipe_read = dup(pipes[0]),
				       .pipe_write = dup(pipes[1]),
				       .output_fd = output,
				       .lttng_open_files = 4,
				       .events = &events};

	if (worker_start(&config, &worker) < 0)
		die("worker_start");
	for (unsigned i = 0; i < CONNS; i++)
		if (!atomic_load(&st.conversation[i].done))
			worker_connection(worker, ctf_feed_connection(i), dup(ours[i]));
	while (!atomic_load(&stopped)) {
		worker_look(worker, ctf_feed_source); /* orders come from another process */
		ctf_feed_rest(1);
	}
	worker_free(worker);
}

/* ---- the judge ---- */

static FILE *open_file(const char *chunk, const char *name)
{
	char path[1200];
	FILE *f;

	snprintf(path, sizeof(path), "%s/ust/uid/0/64-bit/%s", chunk, name);
	f = fopen(path, "r");
	if (!f)
		die(path);
	return f;
}

static void at_end(FILE *f, const char *what)
{
	if (fgetc(f) != EOF)
		die(what);
	fclose(f);
}

static void check_stream(const char *where, unsigned chunk, unsigned stream)
{
	static uint8_t want[LEN_MAX + 4096], got[LEN_MAX + 4096];
	uint8_t record[72], expected[72];
	uint64_t offset = 0;
	char name[32];
	FILE *data, *index;

	snprintf(name, sizeof(name), "ch_%u", stream);
	data = open_file(where, name);
	snprintf(name, sizeof(name), "index/ch_%u.idx", stream);
	index = open_file(where, name);
	if (fread(record, 1, 16, index) != 16)
		die("an index's head");
	for (uint64_t k = 0; k < packets; k++) {
		uint64_t seq = (uint64_t)chunk * packets + k;
		uint32_t len = padded(length_of(stream, seq));
		struct wire_writer w = wire_writer_init(expected, 8);

		memset(want, 0, len);
		payload(want, stream, seq);
		if (fread(got, 1, len, data) != len || memcmp(got, want, len) != 0) {
			fprintf(stderr, "%s: stream %u, packet %" PRIu64 "\n", where, stream, seq);
			die("a packet");
		}
		wire_put_u64(&w, offset);
		index_record(expected + 8, stream, seq);
		if (fread(record, 1, 72, index) != 72 || memcmp(record, expected, 72) != 0) {
			fprintf(stderr, "%s: stream %u, index %" PRIu64 "\n", where, stream, seq);
			die("an index record");
		}
		offset += len;
	}
	at_end(data, "more than a chunk's packets");
	at_end(index, "more than a chunk's index records");
}

static void check_metadata(const char *where)
{
	uint8_t want[8192], got[8192];
	uint32_t n = metadata_bytes(want);
	FILE *f = open_file(where, "metadata");

	if (fread(got, 1, n, f) != n || memcmp(got, want, n) != 0)
		die("the metadata");
	at_end(f, "more metadata");
}

static void check_record(const char *where)
{
	char path[1200], text[8192];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "%s/chunk.json", where);
	f = fopen(path, "r");
	if (!f)
		die(path);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	fclose(f);
	if (!strstr(text, "\"complete\": true"))
		die(path);
}

static void check_chunk(unsigned chunk)
{
	char pattern[600];
	glob_t found;
	int r;

	snprintf(pattern, sizeof(pattern), "%s/%s/archives/*-%u", dir,
		 source_now(&st.source[0])->dir, chunk);
	r = glob(pattern, 0, NULL, &found);
	if (is_deleted(chunk) && chunk + 1 < chunks) {
		if (r != GLOB_NOMATCH)
			die("a chunk that was cleared");
		return;
	}
	if (r != 0 || found.gl_pathc != 1)
		die(pattern);
	for (unsigned i = 0; i < STREAMS; i++)
		check_stream(found.gl_pathv[0], chunk, i);
	check_metadata(found.gl_pathv[0]);
	check_record(found.gl_pathv[0]);
	globfree(&found);
}

static void check_ledgers(void)
{
	for (unsigned i = 0; i < STREAMS; i++) {
		const struct stream_half *h = stream_now(&st.stream[i]);
		uint64_t sum = 0;

		for (uint64_t seq = 0; seq < (uint64_t)chunks * packets; seq++)
			sum += length_of(i, seq);
		if (h->ledger.received != sum || h->ledger.stored != sum || h->ledger.lost_packets)
			die("a ledger");
	}
}

static void remove_all(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	if (system(command) != 0)
		fprintf(stderr, "could not remove %s\n", dir);
}

static pid_t child(void (*run)(void))
{
	pid_t pid = fork();

	if (!pid) {
		run();
		_exit(0);
	}
	return pid;
}

int main(int argc, char **argv)
{
	unsigned kills = argc > 1 ? (unsigned)atoi(argv[1]) : 40, killed = 0;
	int status = 0;
	pid_t feeder;

	chunks = argc > 2 ? (unsigned)atoi(argv[2]) : 13;
	packets = argc > 3 ? (unsigned)atoi(argv[3]) : 40;
	seed = argc > 4 ? (unsigned)atoi(argv[4]) : (unsigned)time(NULL);
	srandom(seed);
	if (!mkdtemp(dir) || (output = open(dir, O_RDONLY | O_DIRECTORY)) < 0 ||
	    pipe2(pipes, O_NONBLOCK) < 0)
		die("begin");
	make();
	feeder = child(feed);
	for (unsigned i = 0; i < CONNS; i++)
		close(theirs[i]);
	while (killed < kills && !atomic_load(&st.source[0].done)) {
		pid_t pid = child(consume);

		nanosleep(&(struct timespec){.tv_nsec = 1 + random() % 20000000}, NULL);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		killed++;
	}
	if (!atomic_load(&st.source[0].done))
		consume();
	waitpid(feeder, &status, 0);
	if (status)
		die("the feeder");
	for (unsigned c = 0; c < chunks; c++)
		check_chunk(c);
	check_ledgers();
	printf("%u kills, %u chunks of %u packets a stream, %" PRIu64 " moves recovered, seed %u\n",
	       killed, chunks, packets, counters_sum(st.counters, 1, COUNTER_recovered_moves),
	       seed);
	remove_all();
	state_detach(&st);
	return 0;
}
