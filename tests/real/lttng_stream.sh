#!/bin/bash
# SPDX-License-Identifier: MIT
#
# lttng_stream - create --set-url=net://, start, stop, destroy: when `lttng stop` returns, the trace is complete and
# readable where it lies, index files included. A second start goes on in the same files.
# shellcheck source=tests/real/lttng_lib.sh
. "$(dirname "$0")/lttng_lib.sh"

start_lttng_relay
start_lttng
lt_create s1
lt_channel s1
lt start s1
app_start a
app_start b
app_begin a emit 30000
app_emit b 20000
app_await a
lt stop s1
check_recorded s1 a=30000 b=20000
lt start s1
app_emit a 5000
lt stop s1
check_recorded s1 a=35000 b=20000
lt destroy s1
check_recorded s1 a=35000 b=20000

# One that nobody sent an event to.
lt_create empty
lt_channel empty
lt start empty
lt stop empty
lt destroy empty
check_recorded s1 a=35000 b=20000
lttng_pass
