# SPDX-License-Identifier: MIT
"""processes.py - start, watch and end the processes of a bench; what they use, from /proc."""

import os
import random
import signal
import socket
import time

MIB = 1 << 20


class Failed(Exception):
    """A step did not work; the sentence says which."""


def find_program(name, folders):
    for folder in folders:
        path = os.path.join(folder, name) if folder else None
        if path and os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    return None


def process_seconds(pid):
    """Processor time of a process, all threads, in seconds: its CPU clock (ns, not ticks)."""
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError as e:
        raise Failed(f"process {pid} is gone") from e


def children_of(pid):
    found = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children") as f:
                found += [int(word) for word in f.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


def tree_of(pid):
    """A process and all that descend from it."""
    found = [pid]
    for known in found:
        found += children_of(known)
    return found


def pss_of(pid):
    with open(f"/proc/{pid}/smaps_rollup") as f:
        for line in f:
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    raise Failed(f"no Pss of process {pid}")


def threads_of(pid):
    return len(os.listdir(f"/proc/{pid}/task"))


def wait_until(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(f"{what}: not within {seconds} s")
        time.sleep(0.01)


def free_port():
    """A port below the kernel's own choice that nobody has."""
    for _ in range(200):
        port = random.randrange(10000, 20000)
        with socket.socket() as s:
            try:
                s.bind(("0.0.0.0", port))
                return port
            except OSError:
                continue
    raise Failed("no free port from 10000 to 20000")


def is_listening(port):
    want = f":{port:04X}"
    for table in "/proc/net/tcp", "/proc/net/tcp6":
        with open(table) as f:
            for line in f:
                words = line.split()
                if words[1].endswith(want) and words[3] == "0A":
                    return True
    return False


def stop_process(process, seconds=15):
    """End a process we started; its resource use, its reaped children's included."""
    process.send_signal(signal.SIGTERM)  # looks first whether it has ended already
    if process.returncode is not None:
        return None
    deadline = time.monotonic() + seconds
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return usage
        if time.monotonic() > deadline:
            process.kill()
            deadline += 5
        time.sleep(0.01)
