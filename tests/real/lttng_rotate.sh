#!/bin/bash
# SPDX-License-Identifier: MIT
#
# lttng_rotate - lttng rotate by hand, by size and by timer: when it returns, the archive is complete and readable by itself,
# and all archives together hold every event once.
# shellcheck source=tests/real/lttng_lib.sh
. "$(dirname "$0")/lttng_lib.sh"

archives() { find "$1/archives" -mindepth 1 -maxdepth 1 -type d ! -name '.*' 2>/dev/null | sort; }
archives_at_least() { [ "$(archives "$1" | wc -l)" -ge "$2" ]; }

start_lttng_relay
start_lttng

lt_create manual
lt_channel manual
lt start manual
app_start a
app_emit a 10000
lt rotate manual
at=$(session_dir manual)
mapfile -t found < <(archives "$at")
[ ${#found[@]} = 1 ] || fail "${#found[@]} archives, not 1"
[[ $(basename "${found[0]}") =~ ^20[0-9]{6}T[0-9]{6}[+-][0-9]{4}-20[0-9]{6}T[0-9]{6}[+-][0-9]{4}-0$ ]] || fail "an archive is called ${found[0]}"
check_events "${found[0]}" a=10000
check_files "${found[0]}"
app_emit a 5000
lt rotate manual
mapfile -t found < <(archives "$at")
[ ${#found[@]} = 2 ] || fail "${#found[@]} archives, not 2"
check_events "${found[0]}" a=10000
check_events "${found[1]}" a=10000-15000
check_files "${found[1]}"
app_emit a 100
lt stop manual
check_events "$at" a=15100
# Stopped: the last chunk goes to the archives, and a new one begins with the next start.
lt rotate manual
archives_at_least "$at" 3 || fail "no third archive"
check_events "$at" a=15100
lt start manual
app_emit a 50
lt stop manual
lt destroy manual
wait_for 10 "four archives" archives_at_least "$at" 4
check_events "$at/archives" a=15150
find "$at" -mindepth 1 -maxdepth 1 ! -name '.*' ! -name archives ! -name chunk.json | grep -q . && fail "something is left beside archives: $(ls -a "$at")"
app_end a

lt_create sized
lt_channel sized --monitor-timer=50000
lt enable-rotation -s sized --size=256K
lt start sized
app_start b
at=$(session_dir sized)
for _ in {1..60}; do
	app_emit b 3000 5
	! archives_at_least "$at" 3 || break
done
lt stop sized
lt destroy sized
archives_at_least "$at" 4 || fail "$(archives "$at" | wc -l) archives by size"
check_events "$at/archives" b="${app_sent[b]}"
app_end b

lt_create timed
lt_channel timed
lt enable-rotation -s timed --timer=300ms
lt start timed
app_start c
at=$(session_dir timed)
rotated() { app_emit c 200 10 && archives_at_least "$at" 3; }
wait_for 20 "three archives by timer" rotated
lt stop timed
lt destroy timed
archives_at_least "$at" 4 || fail "$(archives "$at" | wc -l) archives by timer"
check_events "$at/archives" c="${app_sent[c]}"
lttng_pass
