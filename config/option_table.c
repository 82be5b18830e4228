/* SPDX-License-Identifier: MIT */
/*
 * option_table.c - the rows; see option_table.h.
 *
 * Source: design.md section 7. Rows of a section stand together: the example file and the manual
 * follow the order here.
 */
#include "config/option_table.h"

#include <string.h>

#include "config/option_env.h"
#include "config/options.h"

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

#define MS     UINT64_C(1)
#define SECOND (1000 * MS)
#define HOUR   (3600 * SECOND)
#define DAY    (24 * HOUR)

/* The field's offset; a field of another C type than the row's is a compiler's warning. */
#define FIELD(c_type, field) \
	(offsetof(struct options, field) + 0 * sizeof((c_type *)0 == &((struct options *)0)->field))

static const char *const groups[] = {
	[OPTION_GROUP_HOST] = "host", [OPTION_GROUP_SESSION] = "session", NULL};
static const char *const levels[] = {[LOG_LEVEL_DEBUG] = "debug",
				     [LOG_LEVEL_INFO] = "info",
				     [LOG_LEVEL_WARNING] = "warning",
				     [LOG_LEVEL_ERROR] = "error",
				     NULL};
static const char *const targets[] = {
	[LOG_TARGET_STDERR] = "stderr", [LOG_TARGET_JOURNAL] = "journal", NULL};

