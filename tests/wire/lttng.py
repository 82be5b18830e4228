#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""lttng.py - LTTng's daemons as scripts: every minor byte by byte, both halves in any order, bad peers, viewers, kills.

TRACERELAY_LTTNG_PEER=stock runs what lttng-relayd can stand against it. Cases named weakness_* are section 7 of the
protocol's reference: what a relay must not have in common with it.
"""

import contextlib
import os
import socket
import struct
import threading
import time

from rig import lttng
from rig.case import Failed, case, main
from rig.ctf import events_in
from rig.dialect import Refused, Wrong, connect
from rig.lttng import Client, Viewer, data_header, lttng_relay, message, not_stock, read, stock
from rig.relay import wait_for

MINORS = (4, 8, 10, 11, 12, 13) if stock else tuple(range(1, 14))
MIB = 1 << 20


def must_fail(what, act):
    """The relay refuses or hangs up."""
    try:
        act()
    except (Refused, BrokenPipeError, ConnectionResetError):
        return
    raise Failed(f"{what}: not refused")


def await_end(sock, what, seconds=5):
    sock.settimeout(seconds)
    try:
        while sock.recv(1 << 16):
            pass
    except ConnectionResetError:
        pass
    except socket.timeout as e:
        raise Failed(f"{what}: not closed after {seconds} s") from e


@contextlib.contextmanager
def while_recording(sets=None, **more):
    """A relay, and a good client in the middle of its recording: at the end that must be whole."""
    with lttng_relay(sets, **more) as relay:
        relayd = wait_for("relayd", relay.relayd_pid)
        good = Client(relay, name="good", number=99)
        good.hello()
        good.begin()
        good.streams[0].packet()
        yield relay, good
        for stream in good.streams * 3:
            stream.packet()
        good.finish()
        good.must_hold()
        if relay.relayd_pid() != relayd:
            raise Failed("relayd has died")
        if not stock and relay.counter("closed_internal"):
            raise Failed("a mistake of the relay itself is counted")


# whole recordings --------------------------------------------------------------------------------------------------------


@case
def every_minor():
    for minor in MINORS:
        with lttng_relay({"lttng.protocol": f"2.{minor}"}) as relay:
            client = Client(relay, minor)
            client.record()
            client.must_hold()


@case
def client_older_than_the_relay():
    """The relay announces 2.13; clients of all minors come at once."""
    with lttng_relay() as relay:
        for minor in MINORS:
            client = Client(relay, minor, number=minor)
            client.record()
            client.must_hold()


@case
def index_first():
    with lttng_relay() as relay:
        for minor in (4, 10, 13):
            client = Client(relay, minor, number=minor)
            client.hello()
            client.begin()
            for n in range(6):
                client.streams[n % 2].packet(index_first=n % 3 != 0)
            client.finish()
            client.must_hold()


@case
def pending_until_both_halves_are_there():
    with lttng_relay() as relay:
        client = Client(relay)
        client.hello()
        client.begin()
        stream = client.streams[0]
        client.streams[1].packet()
        packet = client.program.packet(0)
        stream.send_index(packet)
        stream.seq = 1
        if not client.pending():
            raise Failed("nothing is pending, but the packet has not come")
        stream.seq = 0
        stream.send_data(packet)
        stream.sent(packet)
        client.await_stored()
        client.must_hold()  # complete before the session ends
        client.destroy()
        client.must_hold()


@case
def a_stream_without_packets():
    not_stock("it never leaves its chunk")
    with lttng_relay() as relay:
        client = Client(relay)
        client.hello()
        client.begin()
        client.streams[0].packet()
        client.finish()
        client.must_hold()


@case
def interleaved_streams():
    """Packets of four streams and two sizes, cut anywhere by TCP."""
    with lttng_relay() as relay:
        client = Client(relay)
        client.hello()
        client.begin(cpus=4)
        packets = [(stream, client.program.packet(stream.cpu, 1 + 500 * (n % 2))) for n, stream in enumerate(client.streams)]
        raw = b"".join(data_header(s.handle, 0, len(p.data), p.padding) + p.data for s, p in packets)
        for at in range(0, len(raw), 777):
            client.data.sendall(raw[at : at + 777])
        for stream, packet in packets:
            stream.send_index(packet)
            stream.sent(packet)
        client.finish()
        client.must_hold()


@case
def sequence_does_not_begin_at_0():
    with lttng_relay() as relay:
        client = Client(relay)
        client.hello()
        client.begin()
        for stream in client.streams:
            stream.seq = 7
            stream.packet()
        client.finish()
        client.must_hold()


@case
def data_behind_close_stream():
    with lttng_relay() as relay:
        client = Client(relay)
        client.hello()
        client.begin(cpus=1)
        stream = client.streams[0]
        packet = client.program.packet(0)
        stream.send_index(packet)
        stream.sent(packet)
        for each in (client.metadata, stream):
            client.close_stream(each)
        stream.send_data(packet, 0)
        client.must_hold()
        client.close()


@case
def several_paths_in_a_session():
    """Two users' buffers: two traces, each with its metadata."""
    with lttng_relay() as relay:
        client = Client(relay)
        client.hello()
        client.begin(cpus=1)
        first, metadata = client.streams[0], client.metadata
        second = client.add_stream("ch_1", 1, "ust/uid/1000/64-bit")
        client.add_stream("metadata", path="ust/uid/1000/64-bit")
        client.ask_ok("streams sent", lttng.STREAMS_SENT)
        client.send_metadata()
        for n in range(4):
            (first, second)[n % 2].packet()
        client.await_stored()
        client.must_hold(readable=False)
        client.close_stream(metadata)
        client.destroy()


