/* SPDX-License-Identifier: MIT */
/*
 * load.c - many trace-cmd clients at once, and afterwards a look at every byte that was stored. See
 * README.md for what to do with it, options.h for the command line.
 */
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/arrival.h"
#include "tests/bench/fleet.h"
#include "tests/bench/options.h"
#include "tests/bench/outputs.h"
#include "tests/bench/server_cpu.h"
#include "tests/bench/tracefile.h"
#include "tests/bench/verify.h"

static int run_verify(const struct options *o)
{
	struct verify_expected want = {
		.clients = o->clients,
		.cpus = o->client.cpus,
		.page_size = o->client.page_size,
		.bytes = o->bytes,
		.seed = o->client.seed,
		.raw = o->client.raw,
		.lossy = o->lossy,
	};
	struct verify_result result;
	int r = verify_paths(o->paths, o->path_count, &want, &result);

	if (r < 0 && r != -EBADMSG)
		errx(1, "verify: %s", strerror(-r));
	if (o->json)
		printf("{\"mode\":\"verify\",\"ok\":%s,\"files\":%u,\"bytes\":%" PRIu64
		       ",\"wrong_pages\":%" PRIu64 ",\"missing_pages\":%" PRIu64
		       ",\"marked_pages\":%" PRIu64 ",\"filler_pages\":%" PRIu64 "}\n",
		       r == 0 ? "true" : "false", result.files, result.bytes, result.wrong_pages,
		       result.missing_pages, result.marked_pages, result.filler_pages);
	else
		printf("%s: %" PRIu64 " bytes in %u files, %" PRIu64 " pages wrong, %" PRIu64
		       " missing, %" PRIu64 " marked\n",
		       r == 0 ? "as sent" : "NOT as sent", result.bytes, result.files,
		       result.wrong_pages, result.missing_pages, result.marked_pages);
	if (result.first_error[0])
		warnx("%s", result.first_error);
	return r == 0 ? 0 : 1;
}

static int print_table(const char *path, void *arg)
{
	const struct options *o = arg;
	struct tracefile t;
	int r = tracefile_open(path, o->client.raw, &t);

	if (r < 0) {
		warnx("%s: %s", path, strerror(-r));
		return r;
	}
	for (uint32_t i = 0; i < t.count; i++)
		printf("%s %u %" PRIu64 " %" PRIu64 "\n", path, t.regions[i].cpu,
		       t.regions[i].offset, t.regions[i].size);
	tracefile_close(&t);
	return 0;
}

static int run_table(struct options *o)
{
	int r = 0;

	for (int i = 0; r == 0 && i < o->path_count; i++)
		r = outputs_walk(o->paths[i], o->client.raw ? ".raw" : ".dat", print_table, o);
	return r == 0 ? 0 : 1;
}

/* Moments of a run, of CLOCK_MONOTONIC; 0 if it did not come to that. */
struct moments {
	uint64_t begun, open, sending, sent, stopped, arrived;
	double server_cpu; /* seconds used in between */
};

/* All streams are open: say so, and keep them until a line or the end of stdin. */
static int hold(const struct options *o, uint64_t deadline_ns)
{
	struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};

	printf("{\"mode\":\"idle\",\"holding\":%u}\n", o->clients * o->client.cpus);
	fflush(stdout);
	for (;;) {
		uint64_t now = fleet_now();

		if (now > deadline_ns)
			return -ETIMEDOUT;
		if (poll(&in, 1, (int)((deadline_ns - now) / 1000000) + 1) > 0)
			return 0;
	}
}

