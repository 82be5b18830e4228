#!/bin/bash
# SPDX-License-Identifier: MIT
#
# client_killed - SIGKILL of a client leaves a readable trace.dat of all that arrived, marked incomplete.
#
# trace-cmd is a main process, a recorder per CPU and the traced program, and all of them hold the control connection
# open. So the source lives on while any of them does: killing the main process alone leaves recorders that go on sending.
# shellcheck source=tests/real/lib.sh
. "$(dirname "$0")/lib.sh"

start_relay
start_listen
start_tee --listen 127.0.0.1:"$listen_port" --mend --count 1

endless 1000 0.1
record_in_background client -N 127.0.0.1:"$tee_port" -t "${events[@]}" "${workload[@]}"
wait_for 20 "pages" sent_at_least 1 1000000
recorders=()
for pid in $(pgrep -P "$client_pid"); do
	[ "$(cat "/proc/$pid/comm")" != trace-cmd ] || recorders+=("$pid")
done
[ ${#recorders[@]} -gt 1 ] || fail "trace-cmd has the recorders: ${recorders[*]}"

kill -KILL "$client_pid"
wait_for 20 "pages after the main process was killed" sent_at_least 1 $(($(sent_bytes 1) + 500000))
[ "$(sources_open)" = 1 ] || fail "$(sources_open) sources while the recorders go on"

kill -KILL "${recorders[@]}"
wait_for 10 "the end of the streams" streams_of_tee_closed
! has_chunks default 1 || note "finished before the traced program let go of the control connection"
end_workload
await_tee 1
await_chunk
await_end

check_record "$chunk" false
check_counts "$chunk" 20000
check_same_bytes 1 "$chunk" -- --cut
check_same_report "$chunk" "$(listen_file 1)" "killed client: relay and trace-cmd listen"

# The next client is not troubled by it.
record next -N 127.0.0.1:"$port" -t "${events[@]}" "$real_dir/workload.sh" 1000 || fail "trace-cmd record"
await_chunk
check_chunk "$chunk" 4000
pass
