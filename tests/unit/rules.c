/* SPDX-License-Identifier: MIT */
/* rules.c - reading rules, asking them, names of sessions. */
#include "sessiond-lite/rules.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

/* ---- reading ---- */

struct reading {
	char json[96];
	char why[64]; /* part of the refusal; "": it is right */
};

ParameterizedTestParameters(rules, reading)
{
	static struct reading cases[] = {
		{"{'host': 'web*'}", ""},
		{"{'addr': '10.0.0.0/8'}", ""},
		{"{'addr': '10.1.2.3'}", ""},
		{"{'addr': '2001:db8::/32'}", ""},
		{"{'proto': 'trace-cmd'}", ""},
		{"{'proto': 'trace-cmd-v1'}", ""},
		{"{'proto': 'trace-cmd-v2'}", ""},
		{"{'proto': 'trace-cmd-v3'}", ""},
		{"{'proto': 'lttng'}", ""},
		{"{'port': 1}", ""},
		{"{'port': 65535}", ""},
		{"{'host': 'a', 'addr': '::/0', 'proto': 'lttng', 'port': 9}", ""},
		{"{}", "at least one"},
		{"[]", "at least one"},
		{"{'host': ''}", "host:"},
		{"{'host': 7}", "host:"},
		{"{'host': 'a\\u0007'}", "control characters"},
		{"{'addr': '300.0.0.0/8'}", "\"300.0.0.0/8\""},
		{"{'addr': '10.0.0.0/33'}", "addr:"},
		{"{'addr': '10.0.0.1:80'}", "addr:"},
		{"{'addr': 'localhost'}", "addr:"},
		{"{'addr': 'fe80::1%nosuch'}", "no interface \"nosuch\""},
		{"{'proto': 'ftp'}", "\"ftp\""},
		{"{'proto': 'trace-cmd-v4'}", "trace-cmd-v3, lttng"},
		{"{'port': 0}", "port:"},
		{"{'port': 65536}", "port:"},
		{"{'port': '80'}", "port:"},
		{"{'port': 80.0}", "port:"},
		{"{'hots': 'a'}", "\"hots\""},
		{"{'host': 'a', 'color': 1}", "\"color\""},
	};

	return cr_make_param_array(struct reading, cases, sizeof(cases) / sizeof(cases[0]));
}

/* JSON with ' for ", which needs no escapes here. */
static json_t *load(const char *text)
{
	char copy[512];
	json_t *json;

	snprintf(copy, sizeof(copy), "%s", text);
	for (char *c = copy; *c; c++)
		if (*c == '\'')
			*c = '"';
	json = json_loads(copy, 0, NULL);
	cr_assert(json, "%s", copy);
	return json;
}

ParameterizedTest(struct reading *c, rules, reading)
{
	struct rule rule = {.port = 4242};
	struct refusal why = {.reason = NULL};
	json_t *json = load(c->json), *again;
	int r = rule_from_json(json, &rule, &why);

	if (*c->why) {
		cr_assert_eq(r, -EINVAL, "%s", c->json);
		cr_assert_str_eq(why.reason, "bad-rule");
		cr_assert(strstr(why.sentence, c->why), "%s: %s", c->json, why.sentence);
		cr_assert_eq(rule.port, 4242, "output on failure");
	} else {
		cr_assert_eq(r, 0, "%s: %s", c->json, why.sentence);
		again = rule_to_json(&rule);
		cr_assert(json_equal(json, again), "%s", c->json);
		json_decref(again);
	}
	json_decref(json);
}

Test(rules, long_texts)
{
	struct rule rule;
	struct refusal why;
	char host[RULE_HOST_MAX + 1];
	json_t *json;

	memset(host, 'a', sizeof(host));
	host[RULE_HOST_MAX] = '\0';
	json = json_pack("{s:s}", "host", host);
	cr_assert_eq(rule_from_json(json, &rule, &why), -EINVAL);
	json_decref(json);
	host[RULE_HOST_MAX - 1] = '\0';
	json = json_pack("{s:s}", "host", host);
	cr_assert_eq(rule_from_json(json, &rule, &why), 0);
	cr_assert_str_eq(rule.host, host);
	json_decref(json);
	json = json_pack("{s:s}", "addr", host);
	cr_assert_eq(rule_from_json(json, &rule, &why), -EINVAL);
	json_decref(json);
}

