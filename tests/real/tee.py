#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tee.py - stands between a trace-cmd client and the relay, and gives a real `trace-cmd listen` the same bytes.

    client ──▶ tee ──▶ first upstream (the relay)
                  └──▶ second upstream (trace-cmd listen), optional

For each client it opens one control connection to each upstream, forwards the conversation (V3) to both and keeps
each one's answers. The client gets a port list of the tee's own; what it sends to port i goes to port i of either
upstream's list, and to a file if asked: so both store the same pages, and their reports can be compared event for
event, and the stored regions with the dumps byte for byte.

  tee.py --on ADDR:PORT --relay ADDR:PORT [--listen ADDR:PORT] [--dump PREFIX] [--count N] [--patient] [--mend]

  --dump PREFIX   write what client n (from 1) sends on CPU m to PREFIXn.cpuM, its metadata to PREFIXn.meta
  --count N       end after N clients (else at SIGTERM)
  --patient       treat the first upstream as trace-cmd listen too
  --mend          a client that ended without CLOSE: send CLOSE to trace-cmd listen for it, which else deletes all pages

Prints `ready PORT` when it listens, and at a client's end one JSON line:
  {"client": n, "cpus": 2, "udp": false, "close": true, "relay_port": P, "listen_port": P,
   "streams": [{"cpu": 0, "bytes": B, "sha256": H}, ...], "dropped": D, "errors": [...]}
relay_port and listen_port are the tee's own ends of the control connections: trace-cmd listen names its file by it.
dropped counts datagrams that the tee itself lost. The line comes when trace-cmd listen has closed its end, that is when
its file is complete.

trace-cmd listen has to be humoured, or it stores less than it is sent:
  * It kills its readers one second after CLOSE, whatever they have not read yet. So CLOSE is held back until all of them
    have closed their sockets, which each does at its stream's EOF.
  * The end of a reader interrupts the process that collects the metadata, and makes it stop collecting. So a stream's
    EOF is held back until all metadata has been read (a proxy is slow enough to let a short recording overtake it).
The relay gets everything at once and in the order in which the client sent it. Exit: 0, or 1 if a client's line has
errors.
"""

import argparse
import hashlib
import json
import select
import signal
import socket
import struct
import sys
import threading
import time

PIECE = 256 * 1024
CLOSE, TINIT, RINIT, SEND_DATA, FIN_DATA = range(5)
PATIENCE = 30  # seconds for anything that an upstream must do in the end
SO_RXQ_OVFL = 40
SO_RCVBUFFORCE = 33

print_lock = threading.Lock()


def address(text):
    host, _, port = text.rpartition(":")
    return host.strip("[]") or "127.0.0.1", int(port)


def unread_by_peer(sock):
    """Bytes of ours that the peer, on this machine, has not read from its socket yet. None: it has closed."""
    mine, peer = sock.getsockname()[1], sock.getpeername()[1]
    for path in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(path, encoding="ascii") as table:
            for row in table.readlines()[1:]:
                field = row.split()
                ports = int(field[1].rsplit(":", 1)[1], 16), int(field[2].rsplit(":", 1)[1], 16)
                if ports == (peer, mine):
                    return int(field[4].split(":")[1], 16)
    return None


class Ended(Exception):
    """A peer closed or did what this proxy does not know."""


def read_exactly(sock, n):
    data = b""
    while len(data) < n:
        piece = sock.recv(n - len(data))
        if not piece:
            raise Ended(f"EOF, {n - len(data)} of {n} bytes missing")
        data += piece
    return data


def read_message(sock):
    head = read_exactly(sock, 12)
    size, cmd, cmd_size = struct.unpack(">III", head)
    if not 12 <= size <= 8192 or cmd_size > size - 12:
        raise Ended(f"message of size {size}, command {cmd}, fixed part {cmd_size}")
    return cmd, cmd_size, head + read_exactly(sock, size - 12)


class Upstream:
    """One server, one client's conversation with it."""

    def __init__(self, name, where, gentle):
        self.name, self.where, self.gentle = name, where, gentle
        self.sock = socket.create_connection(where, timeout=PATIENCE)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port = self.sock.getsockname()[1]
        self.ports = []
        self.held = b""  # a CLOSE that must wait

    def answer(self, n):
        return read_exactly(self.sock, n)

    def rinit(self, cpus):
        cmd, cmd_size, message = read_message(self.sock)
        if cmd != RINIT:
            raise Ended(f"{self.name} answers TINIT with command {cmd}")
        count = struct.unpack(">I", message[12:16])[0]
        strings = message[12 + cmd_size :].split(b"\0")
        if count != cpus or strings[-1] != b"" or len(strings) != cpus + 1:
            raise Ended(f"{self.name}: RINIT says {count} CPUs, {len(strings) - 1} ports, {cpus} were asked for")
        self.ports = [int(s) for s in strings[:-1]]

    def wait_read(self):
        """Until the server has read what was sent to it on control."""
        end = time.monotonic() + PATIENCE
        while unread_by_peer(self.sock):
            if time.monotonic() > end:
                raise Ended(f"{self.name} does not read its control connection")
            time.sleep(0.005)

    def wait_closed(self):
        """Until the server has closed its end."""
        try:
            while self.sock.recv(PIECE):
                pass
        except ConnectionResetError:
            pass


