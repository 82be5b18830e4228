#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""oracle.py - the scripted clients are good enough for the real `trace-cmd listen`, and their events for its report.

Runs none of our programs. The real server speaks V3 and V1 only, reads one page of each datagram, and writes the tail
of v7 in its own byte order, so that is what it is asked for.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile

from rig.case import Failed, case, environment, main
from rig.dialect import V1, V3, Refused, write_calls
from rig.metadata import Head, known_compressions
from rig.relay import wait_for
from rig.result import check_report, read_regions
from rig.subbuffer import BLOCK, Kernel


@contextlib.contextmanager
def listen():
    port = environment().take_port()
    work = tempfile.mkdtemp(prefix="tracerelay-wire.")
    log = open(os.path.join(work, "log"), "wb")
    server = subprocess.Popen(
        ["trace-cmd", "listen", "-p", str(port), "-d", work], stdout=log, stderr=subprocess.STDOUT
    )
    try:
        wait_for("trace-cmd listen", lambda: listens(port))
        yield ("127.0.0.1", port), work
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        log.close()
        shutil.rmtree(work)


def listens(port):
    with open("/proc/net/tcp6", encoding="ascii") as six, open("/proc/net/tcp", encoding="ascii") as four:
        return any(f":{port:04X} " in line and " 0A " in line for line in [*six, *four])


def finished(work, n):
    found = [os.path.join(work, name) for name in os.listdir(work) if name.startswith("trace.") and name.endswith("dat")]
    return found if len(found) == n else None


def is_complete(path, kernel):
    try:
        held, _ = read_regions(path)
    except Failed:
        return False
    return all(held.get(cpu.number, b"") == cpu.sent for cpu in kernel.cpus)


def unread(port):
    """Bytes that a server on this port has not read yet."""
    total = 0
    for name in ("tcp", "tcp6"):
        with open(f"/proc/net/{name}", encoding="ascii") as f:
            for line in f.readlines()[1:]:
                _, local, _, state, queues, *_ = line.split()
                if state == "01" and local.endswith(f":{port:04X}"):
                    total += int(queues.split(":")[1], 16)
    return total


def record(client, head, kernel, work):
    # trace-cmd listen stops reading metadata when a stream ends meanwhile
    client.hook = lambda step: step == "stream end" and wait_for(
        "the metadata to be read", lambda: not unread(client.address[1])
    )
    client.record(head.bytes(), kernel)
    path = wait_for("a file of trace-cmd listen", lambda: finished(work, 1))[0]
    wait_for("trace-cmd listen to complete its file", lambda: is_complete(path, kernel))
    check_report(path, kernel.lines())


def some_pages(kernel):
    for _ in range(3):
        for cpu in kernel.cpus:
            cpu.page()
    kernel.cpus[0].page(events=5, lost=17)
    kernel.cpus[0].page(lost=True)
    kernel.cpus[0].page(events=2, gap=1 << 28)
    kernel.cpus[1].page(events=0)
    kernel.cpus[1].page(ident=BLOCK)
    return kernel


@case
def v3_v7():
    for compression in known_compressions():
        kernel = some_pages(Kernel())
        with listen() as (address, work):
            record(V3(address), Head(kernel, 7, compression=compression), kernel, work)


@case
def v3_v6():
    kernel = some_pages(Kernel())
    with listen() as (address, work):
        client = V3(address)
        client.pieces = lambda metadata, size: write_calls(metadata)
        record(client, Head(kernel, 6), kernel, work)


@case
def v3_udp():
    kernel = some_pages(Kernel())
    with listen() as (address, work):
        record(V3(address, tcp=False), Head(kernel, 7), kernel, work)


@case
def v1_tcp_and_udp():
    for tcp in (True, False):
        kernel = some_pages(Kernel())
        with listen() as (address, work):
            record(V1(address, tcp=tcp), Head(kernel, 6, with_options=False), kernel, work)


@case
def wrong_magic_is_refused():
    """The clients notice what a server refuses."""
    with listen() as (address, work):
        client = V3(address)
        client.hello()
        client.write(V3.message(V3.TINIT, b"\0" * 12))
        try:
            client.read_rinit()
        except Refused:
            return
        raise Failed("no CPUs, and nobody minds")


@case
def spoiled_reports_are_noticed():
    """A changed, a missing and a repeated event each fail the comparison."""
    kernel = some_pages(Kernel())
    with listen() as (address, work):
        client = V3(address)
        record(client, Head(kernel, 7), kernel, work)
        path = finished(work, 1)[0]
        lines = kernel.lines()
        for spoiled in (lines[1:], lines + lines[-1:], lines[:5] + lines[6:7] + lines[6:]):
            try:
                check_report(path, spoiled)
            except Failed:
                continue
            raise Failed("a spoiled report passes for the right one")


main(ours=False)
