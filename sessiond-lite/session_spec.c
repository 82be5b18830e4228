/* SPDX-License-Identifier: MIT */
/* session_spec.c - reading the parameters, one function a key. */
#include "sessiond-lite/session_spec.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char prefix[] = "trace-cmd:";

int session_listener_parse(const char *text, struct addr *ret, struct refusal *why)
{
	const char *rest = text + strlen(prefix);
	struct addr at;

	if (strncmp(text, "lttng:", strlen("lttng:")) == 0)
		return refusal_set(
			why, -EINVAL, "bad-listen",
			"listen: \"%.80s\": a port of its own is for trace-cmd only; LTTng "
			"comes to lttng.control and lttng.data, and a rule such as "
			"--match proto=lttng,host=web-* gives its clients to a session",
			text);
	/* A port is needed, even 0 (any), so that a forgotten one is no surprise. */
	if (strncmp(text, prefix, strlen(prefix)) != 0 || addr_parse(rest, &at) < 0 ||
	    !strchr(rest, ':') ||
	    (*rest == '[' ? !strstr(rest, "]:") : strchr(rest, ':') != strrchr(rest, ':')))
		return refusal_set(why, -EINVAL, "bad-listen",
				   "listen: \"%.80s\" is no address to listen on; write "
				   "trace-cmd:0.0.0.0:12346 or trace-cmd:[::]:12346",
				   text);
	*ret = at;
	return 0;
}

char *session_listener_format(const struct addr *at, char buf[SESSION_LISTENER_TEXT])
{
	char host[ADDR_TEXT_MAX];

	addr_format_host(at, host);
	snprintf(buf, SESSION_LISTENER_TEXT, addr_is_v4(at) ? "%s%s:%u" : "%s[%s]:%u", prefix, host,
		 at->port);
	return buf;
}

/* ---- from JSON ---- */

#define BAD(why, ...) refusal_set(why, -EINVAL, "bad-params", __VA_ARGS__)

static int no_memory(struct refusal *why)
{
	return refusal_set(why, -ENOMEM, "no-memory", "no memory");
}

static int read_name(const json_t *value, struct session_spec *spec, struct refusal *why)
{
	const char *name = json_string_value(value);
	int r;

	if (!name)
		return BAD(why, "name: a text is needed");
	r = session_name_check(name, why);
	if (r == 0)
		strcpy(spec->name, name);
	return r;
}

static int read_match(const json_t *value, struct session_spec *spec, struct refusal *why)
{
	size_t n = json_array_size(value);

	if (!json_is_array(value) || n > RULES_MAX)
		return BAD(why, "match: a list of at most %u rules is needed", RULES_MAX);
	free(spec->rules);
	spec->n_rules = 0;
	spec->rules = calloc(n ? n : 1, sizeof(*spec->rules));
	if (!spec->rules)
		return no_memory(why);
	for (size_t i = 0; i < n; i++) {
		struct refusal inner;
		int r = rule_from_json(json_array_get(value, i), &spec->rules[i], &inner);

		if (r < 0)
			return refusal_set(why, r, inner.reason, "match, rule %zu: %s", i + 1,
					   inner.sentence);
		spec->n_rules++;
	}
	return 0;
}

static int read_listen(const json_t *value, struct session_spec *spec, struct refusal *why)
{
	size_t n = json_array_size(value);

	if (!json_is_array(value) || n > SESSION_LISTENERS_MAX)
		return BAD(why, "listen: a list of at most %u addresses is needed",
			   SESSION_LISTENERS_MAX);
	free(spec->listeners);
	spec->n_listeners = 0;
	spec->listeners = calloc(n ? n : 1, sizeof(*spec->listeners));
	if (!spec->listeners)
		return no_memory(why);
	for (size_t i = 0; i < n; i++) {
		const char *text = json_string_value(json_array_get(value, i));
		int r;

		if (!text)
			return BAD(why, "listen: each address is a text");
		r = session_listener_parse(text, &spec->listeners[i], why);
		if (r < 0)
			return r;
		spec->n_listeners++;
	}
	return 0;
}

/* A number that is 0 (off) or within bounds. */
static int read_number(const json_t *value, const char *key, uint64_t min, uint64_t max,
		       uint64_t *ret, struct refusal *why)
{
	json_int_t n = json_integer_value(value);

	if (!json_is_integer(value) || n < 0 || (n && ((uint64_t)n < min || (uint64_t)n > max)))
		return BAD(why, "%s: 0 or a whole number from %llu to %llu is needed", key,
			   (unsigned long long)min, (unsigned long long)max);
	*ret = (uint64_t)n;
	return 0;
}