static void rest(uint32_t ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

/* Have the server meet every stream before what is measured: a page each, and time to store it. */
static int prime(const struct options *o, struct fleet *f)
{
	struct fleet_sending how = {.goal = o->client.page_size};
	int r = o->bytes ? fleet_send(f, &how) : 0;

	rest(o->prime_ms);
	return r;
}

static int run_clients(const struct options *o, struct moments *m, struct fleet *f,
		       uint64_t deadline)
{
	struct fleet_sending how = {
		.goal = o->bytes,
		.close_streams = o->mode == MODE_THROUGHPUT || o->mode == MODE_FINISH,
		.say_close = o->close_after_ms == 0,
		.datagram = o->datagram,
		.rate = o->rate,
		.backlog = o->backlog,
	};
	int r;

	m->begun = fleet_now();
	r = fleet_open(f, o->in_flight);
	m->open = m->sending = fleet_now();
	if (r == 0 && o->prime) {
		r = prime(o, f);
		m->sending = fleet_now();
	}
	if (r == 0)
		r = fleet_send(f, &how);
	m->sent = m->stopped = fleet_now();
	if (r == 0 && o->mode == MODE_IDLE) {
		r = hold(o, deadline);
		m->stopped = fleet_now();
	}
	if (r == 0 && o->close_after_ms) {
		rest(o->close_after_ms);
		m->stopped = fleet_now();
	}
	if (r == 0)
		r = fleet_close(f);
	if (r == 0 && o->arrive) {
		r = arrival_wait(o->arrive, o->clients, o->bytes * o->client.cpus, deadline);
		m->arrived = fleet_now();
	}
	return r;
}

static int run_load(const struct options *o, struct moments *m)
{
	uint64_t deadline = fleet_now() + (uint64_t)o->timeout_s * 1000000000;
	struct fleet *f = fleet_new(&o->client, o->clients, deadline);
	double before = server_cpu_seconds(&o->server_cpu), after;
	int r = run_clients(o, m, f, deadline);

	after = server_cpu_seconds(&o->server_cpu);
	if (r == 0 && (before < 0 || after < 0)) {
		warnx("a process of --server-cpu is not there");
		r = -ESRCH;
	}
	m->server_cpu = after - before;
	fleet_free(f);
	return r;
}

static double seconds(uint64_t from, uint64_t to)
{
	return (double)(to - from) / 1e9;
}

static void report(const struct options *o, const struct moments *m)
{
	uint64_t bytes = o->bytes * o->client.cpus * o->clients;
	uint64_t end = m->arrived ? m->arrived : m->sent;
	double rate = (double)bytes / 1048576 / seconds(m->sending, end);
	double stop_ms = m->arrived ? seconds(m->stopped, m->arrived) * 1e3 : 0;
	double accepted = o->clients / seconds(m->begun, m->open);
	struct timespec cpu;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	if (!o->json) {
		printf("%s: %u clients of %u CPUs open in %.3f s (%.0f/s), %" PRIu64
		       " MiB in %.3f s (%.0f MiB/s)",
		       o->mode_name, o->clients, o->client.cpus, seconds(m->begun, m->open),
		       accepted, bytes >> 20, seconds(m->sending, end), rate);
		if (m->arrived)
			printf(", whole %.1f ms after the stop", stop_ms);
		putchar('\n');
		return;
	}
	printf("{\"mode\":\"%s\",\"protocol\":\"%s\",\"format\":%u,\"clients\":%u,\"cpus\":%u"
	       ",\"bytes\":%" PRIu64 ",\"open_s\":%.6f,\"clients_per_s\":%.2f,\"send_s\":%.6f"
	       ",\"total_s\":%.6f,\"mib_per_s\":%.2f,\"load_cpu_s\":%.6f"
	       ",\"sending_at\":%.6f",
	       o->mode_name,
	       o->client.raw             ? "raw"
	       : o->client.protocol == 1 ? "v1"
					 : "v3",
	       o->client.format, o->clients, o->client.cpus, bytes, seconds(m->begun, m->open),
	       accepted, seconds(m->sending, m->sent), seconds(m->begun, end), rate,
	       (double)cpu.tv_sec + (double)cpu.tv_nsec / 1e9, seconds(0, m->sending));
	if (m->arrived)
		printf(",\"stop_to_readable_ms\":%.3f", stop_ms);
	if (o->server_cpu.count)
		printf(",\"server_cpu_s\":%.6f", m->server_cpu);
	puts("}");
}

int main(int argc, char **argv)
{
	struct options o = options_parse(argc, argv);
	struct moments m = {0};
	struct rlimit files;
	int r;

	pages_init();
	if (o.mode == MODE_VERIFY)
		return run_verify(&o);
	if (o.mode == MODE_TABLE)
		return run_table(&o);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	r = run_load(&o, &m);
	if (r < 0)
		errx(1, "%s: %s", o.mode_name, strerror(-r));
	report(&o, &m);
	return 0;
}
