/* SPDX-License-Identifier: MIT */
/*
 * addr.c - one form for a host however it came, and its texts.
 */
#include "common/addr.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static struct addr parsed(const char *text)
{
	struct addr a;

	cr_assert_eq(addr_parse(text, &a), 0, "%s", text);
	return a;
}

Test(addr, ipv4_is_one_host_from_either_kind_of_socket)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(1500)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6,
				   .sin6_port = htons(1500),
				   .sin6_scope_id = 3, /* means nothing for such an address */
				   .sin6_flowinfo = 77};
	struct addr a, b;

	inet_pton(AF_INET, "127.1.2.3", &in.sin_addr);
	inet_pton(AF_INET6, "::ffff:127.1.2.3", &in6.sin6_addr);
	cr_assert_eq(addr_from_sockaddr((struct sockaddr *)&in, sizeof(in), &a), 0);
	cr_assert_eq(addr_from_sockaddr((struct sockaddr *)&in6, sizeof(in6), &b), 0);
	cr_assert(memcmp(&a, &b, sizeof(a)) == 0);
	cr_assert(addr_equal(&a, &b));
	cr_assert(addr_is_v4(&a));
	cr_assert(addr_is_loopback(&a));
	cr_assert_eq(a.port, 1500);
}

Test(addr, back_to_either_kind_of_socket)
{
	struct addr v4 = parsed("10.1.2.3:80"), v6 = parsed("[fe80::1%7]:81"), again;
	struct sockaddr_storage ss;
	socklen_t len;
	char text[INET6_ADDRSTRLEN];

	cr_assert_eq(addr_to_sockaddr(&v4, AF_UNSPEC, &ss, &len), 0);
	cr_assert_eq(ss.ss_family, AF_INET);
	cr_assert_eq(len, sizeof(struct sockaddr_in));
	inet_ntop(AF_INET, &((struct sockaddr_in *)&ss)->sin_addr, text, sizeof(text));
	cr_assert_str_eq(text, "10.1.2.3");
	cr_assert_eq(ntohs(((struct sockaddr_in *)&ss)->sin_port), 80);

	cr_assert_eq(addr_to_sockaddr(&v4, AF_INET6, &ss, &len), 0);
	cr_assert_eq(ss.ss_family, AF_INET6);
	inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&ss)->sin6_addr, text, sizeof(text));
	cr_assert_str_eq(text, "::ffff:10.1.2.3");
	cr_assert_eq(addr_from_sockaddr((struct sockaddr *)&ss, len, &again), 0);
	cr_assert(addr_equal(&v4, &again));

	cr_assert_eq(addr_to_sockaddr(&v6, AF_UNSPEC, &ss, &len), 0);
	cr_assert_eq(((struct sockaddr_in6 *)&ss)->sin6_scope_id, 7);
	cr_assert_eq(addr_from_sockaddr((struct sockaddr *)&ss, len, &again), 0);
	cr_assert(addr_equal(&v6, &again));
	cr_assert_eq(addr_to_sockaddr(&v6, AF_INET, &ss, &len), -EAFNOSUPPORT);
	cr_assert_eq(addr_to_sockaddr(&v6, AF_UNIX, &ss, &len), -EAFNOSUPPORT);
}

Test(addr, wildcards_keep_their_family)
{
	struct addr v4 = parsed("0.0.0.0:12345"), v6 = parsed("[::]:12345");
	struct sockaddr_storage ss;
	socklen_t len;

	cr_assert_not(addr_same_host(&v4, &v6));
	cr_assert_eq(addr_to_sockaddr(&v4, AF_UNSPEC, &ss, &len), 0);
	cr_assert_eq(ss.ss_family, AF_INET);
	cr_assert_eq(addr_to_sockaddr(&v6, AF_UNSPEC, &ss, &len), 0);
	cr_assert_eq(ss.ss_family, AF_INET6);
}

