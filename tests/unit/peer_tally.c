/* SPDX-License-Identifier: MIT */
/* peer_tally.c - counting hosts, through the growth of the table. */
#include "sessiond-lite/peer_tally.h"

#include <stdio.h>

#include <criterion/criterion.h>

static struct addr host(int i, uint16_t port)
{
	struct addr a;
	char text[32];

	snprintf(text, sizeof(text), "10.%d.%d.%d", i >> 16 & 255, i >> 8 & 255, i & 255);
	cr_assert_eq(addr_parse(text, &a), 0);
	a.port = port;
	return a;
}

Test(peer_tally, counts_hosts_not_ports)
{
	struct peer_tally *t;
	struct addr a = host(1, 10), b = host(1, 20), other = host(2, 10);

	cr_assert_eq(peer_tally_create(&t), 0);
	cr_assert_eq(peer_tally_get(t, &a), 0);
	cr_assert_eq(peer_tally_add(t, &a), 0);
	cr_assert_eq(peer_tally_add(t, &b), 0);
	cr_assert_eq(peer_tally_get(t, &a), 2);
	cr_assert_eq(peer_tally_get(t, &other), 0);
	peer_tally_remove(t, &a);
	peer_tally_remove(t, &a);
	cr_assert_eq(peer_tally_get(t, &b), 0);
	peer_tally_free(t);
}

Test(peer_tally, many_hosts)
{
	enum { HOSTS = 5000 };
	struct peer_tally *t;

	cr_assert_eq(peer_tally_create(&t), 0);
	for (int round = 1; round <= 3; round++)
		for (int i = 0; i < HOSTS; i++) {
			struct addr a = host(i, 0);

			cr_assert_eq(peer_tally_add(t, &a), 0);
			cr_assert_eq(peer_tally_get(t, &a), (uint32_t)round);
		}
	for (int i = 0; i < HOSTS; i += 2) {
		struct addr a = host(i, 0);

		for (int k = 0; k < 3; k++)
			peer_tally_remove(t, &a);
	}
	for (int i = 0; i < HOSTS; i++) {
		struct addr a = host(i, 0);

		cr_assert_eq(peer_tally_get(t, &a), i % 2 ? 3 : 0);
	}
	peer_tally_free(t);
}
