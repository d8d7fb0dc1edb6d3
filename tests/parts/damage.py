"""Faults of stored files: how a file is after a disk, a person or another program has damaged it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def _overwrite(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[: middle - 4] + b"EVIL" + data[middle:]


def _flip(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


FAULTS: dict[str, Callable[[bytes], bytes]] = {
    "overwritten": _overwrite,
    "one bit flipped": _flip,
    "truncated": lambda data: data[: len(data) // 2],
    "emptied": lambda _data: b"",
    "zeros": lambda data: bytes(len(data)),
    "longer": lambda data: data + b"?",
}
"""Name of a fault -> the bytes that it leaves."""
FILE_FAULTS = [*FAULTS, "a directory"]
"""The faults that a file may have besides."""


def damage(path: Path, fault: str) -> None:
    """Damage a file, in place as far as that is possible; its mtime is what it was before."""
    before = path.stat()
    if fault == "a directory":
        path.unlink()
        path.mkdir()
        (path / "file").write_bytes(b"of somebody")
        return
    data = FAULTS[fault](path.read_bytes())
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.write(data)
        file.truncate()
    # Until the clock of the file system has moved on: within one tick, a change has no trace.
    while True:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        if path.stat().st_ctime_ns != before.st_ctime_ns:
            return
