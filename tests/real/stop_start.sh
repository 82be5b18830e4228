#!/bin/bash
# SPDX-License-Identifier: MIT
#
# stop_start - a stopped session finishes its chunks, and discards and counts what comes until it is started again; its
# clients keep their connections and notice nothing.
# shellcheck source=tests/real/lib.sh
. "$(dirname "$0")/lib.sh"

start_relay
start_tee --count 1
must_say 0 '' relayctl create-session pausing --match addr=127.0.0.0/8
endless 1000 0.1
record_in_background client -N 127.0.0.1:"$tee_port" -t "${events[@]}" "${workload[@]}"
wait_for 20 "pages before the stop" sent_at_least 1 1000000
must_say 0 '' relayctl stop pausing
await_chunks pausing 1
check_counts "${found[0]}"
stored=$(data_bytes "${found[0]}")
wait_for 20 "pages while stopped" sent_at_least 1 $(($(sent_bytes 1) + 1000000))
! gone "$client_pid" || fail "the client ended when its session was stopped"
[ "$(chunks pausing | wc -l)" = 1 ] || fail "a stopped session finished another file"
[ "$(data_bytes "${found[0]}")" = "$stored" ] || fail "the finished file grew"
must_say 0 '' relayctl start pausing
wait_for 20 "pages after the start" sent_at_least 1 $(($(sent_bytes 1) + 1000000))
end_workload
await_client "$client_pid"
await_tee 1
await_chunks pausing 2
await_end pausing
[ "$(chunks pausing | wc -l)" = 2 ] || fail "$(chunks pausing | wc -l) files, not 2"
for chunk in "${found[@]}"; do
	check_counts "$chunk"
done

# What was sent is what the first file holds, a gap, and what the second holds; the first page after the gap is marked, and
# the ledger has counted the gap's bytes.
check_same_bytes 1 "${found[@]}" -- --gaps 1 >"$work/gaps"
note "cpu, bytes sent, bytes stored, gaps:" "$(tr '\n' ';' <"$work/gaps")"
missing=$(awk '{ n += $2 - $3 } END { print n + 0 }' "$work/gaps")
[ "$missing" -ge 1000000 ] || fail "only $missing bytes were left out"
counted=$(record_discarded_for "$(record_of "${found[1]}")" stopped)
[ "$counted" = "$missing" ] || fail "$missing bytes are missing, the ledger says $counted were discarded while stopped"
pass
