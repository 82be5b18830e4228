/* SPDX-License-Identifier: MIT */
/*
 * counters.c - the lists are whole, and sums are sums.
 */
#include "common/counters.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

static uint64_t in_json(const json_t *all, const char *name)
{
	const json_t *value = json_object_get(all, name);

	cr_assert(json_is_integer(value), "%s", name);
	return (uint64_t)json_integer_value(value);
}

Test(counters, sums_over_shards)
{
	static struct counters shards[3];
	json_t *all;

	counters_add(&shards[0], COUNTER_bytes_received, 5);
	counters_add(&shards[2], COUNTER_bytes_received, (uint64_t)1 << 40);
	counters_add_close(&shards[0], CLOSE_eof);
	counters_add_close(&shards[1], CLOSE_eof);
	counters_add_close(&shards[1], CLOSE_stall_timeout);
	cr_assert_eq(counters_sum(shards, 3, COUNTER_bytes_received), ((uint64_t)1 << 40) + 5);
	cr_assert_eq(counters_sum(shards, 2, COUNTER_bytes_received), 5);
	cr_assert_eq(counters_sum_closed(shards, 3, CLOSE_eof), 2);
	cr_assert_eq(counters_sum(shards, 3, COUNTER_connections_closed), 3);
	all = counters_to_json(shards, 3);
	cr_assert_eq(in_json(all, "bytes_received"), ((uint64_t)1 << 40) + 5);
	cr_assert_eq(in_json(all, "closed_eof"), 2);
	cr_assert_eq(in_json(all, "closed_stall_timeout"), 1);
	cr_assert_eq(in_json(all, "closed_protocol"), 0);
	cr_assert_eq(in_json(all, "connections_closed"), 3);
	json_decref(all);
}

Test(counters, every_reason_is_counted_on_its_own)
{
	static struct counters c;
	uint64_t sum = 0;
	json_t *all;

	for (int reason = CLOSE_none + 1; reason < CLOSE_REASON_COUNT; reason++)
		for (int n = 0; n < reason; n++)
			counters_add_close(&c, reason);
	all = counters_to_json(&c, 1);
	for (int reason = CLOSE_none + 1; reason < CLOSE_REASON_COUNT; reason++) {
		char name[64];

		snprintf(name, sizeof(name), "closed_%s", close_reason_name(reason));
		cr_assert_eq(in_json(all, name), (uint64_t)reason, "%s", name);
		sum += (uint64_t)reason;
	}
	cr_assert_eq(in_json(all, "connections_closed"), sum);
	cr_assert_eq(json_object_size(all), (size_t)COUNTER_COUNT + CLOSE_REASON_COUNT - 1,
		     "no name twice");
	json_decref(all);
}

Test(counters, everything_is_described)
{
	static struct counters none;
	json_t *all = counters_to_json(&none, 1), *described = counters_describe();
	const char *name;
	json_t *value;

	cr_assert_eq(json_object_size(described), json_object_size(all));
	json_object_foreach (all, name, value) {
		const json_t *row = json_object_get(described, name);
		const char *unit = json_string_value(json_object_get(row, "unit"));
		const char *help = json_string_value(json_object_get(row, "help"));

		cr_assert(unit && *unit, "%s", name);
		cr_assert(help && help[strlen(help) - 1] == '.', "%s is a sentence", name);
		cr_assert_eq(json_integer_value(value), 0, "%s", name);
	}
	json_decref(all);
	json_decref(described);
}

Test(counters, reasons_have_texts)
{
	for (int reason = CLOSE_none + 1; reason < CLOSE_REASON_COUNT; reason++) {
		cr_assert_gt(strlen(close_reason_name(reason)), 2);
		cr_assert_gt(strlen(close_reason_sentence(reason)), 5);
	}
	cr_assert_str_eq(close_reason_name(CLOSE_keep_alive), "keep_alive");
	cr_assert(close_reason_is_error(CLOSE_protocol));
	cr_assert_not(close_reason_is_error(CLOSE_finished));
	/* what stands in state memory is looked up too: nothing outside the list is followed */
	cr_assert_str_eq(close_reason_name(CLOSE_none), "none");
	cr_assert_str_eq(close_reason_name((enum close_reason)CLOSE_REASON_COUNT), "none");
	cr_assert_str_eq(close_reason_sentence((enum close_reason) - 1), "not closed");
}

Test(counters, a_cause_picks_its_counter)
{
	/* in the order of the ledger's causes, as counters.h promises */
	static const char *const causes[] = {"disk", "stall", "protocol", "partial", "stopped"};

	for (int i = 0; i < 5; i++)
		cr_assert_str_eq(counter_name(COUNTER_bytes_discarded_disk + i) +
					 strlen("bytes_discarded_"),
				 causes[i]);
}

enum { ADDITIONS = 1000000 };

static pthread_barrier_t together;

static void *add_many(void *shard)
{
	pthread_barrier_wait(&together);
	for (int i = 0; i < ADDITIONS; i++)
		counters_add(shard, COUNTER_pages_stored, 1);
	return NULL;
}

Test(counters, no_addition_is_lost_between_threads)
{
	static struct counters shard; /* one for all, which is more than the program does */
	pthread_t threads[4];

	pthread_barrier_init(&together, NULL, 4);
	for (int i = 0; i < 4; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, add_many, &shard), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&together);
	cr_assert_eq(counters_sum(&shard, 1, COUNTER_pages_stored), 4 * ADDITIONS);
}
