#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""bad_input.py - peers that lie, stall, flood or send garbage: closed for the right reason, and nobody else notices.

In every case a good client records meanwhile and loses nothing, and relayd stays the same process.
"""

import contextlib
import os
import random
import socket
import struct
import time

from rig.case import Failed, case, main
from rig.dialect import V1, V2, V2of27, V2of2015, V3, Refused, connect
from rig.metadata import Head
from rig.relay import Relay, wait_for
from rig.subbuffer import BLOCK, Kernel

seed = int(os.environ.get("TRACERELAY_WIRE_SEED") or time.time_ns() % 1_000_000)

GOOD = "127.0.0.99"


@contextlib.contextmanager
def while_recording(sets=None, ports=None):
    """A relay with a good client in the middle of its recording; at the end that must be whole."""
    with Relay(sets, ports=ports) as relay:
        relayd = wait_for("relayd", relay.relayd_pid)
        kernel = Kernel()
        client = V3(relay.address(), source=GOOD)
        client.handshake()
        client.send_metadata(Head(kernel, 7, node="good").bytes())
        for stream in client.open_streams():
            stream.send(kernel.cpus[stream.cpu].fill(3))
        yield relay
        for stream in client.streams:
            stream.send(kernel.cpus[stream.cpu].fill(40, ident=BLOCK))
        client.finish()
        wait_for("the good client's file", lambda: [r for r in relay.results() if r.record["peer"].startswith(GOOD)])
        next(r for r in relay.results() if r.record["peer"].startswith(GOOD)).must_hold(kernel)
        if relay.relayd_pid() != relayd:
            raise Failed("relayd has died")
        if relay.counter("closed_internal"):
            raise Failed("a mistake of the relay itself is counted")


def await_closed(sock, what, seconds=5):
    """The relay closes; what it said until then."""
    sock.settimeout(seconds)
    said = b""
    try:
        while True:
            part = sock.recv(1 << 16)
            if not part:
                return said
            said += part
    except ConnectionResetError:
        return said
    except socket.timeout as e:
        raise Failed(f"{what}: not closed after {seconds} s; {said[:60]!r} was said") from e


def must_close(relay, reason, what, begin, data):
    """begin(relay): a client that waits for `data` to be sent. Closed, counted once under that reason."""
    before = relay.status()["counters"]
    client = begin(relay)
    with client.sock:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.sock.sendall(data)
        said = await_closed(client.sock, what)
        wait_for(
            f"{what} to be counted as {reason}; it is {changed(before, relay.status()['counters'])}",
            lambda: relay.counter(f"closed_{reason}") == before[f"closed_{reason}"] + 1,
            5,
        )
    return said


def changed(before, after):
    return {name: after[name] - before[name] for name in after if name.startswith("closed_") and after[name] != before[name]}


# where the bad bytes begin ---------------------------------------------------------------------------------------------


def greeted(relay):
    client = V3(relay.address())
    client.connect()
    client.greeting()
    return client


def v3_hello(relay):
    client = V3(relay.address())
    client.hello()
    return client


def v3_magic(relay):
    client = greeted(relay)
    client.write(b"-1V3\0")
    client.read_once(b"V3\0")
    return client


def v27_hello(relay):
    client = greeted(relay)
    client.write(b"-1V2\0")
    client.read_once(b"V2\0")
    client.write(b"677768\0\0")
    client.read_once(b"OK")
    return client


def v2015_hello(relay):
    client = greeted(relay)
    client.write(b"-1V2\0" b"677768\0")
    client.read(3)
    return client


def v3_ready(relay):
    client = V3(relay.address())
    client.handshake()
    return client


def v27_ready(relay):
    client = V2of27(relay.address())
    client.handshake()
    return client


def v3_tinit(cpus=2, page=4096, options=0, strings=b""):
    return V3.message(V3.TINIT, struct.pack(">III", cpus, page, options), strings)


def v2_tinit(cpus=2, page=4096, options=0, rest=b""):
    return V2.message(V2.TINIT, struct.pack(">III", cpus, page, options) + rest)


HELLO = (
    ("HTTP", "protocol", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("TLS", "protocol", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    ("zeros", "protocol", b"\0" * 100),
    ("no end of a number", "oversize", b"1" * 65),
    ("no end of a version", "oversize", b"-1V" + b"9" * 70),
    ("version -1", "protocol", b"-1\0"),
    ("negative CPUs", "protocol", b"-5\0"),
    ("no CPUs", "protocol", b"0\0"),
    ("too many CPUs for a list", "protocol", b"1366\0"),
    ("677768 CPUs", "protocol", b"677768\0"),
    ("a number beyond 32 bits", "protocol", b"4294967298\0"),
    ("CPUs with a blank", "protocol", b" 2\0"),
    ("hexadecimal CPUs", "protocol", b"0x2\0"),
    ("V3's magic as a CPU count", "protocol", b"-1V9\0" b"766679\0\0"),
    ("page size 0", "protocol", b"2\0" b"0\0"),
    ("page size 3000", "protocol", b"2\0" b"3000\0"),
    ("page size 2 MiB", "protocol", b"2\0" b"2097152\0"),
    ("page size in letters", "protocol", b"2\0" b"abc\0"),
    ("no end of the page size", "oversize", b"2\0" + b"4" * 64),
    ("17 options", "protocol", b"2\0" b"4096\0" b"17\0"),
    ("an option of 4097 bytes", "oversize", b"2\0" b"4096\0" b"1\0" b"4097\0"),
    ("an unknown option", "protocol", b"2\0" b"4096\0" b"1\0" b"4\0UDP\0"),
    ("an option without its NUL", "protocol", b"2\0" b"4096\0" b"1\0" b"3\0TCP"),
)


@case
def version_and_v1():
    with while_recording() as relay:
        for what, reason, data in HELLO:
            must_close(relay, reason, what, greeted, data)


MESSAGES = (
    (v3_magic, "wrong magic of V3", "protocol", b"766678\0\0"),
    (v3_magic, "V2's magic in V3", "protocol", b"677768\0\0"),
    (v3_hello, "a message of 8193 bytes", "oversize", struct.pack(">III", 8193, 1, 12)),
    (v3_hello, "a message of 2 GiB", "oversize", struct.pack(">III", 0x80000000, 1, 12)),
    (v3_hello, "a message of 11 bytes", "protocol", struct.pack(">III", 11, 1, 0)),
    (v3_hello, "a message of no bytes", "protocol", struct.pack(">III", 0, 1, 0)),
    (v3_hello, "a fixed part beyond its message", "protocol", struct.pack(">III", 24, 1, 13) + b"\0" * 12),
    (v3_hello, "a fixed part of 4 GiB", "protocol", struct.pack(">III", 24, 1, 0xFFFFFFFF) + b"\0" * 12),
    (v27_hello, "a V2 message of 7 bytes", "protocol", struct.pack(">II", 7, 4)),
    (v27_hello, "a V2 message of 8193 bytes", "oversize", struct.pack(">II", 8193, 4)),
    (v27_hello, "metadata before TINIT", "protocol", V2.message(V2.SENDMETA, struct.pack(">I", 4) + b"abcd")),
    (v27_hello, "an unknown V2 message", "protocol", V2.message(99)),
    (v27_hello, "a short TINIT", "protocol", V2.message(V2.TINIT, b"\0\0\0\2")),
    (v2015_hello, "2015: a short TINIT", "protocol", V2.message(V2.TINIT, b"\0\0\0\2")),
    (v27_ready, "SENDMETA longer than its message", "protocol", V2.message(V2.SENDMETA, struct.pack(">I", 99) + b"abcd")),
    (v27_ready, "SENDMETA of 4 GiB", "protocol", V2.message(V2.SENDMETA, struct.pack(">I", 0xFFFFFFFF) + b"abcd")),
    (v27_ready, "FINMETA with a body", "protocol", V2.message(V2.FINMETA, b"abcd")),
    (v3_ready, "a message of 8193 bytes in the metadata", "oversize", struct.pack(">III", 8193, 3, 0)),
    (v3_ready, "a fixed part beyond its message in the metadata", "protocol", struct.pack(">III", 12, 3, 1)),
    (v3_hello, "seventeen messages out of place", "protocol", V3.message(V3.FIN_DATA) * 17),
)

REFUSED = (
    (v3_hello, "no CPUs", "protocol", v3_tinit(cpus=0)),
    (v3_hello, "more CPUs than a port list holds", "protocol", v3_tinit(cpus=1363)),
    (v3_hello, "four billion CPUs", "protocol", v3_tinit(cpus=0xFFFFFFFF)),
    (v3_hello, "page size 0", "protocol", v3_tinit(page=0)),
    (v3_hello, "page size 5000", "protocol", v3_tinit(page=5000)),
    (v3_hello, "page size 2 GiB", "protocol", v3_tinit(page=0x80000000)),
    (v3_hello, "options that are not there", "protocol", v3_tinit(options=1000)),
    (v3_hello, "an option without its NUL", "protocol", v3_tinit(options=1, strings=b"tcp")),
    (v3_hello, "vsock", "protocol", v3_tinit(options=1, strings=b"vsock\0")),
    (v27_hello, "V2: no CPUs", "protocol", v2_tinit(cpus=0)),
    (v27_hello, "V2: more CPUs than a port list holds", "protocol", v2_tinit(cpus=2046)),
    (v27_hello, "V2: an unknown option", "protocol", v2_tinit(options=1, rest=struct.pack(">III", 12, 2, 0))),
    (v27_hello, "V2: an option beyond the message", "protocol", v2_tinit(options=1, rest=struct.pack(">III", 13, 1, 0))),
    (v27_hello, "V2: an option of no bytes", "protocol", v2_tinit(options=1, rest=struct.pack(">III", 0, 1, 0))),
    (v2015_hello, "2015: no CPUs", "protocol", v2_tinit(cpus=0)),
)


@case
def messages():
    """Framing, order and contents of V2 and V3; what is refused is refused in words."""
    with while_recording() as relay:
        for begin, what, reason, data in MESSAGES:
            must_close(relay, reason, what, begin, data)
        for begin, what, reason, data in REFUSED:
            said = must_close(relay, reason, what, begin, data)
            close = V3.message(V3.CLOSE) if begin is v3_hello else V2.message(V2.CLOSE)
            if said != close:
                raise Failed(f"{what}: {said!r} is said, not CLOSE")
        wait_for("the sources that had begun to end", lambda: len(relay.sources()) == 1)


@case
def out_of_place_but_harmless():
    """What a future client might say is passed over: NOT_SUPP in the handshake, silence behind the port list."""
    with while_recording() as relay:
        client = v3_hello(relay)
        for command in (6, 10, 99, V3.SEND_DATA, V3.RINIT):
            client.write(V3.message(command, b"\0" * 16))
            if client.read(12) != V3.message(V3.NOT_SUPP):
                raise Failed(f"message {command} is not answered NOT_SUPP")
        client.write(V3.message(V3.NOT_SUPP))
        kernel = Kernel()
        for cpu in kernel.cpus:
            cpu.fill(2)
        client.write(v3_tinit(options=2, strings=b"tcp\0from-the-future\0"))
        client.read_rinit()
        client.write(V3.message(77, b"12345678", b"abc") + V3.message(V3.TINIT, b"\0" * 12))
        head = Head(kernel, 7, node="odd").bytes()
        client.write(V3.message(V3.SEND_DATA, b"a longer fixed part", head[:1000]))
        client.send_metadata(head[1000:])
        client.write(V3.message(V3.SEND_DATA, b"", b"late metadata") + V3.message(V3.FIN_DATA))
        for stream in client.open_streams():
            stream.send(kernel.cpus[stream.cpu].sent)
        client.finish()
        next(r for r in relay.await_results(1) if r.record["host"] == "odd").must_hold(kernel)
        if relay.counter("messages_unexpected") < 8:
            raise Failed(f"messages_unexpected is {relay.counter('messages_unexpected')}")


@case
def silence():
    """Each state that may not be silent, with short limits; a recording may be."""
    short = {"limits.handshake-timeout": "300ms", "limits.metadata-timeout": "400ms", "limits.stall-timeout": "500ms"}
    with while_recording(short) as relay:
        waits = [
            ("handshake_timeout", greeted, b""),
            ("handshake_timeout", greeted, b"-1V"),
            ("handshake_timeout", greeted, b"2\0" b"4096\0"),
            ("handshake_timeout", v3_magic, b"7666"),
            ("handshake_timeout", v3_hello, b""),
            ("handshake_timeout", v3_hello, v3_tinit()[:20]),
            ("handshake_timeout", v27_hello, b""),
            ("metadata_timeout", v3_ready, b""),
            ("metadata_timeout", v3_ready, V3.message(V3.SEND_DATA, b"", b"some")),
            ("metadata_timeout", v27_ready, b""),
            ("stall_timeout", v3_recording, V3.message(V3.CLOSE)[:7]),
        ]
        clients = []
        for reason, begin, data in waits:
            client = begin(relay)
            client.write(data)
            clients.append((reason, client))
        for reason, client in clients:
            await_closed(client.sock, reason, 3)
        for name in ("handshake_timeout", "metadata_timeout", "stall_timeout"):
            want = sum(reason == name for reason, _, _ in waits)
            wait_for(f"{want} x {name}", lambda name=name, want=want: relay.counter(f"closed_{name}") == want, 3)


def v3_recording(relay):
    client = v3_ready(relay)
    client.send_metadata(Head(Kernel(), 7, node="stalled").bytes())
    return client


@case
def slow_loris():
    """A hundred clients that send a byte at a time, with pauses: right ones are served, others end."""
    with while_recording() as relay:
        crowd = [connect(relay.address(), f"127.4.0.{n + 1}") for n in range(100)]
        kernel = Kernel()
        for cpu in kernel.cpus:
            cpu.fill(2)
        client = V3(relay.address())

        def trickle(data):
            for n in range(len(data)):
                client.sock.sendall(data[n : n + 1])
                crowd[n % len(crowd)].sendall(b"1")

        write, client.write = client.write, trickle
        client.handshake()
        trickle(V3.message(V3.SEND_DATA, b"", Head(kernel, 7, node="slow").bytes()[:600]))
        client.write = write
        client.send_metadata(Head(kernel, 7, node="slow").bytes()[600:])
        client.open_streams()
        for stream in client.streams:
            for at in range(0, len(kernel.cpus[stream.cpu].sent), 100):
                stream.send(kernel.cpus[stream.cpu].sent[at : at + 100])
        client.write = trickle
        client.finish()
        next(r for r in relay.await_results(1) if r.record["host"] == "slow").must_hold(kernel)
        for sock in crowd:
            sock.close()  # with the greeting unread: a reset
        relay.await_counter("closed_reset", 100)


@case
def too_much_metadata():
    """limits.metadata ends it, in V1, V2 and V3; what had come is not called a trace.dat."""
    with while_recording({"limits.metadata": "64K"}) as relay:
        for dialect in (V1, V2of2015, V2of27, V3):
            kernel = Kernel()
            client = dialect(relay.address())
            client.handshake()
            before = relay.counter("closed_metadata_limit")
            with contextlib.suppress(Refused):
                client.send_metadata(Head(kernel, 6, padding=70_000, with_options=False).bytes())
            await_closed(client.sock, dialect.name)
            relay.await_counter("closed_metadata_limit", before + 1)
            client.die()
        for result in relay.await_results(4):
            result.must_be(False, "metadata")
            if result.path.endswith(".dat"):
                raise Failed(f"{result.path} is called a trace.dat")


@case
def sources_limit():
    """limits.sources: the next one is closed at once, until one has ended."""
    with while_recording({"limits.sources": "3"}) as relay:
        first = v3_ready(relay)
        second = v3_ready(relay)
        sock = connect(relay.address())
        await_closed(sock, "the client above the limit")
        sock.close()
        relay.await_counter("closed_sources_limit", 1)
        first.die()
        relay.await_sources(2)
        wait_for("the connection to be forgotten", lambda: len(relay.status()["connections"]) == 2)
        third = v3_ready(relay)
        third.die()
        second.die()


@case
def streams_per_peer():
    """limits.streams-per-peer: refused in words; another host is not concerned."""
    with while_recording({"limits.streams-per-peer": "8"}) as relay:
        first = V3(relay.address(), cpus=6)
        first.handshake()
        for dialect, cpus in ((V3, 3), (V2of27, 8), (V2of2015, 3), (V3, 9), (V1, 3)):
            client = dialect(relay.address(), cpus=cpus)
            try:
                client.handshake()
            except Refused as e:
                if dialect is not V1 and str(e) != "CLOSE":
                    raise Failed(f"{dialect.name}, {cpus} CPUs: {e} instead of CLOSE") from e
                client.sock.close()
                continue
            raise Failed(f"{dialect.name}: {cpus} CPUs above the limit are served")
        wait_for("five refusals", lambda: relay.counter("closed_streams_limit") == 5)
        other = V3(relay.address(), cpus=8, source="127.0.0.3")
        other.handshake()
        last = V3(relay.address(), cpus=2)
        last.handshake()
        for client in (first, other, last):
            client.die()


@case
def connections_of_one_peer():
    """A host that opens connections without end gets no more than limits.streams-per-peer of them."""
    with while_recording({"limits.streams-per-peer": "20"}) as relay:
        crowd = [connect(relay.address()) for _ in range(60)]
        wait_for("40 to be closed", lambda: relay.counter("closed_streams_limit") == 40)
        other = V3(relay.address(), source="127.0.0.3")
        other.handshake()
        other.die()
        for sock in crowd:
            sock.close()


@case
def descriptors_run_out():
    """More clients than descriptors: the ones above are closed with a reason, those within go on."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        with low_limit(256, hard):
            relay_context = while_recording()
            relay = relay_context.__enter__()
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
        crowd = []
        for n in range(400):
            with contextlib.suppress(OSError):
                crowd.append(connect(relay.address(), f"127.5.0.{n % 250 + 1}"))
        wait_for("some to be turned away", lambda: relay.counter("closed_no_descriptors") > 0)
        for sock in crowd:
            sock.close()
        wait_for("all to be gone", lambda: len(relay.status()["connections"]) == 1)
        relay_context.__exit__(None, None, None)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.contextmanager
