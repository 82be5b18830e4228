/* SPDX-License-Identifier: MIT */
/* options.c - the load generator's command line; see options.h. */
#include "tests/bench/options.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNSET UINT64_MAX /* of bytes: the mode decides */

static const struct {
	const char *name, *help;
} modes[] = {
	[MODE_THROUGHPUT] = {"throughput",
			     "send on all streams at once, close each when it has sent"},
	[MODE_ACCEPT] = {"accept", "open all streams, say how fast that went, close"},
	[MODE_IDLE] = {"idle",
		       "open all streams, send a page each, hold until a line or end of stdin"},
	[MODE_FINISH] = {"finish", "as throughput; needs --arrive"},
	[MODE_VERIFY] = {"verify", "compare every byte below PATH... with what these options sent"},
	[MODE_TABLE] = {"table", "where the pages are: PATH, CPU, offset and size a line"},
};
#define MODES (sizeof(modes) / sizeof(modes[0]))

/* Bytes or a count: digits, then K, M, G or nothing. */
static uint64_t parse_number(const char *name, const char *text, uint64_t min, uint64_t max)
{
	static const char units[] = "KMG";
	char *end;
	const char *unit;
	int shift;
	uint64_t v;

	errno = 0;
	v = strtoull(text, &end, 10);
	unit = *end ? strchr(units, *end) : NULL;
	shift = unit ? 10 * ((int)(unit - units) + 1) : 0;
	if (*text < '0' || *text > '9' || errno || end[unit ? 1 : 0] || v > UINT64_MAX >> shift ||
	    v << shift < min || v << shift > max)
		errx(2, "--%s=%s: a number from %" PRIu64 " to %" PRIu64, name, text, min, max);
	return v << shift;
}

/* Only loopback: a load generator must not be pointed at somebody by a slip. */
static void parse_server(struct options *o, const char *text)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	const char *colon = strrchr(text, ':');
	char address[64];
	uint16_t port;

	if (!colon || colon - text >= (ptrdiff_t)sizeof(address))
		errx(2, "--server=%s: ADDR:PORT", text);
	snprintf(address, sizeof(address), "%.*s", (int)(colon - text), text);
	port = htons((uint16_t)parse_number("server", colon + 1, 1, UINT16_MAX));
	if (inet_pton(AF_INET, address, &v4.sin_addr) == 1 &&
	    ntohl(v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET) {
		v4.sin_port = port;
		memcpy(&o->client.server, &v4, sizeof(v4));
		o->client.server_len = sizeof(v4);
	} else if (strcmp(address, "[::1]") == 0) {
		v6.sin6_addr = in6addr_loopback;
		v6.sin6_port = port;
		memcpy(&o->client.server, &v6, sizeof(v6));
		o->client.server_len = sizeof(v6);
	} else {
		errx(2, "--server=%s: only 127.x.y.z and [::1]", text);
	}
}

static void parse_source(struct options *o, const char *text)
{
	struct in_addr a;

	if (inet_pton(AF_INET, text, &a) != 1 || ntohl(a.s_addr) >> 24 != IN_LOOPBACKNET)
		errx(2, "--source=%s: an address 127.x.y.z", text);
	o->client.source = ntohl(a.s_addr);
}

static void parse_protocol(struct options *o, const char *text)
{
	if (strcmp(text, "v1") != 0 && strcmp(text, "v3") != 0)
		errx(2, "--protocol=%s: v1 or v3", text);
	o->client.protocol = text[1] - '0';
}

static void parse_prime(struct options *o, const char *text)
{
	o->prime_ms = (uint32_t)parse_number("prime", text, 0, 60000);
	o->prime = true;
}

static void parse_server_cpu(struct options *o, const char *text)
{
	if (server_cpu_parse(text, &o->server_cpu) < 0)
		errx(2, "--server-cpu=%s: process ids with commas between", text);
}

enum kind { FLAG, U32, U64, TEXT, OTHER };

