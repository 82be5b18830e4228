#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""lttng_tee.py - stands between LTTng's daemons and a relay, and tells the same to a second one.

    lttng_tee.py --on CONTROL:DATA --to CONTROL:DATA [--copy CONTROL:DATA] [--minor N]

All on 127.0.0.1. What the relay (--to) answers is forwarded to the client. The copy gets every message and packet too, with
the session and stream numbers that it gave itself; what it answers is read and, but for these numbers, forgotten; an error
where the relay gave none is printed. --minor: both sides believe that the other speaks no more than 2.N.
"""

import argparse
import contextlib
import socket
import struct
import sys
import threading

ADD_STREAM, CREATE_SESSION, VERSION, SEND_METADATA, CLOSE_STREAM, DATA_PENDING = 1, 2, 5, 6, 7, 8
QUIESCENT, BEGIN_PENDING, END_PENDING, SEND_INDEX, RESET_METADATA, ROTATE = 9, 10, 11, 13, 17, 18
CLOSE_CHUNK, CHUNK_EXISTS, CONFIGURATION = 20, 21, 22
STREAM_FIRST = (SEND_METADATA, CLOSE_STREAM, DATA_PENDING, QUIESCENT, SEND_INDEX, RESET_METADATA)
OK = 10

streams, sessions = {}, {}  # the relay's number: the copy's
options = None


class Ended(Exception):
    pass


def say(text):
    print(text, flush=True)


def read(sock, size):
    data = bytearray()
    while len(data) < size:
        part = sock.recv(size - len(data))
        if not part:
            raise Ended
        data += part
    return bytes(data)


def connect(port):
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def read_reply(sock, cmd, minor):
    if cmd == SEND_METADATA:
        return b""
    if cmd == CREATE_SESSION and minor >= 11:
        head = read(sock, 16)
        return head + read(sock, struct.unpack_from(">I", head, 12)[0])
    if cmd == CLOSE_CHUNK:
        head = read(sock, 8)
        return head + read(sock, struct.unpack_from(">I", head, 4)[0])
    return read(sock, {ADD_STREAM: 12, CREATE_SESSION: 12, VERSION: 8, CHUNK_EXISTS: 5, CONFIGURATION: 12}.get(cmd, 4))


def code_of(cmd, reply):
    if cmd in (ADD_STREAM, CREATE_SESSION):
        return struct.unpack_from(">I", reply, 8)[0]
    if cmd in (VERSION, SEND_METADATA, DATA_PENDING, END_PENDING):
        return OK
    return struct.unpack_from(">I", reply)[0]


def for_the_copy(cmd, body):
    body = bytearray(body)
    if cmd in STREAM_FIRST:
        struct.pack_into(">Q", body, 0, streams[struct.unpack_from(">Q", body)[0]])
    elif cmd in (BEGIN_PENDING, END_PENDING):
        struct.pack_into(">Q", body, 0, sessions[struct.unpack_from(">Q", body)[0]])
    elif cmd == ROTATE:
        count = struct.unpack_from(">I", body)[0]
        for at in range(len(body) - 16 * count, len(body), 16):
            struct.pack_into(">Q", body, at, streams[struct.unpack_from(">Q", body, at)[0]])
    return bytes(body)


def limited(body):
    """VERSION's body with --minor at most."""
    major, minor = struct.unpack_from(">II", body)
    return struct.pack(">II", major, min(minor, options.minor)) + body[8:]


def control(client, relay, copy):
    minor = 0
    while True:
        head = read(client, 24)
        size, cmd = struct.unpack_from(">QI", head, 8)
        body = read(client, size)
        if cmd == VERSION:
            body = limited(body)
            minor = struct.unpack_from(">I", body, 4)[0]
        relay.sendall(head + body)
        reply = read_reply(relay, cmd, minor)
        if cmd == VERSION:
            reply = limited(reply)
            minor = min(minor, struct.unpack_from(">I", reply, 4)[0])
        if copy:
            copy.sendall(head + for_the_copy(cmd, body))
            second = read_reply(copy, cmd, minor)
            if cmd == ADD_STREAM:
                streams[struct.unpack_from(">Q", reply)[0]] = struct.unpack_from(">Q", second)[0]
            elif cmd == CREATE_SESSION:
                sessions[struct.unpack_from(">Q", reply)[0]] = struct.unpack_from(">Q", second)[0]
            if code_of(cmd, reply) == OK and code_of(cmd, second) != OK:
                say(f"the copy answers command {cmd} with {code_of(cmd, second)}")
        client.sendall(reply)


def data(client, relay, copy):
    while True:
        head = read(client, 32)
        stream, _, left = struct.unpack_from(">QQI", head, 8)
        relay.sendall(head)
        if copy:
            copy.sendall(head[:8] + struct.pack(">Q", streams[stream]) + head[16:])
        while left:
            part = client.recv(min(left, 1 << 18))
            if not part:
                raise Ended
            left -= len(part)
            relay.sendall(part)
            if copy:
                copy.sendall(part)


def watch(relay, client):
    """A relay that hangs up on the data connection hangs up on the client."""
    with contextlib.suppress(OSError):
        if not relay.recv(1):
            client.shutdown(socket.SHUT_RDWR)


def serve(client, kind, relay_port, copy_port):
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    relay, copy = connect(relay_port), connect(copy_port) if copy_port else None
    if kind is data:
        threading.Thread(target=watch, args=(relay, client), daemon=True).start()
    try:
        kind(client, relay, copy)
    except Ended:
        pass
    except Exception as e:  # told, so that the test fails
        say(f"{kind.__name__}: {e!r}")
    for sock in (client, relay, copy):
        if sock:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()


def accept(listener, *how):
    while True:
        client, _ = listener.accept()
        threading.Thread(target=serve, args=(client, *how), daemon=True).start()


def pair(text):
    return tuple(int(word) for word in text.split(":"))


def main():
    global options
    parser = argparse.ArgumentParser()
    parser.add_argument("--on", type=pair, required=True)
    parser.add_argument("--to", type=pair, required=True)
    parser.add_argument("--copy", type=pair, default=(0, 0))
    parser.add_argument("--minor", type=int, default=99)
    options = parser.parse_args()
    threads = []
    for kind, on, to, copy in zip((control, data), options.on, options.to, options.copy):
        listener = socket.create_server(("127.0.0.1", on), backlog=64)
        threads.append(threading.Thread(target=accept, args=(listener, kind, to, copy)))
    for thread in threads:
        thread.start()


sys.exit(main())
