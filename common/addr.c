/* SPDX-License-Identifier: MIT */
/*
 * addr.c - addresses in one form, and as text. Contract: addr.h.
 */
#include "common/addr.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static const uint8_t v4_prefix[12] = {[10] = 0xff, [11] = 0xff};

static bool is_v4(const uint8_t ip[16])
{
	return memcmp(ip, v4_prefix, sizeof(v4_prefix)) == 0;
}

/* fe80::/10: the only addresses that mean nothing without their interface. */
static bool is_link_local(const uint8_t ip[16])
{
	return ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80;
}

int addr_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct addr *ret)
{
	struct addr a = {0};

	if (len < (socklen_t)sizeof(sa->sa_family))
		return -EINVAL;
	if (sa->sa_family == AF_INET) {
		struct sockaddr_in in;

		if (len < (socklen_t)sizeof(in))
			return -EINVAL;
		memcpy(&in, sa, sizeof(in));
		memcpy(a.ip, v4_prefix, sizeof(v4_prefix));
		memcpy(a.ip + 12, &in.sin_addr, 4);
		a.port = ntohs(in.sin_port);
	} else if (sa->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;

		if (len < (socklen_t)sizeof(in6))
			return -EINVAL;
		memcpy(&in6, sa, sizeof(in6));
		memcpy(a.ip, &in6.sin6_addr, 16);
		a.port = ntohs(in6.sin6_port);
		a.scope = is_link_local(a.ip) ? in6.sin6_scope_id : 0;
	} else {
		return -EAFNOSUPPORT;
	}
	*ret = a;
	return 0;
}

int addr_to_sockaddr(const struct addr *a, int family, struct sockaddr_storage *ret,
		     socklen_t *ret_len)
{
	if (family == AF_UNSPEC)
		family = addr_is_v4(a) ? AF_INET : AF_INET6;
	if (family == AF_INET && addr_is_v4(a)) {
		struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(a->port)};

		memcpy(&in.sin_addr, a->ip + 12, 4);
		memset(ret, 0, sizeof(*ret));
		memcpy(ret, &in, sizeof(in));
		*ret_len = sizeof(in);
		return 0;
	}
	if (family == AF_INET6) {
		struct sockaddr_in6 in6 = {.sin6_family = AF_INET6,
					   .sin6_port = htons(a->port),
					   .sin6_scope_id = a->scope};

		memcpy(&in6.sin6_addr, a->ip, 16);
		memset(ret, 0, sizeof(*ret));
		memcpy(ret, &in6, sizeof(in6));
		*ret_len = sizeof(in6);
		return 0;
	}
	return -EAFNOSUPPORT;
}

bool addr_is_v4(const struct addr *a)
{
	return is_v4(a->ip);
}

bool addr_is_loopback(const struct addr *a)
{
	static const uint8_t v6_loopback[16] = {[15] = 1};

	return addr_is_v4(a) ? a->ip[12] == 127 : memcmp(a->ip, v6_loopback, 16) == 0;
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
	return addr_same_host(a, b) && a->port == b->port;
}

bool addr_same_host(const struct addr *a, const struct addr *b)
{
	return memcmp(a->ip, b->ip, sizeof(a->ip)) == 0 && a->scope == b->scope;
}

/* A bijection of 64 bits in which every input bit moves every output bit (splitmix64's). */
static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static uint64_t hash(const struct addr *a, uint16_t port, uint64_t seed)
{
	uint64_t half[2];

	memcpy(half, a->ip, sizeof(half));
	/* Mixed between the parts: else two halves that differ alike would cancel out. */
	seed = mix(seed + half[0]);
	seed = mix(seed + half[1]);
	return mix(seed + ((uint64_t)a->scope << 16 | port));
}

uint64_t addr_hash(const struct addr *a, uint64_t seed)
{
	return hash(a, a->port, seed);
}

uint64_t addr_hash_host(const struct addr *a, uint64_t seed)
{
	return hash(a, 0, seed);
}

/* ---- text ---- */

char *addr_format_host(const struct addr *a, char buf[ADDR_TEXT_MAX])
{
	bool v4 = addr_is_v4(a);
	size_t len;

	(void)inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? a->ip + 12 : a->ip, buf, ADDR_TEXT_MAX);
	if (a->scope) {
		len = strlen(buf);
		(void)snprintf(buf + len, ADDR_TEXT_MAX - len, "%%%u", (unsigned)a->scope);
	}
	return buf;
}

char *addr_format(const struct addr *a, char buf[ADDR_TEXT_MAX])
{
	size_t len;

	addr_format_host(a, buf);
	if (!a->port)
		return buf;
	len = strlen(buf);
	if (!addr_is_v4(a)) {
		memmove(buf + 1, buf, len);
		buf[0] = '[';
		buf[len + 1] = ']';
		len += 2;
	}
	(void)snprintf(buf + len, ADDR_TEXT_MAX - len, ":%u", (unsigned)a->port);
	return buf;
}

