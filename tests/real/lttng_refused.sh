#!/bin/bash
# SPDX-License-Identifier: MIT
#
# lttng_refused - what relayctl cannot order for LTTng it says, naming who can; a stopped session takes no new client session,
# and those that are in it go on behind it.
# shellcheck source=tests/real/lttng_lib.sh
. "$(dirname "$0")/lttng_lib.sh"

# refused COMMAND...: lttng ends with an error.
refused() {
	! timeout 25 lttng --no-sessiond "$@" >"$work/refused.txt" 2>&1 || fail "lttng $* succeeds: $(cat "$work/refused.txt")"
	cat "$work/refused.txt" >>"$work/lttng.log"
	grep -q '^Error: ' "$work/refused.txt" || fail "lttng $* does not say why: $(cat "$work/refused.txt")"
	note "lttng $*: $(grep -m 1 '^Error: ' "$work/refused.txt")"
}

stored() { status_json | jq '[.sources[].stored] | add'; }
discarded() { status_json | jq '[.sources[].discarded.stopped] | add'; }
source_state() { status_json | jq -r '.sources[0].state'; }

start_lttng_relay
start_lttng

must_say 1 'lttng rotate' relayctl create-session no --match proto=lttng --rotate-size 64M
must_say 1 'lttng rotate' relayctl create-session no --match proto=lttng --match port=1 --keep-chunks 3
must_say 0 '' relayctl create-session chunky --match host='*' --rotate-size 64K --rotate-time 1s --keep-chunks 1
tree=$out_dir/chunky

lt_create s1
lt_channel s1
lt start s1
app_start a
app_emit a 20000
must_say 1 'lttng rotate' relayctl rotate chunky
must_say 0 'attention .*lttng enable-rotation' relayctl show chunky
must_say 0 '^ +[0-9]+ +chunky .*LTTng' relayctl list chunky
grep -q 'lttng-not-rotated.*lttng rotate' "$work"/*.log || fail "the log does not say that the source is not rotated"

# Stopped: nothing is stored, nobody waits, nobody new comes in.
must_say 0 '' relayctl stop chunky
[ "$(source_state)" = stopped ] || fail "the state is $(source_state)"
before=$(stored)
app_emit a 20000
[ "$(stored)" = "$before" ] || fail "a stopped session stores"
[ "$(discarded)" -gt 0 ] || fail "nothing is counted as discarded"
must_say 1 'stopped' relayctl rotate chunky
lt_create s2
refused enable-channel -u -s s2 ch
grep -q 'lttng-refused.*"chunky" is stopped; relayctl start chunky' "$work"/*.log || fail "the log does not say who was refused, and why"
must_say 0 '' relayctl start chunky
app_emit a 20000
lt rotate s1
lt stop s1
lt destroy s1
ends=$(find "$(session_dir s1)/archives" -name chunk.json | wc -l)
[ "$ends" = 2 ] || fail "$ends archives, not the 2 that lttng rotate and the end made"
jq -e '.streams | map(.discarded.stopped) | add > 0' "$(find "$(session_dir s1)/archives" -name chunk.json | sort | head -n 1)" >/dev/null ||
	fail "chunk.json does not say what was discarded"
lttng_pass
