# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# lttng_live_lib.sh - what the tests of live viewers start with; it is lttng_lib.sh, and above that: babeltrace2 attached to
# sessions, and what each of them must have printed.
#
# A viewer writes to $work/NAME.txt and $work/NAME.log; it is to end by itself when its sessions do, without a word.
# shellcheck source=tests/real/lttng_lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lttng_lib.sh"
# shellcheck source=tests/real/kills_lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/kills_lib.sh"

declare -A viewer_pid

live_url() { echo "net://127.0.0.1:$live_port/host/$(uname -n)/$1"; }
viewers_of() { "$real_dir/lttng_viewers.py" "$live_port" "$1" 2>/dev/null; }
watched_by() { [ "$(viewers_of "$1")" = "$2" ]; }

# viewer_start NAME SESSION [N]: it is attached when this returns, as the Nth of the session (1).
# A session is known to the relay when its first event is enabled.
viewer_start() {
	babeltrace2 -i lttng-live "$(live_url "$2")" >"$work/$1.txt" 2>"$work/$1.log" &
	viewer_pid[$1]=$!
	wait_for 15 "viewer $1 of session $2" watched_by "$2" "${3:-1}"
}

# viewer_sees NAME REGEX: it prints such a line, soon.
viewer_sees() { wait_for "${3:-20}" "viewer $1 to print $2" grep -qE "$2" "$work/$1.txt"; }
# viewer_at NAME ID N: it prints event N of ID, soon.
viewer_at() { viewer_sees "$1" "\"id=$2 n=$3\"" 30; }

# viewer_end NAME: it ends by itself. VIEWER_MAY_SAY is a regex of lines that it may say.
viewer_end() {
	local pid=${viewer_pid[$1]}
	wait_for 20 "viewer $1 to end" gone "$pid"
	wait "$pid" || fail "viewer $1 ends with $?: $(tail -n 5 "$work/$1.log")"
	viewer_silent "$1"
	unset "viewer_pid[$1]"
}
viewer_silent() {
	local said
	said=$(grep -vE "${VIEWER_MAY_SAY:-^$}" "$work/$1.log" | head -n 3) || true
	[ -z "$said" ] || fail "viewer $1 says: $said"
}

# viewer_printed NAME ID=N...: exactly these, see count_events.
viewer_printed() {
	local name=$1 said
	shift
	said=$(count_events "$@" <"$work/$name.txt") || fail "viewer $name: $said"
	note "viewer $name: $said events"
}

# viewer_printed_from NAME ID FROM N: some events of ID before FROM, in order, then FROM..N-1 without a gap, each once.
viewer_printed_from() {
	local said
	said=$(awk -v id="$2" -v from="$3" -v end="$4" '
		function bad(what) { if (!wrong) wrong = "line " NR ": " what }
		match($0, /msg = "id=[^ ]+ n=[0-9]+"/) {
			split(substr($0, RSTART + 10, RLENGTH - 11), at, " n=")
			n = at[2] + 0
			if (at[1] != id) bad("an event of " at[1])
			else if (NR > 1 && n <= last) bad("event " n " behind " last)
			else if (n >= from && n != (last + 1 > from ? last + 1 : from)) bad("event " n " behind " last)
			last = n
			earlier += n < from
			next
		}
		{ bad("no event: " $0) }
		END {
			if (!wrong && last + 1 != end) wrong = "ends with event " last ", not " end - 1
			if (wrong) { print wrong; exit 1 }
			print NR - earlier " events from " from " on, " earlier " earlier ones"
		}' "$work/$1.txt") || fail "viewer $1: $said"
	note "viewer $1: $said"
}
