/* SPDX-License-Identifier: MIT */
/* options_load.c - snapshots from files, --set and defaults, and every sentence of refusal. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>

#include "config/options.h"
#include "tests/unit/options_rig.h"

Test(options_load, defaults_of_root)
{
	struct option_env env = rig_root();
	struct options *o = rig_load(&env, NULL, NULL);

	cr_assert_str_eq(o->run.dir, "/run/tracerelay");
	cr_assert_str_eq(o->run.user, "tracerelay");
	cr_assert_str_eq(o->output.dir, "/var/lib/tracerelay");
	cr_assert_eq(o->trace_cmd.listen.count, 2);
	cr_assert_eq(o->trace_cmd.listen.at[0].ss_family, AF_INET);
	cr_assert_eq(o->trace_cmd.listen.at[1].ss_family, AF_INET6);
	cr_assert_eq(o->trace_cmd.stream_ports.first, 30000);
	cr_assert_eq(o->trace_cmd.stream_ports.last, 34095);
	cr_assert_eq(o->trace_cmd.udp_linger_ms, 1000);
	cr_assert_eq(o->lttng.control.count, 2);
	cr_assert_eq(ntohs(((struct sockaddr_in *)&o->lttng.control.at[0])->sin_port), 5342);
	cr_assert_eq(ntohs(((struct sockaddr_in *)&o->lttng.data.at[0])->sin_port), 5343);
	cr_assert_eq(ntohs(((struct sockaddr_in *)&o->lttng.live.at[0])->sin_port), 5344);
	cr_assert_eq(((struct sockaddr_in *)&o->lttng.live.at[0])->sin_addr.s_addr,
		     htonl(INADDR_LOOPBACK));
	cr_assert_eq(o->lttng.protocol.major, 2);
	cr_assert_eq(o->lttng.protocol.minor, 13);
	cr_assert_eq(o->lttng.group, OPTION_GROUP_HOST);
	cr_assert_eq(o->lttng.allow_clear, true);
	cr_assert_eq(o->lttng.max_stall_ms, 1000);
	cr_assert_eq(o->lttng.open_files, 16384);
	cr_assert_eq(o->lttng.metadata_wait, 1 << 20);
	cr_assert_eq(o->lttng.anonymous_sockets, 64);
	cr_assert_eq(o->relayd.workers, 8);
	cr_assert_eq(o->limits.handshake_timeout_ms, 10000);
	cr_assert_eq(o->limits.metadata_timeout_ms, 60000);
	cr_assert_eq(o->limits.stall_timeout_ms, 60000);
	cr_assert_eq(o->limits.keep_alive.idle_s, 60);
	cr_assert_eq(o->limits.keep_alive.interval_s, 10);
	cr_assert_eq(o->limits.keep_alive.count, 6);
	cr_assert_eq(o->limits.metadata, 64 << 20);
	cr_assert_eq(o->limits.message, 1 << 20);
	cr_assert_eq(o->limits.sources, 65536);
	cr_assert_eq(o->limits.streams_per_peer, 4096);
	cr_assert_eq(o->log.level, LOG_LEVEL_INFO);
	cr_assert_eq(o->log.target, LOG_TARGET_STDERR);
	cr_assert_null(o->file);
	options_free(o);
	options_free(NULL);
}

Test(options_load, defaults_of_a_user_under_systemd)
{
	struct option_env env = rig_user();
	struct options *o;

	env.stderr_is_journal = true;
	o = rig_load(&env, NULL, NULL);
	cr_assert_str_eq(o->run.dir, "/run/user/1000/tracerelay");
	cr_assert_str_eq(o->run.user, "");
	cr_assert_str_eq(o->output.dir, "/home/eve/.local/state/tracerelay");
	cr_assert_eq(o->log.target, LOG_TARGET_JOURNAL);
	options_free(o);
}

/* Without an env, this machine is asked. */
Test(options_load, this_machine)
{
	static const char *const sets[] = {"output.dir=/x", "run.dir=/y"};
	struct options_source source = {.file = "/dev/null", .sets = sets, .n_sets = 2};
	struct options *o;
	char *error;

	cr_assert_eq(options_load(&source, &o, &error), 0);
	cr_assert_geq(o->relayd.workers, 1);
	options_free(o);
}

