/* SPDX-License-Identifier: MIT */
/* rules.c - reading rules, and asking them. */
#include "sessiond-lite/rules.h"

#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <string.h>

#define BIT(p) (1u << (p))

static const struct {
	const char *name;
	uint32_t protocols;
} protos[] = {
	{"trace-cmd", BIT(PROTOCOL_TRACE_CMD_V1) | BIT(PROTOCOL_TRACE_CMD_V2_2015) |
			      BIT(PROTOCOL_TRACE_CMD_V2) | BIT(PROTOCOL_TRACE_CMD_V3)},
	{"trace-cmd-v1", BIT(PROTOCOL_TRACE_CMD_V1)},
	{"trace-cmd-v2", BIT(PROTOCOL_TRACE_CMD_V2_2015) | BIT(PROTOCOL_TRACE_CMD_V2)},
	{"trace-cmd-v3", BIT(PROTOCOL_TRACE_CMD_V3)},
	{"lttng", BIT(PROTOCOL_LTTNG)},
};

#define PROTOS "trace-cmd, trace-cmd-v1, trace-cmd-v2, trace-cmd-v3, lttng"

bool rule_matches(const struct rule *rule, const struct match_subject *subject)
{
	if (rule->host[0] && (!subject->host || fnmatch(rule->host, subject->host, 0) != 0))
		return false;
	if (rule->addr_text[0] && !addr_range_match(&rule->addr, &subject->peer))
		return false;
	if (rule->proto && !(rule->protocols & BIT(subject->protocol)))
		return false;
	if (rule->port && rule->port != subject->local_port)
		return false;
	return true;
}

bool rules_match(const struct rule *rules, size_t n, const struct match_subject *subject)
{
	for (size_t i = 0; i < n; i++)
		if (rule_matches(&rules[i], subject))
			return true;
	return false;
}

/* ---- reading ---- */

#define BAD(why, ...) refusal_set(why, -EINVAL, "bad-rule", __VA_ARGS__)

static const char *text_of(const json_t *value, struct refusal *why, const char *key)
{
	const char *text = json_string_value(value);

	if (!text || !*text) {
		BAD(why, "%s: a text is needed, and not an empty one", key);
		return NULL;
	}
	return text;
}

static int read_host(const json_t *value, struct rule *rule, struct refusal *why)
{
	const char *text = text_of(value, why, "host");

	if (!text)
		return -EINVAL;
	if (strlen(text) >= sizeof(rule->host))
		return BAD(why, "host: a pattern has at most %u characters", RULE_HOST_MAX - 1);
	for (const char *c = text; *c; c++)
		if (iscntrl((unsigned char)*c))
			return BAD(why, "host: a node name has no control characters");
	strcpy(rule->host, text);
	return 0;
}

static int read_addr(const json_t *value, struct rule *rule, struct refusal *why)
{
	const char *text = text_of(value, why, "addr");
	int r;

	if (!text)
		return -EINVAL;
	r = strlen(text) < sizeof(rule->addr_text) ? addr_range_parse(text, &rule->addr) : -EINVAL;
	if (r == -ENODEV)
		return BAD(why, "addr: there is no interface \"%s\" here", strchr(text, '%') + 1);
	if (r < 0)
		return BAD(why,
			   "addr: \"%.80s\" is no address and no prefix; write 10.0.0.0/8, "
			   "2001:db8::/32 or 192.0.2.7",
			   text);
	strcpy(rule->addr_text, text);
	return 0;
}

static int read_proto(const json_t *value, struct rule *rule, struct refusal *why)
{
	const char *text = text_of(value, why, "proto");

	if (!text)
		return -EINVAL;
	for (size_t i = 0; i < sizeof(protos) / sizeof(protos[0]); i++)
		if (strcmp(protos[i].name, text) == 0) {
			rule->proto = protos[i].name;
			rule->protocols = protos[i].protocols;
			return 0;
		}
	return BAD(why, "proto: \"%.80s\" is no protocol; those known are " PROTOS, text);
}

static int read_port(const json_t *value, struct rule *rule, struct refusal *why)
{
	json_int_t port = json_integer_value(value); /* 0 if it is none */

	if (port < 1 || port > UINT16_MAX)
		return BAD(why, "port: a number from 1 to 65535 is needed");
	rule->port = (uint16_t)port;
	return 0;
}

static const struct {
	const char *key;
	int (*read)(const json_t *value, struct rule *rule, struct refusal *why);
} keys[] = {
	{"host", read_host},
	{"addr", read_addr},
	{"proto", read_proto},
	{"port", read_port},
};

static int read_key(const char *key, const json_t *value, struct rule *rule, struct refusal *why)
{
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (strcmp(keys[i].key, key) == 0)
			return keys[i].read(value, rule, why);
	return BAD(why, "\"%.80s\" is no key of a rule; the keys are host, addr, proto and port",
		   key);
}

int rule_from_json(const json_t *object, struct rule *ret, struct refusal *why)
{
	struct rule rule = {.port = 0};
	const char *key;
	json_t *value;
	int r;

	if (!json_object_size(object))
		return BAD(why, "a rule needs at least one of host, addr, proto and port");
	json_object_foreach ((json_t *)object, key, value) {
		r = read_key(key, value, &rule, why);
		if (r < 0)
			return r;
	}
	*ret = rule;
	return 0;
}

static int put(json_t *object, bool given, const char *key, json_t *value)
{
	if (given)
		return json_object_set_new(object, key, value);
	json_decref(value);
	return 0;
}

json_t *rule_to_json(const struct rule *rule)
{
	json_t *o = json_object();

	if (put(o, rule->host[0], "host", json_string(rule->host)) < 0 ||
	    put(o, rule->addr_text[0], "addr", json_string(rule->addr_text)) < 0 ||
	    put(o, rule->proto, "proto", json_string(rule->proto ? rule->proto : "")) < 0 ||
	    put(o, rule->port, "port", json_integer(rule->port)) < 0) {
		json_decref(o);
		return NULL;
	}
	return o;
}

/* ---- names ---- */

int session_name_check(const char *name, struct refusal *why)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	static const char others[] = "._-";
	size_t len = strlen(name);

	if (!len || len > SESSION_NAME_MAX || !strchr(letters, name[0]))
		goto bad;
	for (size_t i = 1; i < len; i++)
		if (!strchr(letters, name[i]) && !strchr(others, name[i]))
			goto bad;
	if (strncmp(name, "catalog.db", strlen("catalog.db")) == 0)
		return refusal_set(
			why, -EINVAL, "bad-name",
			"a session cannot be named \"%s\", since catalog.db is a file of the "
			"relay's own there",
			name);
	return 0;
bad:
	return refusal_set(
		why, -EINVAL, "bad-name",
		"\"%.80s\" cannot be a session's name: 1 to %u letters, digits, '.', '_' and "
		"'-', a letter or a digit first",
		name, SESSION_NAME_MAX);
}
