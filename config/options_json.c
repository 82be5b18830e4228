/* SPDX-License-Identifier: MIT */
/* options_json.c - a snapshot to and from JSON; see options.h for the form. */
#include "config/options_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/option_type.h"

/* Of a text that need not be UTF-8: the name of a file. */
static json_t *text_to_json(const char *text)
{
	char *copy = strdup(text);
	json_t *string;

	if (!copy)
		return NULL;
	options_make_utf8(copy);
	string = json_string(copy);
	free(copy);
	return string;
}

static json_t *row_to_json(const struct options *o, const struct option_row *row)
{
	const struct option_setting *s = options_setting(o, row);
	json_t *object = json_pack("{s:s, s:o, s:o, s:s, s:s}", "name", row->name, "value",
				   option_type_to_json(row, options_field_const(o, row)), "text",
				   json_string(s->text), "default", option_row_default(row),
				   "source", option_origin_names[s->origin]);

	if (object && s->origin == ORIGIN_FILE &&
	    json_object_set_new(object, "line", json_integer(s->line)) < 0)
		goto fail;
	if (json_object_set_new(object, "unit", json_string(option_type_unit(row))) < 0 ||
	    json_object_set_new(object, "reloadable", json_boolean(row->reloadable)) < 0 ||
	    json_object_set_new(object, "served", json_boolean(row->served)) < 0 ||
	    json_object_set_new(object, "help", json_string(row->help)) < 0)
		goto fail;
	return object;
fail:
	json_decref(object);
	return NULL;
}

json_t *options_to_json(const struct options *o)
{
	json_t *rows = json_array();

	for (size_t i = 0; rows && i < option_rows_count; i++) {
		if (json_array_append_new(rows, row_to_json(o, &option_rows[i])) < 0) {
			json_decref(rows);
			return NULL;
		}
	}
	return json_pack("{s:o, s:o}", "file", o->file ? text_to_json(o->file) : json_null(),
			 "options", rows);
}

/* The origin of that name, or -EINVAL. */
static int origin_of(const json_t *name)
{
	for (int i = ORIGIN_DEFAULT; i <= ORIGIN_SET; i++)
		if (json_is_string(name) &&
		    strcmp(json_string_value(name), option_origin_names[i]) == 0)
			return i;
	return -EINVAL;
}

static int row_from_json(struct options *o, const struct option_row *row, const json_t *object,
			 char **ret_error)
{
	const json_t *value = json_object_get(object, "value");
	const json_t *text = json_object_get(object, "text");
	const json_t *line = json_object_get(object, "line");
	int origin = origin_of(json_object_get(object, "source"));
	char why[OPTION_WHY_MAX];
	int r;

	if (options_setting(o, row)->text)
		return options_fail(ret_error, -EINVAL, "options: %s is there twice", row->name);
	if (!value || !json_is_string(text) || origin < 0 || (line && !json_is_integer(line)))
		return options_fail(ret_error, -EINVAL, "options: %s is not as it should be",
				    row->name);
	r = option_type_from_json(row, value, options_field(o, row), why);
	if (r == -EINVAL)
		return options_fail(ret_error, -EINVAL, "options: %s %s", row->name, why);
	if (r < 0)
		return options_fail_memory(ret_error);
	return options_note(o, row, strdup(json_string_value(text)), (enum option_origin)origin,
			    (unsigned)json_integer_value(line), ret_error);
}

int options_from_json(const json_t *json, struct options **ret, char **ret_error)
{
	const json_t *rows = json_object_get(json, "options");
	const json_t *file = json_object_get(json, "file");
	const json_t *object;
	struct option_env env;
	struct options *o;
	size_t i;
	int r = 0;

	if (!json_is_array(rows))
		return options_fail(ret_error, -EINVAL, "options: there is no array of options");
	o = options_new();
	if (!o)
		return options_fail_memory(ret_error);
	if (json_is_string(file) && !(o->file = strdup(json_string_value(file))))
		r = options_fail_memory(ret_error);
	json_array_foreach (rows, i, object) {
		const char *name = json_string_value(json_object_get(object, "name"));
		const struct option_row *row = name ? option_row_find(name) : NULL;

		if (r == 0 && row)
			r = row_from_json(o, row, object, ret_error);
	}
	for (i = 0; r == 0 && i < option_rows_count; i++) {
		if (o->settings[i].text)
			continue;
		option_env_read(&env); /* rarely: the other side is of another version */
		r = options_apply_default(o, &option_rows[i], &env, ret_error);
	}
	if (r < 0) {
		options_free(o);
		return r;
	}
	*ret = o;
	return 0;
}
