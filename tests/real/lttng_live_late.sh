#!/bin/bash
# SPDX-License-Identifier: MIT
#
# lttng_live_late - viewers that come late see what happens from then on; one of several sessions sees that one only, and a
# viewer of two sees both; a viewer that leaves is missed by nobody; idle streams hold nothing back.
# shellcheck source=tests/real/lttng_live_lib.sh
. "$(dirname "$0")/lttng_live_lib.sh"

! is_stock || skip "lttng-relayd takes one viewer a session"
start_lttng_relay
start_lttng

# One session, stopped for a moment: what is stored by then is not shown to those who come then.
lt_create one --live=100000
lt_channel one
viewer_start first one 1
lt start one
app_start a
app_emit a 8000
lt stop one
viewer_start late one 2
lt start one
app_emit a 4000
viewer_at late a 11999
# In the middle of it, while the first one is killed.
app_begin a emit 60000 20
viewer_start middle one 3
kill -KILL "${viewer_pid[first]}"
wait "${viewer_pid[first]}" 2>/dev/null || true
wait_for 10 "two viewers" watched_by one 2
app_await a
# An idle stream (the program runs on one CPU at a time) holds no event back: all is printed while tracing goes on.
viewer_at late a 71999
viewer_at middle a 71999
viewer_start behind one 3
app_emit a 500
viewer_at behind a 72499
lt stop one
lt destroy one
for name in late middle behind; do
	viewer_end $name
done
viewer_printed late a=8000-72500
# Where it came in, nobody knows; from there on nothing is missing.
from=$(head -n 1 "$work/middle.txt" | sed -n 's/.* n=\([0-9]*\)".*/\1/p')
if [ "$from" -lt 8000 ] || [ "$from" -gt 71999 ]; then
	fail "the viewer in the middle begins with event $from"
fi
viewer_printed middle "a=$from-72500"
from=$(head -n 1 "$work/behind.txt" | sed -n 's/.* n=\([0-9]*\)".*/\1/p')
[ "$from" -ge 12000 ] || fail "the last viewer begins with event $from"
viewer_printed behind "a=$from-72500"
check_recorded one a=72500
app_end a

# Two sessions at once, each with the events of one program.
of_program() { # SESSION PROGRAM
	lt_create "$1" --live=100000
	lt enable-channel -u -s "$1" --num-subbuf=4 --blocking-timeout=inf --subbuf-size=16k ch
	lt enable-event -u -s "$1" -c ch lttng_ust_tracef:event --filter "msg == \"id=$2 *\""
}
of_program two b
of_program three c
viewer_start of-two two
viewer_start of-three three
sources=()
for session in two three; do
	sources+=(-c "src$session:source.ctf.lttng-live" -p "inputs=[\"$(live_url $session)\"],session-not-found-action=\"end\"")
done
babeltrace2 "${sources[@]}" >"$work/both.txt" 2>"$work/both.log" &
viewer_pid[both]=$!
lt start two
lt start three
app_start b
app_start c
# babeltrace2 asks for the second when the first has something to tell.
wait_for 15 "a viewer of both" watched_by two 2
app_emit b 6000
wait_for 15 "a viewer of both" watched_by three 2
app_emit c 3000
viewer_at of-two b 5999
viewer_at of-three c 2999
lt stop two
lt destroy two
viewer_end of-two
app_emit c 3000
viewer_at both c 5999
lt stop three
lt destroy three
viewer_end of-three
viewer_end both
viewer_printed of-two b=6000
viewer_printed of-three c=6000
viewer_printed both b=6000 c=6000
lttng_pass
