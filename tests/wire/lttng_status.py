#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""lttng_status.py - what status.sock says of LTTng: names, losses, states and roles; a session that is stopped."""

import json
import os
import struct

from rig.case import Failed, case, main
from rig.dialect import V3
from rig.lttng import OK, STREAMS_SENT, Client, Viewer, lttng_relay
from rig.metadata import Head
from rig.relay import wait_for
from rig.subbuffer import Kernel


def equal(what, found, wanted):
    if found != wanted:
        raise Failed(f"{what}: {found}, not {wanted}")


def source_of(relay, name="s"):
    return next((s for s in relay.sources() if s["client_session"] == name), None)


def lossy(stream, number, lost):
    """A packet that its tracer says is its number-th, after so many events were discarded in all."""
    packet = stream.client.program.packet(stream.cpu)
    fields = list(struct.unpack(">8Q", packet.index))
    fields[4], fields[7] = lost, number
    packet.index = struct.pack(">8Q", *fields)
    stream.send_data(packet)
    if stream.client.minor >= 4 and not stream.client.snapshot:
        stream.send_index(packet)
    stream.sent(packet)


def losses(relay, *lists):
    status = relay.status()
    return [[(one["lost_events"], one["lost_packets"]) for one in status[name]] for name in lists]


@case
def losses_of_every_minor():
    for minor, wanted in ((3, (None, None)), (4, (107, None)), (7, (107, None)), (8, (107, 4)), (13, (107, 4))):
        with lttng_relay({"lttng.protocol": f"2.{minor}"}) as relay:
            client = Client(relay, minor)
            client.hello()
            client.begin(cpus=1)
            for number, lost in ((0, 0), (1, 7), (4, 7), (5, 100), (8, 107)):
                lossy(client.streams[0], number, lost)
            client.await_stored()
            streams, sources, sessions = losses(relay, "streams", "sources", "sessions")
            equal(f"minor {minor}", streams, [wanted, (None, None)])  # the other is metadata
            equal(f"minor {minor}, its source", sources + sessions, [wanted, wanted])
            ledger = relay.status()["streams"][0]
            equal("bytes", ledger["received"], ledger["stored"])
            equal("packets", ledger["packets"], 5)
            client.finish()


@case
def chunks_in_the_catalog():
    """relayctl list counts finished chunks, also over kills."""
    with lttng_relay() as relay:
        total = 0
        for number in (1, 2):
            client = Client(relay, name=f"s{number}", number=number)
            client.record(packets=3)
            with open(os.path.join(client.folder, "chunk.json"), encoding="utf8") as f:
                total += json.load(f)["bytes"]
            if number == 1:
                relay.kill_and_wait()
        shown = {}

        def both():
            shown.update(next(s for s in relay.control("list")["sessions"] if s["name"] == "default"))
            return shown["chunks"] == 2

        wait_for("two chunks in the catalog", both)
        equal("bytes in the catalog", shown["bytes"], total)


@case
def losses_over_kills():
    """Repeated nor lost by SIGKILLs between and inside the steps."""
    with lttng_relay() as relay:
        client = Client(relay)
        client.hello()
        client.begin(cpus=2)
        for n in range(60):
            for stream in client.streams:
                lossy(stream, 3 * n, 5 * n)
            if n % 4 == 1:
                relay.kill_and_wait()
        client.await_stored()
        (session,) = losses(relay, "sessions")
        equal("two streams", session, [(2 * 5 * 59, 2 * 2 * 59)])
        client.finish()
        relay.await_sources(0)
        equal("nobody is left", losses(relay, "sessions"), [[(0, 0)]])


@case
def snapshots_tell_nothing():
    with lttng_relay() as relay:
        client = Client(relay, snapshot=1)
        client.hello()
        client.create_chunk(override="snapshot-1")
        lossy(client.add_stream("ch_0"), 5, 5)
        wait_for("the packet", lambda: relay.status()["totals"]["packets"])
        equal("a snapshot", losses(relay, "sources", "streams"), [[(None, None)], [(None, None)]])
        equal("mode", source_of(relay)["mode"], "snapshot")
        client.close()


