#!/bin/bash
# SPDX-License-Identifier: MIT
#
# lttng_killed - SIGKILL of relayd 20 times at random moments while a program is recorded and a viewer looks on: nobody is
# disconnected, nothing is lost or there twice.
#
# TRACERELAY_REAL_KILLS and TRACERELAY_REAL_SEED change the number and the moments.
# shellcheck source=tests/real/lttng_lib.sh
. "$(dirname "$0")/lttng_lib.sh"

! is_stock || skip "lttng-relayd does not outlive that"
kills=${TRACERELAY_REAL_KILLS:-20}
seed=${TRACERELAY_REAL_SEED:-$$}
RANDOM=$seed
note "seed $seed"

killed=0 last=0
another_relayd() {
	relayd=$(relayd_pid 2>/dev/null) && [ -n "$relayd" ] && [ "$relayd" != "$last" ] && [ -d "/proc/$relayd" ]
}
kill_relayd() {
	wait_for 20 "relayd number $((killed + 1))" another_relayd
	sleep "0.$(printf %03d $((RANDOM % 200)))" # the random moment
	kill -KILL "$relayd"
	last=$relayd
	killed=$((killed + 1))
}
kill_in_background() {
	while [ ! -e "$work/enough" ]; do
		kill_relayd
		echo $killed >"$work/killed"
		[ $killed -lt "$kills" ] || : >"$work/enough"
	done
}

start_lttng_relay
start_lttng
lt_create s1 --live=50000
lt_channel s1
babeltrace2 -i lttng-live "net://127.0.0.1:$live_port/host/$(uname -n)/s1" >"$work/viewer.txt" 2>"$work/viewer.log" &
viewer=$!
watched() { [ "$("$real_dir/lttng_viewers.py" "$live_port" s1 2>/dev/null)" = 1 ]; }
wait_for 15 "the viewer" watched
lt start s1
app_start a
app_begin a until "$work/enough" 100
kill_in_background & # the handshakes and commands below are part of it
lt_channel_more() { lt enable-event -u -s s1 -c ch 'lttng_ust_tracef:nothing*'; }
lt_channel_more
app_await a
[ "$(cat "$work/killed")" = "$kills" ] || fail "$(cat "$work/killed") kills"
last=0
wait_for 20 "the last relayd" another_relayd
app_emit a 2000
lt stop s1
check_recorded s1 a="${app_sent[a]}"
lt destroy s1
check_recorded s1 a="${app_sent[a]}"
wait_for 15 "the viewer to end" gone "$viewer"
[ ! -s "$work/viewer.log" ] || fail "the viewer says: $(head -3 "$work/viewer.log")"
said=$(count_events a="${app_sent[a]}" <"$work/viewer.txt") || fail "the viewer: $said"
lttng_pass "$kills kills, ${app_sent[a]} events, seed $seed"
