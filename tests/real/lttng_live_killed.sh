#!/bin/bash
# SPDX-License-Identifier: MIT
#
# lttng_live_killed - SIGKILLs of relayd at random moments while viewers look on: at programs with buffers of their own that
# come and go and at their session's end; at a session that is cleared again and again; at tracefiles whose names come again.
#
# TRACERELAY_REAL_KILLS and TRACERELAY_REAL_SEED change the number and the moments.
# shellcheck source=tests/real/lttng_live_lib.sh
. "$(dirname "$0")/lttng_live_lib.sh"

! is_stock || skip "lttng-relayd does not outlive that"
kills_default 1000
note "seed $seed"

start_lttng_relay
start_lttng

lt_create pids --live=50000
lt_channel pids --buffers-pid
viewer_start one pids 1
viewer_start two pids 2
lt start pids
app_start b
kills_begin "$kills"
for n in 1 2 3 4 5; do
	app_start "p$n"
	app_begin b emit 1000 100
	app_emit "p$n" 700
	app_end "p$n"
	app_await b
done
lt stop pids
lt destroy pids
want="b=5000 p1=700 p2=700 p3=700 p4=700 p5=700"
for name in one two; do
	viewer_end $name
	# shellcheck disable=SC2086 # words
	viewer_printed $name $want
done
kills_end
# shellcheck disable=SC2086
check_recorded pids $want
app_end b

VIEWER_MAY_SAY='discarded|^$'
lt_create cleared --live=50000
lt_channel cleared
viewer_start cleared cleared
lt start cleared
app_start c
kills_begin "$kills"
for n in 1 2 3 4 5 6; do
	app_begin c emit 3000 50
	lt clear cleared
	app_await c
done
behind=${app_sent[c]}
lt clear cleared
app_emit c 2000
viewer_at cleared c $((behind + 1999))
lt stop cleared
lt destroy cleared
viewer_end cleared
viewer_printed_from cleared c "$behind" $((behind + 2000))
kills_end
check_recorded cleared c="$behind-$((behind + 2000))"
app_end c

lt_create ring --live=50000
lt_channel ring --tracefile-size=64K --tracefile-count=3
viewer_start ring ring
lt start ring
app_start d
kills_begin "$kills"
for n in 1 2 3 4 5 6; do
	app_emit d 3000 30
	viewer_at ring d $((n * 3000 - 1))
done
lt stop ring
lt destroy ring
viewer_end ring
viewer_printed_from ring d 17000 18000
kills_end
lttng_pass "seed $seed"