@case
def base_path():
    with lttng_relay() as relay:
        client = Client(relay, base="a/b")
        client.record()
        client.must_hold()


@case
def snapshots():
    """Two records of one session: connections that the client leaves open, no index, no STREAMS_SENT."""
    with lttng_relay() as relay:
        for n in (0, 1):
            client = Client(relay, snapshot=1)
            client.hello()
            name = f"snapshot-1-20231114-22132{n}-{n}"
            client.places[0] = name
            client.create_chunk(n, override=name)
            stream = client.add_stream("ch_0")
            for seq in range(3):
                packet = client.program.packet(0)
                stream.send_data(packet)
                stream.sent(packet)
            client.close_stream(stream)
            client.add_stream("metadata")
            client.send_metadata()
            client.close_stream(client.metadata)
            client.close_chunk(n)
            want = client.expected()
            folder = client.folder
            wait_for(f"record {n}", lambda: want.items() <= lttng.files_below(folder).items())
            if events_in(os.path.join(folder, name)) not in (None, list(range(30))):
                raise Failed("babeltrace2 does not print the record's events")
            if not stock:
                await_end(client.control, "a snapshot's control connection", 10)
                await_end(client.data, "a snapshot's data connection", 10)
            client.close()


# tracefiles, chunks ---------------------------------------------------------------------------------------------------------


@case
def tracefiles_in_a_ring():
    with lttng_relay() as relay:
        client = Client(relay)
        client.record(packets=9, tracefile_size=3 * 4096, tracefile_count=2)
        client.must_hold(readable=False)
        seen = events_in(client.folder)
        if seen is not None and (not seen or seen[-1] != client.program.counter - 1):
            raise Failed("babeltrace2 does not print the last events")


@case
def weakness_tracefile_size_with_count_0():
    """Without limit; lttng-relayd divides by zero."""
    not_stock()
    with lttng_relay() as relay:
        client = Client(relay)
        client.record(packets=9, tracefile_size=2 * 4096, tracefile_count=0)
        client.must_hold()
        if len(client.expected()) < 16:
            raise Failed("there are not many files")


def rotate(client, chunk, at, command, closed=None):
    """To a new chunk, data ahead of the order as in the reference; the old one is closed."""
    old = client.chunk
    client.create_chunk(chunk)
    client.chunk = chunk
    client.rotate(client.streams, chunk, at)
    for stream in client.streams:
        stream.chunk, stream.number = chunk, 0
    client.rotate([client.metadata], chunk)
    client.metadata.chunk = chunk
    client.send_metadata()
    client.close_chunk(old, command, closed)
    wait_for(f"the end of chunk {old}", lambda: not client.chunk_exists(old))


def stamp(seconds):
    return time.strftime("%Y%m%dT%H%M%S%z", time.localtime(seconds))


def archive(chunk, created, closed):
    return f"archives/{stamp(created)}-{stamp(closed)}-{chunk}"


@case
def rotations():
    """Three chunks; each holds its packets and the whole metadata. (chunk n: from CREATED + n to CREATED + n + 1)"""
    with lttng_relay() as relay:
        client = Client(relay)
        client.hello()
        client.begin()
        for chunk in (0, 1, 2):
            for n in range(4):
                client.streams[n % 2].packet()
            if chunk < 2:
                rotate(client, chunk + 1, 2 * (chunk + 1), lttng.ARCHIVE)
        client.await_stored()
        client.rotate(client.streams, None)
        client.rotate([client.metadata], None)
        client.close_chunk(2, lttng.ARCHIVE)
        wait_for("the end of chunk 2", lambda: not client.chunk_exists(2))
        for stream in [client.metadata] + client.streams:
            client.close_stream(stream)
        client.close()
        client.places = {n: archive(n, lttng.CREATED + n, lttng.CREATED + n + 1) for n in (0, 1, 2)}
        client.must_hold()


@case
def rotation_behind_the_data():
    """Packets of the new chunk are in the old file already, without index: they move."""
    not_stock("hangs up, now and then, when the packet is there before the order")
    with lttng_relay() as relay:
        client = Client(relay)
        client.hello()
        client.begin(cpus=1)
        stream = client.streams[0]
        for _ in range(3):
            stream.packet()
        client.create_chunk(1)
        packet = client.program.packet(0, 300)
        stream.send_data(packet)
        client.chunk = stream.chunk = 1
        client.rotate([stream], 1, at=3)
        stream.send_index(packet)
        stream.sent(packet)
        stream.packet()
        client.rotate([client.metadata], 1)
        client.metadata.chunk = 1
        client.send_metadata()
        client.close_chunk(0, lttng.ARCHIVE)
        wait_for("the end of chunk 0", lambda: not client.chunk_exists(0))
        client.await_stored()
        client.rotate([stream], None)
        client.rotate([client.metadata], None)
        client.close_chunk(1, lttng.ARCHIVE)
        wait_for("the end of chunk 1", lambda: not client.chunk_exists(1))
        client.close()
        client.places = {n: archive(n, lttng.CREATED + n, lttng.CREATED + n + 1) for n in (0, 1)}
        client.must_hold()


