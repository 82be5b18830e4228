/* SPDX-License-Identifier: MIT */
/*
 * options_load.c - a snapshot from a file, --set and defaults; see options.h.
 *
 * In this order: the file's values, each --set, defaults for what is left, then what must go
 * together. A wrong value in the file is refused even if a --set replaces it.
 */
#include "config/options_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/address_list.h"
#include "config/option_file.h"
#include "config/option_type.h"

/* ---- sentences ---- */

/* Where a row was set: "/etc/...:12", "--set" or "default". */
#define PLACE_MAX 512
static const char *place(const struct options *o, const struct option_row *row, char buf[PLACE_MAX])
{
	const struct option_setting *s = options_setting(o, row);

	if (s->origin == ORIGIN_FILE && o->file)
		snprintf(buf, PLACE_MAX, "%s:%u", o->file, s->line);
	else
		snprintf(buf, PLACE_MAX, "%s", option_origin_names[s->origin]);
	return buf;
}

/* A text of the row's that is wrong by itself, in a phrase that says why. */
static int fail_row(const struct options *o, const struct option_row *row, const char *text,
		    const char *why, char **ret_error)
{
	char at[PLACE_MAX];
	char *accepts = option_type_accepts(row);
	int r = options_fail(ret_error, -EINVAL, "%s: %s: \"%s\" %s; accepted: %s",
			     place(o, row, at), row->name, text, why, accepts ? accepts : "?");

	free(accepts);
	return r;
}

/* The sections, or the keys of one, for who wrote another. */
static char *list_names(const char *section)
{
	size_t section_len = section ? strlen(section) : 0;
	const char *sep = "";
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	for (size_t i = 0; i < option_rows_count; i++) {
		const struct option_row *row = &option_rows[i];
		size_t n = option_row_section(row);

		if (section && (n != section_len || strncmp(row->name, section, n) != 0))
			continue;
		if (!section && i > 0 && option_row_section(row - 1) == n &&
		    strncmp(row->name, row[-1].name, n) == 0)
			continue;
		fprintf(out, "%s%.*s", sep, section ? -1 : (int)n,
			section ? option_row_key(row) : row->name);
		sep = ", ";
	}
	if (fclose(out) == EOF) {
		free(text);
		return NULL;
	}
	return text;
}

/* @name  "section.key" that is no row's */
static int fail_unknown(const char *at, const char *name, char **ret_error)
{
	const char *dot = strchr(name, '.');
	char *section = strndup(name, dot ? (size_t)(dot - name) : strlen(name));
	char *keys = section ? list_names(section) : NULL;
	char *sections = list_names(NULL);
	int r;

	if (dot && keys && *keys)
		r = options_fail(ret_error, -EINVAL, "%s: there is no option %s; [%s] has %s", at,
				 name, section, keys);
	else
		r = options_fail(ret_error, -EINVAL,
				 "%s: there is no option %s; the sections are %s", at, name,
				 sections ? sections : "?");
	free(section);
	free(keys);
	free(sections);
	return r;
}

/* ---- from texts ---- */

/* Read the field from the noted text. */
static int read_field(struct options *o, const struct option_row *row, char **ret_error)
{
	const struct option_setting *s = options_setting(o, row);
	char why[OPTION_WHY_MAX];
	int r;

	if (row->type == OPTION_PATH && s->origin == ORIGIN_DEFAULT && !*s->text)
		return options_fail(ret_error, -EINVAL,
				    "%s has no default, since there is no $HOME; please set it",
				    row->name);
	option_type_release(row, options_field(o, row));
	r = option_type_parse(row, s->text, options_field(o, row), why);
	if (r == -EINVAL)
		return fail_row(o, row, s->text, why, ret_error);
	return r < 0 ? options_fail_memory(ret_error) : 0;
}

struct file_user {
	struct options *o;
	char **ret_error;
};

