#!/bin/bash
# SPDX-License-Identifier: MIT
#
# kernelshark - what KernelShark's own library loads from our files is what trace-cmd report prints: both formats, chunks
# of a rotation, a recording with losses, and what a client that was killed left.
# shellcheck source=tests/real/lib.sh
. "$(dirname "$0")/lib.sh"

${CC:-cc} -O1 -o "$work/kshark_count" "$real_dir/kshark_count.c" -lkshark 2>"$work/cc.log" ||
	skip "no libkshark ($(head -n 1 "$work/cc.log"))"

# check_kernelshark FILE [LEAST MARKS]: it loads the events and losses that the report prints; so many losses at least.
check_kernelshark() {
	local loaded printed
	printed=$(report "$1" | count_report)
	loaded=$("$work/kshark_count" "$1" 2>"$work/kshark.err") || fail "KernelShark: $(head -n 3 "$work/kshark.err")"
	[ "$loaded" = "$printed" ] || fail "$1: KernelShark loads (events, losses) $loaded, trace-cmd report prints $printed"
	[ "${loaded% *}" -gt 0 ] || fail "$1: KernelShark loads no event"
	[ "${loaded#* }" -ge "${2:-0}" ] || fail "$1: KernelShark shows ${loaded#* } losses"
	note "$(basename "$(dirname "$1")")/$(basename "$1"): ${loaded% *} events, ${loaded#* } losses in KernelShark"
}

start_relay
for format in 7 6; do
	record "v$format" -N 127.0.0.1:"$port" -t --file-version $format "${events[@]}" "${workload[@]}" ||
		fail "trace-cmd record"
	await_chunk
	check_kernelshark "$chunk"
	check_compact "$chunk"
	check_kernelshark "$chunk"
done

# The kernel overwrites what is not read in time: a buffer of 64 KiB.
record lossy -N 127.0.0.1:"$port" -t -b 64 -s 1000000 "${events[@]}" "${workload[@]}" || fail "trace-cmd record"
await_chunk
check_kernelshark "$chunk" 1

must_say 0 '' relayctl create-session bysize --match addr=127.0.0.0/8 --rotate-size 2M
endless 1000 0.1
record_in_background bysize -N 127.0.0.1:"$port" -t "${events[@]}" "${workload[@]}"
await_chunks bysize 2
mapfile -t recorders < <(pgrep -P "$client_pid" -x trace-cmd)
kill -KILL "$client_pid" "${recorders[@]}"
end_workload
await_end bysize
for chunk in $(chunks bysize); do
	check_kernelshark "$chunk"
done
pass
