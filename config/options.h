/* SPDX-License-Identifier: MIT */
/*
 * options.h - what the user may decide, as one immutable snapshot with typed fields.
 *
 * The rows of config/option_table.c make the parser, the help, the manual, the example file and the
 * JSON document, so none of them can disagree with another.
 *
 * Life:   made whole by options_load() or options_from_json(), never changed, freed by
 *         options_free(). A reload makes a new one.
 * Thread: any, as long as nobody frees it.
 * Errors: 0 or negative errno with, in *ret_error, one sentence for the user that names the place
 *         (file and line, or the --set), the option, what is wrong and what is accepted. It belongs
 *         to the caller; NULL if there was no memory for it. Outputs are written only on success,
 *         *ret_error only on failure.
 * Units:  in the names: _ms; sizes are bytes; everything else is a count.
 * Source: design.md section 7.
 */
#ifndef TRACERELAY_CONFIG_OPTIONS_H
#define TRACERELAY_CONFIG_OPTIONS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

#include "common/log.h"
#include "config/option_env.h"

/* Where to listen; count 0 = off. Each is a socket of its own: "[::]:12345" takes IPv6 only
 * (IPV6_V6ONLY), since "0.0.0.0:12345" stands beside it. Port 0 lets the kernel choose one. */
struct option_addresses {
	struct sockaddr_storage *at; /* AF_INET or AF_INET6 */
	size_t count;
};

struct option_ports {
	uint16_t first, last; /* both included, 1..65535, first <= last */
};

struct option_keep_alive { /* TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT */
	uint32_t idle_s, interval_s, count;
};

struct option_version {
	uint32_t major, minor;
};

enum option_group { OPTION_GROUP_HOST, OPTION_GROUP_SESSION };

struct options {
	struct {
		char *dir;  /* absolute */
		char *user; /* "" = stay who we are */
	} run;
	struct {
		char *dir; /* absolute */
	} output;
	struct {
		struct option_addresses listen;
		struct option_ports stream_ports;
		uint64_t udp_linger_ms;
	} trace_cmd;
	struct {
		struct option_addresses control, data, live;
		struct option_version protocol;
		enum option_group group;
		bool allow_clear;
		uint64_t max_stall_ms;
		uint32_t open_files;
		uint64_t metadata_wait; /* bytes a source */
		uint32_t anonymous_sockets;
	} lttng;
	struct {
		uint32_t workers;
	} relayd;
	struct {
		uint64_t handshake_timeout_ms;
		uint64_t metadata_timeout_ms;
		uint64_t stall_timeout_ms;
		struct option_keep_alive keep_alive;
		uint64_t metadata; /* bytes a source */
		uint64_t message;  /* bytes */
		uint32_t sources;
		uint32_t streams_per_peer;
	} limits;
	struct {
		enum log_level level;
		enum log_target target;
	} log;

	char *file;                      /* the configuration file that was read; NULL = none */
	struct option_setting *settings; /* for options.c: what each row was set to, and where */
};

/* All borrowed for the call. */
struct options_source {
	const char *file;        /* --config: must exist. NULL: env's default file, if any */
	const char *const *sets; /* --set SECTION.KEY=VALUE, each; the last one wins */
	size_t n_sets;
	const struct option_env *env; /* what the defaults depend on; NULL: ask the system now */
};

/*
 * File, then --set, then defaults for the rest. One wrong line refuses the whole.
 * A daemon that gives up root after its start keeps the option_env of its start for reloads:
 * defaults of a root start must not turn into those of a user.
 */
int options_load(const struct options_source *source, struct options **ret, char **ret_error);

void options_free(struct options *o); /* NULL is a no-op */

/*
 * The whole snapshot; relayctl config prints it, sessiond-lite hands it to relayd. NULL: no memory.
 *
 *   { "file": "/etc/..." or null,
 *     "options": [ { "name": "limits.metadata",
 *                    "value": 67108864,          a number, boolean, string or array of strings
 *                    "text": "64M",              as it was written
 *                    "default": "64M",           as the manual has it
 *                    "source": "default",        or "file", "--set"
 *                    "line": 12,                 only if the source is the file
 *                    "unit": "bytes",            "" if it has none
 *                    "reloadable": true, "served": true,
 *                    "help": "..." }, ... ] }    in the order of the table
 */
json_t *options_to_json(const struct options *o);

/*
 * The snapshot that options_to_json() wrote: every field, text and source is the same again.
 * Names that this build does not know are passed over and options that are missing have their
 * defaults, so that a relayd of another version can be started. Values are checked as in a file,
 * but nothing is asked of the system.
 */
int options_from_json(const json_t *json, struct options **ret, char **ret_error);

/*
 * May a running daemon go on with `next` in place of `now`? 0; or -EBUSY with a sentence that names
 * every option that differs and can only be changed by a restart.
 */
int options_check_reload(const struct options *now, const struct options *next, char **ret_error);

/* lttng.open-files, but of so many descriptors half at most: the rest is for connections. */
uint32_t options_open_files(const struct options *o, uint32_t descriptors);

/* ---- option_docs.c: the table as text ---- */

void options_print_help(FILE *out);    /* for --help */
void options_print_manual(FILE *out);  /* doc/tracerelay.conf.5.scd */
void options_print_example(FILE *out); /* config/tracerelay.conf */

#endif
