#!/bin/bash
# SPDX-License-Identifier: MIT
#
# lttng_clear - lttng clear while tracing, stopped, and after a rotation: what was before is gone, what comes is there.
# shellcheck source=tests/real/lttng_lib.sh
. "$(dirname "$0")/lttng_lib.sh"

start_lttng_relay
start_lttng
lt_create s1
lt_channel s1
lt start s1
app_start a
app_emit a 20000
lt clear s1
app_emit a 5000
lt stop s1
check_recorded s1 a=20000-25000
lt clear s1
left=$(find "$(session_dir s1)" -type f -size +0 ! -name '.*' ! -name chunk.json)
[ -z "$left" ] || fail "clear leaves $left"
lt start s1
app_emit a 1000
lt stop s1
check_recorded s1 a=25000-26000
lt start s1
lt rotate s1
app_emit a 700
lt clear s1
app_emit a 300
lt stop s1
lt destroy s1
mapfile -t found < <(find "$(session_dir s1)/archives" -mindepth 1 -maxdepth 1 -type d | sort)
[ ${#found[@]} = 2 ] || fail "${#found[@]} archives, not 2: ${found[*]}"
check_events "${found[0]}" a=25000-26000
check_events "${found[1]}" a=26700-27000
lttng_pass