const struct option_row option_rows[] = {
	{
		.name = "run.dir",
		.type = OPTION_PATH,
		.at = FIELD(char *, run.dir),
		.preset_of = option_env_run_dir,
		.preset_words = "/run/tracerelay; when not started as root "
				"$XDG_RUNTIME_DIR/tracerelay, or /tmp/tracerelay-UID where that "
				"is not set",
		.example = "/run/tracerelay",
		.min = 1,
		.max = 90, /* with "/control.sock" it must fit into sun_path */
		.served = true,
		.help = "Directory of control.sock (mode 0600) and status.sock (0666).",
	},
	{
		.name = "run.user",
		.type = OPTION_USER,
		.at = FIELD(char *, run.user),
		.preset_of = option_env_run_user,
		.preset_words =
			"tracerelay if started as root and there is such a user, else empty",
		.example = "tracerelay",
		.max = 255,
		.served = true,
		.help = "User to become after a start as root; empty = stay who started it.",
	},
	{
		.name = "output.dir",
		.type = OPTION_PATH,
		.at = FIELD(char *, output.dir),
		.preset_of = option_env_output_dir,
		.preset_words = "/var/lib/tracerelay; when not started as root "
				"$XDG_STATE_HOME/tracerelay, or ~/.local/state/tracerelay where "
				"that is not set",
		.example = "/var/lib/tracerelay",
		.min = 1,
		.max = 2048,
		.served = true,
		.help = "Directory of the sessions' directories and of catalog.db. Directories in "
			"it are made with mode 0750, files with 0640.",
	},
	{
		.name = "trace-cmd.listen",
		.type = OPTION_ADDRESSES,
		.at = FIELD(struct option_addresses, trace_cmd.listen),
		.preset = "0.0.0.0:12345, [::]:12345",
		.max = 64,
		.served = true,
		.help = "Where trace-cmd record -N connects to; empty = trace-cmd is not served.",
	},
	{
		.name = "trace-cmd.stream-ports",
		.type = OPTION_PORTS,
		.at = FIELD(struct option_ports, trace_cmd.stream_ports),
		.preset = "30000-34095",
		.min = 1,
		.max = 65535,
		.served = true,
		.help = "Ports that are leased to the CPUs of trace-cmd clients. A port serves any "
			"number of hosts at once, so the pool must only be as large as the number "
			"of CPUs (times buffers) that one host records at a time. Firewalls must "
			"let these ports through.",
	},
	{
		.name = "trace-cmd.udp-linger",
		.type = OPTION_DURATION,
		.at = FIELD(uint64_t, trace_cmd.udp_linger_ms),
		.preset = "1s",
		.min = 10 * MS,
		.max = HOUR,
		.reloadable = true,
		.served = true,
		.help = "How long datagrams of a UDP recording are still taken after its control "
			"connection has ended.",
	},
	{
		.name = "lttng.control",
		.type = OPTION_ADDRESSES,
		.at = FIELD(struct option_addresses, lttng.control),
		.preset = "0.0.0.0:5342, [::]:5342",
		.max = 64,
		.served = true,
		.help = "Where LTTng session daemons connect to; empty = off.",
	},
	{
		.name = "lttng.data",
		.type = OPTION_ADDRESSES,
		.at = FIELD(struct option_addresses, lttng.data),
		.preset = "0.0.0.0:5343, [::]:5343",
		.max = 64,
		.served = true,
		.help = "Where LTTng consumer daemons send trace data to; empty = off.",
	},
	{
		.name = "lttng.live",
		.type = OPTION_ADDRESSES,
		.at = FIELD(struct option_addresses, lttng.live),
		.preset = "127.0.0.1:5344, [::1]:5344",
		.max = 64,
		.served = true,
		.help = "Where live viewers connect to; empty = off.",
	},
	{
		.name = "lttng.protocol",
		.type = OPTION_VERSION,
		.at = FIELD(struct option_version, lttng.protocol),
		.preset = "2.13",
		.min = 1,
		.max = 13,
		.served = true,
		.help = "Version of the relay protocol that is announced to LTTng peers; 2.10 and "
			"below mean no rotation and no clear.",
	},
	{
		.name = "lttng.group",
		.type = OPTION_CHOICE,
		.at = FIELD(enum option_group, lttng.group),
		.preset = "host",
		.choices = groups,
		.served = true,
		.help = "Whether the directories of LTTng traces are grouped by host or by "
			"session, "
			"as with lttng-relayd's options --group-output-by-host and "
			"--group-output-by-session.",
	},
	{
		.name = "lttng.allow-clear",
		.type = OPTION_BOOL,
		.at = FIELD(bool, lttng.allow_clear),
		.preset = "yes",
		.reloadable = true,
		.served = true,
		.help = "Whether clients may delete what they sent, by lttng clear.",
	},
	{
		.name = "lttng.max-stall",
		.type = OPTION_DURATION,
		.at = FIELD(uint64_t, lttng.max_stall_ms),
		.preset = "1s",
		.min = 10 * MS,
		.max = HOUR,
		.reloadable = true,
		.served = true,
		.help = "Longest time that data of an LTTng source is left unread because the disk "
			"is too slow; then whole packets are discarded and counted, so that its "
			"host goes on.",
	},
	{
		.name = "lttng.open-files",
		.type = OPTION_COUNT,
		.at = FIELD(uint32_t, lttng.open_files),
		.preset = "16384",
		.min = 64,
		.max = 1048576,
		.unit = "files",
		.served = true,
		.help = "Trace files that are kept open at once, of the descriptors half at most; "
			"the longest unused is closed first. A stream has two.",
	},
	{
		.name = "lttng.metadata-wait",
		.type = OPTION_SIZE,
		.at = FIELD(uint64_t, lttng.metadata_wait),
		.preset = "1M",
		.min = 64 * KIB,
		.max = MIB,
		.reloadable = true,
		.served = true,
		.help = "Metadata of an LTTng source that may wait for a slow disk; a source with "
			"more is closed. Metadata is never discarded.",
	},
	{
		.name = "lttng.anonymous-sockets",
		.type = OPTION_COUNT,
		.at = FIELD(uint32_t, lttng.anonymous_sockets),
		.preset = "64",
		.min = 1,
		.max = 65535,
		.unit = "connections",
		.reloadable = true,
		.served = true,
		.help = "Data connections of a peer that have not sent their first packet yet, and "
			"so belong to no stream.",
	},
	{
		.name = "relayd.workers",
		.type = OPTION_COUNT,
		.at = FIELD(uint32_t, relayd.workers),
		.preset_of = option_env_workers,
		.preset_words = "number of CPUs",
		.example = "4",
		.min = 1,
		.max = OPTION_WORKERS_MAX,
		.unit = "threads",
		.served = true,
		.help = "Consumer threads, which store what streams send.",
	},
	{
		.name = "limits.handshake-timeout",
		.type = OPTION_DURATION,
		.at = FIELD(uint64_t, limits.handshake_timeout_ms),
		.preset = "10s",
		.min = 10 * MS,
		.max = DAY,
		.reloadable = true,
		.served = true,
		.help = "How long a control connection may be silent before it has been told its "
			"ports.",
	},
	{
		.name = "limits.metadata-timeout",
		.type = OPTION_DURATION,
		.at = FIELD(uint64_t, limits.metadata_timeout_ms),
		.preset = "60s",
		.min = 10 * MS,
		.max = DAY,
		.reloadable = true,
		.served = true,
		.help = "How long a control connection may be silent inside its metadata. After "
			"that a recording may be silent for months; only limits.keep-alive ends "
			"it.",
	},
	{
		.name = "limits.stall-timeout",
		.type = OPTION_DURATION,
		.at = FIELD(uint64_t, limits.stall_timeout_ms),
		.preset = "60s",
		.min = 10 * MS,
		.max = DAY,
		.reloadable = true,
		.served = true,
		.help = "How long a message or packet that has begun may go without another byte.",
	},
	{
		.name = "limits.keep-alive",
		.type = OPTION_KEEP_ALIVE,
		.at = FIELD(struct option_keep_alive, limits.keep_alive),
		.preset = "60s/10s/6",
		.reloadable = true,
		.served = true,
		.help = "TCP keep-alive of every connection: silence before the first probe, time "
			"between probes, probes without an answer until the connection is ended. "
			"This is what ends a host that lost power.",
	},
	{
		.name = "limits.metadata",
		.type = OPTION_SIZE,
		.at = FIELD(uint64_t, limits.metadata),
		.preset = "64M",
		.min = 64 * KIB,
		.max = 64 * MIB, /* where the first region of a trace.dat begins */
		.reloadable = true,
		.served = true,
		.help = "Largest metadata of a source.",
	},
	{
		.name = "limits.message",
		.type = OPTION_SIZE,
		.at = FIELD(uint64_t, limits.message),
		.preset = "1M",
		.min = 64 * KIB,
		.max = 128 * MIB,
		.reloadable = true,
		.served = true,
		.help = "Largest message of an LTTng peer on a control connection.",
	},
	{
		.name = "limits.sources",
		.type = OPTION_COUNT,
		.at = FIELD(uint32_t, limits.sources),
		.preset = "65536",
		.min = 1,
		.max = 262144,
		.unit = "sources",
		.served = true,
		.help = "Sources at a time.",
	},
	{
		.name = "limits.streams-per-peer",
		.type = OPTION_COUNT,
		.at = FIELD(uint32_t, limits.streams_per_peer),
		.preset = "4096",
		.min = 1,
		.max = 65535,
		.unit = "streams",
		.reloadable = true,
		.served = true,
		.help = "Streams at a time of one peer address, and so the most CPUs of a client.",
	},
	{
		.name = "log.level",
		.type = OPTION_CHOICE,
		.at = FIELD(enum log_level, log.level),
		.preset = "info",
		.choices = levels,
		.reloadable = true,
		.served = true,
		.help = "The least important lines that are logged.",
	},
	{
		.name = "log.target",
		.type = OPTION_CHOICE,
		.at = FIELD(enum log_target, log.target),
		.preset_of = option_env_log_target,
		.preset_words = "journal under systemd, else stderr",
		.example = "stderr",
		.choices = targets,
		.reloadable = true,
		.served = true,
		.help = "Where lines are logged to.",
	},
};

const size_t option_rows_count = sizeof(option_rows) / sizeof(option_rows[0]);

const char *option_row_default(const struct option_row *row)
{
	return row->preset ? row->preset : row->preset_words;
}

const struct option_row *option_row_find(const char *name)
{
	for (size_t i = 0; i < option_rows_count; i++)
		if (strcmp(option_rows[i].name, name) == 0)
			return &option_rows[i];
	return NULL;
}

size_t option_row_section(const struct option_row *row)
{
	return (size_t)(strchr(row->name, '.') - row->name);
}

const char *option_row_key(const struct option_row *row)
{
	return strchr(row->name, '.') + 1;
}
