# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# lttng_lib.sh - what every test of LTTng starts with: `. "$(dirname "$0")/lttng_lib.sh"`. It is lib.sh, and above that: the
# relay with LTTng's ports, session and consumer daemons of the test's own, a traced program, and babeltrace2 to count.
#
# The real daemons live in the test's namespaces: /run and /dev/shm are its own, LTTNG_HOME is in $work.
#
# Environment, besides lib.sh's:
#   TRACERELAY_LTTNG_PEER=stock  the real lttng-relayd in the relay's place: proves the test, not our programs
# shellcheck source=tests/real/lib.sh

# shellcheck disable=SC2034 # used by lib.sh
real_needs=lttng real_tools="lttng lttng-sessiond babeltrace2"
lttng_peer=${TRACERELAY_LTTNG_PEER:-ours}
if [ "$lttng_peer" = stock ] && ! command -v lttng-relayd >/dev/null; then
	echo "skipped: no lttng-relayd"
	exit 77
fi
if ! echo '#include <lttng/tracef.h>' | ${CC:-cc} -E - >/dev/null 2>&1; then
	echo "skipped: no compiler with lttng/tracef.h (liblttng-ust-dev)"
	exit 77
fi
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

control_port=5342 data_port=5343 live_port=5344
lttng_url=net://127.0.0.1:$control_port:$data_port
lttng_sessiond_pid='' stock_pids=''
tree=$out_dir/default # what lttng-relayd calls its output directory
[ "$lttng_peer" = ours ] || tree=$out_dir

# --- The relay -------------------------------------------------------------------------------------------------------

is_stock() { [ "$lttng_peer" = stock ]; }

# start_lttng_relay [--set K=V]...: what sessions are sent to, on both loopback addresses.
start_lttng_relay() {
	if is_stock; then
		start_stock "$out_dir" $control_port $data_port $live_port
		return
	fi
	need_relay
	launch_relay sessiond-lite --set "run.dir=$run_dir" --set "output.dir=$out_dir" --set run.user=root \
		--set "trace-cmd.listen=127.0.0.1:$port" --set trace-cmd.stream-ports=30000-30255 \
		--set "lttng.control=127.0.0.1:$control_port,[::1]:$control_port" \
		--set "lttng.data=127.0.0.1:$data_port,[::1]:$data_port" \
		--set "lttng.live=127.0.0.1:$live_port,[::1]:$live_port" "$@"
}

# start_stock DIR CONTROL DATA LIVE: the real lttng-relayd. $stock_host is where it listens.
start_stock() {
	local dir=$1 scheme=tcp
	mkdir -p "$dir"
	case ${stock_host:=127.0.0.1} in
	\[*) scheme=tcp6 ;;
	esac
	lttng-relayd -C "$scheme://$stock_host:$2" -D "$scheme://$stock_host:$3" -L "$scheme://$stock_host:$4" -o "$dir" \
		>"$work/stock-$2.log" 2>&1 &
	stock_pids="$stock_pids $!"
	wait_for 10 "lttng-relayd on port $2" listens "$2"
	wait_for 10 "lttng-relayd on port $4" listens "$4"
}

stop_stock() {
	local pid
	for pid in $stock_pids; do
		kill -TERM "$pid" 2>/dev/null || true
		wait_for 15 "the end of lttng-relayd" gone "$pid"
	done
	stock_pids=''
}

# figure SESSION KEY: what status.sock says of its source.
figure() {
	status_json | jq -r --arg s "$1" --arg k "$2" '.sources[] | select(.client_session == $s) | .[$k]'
}
# await_retired SESSION N: so many of its streams have given their slots back.
await_retired() { wait_for 40 "$2 streams of $1 to retire" has_retired "$1" "$2"; }
has_retired() { [ "$(figure "$1" streams_retired)" -ge "$2" ]; }

# --- LTTng's daemons -------------------------------------------------------------------------------------------------