/* More of the value above: only lists have more. */
static int continue_value(struct options *o, const struct option_row *row,
			  const struct option_file_line *line, char **ret_error)
{
	struct option_setting *s = options_setting(o, row);
	size_t len = strlen(s->text);
	char *text;

	if (row->type != OPTION_ADDRESSES)
		return options_fail(
			ret_error, -EINVAL,
			"%s:%u: an indented line goes on with %s of line %u, which takes one value",
			o->file, line->number, row->name, s->line);
	if (asprintf(&text, "%s%s%s", s->text, len && s->text[len - 1] != ',' ? ", " : " ",
		     line->value) < 0)
		return options_fail_memory(ret_error);
	return options_note(o, row, text, ORIGIN_FILE, s->line, ret_error);
}

static int check_section(const char *at, const char *section, char **ret_error)
{
	char *keys = list_names(section);
	char *sections = list_names(NULL);
	int r = 0;

	if (!keys || !sections)
		r = options_fail_memory(ret_error);
	else if (!*keys)
		r = options_fail(ret_error, -EINVAL,
				 "%s: there is no section [%s]; the sections are %s", at, section,
				 sections);
	free(keys);
	free(sections);
	return r;
}

static int on_file_line(void *user, const struct option_file_line *line)
{
	struct file_user *u = user;
	struct options *o = u->o;
	const struct option_row *row;
	char name[128], at[PLACE_MAX];

	snprintf(at, sizeof(at), "%s:%u", o->file, line->number);
	if (!line->key)
		return check_section(at, line->section, u->ret_error);
	if (!line->section[0])
		return options_fail(
			u->ret_error, -EINVAL,
			"%s: %s stands before the first [section]; an option SECTION.KEY is "
			"written as KEY = VALUE below [SECTION]",
			at, line->key);
	snprintf(name, sizeof(name), "%s.%s", line->section, line->key);
	row = option_row_find(name);
	if (!row)
		return fail_unknown(at, name, u->ret_error);
	if (line->continues)
		return continue_value(o, row, line, u->ret_error);
	if (options_setting(o, row)->text)
		return options_fail(u->ret_error, -EINVAL, "%s: %s was set in line %u already", at,
				    name, options_setting(o, row)->line);
	return options_note(o, row, strdup(line->value), ORIGIN_FILE, line->number, u->ret_error);
}

