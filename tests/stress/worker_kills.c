/* SPDX-License-Identifier: MIT */
/*
 * worker_kills.c - a consumer worker is killed at random instants, again and again, while TCP
 * streams feed it; the chunks must hold every byte in its place, once.
 *
 *   parent    makes state memory, pipes and connections, as sessiond-lite does, and keeps them
 *   feeder    a process: sends pages with a known content on every connection, then closes
 *   consumer  a process with one worker: killed after a random time, started anew
 *
 * usage: worker_kills [KILLS [MIB [ROTATE_KIB [SEED]]]]; without kills it is a plain stress run.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/state.h"
#include "consumer/record.h"
#include "consumer/trace_dat_layout.h"
#include "consumer/trace_dat_meta.h"
#include "consumer/trace_dat_tail.h"
#include "consumer/worker.h"
#include "tests/unit/trace_dat_sample.h"

#define CPUS 3
#define PAGE 4096u

static struct state st;
static int pipes[2], output, conns[CPUS], peers[CPUS];
static char dir[] = "/tmp/tracerelay-kills-XXXXXX";
static uint64_t pages_each;
static unsigned rotate_kib, seed;

static void die(const char *what)
{
	fprintf(stderr, "worker_kills: %s: %s (files in %s)\n", what, strerror(errno), dir);
	exit(1);
}

/* Every byte says where it belongs: the page's number is its time, the rest follows from it. */
static void make_page(uint8_t *page, unsigned cpu, uint64_t n)
{
	uint64_t x = (n + 1) * 0x9e3779b97f4a7c15u + cpu;

	for (size_t i = 16; i < PAGE; i += 8) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		memcpy(page + i, &x, 8);
	}
	wire_set_u64_as(page, n + 1, false);
	wire_set_u64_as(page + 8, PAGE - 16, false);
}

static void connect_pair(int *ret_ours, int *ret_theirs)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	int l = socket(AF_INET, SOCK_STREAM, 0);

	*ret_theirs = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(l, (struct sockaddr *)&at, len) < 0 || listen(l, 1) < 0 ||
	    getsockname(l, (struct sockaddr *)&at, &len) < 0 ||
	    connect(*ret_theirs, (struct sockaddr *)&at, len) < 0)
		die("connect");
	*ret_ours = accept4(l, NULL, NULL, SOCK_NONBLOCK);
	if (*ret_ours < 0)
		die("accept");
	close(l);
}

/* What sessiond-lite and the front loop would have written. */
static void make_slots(void)
{
	struct state_capacity capacity = {
		.conversations = 1, .sources = 1, .streams = CPUS, .workers = 1};
	struct sample meta = {.commit_size = 8, .end = END_OPTIONS, .compression = "zstd"};
	struct session_slot *session;
	struct source_slot *s;
	struct source_front_half *f;

	if (state_create(&capacity, &st) < 0)
		die("state memory");
	session = &st.session[0];
	strcpy(session->name, "default");
	atomic_store(&session->rotate_size, (uint64_t)rotate_kib << 10);
	atomic_store(&session->id, 1);
	s = &st.source[0];
	if (state_touch(&st, s, sizeof(*s)) < 0 ||
	    state_touch(&st, st.stream, sizeof(*st.stream) * CPUS) < 0)
		die("touch");
	s->cpus = CPUS;
	s->number = 1;
	s->protocol = PROTOCOL_TRACE_CMD_V3;
	s->page_size = PAGE;
	s->first_stream = 1;
	atomic_store(&s->session, 1);
	atomic_store(&s->worker, 1);
	assert(addr_parse("127.0.0.9", &s->peer) == 0);
	for (uint32_t i = 0; i < CPUS; i++) {
		struct stream_slot *t = &st.stream[i];

		t->source = (struct state_ref){.index = 0, .id = 2};
		t->next = i + 1 < CPUS ? i + 2 : 0;
		t->cpu = i;
		atomic_store(&t->connected, 1);
		atomic_store(&t->id, 10 + i);
	}
	if (seed % 2)
		sample_v7(&meta);
	else
		sample_v6(&meta);
	memcpy(s->metadata, meta.bytes, meta.len);
	f = source_front_begin(&s->front);
	f->metadata = meta.len;
	f->metadata_complete = 1;
	source_front_commit(&s->front);
	atomic_store(&s->id, 2);
	atomic_store(&st.header->high_source, 1);
}

