#!/bin/bash
# SPDX-License-Identifier: MIT
#
# lttng_live_packets - viewers of packets of 4 and 16 MiB, which take many replies each; then the same under SIGKILLs of relayd.
# shellcheck source=tests/real/lttng_live_lib.sh
. "$(dirname "$0")/lttng_live_lib.sh"

note "seed $seed"

# watched SESSION SIZE EVENTS [KILLS]: packets that are full, since the live timer is slower than the program.
watched() {
	local largest
	lt_create "$1" --live=4000000
	lt_channel "$1" --subbuf-size="$2"
	viewer_start "$1" "$1"
	lt start "$1"
	app_start "$1"
	[ -z "${4:-}" ] || kills_begin "$4"
	app_emit "$1" "$3"
	lt stop "$1"
	lt destroy "$1"
	wait_for 60 "the viewer to end" gone "${viewer_pid[$1]}"
	viewer_end "$1"
	[ -z "${4:-}" ] || kills_end
	viewer_printed "$1" "$1=$3"
	check_recorded "$1" "$1=$3"
	largest=$(find "$(session_dir "$1")" -name '*.idx' -exec od -An -v -w72 -j16 --endian=big -tu8 {} \; |
		awk '$2 / 8 > most { most = $2 / 8 } END { print most }')
	[ "$largest" = "$(numfmt --from=iec "$2")" ] || fail "the largest packet has $largest bytes"
	app_end "$1"
}

start_lttng_relay
start_lttng
watched four 4M 500000
if is_stock; then
	watched sixteen 16M 1000000
else
	watched killed 4M 500000 1000
	watched sixteen 16M 1000000 1000
fi
lttng_pass
