/* SPDX-License-Identifier: MIT */
/* session_spec.c - the parameters of session.create. */
#include "sessiond-lite/session_spec.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

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

struct wrong {
	char json[120];
	char reason[16];
	char why[48]; /* part of the sentence */
};

ParameterizedTestParameters(session_spec, wrong)
{
	static struct wrong cases[] = {
		{"{}", "bad-params", "name"},
		{"[]", "bad-params", "by name"},
		{"{'name': 7}", "bad-params", "name"},
		{"{'name': ''}", "bad-name", "letter"},
		{"{'name': '../a'}", "bad-name", "\"../a\""},
		{"{'name': 'a', 'colour': 1}", "bad-params", "\"colour\""},
		{"{'name': 'a', 'match': {}}", "bad-params", "match"},
		{"{'name': 'a', 'match': [{'port': 1}, {'port': 0}]}", "bad-rule", "rule 2: port"},
		{"{'name': 'a', 'match': [7]}", "bad-rule", "rule 1"},
		{"{'name': 'a', 'listen': 'trace-cmd:1.2.3.4:5'}", "bad-params", "listen"},
		{"{'name': 'a', 'listen': [7]}", "bad-params", "listen"},
		{"{'name': 'a', 'listen': ['1.2.3.4:5']}", "bad-listen", "\"1.2.3.4:5\""},
		{"{'name': 'a', 'listen': ['lttng:1.2.3.4:5']}", "bad-listen", "lttng.control"},
		{"{'name': 'a', 'listen': ['lttng:1.2.3.4:5']}", "bad-listen",
		 "--match proto=lttng"},
		{"{'name': 'a', 'listen': ['trace-cmd:']}", "bad-listen", "write"},
		{"{'name': 'a', 'listen': ['trace-cmd:1.2.3.4']}", "bad-listen", "write"},
		{"{'name': 'a', 'listen': ['trace-cmd:::1']}", "bad-listen", "write"},
		{"{'name': 'a', 'listen': ['trace-cmd:[::1]']}", "bad-listen", "write"},
		{"{'name': 'a', 'listen': ['trace-cmd:1.2.3.4:70000']}", "bad-listen", "write"},
		{"{'name': 'a', 'listen': ['trace-cmd:host:5']}", "bad-listen", "write"},
		{"{'name': 'a', 'rotate_size': 65536, 'match': [{'proto': 'lttng'}]}", "lttng",
		 "lttng rotate"},
		{"{'name': 'a', 'match': [{'port': 5}, {'proto': 'lttng'}], 'keep_chunks': 3}",
		 "lttng", "lttng rotate"},
		{"{'name': 'a', 'rotate_time_ms': 1000, 'match': [{'proto': 'lttng'}]}", "lttng",
		 "lttng rotate"},
		{"{'name': 'a', 'rotate_size': -1}", "bad-params", "rotate_size"},
		{"{'name': 'a', 'rotate_size': 65535}", "bad-params", "65536"},
		{"{'name': 'a', 'rotate_size': '1M'}", "bad-params", "rotate_size"},
		{"{'name': 'a', 'rotate_size': true}", "bad-params", "rotate_size"},
		{"{'name': 'a', 'rotate_time_ms': 999}", "bad-params", "rotate_time_ms"},
		{"{'name': 'a', 'keep_chunks': 1.0}", "bad-params", "keep_chunks"},
		{"{'name': 'a', 'keep_chunks': 5000000000}", "bad-params", "keep_chunks"},
	};

	return cr_make_param_array(struct wrong, cases, sizeof(cases) / sizeof(cases[0]));
}

ParameterizedTest(struct wrong *c, session_spec, wrong)
{
	struct session_spec *spec = NULL;
	struct refusal why = {.reason = ""};
	json_t *json = load(c->json);

	cr_assert_eq(session_spec_from_json(json, &spec, &why), -EINVAL, "%s", c->json);
	cr_assert_str_eq(why.reason, c->reason, "%s: %s", c->json, why.sentence);
	cr_assert(strstr(why.sentence, c->why), "%s: %s", c->json, why.sentence);
	cr_assert_null(spec, "output on failure");
	json_decref(json);
}

Test(session_spec, no_params_at_all)
{
	struct session_spec *spec = NULL;
	struct refusal why;

	cr_assert_eq(session_spec_from_json(NULL, &spec, &why), -EINVAL);
}

Test(session_spec, everything)
{
	const char *text = "{'name': 'web', 'match': [{'host': 'w*'}, {'port': 7}],"
			   " 'listen': ['trace-cmd:127.0.0.1:12346', 'trace-cmd:[::]:0'],"
			   " 'rotate_size': 65536, 'rotate_time_ms': 1000, 'keep_chunks': 3}";
	json_t *json = load(text), *again = json_object();
	struct session_spec *spec;
	struct refusal why;

	cr_assert_eq(session_spec_from_json(json, &spec, &why), 0, "%s", why.sentence);
	cr_assert_str_eq(spec->name, "web");
	cr_assert_eq(spec->n_rules, 2);
	cr_assert_eq(spec->rules[1].port, 7);
	cr_assert_eq(spec->n_listeners, 2);
	cr_assert_eq(spec->listeners[0].port, 12346);
	cr_assert(addr_is_loopback(&spec->listeners[0]));
	cr_assert_not(addr_is_v4(&spec->listeners[1]));
	cr_assert_eq(spec->rotate_size, 65536);
	cr_assert_eq(spec->rotate_time_ms, 1000);
	cr_assert_eq(spec->keep_chunks, 3);

	/* written as it was read, but for the name */
	cr_assert_eq(session_spec_to_json(spec, again), 0);
	json_object_del(json, "name");
	cr_assert(json_equal(json, again));
	json_decref(json);
	json_decref(again);
	session_spec_free(spec);
}

Test(session_spec, off_is_zero)
{
	json_t *json = load("{'name': 'a', 'match': [], 'listen': [], 'rotate_size': 0,"
			    " 'rotate_time_ms': 0, 'keep_chunks': 0}");
	struct session_spec *spec;
	struct refusal why;

	cr_assert_eq(session_spec_from_json(json, &spec, &why), 0, "%s", why.sentence);
	cr_assert_eq(spec->n_rules + spec->n_listeners + spec->keep_chunks, 0);
	session_spec_free(spec);
	json_decref(json);
}

Test(session_spec, too_many)
{
	json_t *rules = json_array(), *listen = json_array();
	json_t *json = json_pack("{s:s, s:O, s:O}", "name", "a", "match", rules, "listen", listen);
	struct session_spec *spec;
	struct refusal why;

	for (unsigned i = 0; i < RULES_MAX; i++)
		json_array_append_new(rules, json_pack("{s:i}", "port", 1));
	for (unsigned i = 0; i < SESSION_LISTENERS_MAX; i++)
		json_array_append_new(listen, json_string("trace-cmd:127.0.0.1:1"));
	cr_assert_eq(session_spec_from_json(json, &spec, &why), 0);
	session_spec_free(spec);
	json_array_append_new(rules, json_pack("{s:i}", "port", 1));
	cr_assert_eq(session_spec_from_json(json, &spec, &why), -EINVAL);
	json_array_remove(rules, 0);
	json_array_append_new(listen, json_string("trace-cmd:127.0.0.1:1"));
	cr_assert_eq(session_spec_from_json(json, &spec, &why), -EINVAL);
	json_decref(rules);
	json_decref(listen);
	json_decref(json);
}
