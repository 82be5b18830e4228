/* SPDX-License-Identifier: MIT */
/*
 * load.c - the load generator's command line: many trace-cmd clients at once, and afterwards a look
 * at every byte that was stored. See README.md for what to do with it.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/arrival.h"
#include "tests/bench/fleet.h"
#include "tests/bench/outputs.h"
#include "tests/bench/server_cpu.h"
#include "tests/bench/tracefile.h"
#include "tests/bench/verify.h"

enum mode { THROUGHPUT, ACCEPT, IDLE, FINISH, VERIFY, TABLE };
static const char *const mode_names[] = {"throughput", "accept", "idle",
					 "finish",     "verify", "table"};
#define MODES (sizeof(mode_names) / sizeof(mode_names[0]))

static const char usage[] =
	"usage: load throughput|accept|idle|finish [OPTION]...\n"
	"       load verify [OPTION]... PATH...\n"
	"       load table PATH...\n"
	"\n"
	"  throughput  open all streams, send on all at once, close each when it has sent\n"
	"  accept      open all streams, say how fast that went, close\n"
	"  idle        open all streams, send a page each, hold until a line or the end of stdin\n"
	"  finish      as throughput; needs --arrive\n"
	"  verify      compare every byte of the files below PATH with what the same options sent\n"
	"  table       where the pages are: PATH, CPU, offset and size a line\n"
	"\n"
	"  --server=ADDR:PORT    127.x.y.z or [::1]; default 127.0.0.1:12345\n"
	"  --raw                 no conversation: each stream goes to PORT itself; verify: *.raw\n"
	"  --protocol=v1|v3      default v3\n"
	"  --format=6|7          of the metadata; default 7 (v1: 6)\n"
	"  --clients=N --cpus=N  default 1 and 2\n"
	"  --bytes=SIZE          on each stream; default 64M, accept 0, idle a page; K, M, G\n"
	"  --page-size=SIZE      of a sub-buffer; default 4K\n"
	"  --source=127.x.y.z    the first client's address, the others count on from it\n"
	"  --node=NAME           the clients' host names are NAME-0, NAME-1 ...; default bench\n"
	"  --padding=SIZE        makes the metadata larger; default 0\n"
	"  --in-flight=N         clients that connect at the same time; default 64\n"
	"  --udp --datagram=SIZE --rate=SIZE\n"
	"                        streams as datagrams of SIZE (a page), SIZE bytes a second in all "
	"(64M)\n"
	"  --prime=MS            first send a page on each stream, and rest; not measured\n"
	"  --backlog=SIZE        rest while the kernel's TCP buffers hold more; default: no limit\n"
	"  --lossy               verify: pages may be missing\n"
	"  --seed=N              of the content; default 1\n"
	"  --close-after=MS      pause between the last stream's end and CLOSE; default 0 (real: 1 "
	"to 50)\n"
	"  --server-cpu=PID,...  say how much processor time these used from the start to the end\n"
	"  --arrive=DIR          wait until every trace.dat is whole and in place below DIR\n"
	"  --timeout=SECONDS     default 120\n"
	"  --json                one line of JSON instead of a sentence\n";

struct options {
	enum mode mode;
	struct client_setup client;
	uint32_t clients;
	uint64_t bytes;
	bool bytes_given;
	uint32_t in_flight;
	uint32_t datagram;
	uint64_t rate;
	uint64_t backlog;
	uint32_t prime_ms;
	bool prime;
	bool lossy;
	uint32_t close_after_ms;
	struct server_cpu server_cpu;
	const char *arrive;
	uint32_t timeout_s;
	bool json;
};

static uint64_t parse_size(const char *name, const char *text, uint64_t min, uint64_t max)
{
	static const char units[] = "KMG";
	char *end;
	const char *unit;
	uint64_t v;

	errno = 0;
	v = strtoull(text, &end, 10);
	unit = *end ? strchr(units, *end) : NULL;
	for (int shift = unit ? (int)(unit - units) + 1 : 0; shift > 0 && v <= UINT64_MAX >> 10;
	     shift--)
		v <<= 10;
	if (*text < '0' || *text > '9' || errno || end[unit ? 1 : 0] || v < min || v > max)
		errx(2, "--%s=%s: a number from %" PRIu64 " to %" PRIu64, name, text, min, max);
	return v;
}

/* Only loopback: a load generator must not be pointed at somebody by a slip. */
static void parse_server(const char *text, struct client_setup *client)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	const char *colon = strrchr(text, ':');
	char address[64];
	uint16_t port;

	if (!colon || colon - text >= (ptrdiff_t)sizeof(address))
		errx(2, "--server=%s: ADDR:PORT", text);
	snprintf(address, sizeof(address), "%.*s", (int)(colon - text), text);
	port = htons((uint16_t)parse_size("server", colon + 1, 1, UINT16_MAX));
	if (inet_pton(AF_INET, address, &v4.sin_addr) == 1 &&
	    ntohl(v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET) {
		v4.sin_port = port;
		memcpy(&client->server, &v4, sizeof(v4));
		client->server_len = sizeof(v4);
	} else if (strcmp(address, "[::1]") == 0) {
		v6.sin6_addr = in6addr_loopback;
		v6.sin6_port = port;
		memcpy(&client->server, &v6, sizeof(v6));
		client->server_len = sizeof(v6);
	} else {
		errx(2, "--server=%s: only 127.x.y.z and [::1]", text);
	}
}