Test(options_load, file_and_set)
{
	struct option_env env = rig_root();
	static const char *const sets[] = {"limits.sources=5", " limits.metadata = 2M ",
					   "limits.sources=6", "trace-cmd.listen="};
	struct options_source source = {.sets = sets, .n_sets = 4, .env = &env};
	struct options *o;
	char *error;

	source.file = rig_file("[trace-cmd]\n"
			       "listen = 127.0.0.1:1\n"
			       "stream-ports = 40000-40010\n"
			       "[limits]\n"
			       "sources = 4 ; few\n"
			       "[run]\n"
			       "user =\n");
	cr_assert_eq(options_load(&source, &o, &error), 0);
	cr_assert_eq(o->limits.sources, 6, "the last --set");
	cr_assert_eq(o->limits.metadata, 2 << 20);
	cr_assert_eq(o->trace_cmd.listen.count, 0, "--set over file");
	cr_assert_eq(o->trace_cmd.stream_ports.last, 40010, "the file's");
	cr_assert_eq(o->limits.message, 1 << 20, "the default");
	cr_assert_str_eq(o->run.user, "", "not the default");
	cr_assert_str_eq(o->file, source.file);
	options_free(o);
}

Test(options_load, list_over_several_lines)
{
	struct option_env env = rig_root();
	struct options *o = rig_load(&env,
				     "[trace-cmd]\n"
				     "listen = 127.0.0.1:1,  ; with a comma\n"
				     "         [::1]:2       # or without\n"
				     "         127.0.0.1:3\n",
				     NULL);

	cr_assert_eq(o->trace_cmd.listen.count, 3);
	options_free(o);
}

Test(options_load, default_file)
{
	struct option_env env = rig_root();
	struct options_source source = {.env = &env};
	struct options *o;
	char *error = NULL;

	env.default_file = rig_file("[limits]\nsources = 7\n");
	cr_assert_eq(options_load(&source, &o, &error), 0);
	cr_assert_eq(o->limits.sources, 7);
	options_free(o);

	env.default_file = "/dev/null/tracerelay.conf"; /* ENOTDIR: it is not there either */
	cr_assert_eq(options_load(&source, &o, &error), 0);
	cr_assert_eq(o->limits.sources, 65536);
	options_free(o);

	env.default_file = "/"; /* there, but not to be read */
	cr_assert_eq(options_load(&source, &o, &error), -EISDIR);
	cr_assert_str_eq(error, "cannot read the configuration file /: Is a directory");
	free(error);

	source.file = rig_file("[limits]\nsources = 8\n"); /* --config: the default is not read */
	cr_assert_eq(options_load(&source, &o, &error), 0);
	cr_assert_eq(o->limits.sources, 8);
	options_free(o);

	source.file = "/nonexistent";
	cr_assert_eq(options_load(&source, &o, &error), -ENOENT);
	cr_assert_str_eq(error, "cannot open the configuration file /nonexistent: No such file or "
				"directory");
	free(error);
}