@case
def what_everything_is_called():
    with lttng_relay() as relay:
        client = Client(relay, name="live", minor=12, live=1000000)
        client.connect()
        talk = wait_for("the connection", lambda: relay.status()["connections"])[0]
        equal("a new one", (talk["protocol"], talk["role"], talk["state"]), ("LTTng", "control", "new"))
        client.version()
        equal("the session", client.create_session()[0], OK)
        client.connect_data()
        source = source_of(relay, "live")
        words = [source[key] for key in ("protocol", "host", "mode", "state", "streams", "cpus", "viewers")]
        equal("before any stream", words, ["LTTng 2.12", "wire", "live", "waiting", 0, None, 0])
        client.begin()
        client.streams[0].packet()
        client.await_stored()
        viewer = Viewer(relay).hello()
        viewer.attach(viewer.find("live")[0])
        status = relay.status()
        equal("the source", [source_of(relay, "live")[key] for key in ("state", "viewers", "streams_open")], ["recording", 1, 3])
        names = [(s["name"], s["cpu"], s["port"]) for s in status["streams"]]
        equal("streams", names, [(f"ust/uid/0/64-bit/{name}", None, None) for name in ("ch_0", "ch_1", "metadata")])
        found = sorted((c["role"], c["protocol"], c["state"], c["source"]) for c in status["connections"])
        number = source["number"]
        wanted = [
            ("control", "LTTng 2.12", "session", number),
            ("data", "LTTng 2.12", "header", number),
            ("viewer", "LTTng live 2.4", "session", None),
        ]
        equal("connections", found, wanted)
        client.close_stream(client.streams[1])
        wait_for("one stream less", lambda: source_of(relay, "live")["streams_open"] == 2)
        equal("its state", [s["state"] for s in relay.status()["streams"]], ["open", "ended", "open"])
        viewer.close()
        wait_for("the viewer's leaving", lambda: source_of(relay, "live")["viewers"] == 0)
        client.finish()


@case
def stopped_session():
    """New client sessions are refused, those there are go on into nothing, and are told that all is stored."""
    with lttng_relay() as relay:
        first = Client(relay)
        first.hello()
        first.begin(cpus=1)
        first.streams[0].packet()
        first.await_stored()
        relay.control("stop", "default")
        equal("state", source_of(relay)["state"], "stopped")
        packet = first.program.packet(0)
        stream = first.streams[0]
        stream.send_data(packet)
        stream.send_index(packet)
        stream.seq += 1
        first.await_stored()
        ledger = relay.status()["streams"][0]
        equal("discarded", ledger["discarded"]["stopped"], len(packet.data))
        equal("received", ledger["received"], ledger["stored"] + len(packet.data))

        second = Client(relay, name="second", number=2)
        second.connect()
        second.version()
        code, path = second.create_session()
        if code == OK or path is None:
            raise Failed(f"CREATE_SESSION of a stopped session: code {code}, path {path}")
        equal("nobody came in", len(relay.sources()), 1)
        equal("a rotation", refusal(relay, "rotate", "default"), True)
        relay.control("start", "default")
        equal("the same connection, started", second.create_session()[0], OK)
        second.connect_data()
        second.begin(cpus=1)
        second.streams[0].packet()
        second.finish()
        second.must_hold()
        stream.packet()
        first.finish()
        first.must_hold()


def refusal(relay, *words):
    try:
        relay.control(*words)
    except Failed as said:
        return "status 1" in str(said)
    return False


@case
def rotation_is_the_clients():
    with lttng_relay() as relay:
        client = Client(relay)
        client.hello()
        client.begin(cpus=1)
        client.streams[0].packet()
        equal("rotate", refusal(relay, "rotate", "default"), True)
        equal("rule", refusal(relay, "create-session", "x", "--match", "proto=lttng", "--rotate-time", "1h"), True)
        relay.control("create-session", "y", "--match", "addr=127.0.0.0/8", "--rotate-size", "64K", "--keep-chunks", "1")
        other = Client(relay, name="other", number=2)
        other.hello()
        equal("it is in the session that rotates", source_of(relay, "other")["session"], "y")
        equal("and is counted", relay.control("show", "y")["lttng_sources"], 1)
        other.close()
        client.finish()
        client.must_hold()


