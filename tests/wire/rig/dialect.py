# SPDX-License-Identifier: MIT
"""dialect.py - trace-cmd clients of every age, step by step, over real sockets.

    client = V3(relay.address(), cpus=2)
    client.handshake()                 # greeting to port list; client.ports
    client.send_metadata(bytes)        # in the pieces that this client would send, to its end mark
    client.open_streams()              # one socket for each CPU
    client.streams[0].send(pages)
    client.finish()                    # streams first, then CLOSE, as trace-cmd does

Before each action a client calls its hook with the name of the step, so a test may kill a daemon there or stop playing.
A client is as strict as the real one: it checks what its reads return, and that nothing is said behind the port list.
"""

import socket
import struct

CONNECT = 10.0  # seconds a client waits for an answer; the real ones wait 5, or for ever
PIECE = 8180  # bytes of metadata that a full message holds
PAGES_IN_DATAGRAM = 65507


class Refused(Exception):
    """The relay closed the connection, or said CLOSE, before the port list."""


class Wrong(Exception):
    """The relay said what no client expects."""


class TcpStream:
    transport = "tcp"

    def __init__(self, host, port, source, cpu):
        self.cpu = cpu
        self.sock = connect((host, port), source)

    def send(self, data):
        self.sock.sendall(data)

    def close(self):
        self.sock.close()

    def reset(self):
        reset(self.sock)


class UdpStream:
    transport = "udp"

    def __init__(self, host, port, source, cpu):
        self.cpu = cpu
        self.sock = socket.socket(family_of(host), socket.SOCK_DGRAM)
        if source:
            self.sock.bind((source, 0))
        self.sock.connect((host, port))

    def send(self, data):
        """One datagram."""
        self.sock.send(data)

    def send_pages(self, data, page, pages=1):
        """In datagrams of so many sub-buffers."""
        for at in range(0, len(data), page * pages):
            self.send(data[at : at + page * pages])

    def close(self):
        self.sock.close()


