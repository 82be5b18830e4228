#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""orders_and_sizes.py - traced machines unlike this one: byte orders, word sizes, sub-buffers, numbers of CPUs."""

from rig.case import Failed, case, main
from rig.dialect import DIALECTS, V1, V2of2015, V3
from rig.metadata import Head
from rig.relay import Relay
from rig.subbuffer import BLOCK, Kernel


def some_pages(kernel, full=1):
    """Pages with all that a header can say; each event's data is short or long."""
    for cpu in kernel.cpus:
        cpu.fill(full)
        cpu.page(events=3, lost=1000 + cpu.number)
        cpu.page(lost=True)
        cpu.page(events=1, ident=BLOCK)
        cpu.page(events=2, gap=1 << 30)
    return kernel


def record(relay, kernel, head, tcp=True, dialect=V3, claim=None, **more):
    before = len(relay.results())
    client = dialect(relay.address(), cpus=len(kernel.cpus), page=claim or kernel.page, tcp=tcp, **more)
    client.record(head.bytes(), kernel)
    result = relay.await_results(before + 1)[-1]
    result.must_hold(kernel)
    return result


@case
def foreign_kernels():
    """Big endian and 32 bit, in each format: read back on this machine."""
    with Relay() as relay:
        for big in (False, True):
            for long_size in (8, 4):
                for version in (6, 7):
                    kernel = some_pages(Kernel(big=big, long_size=long_size))
                    record(relay, kernel, Head(kernel, version))


@case
def foreign_kernels_of_old_clients():
    """The same as V1 and V2, whose tail in the file is the relay's work."""
    with Relay() as relay:
        for big in (False, True):
            for dialect in (V1, V2of2015):
                kernel = some_pages(Kernel(big=big, long_size=4))
                record(relay, kernel, Head(kernel, 6, with_options=False), dialect=dialect)
                kernel = some_pages(Kernel(big=big, long_size=4))
                head = Head(kernel, 6, with_options=False, no_version=True)
                record(relay, kernel, head, dialect=dialect, tcp=False)
        kernel = some_pages(Kernel(big=True))
        record(relay, kernel, Head(kernel, 6, cmdlines=False), dialect=V1)


@case
def small_user_space():
    """A 32-bit trace-cmd on a 64-bit kernel: header_page is right, not the header."""
    with Relay() as relay:
        for version in (6, 7):
            for big in (False, True):
                kernel = some_pages(Kernel(big=big))
                record(relay, kernel, Head(kernel, version, user_long=4))


@case
def page_sizes():
    """4 KiB to 64 KiB; UDP as far as a datagram holds a page."""
    with Relay({"trace-cmd.udp-linger": "50ms"}) as relay:
        for size in (4096, 8192, 16384, 32768, 65536):
            kernel = some_pages(Kernel(page=size, big=size == 65536))
            record(relay, kernel, Head(kernel, 7))
            if size < 65536:
                kernel = some_pages(Kernel(page=size))
                record(relay, kernel, Head(kernel, 6), tcp=False)


@case
def sub_buffers_larger_than_claimed():
    """16 KiB where everything says 4096: TINIT, the header, header_page (an instance of its own size)."""
    with Relay({"trace-cmd.udp-linger": "50ms"}) as relay:
        for n, version in enumerate((6, 7)):
            for tcp in (True, False):
                kernel = some_pages(Kernel(page=16384), full=3 if tcp else 1)
                head = Head(kernel, version, page=4096, page_text=4096)
                result = record(relay, kernel, head, tcp, claim=4096)
                if result.record["trace_dat"]["page_size"] != 16384:
                    raise Failed(f"page size {result.record['trace_dat']['page_size']}")
            if relay.counter("repaired_page_size") != 2 * n + 2:
                raise Failed(f"repaired_page_size is {relay.counter('repaired_page_size')}")


@case
def sub_buffers_as_the_header_says():
    """The top buffer at 16 KiB: TINIT still says 4096."""
    with Relay() as relay:
        for big in (False, True):
            kernel = some_pages(Kernel(page=16384, big=big), full=2)
            record(relay, kernel, Head(kernel, 7), claim=4096)


@case
def sub_buffers_smaller_than_claimed():
    """An instance of 4 KiB where the top buffer, and so the metadata, has 16."""
    with Relay() as relay:
        kernel = some_pages(Kernel(), full=20)
        record(relay, kernel, Head(kernel, 7, page=16384, page_text=16384), claim=4096)


@case
def sub_buffers_smaller_than_claimed_udp():
    """The same in datagrams of a page each."""
    with Relay({"trace-cmd.udp-linger": "50ms"}) as relay:
        kernel = some_pages(Kernel(), full=4)
        record(relay, kernel, Head(kernel, 7, page=16384, page_text=16384), tcp=False, claim=4096)


@case
def early_pages_of_foreign_kernels():
    """Megabytes come before the metadata says how to read them."""
    with Relay() as relay:
        for n, (big, long_size, size) in enumerate(((True, 8, 4096), (True, 4, 4096), (False, 4, 16384))):
            kernel = Kernel(big=big, long_size=long_size, page=size)
            for cpu in kernel.cpus:
                cpu.page(lost=77)
                cpu.fill(5 * (1 << 20) // size, ident=BLOCK)
                cpu.page(events=3, lost=True)
            client = V3(relay.address(), page=4096)
            client.handshake()
            for stream in client.open_streams():
                stream.send(kernel.cpus[stream.cpu].sent)
            relay.await_received(sum(len(cpu.sent) for cpu in kernel.cpus))
            client.send_metadata(Head(kernel, 7).bytes())
            client.finish()
            relay.await_results(n + 1)[-1].must_hold(kernel)


@case
def one_cpu():
    with Relay() as relay:
        for dialect in DIALECTS:
            kernel = some_pages(Kernel(cpus=1))
            record(relay, kernel, Head(kernel, 6, with_options=dialect is V3), dialect=dialect)


@case
def a_thousand_cpus():
    """1,024 CPUs in V3 and V1: the whole port list in one message, every CPU's pages in place."""
    with Relay(ports=1100) as relay:
        for dialect in (V3, V1):
            kernel = Kernel(cpus=1024)
            for cpu in kernel.cpus:
                cpu.page(events=2)
            kernel.cpus[0].page(lost=5)
            kernel.cpus[1023].page()
            record(relay, kernel, Head(kernel, 6, with_options=dialect is V3), dialect=dialect)


@case
def port_list_fits():
    """1,362 CPUs with ports of five digits: RINIT of at most 8192 bytes."""
    with Relay(ports=1362) as relay:
        client = V3(relay.address(), cpus=1362)
        client.handshake()
        if max(client.ports) < 10000:
            raise Failed("the ports have four digits only")
        kernel = Kernel(cpus=1362)
        kernel.cpus[1361].page()
        client.send_metadata(Head(kernel, 7).bytes())
        client.open_stream(1361).send(kernel.cpus[1361].sent)
        client.finish()
        relay.await_results(1)[0].must_hold(kernel)


main()
