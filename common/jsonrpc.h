/* SPDX-License-Identifier: MIT */
/*
 * jsonrpc.h - JSON-RPC 2.0, one message a line, both sides; pure: no I/O, no clock.
 *
 * A server feeds what it read to jsonrpc_lines, takes line by line, parses each to a request and
 * sends back what jsonrpc_reply() or jsonrpc_refuse() gave; a client writes a line and parses one.
 * A line ends with "\n" ("\r\n" is fine too); lines of white space are passed over.
 *
 * Owner:  json_t arguments that a function "takes" are its own from the call on, on failure too
 *         (jansson's stealing convention). Results belong to the caller.
 * Thread: any; an object belongs to one thread at a time.
 * Errors: negative errno; outputs are written only on success, but for the ready-made error
 *         response that goes with -EBADMSG. -ENOMEM is not quite exact: where jansson runs out of
 *         memory inside a string it takes the text for wrong, and so -EBADMSG comes out.
 * Source: https://www.jsonrpc.org/specification; design.md section 7 (control.sock). Differing
 *         from it: batches are refused, as every request is a line of its own here.
 */
#ifndef TRACERELAY_COMMON_JSONRPC_H
#define TRACERELAY_COMMON_JSONRPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

/* Most bytes of a line, its end not counted; nobody types a request longer than this. */
#define JSONRPC_LINE_MAX ((size_t)1 << 20)

enum jsonrpc_code {
	JSONRPC_PARSE_ERROR = -32700,     /* the line is no JSON */
	JSONRPC_INVALID_REQUEST = -32600, /* JSON, but no request; also batches */
	JSONRPC_METHOD_NOT_FOUND = -32601,
	JSONRPC_INVALID_PARAMS = -32602, /* missing, unknown, or of the wrong type */
	JSONRPC_INTERNAL_ERROR = -32603, /* the daemon could not (no memory, an I/O error) */
	JSONRPC_REFUSED = -32000, /* understood, and the answer is no: the message says why */
};

/* ---- lines ---- */

struct jsonrpc_lines; /* opaque: bytes in, lines out */

/* An empty one; lines longer than line_max are refused. NULL without memory. */
struct jsonrpc_lines *jsonrpc_lines_new(size_t line_max);
void jsonrpc_lines_free(struct jsonrpc_lines *l); /* NULL is a no-op */

/*
 * Add what was read. Take the complete lines out after each call: then never more than line_max
 * bytes and one call's are held.
 * Return 0; -EMSGSIZE: the next line is too long, and so it stays: answer, then close (what is fed
 * from then on is thrown away); -ENOMEM: nothing was added.
 */
int jsonrpc_lines_feed(struct jsonrpc_lines *l, const void *bytes, size_t len);

/*
 * Take the next line that has something on it.
 * @ret_line  without its end, not NUL-terminated; borrowed until the next call on l
 * Return 1; 0: feed more; -EMSGSIZE: the next line is too long, as above.
 */
int jsonrpc_lines_next(struct jsonrpc_lines *l, const char **ret_line, size_t *ret_len);

/* Bytes of a line that has begun: at end of file, other than 0 means that it was cut. */
size_t jsonrpc_lines_pending(const struct jsonrpc_lines *l);

/* ---- server ---- */

struct jsonrpc_request {
	json_t *document;   /* owned: jsonrpc_request_clear() */
	const char *method; /* the rest points into the document */
	json_t *params;     /* object or array; NULL: none were sent */
	json_t *id;         /* string, number or null; NULL: a notification, gets no response */
};

/*
 * Understand one line.
 * Return 0; -EBADMSG: it is no request, and *ret_refusal is the response to send (-32700 or
 * -32600); -ENOMEM.
 */
int jsonrpc_request_parse(const char *line, size_t len, struct jsonrpc_request *ret,
			  json_t **ret_refusal);
void jsonrpc_request_clear(struct jsonrpc_request *request); /* copes with a zeroed struct */

/*
 * Take parameters by name, in the format of json_unpack(): "{s:s, s?:i !}", with '!' to refuse
 * unknown ones. Strings and objects stay the document's. No parameters count as {}.
 * Return 0; -EBADMSG: *ret_refusal is the -32602 response that says what is wrong, NULL for a
 * notification; -ENOMEM. Outputs named in the format may be partly written then.
 */
int jsonrpc_request_unpack(const struct jsonrpc_request *request, json_t **ret_refusal,
			   const char *format, ...);

/*
 * The response that carries a result.
 * @result  taken; json_null() if there is nothing to say. NULL, what jansson's builders give when
 *          memory runs out, is -ENOMEM here, so that its caller need not ask before.
 * Return 0, *ret is NULL for a notification; -ENOMEM.
 */
int jsonrpc_reply(const struct jsonrpc_request *request, json_t *result, json_t **ret);

/*
 * The response that says no.
 * @message  a sentence for people, as the CLI prints it. Bytes that are no UTF-8 (a file's name, a
 *           cut word) are sent as '?'
 * @data     more for programs, taken; NULL: none
 * Return 0, *ret is NULL for a notification; -ENOMEM.
 */
int jsonrpc_refuse(const struct jsonrpc_request *request, int code, const char *message,
		   json_t *data, json_t **ret);

/* The response to a line that is too long to be read (jsonrpc_lines_next() said -EMSGSIZE); its
 * id is null. Return 0 or -ENOMEM. */
int jsonrpc_refuse_line(size_t line_max, json_t **ret);

/* ---- client ---- */

/* A request; params (taken) is an object or array (asserted), NULL for none.
 * Return 0 or -ENOMEM. */
int jsonrpc_request_new(int64_t id, const char *method, json_t *params, json_t **ret);

struct jsonrpc_response {
	json_t *document; /* owned: jsonrpc_response_clear() */
	json_t *id;       /* the rest points into the document */
	json_t *result;   /* NULL: it is an error, and the fields below are set */
	int64_t code;     /* enum jsonrpc_code or another one */
	const char *message;
	json_t *data; /* NULL: none */
};

/*
 * Understand one line. Whether the id is the request's is the caller's to compare
 * (jsonrpc_response_is_to()).
 * Return 0; -EBADMSG: no response; -ENOMEM.
 */
int jsonrpc_response_parse(const char *line, size_t len, struct jsonrpc_response *ret);
void jsonrpc_response_clear(struct jsonrpc_response *response);

/* Whether it answers the request with that id. A null id (a request that could not be read)
 * counts: a client with one request under way means that one. */
bool jsonrpc_response_is_to(const struct jsonrpc_response *response, int64_t id);

/* ---- both ---- */

/*
 * The bytes to send: compact JSON in one line, "\n" included, NUL behind it for convenience.
 * @message  borrowed
 * Return 0, *ret is malloc()ed; -ENOMEM; -EINVAL: it cannot be written as JSON (a loop).
 */
int jsonrpc_to_line(const json_t *message, char **ret, size_t *ret_len);

#endif