def low_limit(n, hard):
    """Children started within the block may have n descriptors and cannot raise that."""
    from rig import relay as rig_relay

    original = rig_relay.subprocess.Popen

    def limited(*args, **kwargs):
        import resource

        prepare = kwargs.pop("preexec_fn", None)

        def both():
            if prepare:
                prepare()
            resource.setrlimit(resource.RLIMIT_NOFILE, (n, n))

        return original(*args, preexec_fn=both, **kwargs)

    rig_relay.subprocess.Popen = limited
    try:
        yield
    finally:
        rig_relay.subprocess.Popen = original


@case
def strange_host_names():
    """Node names become one harmless path component; nothing is written elsewhere."""
    names = (
        "../../x",
        "..",
        ".",
        "/etc/passwd",
        "a/b/c",
        "-rf",
        ".hidden",
        "",
        "x" * 64,
        "y" * 300,
        "nul\0inside",
        "new\nline",
        b"\xff\xfe\x80",
        "%s%n",
        "~root",
        "$(reboot)",
        "0",
    )
    with while_recording() as relay:
        before = set(os.listdir(relay.work))
        for number, version in enumerate((6, 7)):
            for n, name in enumerate(names):
                kernel = Kernel()
                kernel.cpus[0].page(events=3)
                client = V3(relay.address())
                client.handshake()
                client.record_rest(Head(kernel, version, node=name).bytes(), kernel)
                result = relay.await_results(number * len(names) + n + 1)[-1]
                parts = os.path.relpath(result.path, os.path.join(relay.out, "default")).split("/")
                if len(parts) != 3 or not parts[0] or parts[0].startswith((".", "-")) or ".." in parts:
                    raise Failed(f"{name!r} is stored as {'/'.join(parts)}")
                if set(parts[0]) - set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"):
                    raise Failed(f"{name!r} becomes directory {parts[0]!r}")
                if result.record["host"] != parts[0]:
                    raise Failed(f"{name!r}: the record says {result.record['host']!r}, the path {parts[0]!r}")
                result.must_hold(kernel)
        if set(os.listdir(relay.work)) != before:
            raise Failed(f"new beside output.dir: {set(os.listdir(relay.work)) - before}")
        if sorted(os.listdir(relay.out)) != [".incoming", ".lock", "catalog.db", "catalog.db-shm", "catalog.db-wal", "default"]:
            raise Failed(f"in output.dir: {sorted(os.listdir(relay.out))}")


