#!/bin/bash
# SPDX-License-Identifier: MIT
#
# lttng_same_tree - a proxy tells lttng-relayd all that it tells the relay: afterwards both have the same names and bytes.
# Recordings, rotations, clears, snapshots, tracefiles, regenerated metadata, programs' own buffers, a path in the URL.
# shellcheck source=tests/real/lttng_lib.sh
. "$(dirname "$0")/lttng_lib.sh"

command -v lttng-relayd >/dev/null || skip "no lttng-relayd"
export TZ=Asia/Kolkata # an odd one, the same for both
stock_dir=$work/stock
start_stock "$stock_dir" 8342 8343 8344
start_lttng_relay
start_lttng
python3 "$real_dir/lttng_tee.py" --on 9342:9343 --to $control_port:$data_port --copy 8342:8343 \
	>"$work/tee.out" 2>"$work/tee.log" &
wait_for 10 "the proxy" listens 9343
lttng_url=net://127.0.0.1:9342:9343

is_same() { "$real_dir/lttng_files.py" same "$tree" "$stock_dir" >"$work/same.txt"; }
check_same() { # WHAT
	local end=$((SECONDS + 10))
	until is_same; do # lttng-relayd may still be at it
		[ $SECONDS -lt $end ] || fail "$1: $(cat "$work/same.txt")"
		sleep 0.1
	done
	[ ! -s "$work/tee.out" ] || fail "$1: the proxy says: $(head -3 "$work/tee.out")"
	note "$1: $(cat "$work/same.txt")"
}

app_start a
lt_create plain
lt_channel plain
lt start plain
app_emit a 20000
lt stop plain
lt start plain
lt regenerate metadata -s plain
app_emit a 2000
lt stop plain
lt destroy plain
check_same "a recording"

lt_create rotated
lt_channel rotated
lt start rotated
app_emit a 5000
lt rotate rotated
app_emit a 5000
lt rotate rotated
app_begin a emit 5000 20
lt rotate rotated
app_await a
lt stop rotated
lt rotate rotated
lt start rotated
app_emit a 100
lt stop rotated
lt destroy rotated
check_same rotations

lt_create cleared
lt_channel cleared
lt start cleared
app_emit a 5000
lt clear cleared
app_emit a 1000
lt stop cleared
lt clear cleared
lt start cleared
app_emit a 1500
lt stop cleared
lt destroy cleared
check_same clears

lt_create pieces
lt_channel pieces --tracefile-size=65536 --tracefile-count=3
lt start pieces
app_emit a 30000
lt rotate pieces
app_emit a 10000
lt stop pieces
lt destroy pieces
check_same tracefiles

lt_create pids --set-url="$lttng_url/my/base"
lt_channel pids --buffers-pid
lt start pids
app_emit a 2000
app_start b
app_emit b 1000
app_end b
lt stop pids
lt destroy pids
check_same "programs' own buffers, with a path"

lt create snap --snapshot --set-url="$lttng_url"
lt_channel snap --overwrite --subbuf-size=256k
lt start snap
app_emit a 1000
lt snapshot record -s snap
app_emit a 1000
lt snapshot record -s snap
lt destroy snap
check_same snapshots

lt create live --live=100000 --set-url="$lttng_url"
lt_channel live
lt start live
app_emit a 1000
lt stop live
lt destroy live
check_same "a live session"
lttng_pass
