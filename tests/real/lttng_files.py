#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""lttng_files.py - CTF stream files and index files as LTTng's relay lays them out, read without any of our code.

    lttng_files.py check DIR [--no-index] [--largest BYTES] [--most FILES]
        every stream file below DIR consists of the packets that its index names, from its first to its last byte
    lttng_files.py same A B
        the same names and bytes below both; hidden names and chunk.json are passed over

Prints what it has seen, or what is wrong; exit 1 then.
"""

import os
import struct
import sys

MAGIC = 0xC1F1DCC1
RECORD = {(1, 0): 56, (1, 1): 72}


class Wrong(Exception):
    pass


def index_records(path):
    """The records of an index file: tuples of 7 or 9 numbers."""
    with open(path, "rb") as f:
        data = f.read()
    if len(data) < 16:
        raise Wrong(f"{path}: {len(data)} bytes")
    magic, major, minor, size = struct.unpack_from(">4I", data)
    if magic != MAGIC or RECORD.get((major, minor)) != size:
        raise Wrong(f"{path}: header {data[:16].hex()}")
    if (len(data) - 16) % size:
        raise Wrong(f"{path}: part of a record at its end")
    return [struct.unpack_from(f">{size // 8}Q", data, at) for at in range(16, len(data), size)]


def check_stream(path, with_index):
    """Packets in it."""
    size = os.stat(path).st_size
    index = os.path.join(os.path.dirname(path), "index", os.path.basename(path) + ".idx")
    if not with_index or not size:
        if os.path.exists(index):
            raise Wrong(f"{index}: there should be none")
        return 0
    if not os.path.exists(index):
        raise Wrong(f"{path}: no index")
    at, end, seq = 0, 0, None
    records = index_records(index)
    for n, record in enumerate(records):
        offset, bits, content, begin, until = record[:5]
        if offset != at or bits % 8 or content > bits or begin > until or begin < end:
            raise Wrong(f"{index}: record {n} is {record}, behind offset {at}")
        if len(record) == 9:
            if seq is not None and record[8] != seq + 1:
                raise Wrong(f"{index}: record {n} is of packet {record[8]}, behind {seq}")
            seq = record[8]
        at, end = at + bits // 8, until
    if at != size:
        raise Wrong(f"{path}: {size} bytes, the index knows {at}")
    return len(records)


def stream_files(top):
    for at, dirs, names in os.walk(top):
        dirs[:] = [name for name in dirs if name != "index" and not name.startswith(".")]
        if "metadata" in names:
            for name in names:
                if name != "metadata" and not name.startswith("."):
                    yield os.path.join(at, name)


def check(top, options):
    files = packets = 0
    largest, most = 0, {}
    with_index = "--no-index" not in options
    for path in stream_files(top):
        files += 1
        packets += check_stream(path, with_index)
        largest = max(largest, os.stat(path).st_size)
        stem = path.rpartition("_")[0]
        most[stem] = most.get(stem, 0) + 1
    if not files:
        raise Wrong("no stream files")
    if "--largest" in options and largest > int(options[options.index("--largest") + 1]):
        raise Wrong(f"a file of {largest} bytes")
    if "--most" in options and max(most.values()) > int(options[options.index("--most") + 1]):
        raise Wrong(f"{max(most.values())} files of a stream")
    print(f"{files} stream files, {packets} packets with an index, largest {largest}")


def names_below(top):
    found = {}
    for at, dirs, names in os.walk(top):
        dirs[:] = [name for name in dirs if not name.startswith(".")]
        found.update({os.path.relpath(os.path.join(at, name), top) + "/": None for name in dirs})
        for name in names:
            if not name.startswith(".") and name != "chunk.json":
                with open(os.path.join(at, name), "rb") as f:
                    found[os.path.relpath(os.path.join(at, name), top)] = f.read()
    return found


def same(a, b):
    ours, theirs = names_below(a), names_below(b)
    if ours.keys() != theirs.keys():
        raise Wrong(f"only in {a}: {sorted(ours.keys() - theirs.keys())}; only in {b}: {sorted(theirs.keys() - ours.keys())}")
    for name, data in ours.items():
        if data != theirs[name]:
            n = next((i for i, (x, y) in enumerate(zip(data, theirs[name])) if x != y), min(len(data), len(theirs[name])))
            raise Wrong(f"{name}: {len(data)} and {len(theirs[name])} bytes, different from byte {n} on")
    if not any(ours.values()):
        raise Wrong("nothing there")
    print(f"{len(ours)} names, {sum(len(data or b'') for data in ours.values())} bytes, the same")


def main():
    if len(sys.argv) < 3 or sys.argv[1] not in ("check", "same"):
        sys.exit(__doc__)
    try:
        if sys.argv[1] == "check":
            check(sys.argv[2], sys.argv[3:])
        else:
            same(sys.argv[2], sys.argv[3])
    except Wrong as e:
        print(e)
        sys.exit(1)


main()
