/* SPDX-License-Identifier: MIT */
/* relayctl_cli.c - wrong usage is status 2 and a sentence; options may stand anywhere. */
#include "relayctl/cli.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <string.h>

#include "tests/unit/fake_relay.h"

struct usage_case {
	char words[6][48];
	int status;
	char says[64]; /* on standard error; with status 0 on standard output */
};

ParameterizedTestParameters(relayctl_cli, usage)
{
	static struct usage_case cases[] = {
		{{""}, 2, "usage: relayctl"},
		{{"frobnicate"}, 2, "there is no such command: frobnicate"},
		{{"sourcse"}, 2, "did you mean \"sources\""},
		{{"create-session"}, 2, "usage: relayctl create-session [OPTION]... NAME"},
		{{"create-session", "a", "b"}, 2, "one argument too many: b"},
		{{"list", "--bogus"}, 2, "no such option: --bogus"},
		{{"--bogus", "list"}, 2, "no such option: --bogus"},
		{{"list", "--delete-data", "x"}, 2, "no such option: --delete-data"},
		{{"create-session", "a", "--listen"}, 2, "needs a value: --listen"},
		{{"list", "--json=yes"}, 2, "takes no value"},
		{{"create-session", "a", "--match", "host"}, 2, "--match host"},
		{{"create-session", "a", "--match", "host="}, 2, "--match"},
		{{"create-session", "a", "--match", "name=x"}, 2, "--match name"},
		{{"create-session", "a", "--match", "addr=300.0.0.0/8"}, 2, "addr=300.0.0.0/8"},
		{{"create-session", "a", "--match", "port=70000"}, 2, "1 to 65535"},
		{{"create-session", "a", "--match", "port=0"}, 2, "1 to 65535"},
		{{"create-session", "a", "--match", "host=x,host=y"}, 2, "twice"},
		{{"create-session", "a", "--match="}, 2, "--match"},
		{{"create-session", "a", "--rotate-size", "many"}, 2, "--rotate-size many"},
		{{"create-session", "a", "--rotate-time", "10"}, 2, "--rotate-time 10"},
		{{"create-session", "a", "--keep-chunks", "-1"}, 2, "--keep-chunks -1"},
		{{"create-session", "\xff"}, 2, "UTF-8"},
		{{"show", "\xff"}, 2, "UTF-8"},
		{{"top", "--sort", "size"}, 2, "--sort size"},
		{{"help", "frobnicate"}, 2, "no command \"frobnicate\""},
		{{"--help"}, 0, "Exit status: 0 done"},
		{{"help"}, 0, "destroy-session"},
		{{"help", "top"}, 0, "usage: relayctl top"},
		{{"top", "-h"}, 0, "usage: relayctl top"},
		{{"--help", "list"}, 0, "usage: relayctl list"},
		{{"--version"}, 0, "relayctl " PACKAGE_VERSION},
	};

	return cr_make_param_array(struct usage_case, cases, sizeof(cases) / sizeof(cases[0]));
}

ParameterizedTest(struct usage_case *c, relayctl_cli, usage)
{
	struct fake_relay *f = fake_relay_start();
	const char *w[6];
	const struct said *said;

	for (int i = 0; i < 6; i++)
		w[i] = c->words[i][0] ? c->words[i] : NULL;
	said = fake_relay_run(f, w[0], w[1], w[2], w[3], w[4], w[5], NULL);
	cr_assert_eq(said->status, c->status, "%s %s: %d: %s", c->words[0], c->words[1],
		     said->status, said->err);
	cr_assert(strstr(c->status ? said->err : said->out, c->says), "%s %s says \"%s%s\"",
		  c->words[0], c->words[1], said->out, said->err);
	cr_assert_str_empty(c->status ? said->out : said->err);
	fake_relay_stop(f);
}

Test(relayctl_cli, options_stand_anywhere)
{
	struct fake_relay *f = fake_relay_start();
	const struct said *said;

	fake_relay_answer(f, "session.show", "{\"name\":\"-x\"}");
	said = fake_relay_run(f, "show", "web", "--json", NULL);
	cr_assert_str_eq(said->out, "{\n  \"name\": \"-x\"\n}\n");
	said = fake_relay_run(f, "--json", "show", "--", "-x", NULL);
	cr_assert_eq(said->status, 0);
	cr_assert_str_eq(json_string_value(json_object_get(
				 json_object_get(fake_relay_request(f), "params"), "name")),
			 "-x");
	said = fake_relay_run(f, "--json", "show", NULL);
	cr_assert_eq(said->status, 2);
	fake_relay_stop(f);
}

Test(relayctl_cli, run_dir_from_the_environment)
{
	struct fake_relay *f = fake_relay_start();
	char *argv[] = {"relayctl", "version", NULL},
	     *other[] = {"relayctl", "version", "--run-dir=/nowhere", NULL};
	FILE *out = tmpfile(), *err = tmpfile();

	fake_relay_answer(f, "daemon.version", "{\"program\":\"tracerelay\",\"version\":\"7\"}");
	setenv("TRACERELAY_RUN_DIR", fake_relay_dir(f), 1);
	cr_assert_eq(cli_run(2, argv, out, err), 0);
	cr_assert_eq(cli_run(3, other, out, err), EXIT_NO_DAEMON, "--run-dir is stronger");
	fclose(out);
	fclose(err);
	fake_relay_stop(f);
}

Test(relayctl_cli, a_full_disk_is_noticed)
{
	char *argv[] = {"relayctl", "--help", NULL};
	FILE *full = fopen("/dev/full", "w"), *err = tmpfile();

	cr_assert(full && err);
	cr_assert_eq(cli_run(2, argv, full, err), EXIT_REFUSED);
	fclose(full);
	fclose(err);
}
