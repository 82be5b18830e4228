# SPDX-License-Identifier: MIT
"""servers.py - what is measured (our daemons, trace-cmd listen) and what measures it (load)."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time

from processes import (Failed, MIB, children_of, free_port, is_listening, process_seconds,
                       stop_process, tree_of, wait_until)


def set_aside(directory, trash):
    """Put aside what stands in a directory, and say how many bytes of channels that was.

    The second answer empties the files, and leaves them there.

    Files are not deleted while somebody is still to be measured: ext4 does not hand out an inode
    again soon, and so looks at each of thousands that were deleted in the last minutes, again and
    again, whenever somebody creates a file.
    """
    aside = tempfile.mkdtemp(dir=trash)
    data = 0
    for entry in os.listdir(directory) if os.path.isdir(directory) else ():
        path = os.path.join(directory, entry)
        if not entry.startswith(".") and os.path.isdir(path):
            os.rename(path, os.path.join(aside, entry))
    for folder, _, names in os.walk(aside):
        data += sum(os.stat(os.path.join(folder, name)).st_size for name in names
                    if name.startswith("ch_") and not name.endswith(".idx"))

    def empty():
        for folder, _, names in os.walk(aside):
            for name in names:
                os.truncate(os.path.join(folder, name), 0)
    return data, empty


class Tools:
    """The load generator and the bare loop."""

    def __init__(self, load, bare_loop, lttng_load, lttng_storm):
        self.load_path = load
        self.lttng_load_path = lttng_load
        self.lttng_storm_path = lttng_storm
        self.bare_loop_path = bare_loop

    def load_command(self, mode, options, paths=()):
        words = [self.load_path, mode, "--json"]
        for key, value in options.items():
            if value is True:
                words.append("--" + key.replace("_", "-"))
            elif value is not None and value is not False:
                words.append(f"--{key.replace('_', '-')}={value}")
        return words + list(paths)

    def load(self, mode, paths=(), **options):
        options.setdefault("timeout", 60)
        try:
            done = subprocess.run(self.load_command(mode, options, paths), capture_output=True,
                                  text=True, timeout=options["timeout"] + 30)
        except subprocess.TimeoutExpired as e:
            raise Failed(f"load {mode}: hangs") from e
        if done.returncode != 0:
            raise Failed(f"load {mode}: {done.stderr.strip() or done.stdout.strip()}")
        return json.loads(done.stdout)

    def lttng_load(self, server, sessions, seconds, limit, before, **options):
        """LTTng clients; what was sent and acknowledged, and what it cost the server.

        before() is called when all are connected, just before the first packet is sent.
        options: backlog, give_up, prime.
        """
        words = [self.lttng_load_path, f"--control={server.lttng_control}",
                 f"--data={server.lttng_data}", f"--sessions={sessions}", f"--seconds={seconds}",
                 f"--bytes={limit}", "--server-cpu=" + ",".join(map(str, server.pids())), "--wait"]
        for key, value in options.items():
            word = "--" + key.replace("_", "-")
            words.append(word if value is True else f"{word}={value}")
        what = f"lttng_load, {sessions} sessions, {server.name}"
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) as load:
            try:
                if load.stdout.readline() == "open\n":
                    before()
                out, err = load.communicate("\n", timeout=seconds + 180)
            except subprocess.TimeoutExpired as e:
                raise Failed(f"{what}: hangs") from e
            finally:
                load.kill()
        if load.returncode != 0:
            raise Failed(f"{what}: {err.strip()}")
        return json.loads(out)

    @contextlib.contextmanager
    def lttng_storm(self, server, ask, clients):
        """Clients that only ask, while the block runs; the answer gets their result behind it."""
        result = {}
        words = [self.lttng_storm_path, f"--control={server.lttng_control}", f"--ask={ask}",
                 f"--clients={clients}"]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) as storm:
            try:
                if storm.stdout.readline() != "storm\n":
                    raise Failed(f"lttng_storm {ask}, {server.name}: {storm.stderr.read().strip()}")
                yield result
                out, err = storm.communicate("", timeout=90)
                if storm.returncode != 0:
                    raise Failed(f"lttng_storm {ask}, {server.name}: {err.strip()}")
                result.update(json.loads(out))
            finally:
                storm.kill()

    def verify(self, directory, **options):
        keep = ("clients", "cpus", "bytes", "page_size", "seed", "raw")
        return self.load("verify", [directory], **{k: v for k, v in options.items() if k in keep})


class Relay:
    """sessiond-lite and its relayd, kept for the whole bench as they would be on a real host."""

    name = "relay"

    def __init__(self, folder, work):
        self.folder = folder
        self.output = os.path.join(work, "relay-output")
        self.run_dir = os.path.join(work, "relay-run")
        self.log = open(os.path.join(work, "relay.log"), "w")
        os.mkdir(self.output)
        os.mkdir(self.run_dir)
        self.port = free_port()
        self.lttng_control, self.lttng_data = free_port(), free_port()
        low = random.randrange(20000, 28000)
        settings = {
            "run.dir": self.run_dir,
            "output.dir": self.output,
            "trace-cmd.listen": f"127.0.0.1:{self.port}",
            "trace-cmd.stream-ports": f"{low}-{low + 4095}",
            "lttng.control": f"127.0.0.1:{self.lttng_control}",
            "lttng.data": f"127.0.0.1:{self.lttng_data}",
            "lttng.live": "",
        }
        words = [os.path.join(folder, "sessiond-lite")]
        for key, value in settings.items():
            words += ["--set", f"{key}={value}"]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=self.log, text=True)
        os.set_blocking(self.process.stdout.fileno(), False)
        wait_until(self._is_ready, 15, "sessiond-lite is not ready")
        wait_until(lambda: len(self.pids()) > 1, 15, "sessiond-lite has no relayd")
        self.first_pids = self.pids()

    def _is_ready(self):
        if self.process.poll() is not None:
            raise Failed("sessiond-lite ended: " + "".join(self.last_words()))
        return any(l.startswith("ready") for l in self.process.stdout.readlines() or ())

    def pids(self):
        return tree_of(self.process.pid)

    def check_alive(self):
        if self.process.poll() is not None:
            raise Failed(f"sessiond-lite has ended with {self.process.returncode}")
        if self.pids() != self.first_pids:
            raise Failed("relayd was restarted meanwhile")

    def last_words(self):
        self.log.flush()
        with open(self.log.name, errors="replace") as f:
            return f.readlines()[-40:]

    def seconds(self):
        return sum(process_seconds(pid) for pid in self.pids())

    def settle(self):
        """Until the daemons rest (compaction is over)."""
        still, last = 0, self.seconds()
        deadline = time.monotonic() + 20
        while still < 3 and time.monotonic() < deadline:
            time.sleep(0.05)
            now = self.seconds()
            still = still + 1 if now - last < 0.001 else 0
            last = now
        return last

    def wait_compact(self, data, seconds=10):
        """Seconds until what was stored takes little more than its data: 1.1 times and 4 MiB."""
        begun = time.monotonic()
        while time.monotonic() - begun < seconds:
            sizes = [os.stat(path).st_size for path in self.files()]
            if sum(sizes) <= 1.1 * data + 4 * MIB * len(sizes):
                break
            time.sleep(0.005)
        return time.monotonic() - begun

    def files(self):
        found = []
        for folder, below, names in os.walk(os.path.join(self.output, "default")):
            below[:] = [name for name in below if not name.startswith(".")]
            found += [os.path.join(folder, name) for name in names if name.endswith(".dat")]
        return found

    def status(self):
        done = subprocess.run([os.path.join(self.folder, "relayctl"), "--run-dir", self.run_dir,
                               "--json", "status"], capture_output=True, text=True, timeout=30)
        if done.returncode != 0:
            raise Failed(f"relayctl status: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def clean(self):
        """Remove what sessions have stored; the daemons' own files stay."""
        sessions = os.path.join(self.output, "default")
        for entry in os.listdir(sessions) if os.path.isdir(sessions) else ():
            path = os.path.join(sessions, entry)
            if os.path.isdir(path):
                shutil.rmtree(path, ignore_errors=True)

    def set_aside(self, trash):
        self.settle()
        return set_aside(os.path.join(self.output, "default"), trash)

    def stop(self):
        stop_process(self.process)
        self.process.stdout.close()
        self.log.close()


