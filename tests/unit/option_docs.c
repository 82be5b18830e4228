/* SPDX-License-Identifier: MIT */
/*
 * option_docs.c - the documents say what the table says, byte for byte. If this fails after a
 * change of the table: make update-option-docs, and commit what changes.
 */
#include <errno.h>

#include "config/option_table.h"
#include "config/options.h"
#include "tests/unit/options_rig.h"

static char *printed(void (*print)(FILE *out))
{
	char *text = NULL, *copy;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	print(out);
	fclose(out);
	copy = strdup(text); /* gcc takes the stream's own for a pointer to a local */
	free(text);
	return copy;
}

static char *checked_in(const char *name)
{
	const char *top = getenv("TRACERELAY_SRC");
	char path[4096], *text = NULL;
	size_t size = 0;
	FILE *in;

	snprintf(path, sizeof(path), "%s/%s", top ? top : ".", name);
	in = fopen(path, "r");
	cr_assert_not_null(in, "%s", path);
	cr_assert_gt(getdelim(&text, &size, '\0', in), 0);
	fclose(in);
	return text;
}

static void assert_same(const char *name, void (*print)(FILE *out))
{
	char *want = printed(print), *got = checked_in(name);

	cr_assert(strcmp(want, got) == 0, "%s is stale: make update-option-docs", name);
	free(want);
	free(got);
}

Test(option_docs, example_is_up_to_date)
{
	assert_same("config/tracerelay.conf", options_print_example);
}

Test(option_docs, manual_is_up_to_date)
{
	assert_same("doc/tracerelay.conf.5.scd", options_print_manual);
}

/* Independent of how the example is printed: each option stands below its section, behind a '#',
 * with its default (or an example, where the default depends on the machine). */
Test(option_docs, example_names_each_option_with_its_default)
{
	char *text = checked_in("config/tracerelay.conf");

	for (size_t i = 0; i < option_rows_count; i++) {
		const struct option_row *row = &option_rows[i];
		char section[64], line[256];
		char *from, *end, *at;

		snprintf(section, sizeof(section), "\n[%.*s]\n", (int)option_row_section(row),
			 row->name);
		snprintf(line, sizeof(line), "\n#%s = %s\n", option_row_key(row),
			 row->preset ? row->preset : row->example);
		from = strstr(text, section);
		cr_assert_not_null(from, "%s", section);
		end = strstr(from + 1, "\n[");
		at = strstr(from, line);
		cr_assert_not_null(at, "%s", line);
		cr_assert(!end || at < end, "%s", row->name);
	}
	free(text);
}

/* As it is, it changes nothing; with every '#' before an option taken away, it sets every option,
 * and those with a fixed default to just that. */
Test(option_docs, example_can_be_used)
{
	struct option_env env = rig_root();
	struct options *defaults = rig_load(&env, NULL, NULL);
	char *text = checked_in("config/tracerelay.conf");
	struct options_source source = {.env = &env};
	char path[] = "/tmp/option_docs.XXXXXX";
	json_t *rows, *row, *json, *json_defaults;
	struct options *o;
	char *error;
	size_t i;
	FILE *out;

	out = fdopen(mkstemp(path), "w");
	cr_assert_not_null(out);
	source.file = path;
	fputs(text, out);
	fflush(out);
	cr_assert_eq(options_load(&source, &o, &error), 0);
	options_free(o);

	rewind(out);
	for (const char *c = text; *c; c++)
		if (*c != '#' || (c > text && c[-1] != '\n') || c[1] == ' ')
			fputc(*c, out);
	fflush(out);
	cr_assert_eq(ftruncate(fileno(out), ftell(out)), 0);
	fclose(out);
	cr_assert_eq(options_load(&source, &o, &error), 0, "%s", error);
	unlink(path);

	json = options_to_json(o);
	json_defaults = options_to_json(defaults);
	rows = json_object_get(json, "options");
	json_array_foreach (rows, i, row) {
		const json_t *by_default =
			json_array_get(json_object_get(json_defaults, "options"), i);

		cr_assert_str_eq(json_string_value(json_object_get(row, "source")), "file", "%s",
				 option_rows[i].name);
		if (option_rows[i].preset)
			cr_assert(json_equal(json_object_get(row, "value"),
					     json_object_get(by_default, "value")),
				  "%s", option_rows[i].name);
	}
	json_decref(json);
	json_decref(json_defaults);
	options_free(o);
	options_free(defaults);
	free(text);
}

Test(option_docs, help_names_each_option)
{
	char *text = printed(options_print_help);

	for (size_t i = 0; i < option_rows_count; i++) {
		const struct option_row *row = &option_rows[i];
		char line[256];
		const char *at;
		bool unused;

		snprintf(line, sizeof(line), "\n  %s%s%s\n      ", row->name,
			 row->preset ? " = " : "", row->preset ? row->preset : "");
		at = strstr(text, line);
		cr_assert_not_null(at, "%s", line);
		unused = strncmp(at + strlen(line), "Not used yet. ", 14) == 0;
		cr_assert_eq(unused, !row->served, "%s", row->name);
	}
	for (const char *line = text; *line; line += strcspn(line, "\n") + 1) {
		size_t len = strcspn(line, "\n");

		/* The installed file's path is as long as the prefix makes it. */
		if (!memmem(line, len, "tracerelay.conf", 15))
			cr_assert_leq(len, 80, "%.90s", line);
	}
	free(text);
}
