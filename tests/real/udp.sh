#!/bin/bash
# SPDX-License-Identifier: MIT
#
# udp - streams over UDP: trace-cmd 3.1.6 sends datagrams of one to seven pages. Datagrams may be lost on the way into the
# relay; what is stored must be whole pages in order, and the page after a loss must say so.
# shellcheck source=tests/real/lib.sh
. "$(dirname "$0")/lib.sh"

start_relay
record straight -N 127.0.0.1:"$port" "${events[@]}" "${workload[@]}" || fail "trace-cmd record"
await_chunk
check_chunk "$chunk" 1000
check_compact "$chunk"

# Through the tee, which passes the datagrams on as they are and keeps a copy.
start_tee --count 1
record teed -N 127.0.0.1:"$tee_port" "${events[@]}" "${workload[@]}" || fail "trace-cmd record through the tee"
await_tee 1
await_chunk
check_chunk "$chunk" 1000
check_same_bytes 1 "$chunk" -- --gaps 1000000 >"$work/gaps"
note "cpu, bytes sent, bytes stored, gaps:" "$(tr '\n' ';' <"$work/gaps")"
[ "$(awk '{ s += $2 - $3 } END { print s + 0 }' "$work/gaps")" = 0 ] ||
	[ "$(record_dropped "$(record_of "$chunk")")" -gt 0 ] ||
	fail "datagrams are missing that the record does not count"
pass
