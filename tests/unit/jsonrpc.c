/* SPDX-License-Identifier: MIT */
/*
 * jsonrpc.c - lines, requests and responses, and what happens to everything that is none.
 */
#include "common/jsonrpc.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory ---- */

/* jansson's allocations: those that live are counted (a test's process ends without asking
 * LeakSanitizer), and from an armed one on they fail. */
static int until_failure = -1, living;

static void *failing_malloc(size_t size)
{
	void *p = until_failure == 0 ? NULL : malloc(size);

	if (until_failure > 0)
		until_failure--;
	living += p != NULL;
	return p;
}

static void counting_free(void *p)
{
	living -= p != NULL;
	free(p);
}

static void count_allocations(void)
{
	json_set_alloc_funcs(failing_malloc, counting_free);
}

/* ---- lines ---- */

static void feed(struct jsonrpc_lines *l, const char *text)
{
	cr_assert_eq(jsonrpc_lines_feed(l, text, strlen(text)), 0);
}

static void expect_line(struct jsonrpc_lines *l, const char *want)
{
	const char *line;
	size_t len;

	cr_assert_eq(jsonrpc_lines_next(l, &line, &len), 1, "a line: %s", want);
	cr_assert_eq(len, strlen(want), "%.*s", (int)len, line);
	cr_assert_arr_eq(line, want, len);
}

static void expect_no_line(struct jsonrpc_lines *l, int want)
{
	const char *line = "untouched";
	size_t len = 77;

	cr_assert_eq(jsonrpc_lines_next(l, &line, &len), want);
	cr_assert_eq(len, 77);
	cr_assert_str_eq(line, "untouched");
}

Test(jsonrpc, lines_from_pieces_of_any_size)
{
	static const char text[] = "first\n\n \t\r\nsecond\r\n third \n{\"a\":\"\\n\"}\nrest";

	for (size_t piece = 1; piece <= sizeof(text); piece++) {
		struct jsonrpc_lines *l = jsonrpc_lines_new(100);
		char got[100] = "";

		for (size_t at = 0; at < strlen(text); at += piece) {
			size_t n = strlen(text) - at < piece ? strlen(text) - at : piece;
			const char *line;
			size_t len;

			cr_assert_eq(jsonrpc_lines_feed(l, text + at, n), 0);
			while (jsonrpc_lines_next(l, &line, &len) == 1) {
				strncat(got, line, len);
				strcat(got, "|");
			}
		}
		cr_assert_str_eq(got, "first|second| third |{\"a\":\"\\n\"}|", "by %zu", piece);
		cr_assert_eq(jsonrpc_lines_pending(l), 4, "by %zu", piece);
		jsonrpc_lines_free(l);
	}
}

Test(jsonrpc, lines_need_not_be_taken_at_once)
{
	struct jsonrpc_lines *l = jsonrpc_lines_new(5);

	feed(l, "12345\n2");
	feed(l, "\n3\n");
	feed(l, "4");
	expect_line(l, "12345");
	feed(l, "4\n");
	expect_line(l, "2");
	expect_line(l, "3");
	expect_line(l, "44");
	expect_no_line(l, 0);
	cr_assert_eq(jsonrpc_lines_pending(l), 0);
	jsonrpc_lines_free(l);
}

Test(jsonrpc, a_NUL_is_no_white_space)
{
	struct jsonrpc_lines *l = jsonrpc_lines_new(5);
	const char *line;
	size_t len;

	cr_assert_eq(jsonrpc_lines_feed(l, "\0\n", 2), 0);
	cr_assert_eq(jsonrpc_lines_next(l, &line, &len), 1);
	cr_assert_eq(len, 1);
	jsonrpc_lines_free(l);
}

Test(jsonrpc, a_line_too_long_is_noticed_before_its_end)
{
	struct jsonrpc_lines *l = jsonrpc_lines_new(5);

	feed(l, "12345"); /* exactly the most */
	cr_assert_eq(jsonrpc_lines_feed(l, "6", 1), -EMSGSIZE);
	cr_assert_eq(jsonrpc_lines_feed(l, "\nok\n", 4), -EMSGSIZE, "and stays");
	expect_no_line(l, -EMSGSIZE);
	jsonrpc_lines_free(l);
}

Test(jsonrpc, lines_before_one_too_long_count)
{
	struct jsonrpc_lines *l = jsonrpc_lines_new(5);

	feed(l, "1\n2\n123456\n3\n");
	expect_line(l, "1");
	expect_line(l, "2");
	expect_no_line(l, -EMSGSIZE);
	expect_no_line(l, -EMSGSIZE);
	jsonrpc_lines_free(l);
}

