/* SPDX-License-Identifier: MIT */
/* options.c - the life of a snapshot, and whether a reload may replace it; see options.h. */
#include "config/options_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#include "config/option_type.h"

const char *const option_origin_names[ORIGIN_COUNT] = {
	[ORIGIN_DEFAULT] = "default", [ORIGIN_FILE] = "file", [ORIGIN_SET] = "--set"};

void *options_field(struct options *o, const struct option_row *row)
{
	return (char *)o + row->at;
}

const void *options_field_const(const struct options *o, const struct option_row *row)
{
	return (const char *)o + row->at;
}

struct option_setting *options_setting(const struct options *o, const struct option_row *row)
{
	return &o->settings[row - option_rows];
}

struct options *options_new(void)
{
	struct options *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->settings = calloc(option_rows_count, sizeof(*o->settings));
	if (!o->settings) {
		free(o);
		return NULL;
	}
	return o;
}

void options_free(struct options *o)
{
	if (!o)
		return;
	for (size_t i = 0; i < option_rows_count; i++) {
		option_type_release(&option_rows[i], options_field(o, &option_rows[i]));
		free(o->settings[i].text);
	}
	free(o->settings);
	free(o->file);
	free(o);
}

void options_make_utf8(char *text)
{
	json_t *string = json_string(text);

	for (char *c = string ? "" : text; *c; c++)
		if (*c & 0x80)
			*c = '?';
	json_decref(string);
}

int options_fail(char **ret_error, int err, const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	if (text)
		options_make_utf8(text);
	*ret_error = text;
	return err;
}

int options_fail_memory(char **ret_error)
{
	return options_fail(ret_error, -ENOMEM, "out of memory");
}

int options_note(struct options *o, const struct option_row *row, char *text,
		 enum option_origin origin, unsigned line, char **ret_error)
{
	struct option_setting *s = options_setting(o, row);

	if (!text)
		return options_fail_memory(ret_error);
	free(s->text);
	*s = (struct option_setting){.text = text, .origin = origin, .line = line};
	return 0;
}

int options_check_reload(const struct options *now, const struct options *next, char **ret_error)
{
	char *names = NULL;
	size_t len;
	FILE *out = open_memstream(&names, &len);
	int r = 0;

	if (!out)
		return options_fail_memory(ret_error);
	for (size_t i = 0; i < option_rows_count; i++) {
		const struct option_row *row = &option_rows[i];
		json_t *a, *b;

		if (row->reloadable)
			continue;
		a = option_type_to_json(row, options_field_const(now, row));
		b = option_type_to_json(row, options_field_const(next, row));
		if (!a || !b)
			r = -ENOMEM;
		else if (!json_equal(a, b))
			fprintf(out, "%s%s", ftell(out) > 0 ? ", " : "", row->name);
		json_decref(a);
		json_decref(b);
	}
	if (fclose(out) == EOF || r < 0)
		r = options_fail_memory(ret_error);
	else if (len > 0)
		r = options_fail(ret_error, -EBUSY, "only a restart can change %s", names);
	free(names);
	return r;
}

uint32_t options_open_files(const struct options *o, uint32_t descriptors)
{
	return o->lttng.open_files < descriptors / 2 ? o->lttng.open_files : descriptors / 2;
}
