/* SPDX-License-Identifier: MIT */
/* relayctl_daemon.c - a daemon that is there, is not, refuses, ends, or talks nonsense. */
#include "relayctl/daemon.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/fake_relay.h"

#define DOCUMENT "{\"format\":1,\"pid\":4711,\"sessions\":[],\"sources\":[],\"streams\":[]}\n"

static struct fake_relay *f;

static void start(void)
{
	f = fake_relay_start();
}

static void stop(void)
{
	fake_relay_stop(f);
}

TestSuite(relayctl_daemon, .init = start, .fini = stop, .timeout = 60);

static void check(const struct said *said, int status, const char *says)
{
	cr_assert_eq(said->status, status, "%d: %s", said->status, said->err);
	cr_assert(strstr(said->err, says), "it says \"%s\"", said->err);
	cr_assert_str_empty(said->out);
}

Test(relayctl_daemon, none)
{
	check(fake_relay_run(f, "list", NULL), 3, "no relay runs here");
	check(fake_relay_run(f, "list", NULL), 3, "Start one with 'sessiond-lite'");
	check(fake_relay_run(f, "sources", NULL), 3, "status.sock");
	check(fake_relay_run(f, "top", NULL), 3, "no relay runs here");
	check(fake_relay_run(f, "status", NULL), 3, "no relay runs here");
	check(fake_relay_run(f, "--json", "status", NULL), 3, "no relay runs here");
}

Test(relayctl_daemon, a_socket_left_by_a_dead_one)
{
	fake_relay_dead_socket(f, "control.sock");
	fake_relay_dead_socket(f, "status.sock");
	check(fake_relay_run(f, "list", NULL), 3, "no relay runs here");
	check(fake_relay_run(f, "streams", NULL), 3, "no relay runs here");
}

Test(relayctl_daemon, refuses)
{
	fake_relay_refuse(f, "session.show", -32000, "there is no session \\\"x\\\"");
	check(fake_relay_run(f, "show", "x", NULL), 1, "relayctl: there is no session \"x\"\n");
	fake_relay_refuse(f, "session.show", -32602, "bad\\u001b[2J");
	check(fake_relay_run(f, "show", "x", NULL), 1, "relayctl: bad?[2J\n");
}

Test(relayctl_daemon, ends_before_it_answers)
{
	fake_relay_say(f, "");
	check(fake_relay_run(f, "list", NULL), 3, "ended before it answered");
	fake_relay_say(f, "{\"jsonrpc\":\"2.0\",\"id\":1,");
	check(fake_relay_run(f, "list", NULL), 3, "ended before it answered");
}

Test(relayctl_daemon, talks_nonsense)
{
	fake_relay_say(f, "SSH-2.0-OpenSSH_9.2\r\n");
	check(fake_relay_run(f, "list", NULL), 1, "not understood");
	fake_relay_say(f, "{\"jsonrpc\":\"2.0\",\"id\":77,\"result\":{}}\n");
	check(fake_relay_run(f, "list", NULL), 1, "something else");
}

Test(relayctl_daemon, requests_are_json_rpc)
{
	const json_t *request;

	fake_relay_answer(f, "session.stop", "{}");
	cr_assert_eq(fake_relay_run(f, "stop", "web", NULL)->status, 0);
	request = fake_relay_request(f);
	cr_assert_str_eq(json_string_value(json_object_get(request, "jsonrpc")), "2.0");
	cr_assert_str_eq(json_string_value(json_object_get(request, "method")), "session.stop");
	cr_assert(json_is_integer(json_object_get(request, "id")));
}

/* relayd is killed while it sends; the next one serves the next connection. */
Test(relayctl_daemon, a_document_that_is_cut_is_asked_for_again)
{
	const struct said *said;

	fake_relay_document(f, "");
	fake_relay_document(f, "{\"format\":1,\"pi");
	fake_relay_document(f, DOCUMENT);
	said = fake_relay_run(f, "--json", "top", NULL);
	cr_assert_eq(said->status, 0, "%s", said->err);
	cr_assert(strstr(said->out, "\"pid\": 4711"));
}

Test(relayctl_daemon, a_relayd_that_does_not_come_back)
{
	fake_relay_document(f, "");
	check(fake_relay_run(f, "sources", NULL), 1, "relayd does not answer");
}

Test(relayctl_daemon, a_newer_document_is_refused)
{
	fake_relay_document(f, "{\"format\":2}");
	check(fake_relay_run(f, "sources", NULL), 1, "newer");
}

Test(relayctl_daemon, not_for_this_user)
{
	uid_t user = geteuid();
	const struct said *said;
	char path[256];

	fake_relay_answer(f, "session.list", "{}");
	snprintf(path, sizeof(path), "%s/control.sock", fake_relay_dir(f));
	cr_assert_eq(chmod(path, 0), 0);
	if (user == 0) /* who may do everything */
		cr_assert_eq(seteuid(65534), 0);
	said = fake_relay_run(f, "list", NULL);
	cr_assert_eq(seteuid(user), 0);
	check(said, 1, "not for this user");
}

Test(relayctl_daemon, a_path_too_long_for_a_socket)
{
	char dir[200];
	const struct said *said;

	memset(dir, 'x', sizeof(dir) - 1);
	dir[sizeof(dir) - 1] = '\0';
	said = fake_relay_run(f, "--run-dir", dir, "list", NULL);
	check(said, 2, "too long");
	check(fake_relay_run(f, "--run-dir", dir, "sources", NULL), 2, "too long");
}