/* Looking for the end anew with each piece would take 2^39 steps here. */
Test(jsonrpc, the_longest_line_byte_by_byte, .timeout = 8)
{
	struct jsonrpc_lines *l = jsonrpc_lines_new(JSONRPC_LINE_MAX);
	const char *line;
	size_t len;

	for (size_t i = 0; i < JSONRPC_LINE_MAX; i++)
		cr_assert_eq(jsonrpc_lines_feed(l, "x", 1), 0);
	expect_no_line(l, 0);
	feed(l, "\n");
	cr_assert_eq(jsonrpc_lines_next(l, &line, &len), 1);
	cr_assert_eq(len, JSONRPC_LINE_MAX);
	jsonrpc_lines_free(l);
}

/* ---- requests ---- */

/* The document as text; takes it. */
static const char *as_text(json_t *document)
{
	static char text[1000];
	size_t len;
	char *line;

	cr_assert_not_null(document);
	cr_assert_eq(jsonrpc_to_line(document, &line, &len), 0);
	cr_assert_eq(line[len - 1], '\n');
	cr_assert_eq(strlen(line), len);
	snprintf(text, sizeof(text), "%.*s", (int)len - 1, line);
	free(line);
	json_decref(document);
	return text;
}

static struct jsonrpc_request parsed(const char *line)
{
	struct jsonrpc_request request;
	json_t *refusal = NULL;

	cr_assert_eq(jsonrpc_request_parse(line, strlen(line), &request, &refusal), 0, "%s", line);
	cr_assert_null(refusal);
	return request;
}

Test(jsonrpc, a_request_is_taken_apart)
{
	struct jsonrpc_request r =
		parsed("{\"jsonrpc\":\"2.0\",\"method\":\"list\",\"params\":{\"a\":1},\"id\":7}");

	cr_assert_str_eq(r.method, "list");
	cr_assert_eq(json_integer_value(json_object_get(r.params, "a")), 1);
	cr_assert_eq(json_integer_value(r.id), 7);
	jsonrpc_request_clear(&r);
	cr_assert_null(r.document);
	jsonrpc_request_clear(&r);

	r = parsed("{\"id\":\"x\",\"method\":\"list\",\"jsonrpc\":\"2.0\",\"more\":true}");
	cr_assert_null(r.params);
	cr_assert_str_eq(json_string_value(r.id), "x");
	jsonrpc_request_clear(&r);

	r = parsed("{\"jsonrpc\":\"2.0\",\"method\":\"list\",\"params\":[]}");
	cr_assert_null(r.id, "a notification");
	jsonrpc_request_clear(&r);

	r = parsed("{\"jsonrpc\":\"2.0\",\"method\":\"list\",\"id\":null}");
	cr_assert(json_is_null(r.id), "odd, but no notification");
	jsonrpc_request_clear(&r);
}

