#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""restart.py - SIGKILL of relayd, of sessiond-lite, of both: no byte, no connection, no source is lost.

Moments are drawn from a seed that is printed; TRACERELAY_WIRE_SEED=N repeats them (as far as a scheduler repeats).
"""

import os
import random
import threading
import time

from rig.case import Failed, case, main
from rig.dialect import DIALECTS, V1, V2of27, V3, write_calls
from rig.metadata import Head, head_of
from rig.relay import Relay, is_running, wait_for
from rig.result import chunks_must_hold
from rig.subbuffer import BLOCK, Kernel

seed = int(os.environ.get("TRACERELAY_WIRE_SEED") or time.time_ns() % 1_000_000)


def some_pages(kernel, pages=2):
    for cpu in kernel.cpus:
        cpu.page(lost=3 + cpu.number)
        cpu.fill(pages)
    return kernel


class Killer:
    """Kills relayd at random moments within the block: at once when there is a new one, or up to `pause` s later."""

    def __init__(self, relay, pause=0.03, random_source=None):
        self.relay, self.pause = relay, pause
        self.random = random_source or random.Random(seed)
        self.kills = 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        last = None
        while not self.over.wait(self.random.random() * self.pause):
            pid = self.relay.relayd_pid()
            if pid not in (None, last) and self.relay.kill():
                last = pid
                self.kills += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


def check_recovered(relay, kills):
    """Nobody was closed but those who ended; the status document says how often it started."""
    status = wait_for("a relayd that serves", lambda: (lambda s: s if s and s["synced"] else None)(relay.try_status()))
    bad = {
        name: n
        for name, n in status["counters"].items()
        if name.startswith("closed_") and n and name not in ("closed_finished", "closed_eof")
    }
    if bad:
        raise Failed(f"connections were closed: {bad}")
    if kills and not status["counters"]["recoveries"]:
        raise Failed("no recovery is counted")


@case
def killed_at_every_step():
    """Every dialect, TCP and UDP: relayd is killed before each of its client's steps."""
    with Relay({"trace-cmd.udp-linger": "200ms"}) as relay:
        kills = 0
        for n, (dialect, tcp) in enumerate((d, t) for d in DIALECTS for t in (True, False)):
            killed = []
            kernel = some_pages(Kernel())

            def hook(step):
                if relay.kill():
                    killed.append(step)

            client = dialect(relay.address(), tcp=tcp, hook=hook)
            client.record(head_of(dialect, kernel).bytes(), kernel)
            relay.await_results(n + 1)[-1].must_hold(kernel)
            kills += len(killed)
        check_recovered(relay, kills)
        print(f"        {kills} kills")


@case
def killed_and_back_at_every_step():
    """The same, but the next relayd is there before the client goes on."""
    with Relay({"trace-cmd.udp-linger": "200ms"}) as relay:
        for n, (dialect, tcp) in enumerate((d, t) for d in DIALECTS for t in (True, False)):
            kernel = some_pages(Kernel())
            client = dialect(relay.address(), tcp=tcp, hook=lambda step: relay.kill_and_wait())
            client.record(head_of(dialect, kernel).bytes(), kernel)
            relay.await_results(n + 1)[-1].must_hold(kernel)
        check_recovered(relay, 1)


@case
def killed_behind_every_step():
    """Killed when the client has done its step: bytes are received, not yet understood; or understood, not answered."""
    randomly = random.Random(seed)
    with Relay({"trace-cmd.udp-linger": "200ms"}) as relay:
        for n, dialect in enumerate(DIALECTS * 3):
            kernel = some_pages(Kernel())
            client = dialect(relay.address())
            write = client.write

            def write_and_kill(data, write=write):
                write(data)
                end = time.perf_counter() + randomly.random() * 0.0008  # while the relay works on it
                while time.perf_counter() < end:
                    pass
                relay.kill()

            client.write = write_and_kill
            client.record(head_of(dialect, kernel).bytes(), kernel)
            relay.await_results(n + 1)[-1].must_hold(kernel)
        check_recovered(relay, 1)


