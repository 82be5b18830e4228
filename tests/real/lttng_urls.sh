#!/bin/bash
# SPDX-License-Identifier: MIT
#
# lttng_urls - the forms of an URL that users know: net:// with and without ports, tcp:// for each, a path for the trace.
# shellcheck source=tests/real/lttng_lib.sh
. "$(dirname "$0")/lttng_lib.sh"

start_lttng
app_start a
recorded() { # SESSION LT_CREATE_OPTIONS...
	local session=$1 first=${app_sent[a]}
	lt_create "$@"
	lt_channel "$session"
	lt start "$session"
	app_emit a 2000
	lt stop "$session"
	lt destroy "$session"
	range=$first-${app_sent[a]}
}

start_lttng_relay
recorded plain --set-url=net://127.0.0.1
check_recorded plain a="$range"
recorded named --set-url=net://localhost
check_recorded named a="$range"
recorded tcp --ctrl-url=tcp://127.0.0.1:5342 --data-url=tcp://127.0.0.1:5343
check_recorded tcp a="$range"
is_stock && stop_stock || stop_relay

control_port=25342 data_port=35343 live_port=45344
start_lttng_relay
recorded ports --set-url=net://127.0.0.1:25342:35343
check_recorded ports a="$range"
recorded path --set-url=net://127.0.0.1:25342:35343/my/base
check_events "$tree/$(uname -n)/my/base" a="$range"
check_files "$tree/$(uname -n)/my/base"
recorded deep --ctrl-url=tcp://127.0.0.1:25342/a/b/c --data-url=tcp://127.0.0.1:35343/a/b/c
check_events "$tree/$(uname -n)/a/b/c" a="$range"
lttng_pass
