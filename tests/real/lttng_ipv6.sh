#!/bin/bash
# SPDX-License-Identifier: MIT
#
# lttng_ipv6 - net6:// and tcp6://.
# shellcheck source=tests/real/lttng_lib.sh
. "$(dirname "$0")/lttng_lib.sh"

# shellcheck disable=SC2034 # used by lttng_lib.sh
stock_host="[::1]"
start_lttng_relay
start_lttng
lt_create s1 --set-url="net6://[::1]:$control_port:$data_port"
lt_channel s1
lt start s1
app_start a
app_emit a 5000
lt stop s1
check_recorded s1 a=5000
lt destroy s1
lt_create s2 --ctrl-url="tcp6://[::1]:$control_port" --data-url="tcp6://[::1]:$data_port"
lt_channel s2
lt start s2
app_emit a 5000
lt stop s2
lt destroy s2
check_recorded s2 a=5000-10000
lttng_pass
