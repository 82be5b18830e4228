#!/bin/bash
# SPDX-License-Identifier: MIT
#
# lttng_live - create --live and two babeltrace2 that are attached before the program starts: both print every event, and
# end by themselves when the session does. Then programs with buffers of their own that come and go under a viewer's eyes.
# (lttng-relayd takes one viewer a session.)
# shellcheck source=tests/real/lttng_live_lib.sh
. "$(dirname "$0")/lttng_live_lib.sh"

viewers=2
! is_stock || viewers=1

start_viewers() { # SESSION
	local n
	for ((n = 1; n <= viewers; n++)); do
		viewer_start "$1-$n" "$1" $n
	done
}
await_viewers() { # SESSION ID=N...
	local n session=$1
	shift
	for ((n = 1; n <= viewers; n++)); do
		if is_stock; then # its viewers see no end of a session whose streams have left their chunk
			wait_for 15 "viewer $n to print all" has_printed "$work/$session-$n.txt" "$@"
			kill -KILL "${viewer_pid[$session-$n]}"
		else
			viewer_end "$session-$n"
		fi
		viewer_printed "$session-$n" "$@"
	done
}
has_printed() { count_events "${@:2}" <"$1" >/dev/null; }

start_lttng_relay
start_lttng
lt_create uid --live=100000
lt_channel uid
start_viewers uid
lt start uid
app_start a
app_emit a 10000
viewer_sees uid-1 .
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
start_viewers pid
lt start pid
app_start b
app_emit b 3000
app_start c
app_emit c 2000
viewer_sees pid-1 id=c
app_end c
app_start d
app_emit d 1000
viewer_sees pid-1 id=d
app_end d
# While all that a viewer knows is idle it hears of new ones too.
app_start e
for n in 1 2 3; do
	app_start "e$n"
	app_emit "e$n" 100
	viewer_sees pid-1 "id=e$n"
done
app_emit b 500
lt stop pid
lt destroy pid
await_viewers pid b=3500 c=2000 d=1000 e=0 e1=100 e2=100 e3=100
check_recorded pid b=3500 c=2000 d=1000 e=0 e1=100 e2=100 e3=100
lttng_pass
