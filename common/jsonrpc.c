/* SPDX-License-Identifier: MIT */
/*
 * jsonrpc.c - framing, requests and responses. Contract: jsonrpc.h.
 */
#include "common/jsonrpc.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- lines ---- */

/*
 * buf:  | taken lines | untaken complete lines | the line that has begun |  room  |
 *       0           start                                              len      cap
 * [start, seen) holds no line end: looked through once, however small the pieces come.
 */
struct jsonrpc_lines {
	char *buf;
	size_t cap, len, start, seen;
	size_t line_max;
	bool too_long; /* the line at its turn: nothing behind it is kept */
};

struct jsonrpc_lines *jsonrpc_lines_new(size_t line_max)
{
	struct jsonrpc_lines *l = calloc(1, sizeof(*l));

	if (l)
		l->line_max = line_max;
	return l;
}

void jsonrpc_lines_free(struct jsonrpc_lines *l)
{
	if (!l)
		return;
	free(l->buf);
	free(l);
}

/* Find the end of the line at start. -EMSGSIZE as soon as it is known to be too long. */
static int find_end(struct jsonrpc_lines *l, size_t *ret_end)
{
	const char *newline = NULL;
	size_t end;

	if (l->seen < l->len)
		newline = memchr(l->buf + l->seen, '\n', l->len - l->seen);
	end = newline ? (size_t)(newline - l->buf) : l->len;
	l->seen = end;
	if (end - l->start > l->line_max) {
		l->too_long = true;
		return -EMSGSIZE;
	}
	*ret_end = end;
	return newline ? 1 : 0;
}

int jsonrpc_lines_feed(struct jsonrpc_lines *l, const void *bytes, size_t len)
{
	size_t end;
	int r;

	if (l->too_long)
		return -EMSGSIZE;
	if (l->start) { /* what was taken makes room first */
		memmove(l->buf, l->buf + l->start, l->len - l->start);
		l->len -= l->start;
		l->seen -= l->start;
		l->start = 0;
	}
	if (len > l->cap - l->len) {
		size_t cap = l->len + len;
		char *grown;

		if (cap < 2 * l->cap)
			cap = 2 * l->cap;
		grown = realloc(l->buf, cap);
		if (!grown)
			return -ENOMEM;
		l->buf = grown;
		l->cap = cap;
	}
	if (len)
		memcpy(l->buf + l->len, bytes, len);
	l->len += len;
	r = find_end(l, &end);
	return r < 0 ? r : 0;
}

static bool is_blank(const char *text, size_t len)
{
	while (len && memchr(" \t\r", *text, 3)) {
		text++;
		len--;
	}
	return len == 0;
}

int jsonrpc_lines_next(struct jsonrpc_lines *l, const char **ret_line, size_t *ret_len)
{
	for (;;) {
		const char *line;
		size_t end, len;
		int r;

		if (l->too_long)
			return -EMSGSIZE;
		r = find_end(l, &end);
		if (r <= 0)
			return r;
		line = l->buf + l->start;
		len = end - l->start;
		l->start = l->seen = end + 1;
		if (is_blank(line, len))
			continue;
		if (line[len - 1] == '\r')
			len--;
		*ret_line = line;
		*ret_len = len;
		return 1;
	}
}

size_t jsonrpc_lines_pending(const struct jsonrpc_lines *l)
{
	return l->len - l->start;
}

/* ---- building ---- */

/* Whether jansson failed for want of memory. Not all its places say so: those leave the code as it
 * was, so it has to be 0 before the call. No mistake in a text does that. */
static bool no_memory(const json_error_t *error)
{
	enum json_error_code code = json_error_code(error);

	return code == json_error_out_of_memory || code == json_error_unknown;
}

/* A JSON string of any bytes. jansson takes UTF-8 only, and a message may quote what is not. */
static json_t *text(const char *bytes)
{
	json_t *string = json_string(bytes);
	char *ascii;

	if (string)
		return string;
	ascii = strdup(bytes);
	if (!ascii)
		return NULL;
	for (char *p = ascii; *p; p++)
		if (*p & 0x80)
			*p = '?';
	string = json_string(ascii);
	free(ascii);
	return string;
}

