#!/bin/bash
# SPDX-License-Identifier: MIT
#
# subbuf_16k - sub-buffers larger than a page. trace-cmd 3.1.6 says 4096 in TINIT all the same. For the top buffer its file
# header says 16384; for an instance it says 4096 there too, and trace-cmd listen makes a file of it that cannot be read.
# shellcheck source=tests/real/lib.sh
. "$(dirname "$0")/lib.sh"

[ -e $tracefs/buffer_subbuf_size_kb ] || skip "this kernel has no buffer_subbuf_size_kb"

page_size_in_header() { od -An -t u4 -j 14 -N 4 "$1" | tr -d ' '; }

start_relay

echo 16 >$tracefs/buffer_subbuf_size_kb
check_recording 80000 -t "${events[@]}"
[ "$(page_size_in_header "$chunk")" = 16384 ] || fail "$chunk: page size $(page_size_in_header "$chunk")"
echo 4 >$tracefs/buffer_subbuf_size_kb

make_instance trbar
echo 16 >$tracefs/instances/trbar/buffer_subbuf_size_kb
start_tee --count 1
record instance -N 127.0.0.1:"$tee_port" -B trbar -t "${events[@]}" "${workload[@]}" || fail "trace-cmd record -B trbar"
await_tee 1
await_chunk
[ "$(page_size_in_header "$chunk")" = 16384 ] || fail "$chunk: page size $(page_size_in_header "$chunk") in the header"
check_chunk "$chunk" 80000
check_same_bytes 1 "$chunk"
[ "$("$real_dir/pages.py" --total "$chunk")" = "$("$real_dir/pages.py" --total --raw 16384 "$work"/sent-1.cpu*)" ] ||
	fail "the pages that were sent hold other events"
pass
