#!/bin/bash
# SPDX-License-Identifier: MIT
#
# two_clients - two recordings at once from one address: one of the top buffer, one of an instance. Each stream of either
# must land in its own source's file.
# shellcheck source=tests/real/lib.sh
. "$(dirname "$0")/lib.sh"

start_relay
start_listen
start_tee --listen 127.0.0.1:"$listen_port" --count 2

make_instance trfoo
endless 1000 0.1
record_in_background first -N 127.0.0.1:"$tee_port" -t "${events[@]}" "${workload[@]}"
first=$client_pid
wait_for 20 "the first client's pages" sent_at_least 1 500000
# trace-cmd reads this file twice and loses count when it has grown in between, as it does while another one records.
cat $tracefs/saved_cmdlines >"$work/stub/saved_cmdlines"
mount --bind "$work/stub/saved_cmdlines" $tracefs/saved_cmdlines
record_in_background second -N 127.0.0.1:"$tee_port" -B trfoo -t -e raw_syscalls "${workload[@]}"
second=$client_pid
wait_for 20 "the second client's pages" sent_at_least 2 500000
[ "$(sources_open)" = 2 ] || fail "$(sources_open) sources are open, not 2"
has_chunks default 1 && fail "a file is finished while both clients go on"
end_workload
await_client "$first"
await_client "$second"
await_tee 2
await_chunks default 2

clients=
for chunk in "${found[@]}"; do
	check_chunk "$chunk" 10000
	client=$(client_of "$chunk")
	clients+=$client
	check_same_report "$chunk" "$(listen_file "$client")" "client $client: relay and trace-cmd listen"
done
case $clients in
12 | 21) ;;
*) fail "the two files are those of clients $clients" ;;
esac
pass