/* ---- matching ---- */

struct matching {
	char rule[96];
	char host[16]; /* "": not known */
	char peer[40];
	enum protocol protocol;
	uint16_t port;
	bool want;
};

ParameterizedTestParameters(rules, matching)
{
	static struct matching cases[] = {
		{"{'host': 'web*'}", "web-1", "10.0.0.1", PROTOCOL_TRACE_CMD_V3, 12345, true},
		{"{'host': 'web*'}", "db-1", "10.0.0.1", PROTOCOL_TRACE_CMD_V3, 12345, false},
		{"{'host': 'web*'}", "my-web-1", "10.0.0.1", PROTOCOL_TRACE_CMD_V3, 12345, false},
		{"{'host': 'web*'}", "Web-1", "10.0.0.1", PROTOCOL_TRACE_CMD_V3, 12345, false},
		{"{'host': 'web-?'}", "web-1", "10.0.0.1", PROTOCOL_TRACE_CMD_V3, 12345, true},
		{"{'host': 'web-[0-4]'}", "web-5", "10.0.0.1", PROTOCOL_TRACE_CMD_V3, 1, false},
		/* a host that is not known matches no pattern, not even this one */
		{"{'host': '*'}", "", "10.0.0.1", PROTOCOL_TRACE_CMD_V1, 12345, false},
		{"{'addr': '10.0.0.0/8'}", "", "10.0.0.1", PROTOCOL_TRACE_CMD_V1, 12345, true},
		{"{'addr': '10.0.0.0/8'}", "", "11.0.0.1", PROTOCOL_TRACE_CMD_V1, 12345, false},
		{"{'addr': '10.0.0.1'}", "", "10.0.0.1", PROTOCOL_TRACE_CMD_V1, 12345, true},
		{"{'addr': '0.0.0.0/0'}", "", "2001:db8::1", PROTOCOL_TRACE_CMD_V1, 1, false},
		{"{'addr': '2001:db8::/32'}", "", "2001:db8::1", PROTOCOL_TRACE_CMD_V1, 1, true},
		{"{'proto': 'trace-cmd'}", "", "10.0.0.1", PROTOCOL_TRACE_CMD_V1, 1, true},
		{"{'proto': 'trace-cmd'}", "", "10.0.0.1", PROTOCOL_TRACE_CMD_V2, 1, true},
		{"{'proto': 'trace-cmd'}", "", "10.0.0.1", PROTOCOL_TRACE_CMD_V2_2015, 1, true},
		{"{'proto': 'trace-cmd'}", "", "10.0.0.1", PROTOCOL_TRACE_CMD_V3, 1, true},
		{"{'proto': 'trace-cmd-v2'}", "", "10.0.0.1", PROTOCOL_TRACE_CMD_V2_2015, 1, true},
		{"{'proto': 'trace-cmd-v2'}", "", "10.0.0.1", PROTOCOL_TRACE_CMD_V2, 1, true},
		{"{'proto': 'trace-cmd-v2'}", "", "10.0.0.1", PROTOCOL_TRACE_CMD_V3, 1, false},
		{"{'proto': 'trace-cmd-v3'}", "", "10.0.0.1", PROTOCOL_TRACE_CMD_V1, 1, false},
		{"{'proto': 'lttng'}", "", "10.0.0.1", PROTOCOL_TRACE_CMD_V3, 1, false},
		{"{'proto': 'lttng'}", "", "10.0.0.1", PROTOCOL_LTTNG, 1, true},
		{"{'proto': 'lttng', 'host': 'web*'}", "web-1", "10.0.0.1", PROTOCOL_LTTNG, 1,
		 true},
		{"{'proto': 'lttng', 'host': 'web*'}", "db-1", "10.0.0.1", PROTOCOL_LTTNG, 1,
		 false},
		{"{'proto': 'trace-cmd'}", "", "10.0.0.1", PROTOCOL_LTTNG, 1, false},
		{"{'port': 4711}", "", "10.0.0.1", PROTOCOL_TRACE_CMD_V1, 4711, true},
		{"{'port': 4711}", "", "10.0.0.1", PROTOCOL_TRACE_CMD_V1, 4712, false},
		/* ANDed: each key alone spoils it */
		{"{'host': 'w*', 'addr': '10.0.0.0/8', 'proto': 'trace-cmd-v3', 'port': 1}", "w",
		 "10.0.0.1", PROTOCOL_TRACE_CMD_V3, 1, true},
		{"{'host': 'w*', 'addr': '10.0.0.0/8', 'proto': 'trace-cmd-v3', 'port': 1}", "x",
		 "10.0.0.1", PROTOCOL_TRACE_CMD_V3, 1, false},
		{"{'host': 'w*', 'addr': '10.0.0.0/8', 'proto': 'trace-cmd-v3', 'port': 1}", "w",
		 "11.0.0.1", PROTOCOL_TRACE_CMD_V3, 1, false},
		{"{'host': 'w*', 'addr': '10.0.0.0/8', 'proto': 'trace-cmd-v3', 'port': 1}", "w",
		 "10.0.0.1", PROTOCOL_TRACE_CMD_V2, 1, false},
		{"{'host': 'w*', 'addr': '10.0.0.0/8', 'proto': 'trace-cmd-v3', 'port': 1}", "w",
		 "10.0.0.1", PROTOCOL_TRACE_CMD_V3, 2, false},
	};

	return cr_make_param_array(struct matching, cases, sizeof(cases) / sizeof(cases[0]));
}

