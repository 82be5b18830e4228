/* SPDX-License-Identifier: MIT */
/* option_type.c - what each type of option accepts; see option_type.h. */
#include "config/option_type.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "config/address_list.h"
#include "config/options.h"
#include "config/quantity.h"

_Static_assert(ADDRESS_WHY_MAX == OPTION_WHY_MAX, "address_list_parse() writes into our why");

/* The kernel's limits: include/net/tcp.h, MAX_TCP_KEEPIDLE, MAX_TCP_KEEPINTVL, MAX_TCP_KEEPCNT. */
#define KEEP_TIME_MAX_S 32767
#define KEEP_COUNT_MAX  127

__attribute__((format(printf, 2, 3))) static int refuse(char why[OPTION_WHY_MAX],
							const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, OPTION_WHY_MAX, format, args);
	va_end(args);
	return -EINVAL;
}

/* ---- numbers: COUNT, SIZE, DURATION ---- */

static char *format_number(enum option_type type, uint64_t n, char buf[QUANTITY_TEXT_MAX])
{
	switch (type) {
	case OPTION_SIZE:
		return quantity_format_size(n, buf);
	case OPTION_DURATION:
		return quantity_format_duration(n, buf);
	default:
		return quantity_format_count(n, buf);
	}
}

static int check_number(const struct option_row *row, uint64_t n, char why[OPTION_WHY_MAX])
{
	char limit[QUANTITY_TEXT_MAX];

	if (n < row->min)
		return refuse(why, "is less than %s", format_number(row->type, row->min, limit));
	if (n > row->max)
		return refuse(why, "is more than %s", format_number(row->type, row->max, limit));
	return 0;
}

static int parse_number(const struct option_row *row, const char *text, uint64_t *ret,
			char why[OPTION_WHY_MAX])
{
	uint64_t n;
	int r;

	switch (row->type) {
	case OPTION_SIZE:
		r = quantity_parse_size(text, &n);
		break;
	case OPTION_DURATION:
		r = quantity_parse_duration(text, &n);
		break;
	default:
		r = quantity_parse_count(text, &n);
	}
	if (r == -ERANGE)
		return refuse(why, "is far too large");
	if (r < 0 && row->type == OPTION_DURATION && quantity_parse_count(text, &n) == 0)
		return refuse(why, "has no unit");
	if (r < 0)
		return refuse(why, "is no %s",
			      row->type == OPTION_SIZE       ? "size"
			      : row->type == OPTION_DURATION ? "duration"
							     : "number");
	r = check_number(row, n, why);
	if (r == 0)
		*ret = n;
	return r;
}

static void set_number(const struct option_row *row, void *field, uint64_t n)
{
	if (row->type == OPTION_COUNT)
		*(uint32_t *)field = (uint32_t)n;
	else
		*(uint64_t *)field = n;
}

static uint64_t get_number(const struct option_row *row, const void *field)
{
	return row->type == OPTION_COUNT ? *(const uint32_t *)field : *(const uint64_t *)field;
}

/* ---- the others ---- */

/* Jansson takes no other text, and snapshots travel as JSON. */
static bool is_utf8(const char *text)
{
	json_t *string = json_string(text);
	bool is = string != NULL;

	json_decref(string);
	return is;
}

