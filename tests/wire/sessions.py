#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""sessions.py - who belongs to which session, and what sessions can be told while clients send."""

import os
import time

from rig.case import Failed, case, environment, has_ipv6, main
from rig.dialect import DIALECTS, V1, V2of27, V2of2015, V3, connect
from rig.metadata import head_of
from rig.relay import Relay, wait_for
from rig.result import chunks_must_hold
from rig.subbuffer import BLOCK, Kernel


def begin(relay, dialect=V3, node="wire", cpus=2, address=None, **more):
    kernel = Kernel(cpus=cpus)
    client = dialect(address or relay.address(), cpus=cpus, **more)
    client.handshake()
    client.send_metadata(head_of(dialect, kernel, node=node).bytes())
    client.open_streams()
    return client, kernel


def send(relay, client, kernel, pages, seconds=15):
    """From each CPU, and until the relay has it."""
    before = sum(stream["received"] for stream in relay.status()["streams"])
    for stream in client.streams:
        stream.send(kernel.cpus[stream.cpu].fill(pages, ident=BLOCK))
    more = pages * kernel.page * len(client.streams)
    wait_for(
        f"{more} more bytes",
        lambda: sum(stream["received"] for stream in relay.status()["streams"]) >= before + more,
        seconds,
    )


def where(relay, dialect=V3, node="wire", **more):
    """The session that a client's recording ends up in."""
    before = {result.path for name in sessions(relay) for result in relay.results(name)}
    client, kernel = begin(relay, dialect, node, **more)
    for stream in client.streams:
        stream.send(kernel.cpus[stream.cpu].page())
    client.finish()

    def find():
        return [r for name in sessions(relay) for r in relay.results(name) if r.path not in before]

    result = wait_for("a result", find)[0]
    result.must_hold(kernel)
    if os.path.relpath(result.path, relay.out).split("/")[0] != result.record["session"]:
        raise Failed(f"{result.path} is said to be in {result.record['session']}")
    return result.record["session"]


def sessions(relay):
    return [name for name in os.listdir(relay.out) if os.path.isdir(os.path.join(relay.out, name)) and name[0] != "."]


def must_be_in(relay, want, dialect=V3, node="wire", **more):
    got = where(relay, dialect, node, **more)
    if got != want:
        raise Failed(f"{dialect.name} from {more.get('source')}, node {node!r}: in {got!r}, not {want!r}")


@case
def rules():
    """Address, protocol, host pattern, port; keys of a rule are ANDed, rules are ORed, the first session created wins."""
    with Relay() as relay:
        create = ("create-session",)
        relay.control(*create, "racks", "--match", "addr=127.1.0.0/16", "--match", "addr=127.2.0.0/16")
        relay.control(*create, "web", "--match", "host=web[12]-*")
        relay.control(*create, "old", "--match", "proto=trace-cmd-v1", "--match", "proto=trace-cmd-v2")
        relay.control(*create, "both", "--match", "host=db*,addr=127.3.0.0/16")
        relay.control(*create, "web2", "--match", "host=web*")
        must_be_in(relay, "default", source="127.9.9.9")
        must_be_in(relay, "racks", source="127.1.2.3")
        must_be_in(relay, "racks", V1, source="127.2.255.255")
        must_be_in(relay, "racks", node="web1-x", source="127.1.0.1")
        must_be_in(relay, "web", node="web1-x", source="127.9.0.1")
        must_be_in(relay, "web2", node="web3-x", source="127.9.0.1")
        must_be_in(relay, "old", V1, source="127.9.0.1")
        must_be_in(relay, "old", V2of27, source="127.9.0.1")
        must_be_in(relay, "old", V2of2015, source="127.9.0.1")
        must_be_in(relay, "both", node="db1", source="127.3.0.1")
        must_be_in(relay, "default", node="db1", source="127.4.0.1")
        must_be_in(relay, "default", node="other", source="127.3.0.1")
        must_be_in(relay, "default", node="Web1-x", source="127.9.0.1")


