/* SPDX-License-Identifier: MIT */
/* relayctl_status_commands.c - sources, streams, status, and the small ones beside them. */
#include "relayctl/commands.h"

#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/fake_relay.h"

#define LEDGER(received, lost, intervals, disk)                                                    \
	"\"received\":" #received ",\"stored\":" #received ",\"discarded\":{\"disk\":" #disk       \
	",\"stall\":0},\"pages\":1234567,\"lost_events\":" #lost ",\"lost_intervals\":" #intervals \
	",\"marks\":0,\"datagrams\":0,\"datagrams_dropped\":0,\"rate\":1048576"

#define DOCUMENT                                                                                   \
	"{\"format\":1,\"version\":\"0.1.0\",\"pid\":4711,\"generation\":3,"                       \
	"\"now\":\"2023-11-14T22:15:00.500Z\",\"started\":\"2023-11-14T22:13:20.000Z\","           \
	"\"uptime_s\":100,\"synced\":true,\"counters_since\":\"2023-11-14T22:00:00.000Z\","        \
	"\"totals\":{\"sources\":2,\"streams\":2,\"streams_open\":1," LEDGER(                      \
		8192, 0, 0,                                                                        \
		0) "},"                                                                            \
		   "\"workers\":[{\"index\":0,\"busy_ms\":0},{\"index\":1,\"busy_ms\":31000}],"    \
		   "\"sessions\":[{\"name\":\"default\"},{\"name\":\"web\"}],"                     \
		   "\"sources\":[{\"number\":7,\"session\":\"web\",\"host\":\"web-1\",\"peer\":"   \
		   "\"10.0.0.1:40000\",\"protocol\":\"trace-cmd V3\",\"transport\":\"tcp\","       \
		   "\"state\":\"recording\",\"streams\":4,\"streams_open\":1,"                     \
		   "\"started\":\"2023-11-14T22:14:00.000Z\",\"directory\":\"web/web-1/"           \
		   "x\"," LEDGER(                                                                  \
			   4096, 12, 1,                                                            \
			   0) "},{\"number\":8,\"session\":\"default\",\"host\":null,\"peer\":"    \
			      "\"10.0.0.2:40000\",\"protocol\":\"trace-cmd "                       \
			      "V1\",\"transport\":\"udp\","                                        \
			      "\"state\":\"disk-full\",\"streams\":1,\"streams_open\":0,"          \
			      "\"started\":"                                                       \
			      "null,"                                                              \
			      "\"directory\":null," LEDGER(                                        \
				      4096, 0, 0,                                                  \
				      100) "}],"                                                   \
					   "\"streams\":[{\"source\":7,\"session\":\"web\","       \
					   "\"cpu\":0,\"port\":30000,"                             \
					   "\"state\":\"open\"," LEDGER(                           \
						   4096, 12, 1,                                    \
						   0) "},"                                         \
						      "{\"source\":8,\"session\":\"default\","     \
						      "\"cpu\":0,\"port\":30001,\"state\":"        \
						      "\"ended\"," LEDGER(                         \
							      4096, 0, 0,                          \
							      100) "}],\"connections\":[{"         \
								   "\"role\":\"control\"},"        \
								   "{\"role\":\"data\"},{"         \
								   "\"role\":\"data\"}],"          \
								   "\"counters\":{\"bytes_"        \
								   "received\":1099511627776,"     \
								   "\"bytes_discarded_disk\":100," \
								   "\"kernel_events_lost\":12,"    \
								   "\"tracer_packets_lost\":34,"   \
								   "\"chunks_finished\":5,"        \
								   "\"chunks_incomplete\":1},"     \
								   "\"limits\":{}}\n"

#define SESSIOND(state)                                                                         \
	"{\"version\":\"0.1.0\",\"pid\":4710,\"uptime_ms\":3600000,\"output_dir\":\"/traces\"," \
	"\"relayd\":{\"state\":\"" state "\",\"pid\":0,\"next_try_ms\":800,"                    \
	"\"last_end\":\"was killed by signal 9 (Killed)\"},\"listeners\":["                     \
	"{\"address\":\"0.0.0.0:12345\"},{\"address\":\"[::]:12345\"}],"                        \
	"\"counts\":{\"descriptors\":95,\"descriptors_max\":100},"                              \
	"\"database\":{\"trouble\":\"disk I/O error\"}}"

static struct fake_relay *f;

static void start(void)
{
	f = fake_relay_start();
}

static void stop(void)
{
	fake_relay_stop(f);
}

TestSuite(relayctl_status_commands, .init = start, .fini = stop, .timeout = 60);

static const char *output(const struct said *said)
{
	cr_assert_eq(said->status, 0, "%s", said->err);
	cr_assert_str_empty(said->err);
	return said->out;
}

static void has(const char *text, const char *part)
{
	cr_assert(strstr(text, part), "\"%s\" is not in\n%s", part, text);
}