#define AT(field)             offsetof(struct options, field)
#define FLAG_AT(field)        FLAG, AT(field), 0, 0, NULL
#define U32_AT(field, lo, hi) U32, AT(field), lo, hi, NULL
#define U64_AT(field, lo, hi) U64, AT(field), lo, hi, NULL
#define TEXT_AT(field)        TEXT, AT(field), 0, 0, NULL
#define OTHER_BY(parse)       OTHER, 0, 0, 0, parse
#define TIB                   ((uint64_t)1 << 40)

static const struct row {
	const char *name, *value;
	enum kind kind;
	size_t at;
	uint64_t min, max;
	void (*parse)(struct options *o, const char *text);
	const char *help;
} rows[] = {
	{"server", "ADDR:PORT", OTHER_BY(parse_server),
	 "127.x.y.z or [::1]; default 127.0.0.1:12345"},
	{"raw", NULL, FLAG_AT(client.raw),
	 "no conversation: each stream goes to PORT; verify: *.raw"},
	{"protocol", "v1|v3", OTHER_BY(parse_protocol), "default v3"},
	{"format", "6|7", U32_AT(client.format, 6, 7), "of the metadata; default 7 (v1: 6)"},
	{"clients", "N", U32_AT(clients, 1, 100000), "default 1"},
	{"cpus", "N", U32_AT(client.cpus, 1, 4096), "streams of each client; default 2"},
	{"bytes", "SIZE", U64_AT(bytes, 0, 4 * TIB),
	 "on each stream; default 64M, accept 0, idle a page"},
	{"page-size", "SIZE", U32_AT(client.page_size, PAGES_SIZE_MIN, PAGES_SIZE_MAX),
	 "of a sub-buffer; default 4K"},
	{"source", "127.x.y.z", OTHER_BY(parse_source),
	 "the first client's address; the others count on from it"},
	{"node", "NAME", TEXT_AT(client.node), "host names are NAME-0, NAME-1 ...; default bench"},
	{"padding", "SIZE", U64_AT(client.padding, 0, 64 << 20), "makes the metadata larger"},
	{"in-flight", "N", U32_AT(in_flight, 1, 100000), "connect at the same time; default 64"},
	{"redial", NULL, FLAG_AT(client.redial),
	 "try a refused stream again: trace-cmd listen names ports that do not listen yet"},
	{"udp", NULL, FLAG_AT(client.udp), "streams as datagrams"},
	{"datagram", "SIZE", U32_AT(datagram, PAGES_SIZE_MIN, 65507), "with --udp; default a page"},
	{"rate", "SIZE", U64_AT(rate, 1, TIB), "with --udp: bytes a second in all; default 64M"},
	{"prime", "MS", OTHER_BY(parse_prime),
	 "first send a page on each stream, and rest; not measured"},
	{"backlog", "SIZE", U64_AT(backlog, 1 << 20, TIB),
	 "rest while the kernel's TCP buffers hold more"},
	{"close-after", "MS", U32_AT(close_after_ms, 0, 60000),
	 "between the last stream's end and CLOSE (real clients: 1 to 50)"},
	{"arrive", "DIR", TEXT_AT(arrive), "wait until every trace.dat below DIR is whole"},
	{"server-cpu", "PID,...", OTHER_BY(parse_server_cpu), "say how much CPU time these used"},
	{"lossy", NULL, FLAG_AT(lossy), "verify: pages may be missing"},
	{"seed", "N", U64_AT(client.seed, 0, UINT64_MAX), "of the content; default 1"},
	{"timeout", "SECONDS", U32_AT(timeout_s, 1, 86400), "for all of it; default 120"},
	{"json", NULL, FLAG_AT(json), "a line of JSON instead of a sentence"},
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static void print_help(void)
{
	puts("usage: load MODE [OPTION]... [PATH...]\n");
	for (size_t i = 0; i < MODES; i++)
		printf("  %-24s %s\n", modes[i].name, modes[i].help);
	puts("");
	for (size_t i = 0; i < ROWS; i++) {
		char text[64];

		snprintf(text, sizeof(text), "--%s%s%s", rows[i].name, rows[i].value ? "=" : "",
			 rows[i].value ? rows[i].value : "");
		printf("  %-24s %s\n", text, rows[i].help);
	}
}

/* One argument that begins with "--". */
static void set_option(struct options *o, const char *argument)
{
	const char *name = argument + 2, *equals = strchr(name, '=');
	size_t length = equals ? (size_t)(equals - name) : strlen(name);
	const struct row *row = NULL;
	void *field;

	for (size_t i = 0; i < ROWS; i++)
		if (strlen(rows[i].name) == length && strncmp(rows[i].name, name, length) == 0)
			row = &rows[i];
	if (!row)
		errx(2, "%s: no such option; load --help lists them", argument);
	if (!row->value != !equals)
		errx(2, "--%s%s%s", row->name, row->value ? " needs =" : ": takes no value",
		     row->value ? row->value : "");
	field = (char *)o + row->at;
	switch (row->kind) {
	case FLAG:
		*(bool *)field = true;
		break;
	case U32:
		*(uint32_t *)field =
			(uint32_t)parse_number(row->name, equals + 1, row->min, row->max);
		break;
	case U64:
		*(uint64_t *)field = parse_number(row->name, equals + 1, row->min, row->max);
		break;
	case TEXT:
		*(const char **)field = equals + 1;
		break;
	case OTHER:
		row->parse(o, equals + 1);
		break;
	}
}

/* What depends on more than one option. */
static void complete(struct options *o)
{
	struct client_setup *c = &o->client;

	if (c->page_size & (c->page_size - 1))
		errx(2, "--page-size: a power of two");
	if (!c->format)
		c->format = c->protocol == 1 ? 6 : 7;
	if (c->protocol == 1 && c->format != 6)
		errx(2, "--format: clients of V1 send format 6");
	if (o->bytes == UNSET)
		o->bytes = o->mode == MODE_ACCEPT ? 0
			   : o->mode == MODE_IDLE ? c->page_size
						  : 64 << 20;
	if (o->bytes % c->page_size)
		errx(2, "--bytes: whole pages");
	if (c->source && c->server.ss_family != AF_INET)
		errx(2, "--source: only with an IPv4 server");
	if (c->source && (c->source + o->clients) >> 24 != IN_LOOPBACKNET)
		errx(2, "--source: the last client's would be outside of 127.0.0.0/8");
	if (!c->udp && (o->datagram || o->rate))
		errx(2, "--datagram, --rate: only with --udp");
	if (c->udp && !o->datagram)
		o->datagram = c->page_size;
	if (c->udp && !o->rate)
		o->rate = 64 << 20;
	if (c->udp && (c->raw || o->datagram % c->page_size))
		errx(2, "--udp: with a conversation, and datagrams of whole pages");
	if (o->arrive && (c->raw || c->udp))
		errx(2, "--arrive: only for clients with a conversation and TCP");
	if (o->mode == MODE_FINISH && !o->arrive)
		errx(2, "finish: say with --arrive where the files appear");
	if ((o->mode == MODE_VERIFY || o->mode == MODE_TABLE) != (o->path_count > 0))
		errx(2, "%s: %s", o->mode_name, o->path_count ? "takes no path" : "which files?");
}

struct options options_parse(int argc, char **argv)
{
	struct options o = {
		.client = {.protocol = 3, .cpus = 2, .page_size = 4096, .seed = 1, .node = "bench"},
		.clients = 1,
		.bytes = UNSET,
		.in_flight = 64,
		.timeout_s = 120,
		.paths = argv,
	};

	parse_server(&o, "127.0.0.1:12345");
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			print_help();
			exit(0);
		}
		if (strncmp(argv[i], "--", 2) == 0) {
			set_option(&o, argv[i]);
			continue;
		}
		if (o.mode_name) {
			argv[o.path_count++] = argv[i];
			continue;
		}
		for (size_t m = 0; m < MODES; m++)
			if (strcmp(argv[i], modes[m].name) == 0) {
				o.mode = (enum mode)m;
				o.mode_name = modes[m].name;
			}
		if (!o.mode_name)
			errx(2, "%s: no such mode; load --help lists them", argv[i]);
	}
	if (!o.mode_name)
		errx(2, "what to do? load --help says more");
	complete(&o);
	return o;
}