/* id borrowed; data taken, NULL: none */
static int build_error(json_t *id, int code, const char *message, json_t *data, json_t **ret)
{
	json_t *response;

	response = json_pack("{s:s, s:{s:i, s:o, s:o*}, s:O}", "jsonrpc", "2.0", "error", "code",
			     code, "message", text(message), "data", data, "id", id);
	if (!response)
		return -ENOMEM;
	*ret = response;
	return 0;
}

/* Refuse a line that gave no request: -EBADMSG with the response, or -ENOMEM. */
static int refuse_document(json_t *document, int code, const char *message, json_t **ret_refusal)
{
	json_t *id = json_object_get(document, "id"); /* NULL from what is no object */
	int r;

	if (!json_is_string(id) && !json_is_number(id))
		id = json_null(); /* not counted, lives for ever */
	r = build_error(id, code, message, NULL, ret_refusal);
	json_decref(document);
	return r < 0 ? r : -EBADMSG;
}

/* ---- server ---- */

int jsonrpc_request_parse(const char *line, size_t len, struct jsonrpc_request *ret,
			  json_t **ret_refusal)
{
	json_t *document, *version, *method, *params, *id;
	const char *wrong = NULL;
	json_error_t error = {0};

	document = json_loadb(line, len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
	if (!document) {
		char message[JSON_ERROR_TEXT_LENGTH + 64];

		if (no_memory(&error))
			return -ENOMEM;
		(void)snprintf(message, sizeof(message), "This is no JSON: %s (byte %d)",
			       error.text, error.position);
		return refuse_document(NULL, JSONRPC_PARSE_ERROR, message, ret_refusal);
	}
	version = json_object_get(document, "jsonrpc");
	method = json_object_get(document, "method");
	params = json_object_get(document, "params");
	id = json_object_get(document, "id");
	if (json_is_array(document))
		wrong = "Batches are not served: send each request in a line of its own";
	else if (!json_is_object(document))
		wrong = "A request is a JSON object";
	else if (!json_is_string(version) || strcmp(json_string_value(version), "2.0") != 0)
		wrong = "A request has \"jsonrpc\": \"2.0\"";
	else if (!json_is_string(method))
		wrong = "A request has a \"method\", a string";
	else if (params && !json_is_object(params) && !json_is_array(params))
		wrong = "\"params\" is an object or an array";
	else if (id && !json_is_string(id) && !json_is_number(id) && !json_is_null(id))
		wrong = "\"id\" is a string or a number";
	if (wrong)
		return refuse_document(document, JSONRPC_INVALID_REQUEST, wrong, ret_refusal);
	*ret = (struct jsonrpc_request){.document = document,
					.method = json_string_value(method),
					.params = params,
					.id = id};
	return 0;
}

void jsonrpc_request_clear(struct jsonrpc_request *request)
{
	json_decref(request->document);
	*request = (struct jsonrpc_request){0};
}

int jsonrpc_request_unpack(const struct jsonrpc_request *request, json_t **ret_refusal,
			   const char *format, ...)
{
	json_t *params = request->params ? json_incref(request->params) : json_object();
	char message[JSON_ERROR_TEXT_LENGTH + 64];
	json_error_t error = {0};
	va_list ap;
	int r;

	if (!params)
		return -ENOMEM;
	va_start(ap, format);
	r = json_vunpack_ex(params, &error, 0, format, ap);
	va_end(ap);
	json_decref(params);
	if (r == 0)
		return 0;
	if (no_memory(&error))
		return -ENOMEM;
	assert(json_error_code(&error) != json_error_invalid_format);
	(void)snprintf(message, sizeof(message), "Wrong parameters for %.40s: %s", request->method,
		       error.text);
	r = jsonrpc_refuse(request, JSONRPC_INVALID_PARAMS, message, NULL, ret_refusal);
	return r < 0 ? r : -EBADMSG;
}

int jsonrpc_reply(const struct jsonrpc_request *request, json_t *result, json_t **ret)
{
	json_t *response;

	if (!request->id) {
		json_decref(result);
		*ret = NULL;
		return 0;
	}
	/* "o" of NULL fails, as it should */
	response =
		json_pack("{s:s, s:o, s:O}", "jsonrpc", "2.0", "result", result, "id", request->id);
	if (!response)
		return -ENOMEM;
	*ret = response;
	return 0;
}

int jsonrpc_refuse(const struct jsonrpc_request *request, int code, const char *message,
		   json_t *data, json_t **ret)
{
	if (!request->id) {
		json_decref(data);
		*ret = NULL;
		return 0;
	}
	return build_error(request->id, code, message, data, ret);
}

int jsonrpc_refuse_line(size_t line_max, json_t **ret)
{
	char message[80];

	(void)snprintf(message, sizeof(message), "A line has at most %zu bytes", line_max);
	return build_error(json_null(), JSONRPC_INVALID_REQUEST, message, NULL, ret);
}

/* ---- client ---- */

int jsonrpc_request_new(int64_t id, const char *method, json_t *params, json_t **ret)
{
	json_t *request;

	assert(!params || json_is_object(params) || json_is_array(params));
	request = json_pack("{s:s, s:s, s:o*, s:I}", "jsonrpc", "2.0", "method", method, "params",
			    params, "id", (json_int_t)id);
	if (!request)
		return -ENOMEM;
	*ret = request;
	return 0;
}

int jsonrpc_response_parse(const char *line, size_t len, struct jsonrpc_response *ret)
{
	struct jsonrpc_response response = {0};
	json_t *version, *error, *code, *message;
	json_error_t why = {0};

	response.document = json_loadb(line, len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &why);
	if (!response.document)
		return no_memory(&why) ? -ENOMEM : -EBADMSG;
	/* json_object_get() gives NULL from what is no object */
	version = json_object_get(response.document, "jsonrpc");
	response.id = json_object_get(response.document, "id");
	response.result = json_object_get(response.document, "result");
	error = json_object_get(response.document, "error");
	if (!json_is_string(version) || strcmp(json_string_value(version), "2.0") != 0)
		goto bad;
	if (!json_is_string(response.id) && !json_is_number(response.id) &&
	    !json_is_null(response.id))
		goto bad;
	if (!response.result == !error) /* exactly one of the two */
		goto bad;
	if (error) {
		code = json_object_get(error, "code");
		message = json_object_get(error, "message");
		if (!json_is_integer(code) || !json_is_string(message))
			goto bad;
		response.code = json_integer_value(code);
		response.message = json_string_value(message);
		response.data = json_object_get(error, "data");
	}
	*ret = response;
	return 0;
bad:
	json_decref(response.document);
	return -EBADMSG;
}

void jsonrpc_response_clear(struct jsonrpc_response *response)
{
	json_decref(response->document);
	*response = (struct jsonrpc_response){0};
}

bool jsonrpc_response_is_to(const struct jsonrpc_response *response, int64_t id)
{
	return json_is_null(response->id) ||
	       (json_is_integer(response->id) && json_integer_value(response->id) == id);
}

/* ---- both ---- */

struct sink {
	char *buf;
	size_t len, cap;
	bool no_memory;
};

static int sink_add(const char *bytes, size_t len, void *arg)
{
	struct sink *s = arg;

	if (len > s->cap - s->len) {
		size_t cap = s->cap ? 2 * s->cap : 256;
		char *grown;

		while (len > cap - s->len)
			cap *= 2;
		grown = realloc(s->buf, cap);
		if (!grown) {
			s->no_memory = true;
			return -1;
		}
		s->buf = grown;
		s->cap = cap;
	}
	memcpy(s->buf + s->len, bytes, len);
	s->len += len;
	return 0;
}

int jsonrpc_to_line(const json_t *message, char **ret, size_t *ret_len)
{
	struct sink s = {0};

	/* Strings are escaped, so the only line end is ours. */
	if (json_dump_callback(message, sink_add, &s, JSON_COMPACT | JSON_ENCODE_ANY) < 0 ||
	    sink_add("\n", 2, &s) < 0) { /* with its NUL */
		free(s.buf);
		return s.no_memory ? -ENOMEM : -EINVAL;
	}
	*ret = s.buf;
	*ret_len = s.len - 1;
	return 0;
}
