#!/bin/bash
# SPDX-License-Identifier: MIT
#
# uncompressed - file version 7 with plain sections (7 MB of metadata).
# shellcheck source=tests/real/lib.sh
. "$(dirname "$0")/lib.sh"

start_relay
check_recording 80000 -t --compression none "${events[@]}"
pass
