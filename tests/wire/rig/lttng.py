# SPDX-License-Identifier: MIT
"""lttng.py - LTTng's daemons as scripts, of every minor of the relay protocol; a live viewer; and what they send to.

    with lttng_relay() as relay:
        client = Client(relay, minor=13)
        client.hello()                       # versions, CREATE_SESSION, data connection
        client.begin(cpus=2)                 # chunk, streams, STREAMS_SENT, metadata
        client.streams[0].packet()           # one packet and its index
        client.finish()                      # data-pending until nothing is, destroy, close
        client.must_hold()                   # files and index files, byte by byte, and babeltrace2

TRACERELAY_LTTNG_PEER=stock puts the real lttng-relayd in the relay's place: it proves these scripts.
Before each message a client calls its hook with the name of the step, as in dialect.py.
"""

import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

from .case import Failed, Skipped, environment
from .ctf import PAGE, Program, events_in, files_below
from .dialect import CONNECT, Refused, Wrong, connect
from .relay import Relay, wait_for

ADD_STREAM, CREATE_SESSION, VERSION, SEND_METADATA, CLOSE_STREAM, DATA_PENDING = 1, 2, 5, 6, 7, 8
QUIESCENT, BEGIN_PENDING, END_PENDING, SEND_INDEX, STREAMS_SENT, RESET_METADATA = 9, 10, 11, 13, 16, 17
ROTATE, CREATE_CHUNK, CLOSE_CHUNK, CHUNK_EXISTS, CONFIGURATION = 18, 19, 20, 21, 22
ARCHIVE, NOTHING, DELETE = 0, 1, 2
OK, NONE = 10, (1 << 64) - 1
CREATED = 1700000000

stock = os.environ.get("TRACERELAY_LTTNG_PEER") == "stock"


def not_stock(why="lttng-relayd cannot"):
    if stock:
        raise Skipped(why)


class LttngRelay(Relay):
    def __init__(self, sets=None, **more):
        env = environment()
        self.control_port, self.data_port, self.live_port = (env.take_port() for _ in range(3))
        every = {
            "lttng.control": f"0.0.0.0:{self.control_port}, [::]:{self.control_port}",
            "lttng.data": f"0.0.0.0:{self.data_port}, [::]:{self.data_port}",
            "lttng.live": f"127.0.0.1:{self.live_port}",
        }
        every.update(sets or {})
        super().__init__(every, **more)

    @property
    def tree(self):
        """What lttng-relayd calls its output directory."""
        return os.path.join(self.out, "default")


class Stock:
    """The real lttng-relayd, with as much of Relay's interface as makes sense."""

    def __init__(self, sets=None, **_):
        env = environment()
        self.control_port, self.data_port, self.live_port = (env.take_port() for _ in range(3))
        if set(sets or ()) - {"lttng.protocol"}:
            raise Skipped("an option that lttng-relayd does not have")

    def __enter__(self):
        if not shutil.which("lttng-relayd"):
            raise Skipped("no lttng-relayd")
        self.work = self.tree = self.out = tempfile.mkdtemp(prefix="tracerelay-stock.")
        os.environ["LTTNG_HOME"] = self.work + ".home"
        os.makedirs(os.environ["LTTNG_HOME"], exist_ok=True)
        ports = {"-C": self.control_port, "-D": self.data_port, "-L": self.live_port}
        words = [word for flag, port in ports.items() for word in (flag, f"tcp://127.0.0.1:{port}")]
        self.process = subprocess.Popen(["lttng-relayd", *words, "-o", self.out], stderr=subprocess.DEVNULL)
        for port in ports.values():
            wait_for(f"port {port}", lambda port=port: is_listening(port))
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.rmtree(self.work + ".home", ignore_errors=True)

    def relayd_pid(self):
        return self.process.pid if self.process.poll() is None else None


def is_listening(port):
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def lttng_relay(sets=None, **more):
    return (Stock if stock else LttngRelay)(sets, **more)


def message(cmd, body=b"", size=None):
    """A control message; size: what its header claims."""
    return struct.pack(">QQII", 0, len(body) if size is None else size, cmd, 0) + body


def data_header(handle, seq, size, padding):
    return struct.pack(">QQQII", 0, handle, seq, size, padding)


def padded(text, size):
    """What is behind the NUL is garbage, as the real client's is."""
    raw = text.encode() + b"\0"
    return raw + b"\xa5" * (size - len(raw))


