/* SPDX-License-Identifier: MIT */
/* field.c - see field.h. */
#include "relayctl/field.h"

json_t *field_of(const json_t *object, const char *key)
{
	return json_object_get(object, key);
}

const char *field_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

uint64_t field_number(const json_t *object, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(object, key));

	return n > 0 ? (uint64_t)n : 0;
}

bool field_known(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return value && !json_is_null(value);
}

bool field_is(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

uint64_t field_sum(const json_t *object, const char *key)
{
	const char *name;
	uint64_t sum = 0;
	json_t *value;

	json_object_foreach (json_object_get(object, key), name, value)
		sum += (uint64_t)json_integer_value(value);
	return sum;
}
