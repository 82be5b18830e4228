#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""dialects.py - every client of every age, over TCP and UDP, IPv4 and IPv6, gets a readable trace.dat of all it sent."""

import os
import socket

from rig.case import Failed, case, has_ipv6, main, need
from rig.dialect import DIALECTS, V1, V2of27, V2of2015, V3, write_calls
from rig.metadata import Head, head_of, known_compressions
from rig.relay import Relay, wait_for
from rig.result import read_regions
from rig.subbuffer import BLOCK, Kernel


def some_pages(kernel):
    """Few enough for a UDP queue of any system; events, losses, a long pause, an empty page, a long event."""
    for cpu in kernel.cpus:
        cpu.page()
    kernel.cpus[0].page(events=5, lost=17)
    kernel.cpus[-1].page(lost=True)
    kernel.cpus[0].page(events=2, gap=1 << 28)
    kernel.cpus[-1].page(events=0)
    kernel.cpus[-1].page(ident=BLOCK)
    return kernel


def record(relay, dialect, family=socket.AF_INET, tcp=True):
    kernel = some_pages(Kernel())
    client = dialect(relay.address(family), tcp=tcp)
    before = len(relay.results())
    client.record(head_of(dialect, kernel).bytes(), kernel)
    result = relay.await_results(before + 1)[-1]
    result.must_hold(kernel)
    result.must_be(protocol=dialect.protocol, transport="tcp" if tcp else "udp", session="default")
    address = relay.address(family)[0]
    # directories cannot be called ::1, and the record says what the directory is called
    result.must_be(host="wire" if dialect is V3 else os.path.basename(os.path.dirname(result.dir)))
    if dialect is not V3 and tcp and family == socket.AF_INET:
        result.must_be(host=address)
    if not result.record["peer"].lstrip("[").startswith(address):
        raise Failed(f"peer {result.record['peer']!r} is not {address}")
    return result


@case
def every_dialect():
    """Four dialects x TCP, UDP x IPv4, IPv6."""
    families = [socket.AF_INET] + ([socket.AF_INET6] if has_ipv6() else [])
    with Relay({"trace-cmd.udp-linger": "100ms"}) as relay:
        for dialect in DIALECTS:
            for family in families:
                for tcp in (True, False):
                    record(relay, dialect, family, tcp)
        status = relay.status()
        for name in ("sources_v1", "sources_v2_2015", "sources_v2_2018", "sources_v3"):
            if status["counters"][name] != 2 * len(families):
                raise Failed(f"{name} is {status['counters'][name]}")
        if status["counters"]["sources_incomplete"]:
            raise Failed("a source is incomplete")


@case
def formats_over_v3():
    """v6, and v7 with each compression."""
    with Relay() as relay:
        heads = [(6, "none")] + [(7, name) for name in known_compressions()]
        for n, (version, compression) in enumerate(heads):
            kernel = some_pages(Kernel())
            V3(relay.address()).record(Head(kernel, version, compression=compression).bytes(), kernel)
            result = relay.await_results(n + 1)[-1]
            result.must_hold(kernel)
            if result.record["trace_dat"] != {"version": version, "clock": "local", "page_size": 4096}:
                raise Failed(f"trace_dat is {result.record['trace_dat']}")


@case
def zlib_is_understood():
    """What this trace-cmd may not read, the relay does: host and clock are those of the metadata."""
    with Relay() as relay:
        kernel = some_pages(Kernel())
        V3(relay.address()).record(Head(kernel, 7, compression="zlib", clock="mono").bytes(), kernel)
        result = relay.await_results(1)[0]
        result.must_be(host="wire")
        result.must_hold_bytes({cpu.number: cpu.sent for cpu in kernel.cpus})
        if result.record["trace_dat"]["clock"] != "mono":
            raise Failed(f"clock {result.record['trace_dat']['clock']!r}")


@case
def one_message_a_write():
    """v6 metadata as it really comes: many messages of 10 to 20 bytes."""
    with Relay() as relay:
        for n, dialect in enumerate((V2of2015, V2of27, V3)):
            kernel = some_pages(Kernel())
            client = dialect(relay.address())
            client.pieces = lambda metadata, size: write_calls(metadata)
            head = Head(kernel, 6, with_options=dialect is V3, padding=300_000)
            client.record(head.bytes(), kernel)
            relay.await_results(n + 1)[-1].must_hold(kernel)


@case
def v1_of_newer_clients():
    """The fallback of 2.9.2 and later ends behind printk: command lines are added."""
    with Relay() as relay:
        kernel = some_pages(Kernel())
        V1(relay.address()).record(Head(kernel, 6, cmdlines=False).bytes(), kernel)
        relay.await_results(1)[0].must_hold(kernel)
        if relay.counter("repaired_cmdlines") != 1:
            raise Failed("not counted")


