# SPDX-License-Identifier: MIT
"""ctf.py - a traced program as LTTng would send it: metadata and packets with events that are known.

Every event carries a counter; babeltrace2 must print exactly those of the packets that were sent. Shares no code with
the relay.
"""

import os
import re
import shutil
import struct
import subprocess

from .case import Failed

PAGE = 4096
METADATA = """/* CTF 1.8 */
typealias integer {{ size = 8; align = 8; signed = false; }} := uint8_t;
typealias integer {{ size = 32; align = 8; signed = false; }} := uint32_t;
typealias integer {{ size = 64; align = 8; signed = false; }} := uint64_t;
trace {{ major = 1; minor = 8; uuid = "{uuid}"; byte_order = le;
	packet.header := struct {{ uint32_t magic; uint8_t uuid[16]; uint32_t stream_id; }}; }};
env {{ hostname = "{host}"; domain = "ust"; tracer_name = "lttng-ust"; tracer_major = 2; tracer_minor = 13; }};
clock {{ name = "monotonic"; freq = 1000000000; offset = 0; }};
typealias integer {{ size = 64; align = 8; signed = false; map = clock.monotonic.value; }} := clock_t;
stream {{ id = 0; event.header := struct {{ clock_t timestamp; }};
	packet.context := struct {{ clock_t timestamp_begin; clock_t timestamp_end; uint64_t content_size;
		uint64_t packet_size; uint64_t packet_seq_num; uint64_t events_discarded; uint32_t cpu_id; }}; }};
event {{ name = "beat"; id = 0; stream_id = 0; fields := struct {{ uint64_t _n; }}; }};
"""
HEADER = struct.Struct("<I16sI6QI")


class Packet:
    """data goes over the wire, `padding` zeros do not; index: the bytes of a record behind its offset (format 1.1)."""

    def __init__(self, data, size, index, numbers):
        self.data, self.size, self.index, self.numbers = data, size, index, numbers
        self.padding = size - len(data)

    def stored(self):
        return self.data + bytes(self.padding)


class Program:
    """A trace: one clock, one counter, any number of streams."""

    def __init__(self, host="wire", number=1):
        self.uuid = bytes([number]) * 16
        words = self.uuid.hex()
        uuid = "-".join((words[:8], words[8:12], words[12:16], words[16:20], words[20:]))
        self.text = METADATA.format(uuid=uuid, host=host).encode()
        self.time, self.counter = 1000, 0
        self.sequence = {}

    def metadata(self, piece=1000):
        """Whole packets of 4096 bytes: (bytes sent, padding)."""
        for at in range(0, len(self.text), piece):
            part = self.text[at : at + piece]
            size = 37 + len(part)
            head = struct.pack("<I16s3I5B", 0x75D11D57, self.uuid, 0, size * 8, PAGE * 8, 0, 0, 0, 1, 8)
            yield head + part, PAGE - size

    def packet(self, cpu, events=10):
        begin = self.time
        body, numbers = b"", []
        for _ in range(events):
            self.time += 10
            body += struct.pack("<QQ", self.time, self.counter)
            numbers.append(self.counter)
            self.counter += 1
        sequence = self.sequence.get(cpu, 0)
        self.sequence[cpu] = sequence + 1
        content = HEADER.size + len(body)
        size = -(-content // PAGE) * PAGE
        head = HEADER.pack(0xC1FC1FC1, self.uuid, 0, begin, self.time, content * 8, size * 8, sequence, 0, cpu)
        index = struct.pack(">8Q", size * 8, content * 8, begin, self.time, 0, 0, cpu, sequence)
        self.time += 1
        return Packet(head + body, size, index, numbers)


def events_in(folder):
    """The counters that babeltrace2 prints, in its order; it must open the trace."""
    if not shutil.which("babeltrace2"):
        return None
    run = subprocess.run(["babeltrace2", folder], capture_output=True, text=True, timeout=20, check=False)
    if run.returncode:
        raise Failed(f"babeltrace2 {folder}: {run.stderr.strip()[-400:]}")
    return [int(n) for n in re.findall(r"_?n = (\d+) }", run.stdout)]


def files_below(top):
    """Everything visible but chunk.json: relative name, bytes."""
    found = {}
    for at, folders, names in os.walk(top):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith(".") and name != "chunk.json":
                with open(os.path.join(at, name), "rb") as f:
                    found[os.path.relpath(os.path.join(at, name), top)] = f.read()
    return found
