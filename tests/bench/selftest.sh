#!/bin/bash
# SPDX-License-Identifier: MIT
# selftest.sh - does the bench's judge say no when it must?
#
# The load generator sends to the real trace-cmd listen and to the bare loop; load verify must find
# what they stored right, trace-cmd report must print one line a page, and after a single byte was
# changed, cut off or exchanged, load verify must fail. Skipped (77) without trace-cmd.
set -euo pipefail

bin=${TRACERELAY_BENCH_BIN:-$PWD/tests/bench}
type trace-cmd >/dev/null 2>&1 || { echo "skipped: no trace-cmd" && exit 77; }

work=$(mktemp -d "${TMPDIR:-/tmp}/bench-selftest.XXXXXX")
server=
trap '[[ -z $server ]] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT

fail() {
	echo "FAIL: $*" >&2
	exit 1
}

# The verdict on $work/out must be $1 (0 right, 1 wrong), for the reason $2.
verdict() {
	local want=$1 why=$2 got=0
	shift 2
	"$bin/load" verify "$@" "$work/out" >"$work/said" 2>&1 || got=$?
	[[ $got == "$want" ]] || fail "$why: verify gave $got: $(cat "$work/said")"
	echo "ok: $why"
}

# Change one byte at offset $2 of file $1: once changes it, twice restores it.
flip() {
	local old
	old=$(od -An -tu1 -j "$2" -N 1 "$1")
	printf "\\x$(printf %02x $((old ^ 0x40)))" |
		dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

start_listen() {
	local port
	rm -rf "$work/out" && mkdir "$work/out"
	for _ in 1 2 3 4 5; do
		port=$((RANDOM % 10000 + 10000))
		timeout 60 trace-cmd listen -p $port -d "$work/out" >"$work/listen.log" 2>&1 &
		server=$!
		for _ in $(seq 100); do
			# Nothing is said when it listens; the kernel knows.
			grep -qi "^ *[0-9]*: [0-9A-F]*:$(printf %04X $port) 0*:0000 0A" \
				/proc/net/tcp /proc/net/tcp6 && address=127.0.0.1:$port && return 0
			kill -0 $server 2>/dev/null || break
			sleep 0.05
		done
		kill $server 2>/dev/null || true
	done
	fail "trace-cmd listen does not listen: $(cat "$work/listen.log")"
}

stop_listen() {
	kill "$server"
	wait "$server" || true
	server=
}

# $1: protocol and format; the rest: options of load, that of the size included
against_listen() {
	local what=$1 file lines offset size end
	shift
	start_listen
	"$bin/load" finish --server="$address" "$@" --arrive="$work/out" --timeout=50
	stop_listen
	verdict 0 "$what: stored as sent" "$@"
	file=$(echo "$work"/out/*.dat)
	lines=$(trace-cmd report "$file" 2>/dev/null | grep -c 'client=0')
	[[ $lines == 64 ]] || fail "$what: trace-cmd report shows $lines events of 64"
	echo "ok: $what: trace-cmd report shows an event a page"
	read -r _ _ offset size < <("$bin/load" table "$file" | tail -1)
	end=$((offset + size))
	# The last byte of all, one inside the last page, its time stamp, its commit.
	for back in 1 2000 4096 4088; do
		offset=$((end - back))
		flip "$file" $offset
		verdict 1 "$what: a byte changed $back before the end" "$@"
		flip "$file" $offset
	done
	verdict 0 "$what: restored" "$@"
	verdict 1 "$what: another run's file" "$@" --seed=2
	cp "$file" "$work/out/again.dat"
	verdict 1 "$what: stored twice" "$@"
	rm "$work/out/again.dat"
	truncate -s $((end - 4096)) "$file"
	verdict 1 "$what: a page cut off" "$@"
	rm "$file"
	verdict 1 "$what: nothing there" "$@"
}

against_bare_loop() {
	local ready file
	rm -rf "$work/out" && mkdir "$work/out"
	coproc loop { exec "$bin/bare_loop" --dir="$work/out" --streams=2 --timeout=60; }
	# shellcheck disable=SC2154 # coproc sets it
	server=$loop_PID
	read -r ready port <&"${loop[0]}"
	[[ $ready == ready ]] || fail "the bare loop is not ready"
	"$bin/load" throughput --raw --server=127.0.0.1:"$port" --cpus=2 --bytes=3M
	wait "$server" || fail "the bare loop failed"
	server=
	verdict 0 "bare loop: stored as sent" --raw --cpus=2 --bytes=3M
	file=$work/out/stream-1.raw
	# Two neighbours exchanged: every byte is there, two pages are in the wrong place.
	dd if="$file" of="$work/a" bs=4096 skip=10 count=1 status=none
	dd if="$file" of="$work/b" bs=4096 skip=11 count=1 status=none
	dd if="$work/b" of="$file" bs=4096 seek=10 conv=notrunc status=none
	dd if="$work/a" of="$file" bs=4096 seek=11 conv=notrunc status=none
	verdict 1 "bare loop: two pages exchanged" --raw --cpus=2 --bytes=3M
}

against_listen "v3, format 7" --protocol=v3 --format=7 --cpus=2 --bytes=128K
against_listen "v3, format 6" --protocol=v3 --format=6 --cpus=1 --bytes=256K
against_listen "v1" --protocol=v1 --cpus=2 --bytes=128K --source=127.3.2.1
against_bare_loop