@case
def rules_for_ipv6():
    with Relay() as relay:
        if not has_ipv6():
            return
        relay.control("create-session", "six", "--match", "addr=::/0")
        must_be_in(relay, "default", source="127.0.0.1")
        must_be_in(relay, "six", address=("::1", relay.port))


@case
def own_port():
    """--listen: whoever connects there belongs to the session, whatever the rules say; it goes with the session."""
    port = environment().take_port()
    with Relay() as relay:
        relay.control("create-session", "all", "--match", "addr=127.0.0.0/8")
        relay.control("create-session", "mine", "--listen", f"trace-cmd:127.0.0.1:{port}")
        relay.control("create-session", "byport", "--match", f"port={port}")
        for dialect in DIALECTS:
            must_be_in(relay, "mine", dialect, address=("127.0.0.1", port))
        must_be_in(relay, "all")
        relay.kill_and_wait()
        must_be_in(relay, "mine", address=("127.0.0.1", port))
        relay.control("destroy-session", "mine")
        wait_for("the port to be closed", lambda: refused(("127.0.0.1", port)))
        must_be_in(relay, "all")


def refused(address):
    try:
        connect(address).close()
    except ConnectionRefusedError:
        return True
    return False


@case
def rule_by_port():
    """port= of a rule is the one that was connected to."""
    with Relay() as relay:
        relay.control("create-session", "main", "--match", f"port={relay.port},proto=trace-cmd-v3")
        must_be_in(relay, "main")
        must_be_in(relay, "default", V1)


@case
def sessions_survive():
    """Rules and ports are there after both daemons were killed."""
    port = environment().take_port()
    with Relay() as relay:
        relay.control("create-session", "racks", "--match", "addr=127.1.0.0/16", "--rotate-size", "1G")
        relay.control("create-session", "mine", "--listen", f"trace-cmd:127.0.0.1:{port}")
        relay.control("create-session", "gone")
        relay.control("destroy-session", "gone")
        relay.control("stop", "racks")
        relay.kill_both()
        relay.start()
        names = [s["name"] for s in relay.control("list")["sessions"]]
        if sorted(names) != ["default", "mine", "racks"]:
            raise Failed(f"sessions {names}")
        must_be_in(relay, "mine", address=("127.0.0.1", port))
        relay.control("start", "racks")
        must_hold_rotating(relay)


def must_hold_rotating(relay):
    client, kernel = begin(relay, source="127.1.0.9")
    send(relay, client, kernel, 3)
    client.finish()
    result = relay.await_results(1, "racks")[0]
    result.must_hold(kernel)
    if result.record["file"] != "trace.000001.dat":
        raise Failed(f"{result.record['file']} in a session that rotates")


@case
def stop_and_start():
    """Stop finishes the chunks and discards, connections stay; start stores again, in a new chunk."""
    with Relay() as relay:
        for n, dialect in enumerate(DIALECTS):
            name = f"s{n}"
            relay.control("create-session", name, "--match", f"addr=127.1.{n}.0/24")
            client, kernel = begin(relay, dialect, source=f"127.1.{n}.1")
            send(relay, client, kernel, 10)
            relay.control("stop", name)
            first = relay.await_results(1, name)[0]
            kept = {cpu.number: list(cpu.pages) for cpu in kernel.cpus}
            first.must_hold(kernel, pages_of=kept)
            send(relay, client, kernel, 20)
            wait_for("it to be discarded", lambda: all(s["discarded"]["stopped"] == 20 * 4096 for s in relay.status()["streams"]))
            client.check_silent()
            if [s["state"] for s in relay.status()["sources"]] != ["stopped"]:
                raise Failed(f"state {[s['state'] for s in relay.status()['sources']]}")
            relay.control("start", name)
            send(relay, client, kernel, 5)
            client.finish()
            second = relay.await_results(2, name)[1]
            for cpu in kernel.cpus:
                stream = second.stream(cpu.number)
                if stream["stored"] != 5 * 4096 or stream["discarded"]["stopped"] != 20 * 4096:
                    raise Failed(f"the second chunk: {stream}")
            for cpu in kernel.cpus:
                del cpu.pages[: len(kept[cpu.number])]
            if second.must_hold_part(kernel) != {0: 1, 1: 1}:
                raise Failed("where the session was stopped no event is said to be lost")


