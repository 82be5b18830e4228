#!/bin/bash
# SPDX-License-Identifier: MIT
#
# tcp_v7 - today's default: V3 over TCP, file version 7, metadata compressed.
# shellcheck source=tests/real/lib.sh
. "$(dirname "$0")/lib.sh"

start_relay
check_recording 80000 -t "${events[@]}"
pass
