#!/bin/bash
# SPDX-License-Identifier: MIT
#
# ipv6 - a client that reaches the relay by IPv6, with TCP and with UDP streams. trace-cmd splits HOST:PORT at the first
# colon, so it needs names.
# shellcheck source=tests/real/lib.sh
. "$(dirname "$0")/lib.sh"

# `both` has two addresses; a client takes the first one that answers.
printf '127.0.0.1 localhost\n::1 only6\n::1 both\n127.0.0.1 both\n' >"$work/stub/hosts"
mount --bind "$work/stub/hosts" /etc/hosts

start_relay
for name in only6 both; do
	record $name-tcp -N $name:"$port" -t "${events[@]}" "${workload[@]}" || fail "trace-cmd record -N $name -t"
	await_chunk
	check_chunk "$chunk" 80000
	[ $name = both ] || grep -q '::1' "$(record_of "$chunk")" || fail "the record does not name the peer ::1"
	record $name-udp -N $name:"$port" "${events[@]}" "${workload[@]}" || fail "trace-cmd record -N $name"
	await_chunk
	check_chunk "$chunk" 1000
done

# Both families at once, the same bytes as trace-cmd listen (which knows IPv4 only).
start_listen
tee_on=::1 tee_relay="[::1]:$port" start_tee --listen 127.0.0.1:"$listen_port" --count 1
record teed -N only6:"$tee_port" -t "${events[@]}" "${workload[@]}" || fail "trace-cmd record through the tee"
await_tee 1
await_chunk
check_chunk "$chunk" 80000
check_same_bytes 1 "$chunk"
check_same_report "$chunk" "$(listen_file 1)" "IPv6 relay and trace-cmd listen"
pass
