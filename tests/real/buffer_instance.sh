#!/bin/bash
# SPDX-License-Identifier: MIT
#
# buffer_instance - only a buffer instance is recorded. Its name is nowhere on the wire, so it arrives as a top buffer.
# (-t has to stand behind -B; with more than one buffer trace-cmd 3.1.6 cannot send at all.)
# shellcheck source=tests/real/lib.sh
. "$(dirname "$0")/lib.sh"

prepare() { make_instance trfoo; }

start_relay
check_recording 80000 -B trfoo -t "${events[@]}"
pass