setup_lttng_namespaces() {
	ip link set lo up
	mount -t tmpfs none "$(realpath /var/run)"
	mount -t tmpfs none /dev/shm
	export LTTNG_HOME=$work/home HOME=$work/home
	unset LTTNG_RUNDIR LTTNG_SESSION_CONFIG_XSD_PATH
	export LTTNG_UST_REGISTER_TIMEOUT=-1 LTTNG_UST_ALLOW_BLOCKING=1
	mkdir -p "$LTTNG_HOME"
}

sessiond_answers() { timeout 10 lttng --no-sessiond list >/dev/null 2>&1; }

start_lttng() {
	lttng-sessiond --no-kernel >"$work/lttng-sessiond.log" 2>&1 &
	lttng_sessiond_pid=$!
	wait_for 15 "lttng-sessiond" sessiond_answers
	${CC:-cc} -O1 -o "$work/lttng_app" "$real_dir/lttng_app.c" -llttng-ust -ldl ||
		fail "tests/real/lttng_app.c does not build"
}

# lt COMMAND...: the lttng command; it must succeed, and soon, and be silent about errors and warnings.
lt() {
	local status=0
	timeout -k 5 "${lt_seconds:-25}" lttng --no-sessiond "$@" >"$work/lt.out" 2>&1 || status=$?
	{ echo "\$ lttng $*" && cat "$work/lt.out"; } >>"$work/lttng.log"
	[ $status = 0 ] || fail "lttng $* ends with $status: $(tail -n 3 "$work/lt.out")"
	! grep -qE '^(Error|Warning|PERROR)' "$work/lt.out" || fail "lttng $* says: $(grep -m1 -E '^(Err|Warn|PERR)' "$work/lt.out")"
}

# lt_create NAME [OPTIONS]: a session towards the relay, not started, with no channel.
lt_create() {
	local name=$1
	shift
	case " $* " in
	*-url=*) ;;
	*) set -- --set-url="$lttng_url" "$@" ;;
	esac
	lt create "$name" "$@"
}

# lt_channel SESSION [OPTIONS]: a channel that blocks the program rather than lose an event, and the program's events.
lt_channel() {
	local session=$1
	shift
	[[ " $* " == *" --overwrite "* ]] || set -- --blocking-timeout=inf "$@"
	[[ " $* " == *" --subbuf-size"* ]] || set -- --subbuf-size=16k "$@"
	lt enable-channel -u -s "$session" --num-subbuf=4 "$@" ch
	lt enable-event -u -s "$session" -c ch lttng_ust_tracef:event
}

stop_lttng() {
	[ -n "$lttng_sessiond_pid" ] || return 0
	kill -TERM "$lttng_sessiond_pid" 2>/dev/null || true
	wait_for 20 "the end of lttng-sessiond" gone "$lttng_sessiond_pid"
	lttng_sessiond_pid=''
}

lttng_pass() {
	local name
	for name in "${!app_pid[@]}"; do
		app_end "$name"
	done
	stop_lttng
	stop_stock
	pass "$@"
}

# --- The traced program ----------------------------------------------------------------------------------------------

declare -A app_pid app_to app_from app_sent

# app_start NAME: registered with the session daemon when this returns.
app_start() {
	local name=$1 to from
	mkfifo "$work/app-$name.in" "$work/app-$name.out"
	"$work/lttng_app" "$name" <"$work/app-$name.in" >"$work/app-$name.out" 2>"$work/app-$name.log" &
	app_pid[$name]=$!
	exec {to}>"$work/app-$name.in" {from}<"$work/app-$name.out"
	app_to[$name]=$to app_from[$name]=$from app_sent[$name]=0
	app_answer "$name" >/dev/null
	rm "$work/app-$name.in" "$work/app-$name.out"
}

app_answer() {
	local line
	read -r -t 40 -u "${app_from[$1]}" line || fail "the program $1 does not answer"
	echo "$line"
}

