/* SPDX-License-Identifier: MIT */
/* status_json.c - a JSON document as a growing text; see status_json.h. */
#include "relayd/status_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FIRST_ROOM 4096

/* ---- one element ---- */

struct json_piece json_piece_new(void)
{
	struct json_piece p = {.json = json_object()};

	p.failed = !p.json;
	return p;
}

void json_piece_put(struct json_piece *p, const char *key, json_t *value)
{
	if (json_object_set_new_nocheck(p->json, key, value) < 0)
		p->failed = true;
}

void json_piece_number(struct json_piece *p, const char *key, uint64_t n)
{
	json_piece_put(p, key, json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n));
}

static json_t *harmless_string(const char *s)
{
	json_t *json = json_string(s);
	char *copy;

	if (json)
		return json;
	copy = strdup(s); /* no memory, or no UTF-8 */
	if (!copy)
		return NULL;
	for (char *c = copy; *c; c++)
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	json = json_string(copy);
	free(copy);
	return json;
}

void json_piece_string(struct json_piece *p, const char *key, const char *s)
{
	json_piece_put(p, key, s ? harmless_string(s) : json_null());
}

void json_piece_bool(struct json_piece *p, const char *key, bool value)
{
	json_piece_put(p, key, json_boolean(value));
}

void json_piece_time(struct json_piece *p, const char *key, int64_t ns)
{
	time_t seconds = (time_t)(ns / 1000000000);
	char day[32], text[48];
	struct tm tm;

	if (ns <= 0 || !gmtime_r(&seconds, &tm) ||
	    !strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm)) {
		json_piece_put(p, key, json_null());
		return;
	}
	snprintf(text, sizeof(text), "%s.%03dZ", day, (int)(ns % 1000000000 / 1000000));
	json_piece_put(p, key, json_string(text));
}

/* ---- the text ---- */

static bool make_room(struct json_text *t, size_t more)
{
	size_t room = t->room ? t->room : FIRST_ROOM;
	char *at;

	if (t->failed)
		return false;
	if (t->room - t->len >= more)
		return true;
	while (room - t->len < more)
		room += room / 2;
	at = realloc(t->at, room);
	if (!at) {
		t->failed = true;
		return false;
	}
	t->at = at;
	t->room = room;
	return true;
}

void json_text_add(struct json_text *t, const char *bytes, size_t len)
{
	if (!len || !make_room(t, len))
		return;
	memcpy(t->at + t->len, bytes, len);
	t->len += len;
}

static int add_dumped(const char *bytes, size_t len, void *text)
{
	struct json_text *t = text;

	json_text_add(t, bytes, len);
	return t->failed ? -1 : 0;
}

static void dump(struct json_text *t, const json_t *value, size_t flags)
{
	if (!value || json_dump_callback(value, add_dumped, t, JSON_COMPACT | flags) < 0)
		t->failed = true;
}

void json_text_members(struct json_text *t, struct json_piece *p)
{
	t->failed |= p->failed;
	dump(t, p->json, JSON_EMBED);
	json_decref(p->json);
	p->json = NULL;
}

void json_text_element(struct json_text *t, struct json_piece *p)
{
	if (t->len)
		json_text_add(t, ",", 1);
	json_text_add(t, "{", 1);
	json_text_members(t, p);
	json_text_add(t, "}", 1);
}

static void add_key(struct json_text *t, const char *key)
{
	json_text_add(t, ",\"", 2);
	json_text_add(t, key, strlen(key));
	json_text_add(t, "\":", 2);
}

void json_text_list(struct json_text *t, const char *key, struct json_text *list)
{
	add_key(t, key);
	json_text_add(t, "[", 1);
	json_text_add(t, list->at, list->len);
	json_text_add(t, "]", 1);
	t->failed |= list->failed;
	json_text_clear(list);
}

void json_text_value(struct json_text *t, const char *key, const json_t *value)
{
	add_key(t, key);
	dump(t, value, JSON_ENCODE_ANY);
}

void json_text_clear(struct json_text *t)
{
	free(t->at);
	*t = (struct json_text){0};
}
