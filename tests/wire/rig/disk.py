# SPDX-License-Identifier: MIT
"""disk.py - small file systems of a case's own, and how to make one hang."""

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile

from .case import need, need_root
from .relay import libc

CLONE_NEWNS, MS_REC, MS_PRIVATE, MNT_DETACH = 0x20000, 0x4000, 1 << 18, 2
FIFREEZE, FITHAW = 0xC0045877, 0xC0045878


@contextlib.contextmanager
def small_tmpfs(size):
    with tempfile.TemporaryDirectory(prefix="tracerelay-wire.") as where:
        need(private_mounts(), "no mount namespace")
        need(libc.mount(b"none", where.encode(), b"tmpfs", 0, f"size={size},mode=755".encode()) == 0, "cannot mount tmpfs")
        try:
            yield where
        finally:
            libc.umount2(where.encode(), MNT_DETACH)


def small_ext4(size):
    return small_disk("ext4", size, "-q", "-F")


def small_btrfs(size):
    return small_disk("btrfs", size, "-q", "-f")


@contextlib.contextmanager
def small_disk(kind, size, *options):
    need_root()
    with tempfile.TemporaryDirectory(prefix="tracerelay-wire.") as base:
        image, where = os.path.join(base, "image"), os.path.join(base, "mnt")
        os.mkdir(where)
        with open(image, "wb") as f:
            f.truncate(size)
        need(private_mounts(), "no mount namespace")
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "check": False}
        tool = f"mkfs.{kind}"
        need(shutil.which(tool) and subprocess.run([tool, *options, image], **quiet).returncode == 0, f"no {tool}")
        mount = ["mount", "-t", kind, "-o", "loop", image, where]
        need(subprocess.run(mount, **quiet).returncode == 0, f"no loop device, or no {kind}")
        try:
            yield where
        finally:
            subprocess.run(["umount", "-l", where], **quiet)


done = False


def private_mounts():
    global done
    done = done or (libc.unshare(CLONE_NEWNS) == 0 and libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) == 0)
    return done


@contextlib.contextmanager
def hanging(where):
    """Whoever writes to the file system waits until this is over."""
    fd = os.open(where, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.ioctl(fd, FIFREEZE, 0)
        except OSError as e:
            need(False, f"no FIFREEZE: {e}")
        try:
            yield
        finally:
            fcntl.ioctl(fd, FITHAW, 0)
    finally:
        os.close(fd)