static int read_rotate_size(const json_t *value, struct session_spec *spec, struct refusal *why)
{
	return read_number(value, "rotate_size", SESSION_ROTATE_SIZE_MIN, (uint64_t)1 << 62,
			   &spec->rotate_size, why);
}

static int read_rotate_time(const json_t *value, struct session_spec *spec, struct refusal *why)
{
	return read_number(value, "rotate_time_ms", SESSION_ROTATE_TIME_MIN_MS, (uint64_t)1 << 53,
			   &spec->rotate_time_ms, why);
}

static int read_keep_chunks(const json_t *value, struct session_spec *spec, struct refusal *why)
{
	uint64_t n = 0;
	int r = read_number(value, "keep_chunks", 1, 1000000, &n, why);

	if (r == 0)
		spec->keep_chunks = (uint32_t)n;
	return r;
}

static const struct {
	const char *key;
	int (*read)(const json_t *value, struct session_spec *spec, struct refusal *why);
} keys[] = {
	{"name", read_name},
	{"match", read_match},
	{"listen", read_listen},
	{"rotate_size", read_rotate_size},
	{"rotate_time_ms", read_rotate_time},
	{"keep_chunks", read_keep_chunks},
};

static int read_key(const char *key, const json_t *value, struct session_spec *spec,
		    struct refusal *why)
{
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (strcmp(keys[i].key, key) == 0)
			return keys[i].read(value, spec, why);
	return BAD(why, "\"%.80s\" is no parameter of session.create", key);
}

/* A rule that names LTTng alone. One that may match it too is taken: what is said of rotation is
 * for the session's other clients. */
static bool wants_lttng(const struct session_spec *spec)
{
	for (size_t i = 0; i < spec->n_rules; i++)
		if (spec->rules[i].protocols == 1u << PROTOCOL_LTTNG)
			return true;
	return false;
}

static int check_policy(const struct session_spec *spec, struct refusal *why)
{
	if (!spec->rotate_size && !spec->rotate_time_ms && !spec->keep_chunks)
		return 0;
	if (!wants_lttng(spec))
		return 0;
	return refusal_set(
		why, -EINVAL, "lttng",
		"match proto=lttng goes with no rotate_size, rotate_time or keep_chunks: "
		"only the client can order a rotation; use lttng enable-rotation or "
		"lttng rotate on its host");
}

int session_spec_from_json(const json_t *params, struct session_spec **ret, struct refusal *why)
{
	struct session_spec *spec = calloc(1, sizeof(*spec));
	const char *key;
	json_t *value;
	int r = 0;

	if (!spec)
		return no_memory(why);
	if (params && !json_is_object(params))
		r = BAD(why, "parameters go by name");
	else
		json_object_foreach ((json_t *)params, key, value) {
			r = read_key(key, value, spec, why);
			if (r < 0)
				break;
		}
	if (r == 0 && !spec->name[0])
		r = BAD(why, "name: it is missing");
	if (r == 0)
		r = check_policy(spec, why);
	if (r < 0) {
		session_spec_free(spec);
		return r;
	}
	*ret = spec;
	return 0;
}

void session_spec_free(struct session_spec *spec)
{
	if (!spec)
		return;
	free(spec->rules);
	free(spec->listeners);
	free(spec);
}

int session_spec_to_json(const struct session_spec *spec, json_t *object)
{
	json_t *match = json_array(), *listen = json_array();
	char text[SESSION_LISTENER_TEXT];
	int r = 0;

	for (size_t i = 0; i < spec->n_rules; i++)
		r |= json_array_append_new(match, rule_to_json(&spec->rules[i]));
	for (size_t i = 0; i < spec->n_listeners; i++)
		r |= json_array_append_new(
			listen, json_string(session_listener_format(&spec->listeners[i], text)));
	r |= json_object_set_new(object, "match", match);
	r |= json_object_set_new(object, "listen", listen);
	r |= json_object_set_new(object, "rotate_size",
				 json_integer((json_int_t)spec->rotate_size));
	r |= json_object_set_new(object, "rotate_time_ms",
				 json_integer((json_int_t)spec->rotate_time_ms));
	r |= json_object_set_new(object, "keep_chunks", json_integer(spec->keep_chunks));
	return r ? -ENOMEM : 0;
}
