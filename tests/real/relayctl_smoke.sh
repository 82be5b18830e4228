#!/bin/bash
# SPDX-License-Identifier: MIT
#
# relayctl_smoke - every command once against a running pair with a real client: text, JSON, exit status.
# shellcheck source=tests/real/lib.sh
. "$(dirname "$0")/lib.sh"

json() { # FILTER COMMAND...: the JSON of COMMAND passes the jq filter
	local filter=$1
	shift
	relayctl --json "$@" >"$work/said.json" || fail "relayctl --json $* ends with $?"
	jq -e "$filter" "$work/said.json" >/dev/null ||
		fail "relayctl --json $*: not ($filter): $(head -c 600 "$work/said.json")"
}

# No daemon: 3. Wrong usage: 2, with or without one.
must_say 3 . relayctl status
must_say 3 . relayctl list
must_say 2 . relayctl frobnicate
must_say 2 . relayctl create-session
must_say 2 . relayctl
must_say 0 'trace' relayctl --help

start_relay
must_say 0 '[0-9]+\.[0-9]+' relayctl version
json . version
must_say 0 'trace-cmd\.udp-linger' relayctl config
must_say 0 "output\.dir.*$out_dir" relayctl config
json . config
grep -q "$out_dir" "$work/said.json" || fail "the JSON config does not name output.dir"

# Sessions. What the daemon refuses: 1, and a sentence.
must_say 0 default relayctl list
must_say 1 . relayctl create-session default
must_say 1 . relayctl destroy-session default
must_say 1 . relayctl show nosuch
must_say 1 . relayctl stop nosuch
must_say 1 . relayctl rotate nosuch
must_say 1 . relayctl create-session ../escape
[ ! -e "$work/escape" ] || fail "a session's name left the output directory"
must_say 0 '' relayctl create-session web --match host='web*',addr=10.0.0.0/8 --match port=4711 --rotate-size 100M \
	--rotate-time 1h --keep-chunks 3
must_say 1 . relayctl create-session web
must_say 2 . relayctl create-session bad --match addr=300.0.0.0/8
must_say 2 . relayctl create-session bad --rotate-size many
must_say 0 'web' relayctl list
must_say 0 'web\*' relayctl show web
must_say 0 '10\.0\.0\.0/8' relayctl show web
json '[.. | strings] | any(. == "web")' list
json '[.. | strings] | any(. == "web")' show web
must_say 0 '' relayctl stop web
must_say 0 'stopped' relayctl show web
must_say 0 '' relayctl start web
must_say 0 '' relayctl create-session ownport --listen trace-cmd:127.0.0.1:12400

# A client, seen in every list while it records.
endless 1000 0.1
record_in_background client -N 127.0.0.1:12400 -t "${events[@]}" "${workload[@]}"
wait_for 20 "pages" relay_received ownport 500000
host=$(uname -n)
must_say 0 "$host" relayctl sources
must_say 0 "ownport" relayctl sources
must_say 0 . relayctl streams
must_say 0 . relayctl status
json '[.. | strings] | any(. == "ownport")' sources
json '[.. | objects | select(has("received"))] | length >= 2' streams
json '[.. | objects | select(has("received"))] | length >= 2' status
relay_ledger_holds || fail "the status document's ledger: $(cat "$work/ledger.bad")"
end_workload
await_client "$client_pid"
await_chunk ownport
check_chunk "$chunk" 10000

# Sessions outlive both daemons.
stop_relay
must_say 3 . relayctl list
start_relay
must_say 0 'web' relayctl list
must_say 0 '12400' relayctl show ownport
record again -N 127.0.0.1:12400 -t "${events[@]}" "$real_dir/workload.sh" 1000 || fail "trace-cmd record"
await_chunk ownport
check_chunk "$chunk" 4000
must_say 0 '' relayctl destroy-session ownport
[ -s "$chunk" ] || fail "destroy-session deleted data unasked"
must_say 0 '' relayctl destroy-session web --delete-data
must_say 1 . relayctl show web
wait_for 10 "port 12400 to be closed" port_closed 12400
pass
