#!/bin/bash
# SPDX-License-Identifier: MIT
#
# lttng_live_programs - programs with buffers of their own that come and go for longer than their streams are listed, under
# a viewer's eyes, with a SIGKILL of relayd in between: the viewer prints every event, and their slots are given back.
# shellcheck source=tests/real/lttng_live_lib.sh
. "$(dirname "$0")/lttng_live_lib.sh"

! is_stock || skip "lttng-relayd's viewer stalls when programs come and go"
crowd=5
streams=$(($(nproc) + 1)) # of a program: its CPUs' and its metadata

start_lttng_relay
start_lttng
lt_create s1 --live=100000
lt_channel s1 --buffers-pid
viewer_start v s1
lt start s1
app_start staying
app_emit staying 100
events=()
for round in 1 2; do
	for i in $(seq $crowd); do
		app_start "p$round-$i"
		app_emit "p$round-$i" $((300 + i))
		app_end "p$round-$i"
		events+=("p$round-$i=$((300 + i))")
	done
	[ $round = 1 ] || kill_relayd
	await_retired s1 $((round * crowd * streams))
	app_emit staying 100
done
[ "$(figure s1 viewers)" = 1 ] || fail "$(figure s1 viewers) viewers"
lt stop s1
app_end staying
lt destroy s1
viewer_end v
viewer_printed v staying=300 "${events[@]}"
check_recorded s1 staying=300 "${events[@]}"
lttng_pass