Test(relayctl_status_commands, sources)
{
	const char *out;

	fake_relay_document(f, DOCUMENT);
	out = output(fake_relay_run(f, "sources", NULL));
	cr_assert_str_eq(out, "SOURCE  SESSION  HOST   PEER            PROTOCOL          STATE     "
			      "   AGE  STREAMS"
			      "   STORED       RATE  LOST  DISCARDED  DIRECTORY\n"
			      "     7  web      web-1  10.0.0.1:40000  trace-cmd V3/tcp  recording "
			      " 1m 0s        4"
			      "  4.0 KiB  1.0 MiB/s   12+        0 B  web/web-1/x\n"
			      "     8  default  -      10.0.0.2:40000  trace-cmd V1/udp  disk-full "
			      "     -        1"
			      "  4.0 KiB  1.0 MiB/s     0      100 B  -\n");
	out = output(fake_relay_run(f, "sources", "web", NULL));
	has(out, "web-1");
	cr_assert_null(strstr(out, "10.0.0.2"));
	cr_assert_eq(fake_relay_run(f, "sources", "nosuch", NULL)->status, 1);
}

Test(relayctl_status_commands, streams)
{
	fake_relay_document(f, DOCUMENT);
	cr_assert_str_eq(
		output(fake_relay_run(f, "streams", NULL)),
		"SOURCE  SESSION  CPU   PORT  STATE  RECEIVED   STORED  DISCARDED      PAGES  LOST"
		"       RATE\n"
		"     7  web        0  30000  open    4.0 KiB  4.0 KiB        0 B  1,234,567   12+"
		"  1.0 MiB/s\n"
		"     8  default    0  30001  ended   4.0 KiB  4.0 KiB      100 B  1,234,567     0"
		"  1.0 MiB/s\n");
}

#define LTTNG_STREAM(name, state, pages, packets, lost)                                          \
	"{\"source\":9,\"session\":\"web\",\"cpu\":null,\"port\":null,\"name\":" name            \
	",\"state\":\"" state "\",\"received\":4096,\"stored\":4096,\"discarded\":{\"disk\":0}," \
	"\"pages\":" pages ",\"packets\":" packets "," lost ",\"lost_intervals\":null,"          \
	"\"datagrams_dropped\":0,\"rate\":0}"

/* What does not apply is "-"; what names a stream of LTTng is its last column. */
Test(relayctl_status_commands, streams_of_lttng)
{
	fake_relay_document(
		f,
		"{\"format\":1,\"sessions\":[],\"streams\":["
		"{\"source\":7,\"session\":\"web\",\"cpu\":3,\"port\":30003,\"name\":null,"
		"\"state\":\"open\"," LEDGER(4096, 12, 1, 0) "}," LTTNG_STREAM(
			"\"ust/uid/1/64-bit/metadata\"", "open", "null", "null",
			"\"lost_events\":null,\"lost_packets\":"
			"null") "," LTTNG_STREAM("\"ust/uid/1/64-bit/ch_0\"", "ended", "null", "7",
						 "\"lost_events\":1234,"
						 "\"lost_packets\":50,\"lost_packets_at_start\":"
						 "6") "]}\n");
	cr_assert_str_eq(
		output(fake_relay_run(f, "streams", NULL)),
		"SOURCE  SESSION  CPU   PORT  STATE  RECEIVED   STORED  DISCARDED      PAGES"
		"            LOST       RATE  NAME\n"
		"     7  web        3  30003  open    4.0 KiB  4.0 KiB        0 B  1,234,567"
		"             12+  1.0 MiB/s  -\n"
		"     9  web        -      -  open    4.0 KiB  4.0 KiB        0 B          -"
		"               -      0 B/s  ust/uid/1/64-bit/metadata\n"
		"     9  web        -      -  ended   4.0 KiB  4.0 KiB        0 B          7"
		"  1,234 + 56 pkt      0 B/s  ust/uid/1/64-bit/ch_0\n");
}

Test(relayctl_status_commands, lists_as_json)
{
	json_t *list;

	fake_relay_document(f, DOCUMENT);
	list = json_loads(output(fake_relay_run(f, "--json", "streams", NULL)), 0, NULL);
	cr_assert_eq(json_array_size(list), 2);
	json_decref(list);
	list = json_loads(output(fake_relay_run(f, "--json", "sources", "web", NULL)), 0, NULL);
	cr_assert_eq(json_array_size(list), 1);
	cr_assert_eq(json_integer_value(json_object_get(json_array_get(list, 0), "lost_events")),
		     12);
	json_decref(list);
}

