#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""slow_disk.py - output.dir hangs: no LTTng client is kept waiting, whole packets are discarded and counted, metadata waits,
and when the disk goes on everything else is there.

The file system is a small ext4 of the test's own, frozen (FIFREEZE); without that right the test is skipped.
"""

import struct
import time

from rig.case import Failed, case, main
from rig.ctf import events_in, files_below
from rig.disk import hanging, small_ext4
from rig.lttng import DATA_PENDING, SEND_METADATA, Client, lttng_relay, message
from rig.relay import wait_for

MIB = 1 << 20
MAX_STALL = 0.2
SLACK = 3.0  # a busy machine's, on top of max-stall
HANG = 2 * SLACK
STALLED = ("stall", "orders-wait", "closed")


def slow_relay(where, **more):
    sets = {"lttng.max-stall": f"{int(MAX_STALL * 1000)}ms", "relayd.workers": "2"}
    sets.update(more)
    return lttng_relay(sets, output=where, errors=STALLED)


def recording(relay, cpus=2, events=10, **who):
    """A client with a stored packet in each stream."""
    client = Client(relay, **who)
    client.hello()
    client.begin(cpus)
    for stream in client.streams:
        stream.packet(events)
    client.await_stored()
    return client


class Longest:
    """The longest time that a client had to wait."""

    def __init__(self):
        self.seconds = 0.0

    def __call__(self, what, *args):
        start = time.monotonic()
        out = what(*args)
        self.seconds = max(self.seconds, time.monotonic() - start)
        return out

    def must_be_short(self):
        if self.seconds > MAX_STALL + SLACK:
            raise Failed(f"the client waited {self.seconds:.2f} s")


def send_lost(stream, events=900):
    """A packet that is to be discarded: nothing of it is expected in the files."""
    packet = stream.client.program.packet(stream.cpu, events)
    stream.send_data(packet)
    stream.send_index(packet)
    stream.seq += 1
    return len(packet.data)


def stalled_bytes(relay):
    return sum(row["discarded"]["stall"] for row in relay.status()["streams"])


def must_balance(relay):
    for row in relay.status()["streams"]:
        if row["received"] != row["stored"] + sum(row["discarded"].values()):
            raise Failed(f"the ledger does not balance: {row}")


def is_pending(client, stream):
    return struct.unpack(">I", client.ask("pending", DATA_PENDING, struct.pack(">QQ", stream.handle, stream.last), 4))[0]


def await_hang(relay, stream):
    """Packets until one of them finds the disk hanging: what its worker has taken it will store."""
    while not relay.counter("connections_held"):
        packet = stream.client.program.packet(stream.cpu, 1)
        stream.send_data(packet)
        stream.send_index(packet)
        stream.seq += 1


def must_hold_stream(client, stream):
    """What was not discarded, with its index, and nothing else."""
    want, have = client.expected(), files_below(client.folder)
    for name in (n for n in want if stream.name in n):
        if have.get(name) != want[name]:
            raise Failed(f"{name}: {len(have.get(name, b''))} bytes, not {len(want[name])}")


@case
def the_client_goes_on():
    """Several sessions of one host, one after the other, as one thread of its sends them."""
    with small_ext4(64 * MIB) as where:
        with slow_relay(where) as relay:
            clients = [recording(relay, name=f"s{n}", number=n + 1) for n in range(4)]
            longest, sent = Longest(), 0
            with hanging(where):
                until = time.monotonic() + HANG
                while time.monotonic() < until:
                    for client in clients:
                        for stream in client.streams:
                            sent += longest(send_lost, stream)
                            time.sleep(0.001)
                for client in clients:
                    for stream in client.streams:
                        wait_for("nothing to be pending", lambda c=client, s=stream: not is_pending(c, s), 5)
                longest.must_be_short()
                if stalled_bytes(relay) < sent / 2:
                    raise Failed(f"{sent} bytes were sent, status shows {stalled_bytes(relay)} as discarded")
            for client in clients:
                client.await_stored()
            lost = stalled_bytes(relay)
            if not sent / 2 < lost <= sent:
                raise Failed(f"{lost} bytes of {sent} are counted as discarded because of the stall")
            for client in clients:
                for stream in client.streams:
                    stream.packet()
                client.finish()
            must_balance(relay)


@case
def files_hold_what_was_not_discarded():
    with small_ext4(64 * MIB) as where:
        with slow_relay(where) as relay:
            client = recording(relay, events=700)
            a, b = client.streams
            with hanging(where):
                await_hang(relay, a)
                for _ in range(50):
                    send_lost(b)
                wait_for("all of b to be discarded", lambda: not is_pending(client, b), 5)
            client.await_stored()
            if not stalled_bytes(relay):
                raise Failed("nothing was discarded")
            b.packet(300)
            client.finish()
            must_hold_stream(client, b)
            seen = events_in(client.folder)
            if seen is not None and not set(n for p in b.packets for n in p.numbers) <= set(seen):
                raise Failed("babeltrace2 does not print all that was stored")


@case
def index_records_fill_the_ring():
    """More of them than may wait: they are dropped, and only the first of them is waited for."""
    with small_ext4(64 * MIB) as where:
        with slow_relay(where) as relay:
            client = recording(relay, cpus=1)
            stream = client.streams[0]
            longest = Longest()
            with hanging(where):
                await_hang(relay, stream)
                for _ in range(12000):
                    longest(send_lost, stream, 1)
                longest.must_be_short()
                if not relay.counter("indexes_dropped"):
                    raise Failed("no index was dropped")
            client.await_stored()
            stream.packet()
            client.finish()
            must_balance(relay)


@case
def metadata_waits_and_then_the_source_is_closed():
    with small_ext4(64 * MIB) as where:
        with slow_relay(where, **{"lttng.metadata-wait": "256K"}) as relay:
            patient = recording(relay, cpus=1, name="patient")
            greedy = recording(relay, cpus=1, name="greedy", number=2)
            text = b"/* " + b"x" * 50000 + b" */\n"
            with hanging(where):
                send = message(SEND_METADATA, struct.pack(">QI", patient.metadata.handle, 0) + text)
                patient.control.sendall(send)
                try:
                    for _ in range(100):
                        greedy.control.sendall(message(SEND_METADATA, struct.pack(">QI", greedy.metadata.handle, 0) + text))
                    greedy.control.recv(1)
                except OSError:
                    pass
                wait_for("the source to be closed", lambda: relay.counter("closed_metadata_wait") == 1, 5)
                is_pending(patient, patient.streams[0])  # it is answered
            patient.await_stored()
            patient.streams[0].packet()
            patient.finish()
            patient.metadata.files[0][0][0] += text
            patient.must_hold(readable=False)


@case
def killed_while_the_disk_hangs():
    with small_ext4(64 * MIB) as where:
        with slow_relay(where) as relay:
            client = recording(relay)
            a, b = client.streams
            with hanging(where):
                await_hang(relay, a)
                for _ in range(20):
                    send_lost(b)
                wait_for("all of b to be discarded", lambda: not is_pending(client, b), 5)
                relay.kill()  # its worker dies when the disk goes on
            client.await_stored()
            b.packet(300)
            client.finish()
            must_balance(relay)
            must_hold_stream(client, b)


if __name__ == "__main__":
    main()
