/* SPDX-License-Identifier: MIT */
/* conversation.c - the client's half of V1 and V3; see conversation.h. */
#include "tests/bench/conversation.h"

#include <assert.h>
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAYLOAD_MAX   8180  /* of one SEND_DATA */
#define PORT_LIST_MAX 65536 /* bytes; far above 1024 ports in text */

enum state { GREETING, DIALECT, MAGIC, PORTS, OPEN };
enum message { CLOSE = 0, TINIT = 1, RINIT = 2, SEND_DATA = 3, FIN_DATA = 4 };

struct conversation {
	struct conversation_setup setup;
	enum state state;
	struct bytes in; /* of the answer that is expected now */
	struct bytes out;
	size_t out_sent;
	uint16_t *ports; /* setup.cpus of them, once state is OPEN */
};

struct conversation *conversation_new(const struct conversation_setup *setup)
{
	struct conversation *c = calloc(1, sizeof(*c));

	if (!c)
		err(1, "out of memory");
	c->setup = *setup;
	c->ports = calloc(setup->cpus, sizeof(*c->ports));
	if (!c->ports)
		err(1, "out of memory");
	return c;
}

void conversation_free(struct conversation *c)
{
	if (!c)
		return;
	bytes_free(&c->in);
	bytes_free(&c->out);
	free(c->ports);
	free(c);
}

static uint32_t u32be(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put_header(struct conversation *c, enum message cmd, uint32_t fixed, uint32_t rest)
{
	bytes_u32be(&c->out, 12 + fixed + rest);
	bytes_u32be(&c->out, cmd);
	bytes_u32be(&c->out, fixed);
}

static void put_v1_request(struct conversation *c)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "%u", c->setup.cpus) + 1;

	n += snprintf(text + n, sizeof(text) - n, "%u", c->setup.page_size) + 1;
	n += snprintf(text + n, sizeof(text) - n, "%d", !c->setup.udp) + 1;
	if (!c->setup.udp)
		n += snprintf(text + n, sizeof(text) - n, "4%cTCP", 0) + 1;
	bytes_put(&c->out, text, (size_t)n);
}

static void put_tinit(struct conversation *c)
{
	put_header(c, TINIT, 12, c->setup.udp ? 0 : 4);
	bytes_u32be(&c->out, c->setup.cpus);
	bytes_u32be(&c->out, c->setup.page_size);
	bytes_u32be(&c->out, !c->setup.udp);
	if (!c->setup.udp)
		bytes_string(&c->out, "tcp");
}

/* One decimal port that ends at `end`. Return the place behind it, NULL if there is none. */
static const char *read_port(const char *at, char end, uint16_t *ret)
{
	char *after;
	unsigned long port;

	if (*at < '0' || *at > '9')
		return NULL;
	port = strtoul(at, &after, 10);
	if (port == 0 || port > UINT16_MAX || *after != end)
		return NULL;
	*ret = (uint16_t)port;
	return after + 1;
}

/* `separator` stands between the ports, NUL behind the last; the text is known to end in NUL. */
static int read_ports(struct conversation *c, const char *text, size_t n, char separator)
{
	const char *end = text + n;

	for (uint32_t cpu = 0; cpu < c->setup.cpus; cpu++) {
		char after = cpu + 1 < c->setup.cpus ? separator : '\0';

		if (text >= end)
			return -EPROTO;
		text = read_port(text, after, &c->ports[cpu]);
		if (!text)
			return -EPROTO;
	}
	c->state = OPEN;
	return text == end ? 0 : -EPROTO;
}

static int on_rinit(struct conversation *c, size_t *ret_used)
{
	uint32_t size;

	*ret_used = 0;
	if (c->in.len < 4)
		return 0;
	size = u32be(c->in.p);
	if (size < 16 || size > 8192)
		return -EPROTO;
	if (c->in.len < size)
		return 0;
	if (u32be(c->in.p + 4) != RINIT || u32be(c->in.p + 8) != 4 ||
	    u32be(c->in.p + 12) != c->setup.cpus || size == 16 || c->in.p[size - 1])
		return -EPROTO;
	*ret_used = size;
	return read_ports(c, (const char *)c->in.p + 16, size - 16, '\0');
}