@case
def clear():
    with lttng_relay() as relay:
        client = Client(relay)
        client.hello()
        client.begin()
        for stream in client.streams:
            stream.packet()
        client.await_stored()
        rotate(client, 1, 1, lttng.DELETE)
        client.places = {0: None, 1: ""}
        for stream in client.streams:
            stream.packets = []
            stream.packet()
        client.finish()
        client.must_hold()


@case
def rotate_messages_of_all_paddings():
    with lttng_relay() as relay:
        for n, padding in enumerate((0, 3, 7)):
            client = Client(relay, number=n + 1)
            client.hello()
            client.begin()
            client.rotate(client.streams, None, padding=padding)
            client.rotate([client.metadata], None, padding=padding)
            client.close_chunk(0)
            client.close()


@case
def regenerated_metadata():
    with lttng_relay() as relay:
        client = Client(relay)
        client.hello()
        client.begin()
        client.streams[0].packet()
        client.ask_ok("reset", lttng.RESET_METADATA, struct.pack(">QQ", client.metadata.handle, 1))
        client.metadata.files = {}
        client.send_metadata()
        client.streams[1].packet()
        client.finish()
        client.must_hold()


@case
def names_taken():
    """Two clients with the same names and time: neither loses what it sent."""
    not_stock("lttng-relayd overwrites")
    with lttng_relay() as relay:
        first, second = (Client(relay, source=f"127.0.0.{n}") for n in (2, 3))
        second.session_body = lambda body=second.session_body: body().replace(bytes([1]) * 16, bytes([2]) * 16)
        for client in (first, second):
            client.record()
        first.must_hold()
        second.date += "-2"
        second.must_hold()


# what bad peers do ------------------------------------------------------------------------------------------------------------

GARBAGE = (
    ("HTTP", b"GET / HTTP/1.1\r\nHost: a.b\r\nUser-Agent: c\r\n\r\n" * 4),
    ("zeros", bytes(64)),
    ("an unknown command", message(99)),
    ("ADD_INDEX", message(12, bytes(80))),
    ("VERSION too short", message(lttng.VERSION, b"\0\0\0\2")),
    ("major 3", message(lttng.VERSION, struct.pack(">II", 3, 0))),
    ("128 MiB + 1", message(lttng.VERSION, b"", 128 * MIB + 1)),
    ("all ones", b"\xff" * 24),
)
BEHIND_VERSION = (
    ("VERSION again and CREATE_SESSION of 3 bytes", message(lttng.CREATE_SESSION, b"abc")),
    ("names longer than the message", message(lttng.CREATE_SESSION, struct.pack(">III", 255, 255, 255) + bytes(47))),
    ("names of 4 GiB", message(lttng.CREATE_SESSION, struct.pack(">III", 0xFFFFFFFF, 2, 1) + bytes(50))),
    ("ADD_STREAM before a session", message(lttng.ADD_STREAM, struct.pack(">IIQQQ", 2, 2, 0, 0, 0) + b"a\0b\0")),
    ("SEND_INDEX before a session", message(lttng.SEND_INDEX, bytes(80))),
    ("a chunk before a session", message(lttng.CREATE_CHUNK, bytes(20))),
)
IN_A_SESSION = (
    ("SEND_METADATA of 4 bytes", message(lttng.SEND_METADATA, bytes(4))),
    ("an index of a stream that is not there", message(lttng.SEND_INDEX, b"\xff" * 80)),
    ("an index of 79 bytes", message(lttng.SEND_INDEX, bytes(79))),
    ("ROTATE_STREAMS of 4 billion", message(lttng.ROTATE, struct.pack(">IB", 0xFFFFFFFF, 1) + bytes(31))),
    ("CLOSE_TRACE_CHUNK of a chunk that is not there", message(lttng.CLOSE_CHUNK, struct.pack(">QQBI", 77, 0, 0, 0))),
    ("metadata of 4 GiB", message(lttng.SEND_METADATA, b"", 1 << 32)),
)


@case
def garbage():
    with while_recording() as (relay, _):
        for what, data in GARBAGE:
            with connect(("127.0.0.1", relay.control_port)) as sock:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    sock.sendall(data)
                await_end(sock, what)
        for what, data in BEHIND_VERSION:
            client = Client(relay, name="bad")
            client.connect()
            client.version()
            client.control.sendall(data)
            if what.startswith("CREATE") or not stock:
                await_end(client.control, what)
            client.close()
        for n, (what, data) in enumerate(IN_A_SESSION):
            client = Client(relay, name="bad", number=n + 10)
            client.hello()
            client.begin()
            client.control.sendall(data)
            if not stock:
                await_end(client.control, what)
            client.close()


@case
def garbage_data():
    with while_recording() as (relay, good):
        handle = good.streams[0].handle
        for what, head in (
            ("a stream that is not there", data_header(handle + 4711, 0, 10, 0)),
            ("all ones", b"\xff" * 32),
            ("text", b"GET / HTTP/1.1\r\nHost: somewhere\r\n\r\n"),
        ):
            with connect(("127.0.0.1", relay.data_port)) as sock:
                sock.sendall(head + bytes(10))
                await_end(sock, what)


@case
def weakness_sizes_without_limit():
    """Packets and padding that claim 4 GiB."""
    not_stock()
    with while_recording() as (relay, _):
        for n, (size, padding) in enumerate(((0xFFFFFFF0, 0), (4096, 0xFFFFF000), (0xFFFFFFFF, 0xFFFFFFFF))):
            client = Client(relay, name="big", number=n + 2)
            client.hello()
            client.begin()
            client.streams[0].packet()
            client.data.sendall(data_header(client.streams[0].handle, 1, size, padding))
            await_end(client.data, f"a packet of {size} + {padding} bytes")
            client.close()
            client.must_hold()


