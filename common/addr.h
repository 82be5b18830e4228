/* SPDX-License-Identifier: MIT */
/*
 * addr.h - the address of a peer or of a socket of ours, in one fixed form.
 *
 * An IPv4 address is kept as the IPv6 address ::ffff:a.b.c.d, however it came in (from an AF_INET
 * socket or from a dual-stack one), so one host has one form and comparing is comparing bytes.
 *
 * Life:   a plain value without pointers or padding; it may lie in shared memory. Always made by
 *         one of the functions below (or copied from such a one), so that unused fields are 0.
 * Thread: any; no state.
 * Errors: negative errno; outputs are written only on success.
 * Source: design.md section 4 (leases are per peer address; ::ffff:a.b.c.d is the IPv4 host).
 */
#ifndef TRACERELAY_COMMON_ADDR_H
#define TRACERELAY_COMMON_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct addr {
	uint8_t ip[16]; /* network order; IPv4 as ::ffff:a.b.c.d */
	uint32_t scope; /* interface index of a link-local IPv6 address, else 0 */
	uint16_t port;  /* host order; 0 = none */
	uint16_t zero;  /* no padding: the struct may be compared and hashed as bytes */
};

_Static_assert(sizeof(struct addr) == 24, "struct addr lies in shared memory");

/* Room for every text below, NUL included. */
#define ADDR_TEXT_MAX 72

/*
 * From what accept(), recvfrom(), getsockname() ... gave.
 * Return 0, or -EAFNOSUPPORT for a family other than AF_INET and AF_INET6, -EINVAL for a length
 * too short for its family.
 */
int addr_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct addr *ret);

/*
 * To what bind(), connect(), sendto() ... take.
 * @family   of the socket: AF_INET6 gives an IPv4 host as ::ffff:a.b.c.d (dual-stack sockets),
 *           AF_INET wants an IPv4 address (else -EAFNOSUPPORT), AF_UNSPEC takes whichever is
 *           natural: AF_INET for IPv4, AF_INET6 for the rest.
 * ::ffff:0.0.0.0 is the IPv4 wildcard, :: the IPv6 one.
 */
int addr_to_sockaddr(const struct addr *a, int family, struct sockaddr_storage *ret,
		     socklen_t *ret_len);

bool addr_is_v4(const struct addr *a);

/* Any of 127.0.0.0/8 or ::1. */
bool addr_is_loopback(const struct addr *a);

/* Everything equal, port included. */
bool addr_equal(const struct addr *a, const struct addr *b);

/* The same host: everything but the port equal. */
bool addr_same_host(const struct addr *a, const struct addr *b);

/*
 * Hashes that go with the two above. The seed is drawn once per process, so that a peer that
 * chooses its address cannot choose its bucket; not cryptographic. A table keyed by (peer host,
 * local port), like the stream table, puts the local port into a copy's port and uses addr_hash()
 * and addr_equal().
 */
uint64_t addr_hash(const struct addr *a, uint64_t seed);
uint64_t addr_hash_host(const struct addr *a, uint64_t seed);

/*
 * Numeric texts; no name is ever resolved. All return buf.
 *   addr_format       "127.0.0.1:80"  "[::1]:80"  "[fe80::1%2]:80"   without port like _host
 *   addr_format_host  "127.0.0.1"     "::1"       "fe80::1%2"
 *   addr_format_name  "127.0.0.1"     "0--1"      "fe80--1s2"
 * The last is for names of files: letters, digits, '.' and '-' only, never empty, never beginning
 * with '-' or '.', different for different hosts (the writing of ipv6-literal names: '-' for ':',
 * 's' for '%', 0 before a leading and behind a trailing "::").
 */
char *addr_format(const struct addr *a, char buf[ADDR_TEXT_MAX]);
char *addr_format_host(const struct addr *a, char buf[ADDR_TEXT_MAX]);
char *addr_format_name(const struct addr *a, char buf[ADDR_TEXT_MAX]);

/*
 * Read what addr_format() or addr_format_host() wrote, or what a user typed: "10.0.0.1",
 * "10.0.0.1:80", "::1", "[::1]", "[::1]:80", "fe80::1%eth0" (interface by name or index).
 * Without a port, port is 0. Numeric only.
 * Return 0; -EINVAL for anything else; -ENODEV for an interface name that does not exist.
 */
int addr_parse(const char *text, struct addr *ret);

/* A set of addresses by prefix: "10.0.0.0/8", "2001:db8::/32", or a plain address for one host. */
struct addr_range {
	uint8_t ip[16];  /* bits behind the prefix are 0 */
	uint32_t scope;  /* only this interface; 0 = any */
	uint8_t bits;    /* 0..128, counted in the IPv6 form: IPv4 /8 is 104 */
	bool v4;         /* written as IPv4: matches IPv4 hosts only; else IPv6 hosts only */
	uint8_t zero[2]; /* no padding */
};

/*
 * Bits set behind the prefix ("10.1.2.3/8") are cleared, as other tools do.
 * Return 0; -EINVAL (no address, prefix too long, a port); -ENODEV as addr_parse().
 */
int addr_range_parse(const char *text, struct addr_range *ret);

/* 0.0.0.0/0 is every IPv4 host and no IPv6 one, ::/0 the reverse. The port plays no part. */
bool addr_range_match(const struct addr_range *range, const struct addr *a);

#endif