static pid_t start_feeder(void)
{
	pid_t pid = fork();
	uint8_t *batch;

	if (pid)
		return pid;
	signal(SIGPIPE, SIG_IGN);
	batch = malloc(16 * PAGE);
	for (uint64_t n = 0; n < pages_each; n += 16)
		for (unsigned cpu = 0; cpu < CPUS; cpu++) {
			uint64_t count = pages_each - n < 16 ? pages_each - n : 16;

			for (uint64_t i = 0; i < count; i++)
				make_page(batch + i * PAGE, cpu, n + i);
			for (size_t at = 0; at < count * PAGE;) {
				ssize_t k = write(peers[cpu], batch + at, count * PAGE - at);

				if (k < 0)
					_exit(1);
				at += (size_t)k;
			}
		}
	for (unsigned cpu = 0; cpu < CPUS; cpu++)
		close(peers[cpu]);
	_exit(0);
}

/* ---- the consumer process ---- */

static struct worker *worker;

static void on_source(void *ctx, struct state_ref source)
{
	(void)ctx;
	(void)source;
}

static void on_match(void *ctx, struct state_ref source, const char *host)
{
	(void)ctx;
	(void)host;
	worker_look(worker, source);
}

static void on_inbox(void *ctx)
{
	(void)ctx;
}

static void on_chunk(void *ctx, const struct worker_chunk *chunk)
{
	(void)ctx;
	if (!chunk->deleted)
		worker_chunk_kept(worker, chunk->source, chunk->number);
}

static void on_stopped(void *ctx, struct worker *w)
{
	(void)w;
	atomic_store((_Atomic int *)ctx, 1);
}

static void on_finished(void *ctx, struct state_ref source)
{
	(void)ctx;
	atomic_store(&st.source[source.index].done, 1);
	worker_stop(worker);
}

static const struct worker_events events = {.room = on_source,
					    .match = on_match,
					    .inbox_freed = on_inbox,
					    .stream_closed = on_source,
					    .chunk = on_chunk,
					    .finished = on_finished,
					    .stopped = on_stopped};

/* Start a worker on what is there; returns when its source has finished. */
static void consume(void)
{
	static _Atomic int stopped;
	struct worker_config config = {.state = &st,
				       .index = 0,
				       .pipe_read = dup(pipes[0]),
				       .pipe_write = dup(pipes[1]),
				       .output_fd = output,
				       .events = &events,
				       .ctx = &stopped};

	if (worker_start(&config, &worker) < 0)
		die("worker_start");
	for (uint32_t i = 0; i < CPUS; i++)
		if (!atomic_load(&st.stream[i].closed))
			worker_stream(worker, (struct state_ref){.index = i, .id = 10 + i},
				      dup(conns[i]));
	worker_look(worker, (struct state_ref){.index = 0, .id = 2});
	while (!atomic_load(&stopped))
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	worker_free(worker);
}

/* ---- the judge ---- */

static uint64_t seen[CPUS];

static void check_region(int fd, const struct trace_dat_region *region, unsigned cpu,
			 const char *name)
{
	uint8_t want[PAGE], got[PAGE];

	for (uint64_t at = 0; at < region->bytes; at += PAGE) {
		make_page(want, cpu, seen[cpu]++);
		if (pread(fd, got, PAGE, (off_t)(region->offset + at)) != PAGE)
			die(name);
		if (memcmp(got, want, PAGE) != 0) {
			fprintf(stderr, "%s: CPU %u page %" PRIu64 " is not page %" PRIu64 "\n",
				name, cpu, at / PAGE, seen[cpu] - 1);
			exit(1);
		}
	}
}

static void check_chunk(int dirfd, const char *name)
{
	struct trace_dat_region regions[CPUS];
	struct trace_dat_meta meta;
	int fd = openat(dirfd, name, O_RDONLY);
	uint8_t *head;
	struct stat sb;
	size_t len;

	if (fd < 0 || fstat(fd, &sb) < 0)
		die(name);
	len = (size_t)(sb.st_size < (off_t)TRACE_DAT_DATA_START ? sb.st_size
								: (off_t)TRACE_DAT_DATA_START);
	head = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
	if (head == MAP_FAILED)
		die(name);
	if (trace_dat_meta_parse(head, len, &meta) < 0 || !meta.complete ||
	    trace_dat_tail_read_table(head, len, &meta, CPUS, regions) < 0)
		die("the chunk's metadata");
	for (unsigned cpu = 0; cpu < CPUS; cpu++)
		check_region(fd, &regions[cpu], cpu, name);
	munmap(head, len);
	close(fd);
}

