#!/bin/bash
# SPDX-License-Identifier: MIT
#
# lttng_minors - every version of the protocol that a relay may announce: the client adapts, and the trace is whole. Beside
# lttng-relayd, which announces its own only, a proxy makes both sides believe it.
# shellcheck source=tests/real/lttng_lib.sh
. "$(dirname "$0")/lttng_lib.sh"

start_lttng
app_start a
first=0
minors="1 2 4 8 10 11 12 13"
! is_stock || minors="4 8 10 11 12 13" # it refuses sessions without a name, which these have
for minor in $minors; do
	if is_stock; then
		[ $minor != 4 ] || start_lttng_relay
		python3 "$real_dir/lttng_tee.py" --on $((6000 + minor)):$((7000 + minor)) --to $control_port:$data_port \
			--minor $minor >>"$work/tee.out" 2>"$work/tee.log" &
		wait_for 10 "the proxy" listens $((7000 + minor))
		lttng_url=net://127.0.0.1:$((6000 + minor)):$((7000 + minor))
	else
		start_lttng_relay --set "lttng.protocol=2.$minor"
	fi
	lt_create "m$minor"
	lt_channel "m$minor"
	lt start "m$minor"
	app_emit a 6000
	lt stop "m$minor"
	at=$(session_dir "m$minor")
	check_events "$at" a="$first-${app_sent[a]}"
	if [ $minor -lt 4 ]; then
		check_files "$at" --no-index
	else
		check_files "$at"
	fi
	version=$(find "$at" -name '*.idx' -exec xxd -s 4 -l 12 -p {} \; | sort -u)
	case $minor in
	1 | 2) want= ;;
	4) want=000000010000000000000038 ;;
	*) want=000000010000000100000048 ;;
	esac
	[ "$version" = "$want" ] || fail "2.$minor: index files are of $version"
	lt destroy "m$minor"
	check_events "$at" a="$first-${app_sent[a]}"
	first=${app_sent[a]}
	is_stock || stop_relay
done
[ ! -s "$work/tee.out" ] || fail "the proxy says: $(head -3 "$work/tee.out")"
lttng_pass