static int parse_path(const struct option_row *row, const char *text, char **ret,
		      char why[OPTION_WHY_MAX])
{
	size_t len = strlen(text);
	char *copy;

	if (len == 0)
		return refuse(why, "is empty");
	if (text[0] != '/')
		return refuse(why, "does not begin with /");
	for (const char *c = text; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return refuse(why, "has a control character in it");
	if (!is_utf8(text))
		return refuse(why, "is not written in UTF-8");
	while (len > 1 && text[len - 1] == '/')
		len--;
	if (len > row->max)
		return refuse(why, "is longer than %" PRIu64 " bytes", row->max);
	copy = strndup(text, len);
	if (!copy)
		return -ENOMEM;
	*ret = copy;
	return 0;
}

/* Whether there is such a user is asked when options are loaded, not here. */
static int parse_user(const struct option_row *row, const char *text, char **ret,
		      char why[OPTION_WHY_MAX])
{
	char *copy;

	if (strlen(text) > row->max)
		return refuse(why, "is longer than %" PRIu64 " bytes", row->max);
	for (const char *c = text; *c; c++)
		if (*c <= ' ' || *c >= 0x7f || strchr(":/,", *c))
			return refuse(why, "is no name of a user");
	copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	*ret = copy;
	return 0;
}

static int parse_bool(const char *text, bool *ret, char why[OPTION_WHY_MAX])
{
	static const char *const words[][2] = {
		{"no", "yes"}, {"false", "true"}, {"off", "on"}, {"0", "1"}};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		for (int value = 0; value < 2; value++) {
			if (strcmp(text, words[i][value]) != 0)
				continue;
			*ret = value;
			return 0;
		}
	}
	return refuse(why, "is neither yes nor no");
}

static int parse_choice(const struct option_row *row, const char *text, unsigned *ret,
			char why[OPTION_WHY_MAX])
{
	for (unsigned i = 0; row->choices[i]; i++) {
		if (strcmp(text, row->choices[i]) != 0)
			continue;
		*ret = i;
		return 0;
	}
	return refuse(why, "is none of the words that are accepted");
}

/* Split "a<sep>b<sep>c" into n texts. Return whether there are exactly n. */
static bool split(const char *text, char sep, unsigned n, char parts[][QUANTITY_TEXT_MAX])
{
	for (unsigned i = 0; i < n; i++) {
		const char *end = i + 1 < n ? strchr(text, sep) : text + strlen(text);

		if (!end || end - text >= QUANTITY_TEXT_MAX)
			return false;
		memcpy(parts[i], text, (size_t)(end - text));
		parts[i][end - text] = '\0';
		text = end + 1;
	}
	return true;
}

static int parse_ports(const char *text, struct option_ports *ret, char why[OPTION_WHY_MAX])
{
	char parts[2][QUANTITY_TEXT_MAX];
	uint64_t first, last;

	if (!split(text, '-', 2, parts) || quantity_parse_count(parts[0], &first) < 0 ||
	    quantity_parse_count(parts[1], &last) < 0)
		return refuse(why, "is no range of ports");
	if (first < 1 || last > 65535)
		return refuse(why, "has a port that is not from 1 to 65535");
	if (first > last)
		return refuse(why, "has the larger port first");
	*ret = (struct option_ports){(uint16_t)first, (uint16_t)last};
	return 0;
}

static int parse_version(const struct option_row *row, const char *text, struct option_version *ret,
			 char why[OPTION_WHY_MAX])
{
	char parts[2][QUANTITY_TEXT_MAX];
	uint64_t major, minor;

	if (!split(text, '.', 2, parts) || quantity_parse_count(parts[0], &major) < 0 ||
	    quantity_parse_count(parts[1], &minor) < 0)
		return refuse(why, "is no version");
	if (major != OPTION_VERSION_MAJOR || minor < row->min || minor > row->max)
		return refuse(why, "is a version that is not spoken");
	*ret = (struct option_version){(uint32_t)major, (uint32_t)minor};
	return 0;
}

static int check_keep_alive(uint64_t idle_s, uint64_t interval_s, uint64_t count,
			    char why[OPTION_WHY_MAX])
{
	if (idle_s < 1 || idle_s > KEEP_TIME_MAX_S || interval_s < 1 ||
	    interval_s > KEEP_TIME_MAX_S)
		return refuse(why, "has a time that is not from 1s to %ds", KEEP_TIME_MAX_S);
	if (count < 1 || count > KEEP_COUNT_MAX)
		return refuse(why, "has a number of probes that is not from 1 to %d",
			      KEEP_COUNT_MAX);
	return 0;
}

