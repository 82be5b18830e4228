#!/bin/bash
# SPDX-License-Identifier: MIT
#
# workload.sh COUNT [UNTIL [PAUSE]] - a traced program that produces events quickly.
#
# COUNT one-byte reads and writes on each of the first four CPUs: with raw_syscalls 4 events of about 24 bytes each, so
# 50000 give about 5 MB a CPU. With UNTIL it goes on, PAUSE seconds (default 0.05) between rounds, until the file UNTIL
# exists.
set -eu

round() {
	local cpu
	for ((cpu = 0; cpu < $(nproc) && cpu < 4; cpu++)); do
		taskset -c $cpu dd if=/dev/zero of=/dev/null bs=1 count="$1" status=none &
	done
	wait
}

round "$1"
[ $# -gt 1 ] || exit 0
until [ -e "$2" ]; do
	sleep "${3:-0.05}"
	round "$1"
done