# app_begin NAME COMMAND...; then app_await NAME: see lttng_app.c. ${app_sent[NAME]} counts its events.
app_begin() {
	local name=$1
	shift
	echo "$*" >&"${app_to[$name]}"
}
app_await() { app_sent[$1]=$(app_answer "$1"); }
app_emit() {
	app_begin "$1" emit "$2" "${3:-0}"
	app_await "$1"
}

# app_end NAME: its buffers are flushed by its end.
app_end() {
	local to=${app_to[$1]} from=${app_from[$1]}
	app_begin "$1" quit
	exec {to}>&- {from}<&-
	wait_for 10 "the end of the program $1" gone "${app_pid[$1]}"
	unset "app_pid[$1]"
}

# --- Results ---------------------------------------------------------------------------------------------------------

# session_dir NAME: where its newest recording lies.
find_session_dir() {
	session_found=$(find "$tree" -mindepth 2 -maxdepth 2 -type d -path "*/$1-[0-9]*" 2>/dev/null | sort | tail -n 1)
	[ -n "$session_found" ]
}
session_dir() {
	wait_for 10 "the directory of session $1" find_session_dir "$1"
	echo "$session_found"
}

# print_events DIR...: babeltrace2's lines. It complains on stderr and may still exit 0: any word there is a failure.
print_events() {
	babeltrace2 "$@" 2>"$work/babeltrace.err" || fail "babeltrace2 $*: $(tail -n 5 "$work/babeltrace.err")"
	[ ! -s "$work/babeltrace.err" ] || fail "babeltrace2 $* complains: $(head -n 3 "$work/babeltrace.err")"
}

# count_events ID[=N]...: of babeltrace2's lines on stdin: each program's counters are FIRST..N-1 in order, each once
# (FIRST: 0, or ID=FIRST-N), and nothing else is there. Says how many in all, or what is wrong.
count_events() {
	awk -v wanted="$*" '
		BEGIN {
			for (i = split(wanted, want, " "); i; i--) {
				split(want[i], pair, "=")
				first = 0
				if (split(pair[2], range, "-") == 2) { first = range[1]; pair[2] = range[2] }
				next_of[pair[1]] = first
				end_of[pair[1]] = pair[2]
			}
		}
		function bad(what) { if (!wrong) wrong = "line " NR ": " what }
		match($0, /msg = "id=[^ ]+ n=[0-9]+"/) {
			split(substr($0, RSTART + 10, RLENGTH - 11), at, " n=")
			if (!(at[1] in next_of)) bad("an event of " at[1])
			else if (at[2] != next_of[at[1]]) bad("event " at[2] " of " at[1] ", not " next_of[at[1]])
			next_of[at[1]] = at[2] + 1
			total++
			next
		}
		{ bad("no event: " $0) }
		END {
			for (id in end_of)
				if (!wrong && next_of[id] != end_of[id]) wrong = "events of " id " end with " next_of[id] - 1 ", not " end_of[id] - 1
			if (wrong) { print wrong; exit 1 }
			print total + 0
		}'
}

# check_events DIR ID=N...
check_events() {
	local dir=$1 said
	shift
	print_events "$dir" >"$work/events.txt"
	said=$(count_events "$@" <"$work/events.txt") || fail "$dir: $said"
	note "${dir#"$tree/"}: $said events"
}

# check_files DIR [OPTIONS of lttng_files.py]: index and data files agree.
check_files() {
	"$real_dir/lttng_files.py" check "$@" >"$work/files.txt" || fail "$1: $(cat "$work/files.txt")"
	note "${1#"$tree/"}: $(cat "$work/files.txt")"
}

# check_recorded SESSION ID=N...: a whole recording with one index file a stream file.
check_recorded() {
	local session=$1 at
	shift
	at=$(session_dir "$session")
	check_events "$at" "$@"
	check_files "$at"
}

setup_lttng_namespaces
