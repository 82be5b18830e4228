#!/bin/bash
# SPDX-License-Identifier: MIT
#
# lttng_status - a tracer that loses events and packets: relayctl says of each session what lttng itself says, before and
# after relayd was killed, and beside the bytes; sources, streams and connections are called what they are.
# shellcheck source=tests/real/lttng_lib.sh
. "$(dirname "$0")/lttng_lib.sh"

# lossy SESSION OPTION...: a channel with small buffers that does not wait for the consumer.
lossy() {
	lt enable-channel -u -s "$1" --subbuf-size=4k --num-subbuf=2 "${@:2}" ch
	lt enable-event -u -s "$1" -c ch lttng_ust_tracef:event
}

# end_tracing SESSION: lttng warns that events were lost.
end_tracing() { timeout 25 lttng --no-sessiond stop "$1" >>"$work/lttng.log" 2>&1 || fail "lttng stop $1"; }

# reported SESSION TITLE: the figure of lttng list, all buffers together.
reported() {
	timeout 25 lttng --no-sessiond list "$1" >"$work/list.txt" 2>&1 || fail "lttng list $1"
	awk -v title="$2" '$0 ~ title { n += $NF } END { print n + 0 }' "$work/list.txt"
}

# found SESSION: events that babeltrace2 finds; what it warns about is in $work/babeltrace.err.
found() { babeltrace2 "$(session_dir "$1")" 2>"$work/babeltrace.err" | wc -l; }

start_lttng_relay
start_lttng

# Discard mode: every event that was not stored was counted, exactly once.
lt_create discarding
lossy discarding --discard
lt start discarding
app_start a
app_emit a 100000
relayd=$(relayd_pid)
kill -KILL "$relayd"
app_emit a 100000
end_tracing discarding
lost=$(reported discarding 'Discarded events')
[ "$lost" -gt 0 ] || fail "nothing was lost"
[ "$(found discarding)" = $((200000 - lost)) ] || fail "$lost events of 200000 are lost, babeltrace2 finds $(found discarding)"
grep -q 'discarded' "$work/babeltrace.err" || fail "babeltrace2 does not warn: $(cat "$work/babeltrace.err")"
[ "$(relayd_pid)" != "$relayd" ] || fail "relayd was not killed"
[ "$(figure discarding lost_events)" = "$lost" ] || fail "lost_events is $(figure discarding lost_events), lttng says $lost"
[ "$(figure discarding lost_packets)" = 0 ] || fail "lost_packets is $(figure discarding lost_packets)"
note "discard mode: $lost events"
app_end a

# Overwrite mode: whole packets are gone, and nobody knows how many events were in them.
lt_create overwriting
lossy overwriting --overwrite
lt start overwriting
app_start b
app_emit b 200000
end_tracing overwriting
lost=$(reported overwriting 'Lost packets')
[ "$lost" -gt 0 ] || fail "no packet was overwritten"
[ "$(figure overwriting lost_packets)" = "$lost" ] || fail "lost_packets is $(figure overwriting lost_packets), lttng says $lost"
[ "$(figure overwriting lost_events)" = 0 ] || fail "lost_events is $(figure overwriting lost_events)"
[ "$(figure discarding lost_packets)" = 0 ] || fail "another session's packets count"
start=$(figure overwriting lost_packets_at_start)
babeltrace2 "$(session_dir overwriting)" >"$work/events.txt" 2>/dev/null
from=$(awk 'match($0, /id=b n=[0-9]+/) { n = substr($0, RSTART + 7, RLENGTH - 7) + 0; if (!seen++ || n < least) least = n }
	END { print least + 0 }' "$work/events.txt")
[ "$from" = 0 ] || [ "$start" -gt 0 ] || fail "the first event that is there is $from, lost_packets_at_start is $start"
note "overwrite mode: $lost packets, and $start before the first"
# What clear throws away is not lost. (Packets that were overwritten just then look the same.)
before=$lost
lt start overwriting
app_emit b 1000 20
lt clear overwriting
app_emit b 1000 20
end_tracing overwriting
lost=$(figure overwriting lost_packets)
[ "$lost" -ge "$before" ] && [ "$lost" -le "$(reported overwriting 'Lost packets')" ] ||
	fail "after lttng clear lost_packets is $lost, it was $before, lttng says $(reported overwriting 'Lost packets')"
app_end b

status_json | jq -e '
	def told: map(.lost_events, .lost_packets, .packets) | map(. != null) | all;
	([.streams[] | select(.name | endswith("/metadata"))] | length == 2 and (map(.lost_events, .lost_packets) | all(. == null)))
	and ([.streams[] | select(.name | endswith("/metadata") | not)] | length >= 2 and told)
	and ([.streams[] | .cpu, .port, .pages, .marks, .lost_intervals] | all(. == null))
	and ([.streams[].name] | all(test("^ust/uid/[0-9]+/64-bit/(metadata|ch_[0-9]+)$")))
	and ([.sources[] | .received == .stored + ([.discarded[]] | add)] | all)
	and ([.sources[] | .protocol, .mode, .state] == ["LTTng 2.13", "streaming", "recording", "LTTng 2.13", "streaming", "recording"])
	and ([.connections[].role] | sort | unique == ["control", "data"])
	and ([.connections[] | .protocol] | all(startswith("LTTng")))' >/dev/null ||
	fail "status.sock: $(status_json | jq -c '.sources, .streams, .connections')"
lost=$(($(figure discarding lost_events) + $(figure overwriting lost_events)))
[ "$(status_json | jq '.sessions[] | select(.name == "default") | .lost_events')" = $lost ] || fail "the session's sum is wrong"
must_say 0 ' ust/uid/[0-9]+/64-bit/ch_0$' relayctl streams
must_say 0 'LTTng 2\.13/tcp +recording .* [0-9,]+ \+ [0-9,]+ pkt|LTTng 2\.13/tcp +recording .* 0 \+ [0-9,]+ pkt' relayctl sources
must_say 0 "events discarded by LTTng's tracers" relayctl status
must_say 0 'connections +[0-9]+ \(.*[0-9]+ data' relayctl status
must_say 0 'lost [0-9,]+ \+ [0-9,]+ pkt' relayctl top
# The record says the same of its chunk.
lost=$(figure discarding lost_events)
lt destroy discarding
record=$(session_dir discarding)/chunk.json
wait_for 10 "$record" test -s "$record"
[ "$(jq '[.streams[].lost_events // 0] | add' "$record")" = "$lost" ] || fail "chunk.json: $(cat "$record")"
jq -e '.streams | map(select(.metadata)) | all(.lost_events == null)' "$record" >/dev/null || fail "chunk.json: $(cat "$record")"
lttng_pass