@case
def new_clients_of_a_stopped_session():
    """They are served, and what they send is discarded and counted: all of it, or with V3, whose session is not known
    before its metadata is complete, what comes behind that."""
    with Relay() as relay:
        relay.control("stop", "default")
        for dialect in DIALECTS:
            client, kernel = begin(relay, dialect)
            wait_for("it to be stopped", lambda: [s["state"] for s in relay.sources()] == ["stopped"])
            send(relay, client, kernel, 4)
            client.finish()
            relay.await_sources(0)
        if relay.counter("bytes_discarded_stopped") != 4 * 2 * 4 * 4096 or relay.counter("bytes_stored"):
            raise Failed(f"discarded {relay.counter('bytes_discarded_stopped')}, stored {relay.counter('bytes_stored')}")
        for result in relay.results():
            result.must_add_up()
        relay.control("start", "default")
        must_be_in(relay, "default")


@case
def destroy_ends_sources():
    """Connections are closed, chunks finished and kept; with --delete-data they go too; default stays."""
    with Relay() as relay:
        for delete in (False, True):
            relay.control("create-session", "doomed", "--match", "addr=127.1.0.0/16")
            client, kernel = begin(relay, source="127.1.0.1")
            other, elsewhere = begin(relay, source="127.2.0.1")
            send(relay, client, kernel, 10)
            send(relay, other, elsewhere, 10)
            relay.control("destroy-session", "doomed", *(["--delete-data"] if delete else []))
            client.sock.settimeout(5)
            if client.sock.recv(1):
                raise Failed("something is said")
            for stream in client.streams:
                stream.sock.settimeout(5)
                try:
                    if stream.sock.recv(1):
                        raise Failed("a stream answers")
                except ConnectionResetError:
                    pass
            client.die()
            wait_for("its end", lambda: len(relay.sources()) == 1)
            if delete:
                wait_for("its data to be gone", lambda: "doomed" not in os.listdir(relay.out))
            else:
                relay.await_results(1, "doomed")[0].must_hold(kernel, False, "destroyed")
            send(relay, other, elsewhere, 3)
            other.finish()
            relay.await_results(1 + delete)[-1].must_hold(elsewhere)
            must_be_in(relay, "default", source="127.1.0.1")
            for result in relay.results():
                if result.record["peer"].startswith("127.1."):
                    os.unlink(result.json_path)
        try:
            relay.control("destroy-session", "default")
        except Failed:
            return
        raise Failed("default can be destroyed")


@case
def rotate_by_size():
    """Chunks together hold every page once; each is readable by itself, its number part of its name."""
    with Relay() as relay:
        relay.control("create-session", "sized", "--match", "addr=127.0.0.0/8", "--rotate-size", "256K")
        for n, dialect in enumerate(DIALECTS):
            client, kernel = begin(relay, dialect, cpus=3)
            before = len(relay.results("sized"))
            for turn in range(8):
                send(relay, client, kernel, 22)
                # a chunk that is full waits for the one before to be in the catalog
                wait_for(f"chunk {turn + 1}", lambda least=before + turn: len(relay.results("sized")) > least)
            client.finish()
            relay.await_sources(0)
            results = [r for r in relay.results("sized") if r.source == n + 1]
            chunks_must_hold(results, kernel)
            if not 8 <= len(results) <= 9 or max(result.total("stored") for result in results) > 300 << 10:
                raise Failed(f"chunks of {[result.total('stored') for result in results]} bytes")
            for result in results:
                if result.record["file"] != f"trace.{result.chunk:06}.dat":
                    raise Failed(result.record["file"])