Test(options_load, lines_that_are_refused)
{
	static const char *const cases[][2] = {
		{"[limits]\nmetadata = 1M\nsources = many\n",
		 "FILE:3: limits.sources: \"many\" is no number; accepted: a number of sources "
		 "from 1 "
		 "to 262144"},
		{"[limits]\nmetadata = 65M\n",
		 "FILE:2: limits.metadata: \"65M\" is more than 64M; accepted: a size from 64K to "
		 "64M: a number of bytes, or one with K, M, G or T"},
		{"[limits]\nhandshake-timeout = 10\n",
		 "FILE:2: limits.handshake-timeout: \"10\" has no unit; accepted: a duration from "
		 "10ms to 1d: a number with ms, s, m, h or d"},
		{"[log]\nlevel = loud\n",
		 "FILE:2: log.level: \"loud\" is none of the words that are accepted; accepted: "
		 "debug, info, warning or error"},
		{"[output]\ndir = traces\n", "FILE:2: output.dir: \"traces\" does not begin with "
					     "/; accepted: an absolute path of "
					     "at most 2048 bytes"},
		{"[trace-cmd]\nlisten = 0.0.0.0:12345\n  ::1\n",
		 "FILE:2: trace-cmd.listen: \"0.0.0.0:12345, ::1\" has no port in \"::1\"; "
		 "accepted: addresses like 10.0.0.1:80 or [::1]:80 between commas, or nothing"},
		{"[limits]\nsource = 5\n",
		 "FILE:2: there is no option limits.source; [limits] has handshake-timeout, "
		 "metadata-timeout, stall-timeout, keep-alive, metadata, message, sources, "
		 "streams-per-peer"},
		{"[limit]\n\nsources = 5\n", "FILE:1: there is no section [limit]; the sections "
					     "are run, output, trace-cmd, lttng, "
					     "relayd, limits, log"},
		{"[trace-cmd]\nlisten = 0.0.0.0:12345\n  [::]\n",
		 "FILE:3: there is no section [::]; the sections are run, output, trace-cmd, "
		 "lttng, "
		 "relayd, limits, log"},
		{"limits.sources = 5\n", "FILE:1: limits.sources stands before the first "
					 "[section]; an option SECTION.KEY is "
					 "written as KEY = VALUE below [SECTION]"},
		{"[limits]\nsources = 5\nmetadata = 1M\nsources = 6\n",
		 "FILE:4: limits.sources was set in line 2 already"},
		{"[limits]\nsources = 5\n[limits]\nsources = 5\n",
		 "FILE:4: limits.sources was set in line 2 already"},
		{"[limits]\nsources = 5\n  6\n",
		 "FILE:3: an indented line goes on with limits.sources of line 2, which takes one "
		 "value"},
		{"[limits]\nsources\n",
		 "FILE:2: this line is no [SECTION], no KEY = VALUE and no comment"},
		{"[log]\nlevel = \xff\n", "FILE:2: log.level: \"?\" is none of the words that are "
					  "accepted; accepted: debug, "
					  "info, warning or error"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		rig_assert_refused(cases[i][0], NULL, cases[i][1]);
}

/* A mistake must not sleep behind a --set until somebody leaves that out. */
Test(options_load, wrong_line_is_refused_though_a_set_replaces_it)
{
	rig_assert_refused("[log]\nlevel = loud\n", "log.level=debug",
			   "FILE:2: log.level: \"loud\" is none of the words that are accepted; "
			   "accepted: debug, info, warning or error");
}

Test(options_load, sets_that_are_refused)
{
	static const char *const cases[][2] = {
		{"limits.sources", "--set limits.sources: this is not SECTION.KEY=VALUE"},
		{"limits.source=5",
		 "--set: there is no option limits.source; [limits] has handshake-timeout, "
		 "metadata-timeout, stall-timeout, keep-alive, metadata, message, sources, "
		 "streams-per-peer"},
		{"sources=5", "--set: there is no option sources; the sections are run, output, "
			      "trace-cmd, lttng, "
			      "relayd, limits, log"},
		{"=5", "--set: there is no option ; the sections are run, output, trace-cmd, "
		       "lttng, relayd, "
		       "limits, log"},
		{"limits.sources=0", "--set: limits.sources: \"0\" is less than 1; accepted: a "
				     "number of sources from 1 "
				     "to 262144"},
		{"limits.sources=", "--set: limits.sources: \"\" is no number; accepted: a number "
				    "of sources from 1 to "
				    "262144"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		rig_assert_refused(NULL, cases[i][0], cases[i][1]);
}

Test(options_load, sockets_that_cannot_be_together)
{
	rig_assert_refused("[trace-cmd]\nlisten = 127.0.0.1:30000\n", NULL,
			   "FILE:2: trace-cmd.listen: the port of 127.0.0.1:30000 is one of "
			   "trace-cmd.stream-ports 30000-34095");
	rig_assert_refused(NULL, "trace-cmd.stream-ports=12000-12345",
			   "default: trace-cmd.listen: the port of 0.0.0.0:12345 is one of "
			   "trace-cmd.stream-ports 12000-12345");
	rig_assert_refused(NULL, "trace-cmd.listen=[::]:5,127.0.0.1:5,[::1]:5",
			   "--set: trace-cmd.listen: [::1]:5 cannot be used beside [::]:5 of "
			   "trace-cmd.listen");
}

/* Ports of LTTng too; what is off is in nobody's way. */
Test(options_load, sockets_of_lttng)
{
	struct option_env env = rig_root();

	rig_assert_refused(
		NULL, "trace-cmd.listen=0.0.0.0:5342",
		"default: lttng.control: 0.0.0.0:5342 cannot be used beside 0.0.0.0:5342 "
		"of trace-cmd.listen");
	rig_assert_refused(NULL, "lttng.live=[::]:5343",
			   "--set: lttng.live: [::]:5343 cannot be used beside [::]:5343 of "
			   "lttng.data");
	rig_assert_refused("[lttng]\ndata = 127.0.0.1:30001\n", NULL,
			   "FILE:2: lttng.data: the port of 127.0.0.1:30001 is one of "
			   "trace-cmd.stream-ports 30000-34095");
	options_free(rig_load(&env, "[lttng]\ncontrol =\n", "trace-cmd.listen=0.0.0.0:5342"));
}

Test(options_load, run_user)
{
	struct option_env root = rig_root(), eve = rig_user();
	struct options *o;
	char *error;

	error = rig_refused(&root, "[run]\nuser = bob\n", NULL);
	cr_assert_str_eq(error, "FILE:2: run.user: there is no user bob on this machine");
	free(error);
	error = rig_refused(&eve, NULL, "run.user=tracerelay");
	cr_assert_str_eq(error, "--set: run.user: only root can become tracerelay");
	free(error);
	o = rig_load(&eve, NULL, "run.user=eve"); /* the unit says User=eve, the file too */
	cr_assert_str_eq(o->run.user, "eve");
	options_free(o);
	root.user_exists = NULL; /* must not be asked for who stays root */
	o = rig_load(&root, NULL, "run.user=");
	cr_assert_str_eq(o->run.user, "");
	options_free(o);
}

Test(options_load, user_without_a_home)
{
	struct option_env env = rig_user();
	char *error;

	env.home[0] = '\0';
	error = rig_refused(&env, NULL, NULL);
	cr_assert_str_eq(error,
			 "output.dir has no default, since there is no $HOME; please set it");
	free(error);
	options_free(rig_load(&env, NULL, "output.dir=/x"));
}

Test(options_load, long_directories_of_the_environment)
{
	struct option_env env = rig_user();
	static char dir[200];
	char *error;

	memset(dir, 'x', sizeof(dir) - 1);
	dir[0] = '/';
	env.runtime_dir = dir;
	error = rig_refused(&env, NULL, NULL);
	cr_assert_eq(strncmp(error, "default: run.dir: \"/xx", 21), 0, "%s", error);
	cr_assert_not_null(strstr(error, "is longer than 90 bytes"));
	free(error);
}

/* No reading leaves a descriptor behind. */
Test(options_load, descriptors)
{
	struct option_env env = rig_root();
	int before = open("/dev/null", O_RDONLY), after;
	struct options_source source = {.file = "/dev/null", .env = &env};
	struct options *o;
	char *error;

	close(before);
	cr_assert_eq(options_load(&source, &o, &error), 0);
	options_free(o);
	after = open("/dev/null", O_RDONLY);
	close(after);
	cr_assert_eq(after, before);
}
