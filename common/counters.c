/* SPDX-License-Identifier: MIT */
/*
 * counters.c - the texts behind the lists of counters.h, and their sums. Contract: counters.h.
 */
#include "common/counters.h"

#include <assert.h>
#include <stdio.h>

#define AS_INFO(id, unit, help)        [COUNTER_##id] = {#id, unit, help},
#define AS_REASON(id, error, sentence) [CLOSE_##id] = {#id, sentence, error},

static const struct {
	const char *name, *unit, *help;
} counter_info[] = {TRACERELAY_COUNTERS(AS_INFO)};

static const struct {
	const char *name, *sentence;
	bool error;
} close_info[CLOSE_REASON_COUNT] = {[CLOSE_none] = {"none", "not closed", false},
				    CLOSE_REASONS(AS_REASON)};

static enum close_reason known(enum close_reason reason)
{
	return (unsigned)reason < CLOSE_REASON_COUNT ? reason : CLOSE_none;
}

void counters_add_close(struct counters *c, enum close_reason reason)
{
	assert(known(reason) != CLOSE_none);
	atomic_fetch_add_explicit(&c->closed[reason], 1, memory_order_relaxed);
	counters_add(c, COUNTER_connections_closed, 1);
}

uint64_t counters_sum(const struct counters *shards, size_t n, enum counter id)
{
	uint64_t sum = 0;

	assert((unsigned)id < COUNTER_COUNT);
	for (size_t i = 0; i < n; i++)
		sum += atomic_load_explicit(&shards[i].v[id], memory_order_relaxed);
	return sum;
}

uint64_t counters_sum_closed(const struct counters *shards, size_t n, enum close_reason reason)
{
	uint64_t sum = 0;

	assert(known(reason) != CLOSE_none);
	for (size_t i = 0; i < n; i++)
		sum += atomic_load_explicit(&shards[i].closed[reason], memory_order_relaxed);
	return sum;
}

const char *close_reason_name(enum close_reason reason)
{
	return close_info[known(reason)].name;
}

const char *close_reason_sentence(enum close_reason reason)
{
	return close_info[known(reason)].sentence;
}

bool close_reason_is_error(enum close_reason reason)
{
	return close_info[known(reason)].error;
}

const char *counter_name(enum counter id)
{
	assert((unsigned)id < COUNTER_COUNT);
	return counter_info[id].name;
}

/* The name of a close reason's counter: "closed_eof". */
static const char *closed_name(enum close_reason reason, char buf[64])
{
	(void)snprintf(buf, 64, "closed_%s", close_info[reason].name);
	return buf;
}

json_t *counters_to_json(const struct counters *shards, size_t n)
{
	json_t *all = json_object();
	char name[64];
	int failed = 0;

	for (int id = 0; id < COUNTER_COUNT; id++)
		failed |=
			json_object_set_new(all, counter_info[id].name,
					    json_integer((json_int_t)counters_sum(shards, n, id)));
	for (int reason = CLOSE_none + 1; reason < CLOSE_REASON_COUNT; reason++)
		failed |= json_object_set_new(
			all, closed_name(reason, name),
			json_integer((json_int_t)counters_sum_closed(shards, n, reason)));
	if (failed) { /* also when json_object() gave NULL */
		json_decref(all);
		return NULL;
	}
	return all;
}

json_t *counters_describe(void)
{
	json_t *all = json_object();
	char name[64];
	int failed = 0;

	for (int id = 0; id < COUNTER_COUNT; id++)
		failed |= json_object_set_new(all, counter_info[id].name,
					      json_pack("{ss ss}", "unit", counter_info[id].unit,
							"help", counter_info[id].help));
	for (int reason = CLOSE_none + 1; reason < CLOSE_REASON_COUNT; reason++)
		failed |= json_object_set_new(all, closed_name(reason, name),
					      json_pack("{ss ss++}", "unit", "connections", "help",
							"Closed: ", close_info[reason].sentence,
							"."));
	if (failed) {
		json_decref(all);
		return NULL;
	}
	return all;
}
