#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""compaction.py - finished files lose their holes, whatever the file system: ext4 collapses them, btrfs shares extents with a
new file, tmpfs can do neither and the record says so. SIGKILLs of relayd come between.

Small file systems are mounted in a mount namespace of the test's own; without that right the test is skipped.
"""

import os

from rig.case import Failed, case, main
from rig.dialect import V1, V3
from rig.disk import small_btrfs, small_ext4, small_tmpfs
from rig.metadata import head_of
from rig.relay import Relay, wait_for
from rig.subbuffer import BLOCK, Kernel

MIB = 1 << 20
CPUS, PAGES = 3, 70


def record(relay, number, dialect=V3):
    kernel = Kernel(cpus=CPUS, client=number)
    client = dialect(relay.address(), cpus=CPUS)
    client.handshake()
    client.send_metadata(head_of(dialect, kernel).bytes())
    client.open_streams()
    for stream in client.streams:
        if stream.cpu:  # the first has no page at all
            stream.send(kernel.cpus[stream.cpu].fill(PAGES * stream.cpu, ident=BLOCK))
    client.finish()
    return kernel


def sent_by(kernel):
    return {cpu.number: bytes(cpu.sent) for cpu in kernel.cpus if cpu.sent}


def must_become(relay, number, kernel, layout):
    """The number-th result has this layout soon, and every byte; nothing else lies there."""
    result = relay.await_results(number)[-1]
    wait_for("the compactor", lambda: result.read()["synced"])
    result.record = result.read()
    result.must_be(layout=layout)
    result.must_hold(kernel)
    size = os.stat(result.path).st_size
    data = sum(len(cpu.sent) for cpu in kernel.cpus)
    if (size <= data * 1.1 + 2 * MIB) != (layout == "compact"):
        raise Failed(f"{layout}, and the file has {size} bytes for {data} of data")
    left = sorted(os.listdir(result.dir))
    if left != sorted(os.path.basename(path) for path in (result.path, result.json_path)):
        raise Failed(f"{result.dir} holds {left}")
    return result


def becomes(disk, layout):
    with disk as where:
        with Relay(output=where) as relay:
            for number, dialect in enumerate((V3, V1), 1):
                must_become(relay, number, record(relay, number, dialect), layout)


@case
def holes_are_collapsed_on_ext4():
    becomes(small_ext4(64 * MIB), "compact")


@case
def extents_are_shared_on_btrfs():
    becomes(small_btrfs(256 * MIB), "compact")


@case
def tmpfs_stays_sparse():
    becomes(small_tmpfs(64 * MIB), "sparse")


def killed(disk):
    with disk as where:
        with Relay(output=where) as relay:
            for number in range(1, 9):
                kernel = record(relay, number)
                result = relay.await_results(number)[-1]
                for _ in range(number % 3 + 1):
                    relay.kill_and_wait()
                result.must_hold_bytes(sent_by(kernel))
                must_become(relay, number, kernel, "compact")


@case
def killed_on_ext4():
    killed(small_ext4(64 * MIB))


@case
def killed_on_btrfs():
    killed(small_btrfs(256 * MIB))


main()