@case
def garbage():
    """Random bytes on control connections, at each depth of the conversation."""
    randomly = random.Random(seed)
    with while_recording({"limits.handshake-timeout": "1s", "limits.metadata-timeout": "1s"}) as relay:
        clients = []
        for n in range(120):
            begin = (greeted, v3_magic, v3_hello, v27_hello, v2015_hello, v3_ready)[n % 6]
            client = begin(relay)
            with contextlib.suppress(OSError):
                client.sock.sendall(randomly.randbytes(randomly.randrange(1, 5000)))
            clients.append(client)
        for client in clients:
            client.sock.close()
        wait_for("all of them to be gone", lambda: len(relay.sources()) == 1 and len(relay.status()["connections"]) == 1)


@case
def spoiled_conversations():
    """A whole V3 and a whole V1 conversation with single bytes changed."""
    randomly = random.Random(seed)
    limits = {"limits.handshake-timeout": "300ms", "limits.metadata-timeout": "300ms", "limits.stall-timeout": "300ms"}
    with while_recording(limits, ports=1024) as relay:
        kernel = Kernel()
        v3 = b"-1V3\0" b"766679\0\0" + v3_tinit(options=1, strings=b"tcp\0")
        v3 += V3.message(V3.SEND_DATA, b"", Head(kernel, 7).bytes()) + V3.message(V3.FIN_DATA) + V3.message(V3.CLOSE)
        v1 = b"2\0" b"4096\0" b"0\0" + Head(kernel, 6, with_options=False).bytes()
        for n in range(150):
            data = bytearray(v3 if n % 3 else v1)
            for _ in range(randomly.randrange(1, 4)):
                data[randomly.randrange(min(len(data), 60 if n % 2 else len(data)))] = randomly.randrange(256)
            sock = connect(relay.address(), f"127.6.0.{n + 1}")
            with contextlib.suppress(OSError):
                sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
            sock.close()
        wait_for("all of them to be gone", lambda: len(relay.sources()) == 1 and len(relay.status()["connections"]) == 1)


