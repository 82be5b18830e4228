#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""pages.py - the oracle of tests/real: what do the ring buffer pages themselves hold?

Reads a trace.dat (v6 or v7, its regions compressed or not) or a raw dump of per-CPU pages and walks every event
header of every page. It shares no code with the relay and needs no event format, so its counts can be held against
`trace-cmd report`, which finds the events by another way.

  pages.py FILE.dat...                       a table: per buffer and CPU the region, pages, events, lost events
  pages.py --total FILE.dat...               one line: EVENTS MARKS, summed over the files
  pages.py --raw PAGESIZE DUMP...            the same two for raw pages, one file per CPU
  pages.py --same PREFIX FILE.dat...         the regions, chunk after chunk, are byte for byte the dumps PREFIX.cpuN
      --marks      but for the two loss bits of a page's commit and the count that bit 30 announces
      --cut        the dump may be longer by less than a page (a killed client's last, partial page)
      --gaps N     up to N gaps per CPU: pages that were sent and are not stored; the next page that is stored must say
                   that something is lost. Prints for each CPU: CPU SENT STORED GAPS (bytes, and how many)

EVENTS counts events of any type, as `trace-cmd report` prints them one a line. MARKS counts pages that say that
events were lost before them, as `trace-cmd report` prints one EVENTS DROPPED line for each.

A wrong layout is an error in every mode: regions that are not aligned, overlap, leave the file or are not covered by
their BUFFER section; a commit larger than the page; an event that crosses the commit; page times that go back.
Exit: 0 good, 1 something is wrong (on stderr).
"""

import argparse
import array
import ctypes
import ctypes.util
import mmap
import os
import re
import struct
import sys
import zlib

LOST_COUNTED = 1 << 30
LOST = 1 << 31
COMMIT_BYTES = (1 << 27) - 1

problems = []


def problem(text):
    problems.append(text)


def decompress(name, data, plain_size):
    if name == "zlib":
        return zlib.decompress(data)
    if name != "zstd":
        raise ValueError(f"compression {name!r} is not known here")
    lib = ctypes.CDLL(ctypes.util.find_library("zstd") or "libzstd.so.1")
    lib.ZSTD_decompress.restype = ctypes.c_size_t
    lib.ZSTD_decompress.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]
    out = ctypes.create_string_buffer(plain_size)
    n = lib.ZSTD_decompress(out, plain_size, bytes(data), len(data))
    if n != plain_size:
        raise ValueError("a zstd chunk does not give its plain size")
    return out.raw


class Region:
    """One CPU's pages. `data` is bytes-like; `offset` is None if they were compressed."""

    def __init__(self, buffer, cpu, offset, data):
        self.buffer, self.cpu, self.offset, self.data = buffer, cpu, offset, data


class TraceFile:
    """The header, the options and the regions of a trace.dat, as far as an oracle needs them."""

    def __init__(self, path):
        self.path = path
        self.at = 0
        self.regions = []
        with open(path, "rb", buffering=0) as self.file:
            self.parse()

    def parse(self):
        self.size = os.fstat(self.file.fileno()).st_size
        if self.take(10) != b"\x17\x08\x44tracing":
            raise ValueError("no trace.dat magic")
        self.version = self.string()
        self.endian = "><"[self.take(1)[0] == 0]
        self.long_size = self.take(1)[0]
        self.commit_size = self.long_size
        self.page_size = self.number("I")
        if self.version == "7":
            self.parse_v7()
        elif self.version == "6":
            self.parse_v6()
        else:
            raise ValueError(f"version {self.version!r}")
        self.check_layout()

    def take(self, n):
        if n > self.size - self.at:
            raise ValueError(f"ends inside something of {n} bytes at {self.at}")
        self.at += n
        return os.pread(self.file.fileno(), n, self.at - n)

    def skip(self, n):
        self.at += n

    def number(self, kind):
        return struct.unpack(self.endian + kind, self.take(struct.calcsize(kind)))[0]

    def string(self):
        text = b""
        while b"\0" not in text and (more := os.pread(self.file.fileno(), 256, self.at + len(text))):
            text += more
        text, zero, _ = text.partition(b"\0")
        if not zero:
            raise ValueError(f"ends inside a string at {self.at}")
        self.at += len(text) + 1
        return text.decode("latin1")

    def mapped(self, offset, size):
        """A piece alone: with many CPUs a file that is not compact is larger than the address space."""
        if not size:
            return memoryview(b"")
        before = offset % mmap.ALLOCATIONGRANULARITY
        piece = mmap.mmap(self.file.fileno(), before + size, prot=mmap.PROT_READ, offset=offset - before)
        return memoryview(piece)[before:]

    def header_page(self, text):
        m = re.search(rb"commit;\s*offset:\d+;\s*size:(\d+)", text)
        if m:
            self.commit_size = int(m.group(1))

    def region(self, buffer, cpu, offset, size):
        if size and (offset > self.size or size > self.size - offset):
            problem(f"{self.path}: cpu {cpu}: region {offset}+{size} leaves the file ({self.size})")
            size = 0
        self.regions.append(Region(buffer, cpu, offset, self.mapped(offset, size)))

    # v6: blocks one after the other -------------------------------------------------------------------------------

    def parse_v6(self):
        for name in (b"header_page\0", b"header_event\0"):
            if self.take(len(name)) != name:
                raise ValueError(f"no {name} at {self.at}")
            text = self.take(self.number("Q"))
            if name == b"header_page\0":
                self.header_page(text)
        for _ in range(self.number("I")):  # ftrace formats
            self.skip(self.number("Q"))
        for _ in range(self.number("I")):  # event formats
            self.string()
            for _ in range(self.number("I")):
                self.skip(self.number("Q"))
        for kind in "IIQ":  # kallsyms, printk formats, command lines
            self.skip(self.number(kind))
        cpus = self.number("I")
        buffers = []
        mark = self.take(10)
        if mark == b"options  \0":
            while (ident := self.number("H")) != 0:
                size = self.number("I")
                end = self.at + size
                if ident == 3:
                    offset = self.number("Q")
                    buffers.append([offset, self.string(), cpus])
                elif ident == 8 and buffers:
                    buffers[-1][2] = self.number("I")
                self.at = end
            mark = self.take(10)
        self.table_v6(mark, "", cpus)
        for offset, name, count in buffers:
            self.at = offset
            self.table_v6(self.take(10), name, count)

    def table_v6(self, mark, buffer, cpus):
        if mark != b"flyrecord\0":
            raise ValueError(f"data mark {mark}")
        for cpu in range(cpus):
            offset = self.number("Q")
            self.region(buffer, cpu, offset, self.number("Q"))

    # v7: sections, found through options --------------------------------------------------------------------------

    def parse_v7(self):
        self.compression = self.string()
        self.string()
        buffers = {}
        following = self.number("Q")
        seen = set()
        while following:
            if following in seen:
                raise ValueError("the chain of options sections is a ring")
            seen.add(following)
            self.at = following
            ident, flags = self.number("H"), self.number("H")
            self.at += 12
            if ident != 0 or flags & 1:
                raise ValueError(f"no plain options section at {following}")
            following = None
            while following is None:
                ident, size = self.number("H"), self.number("I")
                end = self.at + size
                if ident == 0:
                    following = self.number("Q")
                elif ident == 3:
                    offset = self.number("Q")
                    name = self.string()
                    self.string()  # clock
                    page_size, count = self.number("I"), self.number("I")
                    entries = [(self.number("I"), self.number("Q"), self.number("Q")) for _ in range(count)]
                    buffers[name] = (offset, page_size, entries)  # the last of a name wins
                elif ident == 16:
                    here = self.number("Q")
                    self.header_info(here)
                self.at = end
        for name, (offset, page_size, entries) in buffers.items():
            self.buffer_v7(name, offset, page_size, entries)

    def header_info(self, offset):
        self.at = offset + 2
        flags = self.number("H")
        self.at += 4
        size = self.number("Q")
        if flags & 1:
            packed, plain = self.number("I"), self.number("I")
            text = decompress(self.compression, self.take(packed), plain)
        else:
            text = self.take(size)
        self.header_page(text)

    def buffer_v7(self, name, offset, page_size, entries):
        self.at = offset
        ident, flags = self.number("H"), self.number("H")
        self.at += 4
        covered = (offset + 16, offset + 16 + self.number("Q"))
        if ident != 3:
            problem(f"{self.path}: no BUFFER section at {offset}")
        if page_size != self.page_size:
            problem(f"{self.path}: page size {self.page_size} in the header, {page_size} in the BUFFER option")
        for cpu, at, size in sorted(entries):
            if not flags & 1:
                if size and not (covered[0] <= at and at + size <= covered[1]):
                    problem(f"{self.path}: cpu {cpu}: region {at}+{size} is not covered by its section {covered}")
                self.region(name, cpu, at, size)
                continue
            self.at = at
            chunks = []
            for _ in range(self.number("I") if size else 0):
                packed, plain = self.number("I"), self.number("I")
                chunks.append(decompress(self.compression, self.take(packed), plain))
            self.regions.append(Region(name, cpu, None, b"".join(chunks)))

    def check_layout(self):
        end = 0
        for r in sorted((r for r in self.regions if r.offset is not None and len(r.data)), key=lambda r: r.offset):
            if r.offset % self.page_size:
                problem(f"{self.path}: cpu {r.cpu}: offset {r.offset} is no multiple of {self.page_size}")
            if r.offset < end:
                problem(f"{self.path}: cpu {r.cpu}: region at {r.offset} overlaps the one before it")
            end = r.offset + len(r.data)


class Count:
    """What walking the pages of one stream gave."""

    def __init__(self):
        self.pages = self.empty = self.events = self.marks = self.lost = self.lost_unknown = 0
        self.first = self.last = 0


def walk_page(words, big, what):
    """Events in one page's data (an array of u32, already in this host's order)."""
    events, i, end = 0, 0, len(words)
    while i < end:
        w = words[i]
        kind = w >> 27 if big else w & 31
        if 0 < kind < 29:
            events += 1
            i += 1 + kind
        elif kind == 0:
            if i + 1 >= end:
                break
            events += 1
            i += 1 + (words[i + 1] + 3) // 4
        elif kind == 29:
            if (w & 0x7FFFFFF if big else w >> 5) == 0:
                return events
            if i + 1 >= end:
                break
            i += 1 + (words[i + 1] + 3) // 4
        else:
            i += 2
    if i != end:
        problem(f"{what}: an event crosses the page's commit")
    return events


def walk(data, page_size, commit_size, endian, what):
    c = Count()
    head = 8 + commit_size
    foreign = (endian == "<") != (sys.byteorder == "little")
    for at in range(0, len(data), page_size):
        page = data[at : at + page_size]
        c.pages += 1
        here = f"{what}: page {at // page_size}"
        if len(page) < head:
            problem(f"{here}: {len(page)} bytes, too short for a header")
            continue
        # the low 32 bits of commit: its high half is a sign extension
        time = struct.unpack_from(endian + "Q", page)[0]
        low = 8 if endian == "<" or commit_size == 4 else 12
        commit = struct.unpack_from(endian + "I", page, low)[0]
        size = commit & COMMIT_BYTES
        if commit & LOST:
            c.marks += 1
            if commit & LOST_COUNTED:
                c.lost += struct.unpack_from(endian + "Q" if commit_size == 8 else endian + "I", page, head + size)[0]
            else:
                c.lost_unknown += 1
        if size > len(page) - head:
            problem(f"{here}: commit {size} is larger than the page")
            continue
        if size == 0:
            c.empty += 1
            continue
        if time < c.last:
            problem(f"{here}: time {time} goes back by {c.last - time}")
        c.first = c.first or time
        c.last = time
        words = array.array("I", bytes(page[head : head + size // 4 * 4]))
        if foreign:
            words.byteswap()
        c.events += walk_page(words, endian == ">", here)
    return c


def show(rows, total):
    if total:
        print(sum(c.events for _, c in rows), sum(c.marks for _, c in rows))
        return
    print(f"{'stream':<28} {'offset':>14} {'bytes':>12} {'pages':>8} {'empty':>6} {'events':>9} {'marks':>6} {'lost':>8}")
    for (name, offset, size), c in rows:
        offset = "-" if offset is None else offset
        print(f"{name:<28} {offset:>14} {size:>12} {c.pages:>8} {c.empty:>6} {c.events:>9} {c.marks:>6} {c.lost:>8}")


def without_marks(data, t):
    """The pages with the loss bits, their sign extension and the count behind the data taken out."""
    out = bytearray(data)
    head = 8 + t.commit_size
    low = 8 if t.endian == "<" or t.commit_size == 4 else 12
    for at in range(0, len(out) - head + 1, t.page_size):
        commit = struct.unpack_from(t.endian + "I", out, at + low)[0]
        if commit & LOST_COUNTED:
            behind = at + head + (commit & COMMIT_BYTES)
            out[behind : behind + t.commit_size] = bytes(len(out[behind : behind + t.commit_size]))
        out[at + 8 : at + head] = bytes(t.commit_size)
        struct.pack_into(t.endian + "I", out, at + low, commit & COMMIT_BYTES)
    return bytes(out)


def is_marked(page, t):
    return struct.unpack_from(t.endian + "I", page, 8 if t.endian == "<" or t.commit_size == 4 else 12)[0] & LOST != 0


def check_gaps(cpu, parts, sent, limit):
    """Each stored page is one of the sent pages, in their order; the first page after a gap is marked."""
    stored = at = gaps = 0
    for t, data in parts:
        plain, plain_sent = without_marks(data, t), without_marks(sent, t)
        for n in range(0, len(data), t.page_size):
            page = plain[n : n + t.page_size]
            gap = False
            while at < len(plain_sent) and plain_sent[at : at + len(page)] != page:
                at += t.page_size
                gap = True
            if at >= len(plain_sent):
                problem(f"cpu {cpu}: page {n // t.page_size} of {t.path} was not sent, or not in this order")
                return
            at += len(page)
            stored += len(page)
            gaps += gap
            if gap and not is_marked(data[n : n + t.page_size], t):
                problem(f"cpu {cpu}: page {n // t.page_size} of {t.path} follows a gap and is not marked")
    if at < len(sent):
        gaps += 1
    if gaps > limit:
        problem(f"cpu {cpu}: {gaps} gaps")
    print(cpu, len(sent), stored, gaps)


def common_prefix(a, b, page_size):
    n = 0
    while n < min(len(a), len(b)) and a[n : n + page_size] == b[n : n + page_size]:
        n += page_size
    return min(n, len(a), len(b))


def same(prefix, paths, args):
    files = [TraceFile(p) for p in paths]
    cpus = sorted({r.cpu for t in files for r in t.regions})
    dumped = sorted(
        int(m.group(1))
        for name in os.listdir(os.path.dirname(prefix) or ".")
        if (m := re.fullmatch(re.escape(os.path.basename(prefix)) + r"\.cpu(\d+)", name))
    )
    for cpu in sorted(set(cpus) | set(dumped)):
        try:
            with open(f"{prefix}.cpu{cpu}", "rb") as f:
                sent = f.read()
        except FileNotFoundError:
            sent = b""
        parts = [(t, bytes(r.data)) for t in files for r in t.regions if r.cpu == cpu]
        page_size = files[0].page_size
        if args.gaps is not None:
            check_gaps(cpu, parts, sent, args.gaps)
            continue
        if args.marks:
            sent = without_marks(sent, files[0])
            parts = [(t, without_marks(data, t)) for t, data in parts]
        stored = b"".join(data for _, data in parts)
        if args.cut and 0 < len(sent) - len(stored) < page_size:
            sent = sent[: len(stored)]
        if stored != sent:
            n = common_prefix(stored, sent, page_size)
            problem(f"cpu {cpu}: {len(stored)} bytes stored, {len(sent)} sent; the same only up to {n}")


def main():
    p = argparse.ArgumentParser(description="what the ring buffer pages themselves hold")
    p.add_argument("--total", action="store_true", help="print EVENTS MARKS only")
    p.add_argument("--raw", type=int, metavar="PAGESIZE", help="the files are raw pages of this machine")
    p.add_argument("--same", metavar="PREFIX", help="compare the regions with dumps PREFIX.cpuN")
    p.add_argument("--marks", action="store_true")
    p.add_argument("--cut", action="store_true")
    p.add_argument("--gaps", type=int, metavar="N")
    p.add_argument("file", nargs="+")
    args = p.parse_args()
    try:
        if args.same:
            same(args.same, args.file, args)
        elif args.raw:
            rows = []
            endian = "<" if sys.byteorder == "little" else ">"
            for path in args.file:
                with open(path, "rb") as f:
                    data = f.read()
                c = walk(memoryview(data), args.raw, struct.calcsize("l"), endian, path)
                rows.append(((os.path.basename(path), None, len(data)), c))
            show(rows, args.total)
        else:
            rows = []
            for path in args.file:
                t = TraceFile(path)
                for r in t.regions:
                    name = f"{r.buffer or 'top'}/{r.cpu}"
                    c = walk(memoryview(r.data), t.page_size, t.commit_size, t.endian, f"{path}: {name}")
                    rows.append(((name, r.offset, len(r.data)), c))
            show(rows, args.total)
    except (ValueError, IndexError, struct.error) as e:
        problem(f"{' '.join(args.file)}: {e}")
    for text in problems[:20]:
        print(f"pages.py: {text}", file=sys.stderr)
    if len(problems) > 20:
        print(f"pages.py: and {len(problems) - 20} more", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