@case
def weakness_memory_on_sight_of_a_header():
    """A hundred headers that claim 128 MiB cost next to nothing."""
    not_stock()

    def memory():
        with open(f"/proc/{relay.relayd_pid()}/statm", encoding="ascii") as f:
            return int(f.read().split()[1]) * 4096

    with while_recording() as (relay, _):
        before = memory()
        socks = [connect(("127.0.0.1", relay.control_port)) for _ in range(100)]
        for sock in socks:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                sock.sendall(message(lttng.VERSION, b"", 128 * MIB))
        for sock in socks:
            await_end(sock, "a claim of 128 MiB")
            sock.close()
        if memory() > before + 64 * MIB:
            raise Failed(f"{(memory() - before) >> 20} MiB more")


@case
def weakness_foreign_handles():
    """Nobody reaches another client's streams: by metadata, index, close, rotation or data."""
    not_stock()
    with while_recording() as (relay, good):
        handle, metadata = good.streams[0].handle, good.metadata.handle
        for n, (what, data) in enumerate(
            (
                ("metadata", message(lttng.SEND_METADATA, struct.pack(">QI", metadata, 0) + b"evil")),
                ("index", message(lttng.SEND_INDEX, struct.pack(">QQ", handle, 1) + bytes(64))),
                ("close", message(lttng.CLOSE_STREAM, struct.pack(">QQ", handle, 0))),
                ("reset", message(lttng.RESET_METADATA, struct.pack(">QQ", metadata, 1))),
                ("rotation", message(lttng.ROTATE, struct.pack(">IBQ", 1, 0, 0) + struct.pack(">QQ", handle, 0))),
            )
        ):
            client = Client(relay, name="evil", number=n + 2)
            client.hello()
            client.begin()
            client.control.sendall(data)
            await_end(client.control, what)
            client.close()
        client = Client(relay, name="evil", number=50)
        client.hello()
        client.begin()
        client.streams[0].packet()  # its data connection belongs to its source now
        client.data.sendall(data_header(handle, 1, 4, 0) + b"evil")
        await_end(client.data, "data for another's stream")
        client.close()


ESCAPES = ("../x", "../../../x", "/x", "..", ".", "a/../../x", "a/b", "x/", "", ".hidden")


@case
def weakness_names_that_escape():
    """Session, host and stream names, base path and path: refused, or inside the tree; the answer has a path."""
    not_stock()
    with while_recording() as (relay, _):
        parent = os.path.dirname(relay.out)
        before = set(os.listdir(parent)) | set(os.listdir("/"))
        for n, name in enumerate(ESCAPES):
            for field in ("name", "host", "base"):
                if field == "base" and name in ("", "a/b", "x/"):
                    continue
                client = Client(relay, number=n + 2, **{field: name})
                client.connect()
                client.version()
                with contextlib.suppress(Refused):
                    code, path = client.create_session()
                    if code == lttng.OK and field != "base":
                        raise Failed(f"{field} {name!r} is taken")
                    if code == lttng.OK and path is not None and (".." in path or path.startswith("/")):
                        raise Failed(f"{field} {name!r} leads to {path!r}")
                client.close()
            client = Client(relay, name="stream", number=n + 2)
            client.hello()
            client.create_chunk()
            must_fail(f"a stream {name!r}", lambda c=client, its=name: c.add_stream(its))
            client.close()
            if name in ("a/b", ""):
                continue
            client = Client(relay, name="path", number=n + 2)
            client.hello()
            client.create_chunk()
            with contextlib.suppress(Refused):
                client.add_stream("ch_0", path=name + "/ust")
                client.add_stream("metadata", path=name + "/ust")
                client.send_metadata()
            client.close()
            client = Client(relay, name="chunk", number=n + 2)
            client.hello()
            with contextlib.suppress(Refused):
                client.create_chunk(override=name)
                client.add_stream("metadata")
                client.send_metadata()
            client.close()
        if (set(os.listdir(parent)) | set(os.listdir("/"))) != before:
            raise Failed("something was made outside")
        for name in os.listdir(relay.out):
            if name.startswith("x"):
                raise Failed(f"{name} lies beside the session")


@case
def weakness_session_named_with_a_dot():
    """`lttng create .foo`: an error, and one byte of path; a client would wait for ever on none."""
    not_stock()
    with while_recording() as (relay, _):
        client = Client(relay, name=".foo")
        client.connect()
        client.version()
        code, path = client.create_session()
        if code == lttng.OK or path != "":
            raise Failed(f"code {code}, path {path!r}")
        client.close()


@case
def stalls():
    """Halves of messages and packets time out; silence between them is legal."""
    not_stock()
    with while_recording({"limits.stall-timeout": "300ms", "limits.handshake-timeout": "300ms"}) as (relay, good):
        quiet = Client(relay, name="quiet", number=5)
        quiet.hello()
        with connect(("127.0.0.1", relay.control_port)) as sock:
            sock.sendall(message(lttng.VERSION)[:11])
            await_end(sock, "half a header")
        for n, half in enumerate((message(lttng.SEND_INDEX, bytes(80))[:50], message(lttng.QUIESCENT, bytes(8))[:23])):
            client = Client(relay, name="half", number=n + 10)
            client.hello()
            client.begin()
            client.control.sendall(half)
            await_end(client.control, "half a message")
            client.close()
        for n, keep in enumerate((10, 32, 100)):
            client = Client(relay, name="cut", number=n + 20)
            client.hello()
            client.begin()
            stream = client.streams[0]
            stream.packet()
            packet = client.program.packet(0)
            raw = data_header(stream.handle, 1, len(packet.data), packet.padding) + packet.data
            client.data.sendall(raw[:keep])
            await_end(client.data, f"a packet cut after {keep} bytes")
            client.close()
            client.must_hold()
        quiet.begin()
        quiet.streams[1].packet()
        quiet.finish()
        quiet.must_hold()


