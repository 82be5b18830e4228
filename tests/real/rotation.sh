#!/bin/bash
# SPDX-License-Identifier: MIT
#
# rotation - chunks of 2 MB: each readable by itself, consecutive ones lose and repeat nothing. By size, by command, and
# keeping the last ones only.
# shellcheck source=tests/real/lib.sh
. "$(dirname "$0")/lib.sh"

# names_from FIRST CHUNK...: the chunks are trace.FIRST.dat and on, without a gap.
names_from() {
	local n=$1 file
	shift
	for file in "$@"; do
		[ "$(basename "$file")" = "$(printf 'trace.%06d.dat' "$n")" ] || fail "$file is not chunk $n"
		n=$((n + 1))
	done
}

# Files of $session that nobody writes any more, and their source ended.
finished() {
	await_end "$1"
	mapfile -t found < <(chunks "$1")
}

start_relay
start_listen
start_tee --listen 127.0.0.1:"$listen_port"

# By size.
must_say 0 '' relayctl create-session bysize --match addr=127.0.0.0/8 --rotate-size 2M
record bysize -N 127.0.0.1:"$tee_port" -t "${events[@]}" "$real_dir/workload.sh" 40000 || fail "trace-cmd record"
await_tee 1
await_chunks bysize 3
finished bysize
names_from 1 "${found[@]}"
for chunk in "${found[@]}"; do
	check_record "$chunk"
	check_counts "$chunk"
	data=$(data_bytes "$chunk")
	# A chunk is due at 2 MB; what was in flight then still comes into it.
	[ "$chunk" = "${found[-1]}" ] || [ "$data" -ge $((2 << 20)) ] || fail "$chunk holds only $data bytes"
	[ "$data" -le $((2 << 21)) ] || note "$chunk holds $data bytes"
done
check_same_bytes 1 "${found[@]}"
check_same_events "$(listen_file 1)" "${found[@]}"
must_say 0 '' relayctl destroy-session bysize
[ "$(chunks bysize | wc -l)" = ${#found[@]} ] || fail "destroy-session without --delete-data deleted files"

# By command, in the middle of a recording.
must_say 0 '' relayctl create-session bycommand --match addr=127.0.0.0/8
endless 1000 0.1
record_in_background bycommand -N 127.0.0.1:"$tee_port" -t "${events[@]}" "${workload[@]}"
for n in 1 2 3; do
	wait_for 20 "pages" sent_at_least 2 $((n * 1000000))
	must_say 0 '' relayctl rotate bycommand
	await_chunks bycommand $n
done
end_workload
await_client "$client_pid"
await_tee 2
await_chunks bycommand 4
finished bycommand
[ ${#found[@]} = 4 ] || fail "${#found[@]} chunks after 3 rotations"
for chunk in "${found[@]}"; do
	check_record "$chunk"
	check_counts "$chunk"
done
check_same_bytes 2 "${found[@]}"
check_same_events "$(listen_file 2)" "${found[@]}"
must_say 0 '' relayctl destroy-session bycommand --delete-data
[ "$(chunks bycommand | wc -l)" = 0 ] || fail "destroy-session --delete-data left files"

# The last two only.
must_say 0 '' relayctl create-session keep --match addr=127.0.0.0/8 --rotate-size 1M --keep-chunks 2
record keep -N 127.0.0.1:"$port" -t "${events[@]}" "$real_dir/workload.sh" 20000 || fail "trace-cmd record"
await_chunks keep 1
await_end keep
wait_for 10 "the old chunks to be dropped" at_most_chunks keep 2
mapfile -t found < <(chunks keep)
first=$(basename "${found[0]}" .dat)
first=$((10#${first#trace.}))
[ $first -gt 1 ] || fail "the chunks that are left begin with the first"
names_from $first "${found[@]}"
for chunk in "${found[@]}"; do
	check_counts "$chunk"
done
pass