Test(jsonrpc, what_is_no_request_is_answered)
{
	static const struct {
		const char *line;
		int code;
		const char *id;
	} cases[] = {
		{"{\"jsonrpc\":\"2.0\",\"method\":\"x\",\"id\":1", -32700, "null"},
		{"hello", -32700, "null"},
		{"{} {}", -32700, "null"},
		{"{\"id\":1,\"id\":2}", -32700, "null"},
		{"\"\xff\"", -32700, "null"},
		{"{\"a\\u0000\":1}", -32700, "null"},
		{"7", -32600, "null"},
		{"\"text\"", -32600, "null"},
		{"null", -32600, "null"},
		{"{}", -32600, "null"},
		{"[]", -32600, "null"},
		{"[{\"jsonrpc\":\"2.0\",\"method\":\"x\",\"id\":1}]", -32600, "null"},
		{"{\"method\":\"x\",\"id\":1}", -32600, "1"},
		{"{\"jsonrpc\":\"1.0\",\"method\":\"x\",\"id\":1}", -32600, "1"},
		{"{\"jsonrpc\":2.0,\"method\":\"x\",\"id\":1}", -32600, "1"},
		{"{\"jsonrpc\":\"2.0\",\"id\":\"a\"}", -32600, "\"a\""},
		{"{\"jsonrpc\":\"2.0\",\"method\":7,\"id\":1}", -32600, "1"},
		{"{\"jsonrpc\":\"2.0\",\"method\":\"x\",\"params\":7,\"id\":1}", -32600, "1"},
		{"{\"jsonrpc\":\"2.0\",\"method\":\"x\",\"params\":null,\"id\":1}", -32600, "1"},
		{"{\"jsonrpc\":\"2.0\",\"method\":\"x\",\"id\":{}}", -32600, "null"},
		{"{\"jsonrpc\":\"2.0\",\"method\":\"x\",\"id\":true}", -32600, "null"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct jsonrpc_request request = {.method = "untouched"};
		struct jsonrpc_response response;
		json_t *refusal = NULL;
		char *line, *id;
		size_t len;

		cr_assert_eq(jsonrpc_request_parse(cases[i].line, strlen(cases[i].line), &request,
						   &refusal),
			     -EBADMSG, "%s", cases[i].line);
		cr_assert_str_eq(request.method, "untouched");
		cr_assert_eq(jsonrpc_to_line(refusal, &line, &len), 0);
		cr_assert_eq(jsonrpc_response_parse(line, len, &response), 0, "%s", line);
		cr_assert_eq(response.code, cases[i].code, "%s: %s", cases[i].line, line);
		cr_assert_gt(strlen(response.message), 10);
		id = json_dumps(response.id, JSON_ENCODE_ANY);
		cr_assert_str_eq(id, cases[i].id, "%s", cases[i].line);
		cr_assert_eq(strstr(line, "Batch") != NULL, cases[i].line[0] == '[');
		free(id);
		free(line);
		json_decref(refusal);
		jsonrpc_response_clear(&response);
	}
}

Test(jsonrpc, nesting_has_an_end)
{
	enum { DEPTH = 100000 };
	struct jsonrpc_request request;
	json_t *refusal;
	char *deep = malloc(DEPTH);

	memset(deep, '[', DEPTH);
	cr_assert_eq(jsonrpc_request_parse(deep, DEPTH, &request, &refusal), -EBADMSG);
	json_decref(refusal);
	free(deep);
}

Test(jsonrpc, parameters_by_name)
{
	struct jsonrpc_request r = parsed("{\"jsonrpc\":\"2.0\",\"method\":\"create\",\"params\":"
					  "{\"name\":\"n\",\"size\":5},\"id\":1}");
	const char *name = NULL, *extra = "default";
	json_t *refusal = NULL;
	json_int_t size = 0;

	cr_assert_eq(jsonrpc_request_unpack(&r, &refusal, "{s:s, s:I, s?:s !}", "name", &name,
					    "size", &size, "extra", &extra),
		     0);
	cr_assert_null(refusal);
	cr_assert_str_eq(name, "n");
	cr_assert_eq(size, 5);
	cr_assert_str_eq(extra, "default");
	cr_assert_eq(jsonrpc_request_unpack(&r, &refusal, "{s:i}", "name", &size), -EBADMSG);
	cr_assert_str_eq(as_text(refusal),
			 "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32602,\"message\":\"Wrong "
			 "parameters for create: Expected integer, got string\"},\"id\":1}");
	cr_assert_eq(jsonrpc_request_unpack(&r, &refusal, "{s:s !}", "name", &name), -EBADMSG);
	cr_assert_not_null(strstr(as_text(refusal), "size"), "names the one it does not know");
	cr_assert_eq(jsonrpc_request_unpack(&r, &refusal, "{s:s}", "missing", &name), -EBADMSG);
	cr_assert_not_null(strstr(as_text(refusal), "missing"));
	jsonrpc_request_clear(&r);

	r = parsed("{\"jsonrpc\":\"2.0\",\"method\":\"list\",\"params\":[1],\"id\":1}");
	cr_assert_eq(jsonrpc_request_unpack(&r, &refusal, "{}"), -EBADMSG, "not by position");
	cr_assert_not_null(strstr(as_text(refusal), "-32602"));
	jsonrpc_request_clear(&r);

	r = parsed("{\"jsonrpc\":\"2.0\",\"method\":\"list\",\"id\":1}");
	cr_assert_eq(jsonrpc_request_unpack(&r, &refusal, "{s?:s !}", "name", &name), 0,
		     "none are an empty object");
	jsonrpc_request_clear(&r);
}

Test(jsonrpc, replies, .init = count_allocations)
{
	struct jsonrpc_request r = parsed("{\"jsonrpc\":\"2.0\",\"method\":\"list\",\"id\":1.5}");
	json_t *response = NULL;

	cr_assert_eq(jsonrpc_reply(&r, json_pack("[s]", "a\nb"), &response), 0);
	cr_assert_str_eq(as_text(response),
			 "{\"jsonrpc\":\"2.0\",\"result\":[\"a\\nb\"],\"id\":1.5}");
	cr_assert_eq(jsonrpc_reply(&r, json_null(), &response), 0);
	cr_assert_str_eq(as_text(response), "{\"jsonrpc\":\"2.0\",\"result\":null,\"id\":1.5}");
	cr_assert_eq(jsonrpc_refuse(&r, JSONRPC_METHOD_NOT_FOUND, "no such thing", NULL, &response),
		     0);
	cr_assert_str_eq(as_text(response), "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32601,"
					    "\"message\":\"no such thing\"},\"id\":1.5}");
	cr_assert_eq(jsonrpc_refuse(&r, JSONRPC_REFUSED, "no", json_pack("{ss}", "port", "80"),
				    &response),
		     0);
	cr_assert_str_eq(as_text(response),
			 "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32000,\"message\":\"no\","
			 "\"data\":{\"port\":\"80\"}},\"id\":1.5}");
	response = NULL;
	cr_assert_eq(jsonrpc_reply(&r, NULL, &response), -ENOMEM, "what a failed builder gave");
	cr_assert_null(response);
	jsonrpc_request_clear(&r);
	cr_assert_eq(jsonrpc_refuse_line(1024, &response), 0);
	cr_assert_not_null(strstr(as_text(response), "at most 1024 bytes"));
	cr_assert_eq(living, 0);
}

Test(jsonrpc, a_notification_gets_no_answer, .init = count_allocations)
{
	struct jsonrpc_request r =
		parsed("{\"jsonrpc\":\"2.0\",\"method\":\"list\",\"params\":{\"a\":1}}");
	json_t dummy, *response = &dummy;
	int n;

	cr_assert_eq(jsonrpc_reply(&r, json_string("x"), &response), 0);
	cr_assert_null(response);
	response = &dummy;
	cr_assert_eq(jsonrpc_refuse(&r, JSONRPC_REFUSED, "no", json_string("x"), &response), 0);
	cr_assert_null(response);
	response = &dummy;
	cr_assert_eq(jsonrpc_request_unpack(&r, &response, "{s:i}", "b", &n), -EBADMSG);
	cr_assert_null(response);
	jsonrpc_request_clear(&r);
	cr_assert_eq(living, 0, "what was taken is released");
}

Test(jsonrpc, a_message_may_quote_any_bytes)
{
	struct jsonrpc_request r = parsed("{\"jsonrpc\":\"2.0\",\"method\":\"x\",\"id\":1}");
	json_t *response;

	cr_assert_eq(jsonrpc_refuse(&r, JSONRPC_REFUSED, "caf\xc3\xa9", NULL, &response), 0);
	cr_assert_not_null(strstr(as_text(response), "caf\xc3\xa9"));
	cr_assert_eq(jsonrpc_refuse(&r, JSONRPC_REFUSED, "caf\xc3", NULL, &response), 0);
	cr_assert_not_null(strstr(as_text(response), "caf?"));
	jsonrpc_request_clear(&r);
}

/* ---- the client's side ---- */

Test(jsonrpc, a_request_written_is_a_request_read)
{
	struct jsonrpc_request r;
	json_t *document, *refusal;
	size_t len;
	char *line;

	cr_assert_eq(jsonrpc_request_new(3, "stop", json_pack("{ss}", "name", "n"), &document), 0);
	cr_assert_eq(jsonrpc_to_line(document, &line, &len), 0);
	cr_assert_str_eq(line, "{\"jsonrpc\":\"2.0\",\"method\":\"stop\",\"params\":"
			       "{\"name\":\"n\"},\"id\":3}\n");
	cr_assert_eq(jsonrpc_request_parse(line, len, &r, &refusal), 0);
	jsonrpc_request_clear(&r);
	free(line);
	json_decref(document);
	cr_assert_eq(jsonrpc_request_new(4, "list", NULL, &document), 0);
	cr_assert_str_eq(as_text(document), "{\"jsonrpc\":\"2.0\",\"method\":\"list\",\"id\":4}");
}

Test(jsonrpc, responses_are_taken_apart)
{
	static const char ok[] = "{\"jsonrpc\":\"2.0\",\"result\":null,\"id\":3}";
	static const char no[] = "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32000,\"message\":"
				 "\"no\",\"data\":[1]},\"id\":null}";
	struct jsonrpc_response r;

	cr_assert_eq(jsonrpc_response_parse(ok, strlen(ok), &r), 0);
	cr_assert(json_is_null(r.result), "null is a result");
	cr_assert_null(r.message);
	cr_assert(jsonrpc_response_is_to(&r, 3));
	cr_assert_not(jsonrpc_response_is_to(&r, 4));
	jsonrpc_response_clear(&r);
	cr_assert_eq(jsonrpc_response_parse(no, strlen(no), &r), 0);
	cr_assert_null(r.result);
	cr_assert_eq(r.code, -32000);
	cr_assert_str_eq(r.message, "no");
	cr_assert_eq(json_array_size(r.data), 1);
	cr_assert(jsonrpc_response_is_to(&r, 3), "a null id: it could not be read");
	jsonrpc_response_clear(&r);
	jsonrpc_response_clear(&r);
}

Test(jsonrpc, what_is_no_response_is_refused)
{
	static const char *const bad[] = {
		"",
		"hello",
		"[]",
		"7",
		"{}",
		"{\"jsonrpc\":\"2.0\",\"id\":1}",
		"{\"jsonrpc\":\"2.0\",\"result\":1}",
		"{\"result\":1,\"id\":1}",
		"{\"jsonrpc\":\"1.0\",\"result\":1,\"id\":1}",
		"{\"jsonrpc\":\"2.0\",\"result\":1,\"id\":[]}",
		"{\"jsonrpc\":\"2.0\",\"error\":7,\"id\":1}",
		"{\"jsonrpc\":\"2.0\",\"error\":{\"code\":1},\"id\":1}",
		"{\"jsonrpc\":\"2.0\",\"error\":{\"message\":\"x\"},\"id\":1}",
		"{\"jsonrpc\":\"2.0\",\"error\":{\"code\":\"1\",\"message\":\"x\"},\"id\":1}",
		("{\"jsonrpc\":\"2.0\",\"id\":1,"
		 "\"result\":1,\"error\":{\"code\":1,\"message\":\"x\"}}"),
	};
	struct jsonrpc_response r = {.code = 7};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_eq(jsonrpc_response_parse(bad[i], strlen(bad[i]), &r), -EBADMSG, "%s",
			     bad[i]);
	cr_assert_eq(r.code, 7, "output on failure");
}

/* ---- no memory ---- */

/* A whole exchange; 0, or -ENOMEM from the first step that failed. jansson takes some failures
 * inside a string for mistakes in the text. */
static int exchange(void)
{
	static const char call[] = "{\"jsonrpc\":\"2.0\",\"method\":\"x\",\"params\":{\"a\":\"b\"},"
				   "\"id\":1}";
	static const char broken[] = "{\"jsonrpc\":\"2.0\",\"id\":\"q\"}";
	struct jsonrpc_request request;
	struct jsonrpc_response response;
	json_t *document = NULL;
	size_t len;
	char *line;
	int r, n;

	r = jsonrpc_request_parse(broken, strlen(broken), &request, &document);
	if (r != -EBADMSG)
		return r;
	json_decref(document);
	r = jsonrpc_request_parse(call, strlen(call), &request, &document);
	if (r == -EBADMSG) {
		json_decref(document);
		r = -ENOMEM;
	}
	if (r < 0)
		return r;
	r = jsonrpc_request_unpack(&request, &document, "{s:i}", "a", &n);
	if (r == -EBADMSG) {
		json_decref(document);
		r = jsonrpc_reply(&request, json_pack("{ss}", "k", "v"), &document);
	}
	if (r == 0) {
		json_decref(document);
		r = jsonrpc_refuse(&request, 1, "caf\xc3", json_pack("[s]", "v"), &document);
	}
	jsonrpc_request_clear(&request);
	if (r < 0)
		return r;
	r = jsonrpc_to_line(document, &line, &len);
	json_decref(document);
	if (r < 0)
		return r == -EINVAL ? -ENOMEM : r; /* jansson does not tell the two apart */
	r = jsonrpc_response_parse(line, len, &response);
	free(line);
	if (r < 0)
		return -ENOMEM;
	jsonrpc_response_clear(&response);
	return 0;
}

Test(jsonrpc, without_memory_nothing_is_left_behind)
{
	int armed = -1, r;

	count_allocations();
	do {
		until_failure = ++armed;
		r = exchange();
		cr_assert(r == 0 || r == -ENOMEM, "allocation %d: %d", armed, r);
		cr_assert_eq(living, 0, "allocation %d", armed);
	} while (r < 0);
	cr_assert_gt(armed, 30, "allocations were made to fail");
}