@case
def killed_inside_metadata():
    """5 MB of v6 in a message for each write, V2 and V3; and V1's bare bytes."""
    with Relay() as relay:
        kills = 0
        for n, dialect in enumerate((V3, V2of27, V1)):
            kernel = some_pages(Kernel())
            client = dialect(relay.address())
            client.handshake()
            client.pieces = lambda metadata, size: write_calls(metadata)
            head = Head(kernel, 6, with_options=dialect is V3, padding=5_000_000)
            with Killer(relay) as killer:
                client.record_rest(head.bytes(), kernel)
            kills += killer.kills
            relay.await_results(n + 1)[-1].must_hold(kernel)
        check_recovered(relay, kills)
        print(f"        {kills} kills")


@case
def killed_while_pages_flow():
    """16 MiB over four streams: every byte in its place, every event once."""
    with Relay() as relay:
        kernel = Kernel(cpus=4)
        client = V3(relay.address(), cpus=4)
        client.handshake()
        client.send_metadata(Head(kernel, 7).bytes())
        client.open_streams()
        with Killer(relay, 0.02) as killer:
            for _ in range(64):
                for stream in client.streams:
                    stream.send(kernel.cpus[stream.cpu].fill(16, ident=BLOCK))
            client.finish()
            wait_for("20 kills", lambda: killer.kills >= 20 or relay.results())
        relay.await_results(1)[0].must_hold(kernel)
        check_recovered(relay, killer.kills)
        print(f"        {killer.kills} kills")


@case
def killed_while_datagrams_flow():
    """Datagrams of several pages wait in queues that outlive relayd: none is lost, none is stored twice."""
    with Relay({"trace-cmd.udp-linger": "500ms"}) as relay:
        kernel = Kernel(cpus=3)
        client = V3(relay.address(), cpus=3, tcp=False)
        client.handshake()
        client.send_metadata(Head(kernel, 7).bytes())
        client.open_streams()
        with Killer(relay, 0.02) as killer:
            for n in range(60):
                for stream in client.streams:
                    stream.send(kernel.cpus[stream.cpu].fill(1 + n % 5, ident=BLOCK))
                time.sleep(0.003)  # the sender's rate
            client.finish()
        relay.await_results(1)[0].must_hold(kernel)
        check_recovered(relay, killer.kills)
        print(f"        {killer.kills} kills")


@case
def killed_at_the_end():
    """Behind CLOSE, while chunks are finished, renamed, announced, compacted: each recording is one file, whole."""
    randomly = random.Random(seed)
    with Relay(ports=128) as relay:
        kernels = []
        for n in range(24):
            dialect = DIALECTS[n % 4]
            kernel = some_pages(Kernel(), n % 3)
            dialect(relay.address()).record(head_of(dialect, kernel).bytes(), kernel)
            kernels.append(kernel)
            end = time.perf_counter() + randomly.random() * 0.004
            while time.perf_counter() < end:
                pass
            relay.kill()
        for result, kernel in zip(relay.await_results(24), kernels):
            result.must_hold(kernel)
        wait_for("the end of all sources", lambda: not relay.sources())
        left = [name for name in relay.all_files() if ".open" in name or ".incoming" in name or ".tmp" in name]
        if left or len(relay.results()) != 24:
            raise Failed(f"{len(relay.results())} results, {left}")
        check_recovered(relay, 24)