@case
def rotate_udp():
    """Datagrams too are cut between chunks, never inside a page."""
    with Relay({"trace-cmd.udp-linger": "100ms"}) as relay:
        relay.control("create-session", "sized", "--match", "addr=127.0.0.0/8", "--rotate-size", "128K")
        client, kernel = begin(relay, tcp=False)
        for n in range(40):
            for stream in client.streams:
                stream.send_pages(kernel.cpus[stream.cpu].fill(4, ident=BLOCK), kernel.page, 1 + n % 4)
            sent = sum(len(cpu.sent) for cpu in kernel.cpus)
            relay.await_received(sent)
            wait_for("the chunks that are full", lambda sent=sent: len(relay.results("sized")) >= sent // (160 << 10) - 1)
        client.finish()
        relay.await_sources(0)
        results = relay.results("sized")
        chunks_must_hold(results, kernel)
        if len(results) < 5:
            raise Failed(f"{len(results)} chunks")


@case
def rotate_by_order():
    """relayctl rotate: a chunk for every source that has data, idle CPUs and partial pages in flight included."""
    with Relay() as relay:
        clients = [begin(relay, dialect, source=f"127.1.0.{n + 1}", cpus=3) for n, dialect in enumerate(DIALECTS)]
        for turn in range(5):
            for client, kernel in clients:
                for cpu in (0, 1):  # CPU 2 stays idle
                    client.streams[cpu].send(kernel.cpus[cpu].fill(4, ident=BLOCK))
                half = kernel.cpus[0].page(ident=BLOCK)
                client.streams[0].send(half[:1000])
                client.streams[0].half = half
            sent = sum(len(cpu.sent) for _, kernel in clients for cpu in kernel.cpus) - 4 * 3096
            relay.await_received(sent)
            relay.control("rotate", "default")
            for client, _ in clients:
                client.streams[0].send(client.streams[0].half[1000:])
            relay.await_received(sent + 4 * 3096)
            relay.await_results(4 * (turn + 1))
        for client, kernel in clients:
            client.streams[2].send(kernel.cpus[2].page())
            client.finish()
        relay.await_sources(0)
        for n, (client, kernel) in enumerate(clients):
            chunks_must_hold([r for r in relay.results() if r.record["peer"].startswith(f"127.1.0.{n + 1}:")], kernel)
        if relay.counter("rotations_asked") != 20:
            raise Failed(f"rotations_asked is {relay.counter('rotations_asked')}")


@case
def rotate_by_time():
    with Relay() as relay:
        relay.control("create-session", "timed", "--match", "addr=127.0.0.0/8", "--rotate-time", "1s")
        client, kernel = begin(relay)
        end = time.monotonic() + 3.5
        while time.monotonic() < end:
            send(relay, client, kernel, 2)
            time.sleep(0.05)  # the sender's rate
        client.finish()
        relay.await_sources(0)
        results = relay.results("timed")
        chunks_must_hold(results, kernel)
        if not 3 <= len(results) <= 6:
            raise Failed(f"{len(results)} chunks in 3.5 s")


@case
def keep_chunks():
    """The newest N of each source stay; the catalog and the directory agree."""
    with Relay() as relay:
        relay.control(
            "create-session", "ring", "--match", "addr=127.0.0.0/8", "--rotate-size", "128K", "--keep-chunks", "2"
        )
        clients = [begin(relay, source=f"127.1.0.{n + 1}") for n in range(2)]
        for _ in range(20):
            for client, kernel in clients:
                send(relay, client, kernel, 10)
        for client, _ in clients:
            client.finish()
        relay.await_sources(0)
        for n, (_, kernel) in enumerate(clients):
            results = [r for r in relay.results("ring") if r.record["peer"].startswith(f"127.1.0.{n + 1}:")]
            if not 2 <= len(results) <= 3:
                raise Failed(f"{len(results)} chunks are kept")
            at = {cpu.number: len(cpu.pages) for cpu in kernel.cpus}
            for result in reversed(results):
                pages_of = {}
                for cpu in kernel.cpus:
                    count = (result.stream(cpu.number) or {"pages": 0})["pages"]
                    pages_of[cpu.number] = cpu.pages[at[cpu.number] - count : at[cpu.number]]
                    at[cpu.number] -= count
                result.must_hold(kernel, pages_of=pages_of)
        wait_for(
            "catalog and directory to agree",
            lambda: relay.control("show", "ring")["chunks"] == len(relay.results("ring")),
            5,
        )


main()
