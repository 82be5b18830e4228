#!/bin/bash
# SPDX-License-Identifier: MIT
#
# lttng_live_clear - lttng clear under a viewer's eyes: it goes on, sees all that comes behind, and ends by itself. (A live
# session cannot be rotated: `lttng rotate` refuses.)
# shellcheck source=tests/real/lttng_live_lib.sh
. "$(dirname "$0")/lttng_live_lib.sh"

! is_stock || skip "lttng-relayd's viewer sees no end"
start_lttng_relay
start_lttng

VIEWER_MAY_SAY='discarded|^$'
lt_create cleared --live=100000
lt_channel cleared
viewer_start cleared cleared
lt start cleared
app_start c
app_emit c 5000
lt clear cleared
app_emit c 3000
viewer_at cleared c 7999
app_begin c emit 20000 20
for n in 1 2 3; do
	lt clear cleared
done
app_await c
behind=${app_sent[c]}
lt clear cleared # with nothing behind the last
app_emit c 2000
viewer_at cleared c $((behind + 1999))
lt stop cleared
lt clear cleared
lt start cleared
app_emit c 1000
viewer_at cleared c $((behind + 2999))
lt stop cleared
lt destroy cleared
viewer_end cleared
viewer_printed_from cleared c "$behind" $((behind + 3000))
check_recorded cleared c=$((behind + 2000))-$((behind + 3000))
lttng_pass
