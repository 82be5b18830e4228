# SPDX-License-Identifier: MIT
"""case.py - what a test file of tests/wire is made of.

    @case
    def something_holds():
        ...                      # raise Failed, or any exception, if it does not

    main()                       # last line: runs all cases, or those named on the command line

Exit status 0 passed, 77 skipped, 1 failed. Before the first case the process moves into a network namespace of its own
where it can (as root, or where users may have namespaces), so that ports cannot collide with anything; else it uses
ports that were free a moment ago.

Environment:
  TRACERELAY_BIN        where sessiond-lite, relayd and relayctl are; default: build/bin in the source tree
  TRACERELAY_WIRE_KEEP  1: keep the work directory of a failed case
"""

import ctypes
import fcntl
import os
import resource
import shutil
import signal
import socket
import struct
import sys
import time
import traceback

CASE_SECONDS = 45  # no case may take longer; most take one
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
FIRST_PORT = 12000

cases = []


class Failed(Exception):
    """What must be true is not."""


class Skipped(Exception):
    """Cannot be tried here."""


class Environment:
    def __init__(self):
        top = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
        self.bin = os.path.realpath(os.environ.get("TRACERELAY_BIN") or os.path.join(top, "build", "bin"))
        self.keep = os.environ.get("TRACERELAY_WIRE_KEEP") == "1"
        self.own_network = False
        self.next_port = FIRST_PORT

    def take_port(self):
        return self.take_ports(1)

    def take_ports(self, n):
        """So many ports in a row that nobody has; the first one."""
        if not self.own_network and self.next_port == FIRST_PORT:
            self.next_port += os.getpid() % 100 * 100
        wrapped = False
        while True:
            first = self.next_port
            self.next_port += n
            if self.next_port > 32000 and not self.own_network:
                if wrapped:
                    raise Failed("no ports left to test with")
                wrapped, self.next_port = True, FIRST_PORT + 1
            elif self.own_network or all(is_free(port) for port in range(first, first + n)):
                return first


_environment = Environment()


def environment():
    return _environment


def is_free(port):
    for family in (socket.AF_INET, socket.AF_INET6):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(family, kind) as sock:
                try:
                    sock.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", port))
                except OSError:
                    return False
    return True


def case(function):
    cases.append(function)
    return function


def known(why):
    """A case that is known to fail: it says what is to be done, runs, and fails nothing."""

    def mark(function):
        function.known = why
        return function

    return mark


def need(condition, why):
    if not condition:
        raise Skipped(why)


def need_root():
    need(os.geteuid() == 0 and not in_user_namespace(), "not root")


def in_user_namespace():
    with open("/proc/self/uid_map", encoding="ascii") as f:
        return f.read().split() != ["0", "0", "4294967295"]


def enter_network():
    """A network namespace of our own, with loopback; False where that is not allowed."""
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.getuid(), os.getgid()
    if libc.unshare(CLONE_NEWNET) != 0:
        if libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0:
            return False
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as f:
                f.write(text)
    with socket.socket() as sock:
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
    return True


def has_ipv6():
    with socket.socket(socket.AF_INET6) as sock:
        try:
            sock.bind(("::1", 0))
        except OSError:
            return False
    return True


def on_alarm(_signal, _frame):
    raise Failed(f"takes more than {CASE_SECONDS} s")


def run(function):
    """What became of it, in a word."""
    name = function.__name__
    start = time.monotonic()
    word, why = "ok", ""
    signal.alarm(CASE_SECONDS)
    try:
        function()
    except Skipped as e:
        word, why = "skipped", str(e)
    except Failed as e:
        where = traceback.extract_tb(e.__traceback__)
        at = next((f"{os.path.basename(f.filename)}:{f.lineno}" for f in where if f.filename == sys.argv[0]), "")
        word, why = "FAILED", f"{at} {e}"
    except Exception:  # whatever it is, the other cases are to run
        word, why = "FAILED", "\n" + traceback.format_exc(limit=-4, chain=False)
    finally:
        signal.alarm(0)
    if word == "FAILED" and hasattr(function, "known"):
        word, why = "known", f"{function.known}: {why}"
    elif word == "ok" and hasattr(function, "known"):
        why = f"passes now, so it is no longer to be marked: {function.known}"
    print(f"{word:8}{name} {time.monotonic() - start:.1f} s{': ' if why else ''}{why}", flush=True)
    return word


def main(ours=True, tool="trace-cmd"):
    """ours: the cases run our programs. tool: what they are skipped without."""
    if "-l" in sys.argv[1:]:
        for function in cases:
            print(f"{function.__name__:40}{(function.__doc__ or '').strip().splitlines()[0] if function.__doc__ else ''}")
        sys.exit(0)
    if not shutil.which(tool):
        print(f"skipped: no {tool}")
        sys.exit(77)
    chosen = [f for f in cases if not sys.argv[1:] or f.__name__ in sys.argv[1:]]
    if not chosen:
        sys.exit(f"no case {' '.join(sys.argv[1:])}")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard != resource.RLIM_INFINITY else max(soft, 20000), hard))
    signal.signal(signal.SIGALRM, on_alarm)
    _environment.own_network = enter_network()
    for program in ("sessiond-lite", "relayd", "relayctl") if ours else ():
        if not os.access(os.path.join(_environment.bin, program), os.X_OK):
            sys.exit(f"no {_environment.bin}/{program} (./dev build makes it)")
    words = [run(function) for function in chosen]
    failed, skipped = words.count("FAILED"), words.count("skipped") + words.count("known")
    print(f"{len(words) - failed - skipped} passed, {failed} failed, {skipped} skipped")
    if skipped == len(words):
        sys.exit(77)
    sys.exit(1 if failed else 0)
