#!/bin/bash
# SPDX-License-Identifier: MIT
#
# lttng_regenerate - lttng regenerate metadata: the metadata begins anew, the trace stays whole.
# shellcheck source=tests/real/lttng_lib.sh
. "$(dirname "$0")/lttng_lib.sh"

start_lttng_relay
start_lttng
lt_create s1
lt_channel s1
lt start s1
app_start a
app_emit a 5000
lt regenerate metadata -s s1
app_emit a 5000
app_start b
app_emit b 100
lt stop s1
check_recorded s1 a=10000 b=100
lt start s1
lt regenerate metadata -s s1
lt regenerate metadata -s s1
app_emit a 10
lt stop s1
check_recorded s1 a=10010 b=100
lt destroy s1
check_recorded s1 a=10010 b=100
lttng_pass