Test(addr, refuses_other_families_and_short_lengths)
{
	struct sockaddr_storage ss = {.ss_family = AF_UNIX};
	struct addr a = {.port = 7};

	cr_assert_eq(addr_from_sockaddr((struct sockaddr *)&ss, sizeof(ss), &a), -EAFNOSUPPORT);
	ss.ss_family = AF_INET6;
	cr_assert_eq(
		addr_from_sockaddr((struct sockaddr *)&ss, sizeof(struct sockaddr_in6) - 1, &a),
		-EINVAL);
	ss.ss_family = AF_INET;
	cr_assert_eq(addr_from_sockaddr((struct sockaddr *)&ss, sizeof(struct sockaddr_in) - 1, &a),
		     -EINVAL);
	cr_assert_eq(addr_from_sockaddr((struct sockaddr *)&ss, 0, &a), -EINVAL);
	cr_assert_eq(a.port, 7, "output on failure");
}

Test(addr, texts)
{
	static const struct {
		const char *in, *full, *host, *name;
	} cases[] = {
		{"127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.1"},
		{"127.0.0.1:80", "127.0.0.1:80", "127.0.0.1", "127.0.0.1"},
		{"::ffff:10.0.0.1", "10.0.0.1", "10.0.0.1", "10.0.0.1"},
		{"[::ffff:10.0.0.1]:5", "10.0.0.1:5", "10.0.0.1", "10.0.0.1"},
		{"::1", "::1", "::1", "0--1"},
		{"[::1]", "::1", "::1", "0--1"},
		{"[::1]:123", "[::1]:123", "::1", "0--1"},
		{"::", "::", "::", "0--0"},
		{"2001:db8::", "2001:db8::", "2001:db8::", "2001-db8--0"},
		{"2001:DB8:0::7", "2001:db8::7", "2001:db8::7", "2001-db8--7"},
		{"fe80::1%2", "fe80::1%2", "fe80::1%2", "fe80--1s2"},
		{"fe80::%2", "fe80::%2", "fe80::%2", "fe80--0s2"},
		{"[fe80::1%2]:65535", "[fe80::1%2]:65535", "fe80::1%2", "fe80--1s2"},
		{"[fe80:1111:2222:3333:4444:5555:6666:7777%4294967295]:65535",
		 "[fe80:1111:2222:3333:4444:5555:6666:7777%4294967295]:65535",
		 "fe80:1111:2222:3333:4444:5555:6666:7777%4294967295",
		 "fe80-1111-2222-3333-4444-5555-6666-7777s4294967295"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct addr a = parsed(cases[i].in), again;
		char buf[ADDR_TEXT_MAX];

		cr_assert_str_eq(addr_format(&a, buf), cases[i].full);
		again = parsed(buf);
		cr_assert(memcmp(&a, &again, sizeof(a)) == 0, "%s read back", buf);
		cr_assert_str_eq(addr_format_host(&a, buf), cases[i].host);
		cr_assert_str_eq(addr_format_name(&a, buf), cases[i].name);
		cr_assert(buf[0] != '-' && buf[0] != '.');
		cr_assert_eq(strspn(buf, "0123456789abcdefs.-"), strlen(buf));
	}
}

Test(addr, interface_by_name)
{
	struct addr a;

	cr_assert_eq(addr_parse("fe80::1%lo", &a), 0);
	cr_assert_eq(a.scope, if_nametoindex("lo"));
	cr_assert_eq(addr_parse("fe80::1%no-such-if", &a), -ENODEV);
}

Test(addr, refuses_what_is_no_address)
{
	static const char *const bad[] = {
		"",
		"localhost",
		"host:80",
		"10.0.0",
		"10.0.0.256",
		"10.0.0.1:",
		"10.0.0.1:65536",
		"10.0.0.1:-1",
		"10.0.0.1:+1",
		"10.0.0.1: 1",
		"10.0.0.1:1x",
		" 10.0.0.1",
		"10.0.0.1 ",
		"[10.0.0.1]:80",
		"[::1",
		"::1]",
		"[::1]:",
		"[::1]80",
		"[::1]:99999",
		"[]",
		"[]:80",
		"[",
		":80",
		":",
		"1:2:3",
		"2001:db8::1%2",
		"fe80::1%",
		"10.0.0.1%lo",
		"10.0.0.1/8",
		"[::1]:80:80",
		"10.0.0.1:184467440737095516160",
		"fe80::1%an-interface-name-much-too-long",
		"1111111111111111111111111111111111111111111111111111111111111111111111111111111",
	};
	struct addr a = {.port = 7};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_eq(addr_parse(bad[i], &a), -EINVAL, "\"%s\"", bad[i]);
	cr_assert_eq(a.port, 7, "output on failure");
}

Test(addr, comparing_and_hashing_go_together)
{
	struct addr a = parsed("10.0.0.1:80"), b = parsed("10.0.0.1:81");
	struct addr c = parsed("fe80::1%2"), d = parsed("fe80::1%3");

	cr_assert(addr_same_host(&a, &b));
	cr_assert_not(addr_equal(&a, &b));
	cr_assert_eq(addr_hash_host(&a, 1), addr_hash_host(&b, 1));
	cr_assert_neq(addr_hash(&a, 1), addr_hash(&b, 1));
	cr_assert_neq(addr_hash(&a, 1), addr_hash(&a, 2), "the seed counts");
	cr_assert_not(addr_same_host(&c, &d), "another link is another host");
	cr_assert_neq(addr_hash_host(&c, 1), addr_hash_host(&d, 1));
	a = parsed("2001:db8::1");
	b = parsed("0:0:0:1:2001:db8::");
	cr_assert_neq(addr_hash_host(&a, 1), addr_hash_host(&b, 1), "the same halves, swapped");
}

/* 256 hosts x 16 ports into 4096 buckets by the low bits, as cds_lfht takes them: at random the
 * fullest would hold about 7. */
Test(addr, the_low_bits_of_a_hash_spread)
{
	unsigned char filled[4096] = {0}, most = 0;

	for (unsigned host = 0; host < 256; host++)
		for (unsigned port = 0; port < 16; port++) {
			struct addr a = parsed("127.0.0.1");
			unsigned at;

			a.ip[14] = (uint8_t)host;
			a.port = (uint16_t)(30000 + port);
			at = addr_hash(&a, 42) & 4095;
			if (++filled[at] > most)
				most = filled[at];
		}
	cr_assert_leq(most, 12);
}

Test(addr, ranges)
{
	static const struct {
		const char *range, *in, *out;
	} cases[] = {
		{"10.0.0.0/8", "10.255.255.255", "11.0.0.0"},
		{"10.1.2.3/8", "10.0.0.0", "9.255.255.255"},
		{"10.0.0.0/8", "::ffff:10.1.1.1", "::10.1.1.1"},
		{"192.168.1.128/25", "192.168.1.128", "192.168.1.127"},
		{"192.168.1.1", "192.168.1.1:5000", "192.168.1.2"},
		{"192.168.1.1/32", "192.168.1.1", "192.168.1.0"},
		{"0.0.0.0/0", "255.255.255.255", "::1"},
		{"::/0", "2001:db8::1", "10.0.0.1"},
		{"::ffff:10.0.0.0/104", "10.1.1.1", "11.1.1.1"},
		{"::ffff:0:0/96", "10.1.1.1", "::fffe:0:1"},
		{"2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"},
		{"2001:db8::/29", "2001:dbf::1", "2001:dc0::"},
		{"2001:db8::1", "2001:db8::1", "2001:db8::2"},
		{"2001:db8::1/127", "2001:db8::", "2001:db8::2"},
		{"fe80::/10", "fe80::1%2", "fec0::1"},
		{"fe80::1%2", "fe80::1%2", "fe80::1%3"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct addr in = parsed(cases[i].in), out = parsed(cases[i].out);
		struct addr_range range;

		cr_assert_eq(addr_range_parse(cases[i].range, &range), 0, "%s", cases[i].range);
		cr_assert(addr_range_match(&range, &in), "%s has %s", cases[i].range, cases[i].in);
		cr_assert_not(addr_range_match(&range, &out), "%s lacks %s", cases[i].range,
			      cases[i].out);
	}
}

Test(addr, refuses_what_is_no_range)
{
	static const char *const bad[] = {
		"",
		"/8",
		"10.0.0.0/",
		"10.0.0.0/33",
		"10.0.0.0/-1",
		"10.0.0.0/8x",
		"10.0.0.0/8/8",
		"10.0/8",
		"::/129",
		"10.0.0.1:80",
		"[::1]/64",
		"[::1]",
		"host/8",
		"10.0.0.0/ 8",
		"::/",
		"10.0.0.0/99999999999999999999999999999999999999999999999999999999999999999999999",
	};
	struct addr_range range = {.bits = 7};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_eq(addr_range_parse(bad[i], &range), -EINVAL, "\"%s\"", bad[i]);
	cr_assert_eq(range.bits, 7, "output on failure");
}
