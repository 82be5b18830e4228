/* SPDX-License-Identifier: MIT */
/* status_json.c - pieces put together are one valid document. */
#include "relayd/status_json.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static json_t *parse(const struct json_text *t)
{
	json_error_t error;
	json_t *json = json_loadb(t->at, t->len, JSON_REJECT_DUPLICATES, &error);

	cr_assert(json, "%s in %.*s", error.text, (int)t->len, t->at);
	return json;
}

Test(status_json, members)
{
	static const char want[] = "{\"n\":7,\"big\":9223372036854775807,\"s\":\"a\\\"b\\\\c\\n\","
				   "\"wrong\":\"?(??\",\"null\":null,\"yes\":true,"
				   "\"time\":\"2023-11-14T22:13:20.123Z\",\"never\":null}";
	struct json_piece p = json_piece_new();
	struct json_text t = {0};

	json_piece_number(&p, "n", 7);
	json_piece_number(&p, "big", UINT64_MAX);
	json_piece_string(&p, "s", "a\"b\\c\n");
	json_piece_string(&p, "wrong", "\xc3(\xe2\x82");
	json_piece_string(&p, "null", NULL);
	json_piece_bool(&p, "yes", true);
	json_piece_time(&p, "time", INT64_C(1700000000123999999));
	json_piece_time(&p, "never", 0);
	json_text_element(&t, &p);
	cr_assert_not(t.failed);
	cr_assert(t.len == strlen(want) && memcmp(t.at, want, t.len) == 0, "%.*s", (int)t.len,
		  t.at);
	json_text_clear(&t);
}

Test(status_json, lists_of_any_length)
{
	for (int n = 0; n < 2000; n += n < 3 ? 1 : 997) {
		struct json_text t = {0}, list = {0};
		struct json_piece head = json_piece_new();
		json_t *json, *value = json_pack("[i]", n);

		for (int i = 0; i < n; i++) {
			struct json_piece p = json_piece_new();

			json_piece_number(&p, "i", (uint64_t)i);
			json_text_element(&list, &p);
		}
		json_piece_number(&head, "n", (uint64_t)n);
		json_text_add(&t, "{", 1);
		json_text_members(&t, &head);
		json_text_list(&t, "list", &list);
		json_text_value(&t, "value", value);
		json_text_add(&t, "}", 1);
		json_decref(value);
		json = parse(&t);
		cr_assert_eq(json_array_size(json_object_get(json, "list")), (size_t)n);
		cr_assert_eq(json_integer_value(json_array_get(json_object_get(json, "value"), 0)),
			     n);
		json_decref(json);
		json_text_clear(&t);
		cr_assert_null(list.at, "freed");
	}
}

Test(status_json, no_memory_is_told_at_the_end)
{
	struct json_text t = {0}, list = {0};
	struct json_piece p = json_piece_new();

	json_piece_put(&p, "x", NULL);
	json_text_element(&list, &p);
	json_text_list(&t, "list", &list);
	cr_assert(t.failed);
	json_text_clear(&t);
	json_text_value(&t, "x", NULL);
	cr_assert(t.failed);
	json_text_clear(&t);
}