static uint32_t parse_source(const char *text)
{
	struct in_addr a;

	if (inet_pton(AF_INET, text, &a) != 1 || ntohl(a.s_addr) >> 24 != IN_LOOPBACKNET)
		errx(2, "--source=%s: an address 127.x.y.z", text);
	return ntohl(a.s_addr);
}

enum {
	OPT_SERVER = 256,
	OPT_RAW,
	OPT_PROTOCOL,
	OPT_FORMAT,
	OPT_CLIENTS,
	OPT_CPUS,
	OPT_BYTES,
	OPT_PAGE_SIZE,
	OPT_SOURCE,
	OPT_NODE,
	OPT_PADDING,
	OPT_IN_FLIGHT,
	OPT_UDP,
	OPT_DATAGRAM,
	OPT_RATE,
	OPT_PRIME,
	OPT_BACKLOG,
	OPT_LOSSY,
	OPT_SEED,
	OPT_CLOSE_AFTER,
	OPT_SERVER_CPU,
	OPT_ARRIVE,
	OPT_TIMEOUT,
	OPT_JSON,
	OPT_HELP
};

static const struct option long_options[] = {
	{"server", required_argument, NULL, OPT_SERVER},
	{"raw", no_argument, NULL, OPT_RAW},
	{"protocol", required_argument, NULL, OPT_PROTOCOL},
	{"format", required_argument, NULL, OPT_FORMAT},
	{"clients", required_argument, NULL, OPT_CLIENTS},
	{"cpus", required_argument, NULL, OPT_CPUS},
	{"bytes", required_argument, NULL, OPT_BYTES},
	{"page-size", required_argument, NULL, OPT_PAGE_SIZE},
	{"source", required_argument, NULL, OPT_SOURCE},
	{"node", required_argument, NULL, OPT_NODE},
	{"padding", required_argument, NULL, OPT_PADDING},
	{"in-flight", required_argument, NULL, OPT_IN_FLIGHT},
	{"udp", no_argument, NULL, OPT_UDP},
	{"datagram", required_argument, NULL, OPT_DATAGRAM},
	{"rate", required_argument, NULL, OPT_RATE},
	{"prime", required_argument, NULL, OPT_PRIME},
	{"backlog", required_argument, NULL, OPT_BACKLOG},
	{"lossy", no_argument, NULL, OPT_LOSSY},
	{"seed", required_argument, NULL, OPT_SEED},
	{"close-after", required_argument, NULL, OPT_CLOSE_AFTER},
	{"server-cpu", required_argument, NULL, OPT_SERVER_CPU},
	{"arrive", required_argument, NULL, OPT_ARRIVE},
	{"timeout", required_argument, NULL, OPT_TIMEOUT},
	{"json", no_argument, NULL, OPT_JSON},
	{"help", no_argument, NULL, OPT_HELP},
	{0},
};

