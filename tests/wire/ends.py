#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""ends.py - how recordings end, or do not: dying clients, orphans, idle CPUs, early and late data, strangers."""

import contextlib
import os
import signal
import socket
import subprocess

from rig.case import Failed, case, environment, main, need, need_root
from rig.dialect import DIALECTS, V1, V2of27, V3, UdpStream, connect, reset
from rig.metadata import Head, head_of
from rig.relay import Relay, libc, stopped, wait_for
from rig.subbuffer import BLOCK, Kernel


class Died(Exception):
    """The client does not live to take its next step."""


def some_pages(cpus=2, pages=2):
    kernel = Kernel(cpus=cpus)
    for cpu in kernel.cpus:
        cpu.fill(pages)
    return kernel


def recording(relay, dialect=V3, kernel=None, **more):
    """A client that is recording: streams are open, the pages sent."""
    kernel = kernel or some_pages()
    client = dialect(relay.address(), cpus=len(kernel.cpus), **more)
    client.handshake()
    client.send_metadata(head_of(dialect, kernel).bytes())
    for stream in client.open_streams():
        stream.send(kernel.cpus[stream.cpu].sent)
    return client, kernel


def all_sent(kernel):
    return sum(len(cpu.sent) for cpu in kernel.cpus)


def nothing_left(relay):
    status = relay.status()
    return not status["sources"] and not status["connections"] and not status["totals"]["leases"]


def await_nothing_left(relay):
    wait_for("all connections, sources and leases to be gone", lambda: nothing_left(relay))


def good_recording(relay):
    """Nobody else may notice what happened."""
    before = len(relay.results())
    client, kernel = recording(relay, source="127.0.0.9")
    client.finish()
    relay.await_results(before + 1)
    result = next(r for r in relay.results() if r.record["peer"].startswith("127.0.0.9:"))
    result.must_hold(kernel)


def die_at(relay, dialect, tcp, n):
    """A client that dies before its n-th step; the steps it took, the kernel, and pages sent by CPU. None: it lived."""
    kernel = some_pages()
    steps = []

    def hook(step):
        if len(steps) == n:
            raise Died
        steps.append(step)

    client = dialect(relay.address(), tcp=tcp, hook=hook)
    try:
        client.record(head_of(dialect, kernel).bytes(), kernel)
    except Died:
        client.die()
        return steps, kernel
    return None, kernel


def check_dead(result, dialect, steps, kernel, tcp):
    """What became of a client that took these steps."""
    # CLOSE is said behind the step "close"; V1's end of file is as good
    if "close" in steps or (dialect is V1 and "stream end" in steps):
        result.must_hold(kernel)
        return
    sent = steps.count("pages") if tcp else steps.count("pages") // 2
    if "metadata end" not in steps and dialect is not V1:
        if result and result.record["complete"]:
            raise Failed(f"died after {steps[-1]!r}: complete")
        return
    if sent and not result:
        raise Failed(f"died after {steps[-1]!r}: its pages are nowhere")
    if result and dialect is not V1:
        pages_of = {cpu.number: cpu.pages if cpu.number < sent else [] for cpu in kernel.cpus}
        if tcp:
            result.must_hold(kernel, False, "CLOSE|closed", pages_of)


@case
def dies_at_every_step():
    """Every dialect, before each of its steps; all that was sent is kept, nothing is left behind."""
    with Relay({"trace-cmd.udp-linger": "20ms"}) as relay:
        for dialect in DIALECTS:
            for tcp in (True, False) if dialect in (V1, V3) else (True,):
                for n in range(1, 40):
                    before = relay.results()
                    steps, kernel = die_at(relay, dialect, tcp, n)
                    if steps is None:
                        relay.await_results(len(before) + 1)[-1].must_hold(kernel)
                        break
                    await_nothing_left(relay)
                    new = [r for r in relay.results() if r.source not in {b.source for b in before}]
                    for result in new:
                        result.must_add_up()
                    if len(new) > 1:
                        raise Failed(f"died after {steps[-1]!r}: {len(new)} results")
                    check_dead(new[0] if new else None, dialect, steps, kernel, tcp)
        if relay.counter("closed_eof_in_handshake") < 8 or relay.counter("closed_eof_in_metadata") < 6:
            raise Failed("not counted")
        good_recording(relay)


@case
def last_page_is_partial():
    """A killed client's last page is cut off; what is whole is readable."""
    with Relay() as relay:
        client, kernel = recording(relay)
        client.streams[0].send(kernel.cpus[0].pages[0].bytes[:100])
        client.die()
        result = relay.await_results(1)[0]
        result.must_be(False, "CLOSE")
        result.must_hold_bytes({cpu.number: cpu.sent for cpu in kernel.cpus})
        if result.total("discarded.partial") != 100 or result.total("received") != all_sent(kernel) + 100:
            raise Failed(f"ledger {result.record['totals']}")