@case
def killed_with_many_clients():
    """Twelve clients of all dialects at once, while relayd is killed all the time."""
    with Relay({"trace-cmd.udp-linger": "300ms"}, ports=256) as relay:
        clients = []

        def run(n):
            dialect = DIALECTS[n % 4]
            kernel = Kernel(client=n)
            for cpu in kernel.cpus:
                cpu.fill(10)
            client = dialect(relay.address(), tcp=n % 3 != 0, source=f"127.3.0.{n + 1}")
            clients.append((client, kernel))
            client.record(head_of(dialect, kernel).bytes(), kernel)

        errors = []

        def guarded(n):
            try:
                run(n)
            except Exception as e:  # told by the main thread
                errors.append(f"client {n}: {e!r}")

        with Killer(relay, 0.05) as killer:
            threads = [threading.Thread(target=guarded, args=(n,)) for n in range(12)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        if errors:
            raise Failed("; ".join(errors))
        by_peer = {f"{client.source}:{client.sock_port}": kernel for client, kernel in clients}
        for result in relay.await_results(12, seconds=20):
            result.must_hold(by_peer[result.record["peer"]])
        check_recovered(relay, killer.kills)
        print(f"        {killer.kills} kills")


@case
def killed_while_rotating():
    """Chunks of 128 KiB, cut on page boundaries: together they hold every page once."""
    with Relay() as relay:
        relay.control("create-session", "rotating", "--match", "addr=127.0.0.0/8", "--rotate-size", "128K")
        for n, dialect in enumerate((V3, V1)):
            kernel = Kernel(cpus=3)
            client = dialect(relay.address(), cpus=3)
            client.handshake()
            client.send_metadata(head_of(dialect, kernel).bytes())
            client.open_streams()
            with Killer(relay, 0.05) as killer:
                for _ in range(60):
                    for stream in client.streams:
                        stream.send(kernel.cpus[stream.cpu].fill(3, ident=BLOCK))
                    time.sleep(0.01)  # the sender's rate: time for some chunks
                client.finish()
                wait_for("the end", lambda: (lambda s: s and not s["sources"])(relay.try_status()))
            source = n + 1
            results = [r for r in relay.results("rotating") if r.source == source]
            chunks_must_hold(results, kernel)
            if len(results) < 4:
                raise Failed(f"{len(results)} chunks only")
            print(f"        {killer.kills} kills, {len(results)} chunks")


@case
def stopped_for_a_while():
    """SIGSTOP of relayd in the handshake and the recording: clients just wait."""
    with Relay() as relay:
        for n, dialect in enumerate(DIALECTS):
            kernel = some_pages(Kernel(), 20)
            client = dialect(relay.address())
            with relay.frozen():
                resume = threading.Timer(0.3, lambda: os.kill(relay.relayd_pid(), 18))
                resume.start()
                client.handshake()
                resume.join()
            client.send_metadata(head_of(dialect, kernel).bytes())
            client.open_streams()
            with relay.frozen():
                for stream in client.streams:
                    stream.send(kernel.cpus[stream.cpu].sent)
            client.finish()
            relay.await_results(n + 1)[-1].must_hold(kernel)


def recording(relay, dialect, kernel, **more):
    client = dialect(relay.address(), cpus=len(kernel.cpus), **more)
    client.handshake()
    client.send_metadata(head_of(dialect, kernel).bytes())
    for stream in client.open_streams():
        stream.send(kernel.cpus[stream.cpu].sent)
    relay.await_received(sum(len(cpu.sent) for cpu in kernel.cpus))
    return client


@case
def both_killed():
    """Finished chunks are as they were; the open ones are repaired at the next start, readable, marked incomplete."""
    with Relay() as relay:
        last = 0
        for n, dialect in enumerate(DIALECTS):
            done = some_pages(Kernel())
            dialect(relay.address()).record(head_of(dialect, done).bytes(), done)
            before = relay.await_results(2 * n + 1)
            kernel = some_pages(Kernel(), 300 if dialect is V3 else 3)
            client = recording(relay, dialect, kernel)
            relay.kill_both()
            client.die()
            relay.start()
            results = relay.await_results(2 * n + 2)
            for old in before:
                if next(r for r in results if r.path == old.path).read() != old.read():
                    raise Failed(f"{old.json_path} has changed")
            new = next(r for r in results if r.path not in {old.path for old in before})
            new.must_hold(kernel, False)
            before[-1].must_hold(done)
            if new.source <= last:
                raise Failed(f"source number {new.source} again")
            last = new.source


@case
def both_killed_of_foreign_kernels():
    """The repair reads byte order, word and sub-buffer size from the file itself."""
    with Relay() as relay:
        kernels = [Kernel(big=True), Kernel(big=True, long_size=4), Kernel(page=16384)]
        clients = []
        for n, kernel in enumerate(kernels):
            some_pages(kernel, 5)
            client = V3(relay.address(), page=4096, source=f"127.0.0.{n + 2}")
            client.handshake()
            size = 4096 if n == 2 else kernel.page
            client.send_metadata(Head(kernel, 7 if n else 6, page=size, page_text=size).bytes())
            for stream in client.open_streams():
                stream.send(kernel.cpus[stream.cpu].sent)
            clients.append(client)
        total = sum(len(cpu.sent) for kernel in kernels for cpu in kernel.cpus)
        relay.await_received(total)
        relay.kill_both()
        for client in clients:
            client.die()
        relay.start()
        for result in relay.await_results(3):
            n = int(result.record["peer"].partition(":")[0][-1]) - 2
            result.must_hold(kernels[n], False)


@case
def both_killed_inside_metadata():
    """Nothing readable can be made of it, but it is kept, and does not stand in the way."""
    with Relay() as relay:
        kernel = some_pages(Kernel())
        client = V3(relay.address())
        client.handshake()
        head = Head(kernel, 7, padding=300_000).bytes()
        client.send_piece(head[:8000])
        for stream in client.open_streams():
            stream.send(kernel.cpus[stream.cpu].sent)
        relay.await_received(sum(len(cpu.sent) for cpu in kernel.cpus))
        relay.kill_both()
        client.die()
        relay.start()
        result = relay.await_results(1)[0]
        result.must_be(False)
        if result.path.endswith(".dat"):
            raise Failed(f"{result.path} is called a trace.dat")
        good = some_pages(Kernel())
        V3(relay.address(), source="127.0.0.4").record(Head(good, 7).bytes(), good)
        next(r for r in relay.await_results(2) if r.record["peer"].startswith("127.0.0.4")).must_hold(good)


@case
def both_killed_while_rotating():
    """Every chunk but the last is complete, the last is repaired; nothing is there twice."""
    with Relay() as relay:
        relay.control("create-session", "rotating", "--match", "addr=127.0.0.0/8", "--rotate-size", "64K")
        kernel = Kernel()
        client = V3(relay.address())
        client.handshake()
        client.send_metadata(Head(kernel, 7).bytes())
        client.open_streams()
        for n in range(6):
            for stream in client.streams:
                stream.send(kernel.cpus[stream.cpu].fill(9, ident=BLOCK))
            wait_for(f"chunk {n + 1}", lambda: len(relay.results("rotating")) > n)
        for stream in client.streams:
            stream.send(kernel.cpus[stream.cpu].fill(2))
        relay.await_received(sum(len(cpu.sent) for cpu in kernel.cpus))
        relay.kill_both()
        client.die()
        relay.start()
        results = relay.await_results(7, "rotating")
        chunks_must_hold(results, kernel, complete=False)


@case
def sessiond_lite_killed():
    """relayd finishes its chunks and ends; the next pair waits for that and takes over."""
    with Relay() as relay:
        kernel = some_pages(Kernel(), 50)
        client = recording(relay, V3, kernel)
        relayd = relay.relayd_pid()
        relay.kill_sessiond()
        relay.process.wait()
        relay.process.stdout.close()
        relay.process = None
        relay.start()
        if is_running(relayd):
            raise Failed("the old relayd still runs beside the new pair")
        relay.await_results(1)[0].must_hold(kernel, False)
        client.die()
        good = some_pages(Kernel())
        V3(relay.address(), source="127.0.0.4").record(Head(good, 7).bytes(), good)
        relay.await_results(2)[-1].must_hold(good)


print(f"seed {seed}")
main()
