/* SPDX-License-Identifier: MIT */
/*
 * fuzz_jsonrpc.c - any bytes into the line framer, each line into both parsers.
 *
 * The first byte says how long the pieces are in which the rest is fed. Held to: the lines do not
 * depend on the pieces; every line is a request or gets one refusal that is itself a response;
 * what was parsed can be written and parsed again.
 */
#include "common/jsonrpc.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES 512 /* short, so that the limit is met */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NEED(x)                  \
	do                       \
		if (!(x))        \
			abort(); \
	while (0)

static void written_is_read(const json_t *document, bool response)
{
	struct jsonrpc_response as_response;
	struct jsonrpc_request as_request;
	json_t *refusal;
	size_t len;
	char *line;

	NEED(jsonrpc_to_line(document, &line, &len) == 0);
	NEED(len > 0 && line[len - 1] == '\n' && !memchr(line, '\n', len - 1));
	if (response) {
		NEED(jsonrpc_response_parse(line, len, &as_response) == 0);
		NEED(json_equal(as_response.document, document));
		jsonrpc_response_clear(&as_response);
	} else {
		NEED(jsonrpc_request_parse(line, len, &as_request, &refusal) == 0);
		NEED(json_equal(as_request.document, document));
		jsonrpc_request_clear(&as_request);
	}
	free(line);
}

static void serve(const struct jsonrpc_request *request)
{
	json_t *answer = NULL, *more;
	const char *name;

	switch (jsonrpc_request_unpack(request, &answer, "{s:s, s?:o !}", "name", &name, "more",
				       &more)) {
	case 0:
		NEED(jsonrpc_reply(request, json_string(name), &answer) == 0);
		break;
	case -EBADMSG:
		break;
	default:
		abort();
	}
	NEED(!answer == !request->id);
	if (answer)
		written_is_read(answer, true);
	json_decref(answer);
}

static void take_line(const char *line, size_t len)
{
	struct jsonrpc_response response;
	struct jsonrpc_request request;
	json_t *refusal = NULL;
	int r;

	r = jsonrpc_request_parse(line, len, &request, &refusal);
	if (r == 0) {
		written_is_read(request.document, false);
		serve(&request);
		jsonrpc_request_clear(&request);
	} else {
		NEED(r == -EBADMSG);
		written_is_read(refusal, true);
		json_decref(refusal);
	}
	r = jsonrpc_response_parse(line, len, &response);
	if (r == 0) {
		written_is_read(response.document, true);
		(void)jsonrpc_response_is_to(&response, 1);
		jsonrpc_response_clear(&response);
	} else {
		NEED(r == -EBADMSG);
	}
}

/* Feed in pieces; a hash of the lines that came out and of how it ended. */
static uint64_t lines_by(size_t piece, const uint8_t *data, size_t size, bool look)
{
	struct jsonrpc_lines *l = jsonrpc_lines_new(LINE_MAX_BYTES);
	uint64_t hash = 14695981039346656037u;
	int r = 0;

	NEED(l);
	for (size_t at = 0; at < size && r >= 0; at += piece) {
		size_t n = size - at < piece ? size - at : piece, len;
		const char *line;

		r = jsonrpc_lines_feed(l, data + at, n);
		NEED(r == 0 || r == -EMSGSIZE);
		while ((r = jsonrpc_lines_next(l, &line, &len)) == 1) {
			NEED(len <= LINE_MAX_BYTES);
			for (size_t i = 0; i < len; i++)
				hash = (hash ^ (uint8_t)line[i]) * 1099511628211u;
			hash = (hash ^ '\n') * 1099511628211u;
			if (look)
				take_line(line, len);
		}
		NEED(r == 0 || r == -EMSGSIZE);
	}
	if (r == 0)
		hash += jsonrpc_lines_pending(l);
	jsonrpc_lines_free(l);
	return r < 0 ? ~hash : hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t piece;

	if (!size)
		return 0;
	piece = (size_t)data[0] + 1;
	data++;
	size--;
	NEED(lines_by(size + 1, data, size, true) == lines_by(piece, data, size, false));
	return 0;
}
