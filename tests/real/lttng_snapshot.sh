#!/bin/bash
# SPDX-License-Identifier: MIT
#
# lttng_snapshot - a session that is only sent when asked: two records, each a trace of its own, with all that was in the
# buffers at its time.
# shellcheck source=tests/real/lttng_lib.sh
. "$(dirname "$0")/lttng_lib.sh"

start_lttng_relay
start_lttng
lt create s1 --snapshot --set-url="$lttng_url"
lt_channel s1 --overwrite --subbuf-size=1M
lt start s1
app_start a
app_emit a 4000
lt snapshot record -s s1
at=$(session_dir s1)
records() { find "$at" -mindepth 1 -maxdepth 1 -type d -name "snapshot-*-$1" | sort; }
has_record() { [ "$(records "$1" | wc -l)" = 1 ]; }
readable() { babeltrace2 "$(records "$1")" 2>/dev/null | count_events "$2" >/dev/null; }
wait_for 10 "the first record" has_record 0
wait_for 10 "all of the first record" readable 0 a=4000
app_emit a 2000
lt snapshot record -s s1
wait_for 10 "the second record" has_record 1
wait_for 10 "all of the second record" readable 1 a=6000
lt destroy s1
check_events "$(records 0)" a=4000
check_events "$(records 1)" a=6000
check_files "$(records 0)" --no-index
check_files "$(records 1)" --no-index
lttng_pass
