/* SPDX-License-Identifier: MIT */
/* status_rig.c - see status_rig.h. */
#include "tests/unit/status_rig.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/status_state.h"

struct state status_rig_st;
struct status_rates *status_rig_rates;
int64_t status_rig_busy_since_ms[2];

void status_rig_start(void)
{
	status_state_make(&status_rig_st, 64);
	status_state_session(&status_rig_st, 0, "default");
	status_rig_rates = status_rates_new(&status_rig_st);
	cr_assert(status_rig_rates);
}

void status_rig_stop(void)
{
	status_rates_free(status_rig_rates);
	state_detach(&status_rig_st);
}

struct status_view status_rig_view(const json_t *limits)
{
	return (struct status_view){.st = &status_rig_st,
				    .rates = status_rig_rates,
				    .limits = limits,
				    .busy_since_ms = status_rig_busy_since_ms,
				    .leases = 5,
				    .pid = 4711,
				    .synced = true,
				    .now_ns = INT64_C(1700000100500000000),
				    .started_ns = INT64_C(1700000000000000000),
				    .now_ms = 100500,
				    .started_ms = 1000,
				    .readers = {.now = 1, .documents = 2}};
}

json_t *status_rig_document(void)
{
	json_t *limits = json_pack("{s:s}", "relayd.workers", "2"), *doc;
	struct status_view v = status_rig_view(limits);
	json_error_t error;
	char *text;
	size_t len;

	cr_assert_eq(status_document(&v, &text, &len), 0);
	cr_assert_eq(text[len - 1], '\n');
	cr_assert_null(memchr(text, '\n', len - 1), "one line");
	doc = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
	cr_assert(doc, "%s", error.text);
	free(text);
	json_decref(limits);
	return doc;
}

json_t *status_rig_at(const json_t *doc, const char *list, size_t index)
{
	json_t *found = json_array_get(json_object_get(doc, list), index);

	cr_assert(found, "%s[%zu]", list, index);
	return found;
}

uint64_t status_rig_number(const json_t *object, const char *key)
{
	json_t *value = json_object_get(object, key);

	cr_assert(json_is_integer(value), "%s", key);
	return (uint64_t)json_integer_value(value);
}

const char *status_rig_string(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	cr_assert(value, "%s", key);
	return value;
}

bool status_rig_is_null(const json_t *object, const char *key)
{
	json_t *value = json_object_get(object, key);

	cr_assert(value, "%s", key);
	return json_is_null(value);
}