class Listen:
    """One `trace-cmd listen`, started for each run so that its children can be added up."""

    name = "listen"

    def __init__(self, work):
        self.output = tempfile.mkdtemp(prefix="listen-", dir=work)
        self.port = free_port()
        self.log = open(os.path.join(work, "listen.log"), "w")
        self.process = subprocess.Popen(["trace-cmd", "listen", "-p", str(self.port),
                                         "-d", self.output], stdout=self.log, stderr=self.log,
                                        start_new_session=True)
        wait_until(lambda: is_listening(self.port), 10, "trace-cmd listen does not listen")

    def finish(self):
        """Wait until it has nothing more to do; seconds of processor time, its children's included."""
        wait_until(lambda: not children_of(self.process.pid), 60, "trace-cmd listen is busy")
        usage = stop_process(self.process)
        return usage.ru_utime + usage.ru_stime

    def stop(self):
        """End what is left of it: readers of streams that never came outlive it."""
        stop_process(self.process)
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.log.close()

    def clean(self):
        shutil.rmtree(self.output, ignore_errors=True)


class LttngRelayd:
    """The real lttng-relayd, kept for the whole figure."""

    name = "lttng-relayd"

    def __init__(self, work):
        self.output = tempfile.mkdtemp(prefix="lttng-relayd-", dir=work)
        self.lttng_control, self.lttng_data = free_port(), free_port()
        self.log = open(os.path.join(work, "lttng-relayd.log"), "w")
        words = ["lttng-relayd", "-C", f"tcp://127.0.0.1:{self.lttng_control}",
                 "-D", f"tcp://127.0.0.1:{self.lttng_data}",
                 "-L", f"tcp://127.0.0.1:{free_port()}", "-o", self.output]
        self.process = subprocess.Popen(words, stdout=self.log, stderr=self.log,
                                        env=dict(os.environ, LTTNG_HOME=self.output))
        for port in self.lttng_control, self.lttng_data:
            wait_until(lambda port=port: is_listening(port), 10, "lttng-relayd does not listen")

    def pids(self):
        return [self.process.pid]

    def set_aside(self, trash):
        return set_aside(self.output, trash)

    def stop(self):
        stop_process(self.process)
        self.log.close()
