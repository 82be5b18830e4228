#!/bin/bash
# SPDX-License-Identifier: MIT
#
# listen_compare - longer recordings, the same bytes into the relay and into trace-cmd listen: the reports are equal line
# by line. One is large, one has losses in the traced kernel, one has a CPU without events, one another clock.
# shellcheck source=tests/real/lib.sh
. "$(dirname "$0")/lib.sh"

start_relay
start_listen
start_tee --listen 127.0.0.1:"$listen_port"

client=0
compare() { # WHAT LEAST ARGS...
	local what=$1 least=$2
	shift 2
	client=$((client + 1))
	record "client-$client" -N 127.0.0.1:"$tee_port" -t "$@" || fail "trace-cmd record $*"
	await_tee $client
	await_chunk
	check_chunk "$chunk" "$least"
	check_same_bytes $client "$chunk"
	check_same_report "$chunk" "$(listen_file $client)" "$what"
}

compare "large" 200000 "${events[@]}" "$real_dir/workload.sh" 50000

compare "losses in the traced kernel" 1000 -b 32 "${events[@]}" "$real_dir/workload.sh" 20000
[ "$("$real_dir/pages.py" --total "$chunk" | cut -d' ' -f2)" -gt 0 ] || note "nothing was lost this time"

compare "one CPU" 10000 -M 1 "${events[@]}" "$real_dir/workload.sh" 10000

compare "clock mono" 40000 -C mono "${events[@]}" "$real_dir/workload.sh" 10000
pass