static int parse_keep_alive(const char *text, struct option_keep_alive *ret,
			    char why[OPTION_WHY_MAX])
{
	char parts[3][QUANTITY_TEXT_MAX];
	uint64_t idle_ms, interval_ms, count;
	int r;

	if (!split(text, '/', 3, parts) || quantity_parse_duration(parts[0], &idle_ms) < 0 ||
	    quantity_parse_duration(parts[1], &interval_ms) < 0 ||
	    quantity_parse_count(parts[2], &count) < 0)
		return refuse(why, "is not two times and a number between slashes");
	if (idle_ms % 1000 || interval_ms % 1000)
		return refuse(why, "has a time that is not of whole seconds");
	r = check_keep_alive(idle_ms / 1000, interval_ms / 1000, count, why);
	if (r == 0)
		*ret = (struct option_keep_alive){(uint32_t)(idle_ms / 1000),
						  (uint32_t)(interval_ms / 1000), (uint32_t)count};
	return r;
}

int option_type_parse(const struct option_row *row, const char *text, void *field,
		      char why[OPTION_WHY_MAX])
{
	uint64_t n = 0;
	int r;

	switch (row->type) {
	case OPTION_PATH:
		return parse_path(row, text, field, why);
	case OPTION_USER:
		return parse_user(row, text, field, why);
	case OPTION_ADDRESSES:
		return address_list_parse(text, row->max, field, why);
	case OPTION_PORTS:
		return parse_ports(text, field, why);
	case OPTION_COUNT:
	case OPTION_SIZE:
	case OPTION_DURATION:
		r = parse_number(row, text, &n, why);
		if (r == 0)
			set_number(row, field, n);
		return r;
	case OPTION_BOOL:
		return parse_bool(text, field, why);
	case OPTION_CHOICE:
		return parse_choice(row, text, field, why);
	case OPTION_VERSION:
		return parse_version(row, text, field, why);
	case OPTION_KEEP_ALIVE:
		return parse_keep_alive(text, field, why);
	}
	assert(!"a type without a parser");
	return -EINVAL;
}

/* ---- JSON ---- */

