# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# kills_lib.sh - SIGKILLs of relayd at random moments: sourced behind lib.sh, or what stands above it.
#
# TRACERELAY_REAL_KILLS and TRACERELAY_REAL_SEED change their number ($kills) and the moments.

: "${work:?lib.sh comes first}"

# kills_default N: how many there are if nobody says.
kills_default() { kills=${TRACERELAY_REAL_KILLS:-$1}; }
seed=${TRACERELAY_REAL_SEED:-$$}
RANDOM=$seed

killed=0 last_killed=0
another_relayd() {
	relayd=$(relayd_pid 2>/dev/null) && [ -n "$relayd" ] && [ "$relayd" != "$last_killed" ] && [ -d "/proc/$relayd" ]
}
# kill_relayd [MS]: at a random moment within so many milliseconds (200).
kill_relayd() {
	wait_for 20 "relayd number $((killed + 1))" another_relayd
	sleep "0.$(printf %03d $((RANDOM % ${1:-200})))"
	kill -KILL "$relayd"
	last_killed=$relayd
	killed=$((killed + 1))
}
# kills_begin N [MS]: in the background, until N are done; $work/enough exists then, and $work/killed says how many there were.
kills_begin() {
	local most=$1 within=${2:-200}
	rm -f "$work/enough"
	(
		while [ ! -e "$work/enough" ]; do
			kill_relayd "$within"
			echo $killed >"$work/killed"
			[ $killed -lt "$most" ] || : >"$work/enough"
		done
	) &
	killer=$!
}
# kills_end: no more of them; one that is alive answers.
kills_end() {
	: >"$work/enough"
	wait "$killer" || fail "the kills failed"
	last_killed=0
	wait_for 20 "the last relayd" another_relayd
	note "$(cat "$work/killed") kills"
}
