# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# lib.sh - what every test of tests/real starts with: `. "$(dirname "$0")/lib.sh"`.
#
# Sourcing it moves the test into mount and network namespaces of its own (so tracefs, /etc/hosts, ports and default
# directories can be arranged without touching the host), takes the machine-wide lock on the tracing buffers, makes
# $work (a directory that is removed if the test passes) and sets the cleanup trap. Then the test calls the functions
# below. A failed check calls `fail`, which prints why, keeps $work and says where it is.
#
# Environment:
#   TRACERELAY_BIN        where sessiond-lite, relayd and relayctl are; default: build/bin in the source tree
#   TRACERELAY_REAL_KEEP  1: keep $work of passing tests too
#   TRACERELAY_REAL_TIME  seconds that a whole test may take, default 150
#
# Every name inside status.sock's document and trace.json that these tests rely on is in the section "Names in our JSON",
# and nowhere else.

set -euo pipefail
unset TRACERELAY_RUN_DIR # who runs a test may have a relay of their own

real_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top_srcdir=$(cd "$real_dir/../.." && pwd)
test_name=$(basename "$0" .sh)
tracefs=/sys/kernel/tracing

skip() {
	echo "skipped: $*"
	exit 77
}

# --- Into namespaces, once -------------------------------------------------------------------------------------------

if [ "${TRACERELAY_REAL_INSIDE:-}" != $$ ]; then
	TRACERELAY_BIN=$(realpath -m "${TRACERELAY_BIN:-$top_srcdir/build/bin}")
	export TRACERELAY_BIN
	grep -qw tracefs /proc/filesystems || skip "no tracefs"
	[ "$(id -u)" = 0 ] || skip "no tracefs (not root)"
	for tool in trace-cmd jq python3 flock ip; do
		command -v $tool >/dev/null || skip "no $tool"
	done
	unshare -m -n true 2>/dev/null || skip "no tracefs (no namespaces)"
	# The lock lives as long as any process of the test: all inherit its descriptor.
	exec 9>"${TRACERELAY_REAL_LOCK:-/tmp/tracerelay-real.lock}"
	flock -w 1200 9 || skip "another test holds the tracing buffers"
	# `trace-cmd listen`, with which the relay is compared, loses a recording when a stream ends inside one of its reads
	# (doc/protocol.md); a test that fails on such a one says so with 75, and is done again.
	for attempt in 1 2 3; do
		status=0
		# exec keeps the process id down to the bash that `timeout` starts, which checks that it is that one.
		# shellcheck disable=SC2016 # that bash is to expand it
		timeout -k 20 "${TRACERELAY_REAL_TIME:-150}" unshare -m -n --propagation private \
			bash -c 'export TRACERELAY_REAL_INSIDE=$$; exec bash "$0" "$@"' "$0" "$@" || status=$?
		[ $status = 75 ] || exit $status
		echo "trace-cmd listen interrupted itself: attempt $attempt is void"
	done
	exit 1
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/tracerelay-$test_name.XXXXXX")
chmod 755 "$work"
run_dir=$work/run
out_dir=$work/out
listen_dir=$work/listen
mkdir -p "$run_dir" "$out_dir" "$listen_dir" "$work/san" "$work/stub"
verdict=aborted

sessiond_pid='' listen_pid='' tee_pid='' client_pid=''
port=12345        # the relay's control port
listen_port=12346 # trace-cmd listen's
tee_port=12347    # the tee's

# --- Ends ------------------------------------------------------------------------------------------------------------

fail() {
	echo "FAIL: $*" >&2
	verdict=failed
	grep -qs "Interrupted system call" "$work"/listen*.log "$work"/first*.log && exit 75
	exit 1
}

note() {
	echo "$test_name: $*"
}

pass() {
	stop_tee
	stop_listen
	stop_relay
	verdict=passed
	note "passed in $SECONDS s${*:+: $*}"
	exit 0
}