/* @must_exist  else a file that is not there is as good as an empty one */
static int load_file(struct options *o, const char *path, bool must_exist, char **ret_error)
{
	struct file_user user = {.o = o, .ret_error = ret_error};
	char why[OPTION_FILE_WHY_MAX];
	unsigned line;
	FILE *in = fopen(path, "re");
	int r;

	if (!in && !must_exist && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (!in)
		return options_fail(ret_error, -errno, "cannot open the configuration file %s: %s",
				    path, strerror(errno));
	o->file = strdup(path);
	if (!o->file) {
		fclose(in);
		return options_fail_memory(ret_error);
	}
	*ret_error = NULL;
	r = option_file_read(in, on_file_line, &user, &line, why);
	fclose(in);
	if (r < 0 && line)
		return options_fail(ret_error, r, "%s:%u: this line %s", path, line, why);
	if (r < 0 && !*ret_error)
		return options_fail(ret_error, r, "cannot read the configuration file %s: %s", path,
				    strerror(-r));
	for (size_t i = 0; r == 0 && i < option_rows_count; i++)
		if (o->settings[i].text)
			r = read_field(o, &option_rows[i], ret_error);
	return r;
}

/* @set  SECTION.KEY=VALUE, blanks allowed around both */
static int apply_set(struct options *o, const char *set, char **ret_error)
{
	static const char blanks[] = " \t";
	const char *equals = strchr(set, '=');
	const char *value, *end;
	const struct option_row *row;
	char name[128];
	size_t len;
	int r;

	if (!equals)
		return options_fail(ret_error, -EINVAL, "--set %s: this is not SECTION.KEY=VALUE",
				    set);
	set += strspn(set, blanks);
	for (len = (size_t)(equals - set); len > 0 && strchr(blanks, set[len - 1]); len--)
		;
	snprintf(name, sizeof(name), "%.*s", (int)(len < 127 ? len : 127), set);
	row = option_row_find(name);
	if (!row)
		return fail_unknown("--set", name, ret_error);
	value = equals + 1 + strspn(equals + 1, blanks);
	for (end = value + strlen(value); end > value && strchr(blanks, end[-1]); end--)
		;
	r = options_note(o, row, strndup(value, (size_t)(end - value)), ORIGIN_SET, 0, ret_error);
	return r < 0 ? r : read_field(o, row, ret_error);
}

int options_apply_default(struct options *o, const struct option_row *row,
			  const struct option_env *env, char **ret_error)
{
	char *text = row->preset ? strdup(row->preset) : row->preset_of(env);
	int r = options_note(o, row, text, ORIGIN_DEFAULT, 0, ret_error);

	return r < 0 ? r : read_field(o, row, ret_error);
}

/* ---- values that do not go together ---- */

static const struct option_addresses *addresses_of(const struct options *o,
						   const struct option_row *row)
{
	return row->served && row->type == OPTION_ADDRESSES ? options_field_const(o, row) : NULL;
}

/* No two sockets could have the same port of the same host. */
static int check_address(const struct options *o, const struct option_row *row, size_t index,
			 char **ret_error)
{
	const struct sockaddr_storage *a = &addresses_of(o, row)->at[index];
	const struct option_ports *pool = &o->trace_cmd.stream_ports;
	uint16_t port = address_port(a);
	char text[ADDRESS_TEXT_MAX], other_text[ADDRESS_TEXT_MAX], at[PLACE_MAX];

	if (port >= pool->first && port <= pool->last)
		return options_fail(ret_error, -EINVAL,
				    "%s: %s: the port of %s is one of trace-cmd.stream-ports %u-%u",
				    place(o, row, at), row->name, address_format(a, text),
				    pool->first, pool->last);
	for (const struct option_row *other = option_rows; other <= row; other++) {
		const struct option_addresses *list = addresses_of(o, other);

		for (size_t i = 0; list && i < (other == row ? index : list->count); i++)
			if (address_conflicts(a, &list->at[i]))
				return options_fail(
					ret_error, -EINVAL,
					"%s: %s: %s cannot be used beside %s of %s",
					place(o, row, at), row->name, address_format(a, text),
					address_format(&list->at[i], other_text), other->name);
	}
	return 0;
}

static int check_addresses(const struct options *o, char **ret_error)
{
	for (size_t i = 0; i < option_rows_count; i++) {
		const struct option_addresses *list = addresses_of(o, &option_rows[i]);

		for (size_t k = 0; list && k < list->count; k++) {
			int r = check_address(o, &option_rows[i], k, ret_error);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

static int check_user(const struct options *o, const struct option_env *env, char **ret_error)
{
	const struct option_row *row = option_row_find("run.user");
	const char *user = o->run.user;
	char at[PLACE_MAX];

	if (!*user || (env->uid != 0 && strcmp(user, env->user) == 0))
		return 0;
	if (env->uid != 0)
		return options_fail(ret_error, -EINVAL, "%s: run.user: only root can become %s",
				    place(o, row, at), user);
	if (!env->user_exists(user))
		return options_fail(ret_error, -EINVAL,
				    "%s: run.user: there is no user %s on this machine",
				    place(o, row, at), user);
	return 0;
}

int options_load(const struct options_source *source, struct options **ret, char **ret_error)
{
	struct option_env now;
	const struct option_env *env = source->env;
	struct options *o = options_new();
	const char *file;
	int r = 0;

	if (!o)
		return options_fail_memory(ret_error);
	if (!env) {
		option_env_read(&now);
		env = &now;
	}
	file = source->file ? source->file : env->default_file;
	if (file)
		r = load_file(o, file, source->file != NULL, ret_error);
	for (size_t i = 0; r == 0 && i < source->n_sets; i++)
		r = apply_set(o, source->sets[i], ret_error);
	for (size_t i = 0; r == 0 && i < option_rows_count; i++)
		if (!o->settings[i].text)
			r = options_apply_default(o, &option_rows[i], env, ret_error);
	if (r == 0)
		r = check_addresses(o, ret_error);
	if (r == 0)
		r = check_user(o, env, ret_error);
	if (r < 0) {
		options_free(o);
		return r;
	}
	*ret = o;
	return 0;
}
