# SPDX-License-Identifier: MIT
"""result.py - a finished chunk: what trace-cmd reads in it, its bytes, its record; and what must be true of them."""

import json
import os
import re
import subprocess
import sys

from .case import Failed
from .subbuffer import Event, sorted_lines

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "real"))
import pages  # noqa: E402  the page walker and trace.dat reader of tests/real

LINE = re.compile(r"^ *(\S.*)-(\d+) +\[(\d+)\] *(\d+)(?:\.(\d{9}))?: +(\w+): +(.*?) *$")
DROPPED = re.compile(r"^CPU:(\d+) \[(?:(\d+) )?EVENTS DROPPED\]$")


def report(path):
    """What `trace-cmd report` prints: (time, cpu, name, text) a line, losses as (cpu, count). Any complaint is a failure."""
    run = subprocess.run(
        ["trace-cmd", "report", "-t", "-i", path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
        encoding="utf8",
        errors="replace",
    )
    if run.returncode or run.stderr.strip():
        raise Failed(f"trace-cmd report {path}: status {run.returncode}, {run.stderr.strip()[:300]!r}")
    found = []
    for line in run.stdout.splitlines():
        if match := LINE.match(line):
            _, _, cpu, seconds, fraction, name, text = match.groups()
            time = int(seconds) * 1_000_000_000 + int(fraction) if fraction else int(seconds)  # some clocks: the count
            found.append((time, int(cpu), name, text))
        elif match := DROPPED.match(line):
            found.append((int(match.group(1)), int(match.group(2)) if match.group(2) else None))
        elif line.strip() and not re.match(r"^(cpus=\d+|CPU \d+ is empty|version = \d+)$", line):
            raise Failed(f"trace-cmd report {path}: not understood: {line!r}")
    return found


def expected_report(lines):
    return [line.key() if isinstance(line, Event) else (line.cpu, line.count) for line in lines]


def check_report(path, lines):
    """lines: Events and Losses in their order. The report must have exactly these."""
    got, want = report(path), expected_report(lines)
    if got == want:
        return
    for n, pair in enumerate(zip(got, want)):
        if pair[0] != pair[1]:
            raise Failed(f"{path}: line {n + 1} of the report is {pair[0]}, not {pair[1]}")
    raise Failed(f"{path}: the report has {len(got)} lines, not {len(want)}")


def read_regions(path):
    """CPU -> bytes, checked for layout; and the opened file (byte order, page size, version)."""
    pages.problems.clear()
    try:
        file = pages.TraceFile(path)
        regions = {}
        for region in file.regions:
            what = f"{path}: cpu {region.cpu}"
            pages.walk(memoryview(region.data), file.page_size, file.commit_size, file.endian, what)
            regions[region.cpu] = bytes(region.data)
    except (ValueError, IndexError) as e:
        raise Failed(f"{path}: {e}") from e
    if pages.problems:
        raise Failed(pages.problems[0])
    return regions, file


class Result:
    """json_path: of the record; the data file is beside it."""

    def __init__(self, json_path):
        self.json_path = json_path
        self.dir = os.path.dirname(json_path)
        self.record = self.read()
        self.source, self.chunk = self.record["source"], self.record["chunk"]
        self.path = os.path.join(self.dir, self.record["file"])

    def read(self):
        with open(self.json_path, encoding="utf8") as f:
            return json.load(f)

    def exists(self):
        return os.path.exists(self.path)

    def stream(self, cpu):
        for stream in self.record["streams"]:
            if stream["cpu"] == cpu:
                return stream
        return None

    def total(self, name):
        """Of all streams; discarded.CAUSE too."""
        keys = name.split(".")
        out = 0
        for stream in self.record["streams"]:
            value = stream
            for key in keys:
                value = value[key]
            out += value
        return out

    def must_add_up(self):
        """received = stored + discarded, everywhere; stored is what the file holds."""
        for ledger in [*self.record["streams"], self.record["totals"]]:
            if ledger["received"] != ledger["stored"] + sum(ledger["discarded"].values()):
                raise Failed(f"{self.json_path}: received is not stored + discarded: {ledger}")
        for name in ("received", "stored", "pages", "lost_events", "lost_intervals", "datagrams_dropped"):
            if self.record["totals"][name] != self.total(name):
                raise Failed(f"{self.json_path}: total {name} is not the sum of the streams'")

    def must_be(self, complete=True, why=None, **values):
        """Members of the record. why: a regular expression."""
        if self.record["complete"] is not complete:
            raise Failed(f"{self.json_path}: complete {self.record['complete']} ({self.record['why']}), not {complete}")
        if why is not None and not re.search(why, self.record["why"] or ""):
            raise Failed(f"{self.json_path}: why {self.record['why']!r} does not say {why!r}")
        if complete and self.record["why"] is not None:
            raise Failed(f"{self.json_path}: complete, yet why {self.record['why']!r}")
        for name, value in values.items():
            if self.record[name] != value:
                raise Failed(f"{self.json_path}: {name} is {self.record[name]!r}, not {value!r}")

    def must_hold_bytes(self, sent):
        """sent: CPU -> bytes. The regions hold exactly these."""
        self.must_add_up()
        held, _ = read_regions(self.path)
        for cpu in sorted(set(sent) | set(held)):
            want, got = sent.get(cpu, b""), held.get(cpu, b"")
            if want != got:
                same = next((n for n, (a, b) in enumerate(zip(want, got)) if a != b), min(len(want), len(got)))
                raise Failed(f"{self.path}: cpu {cpu} holds {len(got)} of {len(want)} bytes, the same up to {same}")
            stream = self.stream(cpu)
            stored = stream["stored"] if stream else 0
            if stored != len(got):
                raise Failed(f"{self.json_path}: cpu {cpu} stored {stored}, the file holds {len(got)}")

    def must_hold_part(self, kernel):
        """Pages may be missing, but not silently: what is stored is what was sent, in order, the first page behind a gap
        says that events were lost, and so does the report. How many gaps there are, by CPU; one at the end included."""
        self.must_add_up()
        held, _ = read_regions(self.path)
        gaps, lines = {}, []
        for cpu in kernel.cpus:
            data = held.get(cpu.number, b"")
            at = gaps[cpu.number] = 0
            for n in range(0, len(data), kernel.page):
                page = data[n : n + kernel.page]
                from_here = at
                while at < len(cpu.pages) and page not in (cpu.pages[at].bytes, kernel.marked(cpu.pages[at].bytes)):
                    at += 1
                if at == len(cpu.pages):
                    raise Failed(f"{self.path}: cpu {cpu.number}: page {n // kernel.page} was not sent, or not then")
                if at > from_here:
                    gaps[cpu.number] += 1
                    if page != kernel.marked(cpu.pages[at].bytes):
                        raise Failed(f"{self.path}: cpu {cpu.number}: page {n // kernel.page} follows a silent gap")
                elif page != cpu.pages[at].bytes:
                    raise Failed(f"{self.path}: cpu {cpu.number}: page {n // kernel.page} is marked, and follows no gap")
                lines += cpu.pages[at].lines(mark=at > from_here)
                at += 1
            gaps[cpu.number] += at < len(cpu.pages)
            stream = self.stream(cpu.number)
            if (stream["stored"] if stream else 0) != len(data):
                raise Failed(f"{self.json_path}: cpu {cpu.number} stored {stream['stored']}, the file holds {len(data)}")
        lines.sort(key=lambda line: (line.time, isinstance(line, Event)))
        check_report(self.path, lines)
        return gaps

    def must_hold(self, kernel, complete=True, why=None, pages_of=None):
        """All that a kernel made (or, if given, CPU -> list of Pages) is there: bytes, events, losses, record, ledger."""
        pages_of = pages_of if pages_of is not None else {cpu.number: cpu.pages for cpu in kernel.cpus}
        self.must_be(complete, why)
        self.must_hold_bytes({cpu: b"".join(page.bytes for page in made) for cpu, made in pages_of.items()})
        for cpu, made in pages_of.items():
            if not made:
                continue
            want = {
                "received": kernel.page * len(made),
                "stored": kernel.page * len(made),
                "pages": len(made),
                "lost_events": sum(page.count or 0 for page in made),
                "lost_intervals": sum(page.lost and page.count is None for page in made),
                "datagrams_dropped": 0,
                "time_first": next((page.events[0].time for page in made if page.events), 0),
                "time_last": next((page.events[0].time for page in reversed(made) if page.events), 0),
            }
            for name, value in want.items():
                if self.stream(cpu)[name] != value:
                    raise Failed(f"{self.json_path}: cpu {cpu}: {name} is {self.stream(cpu)[name]}, not {value}")
        if self.record["trace_dat"]["page_size"] != kernel.page and any(pages_of.values()):
            raise Failed(f"{self.json_path}: page size {self.record['trace_dat']['page_size']}, not {kernel.page}")
        check_report(self.path, sorted_lines(page for made in pages_of.values() for page in made))


def chunks_must_hold(results, kernel, complete=True):
    """The chunks of one source, in order, hold every page once; each is a whole trace.dat of its own."""
    at = {cpu.number: 0 for cpu in kernel.cpus}
    for n, result in enumerate(results):
        held, _ = read_regions(result.path)
        pages_of = {}
        for cpu in kernel.cpus:
            count = len(held.get(cpu.number, b"")) // kernel.page
            pages_of[cpu.number] = cpu.pages[at[cpu.number] : at[cpu.number] + count]
            at[cpu.number] += count
        result.must_hold(kernel, complete or n + 1 < len(results), pages_of=pages_of)
    for cpu in kernel.cpus:
        if at[cpu.number] != len(cpu.pages):
            raise Failed(f"cpu {cpu.number}: {at[cpu.number]} of {len(cpu.pages)} pages are in the chunks")
    if len({result.source for result in results}) != 1:
        raise Failed("chunks of several sources")
    numbers = [result.chunk for result in results]
    if numbers != sorted(set(numbers)):
        raise Failed(f"chunk numbers {numbers}")