class Stream:
    """One CPU: the port the client was given, and the way on from it."""

    def __init__(self, client, cpu, udp):
        self.client, self.cpu, self.udp = client, cpu, udp
        self.sha = hashlib.sha256()
        self.bytes = 0
        self.dropped = 0
        self.open = False
        family = client.sock.family
        kind = socket.SOCK_DGRAM if udp else socket.SOCK_STREAM
        self.port_sock = socket.socket(family, kind)
        if udp:
            self.port_sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 256 << 20)
            self.port_sock.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
        self.port_sock.bind((client.sock.getsockname()[0], 0))
        if not udp:
            self.port_sock.listen(1)
        self.port = self.port_sock.getsockname()[1]
        prefix = client.tee.args.dump
        self.dump = open(f"{prefix}{client.number}.cpu{cpu}", "wb", buffering=0) if prefix else None
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        try:
            self.run_udp() if self.udp else self.run_tcp()
        except Exception as e:  # noqa: BLE001 - whatever it was belongs into the client's line
            self.client.error(f"cpu {self.cpu}: {type(e).__name__}: {e}")
        if self.dump:
            self.dump.close()

    def take(self, data):
        self.sha.update(data)
        self.bytes += len(data)
        if self.dump:
            self.dump.write(data)

    def readable_or_over(self, linger):
        """True: port_sock has something. False: the client's control connection has ended and nothing came since."""
        while True:
            over = self.client.over.is_set()
            if select.select([self.port_sock], [], [], linger if over else 0.05)[0]:
                return True
            if over:
                return False

    def run_tcp(self):
        if not self.readable_or_over(0):
            return
        sock, _ = self.port_sock.accept()
        self.port_sock.close()
        outs = []
        for up in self.client.ups:
            outs.append(socket.create_connection((up.where[0], up.ports[self.cpu]), timeout=PATIENCE))
        buf = memoryview(bytearray(PIECE))
        while True:
            try:
                n = sock.recv_into(buf)
            except ConnectionResetError:
                n = 0
            if n == 0:
                break
            self.take(buf[:n])
            for up, out in zip(self.client.ups, outs):
                try:
                    out.sendall(buf[:n])
                except OSError as e:
                    raise Ended(f"{up.name} took no more after {self.bytes} bytes: {e}") from e
        sock.close()
        for up, out in zip(self.client.ups, outs):
            if up.gentle:
                self.client.metadata_sent.wait()
                up.wait_read()
            out.shutdown(socket.SHUT_WR)
            if up.gentle:  # its reader closes when it has read all
                out.settimeout(PATIENCE)
                if out.recv(1) != b"":
                    raise Ended(f"{up.name} sends on a data connection")
            out.close()

    def run_udp(self):
        outs = []
        for up in self.client.ups:
            out = socket.socket(socket.AF_INET6 if ":" in up.where[0] else socket.AF_INET, socket.SOCK_DGRAM)
            out.connect((up.where[0], up.ports[self.cpu]))
            outs.append(out)
        page = self.client.page_size
        while self.readable_or_over(0.2):
            data, notes, _, _ = self.port_sock.recvmsg(65536, 64)
            for level, kind, value in notes:
                if level == socket.SOL_SOCKET and kind == SO_RXQ_OVFL:
                    self.dropped = struct.unpack("I", value)[0]
            self.take(data)
            for up, out in zip(self.client.ups, outs):
                # trace-cmd listen reads a page a datagram and loses the rest of it
                step = page if up.gentle else len(data)
                for at in range(0, len(data), step):
                    out.send(data[at : at + step])