def read(sock, size):
    data = b""
    while len(data) < size:
        try:
            part = sock.recv(size - len(data))
        except ConnectionResetError as e:
            raise Refused("reset") from e
        except socket.timeout as e:
            raise Wrong(f"silence, {size - len(data)} of {size} bytes missing") from e
        if not part:
            raise Refused(f"end of file, {size - len(data)} of {size} bytes missing")
        data += part
    return data


class Stream:
    """One stream of a client, and what its files must hold: files[chunk][number] = [data, index records]."""

    def __init__(self, client, name, cpu, path, tracefile_size=0, tracefile_count=0):
        self.client, self.name, self.cpu, self.path = client, name, cpu, path
        self.size, self.count = tracefile_size, tracefile_count
        self.handle, self.seq, self.number = None, 0, 0
        self.chunk = client.chunk
        self.files, self.packets = {}, []
        self.numbers_lost = []

    @property
    def is_metadata(self):
        return self.name == "metadata"

    def keep(self, packet):
        """As the relay is to store it."""
        files = self.files.setdefault(self.chunk, {0: [bytearray(), bytearray()]})
        if self.size and len(files[self.number][0]) + len(packet.data) > self.size:
            self.number += 1
            if self.count:
                self.number %= self.count
            files[self.number] = [bytearray(), bytearray()]
        data, index = files[self.number]
        index += struct.pack(">Q", len(data)) + (packet.index if self.client.minor >= 8 else packet.index[:48])
        data += packet.stored()

    def send_data(self, packet, seq=None):
        self.client.hook("data")
        seq = self.seq if seq is None else seq
        self.client.data.sendall(data_header(self.handle, seq, len(packet.data), packet.padding) + packet.data)

    def send_index(self, packet, seq=None):
        seq = self.seq if seq is None else seq
        index = packet.index if self.client.minor >= 8 else packet.index[:48]
        self.client.ask_ok("index", SEND_INDEX, struct.pack(">QQ", self.handle, seq) + index)

    def packet(self, events=10, index_first=False):
        packet = self.client.program.packet(self.cpu, events)
        halves = [self.send_data, self.send_index] if self.client.minor >= 4 else [self.send_data]
        for half in reversed(halves) if index_first else halves:
            half(packet)
        self.sent(packet)
        return packet

    def sent(self, packet):
        self.keep(packet)
        self.packets.append(packet)
        self.seq += 1

    def beacon(self, end):
        body = struct.pack(">QQ6Q", self.handle, self.last, 0, 0, 0, end, 0, 0)
        self.client.ask_ok("beacon", SEND_INDEX, body + struct.pack(">QQ", self.cpu, 0) * (self.client.minor >= 8))

    @property
    def last(self):
        return NONE if self.is_metadata or not self.seq else self.seq - 1


