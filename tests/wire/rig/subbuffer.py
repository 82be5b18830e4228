# SPDX-License-Identifier: MIT
"""subbuffer.py - a traced kernel: ring-buffer sub-buffers with events that are known, and what a report prints of them.

A Kernel has a byte order, a word size, a sub-buffer size and a clock (a counter, never the time of day). Its CPUs make
sub-buffers; each remembers what it made, so that a test compares reports and files with it. Shares no code with the
relay.
"""

import struct

BEAT, BLOCK = 300, 301  # event ids: a short event, and one that fills memory
PID = 4321
TASK = "talker"
FILL = 936  # bytes of ballast in a BLOCK

LOST = 1 << 31
LOST_COUNTED = 1 << 30
MAX_DELTA = (1 << 27) - 1
TIME_EXTEND = 30


class Event:
    """One event as `trace-cmd report` shows it."""

    __slots__ = ("time", "cpu", "name", "text")

    def __init__(self, time, cpu, name, text):
        self.time, self.cpu, self.name, self.text = time, cpu, name, text

    def key(self):
        return (self.time, self.cpu, self.name, self.text)


class Loss:
    """EVENTS DROPPED before the event at `time` of `cpu`; count None: not known how many."""

    __slots__ = ("time", "cpu", "count")

    def __init__(self, time, cpu, count):
        self.time, self.cpu, self.count = time, cpu, count

    def key(self):
        return (self.time, self.cpu, "EVENTS DROPPED", self.count)


class Page:
    """One sub-buffer: its bytes and what is in it."""

    __slots__ = ("bytes", "events", "lost", "count")

    def __init__(self, data, events, lost, count):
        self.bytes, self.events, self.lost, self.count = data, events, lost, count

    def lines(self, mark=False):
        """What a report prints of it; mark: the relay has marked a loss of its own in front."""
        if not self.events:
            return []
        first = self.events[0]
        losses = [Loss(first.time, first.cpu, self.count)] if self.lost or mark else []
        return losses + self.events


class Kernel:
    """long_size: 4 or 8, the kernel's own. page: bytes of a sub-buffer. step: of the clock, from event to event."""

    def __init__(self, cpus=2, page=4096, long_size=8, big=False, client=1, start=1_000_000_000_000, step=1000):
        self.page, self.long_size, self.big, self.client = page, long_size, big, client
        self.order = ">" if big else "<"
        self.now, self.step = start, step
        self.head = 8 + long_size
        self.cpus = [Cpu(self, n) for n in range(cpus)]

    def tick(self, by=None):
        self.now += self.step if by is None else by
        return self.now

    def marked(self, page):
        """The bytes of a page with the bit that says: events were lost in front."""
        at = self.head - 4 if self.big else 8
        word = struct.unpack_from(self.order + "I", page, at)[0] | LOST
        return page[:at] + struct.pack(self.order + "I", word) + page[at + 4 :]

    def lines(self):
        """What a report prints of all that was made, in its order."""
        return sorted_lines(page for cpu in self.cpus for page in cpu.pages)


def sorted_lines(pages):
    """By time, as a report prints them; times are unique, and a loss stands before the event it shares its time with."""
    found = [line for page in pages for line in page.lines()]
    found.sort(key=lambda line: (line.time, isinstance(line, Event)))
    return found


class Cpu:
    def __init__(self, kernel, number):
        self.kernel, self.number = kernel, number
        self.pages = []
        self.made = 0  # events

    @property
    def sent(self):
        return b"".join(page.bytes for page in self.pages)

    def event_word(self, kind, delta):
        return kind << 27 | delta if self.kernel.big else delta << 5 | kind

    def payload(self, ident, number):
        body = struct.pack(self.kernel.order + "HBBiQII", ident, 0, 0, PID, number, self.kernel.client, self.number)
        return body if ident == BEAT else body + bytes([number & 0xFF or 1]) * FILL

    def page(self, events=None, lost=None, ident=BEAT, gap=0):
        """A sub-buffer with so many events (None: as many as fit; 0: an empty one).

        lost: None, True (not known how many) or a count, of events that this kernel lost in front. gap: clock counts
        before the second event; above 2^27 it takes a time extend.
        """
        kernel = self.kernel
        room = kernel.page - kernel.head
        data = bytearray()
        made = []
        start = kernel.now
        last = None
        while events is None or len(made) < events:
            body = self.payload(ident, self.made + 1)
            time = kernel.now + kernel.step + (gap if len(made) == 1 else 0)
            delta = 0 if last is None else time - last
            extend = 8 if delta > MAX_DELTA else 0
            length = 4 + len(body) if ident == BEAT else 8 + len(body)
            if extend + length > room - len(data):
                if events is not None:
                    raise ValueError(f"{events} events do not fit")
                break
            if extend:
                data += struct.pack(
                    kernel.order + "II", self.event_word(TIME_EXTEND, delta & MAX_DELTA), delta >> 27
                )
                delta = 0
            if ident == BEAT:
                data += struct.pack(kernel.order + "I", self.event_word(len(body) // 4, delta))
            else:
                data += struct.pack(kernel.order + "II", self.event_word(0, delta), 4 + len(body))
            data += body
            kernel.now = last = time
            self.made += 1
            if not made:
                start = time
            name = "beat" if ident == BEAT else "block"
            made.append(Event(time, self.number, name, f"client={kernel.client} cpu={self.number} n={self.made}"))
        return self.put(start, data, made, lost)

    def put(self, start, data, made, lost):
        kernel = self.kernel
        commit = len(data)
        behind = b""
        count = None
        if lost is not None:
            commit |= LOST
            counted = lost is not True and kernel.page - kernel.head - len(data) >= kernel.long_size
            if counted:
                commit |= LOST_COUNTED
                count = lost
                behind = struct.pack(kernel.order + ("Q" if kernel.long_size == 8 else "I"), lost)
            if kernel.long_size == 8:
                commit |= 0xFFFFFFFF << 32  # as kernels do: the sign of an int
        head = struct.pack(kernel.order + "Q" + ("Q" if kernel.long_size == 8 else "I"), start, commit)
        page = Page((head + data + behind).ljust(kernel.page, b"\0"), made, lost is not None, count)
        self.pages.append(page)
        return page.bytes

    def fill(self, pages, ident=BEAT):
        """So many full sub-buffers, as one run of bytes."""
        return b"".join(self.page(ident=ident) for _ in range(pages))
