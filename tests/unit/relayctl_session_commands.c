/* SPDX-License-Identifier: MIT */
/* relayctl_session_commands.c - what is sent for a session, and how the answers are shown. */
#include "relayctl/commands.h"

#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/fake_relay.h"

#define WEB                                                                                      \
	"{\"name\":\"web\",\"state\":\"stopped\",\"created_ns\":1700000000000000000,"            \
	"\"directory\":\"/var/lib/tracerelay/web\",\"sources\":2,\"chunks\":1234,"               \
	"\"bytes\":5368709120,\"lost_events\":12,\"to_compact\":0,\"not_listening\":1,"          \
	"\"note\":\"\",\"match\":[{\"host\":\"web*\",\"addr\":\"10.0.0.0/8\"},{\"port\":4711}]," \
	"\"listen\":[\"trace-cmd:0.0.0.0:12346\"],\"rotate_size\":104857600,"                    \
	"\"rotate_time_ms\":3600000,\"keep_chunks\":3}"
#define DEFAULT                                                                              \
	"{\"name\":\"default\",\"state\":\"active\",\"sources\":0,\"chunks\":0,\"bytes\":0," \
	"\"match\":[],\"listen\":[],\"rotate_size\":0,\"rotate_time_ms\":0,\"keep_chunks\":0}"

static struct fake_relay *f;

static void start(void)
{
	f = fake_relay_start();
}

static void stop(void)
{
	fake_relay_stop(f);
}

TestSuite(relayctl_session_commands, .init = start, .fini = stop, .timeout = 60);

static void check_params(const char *method, const char *want)
{
	const json_t *request = fake_relay_request(f);
	json_t *expected = json_loads(want, 0, NULL);
	char *got = json_dumps(json_object_get(request, "params"), JSON_COMPACT);

	cr_assert(expected);
	cr_assert_str_eq(json_string_value(json_object_get(request, "method")), method);
	cr_assert(json_equal(json_object_get(request, "params"), expected), "sent: %s", got);
	free(got);
	json_decref(expected);
}

static void check_done(const struct said *said, const char *out)
{
	cr_assert_eq(said->status, 0, "%s", said->err);
	cr_assert_str_eq(said->out, out);
	cr_assert_str_empty(said->err);
}

Test(relayctl_session_commands, create)
{
	fake_relay_answer(f, "session.create", WEB);
	check_done(fake_relay_run(f, "create-session", "web", NULL), "");
	check_params("session.create", "{\"name\":\"web\"}");

	check_done(fake_relay_run(f, "create-session", "web", "--match",
				  "host=web*,addr=10.0.0.0/8,proto=trace-cmd", "--listen",
				  "trace-cmd:0.0.0.0:12346", "--match=port=4711", "--rotate-size",
				  "100M", "--rotate-time=1h", "--keep-chunks", "3", "--listen",
				  "trace-cmd:[::]:12346", NULL),
		   "");
	check_params("session.create",
		     "{\"name\":\"web\",\"match\":[{\"host\":\"web*\",\"addr\":\"10.0.0.0/8\","
		     "\"proto\":\"trace-cmd\"},{\"port\":4711}],"
		     "\"listen\":[\"trace-cmd:0.0.0.0:12346\",\"trace-cmd:[::]:12346\"],"
		     "\"rotate_size\":104857600,\"rotate_time_ms\":3600000,\"keep_chunks\":3}");

	/* A comma inside brackets is the pattern's. */
	check_done(
		fake_relay_run(f, "create-session", "web", "--match", "host=web[1,2],port=1", NULL),
		"");
	check_params("session.create",
		     "{\"name\":\"web\",\"match\":[{\"host\":\"web[1,2]\",\"port\":1}]}");
}

Test(relayctl_session_commands, list)
{
	fake_relay_answer(f, "session.list", "{\"sessions\":[" DEFAULT "," WEB "]}");
	check_done(fake_relay_run(f, "list", NULL),
		   "SESSION  STATE    SOURCES  CHUNKS   STORED  RULES  PORTS  ROTATE-SIZE  "
		   "ROTATE-TIME  KEEP\n"
		   "default  active         0       0      0 B      0      0            -  "
		   "          -   all\n"
		   "web      stopped        2   1,234  5.0 GiB      2      1         100M  "
		   "         1h     3\n");
	cr_assert(strstr(fake_relay_run(f, "--json", "list", NULL)->out, "\"bytes\": 5368709120"));
}

