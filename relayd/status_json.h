/* SPDX-License-Identifier: MIT */
/*
 * status_json.h - a large JSON document, made as a text, element by element.
 *
 * A document of thousands of streams as one tree of json_t takes many times its text's memory, so
 * each element is a small tree that is dumped and freed before the next one is made.
 *
 * Life:   json_piece: from json_piece_new() to json_text_piece(), which frees it. json_text: zeroed
 *         memory is empty; json_text_clear(), or the caller takes `at`.
 * Errors: kept inside (no memory is the only one) and asked for once, at the end: json_text.failed.
 * Thread: any; an object belongs to one thread.
 */
#ifndef TRACERELAY_RELAYD_STATUS_JSON_H
#define TRACERELAY_RELAYD_STATUS_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

/* ---- one element: an object ---- */

struct json_piece {
	json_t *json;
	bool failed;
};

struct json_piece json_piece_new(void);
/* Keys are ASCII of ours. The value is taken; NULL (no memory) is a failure. */
void json_piece_put(struct json_piece *p, const char *key, json_t *value);
/* JSON's integers end at 2^63 - 1: only a liar's numbers are larger. */
void json_piece_number(struct json_piece *p, const char *key, uint64_t n);
/* What is not UTF-8 (host names come from peers) becomes '?'. NULL gives null. */
void json_piece_string(struct json_piece *p, const char *key, const char *s);
void json_piece_bool(struct json_piece *p, const char *key, bool value);
/* CLOCK_REALTIME nanoseconds as ISO 8601 in UTC with milliseconds; 0 gives null. */
void json_piece_time(struct json_piece *p, const char *key, int64_t ns);

/* ---- the text ---- */

struct json_text {
	char *at; /* len bytes, not NUL-terminated; NULL while empty */
	size_t len, room;
	bool failed; /* no memory; whatever follows changes nothing */
};

void json_text_add(struct json_text *t, const char *bytes, size_t len);
/* The object's members without its braces; the piece is freed. */
void json_text_members(struct json_text *t, struct json_piece *p);
/* "{...}", behind a comma if something stands before it in a list; the piece is freed. */
void json_text_element(struct json_text *t, struct json_piece *p);
/* `,"key":[` list `]`; the list's text is freed. */
void json_text_list(struct json_text *t, const char *key, struct json_text *list);
/* `,"key":` value; the value is the caller's, NULL is a failure. */
void json_text_value(struct json_text *t, const char *key, const json_t *value);
void json_text_clear(struct json_text *t);

#endif