def family_of(host):
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def connect(address, source=None, timeout=CONNECT):
    sock = socket.socket(family_of(address[0]), socket.SOCK_STREAM)
    sock.settimeout(timeout)
    try:
        if source:
            sock.bind((source, 0))
        sock.connect(address)
    except OSError:
        sock.close()
        raise
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def reset(sock):
    """Close with RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class Client:
    """What all dialects share. address: (host, port). source: address to send from."""

    name = "?"

    def __init__(self, address, cpus=2, page=4096, tcp=True, source=None, hook=None):
        self.address, self.cpus, self.page, self.tcp, self.source = address, cpus, page, tcp, source
        self.hook = hook or (lambda step: None)
        self.sock = self.sock_port = None
        self.ports = []
        self.streams = []

    # bytes --------------------------------------------------------------------------------------------------------

    def connect(self):
        self.hook("connect")
        self.sock = connect(self.address, self.source)
        self.sock_port = self.sock.getsockname()[1]

    def greeting(self):
        self.hook("greeting")
        said = self.read(8)
        if said != b"tracecmd":
            raise Wrong(f"greeting {said!r}")

    def write(self, data):
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as e:
            raise Refused(str(e)) from e

    def read(self, n):
        """Exactly n bytes."""
        out = b""
        while len(out) < n:
            try:
                part = self.sock.recv(n - len(out))
            except ConnectionResetError as e:
                raise Refused("reset") from e
            except socket.timeout as e:
                raise Wrong(f"silence, {n - len(out)} of {n} bytes missing") from e
            if not part:
                raise Refused(f"end of file, {n - len(out)} of {n} bytes missing")
            out += part
        return out

    def read_once(self, want):
        """What a single read returns must be that, no less and no more."""
        try:
            said = self.sock.recv(256)
        except ConnectionResetError as e:
            raise Refused("reset") from e
        except socket.timeout as e:
            raise Wrong(f"silence instead of {want!r}") from e
        if not said:
            raise Refused(f"end of file instead of {want!r}")
        if said != want:
            raise Wrong(f"{said!r} instead of {want!r}")

    # the conversation ---------------------------------------------------------------------------------------------

    def handshake(self):
        raise NotImplementedError

    def check_ports(self):
        if len(self.ports) != self.cpus or len(set(self.ports)) != self.cpus:
            raise Wrong(f"{len(set(self.ports))} ports for {self.cpus} CPUs")

    def pieces(self, metadata, size):
        for at in range(0, len(metadata), size):
            yield metadata[at : at + size]

    def send_metadata(self, metadata, piece=None):
        """All of it, and the end mark. piece: bytes of a message, at most; None: as this client does."""
        for part in self.pieces(metadata, piece or PIECE):
            self.hook("metadata")
            self.send_piece(part)
        self.end_metadata()

    def send_piece(self, part):
        raise NotImplementedError

    def end_metadata(self):
        pass

    def open_stream(self, cpu):
        self.hook("stream")
        kind = TcpStream if self.tcp else UdpStream
        stream = kind(self.address[0], self.ports[cpu], self.source, cpu)
        self.streams.append(stream)
        return stream

    def open_streams(self):
        for cpu in range(self.cpus):
            self.open_stream(cpu)
        return self.streams

    def close_streams(self):
        for stream in self.streams:
            self.hook("stream end")
            stream.close()

    def send_close(self):
        pass

    def close(self):
        """The control connection: CLOSE where the dialect has it, then at once the end."""
        self.hook("close")
        self.check_silent()
        self.send_close()
        self.hook("end")
        self.sock.close()

    def finish(self):
        self.close_streams()
        self.close()

    def die(self):
        """As a killed process: everything is closed, nothing is said."""
        for stream in self.streams:
            stream.close()
        if self.sock:
            self.sock.close()

    def check_silent(self):
        """Nothing may be said behind the port list, and the connection must be there."""
        self.sock.setblocking(False)
        try:
            said = self.sock.recv(256)
        except BlockingIOError:
            return
        finally:
            self.sock.settimeout(CONNECT)
        raise Wrong(f"{said!r} behind the port list" if said else "the relay closed the control connection")

    def record(self, metadata, kernel):
        """A whole recording of what the kernel has made so far."""
        self.handshake()
        self.record_rest(metadata, kernel)

    def record_rest(self, metadata, kernel):
        """What follows a handshake."""
        self.send_metadata(metadata)
        self.open_streams()
        for stream in self.streams:
            cpu = kernel.cpus[stream.cpu]
            if self.tcp:
                self.hook("pages")
                stream.send(cpu.sent)
            else:
                for page in cpu.pages:
                    self.hook("pages")
                    stream.send(page.bytes)
        self.finish()


class V1(Client):
    name = "V1"
    protocol = "trace-cmd V1"

    def handshake(self):
        self.connect()
        self.greeting()
        self.hook("cpus")
        self.write(b"%d\0" % self.cpus)
        self.hook("page size")
        self.write(b"%d\0" % self.page)
        self.hook("options")
        self.write(b"1\0" b"4\0TCP" b"\0" if self.tcp else b"0\0")
        self.read_ports()

    def read_ports(self):
        self.hook("ports")
        text = b""
        while not text.endswith(b"\0"):
            text += self.read(1)
        self.ports = [int(port) for port in text[:-1].split(b",")]
        self.check_ports()

    def send_piece(self, part):
        self.write(part)


class V2(Client):
    """What both dialects share: messages of u32be size, u32be command, body."""

    protocol = "trace-cmd V2"
    CLOSE, TINIT, RINIT, SENDMETA, FINMETA = 1, 4, 5, 6, 7

    @staticmethod
    def message(command, body=b""):
        return struct.pack(">II", 8 + len(body), command) + body

    def option(self):
        raise NotImplementedError

    def tinit(self):
        body = struct.pack(">III", self.cpus, self.page, 1 if self.tcp else 0)
        return self.message(self.TINIT, body + (self.option() if self.tcp else b""))

    def read_rinit(self):
        self.hook("rinit")
        size, command = struct.unpack(">II", self.read(8))
        if not 8 <= size <= 8192:
            raise Wrong(f"a message of {size} bytes")
        body = self.read(size - 8)
        if command == self.CLOSE:
            raise Refused("CLOSE")
        if command != self.RINIT or len(body) < 4 + 4 * self.cpus:
            raise Wrong(f"command {command}, {size} bytes, instead of RINIT")
        cpus, *self.ports = struct.unpack_from(f">I{self.cpus}I", body)
        if cpus != self.cpus:
            raise Wrong(f"RINIT for {cpus} CPUs")
        self.check_ports()

    def send_close(self):
        self.write(self.message(self.CLOSE))

    def end_metadata(self):
        self.hook("metadata end")
        self.write(self.message(self.FINMETA))


class V2of2015(V2):
    name = "V2 of 2015"
    protocol = "trace-cmd V2 (2015)"

    def handshake(self):
        self.connect()
        self.greeting()
        self.hook("version")
        self.write(b"-1V2\0" b"677768\0")
        self.hook("version answer")
        said = self.read(2)
        if said != b"V2":
            raise Wrong(f"{said!r} instead of V2")
        # V2 with its NUL is as good: the client compares two bytes and throws the rest of that read away
        self.sock.settimeout(0.02)
        try:
            said = self.sock.recv(1)
            if said != b"\0":
                raise Wrong(f"V2{said!r}")
        except socket.timeout:
            pass
        self.sock.settimeout(CONNECT)
        self.hook("tinit")
        self.write(self.tinit())
        self.read_rinit()

    def option(self):
        return struct.pack(">III", 12, 1, 0)

    def pieces(self, metadata, size):
        return super().pieces(metadata, min(size, 8172))

    def send_piece(self, part):
        body = struct.pack(">I", len(part)) + part
        if len(part) == 8172:
            body += b"padding!"
        self.write(self.message(self.SENDMETA, body))


class V2of27(V2):
    name = "V2 of 2.7"
    protocol = "trace-cmd V2"

    def handshake(self):
        self.connect()
        self.greeting()
        self.hook("version")
        self.write(b"-1V2\0")
        self.hook("version answer")
        self.read_once(b"V2\0")
        self.hook("magic")
        self.write(b"677768\0\0")
        self.hook("ok")
        self.read_once(b"OK")
        self.hook("tinit")
        self.write(self.tinit())
        self.read_rinit()

    def option(self):
        return struct.pack(">II", 12, 1) + b"\xde\xad\xbe\xef"  # uninitialised in the real one

    def send_piece(self, part):
        self.write(self.message(self.SENDMETA, struct.pack(">I", len(part)) + part))


class V3(Client):
    name = "V3"
    protocol = "trace-cmd V3"
    CLOSE, TINIT, RINIT, SEND_DATA, FIN_DATA, NOT_SUPP = range(6)

    @staticmethod
    def message(command, fixed=b"", rest=b""):
        return struct.pack(">III", 12 + len(fixed) + len(rest), command, len(fixed)) + fixed + rest

    def hello(self):
        self.connect()
        self.greeting()
        self.hook("version")
        self.write(b"-1V3\0")
        self.hook("version answer")
        self.read_once(b"V3\0")
        self.hook("magic")
        self.write(b"766679\0\0")
        self.hook("ok")
        self.read_once(b"OK")

    def handshake(self):
        self.hello()
        self.hook("tinit")
        options = b"tcp\0" if self.tcp else b""
        message = self.message(self.TINIT, struct.pack(">III", self.cpus, self.page, 1 if self.tcp else 0), options)
        # two writes, as the real client: fixed part and options
        self.write(message[: len(message) - len(options)])
        if options:
            self.hook("tinit options")
            self.write(options)
        self.read_rinit()

    def read_rinit(self):
        self.hook("rinit")
        size, command, fixed = struct.unpack(">III", self.read(12))
        if not 12 + fixed <= size <= 8192:
            raise Wrong(f"a message of {size} bytes")
        body = self.read(size - 12)
        if command == self.CLOSE:
            raise Refused("CLOSE")
        if command != self.RINIT or fixed < 4 or not body.endswith(b"\0"):
            raise Wrong(f"command {command}, {size} bytes, instead of RINIT")
        if struct.unpack_from(">I", body)[0] != self.cpus:
            raise Wrong("RINIT for another number of CPUs")
        self.ports = [int(port) for port in body[fixed:-1].split(b"\0")]
        self.check_ports()

    def send_piece(self, part):
        self.write(self.message(self.SEND_DATA, b"", part))

    def end_metadata(self):
        self.hook("metadata end")
        self.write(self.message(self.FIN_DATA))

    def send_close(self):
        self.write(self.message(self.CLOSE))


DIALECTS = (V1, V2of2015, V2of27, V3)


def write_calls(metadata, seed=7):
    """The pieces in which a client sends v6 metadata: one message a write call, many of 10 to 20 bytes, most of 4 KiB."""
    state = seed
    at = 0
    while at < len(metadata):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        size = 10 + state % 11 if state >> 16 & 1 else 4096
        yield metadata[at : at + size]
        at += size