static void check_record(int dirfd, const char *name)
{
	struct record r;
	char json[64];

	snprintf(json, sizeof(json), "%.*sjson", (int)strlen(name) - 3, name);
	if (record_read(dirfd, json, &r) < 0)
		die(json);
	for (size_t i = 0; i < r.stream_count; i++)
		if (!record_ledger_balanced(&r.streams[i].ledger) ||
		    r.streams[i].ledger.pages * PAGE != r.streams[i].ledger.stored) {
			fprintf(stderr, "%s: the ledger of CPU %zu does not add up\n", json, i);
			exit(1);
		}
	record_free(&r);
}

static int is_chunk(const struct dirent *e)
{
	size_t n = strlen(e->d_name);

	return n > 4 && e->d_name[0] != '.' && strcmp(e->d_name + n - 4, ".dat") == 0;
}

/* All chunks of the source in order. */
static unsigned check_all(void)
{
	const char *where = source_now(&st.source[0])->dir;
	int dirfd = openat(output, where, O_RDONLY | O_DIRECTORY);
	char path[512];
	struct dirent **found;
	int n;

	snprintf(path, sizeof(path), "%s/%s", dir, where);
	n = scandir(path, &found, is_chunk, alphasort);
	if (n <= 0 || dirfd < 0)
		die(path);
	for (int i = 0; i < n; i++) {
		check_chunk(dirfd, found[i]->d_name);
		check_record(dirfd, found[i]->d_name);
		free(found[i]);
	}
	free(found);
	close(dirfd);
	for (unsigned cpu = 0; cpu < CPUS; cpu++)
		if (seen[cpu] != pages_each) {
			fprintf(stderr, "CPU %u: %" PRIu64 " of %" PRIu64 " pages\n", cpu,
				seen[cpu], pages_each);
			exit(1);
		}
	return (unsigned)n;
}

/* The client's CLOSE: what the front loop writes when the feeder is done. */
static void end_control(void)
{
	struct source_front_half *f = source_front_begin(&st.source[0].front);

	f->control_ended = CLOSE_finished;
	f->closed_in_order = 1;
	f->drained = 1;
	source_front_commit(&st.source[0].front);
}

static void remove_all(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	if (system(command) != 0)
		fprintf(stderr, "could not remove %s\n", dir);
}

int main(int argc, char **argv)
{
	unsigned kills = argc > 1 ? (unsigned)atoi(argv[1]) : 0;
	unsigned mib = argc > 2 ? (unsigned)atoi(argv[2]) : 24;
	unsigned killed = 0, chunks;
	pid_t feeder;

	seed = argc > 4 ? (unsigned)atoi(argv[4]) : (unsigned)time(NULL);
	rotate_kib = argc > 3 ? (unsigned)atoi(argv[3]) : 2048;
	pages_each = ((uint64_t)mib << 20) / PAGE / CPUS;
	srandom(seed);
	if (!mkdtemp(dir) || (output = open(dir, O_RDONLY | O_DIRECTORY)) < 0)
		die("directory");
	if (pipe2(pipes, O_NONBLOCK) < 0)
		die("pipe");
	(void)fcntl(pipes[1], F_SETPIPE_SZ, 1 << 20);
	make_slots();
	for (unsigned i = 0; i < CPUS; i++)
		connect_pair(&conns[i], &peers[i]);
	feeder = start_feeder();
	for (unsigned i = 0; i < CPUS; i++)
		close(peers[i]);
	end_control(); /* legal at any time: streams are drained to their own ends */
	while (killed < kills && !atomic_load(&st.source[0].done)) {
		pid_t pid = fork();

		if (!pid) {
			consume();
			_exit(0);
		}
		nanosleep(&(struct timespec){.tv_nsec = 1 + random() % 12000000}, NULL);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		killed++;
	}
	if (!atomic_load(&st.source[0].done))
		consume();
	waitpid(feeder, NULL, 0);
	chunks = check_all();
	printf("%u kills, %u chunks, %" PRIu64 " pages a CPU, %" PRIu64
	       " moves recovered, seed %u\n",
	       killed, chunks, pages_each, counters_sum(st.counters, 1, COUNTER_recovered_moves),
	       seed);
	remove_all();
	state_detach(&st);
	return 0;
}