@case
def anonymous_sockets():
    """Silent data connections of an address beyond the limit are closed; those that speak do not count."""
    not_stock()
    with while_recording({"lttng.anonymous-sockets": "4"}) as (relay, _):
        socks = [connect(("127.0.0.1", relay.data_port), "127.0.0.7") for _ in range(6)]
        relay.await_counter("closed_anonymous_limit", 2)
        other = Client(relay, name="other", number=3, source="127.0.0.8")
        other.record()
        other.must_hold()
        for sock in socks:
            sock.close()


@case
def weakness_replies_left_unread():
    """A client that asks and never reads delays nobody."""
    not_stock()
    with while_recording() as (relay, _):
        client = Client(relay, name="deaf", number=2)
        client.hello()
        client.begin()
        client.control.settimeout(0.5)
        ask = message(lttng.QUIESCENT, struct.pack(">Q", client.metadata.handle))
        with contextlib.suppress(socket.timeout, BrokenPipeError, ConnectionResetError):
            for _ in range(400):
                client.control.sendall(ask * 1000)
        other = Client(relay, name="other", number=3)
        other.record()
        other.must_hold()
        client.close()


# ends ------------------------------------------------------------------------------------------------------------------------


@case
def cut_in_a_packet():
    """Whole packets stay, half ones go, the index fits, babeltrace2 reads it."""
    not_stock("lttng-relayd leaves half packets")
    with lttng_relay() as relay:
        for n, keep in enumerate((1, 31, 32, 33, 2000)):
            client = Client(relay, number=n + 1)
            client.hello()
            client.begin()
            for stream in client.streams:
                stream.packet()
            packet = client.program.packet(0, 200)
            raw = data_header(client.streams[0].handle, 1, len(packet.data), packet.padding) + packet.data
            client.data.sendall(raw[:keep])
            client.close()
            client.must_hold()


@case
def cut_between_the_halves():
    """Data without index, and index without data."""
    not_stock("lttng-relayd holds the stream for ever")
    with lttng_relay() as relay:
        for n in (0, 1):
            client = Client(relay, number=n + 1)
            client.hello()
            client.begin()
            stream = client.streams[0]
            stream.packet()
            packet = client.program.packet(0)
            (stream.send_index if n else stream.send_data)(packet)
            client.close()
            relay.await_sources(0)
            numbers = events_in(client.folder)
            whole = stream.packets[0].numbers
            if numbers not in (None, whole, whole + packet.numbers):
                raise Failed(f"babeltrace2 prints {numbers}")
            if n:
                client.must_hold()


@case
def died_at_every_step():
    """The client's connections are reset before each of its messages: what is there opens, and nothing stays open."""
    not_stock()

    class Dead(Exception):
        pass

    with lttng_relay() as relay:
        step, number = 0, 0
        while True:
            number += 1
            left = [step]

            def hook(_, left=left):
                left[0] -= 1
                if left[0] < 0:
                    raise Dead

            client = Client(relay, number=number, hook=hook)
            try:
                client.record(packets=2)
                break
            except Dead:
                client.hook = lambda step: None
                client.close()
            step += 3
        wait_for("the end of all sources", lambda: not relay.sources())
        folders = os.path.join(relay.tree, "wire")
        for name in os.listdir(folders):
            at = os.path.join(folders, name)
            trace = os.path.join(at, "ust/uid/0/64-bit")
            if os.path.exists(os.path.join(trace, "metadata")) and os.path.getsize(os.path.join(trace, "metadata")) > 4096:
                events_in(at)


@case
def killed_at_every_step():
    """relayd is killed before each message, at every tenth the next one is awaited: nobody notices."""
    not_stock()
    with lttng_relay() as relay:
        for minor in (13, 10, 3):
            kills = [0]

            def hook(step, kills=kills):
                kills[0] += 1
                if kills[0] % 10 == 0:
                    relay.kill_and_wait()
                else:
                    relay.kill()

            client = Client(relay, minor, number=minor, hook=hook)
            client.record()
            client.must_hold()
            print(f"        2.{minor}: {kills[0]} kills")
        wait_for("a relayd", relay.relayd_pid)


@case
def killed_while_rotating():
    not_stock()
    with lttng_relay() as relay:
        client = Client(relay, hook=lambda step: relay.kill())
        client.hello()
        client.begin()
        for chunk in (0, 1):
            for n in range(4):
                client.streams[n % 2].packet()
            if chunk < 1:
                rotate(client, 1, 2, lttng.ARCHIVE)
        client.await_stored(20)
        client.rotate(client.streams, None)
        client.rotate([client.metadata], None)
        client.close_chunk(1, lttng.ARCHIVE)
        wait_for("the end of chunk 1", lambda: not client.chunk_exists(1))
        client.close()
        client.places = {n: archive(n, lttng.CREATED + n, lttng.CREATED + n + 1) for n in (0, 1)}
        client.must_hold()


