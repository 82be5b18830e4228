#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""disk_full.py - output.dir is full: connections stay, what is discarded is counted and marked, storing goes on when there
is room, control and status answer all the time.

Small file systems are mounted in a mount namespace of the test's own; without that right the test is skipped.
"""

import contextlib
import os
import threading
import time

from rig.case import Failed, case, main
from rig.dialect import DIALECTS, V1, V3
from rig.disk import small_ext4, small_tmpfs
from rig.metadata import head_of
from rig.relay import Relay, wait_for
from rig.subbuffer import BLOCK, Kernel

MIB = 1 << 20
FULL = ("disk", "finish", "database-failed")  # what a full disk may be told by


class Ballast:
    """Room that is taken, and given back."""

    def __init__(self, where, size):
        self.path = os.path.join(where, "ballast")
        with open(self.path, "wb") as f:
            f.write(b"\1" * size)

    def fill(self):
        """Take all that is left."""
        with open(self.path, "ab", buffering=0) as f, contextlib.suppress(OSError):
            while True:
                f.write(b"\1" * 4096)

    def give_back(self):
        os.unlink(self.path)


def recording(relay, dialect=V3, tcp=True, cpus=2, source=None, number=1):
    kernel = Kernel(cpus=cpus, client=number)
    client = dialect(relay.address(), cpus=cpus, tcp=tcp, source=source)
    client.handshake()
    client.send_metadata(head_of(dialect, kernel).bytes())
    client.open_streams()
    return client, kernel


def send(relay, client, kernel, pages):
    for stream in client.streams:
        data = kernel.cpus[stream.cpu].fill(pages, ident=BLOCK)
        if client.tcp:
            stream.send(data)
        else:
            stream.send_pages(data, kernel.page, 4)
            await_sent(relay, kernel, 20)


def await_sent(relay, kernel, seconds=15):
    relay.await_received(sum(len(cpu.sent) for cpu in kernel.cpus), seconds)


def discarded(relay):
    return sum(stream["discarded"]["disk"] for stream in relay.status()["streams"])


def state_of(relay):
    return [source["state"] for source in relay.status()["sources"]]


def check_ledgers(relay):
    for stream in relay.status()["streams"]:
        if stream["received"] != stream["stored"] + sum(stream["discarded"].values()):
            raise Failed(f"ledger {stream}")


def fill_and_go_on(relay, ballast, dialect, tcp, before):
    """Full in the middle of a recording, room again, on."""
    client, kernel = recording(relay, dialect, tcp)
    send(relay, client, kernel, 100)
    await_sent(relay, kernel)
    ballast.fill()
    for _ in range(20):
        send(relay, client, kernel, 60)
    await_sent(relay, kernel)
    wait_for("something to be discarded", lambda: discarded(relay) > 0)
    wait_for("state disk-full", lambda: state_of(relay) == ["disk-full"], 5)
    check_ledgers(relay)
    client.check_silent()
    ballast.give_back()
    wait_for("storing again", lambda: state_of(relay) == ["recording"], 5)
    gone = discarded(relay)
    send(relay, client, kernel, 40)
    await_sent(relay, kernel)
    if discarded(relay) != gone:
        raise Failed("there is room, and still pages are discarded")
    client.finish()
    result = relay.await_results(before + 1)[-1]
    gaps = result.must_hold_part(kernel)
    if not any(gaps.values()) or sum(gaps.values()) > 8:
        raise Failed(f"gaps: {gaps}")
    total = sum(len(cpu.sent) for cpu in kernel.cpus)
    if result.total("received") != total or result.total("discarded.disk") != total - result.total("stored"):
        raise Failed(f"sent {total}: {result.record['totals']}")
    if result.total("stored") < 2 * 140 * kernel.page:
        raise Failed(f"only {result.total('stored')} bytes are stored")
    result.must_be(result.record["complete"])
    os.unlink(result.path)


@case
def tmpfs_in_the_middle():
    """TCP and UDP, new and old clients."""
    with small_tmpfs(16 * MIB) as where:
        with Relay({"trace-cmd.udp-linger": "100ms"}, output=where, errors=FULL) as relay:
            for n, (dialect, tcp) in enumerate(((V3, True), (V3, False), (V1, True))):
                fill_and_go_on(relay, Ballast(where, 2 * MIB), dialect, tcp, 0)
            if relay.counter("disk_full_episodes") < 3:
                raise Failed(f"disk_full_episodes is {relay.counter('disk_full_episodes')}")
            with open(relay.log, encoding="utf8") as f:
                lines = [line for line in f if "No space left" in line]
            if not 3 <= len(lines) <= 20:
                raise Failed(f"{len(lines)} lines about it in the log")


@case
def ext4_in_the_middle():
    with small_ext4(32 * MIB) as where:
        with Relay(output=where, errors=FULL) as relay:
            fill_and_go_on(relay, Ballast(where, 4 * MIB), V3, True, 0)


@case
def control_and_status_while_full():
    """Both answer at once; what needs the disk says so; nothing hangs."""
    with small_tmpfs(8 * MIB) as where:
        with Relay(output=where, errors=FULL) as relay:
            relay.control("create-session", "early", "--match", "addr=127.0.0.77")
            ballast = Ballast(where, 2 * MIB)
            client, kernel = recording(relay)
            ballast.fill()
            over = threading.Event()

            def keep_sending():
                while not over.is_set():
                    send(relay, client, kernel, 50)

            thread = threading.Thread(target=keep_sending)
            thread.start()
            try:
                for words in (("list",), ("show", "early"), ("sources",), ("stop", "early"), ("start", "early")):
                    start = time.monotonic()
                    with contextlib.suppress(Failed):  # it may say no
                        relay.control(*words)
                    if time.monotonic() - start > 3:
                        raise Failed(f"relayctl {words[0]} took {time.monotonic() - start:.1f} s")
                start = time.monotonic()
                for _ in range(20):
                    relay.status()
                if time.monotonic() - start > 4:
                    raise Failed("status is slow")
                other, small = recording(relay, source="127.0.0.3", number=2)
                other.finish()
            finally:
                over.set()
                thread.join()
            ballast.give_back()
            wait_for("storing again", lambda: "disk-full" not in state_of(relay), 5)
            relay.control("create-session", "late", "--match", "addr=127.0.0.78")
            client.finish()
            wait_for("the ends", lambda: not relay.sources())
            check = {result.record["peer"].partition(":")[0]: result for result in relay.await_results(2)}
            check["127.0.0.1"].must_hold_part(kernel)
            check["127.0.0.3"].must_hold_part(small)


@case
def full_before_the_client_comes():
    """Its metadata waits, its pages are counted; when there is room its file is made, readable."""
    with small_tmpfs(8 * MIB) as where:
        with Relay(output=where, errors=FULL) as relay:
            ballast = Ballast(where, 2 * MIB)
            ballast.fill()
            for n, dialect in enumerate(DIALECTS):
                client, kernel = recording(relay, dialect, source=f"127.0.0.{n + 2}")
                send(relay, client, kernel, 5)
                await_sent(relay, kernel)
                wait_for("the pages to be discarded", lambda kernel=kernel: discarded(relay) == 2 * 5 * 4096)
                client.check_silent()
                ballast.give_back()
                wait_for("room", lambda: "disk-full" not in state_of(relay), 5)
                send(relay, client, kernel, 7)
                client.finish()
                gaps = relay.await_results(n + 1)[-1].must_hold_part(kernel)
                if gaps != {0: 1, 1: 1}:
                    raise Failed(f"gaps {gaps}")
                relay.await_sources(0)
                ballast = Ballast(where, MIB)
                ballast.fill()


@case
def end_while_full():
    """The client ends while there is no room for the record: finished as soon as there is."""
    with small_tmpfs(8 * MIB) as where:
        with Relay(output=where, errors=FULL) as relay:
            ballast = Ballast(where, 2 * MIB)
            client, kernel = recording(relay)
            send(relay, client, kernel, 50)
            await_sent(relay, kernel)
            ballast.fill()
            send(relay, client, kernel, 400)
            client.finish()
            wait_for("the control connection's end", lambda: relay.counter("closed_finished") == 1)
            await_sent(relay, kernel)
            ballast.give_back()
            relay.await_results(1)[0].must_hold_part(kernel)


@case
def killed_while_full():
    """SIGKILL of relayd while pages are discarded: the sums go on where they were."""
    with small_tmpfs(8 * MIB) as where:
        with Relay(output=where, errors=FULL) as relay:
            ballast = Ballast(where, 2 * MIB)
            client, kernel = recording(relay)
            send(relay, client, kernel, 50)
            await_sent(relay, kernel)
            ballast.fill()
            for _ in range(12):
                send(relay, client, kernel, 80)
                relay.kill_and_wait()
            await_sent(relay, kernel)
            check_ledgers(relay)
            ballast.give_back()
            wait_for("storing again", lambda: state_of(relay) == ["recording"], 5)
            send(relay, client, kernel, 20)
            client.finish()
            result = relay.await_results(1)[0]
            result.must_hold_part(kernel)
            if result.total("received") != sum(len(cpu.sent) for cpu in kernel.cpus):
                raise Failed(f"ledger {result.record['totals']}")


@case
def old_chunks_make_room():
    """--keep-chunks bounds a session: 24 MiB go through 12."""
    with small_tmpfs(12 * MIB) as where:
        with Relay(output=where, errors=FULL) as relay:
            relay.control(
                "create-session", "ring", "--match", "addr=127.0.0.0/8", "--rotate-size", "1M", "--keep-chunks", "3"
            )
            client, kernel = recording(relay)
            for _ in range(48):
                send(relay, client, kernel, 64)
                await_sent(relay, kernel)
            client.finish()
            wait_for("the end", lambda: not relay.sources())
            results = relay.results("ring")
            if not 3 <= len(results) <= 4:
                raise Failed(f"{len(results)} chunks are left")
            if any(result.total("discarded.disk") for result in results) or relay.counter("bytes_discarded_disk"):
                raise Failed("pages were discarded")
            numbers = [result.chunk for result in results]
            if numbers != list(range(numbers[0], numbers[0] + len(numbers))) or numbers[0] < 10:
                raise Failed(f"chunks {numbers}")
            at = {cpu.number: len(cpu.pages) for cpu in kernel.cpus}
            for result in reversed(results):
                pages_of = {}
                for cpu in kernel.cpus:
                    count = (result.stream(cpu.number) or {"pages": 0})["pages"]
                    pages_of[cpu.number] = cpu.pages[at[cpu.number] - count : at[cpu.number]]
                    at[cpu.number] -= count
                result.must_hold(kernel, pages_of=pages_of)


main()