def hostile_heads():
    """Complete conversations whose metadata lies."""
    kernel = Kernel()
    good6, good7 = Head(kernel, 6).bytes(), Head(kernel, 7).bytes()
    huge = struct.pack("<Q", 1 << 63)
    at = good6.index(b"header_page\0") + 12
    yield "a header_page of 2^63 bytes", good6[:at] + huge + good6[at + 8 :]
    yield "nothing but the magic", good6[:10]
    yield "an unknown version", good6[:10] + b"9" + good6[11:]
    yield "a long version", good6[:10] + b"6" * 5000 + good6[11:]
    yield "big endian, they say", good6[:12] + b"\1" + good6[13:]
    yield "page size 0", good6[:14] + b"\0" * 4 + good6[18:]
    yield "page size 4 GiB", good6[:14] + b"\xff" * 4 + good6[18:]
    at = good7.index(b"none\0\0") + 6
    here = struct.unpack_from("<Q", good7, at)[0]
    yield "options at the end of the world", good7[:at] + struct.pack("<Q", 1 << 62) + good7[at + 8 :]
    yield "options inside the header", good7[:at] + struct.pack("<Q", 3) + good7[at + 8 :]
    yield "a ring of options", good7[:-8] + struct.pack("<Q", here)
    yield "an options section of 2^63 bytes", good7[: here + 8] + huge + good7[here + 16 :]
    yield "a section that is compressed, they say", good7[: at + 8 + 2] + b"\1" + good7[at + 8 + 3 :]
    bomb = Head(kernel, 7, compression="zlib")
    bomb.header_info = lambda: b"header_page\0" + b"\0" * (32 << 20)
    yield "32 MiB of zeros, compressed", bomb.bytes()
    many = Head(kernel, 6)
    many.event_formats = lambda: struct.pack("<I", 0xFFFFFFFF)
    yield "four billion event systems", many.bytes()
    yield "random bytes", b"\x17\x08\x44tracing7\0\0\x08" + random.Random(seed).randbytes(5000)
    text = Head(kernel, 6, clock="[[]]" * 50)
    yield "a clock of brackets", text.bytes()