class Client:
    def __init__(self, relay, minor=13, name="s", host="wire", base="", hook=None, source=None, number=1, live=0, snapshot=0):
        self.relay, self.minor, self.name, self.host, self.base = relay, minor, name, host, base
        self.hook, self.source, self.number = hook or (lambda step: None), source, number
        self.live, self.snapshot = live, snapshot
        self.program = Program(host, number)
        self.chunk = 0
        self.streams, self.all_streams, self.metadata = [], [], None
        self.control = self.data = self.session = None
        self.date = time.strftime("%Y%m%d-%H%M%S", time.localtime(CREATED + number))
        self.places = {0: ""}  # below the session's directory
        self.said_path = ""

    # messages -----------------------------------------------------------------------------------------------------

    def ask(self, step, cmd, body, size):
        self.hook(step)
        try:
            self.control.sendall(message(cmd, body))
        except (BrokenPipeError, ConnectionResetError) as e:
            raise Refused(str(e)) from e
        return read(self.control, size)

    def ask_ok(self, step, cmd, body=b""):
        code = struct.unpack(">I", self.ask(step, cmd, body, 4))[0]
        if code != OK:
            raise Refused(f"{step}: code {code}")

    def connect(self):
        self.hook("connect")
        self.control = connect(("127.0.0.1", self.relay.control_port), self.source)

    def connect_data(self):
        self.hook("connect data")
        self.data = connect(("127.0.0.1", self.relay.data_port), self.source)

    def version(self, major=2):
        said = struct.unpack(">II", self.ask("version", VERSION, struct.pack(">II", major, self.minor), 8))
        if said[0] != 2 or (not stock and said[1] < 1):
            raise Wrong(f"version {said}")
        self.minor = min(self.minor, said[1])

    def session_body(self):
        if self.minor < 4:
            return b""
        if self.minor < 11:
            return padded(self.name, 255) + padded(self.host, 64) + struct.pack(">II", self.live, self.snapshot)
        names = [text.encode() + b"\0" for text in (self.name, self.host, self.base)]
        head = struct.pack(">IIIIBB", *map(len, names), self.live, self.snapshot, 0)
        head += bytes([self.number]) * 16 + struct.pack(">QQBQ", self.number, CREATED + self.number, 0, 0)
        return head + b"".join(names)

    def create_session(self):
        """What was said: (code, path); path None where there is none."""
        said = self.ask("session", CREATE_SESSION, self.session_body(), 12)
        self.session, code = struct.unpack(">QI", said)
        path = None
        if self.minor >= 11:
            (size,) = struct.unpack(">I", read(self.control, 4))
            if not 1 <= size < 4096:
                raise Wrong(f"a path of {size} bytes hangs a session daemon")
            path = read(self.control, size).rstrip(b"\0").decode()
            self.said_path = path
        return code, path

    def hello(self):
        self.connect()
        self.version()
        if self.minor >= 12:
            code, flags = struct.unpack(">IQ", self.ask("configuration", CONFIGURATION, bytes(8), 12))
            if code != OK or flags & ~1:
                raise Wrong(f"configuration {code}, {flags}")
        code, _ = self.create_session()
        if code != OK:
            raise Refused(f"CREATE_SESSION: code {code}")
        self.connect_data()

    def create_chunk(self, chunk=0, override="", created=None):
        name = override.encode() + b"\0" if override else b""
        body = struct.pack(">QQI", chunk, CREATED + chunk if created is None else created, len(name)) + name
        self.ask_ok("create chunk", CREATE_CHUNK, body)

    @property
    def prefix(self):
        """What old clients put in front of a stream's path."""
        return "" if self.minor >= 11 else f"/{self.host}/{self.name}-{self.date}//"

    def add_stream_body(self, name, path, tracefile_size=0, tracefile_count=0):
        if self.minor < 11:
            limits = struct.pack(">QQ", tracefile_size, tracefile_count) if self.minor >= 2 else b""
            return padded(name, 264) + padded(path, 4096) + limits
        names = name.encode() + b"\0", path.encode() + b"\0"
        head = struct.pack(">IIQQQ", len(names[0]), len(names[1]), tracefile_size, tracefile_count, self.chunk)
        return head + b"".join(names)

    def add_stream(self, name, cpu=0, path="ust/uid/0/64-bit", **limits):
        stream = Stream(self, name, cpu, path, **limits)
        body = self.add_stream_body(name, self.prefix + path, **limits)
        stream.handle, code = struct.unpack(">QI", self.ask("stream", ADD_STREAM, body, 12))
        if code != OK:
            raise Refused(f"ADD_STREAM: code {code}")
        self.all_streams.append(stream)
        if stream.is_metadata:
            self.metadata = stream
        else:
            self.streams.append(stream)
        return stream

    def send_metadata(self):
        files = self.metadata.files.setdefault(self.metadata.chunk, {0: [bytearray(), bytearray()]})
        for part, padding in self.program.metadata():
            self.hook("metadata")
            self.control.sendall(message(SEND_METADATA, struct.pack(">QI", self.metadata.handle, padding) + part))
            files[0][0] += part + bytes(padding)

    def begin(self, cpus=2, metadata=True, **limits):
        if self.minor >= 11:
            self.create_chunk()
        for cpu in range(cpus):
            self.add_stream(f"ch_{cpu}", cpu, **limits)
        self.add_stream("metadata")
        if self.minor >= 4 and not self.snapshot:
            self.ask_ok("streams sent", STREAMS_SENT)
        if metadata:
            self.send_metadata()

    def pending(self):
        """Whether something is: one round, as `lttng stop` makes them."""
        self.ask_ok("begin pending", BEGIN_PENDING, struct.pack(">Q", self.session))
        found = 0
        for stream in self.streams:
            said = self.ask("pending", DATA_PENDING, struct.pack(">QQ", stream.handle, stream.last), 4)
            found |= struct.unpack(">I", said)[0]
        for stream in self.all_streams:
            if stream.is_metadata:
                self.ask_ok("quiescent", QUIESCENT, struct.pack(">Q", stream.handle))
        found |= struct.unpack(">I", self.ask("end pending", END_PENDING, struct.pack(">Q", self.session), 4))[0]
        if found not in (0, 1):
            raise Wrong(f"data pending: {found}")
        return found

    def await_stored(self, seconds=10):
        wait_for("data-pending to be over", lambda: not self.pending(), seconds)

    def rotate(self, streams, chunk, at=0, padding=7):
        """Streams to chunk (None: to none) from packet_seq_num `at` on; at None: from each one's next packet on."""
        body = struct.pack(">IB", len(streams), chunk is not None) + b"\xa5" * padding
        body += struct.pack(">Q", chunk if chunk is not None else 0xA5)
        body += b"".join(struct.pack(">QQ", stream.handle, stream.seq if at is None else at) for stream in streams)
        self.ask_ok("rotate", ROTATE, body)

    def close_chunk(self, chunk=0, command=None, closed=None):
        when = CREATED + chunk + 1 if closed is None else closed
        body = struct.pack(">QQBI", chunk, when, command is not None, command or 0)
        code, size = struct.unpack(">II", self.ask("close chunk", CLOSE_CHUNK, body, 8))
        if code != OK or size < 1:
            raise Refused(f"CLOSE_TRACE_CHUNK: code {code}, a path of {size} bytes")
        return read(self.control, size).rstrip(b"\0").decode()

    def chunk_exists(self, chunk=0):
        code, exists = struct.unpack(">IB", self.ask("chunk exists", CHUNK_EXISTS, struct.pack(">Q", chunk), 5))
        if code != OK:
            raise Refused(f"TRACE_CHUNK_EXISTS: code {code}")
        return exists

    def close_stream(self, stream):
        self.ask_ok("close stream", CLOSE_STREAM, struct.pack(">QQ", stream.handle, stream.last))

    def destroy(self):
        if self.minor >= 11:
            self.rotate(self.streams, None)
            self.rotate([self.metadata], None)
            self.close_chunk(self.chunk)
            wait_for("the chunk to be closed", lambda: not self.chunk_exists(self.chunk))
        for stream in [self.metadata] + self.streams:
            self.close_stream(stream)
        self.close()

    def close(self):
        self.hook("close")
        for sock in (self.control, self.data):
            if sock:
                sock.close()

    def finish(self):
        self.await_stored()
        self.destroy()

    def record(self, cpus=2, packets=4, **limits):
        """A whole recording."""
        self.hello()
        self.begin(cpus, **limits)
        for n in range(packets):
            for stream in self.streams:
                stream.packet(events=1 + 37 * n)
        self.finish()

    # what must be there -------------------------------------------------------------------------------------------

    @property
    def folder(self):
        where = self.base or f"{self.name}-{self.date}"
        return os.path.join(self.relay.tree, self.host, where)

    def expected(self):
        found = {}
        with_index = self.minor >= 4 and not self.snapshot
        for stream in self.all_streams:
            for chunk, files in stream.files.items():
                if self.places[chunk] is None:
                    continue  # cleared
                at = os.path.join(self.places[chunk], stream.path)
                for number, (data, index) in files.items():
                    name = f"{stream.name}_{number}" if stream.size else stream.name
                    found[os.path.join(at, name)] = bytes(data)
                    if with_index and index:
                        size = 72 if self.minor >= 8 else 56
                        head = struct.pack(">4I", 0xC1F1DCC1, 1, self.minor >= 8, size)
                        found[os.path.join(at, "index", name + ".idx")] = head + bytes(index)
            if stream.chunk not in stream.files and not stream.size:
                found[os.path.join(self.places[stream.chunk] or "", stream.path, stream.name)] = b""
        return found

    def differences(self):
        want, have = self.expected(), files_below(self.folder) if os.path.isdir(self.folder) else {}
        out = [f"{name} is missing" for name in want if name not in have]
        out += [f"{name} should not be there" for name in have if name not in want]
        for name in want:
            if name in have and have[name] != want[name]:
                pairs = enumerate(zip(have[name], want[name]))
                at = next((n for n, (x, y) in pairs if x != y), min(len(have[name]), len(want[name])))
                out.append(f"{name}: {len(have[name])} bytes, not {len(want[name])}, different from {at} on")
        return out

    def must_hold(self, seconds=5, readable=True):
        """Files and index files are what was sent; babeltrace2 prints every event."""
        try:
            wait_for("files", lambda: not self.differences(), seconds)
        except Failed:
            raise Failed(f"{self.folder}: {'; '.join(self.differences()[:4])}") from None
        if readable:
            self.must_print(n for s in self.streams for p in s.packets for n in p.numbers)

    def must_print(self, numbers):
        seen = events_in(self.folder)
        if seen is not None and sorted(seen) != sorted(numbers):
            raise Failed(f"{self.folder}: babeltrace2 prints {len(seen)} events, not those sent")


