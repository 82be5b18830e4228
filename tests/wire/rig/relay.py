# SPDX-License-Identifier: MIT
"""relay.py - both daemons, started for a test, watched, killed and stopped.

    with Relay({"limits.sources": "4"}) as relay:
        relay.address()            # (host, port) of the control port
        relay.status()             # the document of status.sock
        relay.kill()               # SIGKILL of relayd, at any instant
        relay.results()            # what lies in a session's directory

Leaving the block stops them with SIGTERM and holds them to what must always be true: both end by themselves with status
0, no sanitizer has spoken, nobody closed a connection because of a mistake of the relay itself.

Names in our JSON that tests rely on are here and in result.py, nowhere else.
"""

import contextlib
import ctypes
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from .case import Failed, Skipped, environment
from .result import Result

PR_SET_CHILD_SUBREAPER, PR_CAPBSET_DROP = 36, 24
CAP_NET_ADMIN = 12

libc = ctypes.CDLL(None, use_errno=True)


def wait_for(what, true, seconds=15.0):
    """Until true() gives something true, which is returned. The pause only bounds how often it asks."""
    end = time.monotonic() + seconds
    while True:
        found = true()
        if found:
            return found
        if time.monotonic() > end:
            raise Failed(f"waited {seconds:g} s for {what}")
        time.sleep(0.01)


def children(pid):
    """Processes whose parent is pid; some may have just ended."""
    found = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as f:
                found += [int(word) for word in f.read().split()]
    return found


def command_of(pid):
    with contextlib.suppress(OSError), open(f"/proc/{pid}/comm", encoding="utf8") as f:
        return f.read().strip()
    return ""


