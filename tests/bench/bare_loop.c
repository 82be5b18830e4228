/* SPDX-License-Identifier: MIT */
/*
 * bare_loop.c - the least that storing streams can cost: the measure for relayd's data path.
 *
 * One thread, epoll, one pipe of 1 MiB, splices of 1 MiB at most, one file a stream. No protocol,
 * no recovery, no ledger. With --headers=on the 16 bytes at the head of each sub-buffer are read as
 * relayd reads them: after the move, from a mapping of what was stored, in windows of 2 MiB.
 *
 *	bare_loop --dir=DIR --streams=N [--port=P] [--headers=on|off] [--page-size=BYTES]
 *
 * Prints "ready PORT" when it listens (on 127.0.0.1), takes N connections, stores the I-th in
 * DIR/stream-I.raw until its end, and prints a line of JSON with what it used. Ends by itself after
 * --timeout seconds (120).
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MOVE       (1024 * 1024)     /* bytes: the pipe, and one splice */
#define WINDOW     (2 * 1024 * 1024) /* bytes of a file mapped to read headers */
#define EVENTS_MAX 512

struct stream {
	int socket;
	int file;
	uint64_t stored;     /* bytes */
	uint64_t headers_at; /* bytes: headers before this one were read */
};

struct loop {
	const char *dir;
	unsigned streams_max, accepted, ended;
	bool headers;
	uint32_t page_size;
	int listener, epoll, pipe[2];
	struct stream *streams;
	/* What was seen. */
	uint64_t bytes, moves, pages, pages_lost, last_time;
};

static double seconds_of(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Read the headers of what was stored, a window at a time; at the end of a stream, all of it. */
static void read_headers(struct loop *l, struct stream *s, bool at_end)
{
	while (s->stored - s->headers_at >= (at_end ? l->page_size : WINDOW)) {
		/* All but the last window begin on a multiple of their size. */
		uint64_t n =
			s->stored - s->headers_at < WINDOW ? s->stored - s->headers_at : WINDOW;
		const uint8_t *map =
			mmap(NULL, n, PROT_READ, MAP_SHARED, s->file, (off_t)s->headers_at);

		if (map == MAP_FAILED)
			err(1, "mmap");
		n -= n % l->page_size;
		for (uint64_t at = 0; at < n; at += l->page_size) {
			uint64_t head[2]; /* time stamp, commit */

			memcpy(head, map + at, sizeof(head));
			l->pages++;
			l->pages_lost += head[1] >> 31 & 1;
			l->last_time = head[0];
		}
		munmap((void *)map, n);
		s->headers_at += n;
	}
}

static void add(struct loop *l, int fd, void *data)
{
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = data};

	if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &e) < 0)
		err(1, "epoll_ctl");
}

static void accept_stream(struct loop *l)
{
	struct stream *s = &l->streams[l->accepted];
	char name[4096];

	s->socket = accept4(l->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (s->socket < 0)
		err(1, "accept");
	snprintf(name, sizeof(name), "%s/stream-%u.raw", l->dir, l->accepted);
	s->file = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
	if (s->file < 0)
		err(1, "%s", name);
	add(l, s->socket, s);
	if (++l->accepted == l->streams_max) {
		close(l->listener);
		l->listener = -1;
	}
}

static void end_stream(struct loop *l, struct stream *s)
{
	if (l->headers)
		read_headers(l, s, true);
	close(s->socket);
	close(s->file);
	l->ended++;
}

static void move(struct loop *l, struct stream *s)
{
	ssize_t n =
		splice(s->socket, NULL, l->pipe[1], NULL, MOVE, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n < 0)
		err(1, "splice from a socket");
	if (n == 0) {
		end_stream(l, s);
		return;
	}
	l->moves++;
	while (n > 0) {
		off_t at = (off_t)s->stored;
		ssize_t r = splice(l->pipe[0], NULL, s->file, &at, (size_t)n, SPLICE_F_MOVE);

		if (r <= 0)
			err(1, "splice into a file");
		s->stored += (uint64_t)r;
		l->bytes += (uint64_t)r;
		n -= r;
	}
	if (l->headers)
		read_headers(l, s, false);
}

static void listen_on(struct loop *l, uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	socklen_t len = sizeof(a);
	const int on = 1;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	l->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (l->listener < 0 ||
	    setsockopt(l->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(l->listener, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    listen(l->listener, 4096) < 0 ||
	    getsockname(l->listener, (struct sockaddr *)&a, &len) < 0)
		err(1, "port %u", port);
	printf("ready %u\n", ntohs(a.sin_port));
	fflush(stdout);
}

static void run(struct loop *l)
{
	struct epoll_event events[EVENTS_MAX];

	while (l->ended < l->streams_max) {
		int n = epoll_wait(l->epoll, events, EVENTS_MAX, -1);

		if (n < 0 && errno != EINTR)
			err(1, "epoll_wait");
		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr)
				move(l, events[i].data.ptr);
			else
				accept_stream(l);
		}
	}
}

static unsigned long parse_number(const char *text, unsigned long min, unsigned long max)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || v < min || v > max)
		errx(2, "%s: a number from %lu to %lu", text, min, max);
	return v;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"dir", required_argument, NULL, 'd'},
		{"streams", required_argument, NULL, 's'},
		{"port", required_argument, NULL, 'p'},
		{"headers", required_argument, NULL, 'h'},
		{"page-size", required_argument, NULL, 'z'},
		{"timeout", required_argument, NULL, 't'},
		{0},
	};
	struct loop l = {.headers = true, .page_size = 4096};
	unsigned long port = 0, timeout_s = 120;
	struct rlimit files;
	double used;
	int id;

	while ((id = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (id == 'd')
			l.dir = optarg;
		else if (id == 's')
			l.streams_max = (unsigned)parse_number(optarg, 1, 100000);
		else if (id == 'p')
			port = parse_number(optarg, 0, 65535);
		else if (id == 'h')
			l.headers = strcmp(optarg, "off") != 0;
		else if (id == 'z')
			l.page_size = (uint32_t)parse_number(optarg, 4096, 65536);
		else if (id == 't')
			timeout_s = parse_number(optarg, 1, 86400);
		else
			return 2;
	}
	if (!l.dir || !l.streams_max)
		errx(2, "--dir=DIR and --streams=N are needed");
	alarm((unsigned)timeout_s);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	l.streams = calloc(l.streams_max, sizeof(*l.streams));
	l.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!l.streams || l.epoll < 0 || pipe2(l.pipe, O_CLOEXEC) < 0 ||
	    fcntl(l.pipe[1], F_SETPIPE_SZ, MOVE) < 0)
		err(1, "cannot begin");
	listen_on(&l, (uint16_t)port);
	add(&l, l.listener, NULL);
	used = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
	run(&l);
	used = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - used;
	printf("{\"cpu_s\":%.6f,\"ended_at\":%.6f,\"bytes\":%" PRIu64 ",\"moves\":%" PRIu64
	       ",\"pages\":%" PRIu64 ",\"pages_lost\":%" PRIu64 ",\"last_time\":%" PRIu64 "}\n",
	       used, seconds_of(CLOCK_MONOTONIC), l.bytes, l.moves, l.pages, l.pages_lost,
	       l.last_time);
	free(l.streams);
	return 0;
}
