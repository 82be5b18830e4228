#!/bin/bash
# SPDX-License-Identifier: MIT
#
# lttng_per_pid - buffers of each program: programs come and go, each leaves a trace of its own.
# shellcheck source=tests/real/lttng_lib.sh
. "$(dirname "$0")/lttng_lib.sh"

start_lttng_relay
start_lttng
lt_create s1
lt_channel s1 --buffers-pid
lt start s1
app_start a
app_start b
app_begin a emit 20000
app_emit b 3000
app_end b
app_start c
app_emit c 4000
app_await a
lt stop s1
check_recorded s1 a=20000 b=3000 c=4000
lt start s1
app_end a
app_start d
app_emit d 10
lt stop s1
check_recorded s1 a=20000 b=3000 c=4000 d=10
lt destroy s1
check_recorded s1 a=20000 b=3000 c=4000 d=10
traces=$(find "$(session_dir s1)/ust/pid" -name metadata | wc -l)
[ "$traces" = 4 ] || fail "$traces traces, not 4"
lttng_pass
