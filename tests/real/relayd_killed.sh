#!/bin/bash
# SPDX-License-Identifier: MIT
#
# relayd_killed - SIGKILL of relayd 20 times at random moments of a recording, the first ones during its handshake and
# metadata. The client notices nothing, and the report is line by line that of trace-cmd listen, which nobody killed.
#
# TRACERELAY_REAL_KILLS and TRACERELAY_REAL_SEED change the number and the moments.
# shellcheck source=tests/real/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/real/kills_lib.sh
. "$(dirname "$0")/kills_lib.sh"

kills_default 20
note "seed $seed"

start_relay
start_listen
start_tee --listen 127.0.0.1:"$listen_port" --count 1

endless 300 0.05
record_in_background client -N 127.0.0.1:"$tee_port" -t --file-version 6 "${events[@]}" "${workload[@]}"
while [ $killed -lt "$kills" ]; do
	kill_relayd 250
	! gone "$client_pid" || fail "trace-cmd record ended after $killed kills"
done
wait_for 20 "relayd number $((killed + 1))" another_relayd
before=$(sent_bytes 1)
wait_for 20 "pages after the last kill" sent_at_least 1 $((before + 500000))
end_workload
await_client "$client_pid"
await_tee 1
await_chunk
[ "$(chunks default | wc -l)" = 1 ] || fail "$(chunks default | wc -l) files of one recording"
check_chunk "$chunk" 20000
check_same_bytes 1 "$chunk"
check_same_report "$chunk" "$(listen_file 1)" "after $killed kills: relay and trace-cmd listen"
check_compact "$chunk"
pass "seed $seed"