class Client:
    def __init__(self, tee, number, sock):
        self.tee, self.number, self.sock = tee, number, sock
        self.ups, self.streams, self.errors = [], [], []
        self.over = threading.Event()
        self.metadata_sent = threading.Event()
        self.cpus, self.page_size, self.udp, self.closed = 0, 4096, False, False
        self.meta = open(f"{tee.args.dump}{number}.meta", "wb") if tee.args.dump else None

    def error(self, text):
        self.errors.append(text)

    def both(self, data):
        for up in self.ups:
            up.sock.sendall(data)

    def same_answer(self, n):
        answers = {up.answer(n) for up in self.ups}
        if len(answers) != 1:
            raise Ended(f"the upstreams answer differently: {answers}")
        self.sock.sendall(answers.pop())

    def handshake(self):
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        args = self.tee.args
        self.ups.append(Upstream("relay", args.relay, args.patient))
        if args.listen:
            self.ups.append(Upstream("listen", args.listen, True))
        self.same_answer(8)
        for want, answer in ((b"-1V3\0", 3), (b"766679\0\0", 2)):
            got = read_exactly(self.sock, len(want))
            if got != want:
                raise Ended(f"{got} instead of {want}: not a V3 client")
            self.both(got)
            self.same_answer(answer)
        cmd, _, message = read_message(self.sock)
        if cmd != TINIT:
            raise Ended(f"command {cmd} instead of TINIT")
        self.both(message)
        self.cpus, self.page_size, _ = struct.unpack(">III", message[12:24])
        self.udp = b"tcp\0" not in message[24:]
        for up in self.ups:
            up.rinit(self.cpus)
        for cpu in range(self.cpus):
            self.streams.append(Stream(self, cpu, self.udp))
        strings = b"".join(b"%d\0" % s.port for s in self.streams)
        self.sock.sendall(struct.pack(">IIII", 16 + len(strings), RINIT, 4, self.cpus) + strings)
        for s in self.streams:
            s.thread.start()

    def forward(self):
        """Messages, until the client's EOF."""
        while True:
            try:
                first = self.sock.recv(12, socket.MSG_PEEK)
            except ConnectionResetError:
                first = b""
            if not first:
                return
            cmd, _, message = read_message(self.sock)
            if self.meta and cmd == SEND_DATA:
                self.meta.write(message[12:])
            if cmd == CLOSE:
                self.closed = True
            for up in self.ups:
                if cmd == CLOSE and up.gentle:
                    up.held = message
                else:
                    up.sock.sendall(message)
            if cmd == FIN_DATA:
                self.metadata_sent.set()

    def run(self):
        try:
            self.handshake()
            self.forward()
        except Exception as e:  # noqa: BLE001
            self.error(f"{type(e).__name__}: {e}")
        self.over.set()
        self.metadata_sent.set()
        for up in self.ups:
            if not up.gentle:
                up.sock.close()
        for s in self.streams:
            s.thread.join()
        for up in self.ups:
            try:
                if up.gentle and (up.held or self.tee.args.mend):
                    up.sock.sendall(up.held or struct.pack(">III", 12, CLOSE, 0))
                if up.gentle:
                    up.sock.shutdown(socket.SHUT_WR)
                    up.wait_closed()
                    up.sock.close()
            except OSError as e:
                self.error(f"{up.name}: {e}")
        if self.meta:
            self.meta.close()
        self.tee.done(self)

    def line(self):
        return {
            "client": self.number,
            "cpus": self.cpus,
            "udp": self.udp,
            "close": self.closed,
            "relay_port": self.ups[0].port if self.ups else 0,
            "listen_port": self.ups[1].port if len(self.ups) > 1 else 0,
            "streams": [{"cpu": s.cpu, "bytes": s.bytes, "sha256": s.sha.hexdigest()} for s in self.streams],
            "dropped": sum(s.dropped for s in self.streams),
            "errors": self.errors,
        }


class Tee:
    def __init__(self, args):
        self.args = args
        self.left = args.count
        self.bad = False
        host, port = args.on
        self.sock = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=64
        )
        self.finished = threading.Semaphore(0)

    def done(self, client):
        with print_lock:
            print(json.dumps(client.line()), flush=True)
            self.bad = self.bad or bool(client.errors)
        self.finished.release()

    def run(self):
        print("ready", self.sock.getsockname()[1], flush=True)
        number = 0
        while not self.args.count or number < self.args.count:
            sock, _ = self.sock.accept()
            number += 1
            threading.Thread(target=Client(self, number, sock).run, daemon=True).start()
        self.sock.close()
        for _ in range(number):
            self.finished.acquire()
        return 1 if self.bad else 0


def main():
    p = argparse.ArgumentParser(description="a proxy that gives trace-cmd listen what the relay gets")
    p.add_argument("--on", type=address, required=True)
    p.add_argument("--relay", type=address, required=True)
    p.add_argument("--listen", type=address)
    p.add_argument("--dump", metavar="PREFIX")
    p.add_argument("--count", type=int, default=0)
    p.add_argument("--patient", action="store_true")
    p.add_argument("--mend", action="store_true")
    args = p.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    return Tee(args).run()


if __name__ == "__main__":
    sys.exit(main())