ParameterizedTest(struct matching *c, rules, matching)
{
	struct match_subject subject = {
		.host = *c->host ? c->host : NULL, .protocol = c->protocol, .local_port = c->port};
	struct refusal why;
	struct rule rule;
	json_t *json = load(c->rule);

	cr_assert_eq(addr_parse(c->peer, &subject.peer), 0);
	subject.peer.port = 54321; /* plays no part */
	cr_assert_eq(rule_from_json(json, &rule, &why), 0);
	cr_assert_eq(rule_matches(&rule, &subject), c->want, "%s: %s %s", c->rule, c->host,
		     c->peer);
	json_decref(json);
}

Test(rules, ored)
{
	struct match_subject subject = {.local_port = 2};
	struct rule rules[2] = {{.port = 1}, {.port = 2}};

	cr_assert_eq(addr_parse("10.0.0.1", &subject.peer), 0);
	cr_assert(rules_match(rules, 2, &subject));
	cr_assert_not(rules_match(rules, 1, &subject));
	cr_assert_not(rules_match(rules, 0, &subject), "a session without rules claims nobody");
}

/* ---- names ---- */

struct naming {
	char name[80];
	bool good;
};

ParameterizedTestParameters(rules, naming)
{
	static struct naming cases[] = {
		{"a", true},
		{"7", true},
		{"web-1.example_x", true},
		{"ABCabc0123456789abcdef0123456789abcdef0123456789abcdef012345678", true}, /* 63 */
		{"ABCabc0123456789abcdef0123456789abcdef0123456789abcdef0123456789", false},
		{"", false},
		{".", false},
		{"..", false},
		{".incoming", false},
		{"-a", false},
		{"_a", false},
		{"a/b", false},
		{"../escape", false},
		{"a b", false},
		{"a\n", false},
		{"\xc3\xa4", false},
		{"a\xc3\xa4", false},
		{"catalog.db", false},
		{"catalog.db-wal", false},
		{"catalog", true},
		{"default", true}, /* that it exists is another matter */
	};

	return cr_make_param_array(struct naming, cases, sizeof(cases) / sizeof(cases[0]));
}

ParameterizedTest(struct naming *c, rules, naming)
{
	struct refusal why = {.reason = NULL};

	cr_assert_eq(session_name_check(c->name, &why), c->good ? 0 : -EINVAL, "\"%s\"", c->name);
	if (!c->good)
		cr_assert_str_eq(why.reason, "bad-name");
}