static int on_port_list(struct conversation *c, size_t *ret_used)
{
	const uint8_t *end = memchr(c->in.p, 0, c->in.len);

	*ret_used = 0;
	if (!end)
		return c->in.len > PORT_LIST_MAX ? -EPROTO : 0;
	*ret_used = (size_t)(end - c->in.p) + 1;
	return read_ports(c, (const char *)c->in.p, *ret_used, ',');
}

/* A fixed text is expected: all of it used, or none of it yet. */
static int on_text(struct conversation *c, const char *text, size_t n, size_t *ret_used)
{
	*ret_used = 0;
	if (memcmp(c->in.p, text, c->in.len < n ? c->in.len : n) != 0)
		return -EPROTO;
	if (c->in.len >= n)
		*ret_used = n;
	return 0;
}

static int on_answer(struct conversation *c, size_t *ret_used)
{
	int r;

	switch (c->state) {
	case GREETING:
		r = on_text(c, "tracecmd", 8, ret_used);
		if (*ret_used && c->setup.protocol == 1) {
			put_v1_request(c);
			c->state = PORTS;
		} else if (*ret_used) {
			bytes_string(&c->out, "-1V3");
			c->state = DIALECT;
		}
		return r;
	case DIALECT:
		r = on_text(c, "V3", 3, ret_used);
		if (*ret_used) {
			bytes_put(&c->out, "766679\0", 8);
			c->state = MAGIC;
		}
		return r;
	case MAGIC:
		r = on_text(c, "OK", 2, ret_used);
		if (*ret_used) {
			put_tinit(c);
			c->state = PORTS;
		}
		return r;
	case PORTS:
		return c->setup.protocol == 1 ? on_port_list(c, ret_used) : on_rinit(c, ret_used);
	case OPEN:
		break;
	}
	return -EPROTO; /* nothing may follow the ports */
}

int conversation_feed(struct conversation *c, const uint8_t *data, size_t n)
{
	bytes_put(&c->in, data, n);
	while (c->in.len > 0) {
		size_t used;
		int r = on_answer(c, &used);

		if (r < 0)
			return r;
		if (!used)
			return 0;
		memmove(c->in.p, c->in.p + used, c->in.len - used);
		c->in.len -= used;
	}
	return 0;
}

const uint16_t *conversation_ports(const struct conversation *c)
{
	return c->state == OPEN ? c->ports : NULL;
}

void conversation_put_metadata(struct conversation *c, const struct bytes *metadata)
{
	assert(c->state == OPEN);
	if (c->setup.protocol == 1) {
		bytes_put(&c->out, metadata->p, metadata->len);
		return;
	}
	for (size_t at = 0; at < metadata->len; at += PAYLOAD_MAX) {
		size_t n = metadata->len - at;

		if (n > PAYLOAD_MAX)
			n = PAYLOAD_MAX;
		put_header(c, SEND_DATA, 0, (uint32_t)n);
		bytes_put(&c->out, metadata->p + at, n);
	}
	put_header(c, FIN_DATA, 0, 0);
}

void conversation_put_close(struct conversation *c)
{
	assert(c->state == OPEN);
	if (c->setup.protocol != 1)
		put_header(c, CLOSE, 0, 0);
}

const uint8_t *conversation_output(const struct conversation *c, size_t *ret_n)
{
	*ret_n = c->out.len - c->out_sent;
	return c->out.p + c->out_sent;
}

void conversation_sent(struct conversation *c, size_t n)
{
	assert(n <= c->out.len - c->out_sent);
	c->out_sent += n;
	if (c->out_sent == c->out.len) {
		/* Idle clients ought to cost little here: give the metadata's memory back. */
		bytes_free(&c->out);
		c->out_sent = 0;
	}
}
