#!/bin/bash
# SPDX-License-Identifier: MIT
#
# lttng_live - create --live and two babeltrace2 that are attached before the program starts: both print every event, and
# end by themselves when the session does. Then programs with buffers of their own that come and go under a viewer's eyes,
# and viewers who come late. (lttng-relayd takes one viewer a session.)
# shellcheck source=tests/real/lttng_lib.sh
. "$(dirname "$0")/lttng_lib.sh"

viewers=2
! is_stock || viewers=1

live_url() { echo "net://127.0.0.1:$live_port/host/$(uname -n)/$1"; }
viewers_of() { "$real_dir/lttng_viewers.py" "$live_port" "$1" 2>/dev/null; }
watched_by() { [ "$(viewers_of "$1")" = "$2" ]; }
# The session is known when its first event is enabled.
start_viewers() { # SESSION COUNT
	local n
	viewer_pids=()
	for ((n = 1; n <= $2; n++)); do
		babeltrace2 -i lttng-live "$(live_url "$1")" >"$work/viewer-$1-$n.txt" 2>"$work/viewer-$1-$n.log" &
		viewer_pids+=($!)
	done
	wait_for 15 "$2 viewers of session $1" watched_by "$1" "$2"
}
await_viewers() { # SESSION ID=N...
	local n=0 pid said session=$1
	shift
	for pid in "${viewer_pids[@]}"; do
		n=$((n + 1))
		if is_stock; then # its viewers see no end of a session whose streams have left their chunk
			wait_for 15 "viewer $n to print all" has_printed "$work/viewer-$session-$n.txt" "$@"
			kill -KILL "$pid"
			wait "$pid" || true
			: >"$work/viewer-$session-$n.log"
		else
			wait_for 15 "viewer $n of session $session to end" gone "$pid"
			wait "$pid" || fail "viewer $n of session $session ends with $?"
		fi
		[ ! -s "$work/viewer-$session-$n.log" ] || fail "viewer $n of $session says: $(head -3 "$work/viewer-$session-$n.log")"
		said=$(count_events "$@" <"$work/viewer-$session-$n.txt") || fail "viewer $n of $session: $said"
		note "viewer $n of $session: $said events"
	done
}
has_printed() { count_events "${@:2}" <"$1" >/dev/null; }
sees() { grep -q "$2" "$work/viewer-$1-1.txt"; }

start_lttng_relay
start_lttng
lt_create uid --live=100000
lt_channel uid
start_viewers uid $viewers
lt start uid
app_start a
app_emit a 10000
wait_for 20 "the viewer to print" sees uid .
app_emit a 5000
lt stop uid
! is_stock || app_end a
lt destroy uid
await_viewers uid a=15000
check_recorded uid a=15000
is_stock || app_end a

is_stock && lttng_pass # its viewer stalls when programs come and go

lt_create pid --live=100000
lt_channel pid --buffers-pid
start_viewers pid $viewers
lt start pid
app_start b
app_emit b 3000
app_start c
app_emit c 2000
wait_for 20 "the viewer to print events of c" sees pid id=c
app_end c
app_start d
app_emit d 1000
wait_for 20 "the viewer to print events of d" sees pid id=d
app_end d
app_emit b 500
lt stop pid
lt destroy pid
await_viewers pid b=3500 c=2000 d=1000
check_recorded pid b=3500 c=2000 d=1000
lttng_pass
