#!/bin/bash
# SPDX-License-Identifier: MIT
#
# lttng_slow_disk - the relay's disk hangs for seconds while a program records with a channel that blocks: the program goes on,
# what came meanwhile is discarded and counted, babeltrace2 reads on behind it, and another session of the host loses nothing
# that came before or behind.
# shellcheck source=tests/real/lttng_lib.sh
. "$(dirname "$0")/lttng_lib.sh"

! is_stock || skip "lttng-relayd lets the program wait"
[ "$(id -u)" = 0 ] || skip "not root"
command -v fsfreeze >/dev/null && command -v mkfs.ext4 >/dev/null || skip "no fsfreeze, or no mkfs.ext4"

truncate -s 256M "$work/image"
mkfs.ext4 -q -F "$work/image"
mkdir -p "$out_dir"
mount -o loop "$work/image" "$out_dir" 2>/dev/null || skip "no loop device"
frozen=''
thaw() {
	[ -z "$frozen" ] || fsfreeze -u "$out_dir"
	frozen=''
}
at_end() {
	local status=$?
	thaw
	umount -l "$out_dir"
	(exit $status)
	cleanup
}
trap at_end EXIT

stalled() { status_json | jq '[.streams[].discarded.stall] | add'; }
has_stalled() { [ "$(stalled)" -gt 0 ]; }

start_lttng_relay --set lttng.max-stall=300ms
start_lttng
for session in s1 s2; do
	lt_create $session
	lt_channel $session
	lt start $session
done
app_start a
app_emit a 2000
first=${app_sent[a]}

fsfreeze -f "$out_dir"
frozen=yes
begin=$SECONDS
app_emit a 300000 # far more than all buffers between it and the disk
[ $((SECONDS - begin)) -lt 30 ] || fail "the program took $((SECONDS - begin)) s"
wait_for 5 "bytes that are counted as discarded" has_stalled
note "while the disk hung, the program produced 300000 events; $(stalled) bytes are discarded"
thaw

app_emit a 2000
lt stop s1
lt stop s2
for session in s1 s2; do
	at=$(session_dir $session)
	babeltrace2 "$at" >"$work/events.txt" 2>"$work/babeltrace.err" || fail "babeltrace2: $(tail -n 3 "$work/babeltrace.err")"
	awk -v first="$first" -v last="${app_sent[a]}" '
		{ sub(/.*n=/, ""); n = $0 + 0 }
		n < first { before++ }
		n >= last - 2000 { behind++ }
		END { if (before != first || behind < 1) { print before + 0, behind + 0; exit 1 } }' "$work/events.txt" >"$work/said.txt" ||
		fail "$session: events before and behind the stall: $(cat "$work/said.txt"), of $first and 2000"
	grep -q "Tracer discarded" "$work/babeltrace.err" || fail "babeltrace2 does not warn of what is missing"
	note "$session: $(wc -l <"$work/events.txt") of ${app_sent[a]} events"
	lt destroy $session
done
lttng_pass