# Every process in the test's own mount namespace was started by the test; the namespace is what finds them, so nobody
# else's processes can be hit.
our_processes() {
	local mine pid
	mine=$(readlink /proc/self/ns/mnt)
	for pid in /proc/[0-9]*; do
		pid=${pid#/proc/}
		if [ "$pid" != $$ ] && [ "$pid" != "$BASHPID" ] &&
			[ "$(readlink "/proc/$pid/ns/mnt" 2>/dev/null)" = "$mine" ]; then
			echo "$pid"
		fi
	done
}

cleanup() {
	local status=$? pid round
	trap - EXIT
	set +e
	for round in 1 2 3; do
		for pid in $(our_processes); do
			[ "$pid" = "$PPID" ] || kill -KILL "$pid" 2>/dev/null
		done
		wait 2>/dev/null
		[ "$round" = 1 ] && reset_tracing
	done
	if [ "$verdict" = passed ] && [ "${TRACERELAY_REAL_KEEP:-0}" != 1 ]; then
		rm -rf "$work"
	elif [ "$status" = 77 ]; then
		rm -rf "$work"
	else
		for log in "$work"/*.log "$work"/san/*; do
			[ -s "$log" ] || continue
			echo "--- the end of $log"
			tail -n 25 "$log"
		done >&2
		echo "$test_name: $verdict; everything is in $work" >&2
	fi
	exit "$status"
}
trap cleanup EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

# --- Waiting ---------------------------------------------------------------------------------------------------------

# wait_for SECONDS WHAT COMMAND...: until COMMAND succeeds. The pause only bounds how often it asks.
wait_for() {
	local limit=$1 what=$2 end
	shift 2
	end=$(($(date +%s%3N) + limit * 1000))
	until "$@"; do
		[ "$(date +%s%3N)" -lt $end ] || fail "waited $limit s for $what"
		sleep 0.03
	done
}

gone() { ! kill -0 "$1" 2>/dev/null; }
port_closed() { ! listens "$1"; }
listens() { [ -n "$(ss -Hltn "sport = :$1")" ]; }

# --- Tracing ---------------------------------------------------------------------------------------------------------

our_instances="trfoo trbar"

# In some kernels (and virtual machines) writing these fails, and trace-cmd gives up at that. The tests trace no
# functions, so plain files do in their place.
hide_ftrace() {
	local file
	for file in set_ftrace_filter set_ftrace_notrace set_ftrace_pid; do
		[ -e "$1/$file" ] || continue
		: >"$work/stub/$file"
		mount --bind "$work/stub/$file" "$1/$file"
	done
}

reset_tracing() {
	local name
	{
		echo 0 >$tracefs/events/enable
		echo nop >$tracefs/current_tracer
		for name in $our_instances; do
			[ -d "$tracefs/instances/$name" ] || continue
			umount "$tracefs/instances/$name"/set_ftrace_{filter,notrace,pid}
			rmdir "$tracefs/instances/$name"
		done
		[ ! -e $tracefs/buffer_subbuf_size_kb ] || echo 4 >$tracefs/buffer_subbuf_size_kb
		echo 1408 >$tracefs/buffer_size_kb
		echo local >$tracefs/trace_clock
		echo 1 >$tracefs/tracing_on
		echo >$tracefs/trace
	} 2>/dev/null || true
}

# make_instance NAME: as trace-cmd -B would, with the ftrace files hidden. trace-cmd removes it after the recording.
make_instance() {
	mkdir "$tracefs/instances/$1"
	hide_ftrace "$tracefs/instances/$1"
}

setup_namespaces() {
	ip link set lo up
	[ -d $tracefs/events ] || mount -t tracefs nodev $tracefs 2>/dev/null || skip "no tracefs"
	if [ -e /proc/sys/kernel/ftrace_enabled ]; then
		echo 1 >"$work/stub/ftrace_enabled"
		mount --bind "$work/stub/ftrace_enabled" /proc/sys/kernel/ftrace_enabled
	fi
	hide_ftrace $tracefs
	reset_tracing
}

# record LOG ARGS... -- COMMAND...: one recording by the real trace-cmd, its output in $work/LOG.log. Returns its status.
record() {
	local log=$1
	shift
	(cd "$work" && exec timeout -k 5 60 trace-cmd record "$@") >"$work/$log.log" 2>&1
}

# record_in_background LOG ARGS... -- COMMAND...: sets $client_pid, which is trace-cmd's own.
record_in_background() {
	local log=$1
	shift
	(cd "$work" && exec trace-cmd record "$@") >"$work/$log.log" 2>&1 &
	# shellcheck disable=SC2034 # used by the tests
	client_pid=$!
}

# await_client PID [SECONDS]: until it has ended; fails unless it ended well.
await_client() {
	wait_for "${2:-30}" "trace-cmd record to end" gone "$1"
	wait "$1" || fail "trace-cmd record ended with status $?"
}

# The events that all recordings use: many, of one line each in a report.
# shellcheck disable=SC2034 # used by the tests
events=(-e sched -e raw_syscalls)

# The traced program: about 4 x 20000 events on every CPU, some 2 MB each.
# shellcheck disable=SC2034 # used by the tests
workload=("$real_dir/workload.sh" 20000)

# endless COUNT [PAUSE]: a traced program in $workload that goes on until end_workload.
endless() {
	rm -f "$work/enough"
	workload=("$real_dir/workload.sh" "$1" "$work/enough" "${2:-0.05}")
}
end_workload() { : >"$work/enough"; }

# --- The real server and the proxy -----------------------------------------------------------------------------------

# shellcheck disable=SC2120
start_listen() {
	local where=${1:-$listen_dir} on=${2:-$listen_port}
	mkdir -p "$where"
	(cd "$where" && exec trace-cmd listen -p "$on" -d "$where") >"$where.log" 2>&1 &
	listen_pid="$listen_pid $!"
	wait_for 10 "trace-cmd listen on port $on" listens "$on"
}

stop_listen() {
	local pid
	for pid in $listen_pid; do
		kill -TERM "$pid" 2>/dev/null || true
		wait_for 15 "the end of trace-cmd listen" gone "$pid"
	done
	listen_pid=''
}

# start_tee [OPTIONS]: between $tee_port and the relay, trace-cmd listen getting the same. The pages of client n are in
# $work/sent-n.cpuM, its line (see tee.py) is line n of $work/tee.out.
start_tee() {
	python3 "$real_dir/tee.py" --on "${tee_on:-127.0.0.1}:$tee_port" --relay "${tee_relay:-127.0.0.1:$port}" \
		--dump "$work/sent-" "$@" >"$work/tee.out" 2>"$work/tee.log" &
	tee_pid=$!
	wait_for 10 "the tee" listens $tee_port
}

tee_lines() { [ "$(grep -c '^{' "$work/tee.out")" -ge "$1" ]; }

# await_tee N: until N clients are through and trace-cmd listen has completed its file for each.
await_tee() {
	wait_for 40 "client $1 to be through the tee" tee_lines "$1"
	local errors
	errors=$(grep '^{' "$work/tee.out" | jq -r '.client as $c | .errors[] | "client \($c): \(.)"')
	[ -z "$errors" ] || fail "tee: $errors"
}

tee_line() { grep '^{' "$work/tee.out" | jq -c "select(.client == $1)"; }

# listen_file N: trace-cmd listen's trace.dat of client N.
listen_file() {
	local file
	file=$(echo "$listen_dir"/trace.*:"$(tee_line "$1" | jq .listen_port)".dat)
	[ -s "$file" ] || fail "trace-cmd listen left no $file"
	echo "$file"
}

# Pages that the tee has got from client N (and so has given to the relay, or is about to).
sent_bytes() { cat "$work/sent-$1".cpu* 2>/dev/null | wc -c; }
sent_at_least() { [ "$(sent_bytes "$1")" -ge "$2" ]; }
# The relay's ports are below those that the kernel gives to connecting sockets.
streams_of_tee_closed() { ! ss -Htn state established | awk '{ print $4 }' | grep -qE ':30[0-2][0-9]{2}$'; }

# client_of FILE: the client of the tee whose pages it holds.
client_of() {
	local line
	for line in $(grep '^{' "$work/tee.out" | jq .client); do
		! "$real_dir/pages.py" --same "$work/sent-$line" "$1" 2>/dev/null || { echo "$line" && return; }
	done
	fail "$1 holds no client's pages"
}

stop_tee() {
	[ -n "$tee_pid" ] || return 0
	kill -TERM "$tee_pid" 2>/dev/null || true
	wait_for 10 "the end of the tee" gone "$tee_pid"
	tee_pid=''
}

# --- The relay -------------------------------------------------------------------------------------------------------

need_relay() {
	local program
	for program in sessiond-lite relayctl; do
		[ -x "$TRACERELAY_BIN/$program" ] || fail "no $TRACERELAY_BIN/$program (./dev build makes it)"
	done
}

# start_relay [--set K=V]...: both daemons, ready to be connected to.
start_relay() {
	need_relay
	launch_relay sessiond-lite --set "run.dir=$run_dir" --set "output.dir=$out_dir" --set run.user=root \
		--set "trace-cmd.listen=127.0.0.1:$port,[::1]:$port" --set trace-cmd.stream-ports=30000-30255 \
		--set lttng.control= --set lttng.data= --set lttng.live= "$@"
}

# launch_relay PROGRAM ARGS...: start it, wait for its line `ready`.
launch_relay() {
	local program=$1
	shift
	export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}log_path=$work/san/asan"
	export UBSAN_OPTIONS="${UBSAN_OPTIONS:+$UBSAN_OPTIONS:}log_path=$work/san/ubsan:print_stacktrace=1"
	export TSAN_OPTIONS="${TSAN_OPTIONS:+$TSAN_OPTIONS:}log_path=$work/san/tsan"
	case $program in
	/*) ;;
	*) program=$TRACERELAY_BIN/$program ;;
	esac
	"$program" "$@" >"$work/relay.out" 2>"$work/relay.log" &
	sessiond_pid=$!
	wait_for 20 "the relay's line ready" ready_or_dead
	! gone $sessiond_pid || fail "sessiond-lite ended before it was ready"
}

ready_or_dead() { grep -qs '^ready' "$work/relay.out" || gone "$sessiond_pid"; }

relays_left() {
	local pid
	for pid in $(our_processes); do
		case $(cat "/proc/$pid/comm" 2>/dev/null) in
		sessiond-lite | relayd) echo "$pid" ;;
		esac
	done
}
no_relays_left() { [ -z "$(relays_left)" ]; }

# SIGTERM; both daemons must end by themselves, with status 0, and no sanitizer may have said anything.
stop_relay() {
	local status=0
	[ -n "$sessiond_pid" ] || return 0
	kill -TERM "$sessiond_pid" 2>/dev/null || true
	wait_for 20 "sessiond-lite to end after SIGTERM" gone "$sessiond_pid"
	wait "$sessiond_pid" || status=$?
	sessiond_pid=''
	wait_for 20 "relayd to end after SIGTERM" no_relays_left
	[ $status = 0 ] || fail "sessiond-lite ended with status $status"
	check_sanitizers
}

check_sanitizers() {
	local report
	for report in "$work"/san/*; do
		[ ! -s "$report" ] || fail "a sanitizer reports: $(grep -m1 -E 'ERROR|WARNING|runtime error' "$report")"
	done
}

relayctl() {
	"$TRACERELAY_BIN/relayctl" --run-dir "$run_dir" "$@"
}

# must_say STATUS REGEX COMMAND...: COMMAND ends with STATUS, and its output (both) has a line that matches.
must_say() {
	local want=$1 regex=$2 status=0 said
	shift 2
	said=$("$@" 2>&1) || status=$?
	[ $status = "$want" ] || fail "'$*' ends with $status, not $want: $said"
	grep -qE -- "$regex" <<<"$said" || fail "'$*' does not say /$regex/ but: $said"
}

# --- Names in our JSON -----------------------------------------------------------------------------------------------

# The document of status.sock: connect, read to the end. Nothing while relayd is being replaced: asked again.
status_json() {
	python3 - "$run_dir/status.sock" <<-'END'
		import socket, sys, time
		deadline = time.monotonic() + 10
		while True:
		    s = socket.socket(socket.AF_UNIX)
		    s.settimeout(5)
		    try:
		        s.connect(sys.argv[1])
		        text = b"".join(iter(lambda: s.recv(1 << 16), b""))
		    except OSError:
		        text = b""
		    if text or time.monotonic() > deadline:
		        break
		sys.stdout.buffer.write(text)
	END
}

relayd_pid() {
	status_json | jq -e '.pid'
}

# sources_open [SESSION]: how many sources have not ended.
sources_open() {
	status_json | jq --arg s "${1:-}" '[.sources[] | select($s == "" or .session == $s)
		| select((.state // "") | IN("ended", "done", "finished") | not)] | length'
}

# received_bytes [SESSION]: of the open streams.
received_bytes() {
	status_json | jq --arg s "${1:-}" '[.streams[] | select($s == "" or .session == $s)
		| .received] | add // 0'
}

# ledger_lines FILE: of a record or of the status document: one line `CPU RECEIVED STORED DISCARDED` per stream.
ledger_lines() {
	jq -r '.streams[] | [.cpu, .received, .stored, ([.discarded[]] | add // 0)] | @tsv' "$1"
}

relay_received() { [ "$(received_bytes "$1")" -ge "$2" ]; }

# Every stream of the status document: received = stored + discarded. What is wrong is left in $work/ledger.bad.
relay_ledger_holds() {
	status_json >"$work/status.json"
	ledger_lines "$work/status.json" | awk '$2 != $3 + $4' >"$work/ledger.bad"
	[ ! -s "$work/ledger.bad" ]
}

# Of a record (trace.json):
record_complete() { jq -r '.complete' "$1"; }
record_sparse() { jq -e '.layout == "sparse"' "$1" >/dev/null; }
record_pages() { jq -r '.streams | "\([.[].pages] | add // 0) \([.[].lost_events] | add // 0)"' "$1"; }
record_dropped() { jq '[.streams[].datagrams_dropped] | add // 0' "$1"; }
record_discarded_for() { jq --arg why "$2" '[.streams[].discarded[$why]] | add // 0' "$1"; }

# --- Results ---------------------------------------------------------------------------------------------------------

# chunks SESSION: its finished trace files, in order.
chunks() {
	find "$out_dir/$1" -name 'trace*.dat' -path '*/*-*/*' 2>/dev/null | sort
}

at_most_chunks() { [ "$(chunks "$1" | wc -l)" -le "$2" ]; }
has_chunks() { [ "$(chunks "$1" | wc -l)" -ge "$2" ]; }

# await_chunks SESSION N: until N have appeared under their final names; they are then in the array `found`.
await_chunks() {
	wait_for 20 "$2 finished trace files of session $1" has_chunks "$1" "$2"
	# shellcheck disable=SC2034 # used by the tests
	mapfile -t found < <(chunks "$1")
}

# await_chunk [SESSION]: until a finished trace file appears that no earlier call has seen; its name is then in $chunk.
chunk='' chunks_seen=$'\n'
# shellcheck disable=SC2120
await_chunk() {
	wait_for 20 "a finished trace file in session ${1:-default}" find_new_chunk "${1:-default}"
	chunks_seen+=$chunk$'\n'
}
find_new_chunk() {
	while read -r chunk; do
		[[ $chunks_seen == *$'\n'"$chunk"$'\n'* ]] || return 0
	done < <(chunks "$1")
	return 1
}

sources_at_most() { [ "$(sources_open "$1")" -le "$2" ]; }

# await_end [SESSION]: until no source of it is open.
await_end() {
	wait_for 20 "the end of the sources${1:+ of session $1}" sources_at_most "${1:-}" 0
}

record_of() { echo "${1%.dat}.json"; }

# report FILE: the whole report with full time stamps. trace-cmd complains on stderr and still exits 0, so any word there
# is a failure.
report() {
	trace-cmd report -t -i "$1" 2>"$work/report.err" || fail "trace-cmd report $1: $(head -3 "$work/report.err")"
	[ ! -s "$work/report.err" ] || fail "trace-cmd report $1 complains: $(head -3 "$work/report.err")"
}

# Counts in a report on stdin: EVENTS MARKS. An event's line has "[CPU] SECONDS.NANOSECONDS: name:".
count_report() {
	awk '/EVENTS DROPPED/ { marks++; next } / \[[0-9]+\] +[0-9]+\.[0-9]+: / { events++ }
		END { print events + 0, marks + 0 }'
}

# check_counts FILE [LEAST]: the report prints exactly the events (and losses) that the raw pages hold, LEAST or more.
check_counts() {
	local pages printed
	pages=$("$real_dir/pages.py" --total "$1") || fail "the pages of $1 are wrong"
	report "$1" >"$work/report.txt"
	printed=$(count_report <"$work/report.txt")
	[ "$pages" = "$printed" ] || fail "$1: pages hold (events, marks) $pages, report prints $printed"
	[ "${pages% *}" -ge "${2:-1}" ] || fail "$1: only ${pages% *} events, expected ${2:-1} or more"
	rm "$work/report.txt"
	note "$(basename "$(dirname "$1")")/$(basename "$1"): ${pages% *} events, ${pages#* } losses; as the pages"
}

# check_same_report A B [WHAT]: line by line the same, the order included. Both files have the same metadata and pages, so
# names, time stamps, CPUs and EVENTS DROPPED are the same too: nothing is taken out before comparing.
check_same_report() {
	report "$1" >"$work/report.a"
	report "$2" >"$work/report.b"
	if ! cmp -s "$work/report.a" "$work/report.b"; then
		diff "$work/report.a" "$work/report.b" | head -10 >"$work/report-diff.log" || true
		fail "the reports of $1 and $2 differ"
	fi
	note "${3:-both reports}: $(wc -l <"$work/report.a") lines, the same"
	rm "$work/report.a" "$work/report.b"
}

# by_cpu FILE...: the files' reports one after the other, sorted by CPU but else in their order, without what a chunk
# cannot know: each CPU of a source switches chunks at its own time (so only a CPU's events are in order over chunks), and
# report learns the name of a task from the events it has already printed (so a later chunk prints <...> for it).
by_cpu() {
	local file
	for file in "$@"; do
		report "$file"
	done | sed -nE 's/^.*-([0-9]+) +\[([0-9]+)\] +/\2 \1 /p' | sort -s -k1,1
}

# check_same_events FILE CHUNK...: the chunks together print each of the file's events once.
check_same_events() {
	local one=$1
	shift
	by_cpu "$one" >"$work/events.a"
	by_cpu "$@" >"$work/events.b"
	if ! cmp -s "$work/events.a" "$work/events.b"; then
		diff "$work/events.a" "$work/events.b" | head -10 >"$work/events-diff.log" || true
		fail "$# chunks do not print the events of $one"
	fi
	note "$# chunks print the $(wc -l <"$work/events.a") events of the one file"
	rm "$work/events.a" "$work/events.b"
}

# The bytes in its regions.
data_bytes() { "$real_dir/pages.py" "$1" | awk 'NR > 1 { n += $3 } END { print n + 0 }'; }

# check_record FILE [COMPLETE]: the record beside it was there first and its ledger is exact: per stream
# received = stored + discarded; bytes, pages and the traced kernel's lost events are those in the file.
check_record() {
	local json bad stored held
	json=$(record_of "$1")
	[ -s "$json" ] || fail "$1 has no record $json"
	jq -e . "$json" >/dev/null || fail "$json is no JSON"
	ledger_lines "$json" >"$work/ledger.txt" || fail "$json has no ledger"
	[ -s "$work/ledger.txt" ] || fail "$json names no streams"
	bad=$(awk '$2 != $3 + $4' "$work/ledger.txt")
	[ -z "$bad" ] || fail "$json: received is not stored + discarded: $bad"
	stored=$(awk '{ n += $3 } END { print n + 0 }' "$work/ledger.txt")
	held=$(data_bytes "$1")
	[ "$stored" = "$held" ] || fail "$json says $stored bytes are stored, $1 holds $held"
	held=$("$real_dir/pages.py" "$1" | awk 'NR > 1 { n += $4; lost += $8 } END { print n + 0, lost + 0 }')
	[ "$(record_pages "$json")" = "$held" ] || fail "$json says pages and lost events $(record_pages "$json"), not $held"
	[ -z "${2:-}" ] || [ "$(record_complete "$json")" = "$2" ] ||
		fail "$json: complete is $(record_complete "$json"), not $2"
}

# check_same_bytes N FILE... [-- OPTIONS]: the regions of the files are byte for byte what client N of the tee sent.
check_same_bytes() {
	local n=$1 files=()
	shift
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		files+=("$1")
		shift
	done
	[ $# = 0 ] || shift
	"$real_dir/pages.py" --same "$work/sent-$n" "$@" "${files[@]}" || fail "${files[*]}: not what was sent"
}

is_compact() {
	[ "$(stat -c %s "$1")" -le $(($(data_bytes "$1") * 11 / 10 + (12 << 20))) ]
}

# check_compact FILE: soon its apparent size does not surprise who copies it. Where the file system cannot collapse a range
# its record may say that it stays sparse.
check_compact() {
	wait_for 15 "$1 to be compacted" is_compact_or_excused "$1"
}
is_compact_or_excused() {
	is_compact "$1" && return 0
	case $(stat -f -c %T "$1") in
	ext2/ext3 | xfs) return 1 ;;
	*) record_sparse "$(record_of "$1")" ;;
	esac
}

# check_chunk FILE [LEAST]: all that must hold for a complete recording's file alone.
check_chunk() {
	check_record "$1" true
	check_counts "$@"
}

# check_recording LEAST ARGS...: a recording by `trace-cmd record -N HOST:PORT ARGS... workload`, in two ways: straight to
# the relay, and through the tee to the relay and trace-cmd listen. If the test defines prepare(), it is called before
# each. Ends with the second one's file in $chunk.
check_recording() {
	local least=$1
	shift
	prepare
	record straight -N "${host:-127.0.0.1}:$port" "$@" "${workload[@]}" || fail "trace-cmd record $*"
	await_chunk
	check_chunk "$chunk" "$least"
	check_compact "$chunk"
	check_counts "$chunk" "$least"

	[ -n "$listen_pid" ] || start_listen
	start_tee --listen "127.0.0.1:$listen_port" --count 1
	prepare
	record teed -N "127.0.0.1:$tee_port" "$@" "${workload[@]}" || fail "trace-cmd record $*"
	await_tee 1
	await_chunk
	check_chunk "$chunk" "$least"
	check_same_bytes 1 "$chunk"
	check_same_report "$chunk" "$(listen_file 1)" "relay and trace-cmd listen"
	stop_tee
}
prepare() { :; }

setup_namespaces