char *addr_format_name(const struct addr *a, char buf[ADDR_TEXT_MAX])
{
	char host[ADDR_TEXT_MAX];
	size_t out = 0;

	addr_format_host(a, host);
	if (host[0] == ':')
		buf[out++] = '0';
	for (const char *p = host; *p; p++) {
		/* "::" before the scope or the end */
		bool open = p > host && p[-1] == ':' && *p == ':' && (p[1] == '%' || !p[1]);

		buf[out++] = *p == ':' ? '-' : *p == '%' ? 's' : *p;
		if (open)
			buf[out++] = '0';
	}
	buf[out] = '\0';
	return buf;
}

/* Decimal digits only, 0..max. */
static int parse_number(const char *text, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;

	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		v = v * 10 + (uint64_t)(*text - '0');
		if (v > max) /* checked each time: max is far from overflowing */
			return -EINVAL;
	}
	*ret = v;
	return 0;
}

static int parse_scope(const char *text, uint32_t *ret)
{
	uint64_t index;

	if (parse_number(text, UINT32_MAX, &index) < 0) {
		if (!*text || strlen(text) >= IF_NAMESIZE)
			return -EINVAL;
		index = if_nametoindex(text);
		if (!index)
			return -ENODEV;
	}
	*ret = (uint32_t)index;
	return 0;
}

/* An address without port or brackets. Modifies text. */
static int parse_host(char *text, struct addr *a)
{
	char *percent = strchr(text, '%');
	uint32_t scope = 0;
	int r;

	if (!strchr(text, ':')) {
		memcpy(a->ip, v4_prefix, sizeof(v4_prefix));
		return inet_pton(AF_INET, text, a->ip + 12) == 1 ? 0 : -EINVAL;
	}
	if (percent)
		*percent = '\0';
	if (inet_pton(AF_INET6, text, a->ip) != 1)
		return -EINVAL;
	if (percent) {
		if (!is_link_local(a->ip))
			return -EINVAL; /* an interface says nothing about a global address */
		r = parse_scope(percent + 1, &scope);
		if (r < 0)
			return r;
	}
	a->scope = scope;
	return 0;
}

int addr_parse(const char *text, struct addr *ret)
{
	char host[ADDR_TEXT_MAX], *at = host, *port = NULL, *end;
	struct addr a = {0};
	uint64_t number;
	int r;

	if (strlen(text) >= sizeof(host))
		return -EINVAL;
	strcpy(host, text);
	if (host[0] == '[') {
		at = host + 1;
		end = strchr(at, ']');
		if (!end)
			return -EINVAL;
		*end++ = '\0';
		if (*end == ':')
			port = end + 1;
		else if (*end)
			return -EINVAL;
		if (!strchr(at, ':'))
			return -EINVAL; /* brackets are for IPv6 */
	} else if (strchr(host, ':') == strrchr(host, ':')) {
		port = strchr(host, ':'); /* one colon: IPv4 and a port */
		if (port)
			*port++ = '\0';
	}
	r = parse_host(at, &a);
	if (r < 0)
		return r;
	if (port) {
		r = parse_number(port, UINT16_MAX, &number);
		if (r < 0)
			return r;
		a.port = (uint16_t)number;
	}
	*ret = a;
	return 0;
}

/* ---- ranges ---- */

/* Clear what stands behind the first `bits` bits. */
static void keep_prefix(uint8_t ip[16], unsigned bits)
{
	for (unsigned i = 0; i < 16; i++) {
		unsigned kept = bits > i * 8 ? bits - i * 8 : 0;

		if (kept < 8)
			ip[i] &= (uint8_t)(0xff00 >> kept);
	}
}

int addr_range_parse(const char *text, struct addr_range *ret)
{
	char host[ADDR_TEXT_MAX], *slash;
	struct addr_range range = {0};
	struct addr a = {0};
	uint64_t bits;
	bool v4_text;
	int r;

	if (strlen(text) >= sizeof(host))
		return -EINVAL;
	strcpy(host, text);
	slash = strchr(host, '/');
	if (slash)
		*slash++ = '\0';
	v4_text = !strchr(host, ':');
	r = parse_host(host, &a);
	if (r < 0)
		return r;
	bits = v4_text ? 32 : 128;
	if (slash) {
		r = parse_number(slash, bits, &bits);
		if (r < 0)
			return r;
	}
	if (v4_text)
		bits += 96;
	memcpy(range.ip, a.ip, 16);
	keep_prefix(range.ip, (unsigned)bits);
	range.scope = a.scope;
	range.bits = (uint8_t)bits;
	/* "::ffff:10.0.0.0/104" means IPv4 hosts as well as "10.0.0.0/8" does. */
	range.v4 = bits >= 96 && is_v4(range.ip);
	*ret = range;
	return 0;
}

bool addr_range_match(const struct addr_range *range, const struct addr *a)
{
	uint8_t ip[16];

	if (range->v4 != addr_is_v4(a))
		return false;
	if (range->scope && range->scope != a->scope)
		return false;
	memcpy(ip, a->ip, sizeof(ip));
	keep_prefix(ip, range->bits);
	return memcmp(ip, range->ip, sizeof(ip)) == 0;
}
