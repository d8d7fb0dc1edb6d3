"""SHA-256 of files, computed once per process and file state; the error for a wrong one."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from airflow_conda_flow.errors import CorruptData

if TYPE_CHECKING:
    from pathlib import Path

_BLOCK = 4 * 1024 * 1024  # bytes hashed without Python's lock at a time

_FileState = tuple[int, int, int, int]
# Device, inode, mtime and size identify the contents: stored files are read-only and replaced by a rename,
# never rewritten in place.
_known: dict[_FileState, str] = {}


def file_sha256(path: Path) -> str:
    """Hex SHA-256 of the file's bytes. Other threads can run meanwhile."""
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(_BLOCK))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
    return digest.hexdigest()


def _state(path: Path) -> _FileState:
    stat = os.stat(path)  # noqa: PTH116  hot path
    return stat.st_dev, stat.st_ino, stat.st_mtime_ns, stat.st_size


def known_sha256(path: Path) -> str:
    """Hex SHA-256 of a file, which is not read again if its inode, mtime and size were seen before."""
    state = _state(path)
    if (sha256 := _known.get(state)) is None:
        sha256 = file_sha256(path)
        # A file that changed while it was read is not remembered under either state.
        if _state(path) == state:
            _known[state] = sha256
    return sha256


def remember(path: Path, sha256: str) -> None:
    """Note the digest of a file, so that ``known_sha256`` does not read it.

    The caller vouches for it: this process verified the file, or the process that wrote it hashed its bytes.
    """
    _known[_state(path)] = sha256


def forget() -> None:
    """Forget all digests, as if the process had just started."""
    _known.clear()


def corrupt(url: str, key: str, expected: str, got: str) -> CorruptData:
    """Error for bytes that do not match their SHA-256."""
    return CorruptData(
        f"{key} in {url} is corrupt: expected sha256 {expected}, got {got}. "
        "Delete it there and run again the task that wrote it."
    )
