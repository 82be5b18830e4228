#!/bin/bash
# SPDX-License-Identifier: MIT
#
# tcp_v6 - the file version of all older trace-cmd: over a thousand small metadata messages.
# shellcheck source=tests/real/lib.sh
. "$(dirname "$0")/lib.sh"

start_relay
check_recording 80000 -t --file-version 6 "${events[@]}"
[ "$(head -c 11 "$chunk" | tail -c 1)" = 6 ] || fail "$chunk is not of version 6"
pass