@case
def many_sessions_at_once():
    """Forty clients, two hundred packets each."""
    with lttng_relay() as relay:
        errors, clients = [], []

        def run(n):
            client = Client(relay, number=n + 1, name=f"s{n}", minor=(13, 10)[n % 2])
            clients.append(client)
            try:
                client.record(packets=20)
            except Exception as e:  # told by the main thread
                errors.append(f"client {n}: {e!r}")

        threads = [threading.Thread(target=run, args=(n,)) for n in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise Failed("; ".join(errors[:3]))
        for client in clients:
            client.must_hold(readable=False)


# viewers ------------------------------------------------------------------------------------------------------------------------


def live_client(relay, **more):
    client = Client(relay, name="live", live=1000000, **more)
    client.hello()
    client.begin()
    return client


def must_read(viewer, stream, packet, offset=0):
    handle = viewer.handle_of(stream.name)
    status, index = wait_for("an index", lambda: (lambda s: s if s[0] not in (2, 5) else None)(viewer.next_index(handle)))
    if status != 1 or index[0] != offset:
        raise Failed(f"index {index}, not of offset {offset}")
    if struct.pack(">6Q", *index[1:7]) != packet.index[:48]:
        raise Failed(f"index {index} is not what was sent")
    status, data = viewer.packet(handle, offset, index[1] // 8)
    if status != 1 or data != packet.stored():
        raise Failed(f"GET_PACKET: status {status}, {len(data)} bytes, not the packet")


@case
def a_viewer():
    """From attach to the end: metadata, packets, beacon, HUP."""
    with lttng_relay() as relay:
        client = live_client(relay)
        viewer = Viewer(relay).hello()
        session = viewer.find("live")
        if session[1] != 1000000 or session[4] != "wire":
            raise Failed(f"LIST_SESSIONS says {session}")
        if viewer.attach(session[0]) != 1:
            raise Failed("not attached")
        wait_for("three streams", lambda: len(viewer.streams) == 3 or not viewer.new_streams(session[0]))
        metadata = viewer.metadata(viewer.handle_of("metadata"))
        if metadata != bytes(client.metadata.files[0][0][0]):
            raise Failed(f"{len(metadata)} bytes of metadata")
        for stream in client.streams:
            must_read(viewer, stream, stream.packet())
        status, _ = viewer.next_index(viewer.handle_of("ch_0"))
        if status != 2:
            raise Failed(f"status {status}, not RETRY")
        client.streams[0].beacon(client.program.time + 5)
        status, said = wait_for(
            "the beacon", lambda: (lambda s: s if s[0] != 2 else None)(viewer.next_index(viewer.handle_of("ch_0")))
        )
        if status != 5 or said[4] != client.program.time + 5 or said[6] != 0:
            raise Failed(f"{said}, not INACTIVE")
        client.program.time += 10
        must_read(viewer, client.streams[0], client.streams[0].packet(), 4096)
        if stock:
            return
        client.finish()
        for name in ("ch_0", "ch_1"):
            wait_for("HUP", lambda name=name: viewer.next_index(viewer.handle_of(name))[0] == 3)
        wait_for("the session's end", lambda: viewer.new_streams(session[0]) == 4)
        viewer.close()
        client.must_hold()


@case
def weakness_one_viewer_a_session():
    not_stock()
    with lttng_relay() as relay:
        client = live_client(relay)
        viewers = [Viewer(relay).hello() for _ in range(3)]
        for viewer in viewers:
            if viewer.attach(viewer.find("live")[0]) != 1:
                raise Failed("not attached")
        for n in range(3):
            packet = client.streams[0].packet()
            for viewer in viewers:
                must_read(viewer, client.streams[0], packet, n * 4096)
        late = Viewer(relay).hello()
        late.attach(late.find("live")[0])
        packet = client.streams[0].packet()
        must_read(late, client.streams[0], packet, 3 * 4096)
        for viewer in (*viewers, late):
            viewer.close()
        client.finish()


@case
def weakness_viewer_that_stalls():
    """Half a header, and one that asks and never reads: the others are served."""
    not_stock()
    with while_recording() as (relay, _):
        client = live_client(relay)
        half = Viewer(relay)
        half.sock.sendall(struct.pack(">QI", 20, 1)[:7])
        deaf = Viewer(relay).hello()
        deaf.attach(deaf.find("live")[0])
        packet = client.streams[0].packet()
        handle = deaf.handle_of("metadata")
        deaf.sock.settimeout(0.3)
        with contextlib.suppress(socket.timeout, BrokenPipeError, ConnectionResetError):
            for _ in range(2000):
                deaf.send(lttng.GET_PACKET, struct.pack(">QQI", deaf.handle_of("ch_0"), 0, 4096))
                deaf.send(lttng.LIST)
        good = Viewer(relay).hello()
        good.attach(good.find("live")[0])
        packet = client.streams[0].packet()
        must_read(good, client.streams[0], packet, 4096)
        if not handle:
            raise Failed("no metadata stream")
        client.finish()
        for viewer in (half, deaf, good):
            viewer.close()


@case
def viewers_that_do_not_read():
    """Twenty of them ask for 40 MiB each and read nothing: recording goes on as fast as before, and they cost little memory."""
    not_stock()

    def memory():
        with open(f"/proc/{relay.relayd_pid()}/smaps_rollup", encoding="ascii") as f:
            return next(int(line.split()[1]) << 10 for line in f if line.startswith("Pss:"))

    def seconds():
        begin = time.monotonic()
        for _ in range(100):
            client.streams[0].packet(200)
        client.await_stored()
        return time.monotonic() - begin

    with while_recording() as (relay, _):
        client = live_client(relay)
        size = len(client.streams[0].packet(50000).stored())
        alone = min(seconds() for _ in range(3))
        before = memory()
        deaf = []
        for _ in range(20):
            viewer = Viewer(relay).hello()
            viewer.attach(viewer.find("live")[0], 1)
            viewer.handle_of("metadata")
            handle, offset, _ = index_of(viewer, client.streams[0], 0)
            size = min(size, MIB)
            viewer.sock.settimeout(0.05)
            with contextlib.suppress(socket.timeout):
                for _ in range(40):
                    viewer.send(lttng.GET_PACKET, struct.pack(">QQI", handle, offset, size))
            deaf.append(viewer)
        more = (memory() - before) / len(deaf)
        now = min(seconds() for _ in range(3))
        print(f"        {size >> 10} KiB a reply: {more / 1024:.0f} KiB a viewer, {alone:.3f} s alone, {now:.3f} s beside them")
        if now > 2 * alone + 0.2:
            raise Failed(f"{alone:.3f} s become {now:.3f} s")
        if more > 2 * MIB:
            raise Failed(f"{more / MIB:.1f} MiB a viewer")
        client.finish()
        for viewer in deaf:
            viewer.close()


@case
def weakness_long_host_name():
    """A host name of 100 bytes does not spoil LIST_SESSIONS."""
    not_stock()
    with lttng_relay() as relay:
        client = Client(relay, host="h" * 100, name="long", live=1000, number=2)
        client.hello()
        client.begin()
        other = live_client(relay)
        viewer = Viewer(relay).hello()
        long, short = viewer.find("long"), viewer.find("live")
        if not long[4].startswith("h" * 60) or len(long[4]) > 63 or short[4] != "wire":
            raise Failed(f"{long} {short}")
        viewer.close()
        client.finish()
        other.finish()


@case
def weakness_streams_not_attached_to():
    """A viewer reaches what it attached to only; lengths and offsets beyond a file are refused."""
    not_stock()
    with lttng_relay() as relay:
        client, other = live_client(relay), Client(relay, name="other", live=1000, number=2)
        other.hello()
        other.begin()
        other.streams[0].packet()
        client.streams[0].packet()
        viewer = Viewer(relay).hello()
        viewer.attach(viewer.find("live")[0])
        mine = viewer.handle_of("ch_0")
        foreign = other_handles(relay)["ch_0"]
        if viewer.next_index(foreign)[0] not in (3, 4):
            raise Failed("an index of another session")
        for handle, offset, size in ((foreign, 0, 4096), (mine, 1 << 63, 4096), (mine, 0, 0xFFFFFFFF), (mine, 4096, 4096)):
            try:
                status, data = viewer.packet(handle, offset, size)
            except (Refused, Wrong):
                viewer = Viewer(relay).hello()
                viewer.attach(viewer.find("live")[0])
                continue
            if status == 1 and len(data) > 4096 or status == 1 and handle == foreign:
                raise Failed(f"GET_PACKET {handle} {offset} {size}: {len(data)} bytes")
        viewer.close()
        client.finish()
        other.finish()


def other_handles(relay):
    viewer = Viewer(relay).hello()
    viewer.attach(viewer.find("other")[0])
    found = {name: viewer.handle_of(name) for name in ("ch_0", "metadata")}
    viewer.close()
    return found


VIEWER_GARBAGE = (
    ("text", b"GET / HTTP/1.1\r\nHost: somewhere\r\n\r\n"),
    ("all ones", b"\xff" * 64),
    ("an unknown command", struct.pack(">QII", 0, 77, 0)),
    ("CONNECT of major 3", struct.pack(">QII", 20, 1, 0) + struct.pack(">QIII", 0, 3, 0, 1)),
    ("ATTACH before CONNECT", struct.pack(">QII", 20, 3, 0) + bytes(20)),
)


@case
def viewer_garbage():
    not_stock()
    with while_recording() as (relay, _):
        for what, data in VIEWER_GARBAGE:
            viewer = Viewer(relay)
            viewer.sock.sendall(data)
            await_end(viewer.sock, what)
            viewer.close()


@case
def viewer_killed_at_every_step():
    """relayd is killed before each request: the conversation and its cursors go on."""
    not_stock()
    with lttng_relay() as relay:
        client = live_client(relay)
        viewer = Viewer(relay)
        send = viewer.send

        def send_and_kill(cmd, body=b""):
            relay.kill()
            send(cmd, body)

        viewer.send = send_and_kill
        viewer.hello()
        session = viewer.find("live")
        viewer.attach(session[0])
        for n in range(5):
            must_read(viewer, client.streams[0], client.streams[0].packet(), n * 4096)
        client.finish()
        wait_for("HUP", lambda: viewer.next_index(viewer.handle_of("ch_0"))[0] == 3)
        viewer.close()
        client.must_hold()


def read_all(viewer, stream):
    """What is left of a stream: its packets, up to its end."""
    handle, packets = viewer.handle_of(stream.name), []
    while True:
        status, index = wait_for("an index", lambda: (lambda s: s if s[0] not in (2, 5) else None)(viewer.next_index(handle)))
        if status == 3:
            return packets
        if status != 1:
            raise Failed(f"index status {status}")
        if index[1]:
            status, data = viewer.packet(handle, index[0], index[1] // 8)
            if status != 1:
                raise Failed(f"GET_PACKET: status {status}")
            packets.append(data)


@case
def viewers_behind_the_end():
    """A session is rotated and over before its viewers have read anything, or heard of its last stream; then relayd is killed."""
    not_stock()
    with lttng_relay() as relay:
        for number, kill in ((1, False), (2, True)):
            client = Client(relay, name=f"ended{number}", number=number, live=1000000)
            client.hello()
            client.begin()
            viewers = [Viewer(relay).hello() for _ in range(2)]
            for viewer in viewers:
                session = viewer.find(client.name)[0]
                viewer.attach(session)
            viewers[1].sock.close()  # of this one nobody waits for anything
            for n in range(3):
                client.streams[0].packet()
                client.streams[1].packet()
                if n == 1:
                    rotate(client, 1, None, lttng.ARCHIVE)
            late = client.add_stream("late", 2)
            client.ask_ok("streams sent", lttng.STREAMS_SENT)
            late.packet()
            client.finish()
            relay.await_sources(0)
            if kill:
                relay.kill_and_wait()
            viewer = viewers[0]
            if viewer.new_streams(session) != 1:
                raise Failed("a stream that the viewer was not told of is gone")
            if kill:
                relay.kill_and_wait()
            text = viewer.metadata(viewer.handle_of("metadata"))
            if text != bytes(client.metadata.files[1][0][0]):
                raise Failed(f"{len(text)} bytes of metadata")
            for stream in client.streams:
                packets = read_all(viewer, stream)
                if packets != [p.stored() for p in stream.packets]:
                    raise Failed(f"{len(packets)} packets of {stream.name}, not the {len(stream.packets)} sent")
            if viewer.new_streams(session) != 4:
                raise Failed("the session does not end")
            viewer.close()


def index_of(viewer, stream, offset):
    """It has the index of a packet, and not the packet."""
    handle = viewer.handle_of(stream.name)
    status, index = wait_for("an index", lambda: (lambda s: s if s[0] not in (2, 5) else None)(viewer.next_index(handle)))
    if status != 1 or index[0] != offset:
        raise Failed(f"index {index}, not of offset {offset}")
    return handle, offset, index[1] // 8


def hidden_files(client):
    return [name for at, dirs, files in os.walk(client.folder) for name in dirs + files if "cleared" in name or "gone" in name]


@case
def files_removed_under_a_viewer():
    """Cleared, or a tracefile whose name came again: a viewer that has a packet's index gets the packet, behind a kill too."""
    not_stock()
    with lttng_relay() as relay:
        for number, kill in ((1, False), (2, True)):
            client = Client(relay, name=f"removed{number}", number=number, live=1000000)
            client.hello()
            client.begin()
            viewer = Viewer(relay).hello()
            viewer.attach(viewer.find(client.name)[0])
            stream = client.streams[0]
            packet = stream.packet()
            at = index_of(viewer, stream, 0)
            rotate(client, 1, None, lttng.DELETE)
            if kill:
                relay.kill_and_wait()
            if viewer.packet(*at) != (1, packet.stored()):
                raise Failed("a packet that was cleared is gone for its viewer")
            client.places = {0: None, 1: ""}
            stream.packets = []
            must_read(viewer, stream, stream.packet(), 0)
            client.finish()
            viewer.close()
            client.must_hold()
            if hidden_files(client):
                raise Failed(f"left: {hidden_files(client)}")

            client = Client(relay, name=f"ring{number}", number=10 + number, live=1000000)
            client.hello()
            client.begin(cpus=1, tracefile_size=4096, tracefile_count=2)
            viewer = Viewer(relay).hello()
            viewer.attach(viewer.find(client.name)[0])
            stream = client.streams[0]
            packet = stream.packet()
            at = index_of(viewer, stream, 0)
            rest = [stream.packet() for _ in range(2)]
            client.await_stored()
            if kill:
                relay.kill_and_wait()
            if viewer.packet(*at) != (1, packet.stored()):
                raise Failed("a packet whose file's name came again is gone for its viewer")
            for each in rest:
                must_read(viewer, stream, each, 0)
            for _ in range(5):
                last = stream.packet()
            client.await_stored()
            if kill:
                relay.kill_and_wait()
            client.finish()
            packets = read_all(viewer, stream)
            if not packets or packets[-1] != last.stored():
                raise Failed("not read to the end")
            viewer.close()
            client.must_hold(readable=False)
            if hidden_files(client):
                raise Failed(f"left: {hidden_files(client)}")


@case
def clear_under_a_viewer():
    """What was indexed before stays readable for it; then it goes on in the new chunk."""
    not_stock()
    with lttng_relay() as relay:
        client = live_client(relay)
        viewer = Viewer(relay).hello()
        session = viewer.find("live")
        viewer.attach(session[0])
        for n in range(2):
            must_read(viewer, client.streams[0], client.streams[0].packet(), n * 4096)
        client.await_stored()
        rotate(client, 1, None, lttng.DELETE)
        client.places = {0: None, 1: ""}
        client.streams[0].packets = []
        must_read(viewer, client.streams[0], client.streams[0].packet(), 0)
        client.finish()
        viewer.close()
        client.must_hold()


main(ours=not stock, tool="babeltrace2")