@case
def hostile_metadata():
    """No crash, no hang; each is recorded for what it is, and their pages are kept."""
    with while_recording() as relay:
        heads = list(hostile_heads())
        for n, (what, head) in enumerate(heads):
            kernel = Kernel()
            kernel.cpus[0].fill(2)
            client = V3(relay.address(), source=f"127.7.0.{n + 1}")
            client.handshake()
            client.record_rest(head, kernel)
            result = wait_for(what, lambda n=n: by_peer(relay, f"127.7.0.{n + 1}"), 5)
            result.must_add_up()
            if result.total("received") != len(kernel.cpus[0].sent):
                raise Failed(f"{what}: received {result.total('received')}")
            if result.total("stored") != len(kernel.cpus[0].sent):
                raise Failed(f"{what}: stored {result.total('stored')}: {result.record['totals']}")


def by_peer(relay, host):
    return next((r for r in relay.results() if r.record["peer"].startswith(host + ":")), None)


@case
def garbage_for_pages():
    """Streams of noise: kept or counted, never believed; a report of the file does not matter."""
    randomly = random.Random(seed)
    with while_recording({"trace-cmd.udp-linger": "100ms"}) as relay:
        for n, tcp in enumerate((True, False)):
            kernel = Kernel()
            client = V3(relay.address(), tcp=tcp, source=f"127.8.0.{n + 1}")
            client.handshake()
            client.send_metadata(Head(kernel, 7, node="noise").bytes())
            sent = 0
            for stream in client.open_streams():
                for _ in range(20):
                    size = randomly.choice((4096, 8192, 1, 100, 4095, 12288, 0)) if not tcp else 50_000
                    stream.send(randomly.randbytes(size))
                    sent += size
            client.finish()
            result = wait_for("the noise", lambda n=n: by_peer(relay, f"127.8.0.{n + 1}"))
            result.must_add_up()
            if result.total("received") != sent:
                raise Failed(f"received {result.total('received')} of {sent}")


@case
def many_short_connections():
    """A thousand connections that only connect, and a hundred that only reset."""
    with while_recording() as relay:
        for n in range(1000):
            connect(relay.address(), f"127.9.{n % 200}.1").close()
        for _ in range(100):
            sock = connect(relay.address())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        wait_for("all to be gone", lambda: len(relay.status()["connections"]) == 1)


print(f"seed {seed}")
main()
