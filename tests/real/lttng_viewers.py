#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""lttng_viewers.py PORT SESSION - how many viewers a live session has, as LIST_SESSIONS says; nothing: there is none."""

import socket
import struct
import sys


def ask(sock, cmd, body, size):
    sock.sendall(struct.pack(">QII", len(body), cmd, 0) + body)
    data = b""
    while len(data) < size:
        part = sock.recv(size - len(data))
        if not part:
            sys.exit("the relay hangs up")
        data += part
    return data


with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10) as viewer:
    ask(viewer, 1, struct.pack(">QIII", (1 << 64) - 1, 2, 4, 1), 20)
    (count,) = struct.unpack(">I", ask(viewer, 2, b"", 4))
    while len(rest := viewer.recv(count * 339, socket.MSG_PEEK)) < count * 339 and rest:
        pass
    for n in range(count):
        entry = viewer.recv(339, socket.MSG_WAITALL)
        if entry[84:].split(b"\0")[0].decode() == sys.argv[2]:
            print(struct.unpack_from(">I", entry, 12)[0])