static void set_option(struct options *o, int id, const char *arg)
{
	switch (id) {
	case OPT_SERVER:
		parse_server(arg, &o->client);
		break;
	case OPT_RAW:
		o->client.raw = true;
		break;
	case OPT_PROTOCOL:
		if (strcmp(arg, "v1") != 0 && strcmp(arg, "v3") != 0)
			errx(2, "--protocol=%s: v1 or v3", arg);
		o->client.protocol = arg[1] - '0';
		break;
	case OPT_FORMAT:
		o->client.format = (int)parse_size("format", arg, 6, 7);
		break;
	case OPT_CLIENTS:
		o->clients = (uint32_t)parse_size("clients", arg, 1, 100000);
		break;
	case OPT_CPUS:
		o->client.cpus = (uint32_t)parse_size("cpus", arg, 1, 4096);
		break;
	case OPT_BYTES:
		o->bytes = parse_size("bytes", arg, 0, (uint64_t)1 << 42);
		o->bytes_given = true;
		break;
	case OPT_PAGE_SIZE:
		o->client.page_size =
			(uint32_t)parse_size("page-size", arg, PAGES_SIZE_MIN, PAGES_SIZE_MAX);
		break;
	case OPT_SOURCE:
		o->client.source = parse_source(arg);
		break;
	case OPT_NODE:
		o->client.node = arg;
		break;
	case OPT_PADDING:
		o->client.padding = parse_size("padding", arg, 0, 64 << 20);
		break;
	case OPT_IN_FLIGHT:
		o->in_flight = (uint32_t)parse_size("in-flight", arg, 1, 100000);
		break;
	case OPT_UDP:
		o->client.udp = true;
		break;
	case OPT_DATAGRAM:
		o->datagram = (uint32_t)parse_size("datagram", arg, PAGES_SIZE_MIN, 65507);
		break;
	case OPT_RATE:
		o->rate = parse_size("rate", arg, 1, (uint64_t)1 << 40);
		break;
	case OPT_PRIME:
		o->prime_ms = (uint32_t)parse_size("prime", arg, 0, 60000);
		o->prime = true;
		break;
	case OPT_BACKLOG:
		o->backlog = parse_size("backlog", arg, 1 << 20, (uint64_t)1 << 40);
		break;
	case OPT_LOSSY:
		o->lossy = true;
		break;
	case OPT_SEED:
		o->client.seed = parse_size("seed", arg, 0, UINT64_MAX);
		break;
	case OPT_CLOSE_AFTER:
		o->close_after_ms = (uint32_t)parse_size("close-after", arg, 0, 60000);
		break;
	case OPT_SERVER_CPU:
		if (server_cpu_parse(arg, &o->server_cpu) < 0)
			errx(2, "--server-cpu=%s: process ids with commas between", arg);
		break;
	case OPT_ARRIVE:
		o->arrive = arg;
		break;
	case OPT_TIMEOUT:
		o->timeout_s = (uint32_t)parse_size("timeout", arg, 1, 86400);
		break;
	case OPT_JSON:
		o->json = true;
		break;
	case OPT_HELP:
		fputs(usage, stdout);
		exit(0);
	default:
		errx(2, "load --help lists the options");
	}
}

