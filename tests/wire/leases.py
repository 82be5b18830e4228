#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""leases.py - ports are leased per peer address: a small pool serves any number of hosts."""

from rig.case import Failed, case, main
from rig.dialect import DIALECTS, V1, V3, Refused
from rig.metadata import head_of
from rig.relay import Relay, wait_for
from rig.subbuffer import Kernel


def begin(relay, source, dialect=V3, cpus=4, tcp=True, number=1):
    """A client that knows its ports."""
    client = dialect(relay.address(), cpus=cpus, tcp=tcp, source=source)
    client.handshake()
    return client, Kernel(cpus=cpus, client=number)


def host(n):
    return f"127.1.{n // 200}.{n % 200 + 1}"


def share(relay, hosts, tcp):
    """All of them have their ports at the same time, then all send, then all end. What each should have, by host."""
    dialects = DIALECTS if tcp else (V1, V3)
    clients = [begin(relay, host(n), dialects[n % len(dialects)], tcp=tcp, number=n) for n in range(hosts)]
    for n, (client, kernel) in enumerate(clients):
        client.send_metadata(head_of(type(client), kernel, node=f"host{n}").bytes())
        for stream in client.open_streams():
            cpu = kernel.cpus[stream.cpu]
            cpu.page(events=20)
            cpu.page(events=3, lost=n + 1)
            for page in cpu.pages:
                stream.send(page.bytes)
    for client, _ in clients:
        client.finish()
    return {client.source: (client, kernel) for client, kernel in clients}


def check_shared(relay, sent, reports):
    """Every host's own pages are in its file; a report for each is slow, so for some."""
    results = relay.await_results(len(sent), seconds=25)
    for n, result in enumerate(results):
        client, kernel = sent[result.record["peer"].rpartition(":")[0]]
        if n % (len(sent) // reports) == 0:
            result.must_hold(kernel)
        else:
            result.must_hold_bytes({cpu.number: cpu.sent for cpu in kernel.cpus})
        if isinstance(client, V3) and result.record["host"] != f"host{kernel.client}":
            raise Failed(f"{result.path} is {kernel.client}'s")


@case
def three_hundred_hosts_share_eight_ports():
    """1,200 streams at once."""
    with Relay(ports=8) as relay:
        sent = share(relay, 300, True)
        check_shared(relay, sent, 20)
        if relay.counter("connections_stream") != 1200 or relay.counter("closed_no_lease"):
            raise Failed("a stream went astray")


@case
def datagrams_share_too():
    """100 hosts over UDP: a datagram belongs to whom it comes from."""
    with Relay({"trace-cmd.udp-linger": "200ms"}, ports=4) as relay:
        sent = share(relay, 100, False)
        check_shared(relay, sent, 10)
        if relay.counter("datagrams_stray"):
            raise Failed("a datagram went astray")


@case
def both_kinds_on_one_port():
    """A TCP and a UDP host on the same port number."""
    with Relay(ports=4) as relay:
        clients = [begin(relay, host(n), tcp=n == 0, number=n) for n in range(2)]
        if clients[0][0].ports != clients[1][0].ports:
            raise Failed(f"ports {clients[0][0].ports} and {clients[1][0].ports}")
        for client, kernel in clients:
            client.send_metadata(head_of(type(client), kernel, node=f"host{kernel.client}").bytes())
            for stream in client.open_streams():
                stream.send(kernel.cpus[stream.cpu].page())
            client.finish()
        for result in relay.await_results(2):
            result.must_hold(clients[int(result.record["host"][-1])][1])


@case
def clients_behind_one_address():
    """Distinct ports, the lowest that are free; nobody mixes them up."""
    with Relay() as relay:
        first = relay.first_stream_port
        clients = [begin(relay, None, dialect, cpus=3, number=n) for n, dialect in enumerate(DIALECTS)]
        for n, (client, _) in enumerate(clients):
            want = list(range(first + 3 * n, first + 3 * n + 3))
            if client.ports != want:
                raise Failed(f"client {n} got {client.ports}, not {want}")
        for client, kernel in clients:
            client.send_metadata(head_of(type(client), kernel).bytes())
            for stream in client.open_streams():
                stream.send(kernel.cpus[stream.cpu].page())
        for client, _ in reversed(clients):
            client.finish()
        by_peer = {f"127.0.0.1:{client.sock_port}": kernel for client, kernel in clients}
        for result in relay.await_results(4):
            result.must_hold(by_peer[result.record["peer"]])


@case
def ports_rest():
    """What a source held is not given to the same peer for a minute; other peers get it at once."""
    with Relay() as relay:
        first = relay.first_stream_port
        for n in range(3):
            client, kernel = begin(relay, "127.0.0.8", cpus=2)
            if client.ports != [first + 2 * n, first + 2 * n + 1]:
                raise Failed(f"recording {n} got {client.ports}")
            client.record_rest(head_of(type(client), kernel).bytes(), kernel)
            relay.await_results(n + 1)
            relay.await_sources(0)
        client, _ = begin(relay, "127.0.0.9", cpus=2)
        if client.ports != [first, first + 1]:
            raise Failed(f"another peer got {client.ports}")
        client.die()


@case
def leases_end_with_clients_that_never_sent():
    """A hundred clients take their ports and die: no lease is left, the pool is whole."""
    with Relay(ports=8) as relay:
        for n in range(100):
            client, _ = begin(relay, host(n), cpus=8)
            client.die()
        wait_for("the leases to end", lambda: relay.status()["totals"]["leases"] == 0)
        client, _ = begin(relay, "127.2.0.1", cpus=8)
        client.die()


@case
def leases_survive_relayd():
    """Killed before the answer, behind it, and before the streams: the same ports, still this client's."""
    with Relay() as relay:
        first = relay.first_stream_port
        client = V3(relay.address(), cpus=4, hook=lambda step: step in ("rinit", "metadata", "stream") and relay.kill())
        kernel = Kernel(cpus=4)
        client.handshake()
        if client.ports != list(range(first, first + 4)):
            raise Failed(f"ports {client.ports}")
        other, _ = begin(relay, None, cpus=2)
        if other.ports != [first + 4, first + 5]:
            raise Failed(f"the other got {other.ports}")
        other.die()
        for cpu in kernel.cpus:
            cpu.fill(2)
        client.record_rest(head_of(type(client), kernel).bytes(), kernel)
        relay.await_results(1)[0].must_hold(kernel)


@case
def exhausted_pool():
    """No port is left for this peer: refused before the port list, in the dialect's words; others are served."""
    with Relay(ports=4) as relay:
        client, kernel = begin(relay, None, cpus=3)
        for dialect in DIALECTS:
            try:
                begin(relay, None, dialect, cpus=2)
            except Refused as e:
                if dialect is not V1 and str(e) != "CLOSE":
                    raise Failed(f"{dialect.name}: {e} instead of CLOSE") from e
                continue
            raise Failed(f"{dialect.name} is not refused")
        relay.await_counter("closed_ports_exhausted", 4)
        if relay.counter("closed_ports_exhausted") != 4:
            raise Failed(f"closed_ports_exhausted is {relay.counter('closed_ports_exhausted')}")
        one, _ = begin(relay, None, cpus=1)
        stranger, _ = begin(relay, "127.0.0.4", cpus=4)
        for cpu in kernel.cpus:
            cpu.page()
        client.record_rest(head_of(type(client), kernel).bytes(), kernel)
        relay.await_results(1)[0].must_hold(kernel)
        one.die()
        stranger.die()


main()
