#!/bin/bash
# SPDX-License-Identifier: MIT
#
# lttng_tracefiles - --tracefile-size with --tracefile-count: the newest events, in no more files than that; without it: all
# events, in as many files as it takes (lttng-relayd dies of that).
# shellcheck source=tests/real/lttng_lib.sh
. "$(dirname "$0")/lttng_lib.sh"

start_lttng_relay
start_lttng
cpu=$(taskset -cp $$ | sed 's/.*: \([0-9]*\).*/\1/')
taskset -cp "$cpu" $$ >/dev/null # one stream, so that its last events are the last events

lt_create ring
lt_channel ring --tracefile-size=65536 --tracefile-count=3
lt start ring
app_start a
app_emit a 20000
lt stop ring
lt destroy ring
at=$(session_dir ring)
check_files "$at" --largest $((65536 + 16384)) --most 3
print_events "$at" >"$work/ring.txt"
first=$(sed -n '1s/.* n=\([0-9]*\)".*/\1/p' "$work/ring.txt")
count_events a="$first-20000" <"$work/ring.txt" >/dev/null || fail "not the last events: $(count_events a="$first-20000" <"$work/ring.txt")"
[ "$first" -gt 0 ] && [ "$first" -lt 18500 ] || fail "the ring begins with event $first"
ls "$at"/ust/uid/*/*-bit/ch_"${cpu}"_{0,1,2} >/dev/null || fail "the files are not called ch_${cpu}_0 and so on"
app_end a

if ! is_stock; then
	lt_create endless
	lt_channel endless --tracefile-size=65536
	lt start endless
	app_start b
	app_emit b 40000
	lt stop endless
	check_recorded endless b=40000
	lt destroy endless
	check_recorded endless b=40000
	check_files "$(session_dir endless)" --largest $((65536 + 16384))
	[ -e "$(echo "$(session_dir endless)"/ust/uid/*/*-bit/ch_"${cpu}"_9)" ] || fail "there are no ten files"
fi
lttng_pass