@case
def empty_version_of_2_8():
    """2.8 writes no version, and an empty clock option."""
    with Relay() as relay:
        for n, dialect in enumerate((V3, V1)):
            kernel = some_pages(Kernel())
            head = Head(kernel, 6, no_version=True, clock=None, with_options=dialect is V3)
            dialect(relay.address()).record(head.bytes(), kernel)
            result = relay.await_results(n + 1)[-1]
            result.must_hold(kernel)
            if result.record["trace_dat"]["version"] != 6:
                raise Failed(f"version {result.record['trace_dat']['version']}")
        if relay.counter("repaired_version") != 2:
            raise Failed("not counted")


@case
def clocks_are_the_clients():
    """The clock in the file is the client's, not this machine's."""
    with Relay() as relay:
        for n, (version, clock) in enumerate(((6, "boot"), (7, "mono"), (6, "tai"))):
            kernel = some_pages(Kernel())
            V3(relay.address()).record(Head(kernel, version, clock=clock).bytes(), kernel)
            result = relay.await_results(n + 1)[-1]
            result.must_hold(kernel)
            with open(result.path, "rb") as f:
                file = f.read(1 << 20)  # it may have holes of terabytes still
            if result.record["trace_dat"]["clock"] != clock:
                raise Failed(f"clock {result.record['trace_dat']['clock']!r}")
            if version == 6 and f"[{clock}]".encode() not in file[file.index(b"flyrecord") :]:
                raise Failed(f"[{clock}] does not stand behind the table")
            if version == 7 and b"\0" + clock.encode() + b"\0" not in file:
                raise Failed(f"{clock} does not stand in the BUFFER option")


@case
def unknown_version_is_offered_v3():
    """-1V9 gets V3; the same again is closed."""
    with Relay() as relay:
        kernel = some_pages(Kernel())
        client = V3(relay.address())
        client.hello = lambda: future_hello(client)
        client.record(Head(kernel, 7).bytes(), kernel)
        relay.await_results(1)[0].must_hold(kernel)
        if relay.counter("versions_renegotiated") != 1:
            raise Failed("not counted")
        client = V3(relay.address())
        client.connect()
        client.greeting()
        client.write(b"-1V9\0")
        client.read_once(b"V3\0")
        client.write(b"-1V9\0")
        if client.sock.recv(10):
            raise Failed("the same unknown version twice is answered")
        relay.await_counter("closed_version_unknown", 1)


def future_hello(client):
    client.connect()
    client.greeting()
    client.write(b"-1V9\0")
    client.read_once(b"V3\0")
    client.write(b"-1V3\0")
    client.read_once(b"V3\0")
    client.write(b"766679\0\0")
    client.read_once(b"OK")


@case
def extract():
    """The same conversation as record, with all data at once and streams that open one after the other."""
    with Relay() as relay:
        kernel = some_pages(Kernel())
        client = V2of2015(relay.address())
        client.handshake()
        client.send_metadata(head_of(V2of2015, kernel).bytes())
        for cpu in kernel.cpus:
            client.open_stream(cpu.number).send(cpu.sent)
            client.streams[-1].close()
        client.close()
        relay.await_results(1)[0].must_hold(kernel)


@case
def both_families_at_once():
    """A client whose name has both addresses may use one for control and another for streams: UDP cannot tell."""
    need(has_ipv6(), "no IPv6")
    with Relay() as relay:
        kernels = [some_pages(Kernel(client=n)) for n in range(2)]
        clients = [V3(relay.address(f)) for f in (socket.AF_INET, socket.AF_INET6)]
        for client in clients:
            client.handshake()
        for client, kernel in zip(clients, kernels):
            client.send_metadata(Head(kernel, 7, node=f"host{kernel.client}").bytes())
            for stream in client.open_streams():
                stream.send(kernel.cpus[stream.cpu].sent)
        for client in clients:
            client.finish()
        for result in relay.await_results(2):
            result.must_hold(kernels[int(result.record["host"][-1])])


@case
def what_is_read_is_what_was_sent():
    """The comparison itself: a byte changed in the file is noticed."""
    with Relay() as relay:
        result = record(relay, V3)
        wait_for("the compactor", lambda: result.read()["synced"])  # only some file systems let it close the holes
        _, file = read_regions(result.path)
        with open(result.path, "r+b") as f:
            f.seek(file.regions[0].offset + 40)
            byte = f.read(1)[0]
            f.seek(-1, os.SEEK_CUR)
            f.write(bytes([byte ^ 1]))
        try:
            kernel = some_pages(Kernel())
            result.must_hold(kernel)
        except Failed:
            return
        raise Failed("a spoiled file passes")


main()