CONNECT_LIVE, LIST, ATTACH, NEXT_INDEX, GET_PACKET, GET_METADATA, NEW_STREAMS, NEW_VIEWER, DETACH = range(1, 10)


class Viewer:
    """A live viewer, as strict as babeltrace2. Stream entries: {handle: (trace, is_metadata, path, name)}."""

    def __init__(self, relay, source=None):
        self.relay, self.streams, self.attached = relay, {}, []
        self.sock = connect(("127.0.0.1", relay.live_port), source)

    def send(self, cmd, body=b""):
        self.sock.sendall(struct.pack(">QII", len(body), cmd, 0) + body)

    def ask(self, cmd, body, size):
        self.send(cmd, body)
        return read(self.sock, size)

    def hello(self, minor=4):
        said = self.ask(CONNECT_LIVE, struct.pack(">QIII", NONE, 2, minor, 1), 20)
        if struct.unpack(">QII", said[:16])[1] != 2:
            raise Wrong(f"viewer version {said.hex()}")
        if self.ask(NEW_VIEWER, b"", 4) != b"\0\0\0\1":
            raise Wrong("no viewer session")
        return self

    def sessions(self):
        """[(id, live timer, clients, streams, host, name)]"""
        (count,) = struct.unpack(">I", self.ask(LIST, b"", 4))
        found = []
        for _ in range(count):
            entry = read(self.sock, 339)
            names = [entry[at:to].split(b"\0")[0].decode() for at, to in ((20, 84), (84, 339))]
            found.append((*struct.unpack(">QIII", entry[:20]), *names))
        return found

    def find(self, name):
        return wait_for(f"live session {name}", lambda: next((s for s in self.sessions() if s[5] == name), None))

    def read_streams(self, count):
        for _ in range(count):
            entry = read(self.sock, 4371)
            handle, trace, metadata = struct.unpack(">QQI", entry[:20])
            path, name = (entry[at:to].split(b"\0")[0].decode() for at, to in ((20, 4116), (4116, 4371)))
            self.streams[handle] = (trace, metadata, path, name)

    def attach(self, session, seek=2):
        self.attached.append(session)
        status, count = struct.unpack(">II", self.ask(ATTACH, struct.pack(">QQI", session, 0, seek), 8))
        self.read_streams(count if status == 1 else 0)
        return status

    def new_streams(self, session):
        status, count = struct.unpack(">II", self.ask(NEW_STREAMS, struct.pack(">Q", session), 8))
        self.read_streams(count if status == 1 else 0)
        return status

    def next_index(self, handle):
        said = struct.unpack(">7QII", self.ask(NEXT_INDEX, struct.pack(">Q", handle), 64))
        return said[7], said

    def packet(self, handle, offset, size):
        status, length, _ = struct.unpack(">III", self.ask(GET_PACKET, struct.pack(">QQI", handle, offset, size), 12))
        return status, read(self.sock, length) if status == 1 else b""

    def metadata(self, handle):
        """All of it that is there now."""
        text = b""
        while True:
            length, status = struct.unpack(">QI", self.ask(GET_METADATA, struct.pack(">Q", handle), 12))
            if status != 1:
                return text
            if not length or length % PAGE:
                raise Wrong(f"{length} bytes of metadata")
            text += read(self.sock, length)

    def handle_of(self, name):
        """A stream is there for viewers when the relay has done what its client said, not when it has answered."""

        def look():
            found = [h for h, (_, _, _, its) in self.streams.items() if its == name]
            if not found:
                for session in self.attached:
                    self.new_streams(session)
            return found

        return wait_for(f"stream {name}", look)[0]

    def close(self):
        self.sock.close()


__all__ = [name for name in dir() if not name.startswith("_")] + ["CONNECT"]
