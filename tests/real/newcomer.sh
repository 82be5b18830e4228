#!/bin/bash
# SPDX-License-Identifier: MIT
#
# newcomer - what the README promises: start the relay, run the printed trace-cmd line, read the trace with the printed
# commands. First as `./dev run` does it, then sessiond-lite alone with no option at all.
# shellcheck source=tests/real/lib.sh
. "$(dirname "$0")/lib.sh"

need_relay

# ./dev run in a tree that is already built: a copy of the script beside the programs, with nothing left to make.
tree=$work/tree
mkdir -p "$tree/build"
cp "$top_srcdir/dev" "$tree/dev"
ln -s "$TRACERELAY_BIN" "$tree/build/bin"
printf '#!/bin/sh\n' >"$tree/configure"
chmod +x "$tree/configure"
printf 'all:\n' >"$tree/build/Makefile"
mount -t tmpfs -o mode=755 none /run

launch_relay "$tree/dev" run
wait_for 10 "the printed lines" grep -q 'trace-cmd report' "$work/relay.out"
printed() { sed -n 's/^    //p' "$work/relay.out" | grep -- "$1"; }
note "runs: $(printed 'trace-cmd record')"
(cd "$work" && eval "$(printed 'trace-cmd record')") >"$work/client.log" 2>&1 || fail "the printed record line failed"
out_dir=$tree/build/traces
await_chunk
(cd "$work" && eval "$(printed 'relayctl')") >"$work/status.log" 2>&1 || fail "the printed relayctl line failed"
(cd "$work" && eval "$(printed 'trace-cmd report')") >"$work/report.log" 2>&1 || fail "the printed report line failed"
[ "$(count_report <"$work/report.log" | cut -d' ' -f1)" -gt 10 ] || fail "the printed report line shows no events"
check_chunk "$chunk"
stop_relay

# With no option at all: /run/tracerelay and /var/lib/tracerelay, port 12345 on all addresses. Both are made private to
# this test first.
mkdir -p "$work/var-lib"
mount --bind "$work/var-lib" /var/lib
out_dir=/var/lib/tracerelay
run_dir=/run/tracerelay
launch_relay sessiond-lite
"$TRACERELAY_BIN/relayctl" status >"$work/status.log" || fail "relayctl does not find the daemon in its default place"
record defaults -N localhost:12345 -t -e sched "$real_dir/workload.sh" 100 || fail "trace-cmd record"
await_chunk
check_chunk "$chunk" 10
[ "$(stat -c %a /run/tracerelay/control.sock)" = 600 ] || fail "control.sock has mode $(stat -c %a /run/tracerelay/control.sock)"
[ "$(stat -c %a /run/tracerelay/status.sock)" = 666 ] || fail "status.sock has mode $(stat -c %a /run/tracerelay/status.sock)"
[ "$(stat -c %a "$chunk")" = 640 ] || fail "$chunk has mode $(stat -c %a "$chunk")"

# A second one says what is in its way.
must_say 1 '12345|output\.dir|/run/tracerelay' "$TRACERELAY_BIN/sessiond-lite"
pass
