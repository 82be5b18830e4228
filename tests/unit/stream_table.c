/* SPDX-License-Identifier: MIT */
/* stream_table.c - a stream is found by peer host, local port and transport, and by nothing less.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <urcu.h>

#include "relayd/stream_table.h"

static struct stream_table *table;
static struct addr host_a, host_b;

static void setup(void)
{
	rcu_register_thread();
	cr_assert_eq(stream_table_new(&table), 0);
	cr_assert_eq(addr_parse("127.0.0.1:1000", &host_a), 0);
	cr_assert_eq(addr_parse("127.0.0.2:1000", &host_b), 0);
}

static void teardown(void)
{
	stream_table_free(table);
	rcu_unregister_thread();
}

TestSuite(stream_table, .init = setup, .fini = teardown);

static struct stream_entry entry(uint64_t id)
{
	return (struct stream_entry){.stream = {.index = (uint32_t)id, .id = id}};
}

Test(stream_table, two_hosts_use_one_port)
{
	struct stream_entry a = entry(1), b = entry(2), got;
	struct addr other_socket = host_a;

	cr_assert_eq(stream_table_add(table, &host_a, 30000, TRANSPORT_TCP, &a), 0);
	cr_assert_eq(stream_table_add(table, &host_b, 30000, TRANSPORT_TCP, &b), 0);
	other_socket.port = 55555; /* the peer's own port plays no part */
	cr_assert(stream_table_find(table, &other_socket, 30000, TRANSPORT_TCP, &got));
	cr_assert_eq(got.stream.id, 1);
	cr_assert(stream_table_find(table, &host_b, 30000, TRANSPORT_TCP, &got));
	cr_assert_eq(got.stream.id, 2);
	cr_assert_not(stream_table_find(table, &host_a, 30001, TRANSPORT_TCP, &got));
	cr_assert_not(stream_table_find(table, &host_a, 30000, TRANSPORT_UDP, &got));
	cr_assert_eq(stream_table_count(table), 2);
}

Test(stream_table, a_lease_has_one_stream)
{
	struct stream_entry a = entry(1), b = entry(2), got;

	cr_assert_eq(stream_table_add(table, &host_a, 30000, TRANSPORT_TCP, &a), 0);
	cr_assert_eq(stream_table_add(table, &host_a, 30000, TRANSPORT_TCP, &b), -EEXIST);
	cr_assert_not(stream_table_remove(table, &host_a, 30000, TRANSPORT_TCP, 2), "not its own");
	cr_assert(stream_table_remove(table, &host_a, 30000, TRANSPORT_TCP, 1));
	cr_assert_not(stream_table_find(table, &host_a, 30000, TRANSPORT_TCP, &got));
	cr_assert_eq(stream_table_add(table, &host_a, 30000, TRANSPORT_TCP, &b), 0);
}

static void sum(void *ctx, const struct stream_entry *e)
{
	*(uint64_t *)ctx += e->stream.id;
}

Test(stream_table, a_walk_sees_all)
{
	uint64_t total = 0;

	for (uint16_t i = 1; i <= 5000; i++) {
		struct stream_entry e = entry(i);

		cr_assert_eq(stream_table_add(table, &host_a, i, TRANSPORT_TCP, &e), 0);
	}
	stream_table_walk(table, sum, &total);
	cr_assert_eq(total, 5000u * 5001 / 2);
}