def state_of(pid, task=""):
    """A letter as in ps; X: there is no such process."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/{task}stat", encoding="utf8") as f:
        return f.read().rpartition(")")[2].split()[0]
    return "X"


def is_running(pid):
    """Neither gone nor a zombie."""
    return state_of(pid) not in "ZX"


@contextlib.contextmanager
def stopped(pid):
    """All its threads stand still within the block."""
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_for(
            f"process {pid} to stop",
            lambda: all(state_of(pid, f"task/{task}/") in "TX" for task in os.listdir(f"/proc/{pid}/task")),
        )
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):  # killed meanwhile
            os.kill(pid, signal.SIGCONT)


class Relay:
    def __init__(self, sets=None, output=None, ports=None, small_queues=False, errors=()):
        """sets: more options. output: output.dir. ports: size of the lease pool. small_queues: without the right to
        exceed net.core.rmem_max. errors: events that may be logged as errors."""
        self.env = environment()
        self.work = tempfile.mkdtemp(prefix="tracerelay-wire.")
        os.chmod(self.work, 0o755)
        self.run = os.path.join(self.work, "run")
        self.out = output or os.path.join(self.work, "out")
        self.small_queues = small_queues
        self.port, self.first_stream_port = self.env.take_port(), self.env.take_ports(ports or 64)
        self.options = {
            "run.dir": self.run,
            "run.user": "",
            "output.dir": self.out,
            "trace-cmd.listen": f"0.0.0.0:{self.port}, [::]:{self.port}",
            "trace-cmd.stream-ports": f"{self.first_stream_port}-{self.first_stream_port + (ports or 64) - 1}",
            "lttng.control": "",
            "lttng.data": "",
            "lttng.live": "",
            "relayd.workers": "2",
            "log.target": "stderr",
        }
        self.options.update(sets or {})
        self.errors = errors
        self.process = None
        self.killed_sessiond = False
        self.starts = 0

    # life ---------------------------------------------------------------------------------------------------------

    def __enter__(self):
        os.makedirs(os.path.join(self.work, "san"), exist_ok=True)
        os.makedirs(self.run, mode=0o700, exist_ok=True)
        os.makedirs(self.out, exist_ok=True)
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        try:
            self.start()
        except BaseException:
            self.end_all()
            self.show_log()
            raise
        return self

    def __exit__(self, kind, value, trace):
        try:
            if kind is None:
                self.stop()
                self.check_clean()
            elif kind is not Skipped:
                self.show_state()
        except BaseException:
            kind = Failed
            raise
        finally:
            self.end_all()
            if kind not in (None, Skipped):
                self.show_log()
            if kind is None or not self.env.keep:
                shutil.rmtree(self.work, ignore_errors=True)
            else:
                print(f"    everything is in {self.work}")

    def start(self):
        env = dict(os.environ)
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"):
            san = os.path.join(self.work, "san", name[:4].lower())
            env[name] = ":".join(filter(None, (env.get(name), f"log_path={san}")))
        env.pop("TRACERELAY_RUN_DIR", None)
        command = [os.path.join(self.env.bin, "sessiond-lite")]
        for key, value in self.options.items():
            command += ["--set", f"{key}={value}"]
        self.starts += 1
        self.log = os.path.join(self.work, f"relay.{self.starts}.log")
        prepare = (lambda: libc.prctl(PR_CAPBSET_DROP, CAP_NET_ADMIN, 0, 0, 0)) if self.small_queues else None
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, env=env, preexec_fn=prepare
            )
        self.killed_sessiond = False
        line = self.process.stdout.readline()
        if not line.startswith(b"ready"):
            raise Failed(f"sessiond-lite said {line!r} instead of ready")

    def stop(self):
        """SIGTERM; both must end by themselves, well."""
        if self.process is None or self.killed_sessiond:
            return
        relayd = self.relayd_pid()
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(20)
        except subprocess.TimeoutExpired as e:
            raise Failed("sessiond-lite does not end after SIGTERM") from e
        self.process.stdout.close()
        self.process = None
        if status != 0:
            raise Failed(f"sessiond-lite ended with status {status}")
        wait_for("relayd to end after SIGTERM", lambda: not relayd or not is_running(relayd))

    def end_all(self):
        """Whatever is left of what was started here: our child, and its children, which became ours."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                for pid in children(self.process.pid):
                    os.kill(pid, signal.SIGKILL)
                self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.process = None
        for pid in children(os.getpid()):
            if command_of(pid) == "relayd":
                with contextlib.suppress(ProcessLookupError, ChildProcessError):
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)

    def check_clean(self):
        for name in os.listdir(os.path.join(self.work, "san")):
            with open(os.path.join(self.work, "san", name), encoding="utf8", errors="replace") as f:
                text = f.read()
            if text:
                raise Failed("a sanitizer reports:\n" + text[:3000])
        for n in range(1, self.starts + 1):
            with open(os.path.join(self.work, f"relay.{n}.log"), encoding="utf8", errors="replace") as f:
                for line in f:
                    event = re.search(r" error ([\w-]+):", line)
                    if event and event.group(1) not in self.errors:
                        raise Failed(f"an error is logged: {line.strip()}")

    def show_state(self):
        status = self.try_status() if self.process else None
        for what in ("sources", "streams", "connections") if status else ():
            for row in status[what][:8]:
                print(f"    {what}: {row}")
        files = self.all_files()
        print(f"    files: {' '.join(files[:20])} {'...' if len(files) > 20 else ''}")

    def show_log(self):
        with contextlib.suppress(OSError), open(self.log, encoding="utf8", errors="replace") as f:
            lines = f.read().splitlines()
            print(f"    the end of {self.log}")
            for line in lines[-12:]:
                print("    | " + line)

    # kills --------------------------------------------------------------------------------------------------------

    def relayd_pid(self):
        for pid in children(self.process.pid):
            if command_of(pid) == "relayd":
                return pid
        return None

    def kill(self):
        """SIGKILL of relayd as soon as there is one; True if it was there."""
        pid = self.relayd_pid()
        if pid is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            return True
        return False

    def kill_and_wait(self):
        """SIGKILL of relayd, and a new one is there."""
        old = wait_for("a relayd", self.relayd_pid)
        os.kill(old, signal.SIGKILL)
        wait_for("the next relayd", lambda: self.relayd_pid() not in (None, old))

    def kill_sessiond(self):
        """SIGKILL of sessiond-lite. Its relayd, if it lives long enough, logs an error that is none of ours."""
        self.killed_sessiond = True
        self.errors = (*self.errors, "link-lost")
        self.process.kill()

    def kill_both(self):
        relayd = self.relayd_pid()
        self.kill_sessiond()
        if relayd:
            with contextlib.suppress(ProcessLookupError):
                os.kill(relayd, signal.SIGKILL)
        self.end_all()

    @contextlib.contextmanager
    def frozen(self):
        """relayd stopped (SIGSTOP) within the block."""
        with stopped(wait_for("a relayd", self.relayd_pid)):
            yield

    # what it says -------------------------------------------------------------------------------------------------

    def address(self, family=socket.AF_INET):
        return ("::1" if family == socket.AF_INET6 else "127.0.0.1", self.port)

    def try_status(self):
        try:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(10)
                sock.connect(os.path.join(self.run, "status.sock"))
                text = b""
                while True:
                    part = sock.recv(1 << 16)
                    if not part:
                        return json.loads(text) if text else None
                    text += part
        except (OSError, ValueError):
            return None  # relayd died meanwhile, or is not there yet

    def status(self):
        return wait_for("a status document", self.try_status)

    def counter(self, name):
        """closed_REASON, or a name of common/counters.h."""
        return counter_in(self.status(), name)

    def await_counter(self, name, least, seconds=15.0):
        wait_for(f"counter {name} to reach {least}", lambda: self.counter(name) >= least, seconds)

    def sources(self):
        """Those that have not ended."""
        return [s for s in self.status()["sources"] if s["state"] != "ended"]

    def await_sources(self, n, seconds=15.0):
        wait_for(f"{n} sources", lambda: len(self.sources()) == n, seconds)

    def await_received(self, size, seconds=15.0):
        """Until the streams of all open sources have so many bytes."""
        wait_for(
            f"{size} bytes of pages to be received",
            lambda: sum(s["received"] for s in self.status()["streams"]) >= size,
            seconds,
        )

    def control(self, *words):
        """relayctl; its answer as JSON."""
        run = subprocess.run(
            [os.path.join(self.env.bin, "relayctl"), "--run-dir", self.run, "--json", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=30,
            check=False,
        )
        if run.returncode:
            raise Failed(f"relayctl {' '.join(words)}: status {run.returncode}, {run.stderr.decode().strip()}")
        return json.loads(run.stdout) if run.stdout.strip() else None

    # what it leaves -----------------------------------------------------------------------------------------------

    def results(self, session="default"):
        """Finished chunks of a session, in the order of their names."""
        found = []
        for at, _, names in os.walk(os.path.join(self.out, session)):
            for name in names:
                if name.endswith(".json") and not name.startswith("."):
                    result = Result(os.path.join(at, name))
                    if result.exists():
                        found.append(result)
        return sorted(found, key=lambda result: (result.source, result.chunk))

    def await_results(self, n, session="default", seconds=15.0):
        return wait_for(
            f"{n} finished chunks in {session}",
            lambda: (lambda found: found if len(found) >= n else None)(self.results(session)),
            seconds,
        )

    def all_files(self):
        """Everything below output.dir, relative."""
        found = []
        for at, _, names in os.walk(self.out):
            found += [os.path.relpath(os.path.join(at, name), self.out) for name in names]
        return sorted(found)


def counter_in(status, name):
    return status["counters"][name]
