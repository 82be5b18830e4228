/* SPDX-License-Identifier: MIT */
/* address_list.c - addresses to listen on. */
#include "config/address_list.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>

static struct option_addresses parse(const char *text)
{
	struct option_addresses list = {0};
	char why[ADDRESS_WHY_MAX] = "";

	cr_assert_eq(address_list_parse(text, 8, &list, why), 0, "\"%s\" %s", text, why);
	return list;
}

Test(address_list, both_families)
{
	struct option_addresses list = parse("0.0.0.0:12345, [::]:12345");
	const struct sockaddr_in *v4 = (void *)&list.at[0];
	const struct sockaddr_in6 *v6 = (void *)&list.at[1];

	cr_assert_eq(list.count, 2);
	cr_assert_eq(v4->sin_family, AF_INET);
	cr_assert_eq(ntohs(v4->sin_port), 12345);
	cr_assert_eq(v4->sin_addr.s_addr, INADDR_ANY);
	cr_assert_eq(v6->sin6_family, AF_INET6);
	cr_assert_eq(ntohs(v6->sin6_port), 12345);
	cr_assert_eq(memcmp(&v6->sin6_addr, &in6addr_any, 16), 0);
	cr_assert_eq(address_port(&list.at[0]), 12345);
	address_list_free(&list);
	cr_assert_eq(list.count, 0);
	cr_assert_null(list.at);
}

Test(address_list, texts_and_what_is_made_of_them)
{
	static const char *const cases[][2] = {
		{"127.0.0.1:80", "127.0.0.1:80"},
		{" 127.0.0.1:80\t", "127.0.0.1:80"},
		{"127.0.0.1:0", "127.0.0.1:0"},
		{"[::1]:65535", "[::1]:65535"},
		{"[2001:DB8:0:0:0:0:0:1]:5", "[2001:db8::1]:5"},
		{"[::ffff:10.0.0.1]:5", "10.0.0.1:5"}, /* one host, one form */
		{"[fe80::1%4711]:5", "[fe80::1%4711]:5"},
		{"[::]:0", "[::]:0"},
	};
	char text[ADDRESS_TEXT_MAX];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct option_addresses list = parse(cases[i][0]);

		cr_assert_eq(list.count, 1);
		cr_assert_str_eq(address_format(&list.at[0], text), cases[i][1]);
		address_list_free(&list);
	}
}

Test(address_list, interface_becomes_a_number)
{
	struct option_addresses list = parse("[fe80::1%lo]:5");
	char text[ADDRESS_TEXT_MAX], want[ADDRESS_TEXT_MAX];

	snprintf(want, sizeof(want), "[fe80::1%%%u]:5", if_nametoindex("lo"));
	cr_assert_str_eq(address_format(&list.at[0], text), want);
	address_list_free(&list);
}

Test(address_list, empty_is_off)
{
	static const char *const texts[] = {"", " ", "\t "};

	for (size_t i = 0; i < 3; i++) {
		struct option_addresses list = parse(texts[i]);

		cr_assert_eq(list.count, 0);
	}
}

Test(address_list, any_number_of_free_ports)
{
	struct option_addresses list = parse("127.0.0.1:0,127.0.0.1:0");

	cr_assert_eq(list.count, 2);
	address_list_free(&list);
}

Test(address_list, refused)
{
	static const char *const cases[][2] = {
		{"127.0.0.1", "has no port in \"127.0.0.1\""},
		{"::1", "has no port in"},
		{"[::1]", "has no port in"},
		{"127.0.0.1:", "has no"},
		{"::1:80", "has no port in"}, /* an address whose end looks like one */
		{"12345", "has no numeric address with a port in \"12345\""},
		{":12345", "has no numeric address"},
		{"*:12345", "has no numeric address"},
		{"localhost:12345", "has no numeric address"},
		{"127.0.0.1:65536", "has no numeric address"},
		{"127.0.0.1:-1", "has no"},
		{"127.0.0.1:80x", "has no numeric address"},
		{"127.0.0.256:80", "has no numeric address"},
		{"[::1:80", "has no numeric address"},
		{"[127.0.0.1]:80", "has no numeric address"},
		{"127.0.0.1:80 127.0.0.2:80", "has no"},
		{"[fe80::1%nosuchdevice]:80", "names an interface that does not exist"},
		{",", "comma too many"},
		{"127.0.0.1:80,", "comma too many"},
		{",127.0.0.1:80", "comma too many"},
		{"127.0.0.1:80,,127.0.0.2:80", "comma too many"},
		{"127.0.0.1:80, 127.0.0.1:80", "has \"127.0.0.1:80\" twice"},
		{"10.0.0.1:5, [::ffff:10.0.0.1]:5", "twice"},
		{"1.1.1.1:1,1.1.1.1:2,1.1.1.1:3,1.1.1.1:4,1.1.1.1:5,1.1.1.1:6,1.1.1.1:7,1.1.1.1:8,"
		 "1.1.1.1:9",
		 "has more than 8 addresses"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct option_addresses list = {.count = 99};
		char why[ADDRESS_WHY_MAX] = "";

		cr_assert_eq(address_list_parse(cases[i][0], 8, &list, why), -EINVAL, "\"%s\"",
			     cases[i][0]);
		cr_assert_not_null(strstr(why, cases[i][1]), "\"%s\": %s", cases[i][0], why);
		cr_assert_eq(list.count, 99, "output on failure");
	}
}

Test(address_list, conflicts)
{
	static const struct {
		const char *a, *b;
		bool want;
	} cases[] = {
		{"127.0.0.1:80", "127.0.0.1:80", true},
		{"127.0.0.1:80", "127.0.0.1:81", false},
		{"127.0.0.1:80", "127.0.0.2:80", false},
		{"127.0.0.1:80", "0.0.0.0:80", true},
		{"[::]:80", "[::1]:80", true},
		{"[::]:80", "0.0.0.0:80", false}, /* IPV6_V6ONLY */
		{"[::]:80", "127.0.0.1:80", false},
		{"127.0.0.1:0", "127.0.0.1:0", false},
		{"[fe80::1%1]:80", "[fe80::1%2]:80", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct option_addresses a = parse(cases[i].a), b = parse(cases[i].b);

		cr_assert_eq(address_conflicts(a.at, b.at), cases[i].want, "%s %s", cases[i].a,
			     cases[i].b);
		cr_assert_eq(address_conflicts(b.at, a.at), cases[i].want, "%s %s", cases[i].b,
			     cases[i].a);
		address_list_free(&a);
		address_list_free(&b);
	}
}
