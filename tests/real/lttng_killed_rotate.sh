#!/bin/bash
# SPDX-License-Identifier: MIT
#
# lttng_killed_rotate - SIGKILL of relayd 20 times at random moments while a session is rotated again and again, and another
# one rotated and cleared: every archive is readable by itself, all archives together hold every event once, and what a clear
# leaves is the events behind it.
#
# TRACERELAY_REAL_KILLS and TRACERELAY_REAL_SEED change the number and the moments.
# shellcheck source=tests/real/lttng_lib.sh
. "$(dirname "$0")/lttng_lib.sh"
# shellcheck source=tests/real/kills_lib.sh
. "$(dirname "$0")/kills_lib.sh"

! is_stock || skip "lttng-relayd does not outlive that"
kills_default 20
note "seed $seed"
lt_seconds=60

enough_kills() { [ "$(cat "$work/killed" 2>/dev/null || echo 0)" -ge "$kills" ]; }
archives() { find "$1/archives" -mindepth 1 -maxdepth 1 -type d ! -name '.*' 2>/dev/null | sort; }

start_lttng_relay
start_lttng
lt_create kept
lt_channel kept
lt start kept
app_start a
lt_create cleared
lt enable-channel -u -s cleared --num-subbuf=4 --subbuf-size=16k --blocking-timeout=inf ch
lt enable-event -u -s cleared -c ch lttng_ust_tracef:event
lt start cleared
at=$(session_dir kept)

kills_begin 1000000 400 # until there are rotations enough
rotations=0 clears=0 behind=0
until enough_kills; do
	app_emit a $((RANDOM % 3000))
	lt rotate kept
	rotations=$((rotations + 1))
	case $((rotations % 3)) in
	0)
		lt stop cleared
		lt clear cleared
		behind=${app_sent[a]}
		lt start cleared
		clears=$((clears + 1))
		;;
	esac
	[ $rotations -lt 300 ] || fail "no $kills kills after $rotations rotations"
done
kills_end
app_emit a 500
lt stop cleared
check_events "$(session_dir cleared)" a="$behind-${app_sent[a]}"
lt destroy cleared
check_events "$(session_dir cleared)" a="$behind-${app_sent[a]}"
lt stop kept
lt destroy kept
all_there() { [ "$(archives "$at" | wc -l)" -eq $((rotations + 1)) ]; }
wait_for 15 "$((rotations + 1)) archives" all_there
check_events "$at/archives" a="${app_sent[a]}"
while read -r archive; do
	grep -q '"complete": true' "$archive/chunk.json" || fail "$archive: $(grep why "$archive/chunk.json")"
	check_files "$archive" >/dev/null
done < <(archives "$at")
lttng_pass "$(cat "$work/killed") kills, $rotations rotations, $clears clears, ${app_sent[a]} events, seed $seed"