static json_t *addresses_to_json(const struct option_addresses *list)
{
	json_t *array = json_array();
	char text[ADDRESS_TEXT_MAX];

	for (size_t i = 0; array && i < list->count; i++) {
		if (json_array_append_new(array, json_string(address_format(&list->at[i], text))) <
		    0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

json_t *option_type_to_json(const struct option_row *row, const void *field)
{
	switch (row->type) {
	case OPTION_PATH:
	case OPTION_USER:
		return json_string(*(char *const *)field);
	case OPTION_ADDRESSES:
		return addresses_to_json(field);
	case OPTION_PORTS: {
		const struct option_ports *p = field;

		return json_sprintf("%u-%u", p->first, p->last);
	}
	case OPTION_COUNT:
	case OPTION_SIZE:
	case OPTION_DURATION:
		return json_integer((json_int_t)get_number(row, field));
	case OPTION_BOOL:
		return json_boolean(*(const bool *)field);
	case OPTION_CHOICE:
		return json_string(row->choices[*(const unsigned *)field]);
	case OPTION_VERSION: {
		const struct option_version *v = field;

		return json_sprintf("%u.%u", v->major, v->minor);
	}
	case OPTION_KEEP_ALIVE: {
		const struct option_keep_alive *k = field;

		return json_sprintf("%us/%us/%u", k->idle_s, k->interval_s, k->count);
	}
	}
	assert(!"a type without JSON");
	return NULL;
}

/* The array as the text it was made of. */
static int addresses_from_json(const struct option_row *row, const json_t *array, void *field,
			       char why[OPTION_WHY_MAX])
{
	const json_t *one;
	char *text = NULL;
	size_t i, len;
	FILE *out;
	int r = 0;

	if (!json_is_array(array))
		return refuse(why, "is no array");
	out = open_memstream(&text, &len);
	if (!out)
		return -ENOMEM;
	json_array_foreach (array, i, one) {
		if (!json_is_string(one))
			r = refuse(why, "has something in it that is no text");
		else
			fprintf(out, "%s%s", i ? "," : "", json_string_value(one));
	}
	if (fclose(out) == EOF)
		r = -ENOMEM;
	if (r == 0)
		r = option_type_parse(row, text, field, why);
	free(text);
	return r;
}

int option_type_from_json(const struct option_row *row, const json_t *value, void *field,
			  char why[OPTION_WHY_MAX])
{
	int r;

	switch (row->type) {
	case OPTION_COUNT:
	case OPTION_SIZE:
	case OPTION_DURATION:
		if (!json_is_integer(value) || json_integer_value(value) < 0)
			return refuse(why, "is no number");
		r = check_number(row, (uint64_t)json_integer_value(value), why);
		if (r == 0)
			set_number(row, field, (uint64_t)json_integer_value(value));
		return r;
	case OPTION_BOOL:
		if (!json_is_boolean(value))
			return refuse(why, "is neither true nor false");
		*(bool *)field = json_is_true(value);
		return 0;
	case OPTION_ADDRESSES:
		return addresses_from_json(row, value, field, why);
	default:
		/* A NUL in it would end the text early. */
		if (!json_is_string(value) ||
		    strlen(json_string_value(value)) != json_string_length(value))
			return refuse(why, "is no text");
		return option_type_parse(row, json_string_value(value), field, why);
	}
}

void option_type_release(const struct option_row *row, void *field)
{
	switch (row->type) {
	case OPTION_PATH:
	case OPTION_USER:
		free(*(char **)field);
		*(char **)field = NULL;
		break;
	case OPTION_ADDRESSES:
		address_list_free(field);
		break;
	default:
		break;
	}
}

/* ---- words ---- */

const char *option_type_unit(const struct option_row *row)
{
	switch (row->type) {
	case OPTION_SIZE:
		return "bytes";
	case OPTION_DURATION:
		return "ms";
	default:
		return row->unit ? row->unit : "";
	}
}

static void write_choices(const struct option_row *row, FILE *out)
{
	for (size_t i = 0; row->choices[i]; i++)
		fprintf(out, "%s%s",
			i == 0                ? ""
			: row->choices[i + 1] ? ", "
					      : " or ",
			row->choices[i]);
}

static void write_accepts(const struct option_row *row, FILE *out)
{
	char min[QUANTITY_TEXT_MAX], max[QUANTITY_TEXT_MAX];

	format_number(row->type, row->min, min);
	format_number(row->type, row->max, max);
	switch (row->type) {
	case OPTION_PATH:
		fprintf(out, "an absolute path of at most %s bytes", max);
		break;
	case OPTION_USER:
		fprintf(out, "the name of a user, or nothing");
		break;
	case OPTION_ADDRESSES:
		fprintf(out, "addresses like 10.0.0.1:80 or [::1]:80 between commas, or nothing");
		break;
	case OPTION_PORTS:
		fprintf(out, "two ports from 1 to 65535, like 30000-34095");
		break;
	case OPTION_COUNT:
		fprintf(out, "a number of %s from %s to %s", row->unit, min, max);
		break;
	case OPTION_SIZE:
		fprintf(out, "a size from %s to %s: a number of bytes, or one with K, M, G or T",
			min, max);
		break;
	case OPTION_DURATION:
		fprintf(out, "a duration from %s to %s: a number with ms, s, m, h or d", min, max);
		break;
	case OPTION_BOOL:
		fprintf(out, "yes or no");
		break;
	case OPTION_CHOICE:
		write_choices(row, out);
		break;
	case OPTION_VERSION:
		fprintf(out, "a version from %d.%s to %d.%s", OPTION_VERSION_MAJOR, min,
			OPTION_VERSION_MAJOR, max);
		break;
	case OPTION_KEEP_ALIVE:
		fprintf(out, "idle time, interval and number of probes, like 60s/10s/6");
		break;
	}
}

char *option_type_accepts(const struct option_row *row)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	write_accepts(row, out);
	if (fclose(out) == EOF) {
		free(text);
		return NULL;
	}
	return text;
}