@case
def rotation_of_both():
    """trace-cmd's sources rotate, and it is said that LTTng's do not."""
    with lttng_relay() as relay:
        client = Client(relay)
        client.hello()
        client.begin(cpus=1)
        client.streams[0].packet()
        kernel = Kernel(1)
        recording = V3(relay.address(), 1)
        recording.handshake()
        recording.send_metadata(Head(kernel, 7, node="wire").bytes())
        recording.open_streams()
        recording.streams[0].send(kernel.cpus[0].fill(4))
        wait_for("the pages", lambda: relay.status()["totals"]["pages"] == 4)
        equal("rotate", relay.control("rotate", "default"), {"sources": 1, "lttng_sources": 1})
        relay.await_results(1)
        equal("LTTng's chunk", source_of(relay)["chunk"], 1)
        client.streams[0].packet()
        client.finish()
        client.must_hold()
        recording.finish()


# What programs with buffers of their own leave behind while their session goes on.

def begin_program(client, number):
    """Its packets' stream and its metadata's."""
    path = f"ust/pid/program-{number}"
    stream = client.add_stream("ch_0", 0, path)
    metadata = client.add_stream("metadata", path=path)
    client.ask_ok("streams sent", STREAMS_SENT)
    client.send_metadata()
    return stream, metadata


def end_program(client, program):
    for stream in program:
        client.close_stream(stream)
        client.all_streams.remove(stream)
    client.streams.remove(program[0])
    return program


def wait_for_room(relay, programs, at_once):
    """Until so many more streams may be."""
    wait_for("streams to retire", lambda: source_of(relay)["streams"] + 2 * programs <= at_once)


@case
def programs_come_and_go():
    """Many times more streams than a peer may have at once; SIGKILLs of relayd meanwhile; the sums stay exact."""
    programs, at_once, ended = 400, 600, []
    with lttng_relay({"limits.streams-per-peer": at_once}) as relay:
        client = Client(relay)
        client.hello()
        client.create_chunk()
        staying = begin_program(client, programs)
        for n in range(programs):
            if n % 25 == 0:
                wait_for_room(relay, 25, at_once)
            program = begin_program(client, n)
            program[0].packet(events=3)
            if n % 100 == 50:
                relay.kill()
            if n % 2:
                client.await_stored()
            ended.append(end_program(client, program))
            if n % 50 == 0:
                staying[0].packet()
        client.await_stored()
        wait_for("streams to retire", lambda: source_of(relay)["streams"] <= 512)
        everyone = [stream for program in [*ended, staying] for stream in program]
        sent = sum(len(part) for part, _ in client.program.metadata()) * (programs + 1)
        sent += sum(len(packet.data) for stream in everyone for packet in stream.packets)
        source = source_of(relay)
        equal("bytes", [source["received"], source["stored"], sum(source["discarded"].values())], [sent, sent, 0])
        equal("packets", source["packets"], sum(len(stream.packets) for stream in everyone))
        equal("streams", source["streams"] + source["streams_retired"], 2 * programs + 2)
        equal("losses", source["lost_events"], 0)
        client.metadata = staying[1]
        client.destroy()
        client.all_streams = everyone
        client.streams = [stream for stream in everyone if not stream.is_metadata]
        client.must_hold()
        with open(os.path.join(client.folder, "chunk.json"), encoding="utf-8") as f:
            record = json.load(f)
        parts = [record["ended_streams"], *record["streams"]]
        equal("chunk.json: streams", parts[0]["count"] + len(parts) - 1, 2 * programs + 2)
        equal("chunk.json: bytes", [record["bytes"], sum(part["stored"] for part in parts)], [sent, sent])
        equal("chunk.json", record["complete"], True)


main(tool="babeltrace2")
