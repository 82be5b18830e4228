# SPDX-License-Identifier: MIT
"""metadata.py - what a client sends before its data: the head of a trace.dat, of any kernel and any trace-cmd.

Small, but complete enough that `trace-cmd report` prints the events of subbuffer.py. Numbers are in the traced
machine's byte order. Layout: trace.dat v6 is a row of blocks, v7 sections that options name.
"""

import ctypes
import ctypes.util
import struct
import subprocess
import zlib

from .dialect import V3
from .subbuffer import BEAT, BLOCK, FILL, PID, TASK

MAGIC = b"\x17\x08\x44tracing"
CLOCKS = "local global counter uptime perf mono mono_raw boot x86-tsc tai".split()


def known_compressions():
    """Those that trace-cmd here can read and this module can write."""
    said = subprocess.run(["trace-cmd", "list", "-c"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    words = said.stdout.decode().replace(",", " ").split()
    ours = ["zlib"] + (["zstd"] if ctypes.util.find_library("zstd") else [])
    return ["none"] + [name for name in ours if name in words]


def zstd(data):
    lib = ctypes.CDLL(ctypes.util.find_library("zstd"))
    lib.ZSTD_compressBound.restype = ctypes.c_size_t
    lib.ZSTD_compressBound.argtypes = [ctypes.c_size_t]
    lib.ZSTD_compress.restype = ctypes.c_size_t
    lib.ZSTD_compress.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int]
    room = lib.ZSTD_compressBound(len(data))
    out = ctypes.create_string_buffer(room)
    n = lib.ZSTD_compress(out, room, data, len(data), 3)
    if n > room:
        raise ValueError("zstd")
    return out.raw[:n]


class Head:
    """A client's metadata.

    version      6 or 7
    page         as the file's header claims it (default: the kernel's sub-buffer)
    page_text    sub-buffer size that header_page tells (default: the same)
    user_long    bytes of a long in the client's user space
    compression  v7: "none", "zlib" or "zstd"
    node         host name in UNAME; None: no such option
    clock        the active one; None: an empty option, as 2.8 sends
    with_options False: v6 as V1 and V2 clients send it, up to the command lines
    cmdlines     False: v6 of V1 clients from 2.9.2 on, up to printk
    no_version   the empty version string of 2.8.0 to 2.8.3
    padding      bytes of kallsyms
    """

    def __init__(self, kernel, version=6, **more):
        self.kernel, self.version = kernel, version
        self.page = self.page_text = kernel.page
        self.user_long = kernel.long_size
        self.compression = "none"
        self.node = "wire"
        self.clock = "local"
        self.with_options = self.cmdlines = True
        self.no_version = False
        self.padding = 200
        self.cpus = len(kernel.cpus)
        for name, value in more.items():
            if not hasattr(self, name):
                raise TypeError(f"Head has no {name}")
            setattr(self, name, value)

    def bytes(self):
        start = MAGIC + (b"" if self.no_version else str(self.version).encode()) + b"\0"
        start += bytes([self.kernel.big, self.user_long]) + self.u32(self.page)
        return self.v7(start) if self.version == 7 else self.v6(start)

    # numbers and blocks -------------------------------------------------------------------------------------------

    def u16(self, n):
        return struct.pack(self.kernel.order + "H", n)

    def u32(self, n):
        return struct.pack(self.kernel.order + "I", n)

    def u64(self, n):
        return struct.pack(self.kernel.order + "Q", n)

    def sized(self, text):
        return self.u64(len(text)) + text.encode()

    def header_info(self):
        size, head = self.kernel.long_size, self.kernel.head
        page = (
            "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n"
            f"\tfield: local_t commit;\toffset:8;\tsize:{size};\tsigned:1;\n"
            "\tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;\n"
            f"\tfield: char data;\toffset:{head};\tsize:{self.page_text - head};\tsigned:1;\n"
        )
        event = (
            "# compressed entry header\n"
            "\ttype_len    :    5 bits\n\ttime_delta  :   27 bits\n\tarray       :   32 bits\n\n"
            "\tpadding     : type == 29\n\ttime_extend : type == 30\n\ttime_stamp : type == 31\n"
            "\tdata max type_len  == 28\n"
        )
        return b"header_page\0" + self.sized(page) + b"header_event\0" + self.sized(event)

    def event_format(self, name, ident, ballast=0):
        common = (
            "\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n"
            "\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n"
            "\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;\n"
            "\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n"
        )
        own = (
            "\tfield:u64 number;\toffset:8;\tsize:8;\tsigned:0;\n"
            "\tfield:u32 client;\toffset:16;\tsize:4;\tsigned:0;\n"
            "\tfield:u32 cpu;\toffset:20;\tsize:4;\tsigned:0;\n"
        )
        if ballast:
            own += f"\tfield:char fill[{ballast}];\toffset:24;\tsize:{ballast};\tsigned:0;\n"
        shown = 'print fmt: "client=%u cpu=%u n=%llu", REC->client, REC->cpu, REC->number\n'
        return self.sized(f"name: {name}\nID: {ident}\nformat:\n{common}{own}\n{shown}")

    def ftrace_formats(self):
        return self.u32(0)

    def event_formats(self):
        formats = self.event_format("beat", BEAT) + self.event_format("block", BLOCK, FILL)
        return self.u32(1) + b"wire\0" + self.u32(2) + formats

    def kallsyms(self):
        lines, size, n = [], 0, 0
        while size < self.padding:
            lines.append(f"{0xFFFFFFFF81000000 + 16 * n:016x} T symbol_{n}\n")
            size += len(lines[-1])
            n += 1
        text = "".join(lines).encode()
        return self.u32(len(text)) + text

    def printk(self):
        text = b'0xffffffff82000000 : "talk"\n'
        return self.u32(len(text)) + text

    def command_lines(self):
        return self.sized(f"{PID} {TASK}\n")

    def option(self, ident, data):
        return self.u16(ident) + self.u32(len(data)) + data

    def common_options(self):
        clocks = " ".join(f"[{c}]" if c == self.clock else c for c in CLOCKS).encode() + b"\0"
        out = self.option(4, clocks if self.clock else b"")
        if self.node is not None:
            node = self.node if isinstance(self.node, bytes) else self.node.encode()
            out += self.option(5, b"Linux " + node + b" 6.1.0 x86_64\0")
        out += self.option(9, b"3.1.6 wire\0") + self.option(11, self.u64(0x1122334455667788))
        return out

    # files --------------------------------------------------------------------------------------------------------

    def v6(self, start):
        out = start + self.header_info() + self.ftrace_formats() + self.event_formats()
        out += self.kallsyms() + self.printk()
        if not self.cmdlines:
            return out
        out += self.command_lines()
        if not self.with_options:
            return out
        return out + self.u32(self.cpus) + b"options  \0" + self.common_options() + self.u16(0)

    def section(self, ident, data):
        flags = 0
        if ident and self.compression != "none":
            packed = zstd(data) if self.compression == "zstd" else zlib.compress(data)
            data = self.u32(len(packed)) + self.u32(len(data)) + packed
            flags = 1
        return self.u16(ident) + self.u16(flags) + self.u32(0xFFFFFFFF) + self.u64(len(data)) + data

    def v7(self, start):
        version = {"none": "", "zlib": "1.2.13", "zstd": "1.5.4"}[self.compression]
        start += self.compression.encode() + b"\0" + version.encode() + b"\0"
        out = b""
        at = len(start) + 8
        options = b""
        contents = (
            (16, self.header_info()),
            (17, self.ftrace_formats()),
            (18, self.event_formats()),
            (19, self.kallsyms()),
            (20, self.printk()),
            (21, self.command_lines()),
        )
        for ident, data in contents:
            options += self.option(ident, self.u64(at + len(out)))
            out += self.section(ident, data)
        options += self.option(8, self.u32(self.cpus)) + self.common_options()
        options += self.option(0, self.u64(0))
        return start + self.u64(at + len(out)) + out + self.section(0, options)


def head_of(dialect, kernel, **more):
    """What such a client sends, in the format of its time."""
    return Head(kernel, 7, **more) if dialect is V3 else Head(kernel, 6, with_options=False, **more)