Test(relayctl_session_commands, list_of_one_has_its_sources)
{
	const struct said *said;

	fake_relay_answer(f, "session.show", WEB);
	fake_relay_document(f, "{\"format\":1,\"sources\":["
			       "{\"number\":7,\"session\":\"web\",\"host\":\"web-1\"},"
			       "{\"number\":8,\"session\":\"default\",\"host\":\"db-1\"}]}");
	said = fake_relay_run(f, "list", "web", NULL);
	cr_assert_eq(said->status, 0, "%s", said->err);
	check_params("session.show", "{\"name\":\"web\"}");
	cr_assert(strstr(said->out, "stopped"));
	cr_assert(strstr(said->out, "web-1"));
	cr_assert_null(strstr(said->out, "db-1"));
}

Test(relayctl_session_commands, show)
{
	fake_relay_answer(f, "session.show", WEB);
	check_done(fake_relay_run(f, "show", "web", NULL),
		   "session       web\n"
		   "state         stopped\n"
		   "created       2023-11-14 22:13:20 UTC\n"
		   "directory     /var/lib/tracerelay/web\n"
		   "sources       2\n"
		   "chunks        1,234\n"
		   "stored        5.0 GiB\n"
		   "lost events   12\n"
		   "match         host=web*,addr=10.0.0.0/8\n"
		   "match         port=4711\n"
		   "listen        trace-cmd:0.0.0.0:12346\n"
		   "attention     not all of these ports can be listened to; the log says why\n"
		   "rotate-size   100M\n"
		   "rotate-time   1h\n"
		   "keep-chunks   3\n");
	check_params("session.show", "{\"name\":\"web\"}");
}

/* A policy that some of its sources do not follow. */
Test(relayctl_session_commands, show_with_sources_of_lttng)
{
	const struct said *said;

	fake_relay_answer(
		f, "session.show",
		"{\"name\":\"web\",\"sources\":5,\"lttng_sources\":3,\"rotate_size\":65536}");
	said = fake_relay_run(f, "show", "web", NULL);
	cr_assert(strstr(said->out, "\nof LTTng      3\n"), "%s", said->out);
	cr_assert(strstr(said->out, "\nattention     its sources of LTTng are not rotated so; "
				    "lttng enable-rotation"));
	fake_relay_answer(f, "session.show",
			  "{\"name\":\"web\",\"sources\":5,\"lttng_sources\":3,\"rotate_size\":0}");
	cr_assert_null(strstr(fake_relay_run(f, "show", "web", NULL)->out, "attention"));
}

Test(relayctl_session_commands, orders)
{
	fake_relay_answer(f, "session.stop", WEB);
	fake_relay_answer(f, "session.start", WEB);
	fake_relay_answer(f, "session.rotate", "{\"sources\":2}");
	check_done(fake_relay_run(f, "stop", "web", NULL), "");
	check_params("session.stop", "{\"name\":\"web\"}");
	check_done(fake_relay_run(f, "start", "web", NULL), "");
	check_params("session.start", "{\"name\":\"web\"}");
	check_done(fake_relay_run(f, "rotate", "web", NULL), "");
	check_params("session.rotate", "{\"name\":\"web\"}");
	check_done(fake_relay_run(f, "--json", "rotate", "web", NULL), "{\n  \"sources\": 2\n}\n");
	fake_relay_answer(f, "session.rotate", "{\"sources\":2,\"lttng_sources\":3}");
	check_done(fake_relay_run(f, "rotate", "web", NULL),
		   "rotated: 2 sources of trace-cmd; not rotated: 3 of LTTng, which only their own "
		   "clients can order (lttng rotate)\n");
}

Test(relayctl_session_commands, destroy)
{
	fake_relay_answer(f, "session.destroy", "{\"name\":\"web\",\"state\":\"destroyed\"}");
	check_done(fake_relay_run(f, "destroy-session", "web", NULL), "");
	check_params("session.destroy", "{\"name\":\"web\",\"delete_data\":false}");
	check_done(fake_relay_run(f, "destroy-session", "--delete-data", "web", NULL), "");
	check_params("session.destroy", "{\"name\":\"web\",\"delete_data\":true}");
	fake_relay_answer(f, "session.destroy", "{\"name\":\"web\",\"state\":\"ending\"}");
	check_done(fake_relay_run(f, "destroy-session", "web", NULL),
		   "The session ends when its sources have finished their chunks.\n");
}