Test(relayctl_status_commands, status)
{
	const char *out;
	json_t *both;

	fake_relay_document(f, DOCUMENT);
	fake_relay_answer(f, "daemon.status", SESSIOND("running"));
	out = output(fake_relay_run(f, "status", NULL));
	has(out, "sessiond-lite  0.1.0, pid 4710, up 1h 0m\n");
	has(out, "listens at     0.0.0.0:12345, [::]:12345\n");
	has(out, "stores below   /traces\n");
	has(out, "relayd         0.1.0, pid 4711, up 1m 40s, started 3 times\n");
	has(out, "sources        2 (1 recording, 1 disk-full)\n");
	has(out, "streams        1 open of 2\n");
	has(out, "1.0 TiB since 2023-11-14 22:00:00 UTC");
	has(out, "attention      catalog.db: disk I/O error\n");
	has(out, "95 of 100 descriptors");
	has(out, "worker 1 has been in one turn for 31s");
	has(out, "1 sources store nothing");
	has(out, "100 B discarded: the disk was full or failed\n");
	has(out, "12 events lost by traced kernels\n");
	has(out, "34 packets overwritten by LTTng's tracers\n");
	has(out, "connections    3 (1 control, 2 data)\n");

	both = json_loads(output(fake_relay_run(f, "--json", "status", NULL)), 0, NULL);
	cr_assert_eq(json_integer_value(json_object_get(json_object_get(both, "relayd"), "pid")),
		     4711);
	cr_assert_eq(json_integer_value(json_object_get(json_object_get(both, "sessiond"), "pid")),
		     4710);
	json_decref(both);
}

Test(relayctl_status_commands, status_while_relayd_is_restarted)
{
	const char *out;
	json_t *both;

	fake_relay_answer(f, "daemon.status", SESSIOND("waiting"));
	fake_relay_document(f, ""); /* nobody reads the listening socket's connections */
	out = output(fake_relay_run(f, "status", NULL));
	has(out, "relayd         is being restarted (waiting)");
	has(out, "the one before was killed by signal 9 (Killed)\n");
	has(out, "next start in 0.8s\n");
	both = json_loads(output(fake_relay_run(f, "--json", "status", NULL)), 0, NULL);
	cr_assert(json_is_null(json_object_get(both, "relayd")));
	cr_assert(json_is_object(json_object_get(both, "sessiond")));
	json_decref(both);
}

/* control.sock is 0600, status.sock 0666. */
Test(relayctl_status_commands, status_for_a_user_who_may_not_ask)
{
	const char *out;
	json_t *both;

	fake_relay_refuse(f, "daemon.status", -32000, "no");
	fake_relay_document(f, DOCUMENT);
	out = output(fake_relay_run(f, "status", NULL));
	has(out, "sessiond-lite  not to be asked by this user\n");
	has(out, "pid 4711");
	both = json_loads(output(fake_relay_run(f, "--json", "status", NULL)), 0, NULL);
	cr_assert(json_is_null(json_object_get(both, "sessiond")));
	json_decref(both);
}

Test(relayctl_status_commands, status_when_nobody_answers)
{
	const struct said *said;

	fake_relay_refuse(f, "daemon.status", -32603, "no memory");
	fake_relay_document(f, "");
	said = fake_relay_run(f, "status", NULL);
	cr_assert_eq(said->status, 1);
	cr_assert_str_empty(said->out);
	has(said->err, "relayctl: no memory\n");
	has(said->err, "relayd does not answer");
}

Test(relayctl_status_commands, top_without_a_terminal_is_one_picture)
{
	const char *out;

	fake_relay_document(f, DOCUMENT);
	out = output(fake_relay_run(f, "top", "--sort", "loss", NULL));
	has(out, "relayd pid 4711, start 3, up 1m 40s");
	has(out, "1.0 MiB/s");
	has(out, "web-1\n");
	cr_assert_null(strchr(out, '\033'));
}

Test(relayctl_status_commands, config)
{
	static const char result[] =
		"{\"file\":\"/etc/tracerelay.conf\",\"options\":["
		"{\"name\":\"run.dir\",\"text\":\"/run/x\",\"default\":\"/run/tracerelay\","
		"\"source\":\"--set\"},"
		"{\"name\":\"relayd.workers\",\"text\":\"2\",\"default\":\"2\","
		"\"source\":\"file\",\"line\":12}]}";

	fake_relay_answer(f, "daemon.config", result);
	cr_assert_str_eq(output(fake_relay_run(f, "config", NULL)),
			 "OPTION          VALUE   FROM\n"
			 "run.dir         /run/x  --set\n"
			 "relayd.workers  2       /etc/tracerelay.conf line 12\n");
}

Test(relayctl_status_commands, version)
{
	const struct said *said = fake_relay_run(f, "version", NULL);

	cr_assert_eq(said->status, 3);
	cr_assert_str_eq(said->out, "relayctl " PACKAGE_VERSION "\n");
	fake_relay_answer(f, "daemon.version", "{\"program\":\"tracerelay\",\"version\":\"7.8\"}");
	cr_assert_str_eq(output(fake_relay_run(f, "version", NULL)),
			 "relayctl " PACKAGE_VERSION "\ntracerelay 7.8 (running)\n");
	cr_assert_str_eq(output(fake_relay_run(f, "--json", "version", NULL)),
			 "{\n  \"program\": \"tracerelay\",\n  \"version\": \"7.8\"\n}\n");
}