@case
def dies_inside_metadata():
    """Pages that came although the metadata never was complete: kept, counted, not called a trace.dat."""
    with Relay() as relay:
        for n, dialect in enumerate(DIALECTS):
            kernel = some_pages()
            client = dialect(relay.address())
            client.handshake()
            head = head_of(dialect, kernel).bytes()
            client.send_piece(head[: len(head) // 2])
            for stream in client.open_streams():
                stream.send(kernel.cpus[stream.cpu].sent)
            relay.await_received(all_sent(kernel))
            client.die()
            result = relay.await_results(n + 1)[-1]
            result.must_be(False)
            result.must_add_up()
            if result.total("stored") != all_sent(kernel) or result.path.endswith(".dat"):
                raise Failed(f"stored {result.total('stored')} of {all_sent(kernel)}, as {result.record['file']}")


@case
def orphan():
    """The control connection ends without CLOSE, streams go on: so does storing."""
    with Relay() as relay:
        for n, dialect in enumerate((V3, V2of27)):
            client, kernel = recording(relay, dialect)
            relay.await_received(all_sent(kernel))
            client.sock.close()
            wait_for("the orphan", lambda: [s["state"] for s in relay.sources()] == ["orphan"])
            for stream in client.streams:
                stream.send(kernel.cpus[stream.cpu].fill(3))
            relay.await_received(all_sent(kernel))
            relay.await_counter("sources_orphaned", n + 1)
            client.close_streams()
            relay.await_results(n + 1)[-1].must_hold(kernel, False, "CLOSE")


@case
def v1_end_of_file_is_no_orphan():
    """V1 ends by closing; streams that have data yet are drained to their ends."""
    with Relay() as relay:
        client, kernel = recording(relay, V1)
        client.close()
        relay.await_counter("closed_finished", 1)
        for stream in client.streams:
            stream.send(kernel.cpus[stream.cpu].fill(20))
        client.close_streams()
        relay.await_results(1)[0].must_hold(kernel)
        if relay.counter("sources_orphaned"):
            raise Failed("counted as an orphan")


@case
def close_before_the_streams_end():
    """CLOSE overtakes the data, which is in flight."""
    with Relay() as relay:
        client, kernel = recording(relay)
        client.close()
        relay.await_counter("closed_finished", 1)
        for stream in client.streams:
            stream.send(kernel.cpus[stream.cpu].fill(50))
        client.close_streams()
        relay.await_results(1)[0].must_hold(kernel)


@case
def cpu_that_never_connects():
    """Its recorder failed, or trace-cmd is told to use some CPUs only: the end comes at once all the same."""
    with Relay() as relay:
        for n, dialect in enumerate(DIALECTS):
            kernel = some_pages(cpus=3)
            kernel.cpus[1].pages.clear()
            client = dialect(relay.address(), cpus=3)
            client.handshake()
            client.send_metadata(head_of(dialect, kernel).bytes())
            for cpu in (0, 2):
                client.open_stream(cpu).send(kernel.cpus[cpu].sent)
            client.finish()
            relay.await_results(n + 1, seconds=2)[-1].must_hold(kernel)
            await_nothing_left(relay)


@case
def idle_cpu():
    """Connected, but silent to the end; and one that sends only at the end."""
    with Relay() as relay:
        kernel = Kernel(cpus=3)
        client, _ = recording(relay, kernel=kernel)
        client.streams[0].send(kernel.cpus[0].fill(30))
        relay.await_received(all_sent(kernel))
        client.streams[2].send(kernel.cpus[2].page(events=1))
        client.finish()
        relay.await_results(1)[0].must_hold(kernel)


@case
def recording_of_nothing():
    """No CPU sent anything."""
    with Relay() as relay:
        for n, dialect in enumerate(DIALECTS):
            client, kernel = recording(relay, dialect, Kernel())
            client.finish()
            relay.await_results(n + 1)[-1].must_hold(kernel)


@case
def data_overtakes_metadata():
    """Pages are here before the first byte of metadata is."""
    with Relay({"trace-cmd.udp-linger": "50ms"}) as relay:
        n = 0
        for dialect in DIALECTS:
            for tcp in (True, False):
                kernel = some_pages()
                client = dialect(relay.address(), tcp=tcp)
                client.handshake()
                for stream in client.open_streams():
                    for page in kernel.cpus[stream.cpu].pages:
                        stream.send(page.bytes)
                relay.await_received(all_sent(kernel))
                client.send_metadata(head_of(dialect, kernel).bytes())
                client.finish()
                n += 1
                relay.await_results(n)[-1].must_hold(kernel)


@case
def late_connections():
    """Streams that nobody has accepted yet when CLOSE is read: with either daemon asleep."""
    with Relay() as relay:
        for n, asleep in enumerate((relay.process.pid, relay.relayd_pid())):
            kernel = some_pages(cpus=4)
            client = V3(relay.address(), cpus=4)
            client.handshake()
            client.send_metadata(Head(kernel, 7).bytes())
            client.open_stream(0).send(kernel.cpus[0].sent)
            with stopped(asleep):
                for cpu in (1, 2):
                    client.open_stream(cpu).send(kernel.cpus[cpu].sent)
                client.close_streams()
                client.close()
                client.streams.clear()
                client.open_stream(3).send(kernel.cpus[3].sent)  # behind CLOSE even
                client.close_streams()
            relay.await_results(n + 1)[-1].must_hold(kernel)
        if relay.counter("closed_no_lease"):
            raise Failed("a late connection was turned away")


@case
def too_late():
    """When the source has ended its ports are nobody's."""
    with Relay() as relay:
        client, kernel = recording(relay)
        client.finish()
        relay.await_results(1)[0].must_hold(kernel)
        await_nothing_left(relay)
        must_be_closed(("127.0.0.1", client.ports[0]))
        relay.await_counter("closed_no_lease", 1)


def must_be_closed(address, source=None):
    sock = connect(address, source)
    with sock:
        try:
            if sock.recv(1):
                raise Failed(f"{address} answers")
        except ConnectionResetError:
            pass
        except socket.timeout as e:
            raise Failed(f"{address} stays open") from e


@case
def second_connection_to_a_port():
    """Closed and counted; the stream does not notice."""
    with Relay() as relay:
        client, kernel = recording(relay)
        relay.await_received(all_sent(kernel))
        must_be_closed(("127.0.0.1", client.ports[0]))
        relay.await_counter("closed_lease_in_use", 1)
        client.streams[0].send(kernel.cpus[0].fill(3))
        client.finish()
        relay.await_results(1)[0].must_hold(kernel)


@case
def strangers():
    """Another address connects to a leased port, before and after its stream did."""
    with Relay() as relay:
        kernel = some_pages()
        client = V3(relay.address(), source="127.0.0.5")
        client.handshake()
        for port in client.ports:
            must_be_closed(("127.0.0.1", port), "127.0.0.6")
        client.send_metadata(Head(kernel, 7).bytes())
        for stream in client.open_streams():
            stream.send(kernel.cpus[stream.cpu].sent)
        relay.await_received(all_sent(kernel))
        for port in client.ports:
            must_be_closed(("127.0.0.1", port), "127.0.0.6")
        client.finish()
        relay.await_results(1)[0].must_hold(kernel)
        if relay.counter("closed_no_lease") != 4:
            raise Failed(f"closed_no_lease is {relay.counter('closed_no_lease')}")


@case
def strangers_datagrams():
    """From another address, and from another socket of the client's host once the stream has its own."""
    with Relay() as relay:
        kernel = some_pages()
        client = V3(relay.address(), tcp=False, source="127.0.0.5")
        client.handshake()
        client.send_metadata(Head(kernel, 7).bytes())
        junk = b"\xff" * 4096
        for port in client.ports:
            UdpStream("127.0.0.1", port, "127.0.0.6", 0).send(junk)
        relay.await_counter("datagrams_stray", 2)
        for stream in client.open_streams():
            for page in kernel.cpus[stream.cpu].pages:
                stream.send(page.bytes)
        relay.await_received(all_sent(kernel))
        for port in client.ports:
            UdpStream("127.0.0.1", port, "127.0.0.5", 0).send(junk)
            UdpStream("127.0.0.1", port, "127.0.0.6", 0).send(junk)
        relay.await_counter("datagrams_stray", 6)
        client.finish()
        relay.await_results(1)[0].must_hold(kernel)


@case
def datagrams_linger():
    """Datagrams behind CLOSE are taken for udp-linger, then the ports are nobody's."""
    with Relay({"trace-cmd.udp-linger": "1s"}) as relay:
        kernel = some_pages()
        client = V3(relay.address(), tcp=False)
        client.handshake()
        client.send_metadata(Head(kernel, 7).bytes())
        for stream in client.open_streams():
            for page in kernel.cpus[stream.cpu].pages:
                stream.send(page.bytes)
        client.close()
        relay.await_counter("closed_finished", 1)
        client.streams[0].send(kernel.cpus[0].page(events=3))
        relay.await_results(1)[0].must_hold(kernel)
        await_nothing_left(relay)
        client.streams[0].send(kernel.cpus[0].pages[0].bytes)
        relay.await_counter("datagrams_stray", 1)


@case
def same_host_comes_back():
    """Twenty recordings of one host, each as soon as the last one was sent."""
    with Relay(ports=256) as relay:
        kernels = []
        for n in range(20):
            client, kernel = recording(relay, DIALECTS[n % 4], source="127.0.0.7")
            client.finish()
            kernels.append(kernel)
        for result, kernel in zip(relay.await_results(20), kernels):
            result.must_hold(kernel)
        if relay.counter("closed_no_lease"):
            raise Failed("a stream was turned away")


@case
def control_is_reset():
    """RST instead of CLOSE: an incomplete source with all its data."""
    with Relay() as relay:
        client, kernel = recording(relay)
        relay.await_received(all_sent(kernel))
        client.close_streams()
        reset(client.sock)
        relay.await_results(1)[0].must_hold(kernel, False, "reset")
        if relay.counter("closed_reset") != 1:
            raise Failed("not counted")


@case
def stream_is_reset():
    """A CPU's recorder crashes: what the relay had read of it is kept, the others go on."""
    with Relay() as relay:
        client, kernel = recording(relay)
        relay.await_received(all_sent(kernel))
        reset(client.streams[0].sock)
        client.streams.pop(0)
        client.streams[0].send(kernel.cpus[1].fill(5))
        client.finish()
        result = relay.await_results(1)[0]
        result.must_hold(kernel, result.record["complete"])


@case
def half_closed_control():
    """A client that shuts down its sending side behind CLOSE, as netcat would."""
    with Relay() as relay:
        client, kernel = recording(relay)
        client.close_streams()
        client.send_close()
        client.sock.shutdown(socket.SHUT_WR)
        relay.await_results(1)[0].must_hold(kernel)
        if client.sock.recv(1):
            raise Failed("something was said")


def ip(*words):
    run = subprocess.run(["ip", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if run.returncode:
        raise Failed(f"ip {' '.join(words)}: {run.stdout.decode().strip()}")


@case
def host_loses_power():
    """No FIN, no RST: TCP keep-alive ends control connection and streams."""
    need_root()
    need(environment().own_network, "no network namespace")
    with Relay({"limits.keep-alive": "1s/1s/2"}) as relay:
        kernel = some_pages()
        ready, tell = os.pipe()
        go, told = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(told)
            with contextlib.suppress(BaseException):
                libc.unshare(0x40000000)
                os.write(tell, b"n")
                os.read(go, 1)
                client = V3(("10.77.0.1", relay.port))
                client.handshake()
                client.send_metadata(Head(kernel, 7).bytes())
                for stream in client.open_streams():
                    stream.send(kernel.cpus[stream.cpu].sent)
                os.write(tell, b"r")
                os.read(go, 2)
            os._exit(0)
        os.close(go)
        try:
            os.read(ready, 1)
            ip("link", "add", "host0", "type", "veth", "peer", "name", "host1", "netns", str(pid))
            ip("addr", "add", "10.77.0.1/24", "dev", "host0")
            ip("link", "set", "host0", "up")
            for words in (("addr", "add", "10.77.0.2/24", "dev", "host1"), ("link", "set", "host1", "up")):
                subprocess.run(["nsenter", "-n", "-t", str(pid), "ip", *words], check=True)
            os.write(told, b"g")
            os.read(ready, 1)
            relay.await_received(all_sent(kernel))
            ip("link", "set", "host0", "down")
            relay.await_results(1)[0].must_hold(kernel, False, "keep-alive")
            if relay.counter("closed_keep_alive") != 1:
                raise Failed(f"closed_keep_alive is {relay.counter('closed_keep_alive')}")
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            for fd in (ready, tell, told):
                os.close(fd)
        await_nothing_left(relay)


@case
def sigterm_in_the_middle():
    """Both daemons end, and what had arrived is a finished chunk that says why it is not all."""
    relay = Relay()
    with relay:
        client, kernel = recording(relay)
        early = V3(relay.address(), source="127.0.0.3")
        early.handshake()
        relay.await_received(all_sent(kernel))
        relay.stop()
        results = relay.results()
        if len(results) != 1:
            raise Failed(f"{len(results)} chunks are finished")
        results[0].must_hold(kernel, False, "shut")
        if client.sock.recv(1):
            raise Failed("something was said")
        client.die()
        early.die()


@case
def large_and_small_together():
    """A client with megabytes and one with a page: the small one ends at once."""
    with Relay() as relay:
        large = Kernel(client=1)
        for cpu in large.cpus:
            cpu.fill(1500, ident=BLOCK)
        client, _ = recording(relay, kernel=large, source="127.0.0.2")
        other, kernel = recording(relay, source="127.0.0.3")
        other.finish()
        relay.await_results(1)[0].must_hold(kernel)
        client.finish()
        relay.await_results(2)[0].must_hold(large)


main()
