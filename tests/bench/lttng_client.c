/* SPDX-License-Identifier: MIT */
/* lttng_client.c - messages of the LTTng relay protocol, built and sent one at a time. */
#include "tests/bench/lttng_client.h"

#include <arpa/inet.h>
#include <endian.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

void put(struct out *o, const void *from, size_t n)
{
	if (n > sizeof(o->bytes) - o->size)
		errx(1, "a message is too long");
	memcpy(o->bytes + o->size, from, n);
	o->size += n;
}

void put_u8(struct out *o, uint8_t v)
{
	put(o, &v, 1);
}

void put_u32(struct out *o, uint32_t v)
{
	v = htobe32(v);
	put(o, &v, 4);
}

void put_u64(struct out *o, uint64_t v)
{
	v = htobe64(v);
	put(o, &v, 8);
}

uint32_t u32_at(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return be32toh(v);
}

uint64_t u64_at(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return be64toh(v);
}

int connect_from(uint32_t address, uint16_t port)
{
	struct sockaddr_in from = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(address),
	};
	struct sockaddr_in at = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct timeval limit = {.tv_sec = TIMEOUT_S};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0)
		err(1, "socket");
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0 ||
	    connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		err(1, "port %u", port);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return fd;
}

void send_command(int fd, uint32_t command, const struct out *body)
{
	struct out head = {.size = 0};

	put_u64(&head, 0);
	put_u64(&head, body->size);
	put_u32(&head, command);
	put_u32(&head, 0);
	put(&head, body->bytes, body->size);
	if (send(fd, head.bytes, head.size, MSG_NOSIGNAL) != (ssize_t)head.size)
		err(1, "command %u", command);
}

void receive(int fd, void *to, size_t n, uint32_t command)
{
	ssize_t r = recv(fd, to, n, MSG_WAITALL);

	if (r != (ssize_t)n)
		errx(1, "command %u: %s", command, r < 0 ? strerror(errno) : "the relay hangs up");
}

void ask(int fd, uint32_t command, const struct out *body, uint8_t *reply, size_t n, int code_at)
{
	send_command(fd, command, body);
	receive(fd, reply, n, command);
	if (code_at >= 0 && u32_at(reply + code_at) != REPLY_OK)
		errx(1, "command %u: code %u", command, u32_at(reply + code_at));
}

uint64_t add_stream(int fd, const char *name)
{
	static const char path[] = "ust/uid/0/64-bit";
	struct out o = {.size = 0};
	uint8_t reply[12];

	put_u32(&o, (uint32_t)strlen(name) + 1);
	put_u32(&o, sizeof(path));
	put_u64(&o, 0);
	put_u64(&o, 0);
	put_u64(&o, 0);
	put(&o, name, strlen(name) + 1);
	put(&o, path, sizeof(path));
	ask(fd, CMD_ADD_STREAM, &o, reply, sizeof(reply), 8);
	return u64_at(reply);
}

static void create_session(int fd, unsigned number)
{
	static const char host[] = "load", base[] = "";
	struct out o = {.size = 0};
	uint8_t reply[16], path[4096];
	char name[32];

	snprintf(name, sizeof(name), "s%u", number);
	put_u32(&o, (uint32_t)strlen(name) + 1);
	put_u32(&o, sizeof(host));
	put_u32(&o, sizeof(base));
	put_u32(&o, 0); /* not live */
	put_u8(&o, 0);  /* no snapshot */
	put_u8(&o, 0);
	put_u64(&o, UINT64_C(0x10ad10ad10ad10ad)); /* UUID */
	put_u64(&o, (uint64_t)getpid());
	put_u64(&o, number);
	put_u64(&o, (uint64_t)time(NULL));
	put_u8(&o, 0); /* no chunk yet */
	put_u64(&o, 0);
	put(&o, name, strlen(name) + 1);
	put(&o, host, sizeof(host));
	put(&o, base, sizeof(base));
	ask(fd, CMD_CREATE_SESSION, &o, reply, sizeof(reply), 8);
	if (u32_at(reply + 12) > sizeof(path))
		errx(1, "a path of %u bytes", u32_at(reply + 12));
	receive(fd, path, u32_at(reply + 12), CMD_CREATE_SESSION);
}

int open_control(uint32_t address, uint16_t port, unsigned number)
{
	int fd = connect_from(address, port);
	struct out o = {.size = 0};
	uint8_t reply[16];

	put_u32(&o, 2);
	put_u32(&o, 13);
	ask(fd, CMD_VERSION, &o, reply, 8, -1);
	o.size = 0;
	put_u64(&o, 0);
	ask(fd, CMD_CONFIGURATION, &o, reply, 12, 0);
	create_session(fd, number);
	o.size = 0;
	put_u64(&o, 0);
	put_u64(&o, (uint64_t)time(NULL));
	put_u32(&o, 0);
	ask(fd, CMD_CREATE_CHUNK, &o, reply, 4, 0);
	return fd;
}

double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

uint64_t parse_number(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 10);

	switch (*end) {
	case 'G':
		n <<= 10; /* fall through */
	case 'M':
		n <<= 10; /* fall through */
	case 'K':
		n <<= 10;
		end++;
	}
	if (end == text || *end)
		errx(2, "no number: %s", text);
	return n;
}

void raise_descriptors(void)
{
	struct rlimit files;

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
}
