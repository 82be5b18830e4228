#!/bin/bash
# SPDX-License-Identifier: MIT
#
# lttng_killed - SIGKILL of relayd 20 times at random moments while a program is recorded and a viewer looks on: nobody is
# disconnected, nothing is lost or there twice.
#
# TRACERELAY_REAL_KILLS and TRACERELAY_REAL_SEED change the number and the moments.
# shellcheck source=tests/real/lttng_live_lib.sh
. "$(dirname "$0")/lttng_live_lib.sh"

! is_stock || skip "lttng-relayd does not outlive that"
kills_default 20
note "seed $seed"

start_lttng_relay
start_lttng
lt_create s1 --live=50000
lt_channel s1
viewer_start viewer s1
lt start s1
app_start a
app_begin a until "$work/enough" 100
kills_begin "$kills" # the handshakes and commands below are part of it
lt_channel_more() { lt enable-event -u -s s1 -c ch 'lttng_ust_tracef:nothing*'; }
lt_channel_more
app_await a
[ "$(cat "$work/killed")" = "$kills" ] || fail "$(cat "$work/killed") kills"
kills_end
app_emit a 2000
lt stop s1
check_recorded s1 a="${app_sent[a]}"
lt destroy s1
check_recorded s1 a="${app_sent[a]}"
viewer_end viewer
viewer_printed viewer a="${app_sent[a]}"
lttng_pass "$kills kills, ${app_sent[a]} events, seed $seed"
