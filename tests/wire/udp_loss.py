#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""udp_loss.py - datagrams that this host drops: counted one by one, marked in the file, shown by the report."""

import os
import random
import time

from rig.case import Failed, case, main
from rig.dialect import V1, V3, UdpStream
from rig.metadata import Head, head_of
from rig.relay import Relay, wait_for
from rig.subbuffer import BLOCK, Kernel

seed = int(os.environ.get("TRACERELAY_WIRE_SEED") or time.time_ns() % 1_000_000)

MIB = 1 << 20
LINGER = {"trace-cmd.udp-linger": "300ms"}


def begin(relay, kernel, dialect=V3, source=None):
    client = dialect(relay.address(), cpus=len(kernel.cpus), page=kernel.page, tcp=False, source=source)
    client.handshake()
    client.send_metadata(head_of(dialect, kernel).bytes())
    client.open_streams()
    return client


def send(client, kernel, datagrams, pages=1):
    """So many datagrams of so many pages for each CPU."""
    for _ in range(datagrams):
        for stream in client.streams:
            stream.send(kernel.cpus[stream.cpu].fill(pages, ident=BLOCK))


def flood(client, kernel, pages=1):
    """More than any queue holds: the relay asks for 4 MiB, which the kernel doubles."""
    send(client, kernel, 10 * MIB // (pages * kernel.page), pages)


def await_all(relay, kernel):
    relay.await_received(sum(len(cpu.sent) for cpu in kernel.cpus))


def check(result, kernel, per_datagram=1, least=1):
    """Every page is stored or in a datagram that is counted as dropped; gaps are marked. How many were dropped."""
    gaps = result.must_hold_part(kernel)
    sent = sum(len(cpu.pages) for cpu in kernel.cpus)
    dropped = result.total("datagrams_dropped")
    if result.total("pages") + dropped * per_datagram != sent:
        raise Failed(f"{sent} pages sent, {result.total('pages')} stored, {dropped} datagrams dropped; gaps {gaps}")
    if dropped < least:
        raise Failed(f"only {dropped} datagrams were dropped")
    if result.total("discarded.protocol") or result.total("discarded.partial"):
        raise Failed(f"ledger {result.record['totals']}")
    return dropped


@case
def relayd_stands_still():
    """SIGSTOP in the middle: what the queue could not hold is counted and marked."""
    with Relay(LINGER, small_queues=True) as relay:
        for n, (dialect, big) in enumerate(((V3, False), (V3, True), (V1, False))):
            kernel = Kernel(big=big)
            client = begin(relay, kernel, dialect)
            send(client, kernel, 5)
            await_all(relay, kernel)
            with relay.frozen():
                flood(client, kernel)
            wait_for("the queues to be empty", lambda: silent(relay))
            send(client, kernel, 5)
            client.finish()
            result = relay.await_results(n + 1)[-1]
            check(result, kernel, least=100)
        status = relay.status()["counters"]
        if not status["datagrams_dropped"] or not status["pages_marked"]:
            raise Failed(f"counted: {status['datagrams_dropped']} dropped, {status['pages_marked']} marked")


def silent(relay):
    """Nothing more comes in."""
    before = relay.status()["totals"]["received"]
    time.sleep(0.05)
    return relay.status()["totals"]["received"] == before


@case
def nothing_behind_the_loss():
    """Drops behind the last datagram that could be read: counted all the same."""
    with Relay(LINGER, small_queues=True) as relay:
        kernel = Kernel()
        client = begin(relay, kernel)
        send(client, kernel, 5)
        await_all(relay, kernel)
        with relay.frozen():
            flood(client, kernel)
            client.finish()
        check(relay.await_results(1)[0], kernel, least=100)


@case
def datagrams_of_many_pages():
    """5 to 15 pages at a time, as trace-cmd 3.1.6 sends them; without and with loss."""
    with Relay(LINGER, small_queues=True) as relay:
        for n, pages in enumerate((5, 7, 15)):
            kernel = Kernel()
            client = begin(relay, kernel)
            for _ in range(4):
                send(client, kernel, 2, pages)
                await_all(relay, kernel)
            client.finish()
            relay.await_results(2 * n + 1)[-1].must_hold(kernel)
            kernel = Kernel()
            client = begin(relay, kernel)
            send(client, kernel, 2, pages)
            await_all(relay, kernel)
            with relay.frozen():
                flood(client, kernel, pages)
            wait_for("the queues to be empty", lambda: silent(relay))
            send(client, kernel, 2, pages)
            client.finish()
            check(relay.await_results(2 * n + 2)[-1], kernel, pages, least=20)


@case
def lost_before_anything_was_read():
    """relayd stands still from the first datagram on: the shared socket's queue overflows, which is no secret either."""
    with Relay(LINGER, small_queues=True) as relay:
        kernel = Kernel()
        client = begin(relay, kernel)
        with relay.frozen():
            flood(client, kernel)
        wait_for("the queues to be empty", lambda: silent(relay))
        send(client, kernel, 5)
        await_stored = 2 * 5 * kernel.page
        relay.await_received(await_stored)
        client.finish()
        check(relay.await_results(1)[0], kernel, least=100)


@case
def killed_before_anything_was_read():
    """The same, and the relayd that the client had talked to is dead: the next one knows of the loss."""
    with Relay(LINGER, small_queues=True) as relay:
        kernel = Kernel()
        client = begin(relay, kernel)
        with relay.frozen():
            flood(client, kernel, 5)
            relay.kill()
        for _ in range(5):
            relay.kill_and_wait()
        wait_for("the queues to be empty", lambda: relay.try_status() and silent(relay))
        send(client, kernel, 5, 5)
        client.finish()
        check(relay.await_results(1)[0], kernel, 5, least=100)


@case
def linger_passes_unread():
    """The relay's own delay is nobody's loss: what came in time is stored, however late it is read."""
    with Relay({"trace-cmd.udp-linger": "20ms"}) as relay:
        for n in range(4):
            kernel = Kernel()
            client = begin(relay, kernel)
            if n % 2:  # the streams have sockets of their own
                send(client, kernel, 2)
                await_all(relay, kernel)
            with relay.frozen():
                send(client, kernel, 20, 3)
                client.finish()
                time.sleep(0.1)  # the linger passes
                if n > 1:
                    relay.kill()
            result = relay.await_results(n + 1)[-1]
            result.must_hold(kernel)


@case
def other_peers_losses():
    """Who has a socket of its own is not concerned by what the port's shared one drops."""
    with Relay(LINGER, small_queues=True) as relay:
        kernel = Kernel(cpus=1)
        client = begin(relay, kernel, source="127.0.0.5")
        send(client, kernel, 3)
        await_all(relay, kernel)
        other = Kernel(cpus=1)
        loud = begin(relay, other, source="127.0.0.6")
        with relay.frozen():
            flood(loud, other, 15)
        wait_for("the queues to be empty", lambda: silent(relay))
        relay.kill_and_wait()
        send(client, kernel, 3)
        send(loud, other, 3, 15)
        client.finish()
        loud.finish()
        results = {result.record["peer"].partition(":")[0]: result for result in relay.await_results(2)}
        results["127.0.0.5"].must_hold(kernel)
        check(results["127.0.0.6"], other, 15, least=20)


@case
def killed_behind_a_loss():
    """SIGKILL just when datagrams are received whose ancillary data tells of drops."""
    randomly = random.Random(seed)
    with Relay(LINGER, small_queues=True) as relay:
        kernel = Kernel(cpus=1)
        client = begin(relay, kernel)
        send(client, kernel, 3, 15)
        await_all(relay, kernel)
        for _ in range(15):
            with relay.frozen():
                flood(client, kernel, 15)
            end = time.perf_counter() + randomly.random() * 0.004
            while time.perf_counter() < end:
                pass
            relay.kill()
            send(client, kernel, 2, 15)
            wait_for("the queues to be empty", lambda: relay.try_status() and silent(relay))
        client.finish()
        check(relay.await_results(1)[0], kernel, 15, least=100)


@case
def killed_while_losing():
    """SIGKILL of relayd in a flood: each datagram is stored or counted, none twice."""
    with Relay(LINGER, small_queues=True) as relay:
        kernel = Kernel()
        client = begin(relay, kernel)
        send(client, kernel, 3)
        await_all(relay, kernel)
        for _ in range(15):
            send(client, kernel, 300)
            relay.kill()
            send(client, kernel, 300)
            time.sleep(0.01)  # the sender's rate
        wait_for("the queues to be empty", lambda: relay.try_status() and silent(relay))
        send(client, kernel, 3)
        client.finish()
        dropped = check(relay.await_results(1)[0], kernel, least=0)
        print(f"        {dropped} dropped")


@case
def other_sub_buffers():
    """16 KiB sub-buffers, of which everything claims 4: a lost datagram is a whole one."""
    with Relay(LINGER, small_queues=True) as relay:
        kernel = Kernel(page=16384)
        client = V3(relay.address(), page=4096, tcp=False)
        client.handshake()
        client.send_metadata(Head(kernel, 7, page=4096, page_text=4096).bytes())
        client.open_streams()
        send(client, kernel, 4)
        await_all(relay, kernel)
        with relay.frozen():
            flood(client, kernel)
        wait_for("the queues to be empty", lambda: silent(relay))
        send(client, kernel, 4)
        client.finish()
        check(relay.await_results(1)[0], kernel, least=20)


@case
def odd_datagrams():
    """Empty ones end nothing; what is no whole page is counted as such, and marked."""
    with Relay(LINGER) as relay:
        kernel = Kernel(cpus=1)
        client = begin(relay, kernel)
        stream = client.streams[0]
        send(client, kernel, 2)
        stream.send(b"")
        send(client, kernel, 2)
        await_all(relay, kernel)
        stream.send(b"\1" * 100)
        stream.send(b"")
        client.finish()
        result = relay.await_results(1)[0]
        result.must_hold_bytes({0: kernel.cpus[0].sent})
        if result.total("discarded.protocol") != 100:
            raise Failed(f"ledger {result.record['totals']}")


@case
def first_datagram_decides():
    """The first sender of a host is the stream; an early stray from another port of it changes nothing later."""
    with Relay(LINGER) as relay:
        kernel = Kernel(cpus=2)
        client = V3(relay.address(), tcp=False, source="127.0.0.5")
        client.handshake()
        client.send_metadata(Head(kernel, 7).bytes())
        UdpStream("127.0.0.1", client.ports[0], "127.0.0.6", 0).send(b"\2" * 4096)
        client.open_streams()
        send(client, kernel, 3)
        await_all(relay, kernel)
        for port in client.ports:
            late = UdpStream("127.0.0.1", port, "127.0.0.5", 0)
            for _ in range(10):
                late.send(b"\3" * 4096)
        send(client, kernel, 3)
        relay.await_counter("datagrams_stray", 21)
        client.finish()
        relay.await_results(1)[0].must_hold(kernel)


print(f"seed {seed}")
main()
