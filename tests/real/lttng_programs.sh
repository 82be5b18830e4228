#!/bin/bash
# SPDX-License-Identifier: MIT
#
# lttng_programs - buffers of each program, and more programs than limits.streams-per-peer has room for at once: those that
# have ended give their room back while the session goes on, and every event is there.
# shellcheck source=tests/real/lttng_lib.sh
. "$(dirname "$0")/lttng_lib.sh"

crowd=8
streams=$(($(nproc) + 1)) # of a program: its CPUs' and its metadata
start_lttng_relay --set "limits.streams-per-peer=$(((crowd + 2) * streams))"
start_lttng
lt_create s1
lt_channel s1 --buffers-pid
lt start s1
app_start staying
app_emit staying 100
events=(staying=200)
for round in 1 2; do
	for i in $(seq $crowd); do
		name=p$round-$i
		app_start "$name"
		app_emit "$name" $((1000 + i))
		app_end "$name"
		events+=("$name=$((1000 + i))")
	done
	is_stock || await_retired s1 $((round * crowd * streams))
done
app_emit staying 100
lt stop s1
check_recorded s1 "${events[@]}"
if ! is_stock; then
	[ "$(figure s1 lost_events)" = 0 ] || fail "losses: $(figure s1 lost_events)"
	[ "$(figure s1 received)" = "$(figure s1 stored)" ] || fail "received $(figure s1 received), stored $(figure s1 stored)"
	stored=$(figure s1 stored)
fi
app_end staying
lt destroy s1
check_recorded s1 "${events[@]}"
if ! is_stock; then
	record=$(session_dir s1)/chunk.json
	wait_for 10 "$record" test -e "$record"
	jq -e '.complete and .ended_streams.count >= '$((2 * crowd * streams)) "$record" >/dev/null || fail "$(cat "$record")"
	[ "$(jq .bytes "$record")" -ge "$stored" ] || fail "chunk.json: $(jq .bytes "$record") bytes, stored were $stored"
fi
lttng_pass
