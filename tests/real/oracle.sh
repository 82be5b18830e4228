#!/bin/bash
# SPDX-License-Identifier: MIT
#
# oracle - the tools of these tests against the real server alone: what the others rest on. No program of ours runs.
# shellcheck source=tests/real/lib.sh
. "$(dirname "$0")/lib.sh"

# Two trace-cmd listen behind the tee: the same pages reach both, so their reports are equal line by line, and the raw
# pages, their files and the reports hold the same events.
start_listen "$work/first" $port
start_listen
start_tee --patient --listen 127.0.0.1:$listen_port

workload=("$real_dir/workload.sh" 10000)

client=0
through_tee() {
	client=$((client + 1))
	record "client-$client" -N 127.0.0.1:$tee_port "$@" "${workload[@]}" || fail "trace-cmd record $*"
	await_tee $client
	first=$(echo "$work"/first/trace.*:"$(tee_line $client | jq .relay_port)".dat)
	second=$(listen_file $client)
}

through_tee -t "${events[@]}"
check_counts "$first" 40000
check_same_report "$first" "$second" "two servers, v7"
check_same_bytes $client "$first"
check_same_events "$first" "$second"

through_tee -t --file-version 6 "${events[@]}"
check_counts "$first" 40000
check_same_report "$first" "$second" "two servers, v6"
check_same_bytes $client "$first"

through_tee -t --compression none "${events[@]}"
check_counts "$first" 40000
check_same_report "$first" "$second" "two servers, not compressed"
check_same_bytes $client "$first"
whole=$first

# A buffer that is too small: the kernel's own losses are counted alike.
through_tee -t -b 64 "${events[@]}"
check_counts "$first"
marks=$("$real_dir/pages.py" --total "$first" | cut -d' ' -f2)
note "$marks losses with a buffer of 64 KiB"
check_same_report "$first" "$second" "two servers, with losses"

# The raw walk of the dumps counts what the file's walk counts.
[ "$("$real_dir/pages.py" --total --raw 4096 "$work/sent-$client".cpu*)" = "$("$real_dir/pages.py" --total "$first")" ] ||
	fail "raw pages and regions count differently"

# The checks can fail. One page of a region turned into an empty one, one event lost, one byte changed:
region() { # FILE: the offset of its last region
	"$real_dir/pages.py" "$1" | awk 'NR > 1 && $3 > 0 { at = $2 } END { print at }'
}
spoil() { # FILE OFFSET BYTES
	cp "$whole" "$work/spoiled.dat"
	printf "$2" | dd of="$work/spoiled.dat" bs=1 seek="$1" conv=notrunc status=none
}
at=$(region "$whole")
must_fail() {
	if ("$@") >"$work/must-fail.log" 2>&1; then
		fail "'$*' did not notice"
	fi
	rm "$work/must-fail.log"
}
spoil $((at + 4096 + 8)) '\0\0\0\0'
must_fail check_same_report "$whole" "$work/spoiled.dat"
must_fail check_same_events "$whole" "$work/spoiled.dat"
must_fail check_same_bytes 3 "$work/spoiled.dat"
check_same_bytes 3 "$whole"
spoil $((at + 8)) '\020\0\0\0'
must_fail check_same_bytes 3 "$work/spoiled.dat"
spoil $((at + 8)) '\0\377\0\0'
must_fail "$real_dir/pages.py" "$work/spoiled.dat"
spoil $((at + 4096)) '\0\0\0\0\0\0\0\0'
must_fail "$real_dir/pages.py" "$work/spoiled.dat"
spoil $((at + 8 + 3)) '\200'
check_same_bytes 3 "$work/spoiled.dat" -- --marks
must_fail check_same_bytes 3 "$work/spoiled.dat"

# UDP: trace-cmd listen gets a page a datagram from the tee.
through_tee "${events[@]}"
check_counts "$second"
check_counts "$first"

pass
