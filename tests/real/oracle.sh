#!/bin/bash
# SPDX-License-Identifier: MIT
#
# oracle - the tools of these tests against the real server alone: what the others rest on. No program of ours runs.
# shellcheck source=tests/real/lib.sh
. "$(dirname "$0")/lib.sh"

# The checks can fail: COMMAND must.
must_fail() {
	if ("$@") >"$work/must-fail.log" 2>&1; then
		fail "'$*' did not notice"
	fi
	rm "$work/must-fail.log"
}

# Two trace-cmd listen behind the tee: the same pages reach both, so their reports are equal line by line, and the raw
# pages, their files and the reports hold the same events.
start_listen "$work/first" $port
start_listen
start_tee --patient --listen 127.0.0.1:$listen_port

workload=("$real_dir/workload.sh" 3000)

client=0
through_tee() {
	client=$((client + 1))
	record "client-$client" -N 127.0.0.1:$tee_port "$@" "${workload[@]}" || fail "trace-cmd record $*"
	await_tee $client
	first=$(echo "$work"/first/trace.*:"$(tee_line $client | jq .relay_port)".dat)
	second=$(listen_file $client)
}

through_tee -t "${events[@]}"
check_counts "$first" 12000
check_same_report "$first" "$second" "two servers, v7"
check_same_bytes $client "$first"
check_same_events "$first" "$second"

through_tee -t --file-version 6 "${events[@]}"
check_counts "$first" 12000
check_same_report "$first" "$second" "two servers, v6"
check_same_bytes $client "$first"

# Split into chunks at a page of each CPU, as rotation does: nothing is lost or repeated, or it is noticed.
split_v6() { # OUT FIRST LAST: pages FIRST to LAST (not included) of each CPU
	python3 - "$first" "$work/$1" "$2" "$3" <<-'END'
		import struct, sys
		source, out, first, last = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
		data = bytearray(open(source, "rb").read())
		table = data.index(b"flyrecord\0") + 10
		(cpus,) = struct.unpack_from("=I", data, data.index(b"options  \0") - 4)
		for at in range(table, table + cpus * 16, 16):
		    offset, size = struct.unpack_from("=QQ", data, at)
		    begin, end = min(first * 4096, size), min(last * 4096, size)
		    struct.pack_into("=QQ", data, at, offset + begin, end - begin)
		open(out, "wb").write(data)
	END
}
split_v6 a.dat 0 50
split_v6 b.dat 50 51
split_v6 c.dat 51 1000000
check_same_events "$second" "$work"/[abc].dat
check_same_bytes $client "$work"/[abc].dat
[ "$(client_of "$second")" = $client ] || fail "client_of does not know whose pages these are"
must_fail check_same_events "$second" "$work"/[ac].dat
must_fail check_same_bytes $client "$work"/[ac].dat
must_fail check_same_bytes $client "$work"/[ac].dat -- --gaps 1
must_fail check_same_events "$second" "$work"/[abbc].dat "$work/c.dat"
must_fail check_same_bytes $client "$work"/b.dat "$work"/[ac].dat -- --gaps 1

whole=$first whole_client=$client

# A buffer that is too small: the kernel's own losses are counted alike.
through_tee -t -b 64 "${events[@]}"
check_counts "$first"
marks=$("$real_dir/pages.py" --total "$first" | cut -d' ' -f2)
note "$marks losses with a buffer of 64 KiB"
check_same_report "$first" "$second" "two servers, with losses"

# The raw walk of the dumps counts what the file's walk counts.
[ "$("$real_dir/pages.py" --total --raw 4096 "$work/sent-$client".cpu*)" = "$("$real_dir/pages.py" --total "$first")" ] ||
	fail "raw pages and regions count differently"

# A spoiled file is noticed: one page of a region turned into an empty one, one event lost, one byte changed:
region() { # FILE: the offset of its last region
	"$real_dir/pages.py" "$1" | awk 'NR > 1 && $3 > 0 { at = $2 } END { print at }'
}
spoil() { # FILE OFFSET BYTES
	cp "$whole" "$work/spoiled.dat"
	printf "$2" | dd of="$work/spoiled.dat" bs=1 seek="$1" conv=notrunc status=none
}
at=$(region "$whole")
spoil $((at + 4096 + 8)) '\0\0\0\0'
must_fail check_same_report "$whole" "$work/spoiled.dat"
must_fail check_same_events "$whole" "$work/spoiled.dat"
must_fail check_same_bytes $whole_client "$work/spoiled.dat"
check_same_bytes $whole_client "$whole"
spoil $((at + 8)) '\020\0\0\0'
must_fail check_same_bytes $whole_client "$work/spoiled.dat"
spoil $((at + 8)) '\0\377\0\0'
must_fail "$real_dir/pages.py" "$work/spoiled.dat"
spoil $((at + 4096)) '\0\0\0\0\0\0\0\0'
must_fail "$real_dir/pages.py" "$work/spoiled.dat"
spoil $((at + 8 + 3)) '\200'
check_same_bytes $whole_client "$work/spoiled.dat" -- --marks
must_fail check_same_bytes $whole_client "$work/spoiled.dat"

# UDP: trace-cmd listen gets a page a datagram from the tee.
through_tee "${events[@]}"
check_counts "$second"
check_counts "$first"

pass