/* What depends on more than one option. */
static void complete_options(struct options *o)
{
	struct client_setup *c = &o->client;

	if (c->page_size & (c->page_size - 1))
		errx(2, "--page-size: a power of two");
	if (!c->format)
		c->format = c->protocol == 1 ? 6 : 7;
	if (c->protocol == 1 && c->format != 6)
		errx(2, "--format: clients of V1 send format 6");
	if (!o->bytes_given)
		o->bytes = o->mode == ACCEPT ? 0 : o->mode == IDLE ? c->page_size : 64 << 20;
	if (o->bytes % c->page_size)
		errx(2, "--bytes: whole pages");
	if (c->source && c->server.ss_family != AF_INET)
		errx(2, "--source: only with an IPv4 server");
	if (c->source && (c->source + o->clients) >> 24 != IN_LOOPBACKNET)
		errx(2, "--source: the last client's would be outside of 127.0.0.0/8");
	if (c->udp && !o->datagram)
		o->datagram = c->page_size;
	if (c->udp && (c->raw || o->datagram % c->page_size))
		errx(2, "--udp: with a conversation, and datagrams of whole pages");
	if (!c->udp && (o->datagram || o->rate))
		errx(2, "--datagram, --rate: only with --udp");
	if (c->udp && !o->rate)
		o->rate = 64 << 20;
	if (o->arrive && (c->raw || c->udp))
		errx(2, "--arrive: only for clients with a conversation and TCP");
	if (o->mode == FINISH && !o->arrive)
		errx(2, "finish: say with --arrive where the files appear");
}

static struct options parse_options(int argc, char **argv)
{
	struct options o = {
		.client = {.protocol = 3, .cpus = 2, .page_size = 4096, .seed = 1, .node = "bench"},
		.clients = 1,
		.in_flight = 64,
		.timeout_s = 120,
	};
	size_t mode = 0;
	int id;

	parse_server("127.0.0.1:12345", &o.client);
	while ((id = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		set_option(&o, id, optarg);
	while (mode < MODES && (optind == argc || strcmp(argv[optind], mode_names[mode]) != 0))
		mode++;
	if (mode == MODES || (mode >= VERIFY) != (optind + 1 < argc))
		errx(2, "one of throughput, accept, idle, finish, verify, table; load --help says "
			"more");
	o.mode = (enum mode)mode;
	optind++;
	complete_options(&o);
	return o;
}

static int run_verify(const struct options *o, char *const *paths, int count)
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
	int r = verify_paths(paths, count, &want, &result);

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

static int run_table(struct options *o, char *const *paths, int count)
{
	int r = 0;

	for (int i = 0; r == 0 && i < count; i++)
		r = outputs_walk(paths[i], o->client.raw ? ".raw" : ".dat", print_table, o);
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
		.close_streams = o->mode == THROUGHPUT || o->mode == FINISH,
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
	if (r == 0 && o->mode == IDLE) {
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
		       mode_names[o->mode], o->clients, o->client.cpus, seconds(m->begun, m->open),
		       accepted, bytes >> 20, seconds(m->sending, end), rate);
		if (m->arrived)
			printf(", whole %.1f ms after the stop", stop_ms);
		putchar('\n');
		return;
	}
	printf("{\"mode\":\"%s\",\"protocol\":\"%s\",\"format\":%d,\"clients\":%u,\"cpus\":%u"
	       ",\"bytes\":%" PRIu64 ",\"open_s\":%.6f,\"clients_per_s\":%.2f,\"send_s\":%.6f"
	       ",\"total_s\":%.6f,\"mib_per_s\":%.2f,\"load_cpu_s\":%.6f"
	       ",\"sending_at\":%.6f",
	       mode_names[o->mode],
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
	struct options o = parse_options(argc, argv);
	struct moments m = {0};
	struct rlimit files;
	int r;

	pages_init();
	if (o.mode == VERIFY)
		return run_verify(&o, argv + optind, argc - optind);
	if (o.mode == TABLE)
		return run_table(&o, argv + optind, argc - optind);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	r = run_load(&o, &m);
	if (r < 0)
		errx(1, "%s: %s", mode_names[o.mode], strerror(-r));
	report(&o, &m);
	return 0;
}
