"""SHA-256 of files, computed once per process and file state; the error for a wrong one.

Nothing is remembered that this process has not hashed itself.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from airflow_conda_flow.errors import CorruptData, DamagedDocument, NotAsPrepared
from airflow_conda_flow.records.document import damaged

if TYPE_CHECKING:
    from pathlib import Path

_BLOCK = 4 * 1024 * 1024  # bytes hashed without Python's lock at a time

_FileState = tuple[int, int, int, int, int]
# Device, inode, mtime, size and ctime identify the contents: stored files are read-only and replaced by a
# rename, never rewritten in place. Whoever damages one may restore its mtime, but not its ctime.
_known: dict[_FileState, str] = {}


def file_sha256(path: Path) -> str:
    """Hex SHA-256 of the file's bytes. Other threads can run meanwhile."""
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(_BLOCK))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
    return digest.hexdigest()


def _state(stat: os.stat_result) -> _FileState:
    return (*_contents(stat), stat.st_ctime_ns)


def _contents(stat: os.stat_result) -> tuple[int, int, int, int]:
    return stat.st_dev, stat.st_ino, stat.st_mtime_ns, stat.st_size


def known_sha256(path: Path) -> str:
    """Hex SHA-256 of a file, which is not read again if this process has hashed it in the same state.

    Raises:
        OSError: the file cannot be read, for instance because it is missing or a directory.
    """
    state = _state(os.stat(path))  # noqa: PTH116  hot path
    if (sha256 := _known.get(state)) is None:
        sha256 = file_sha256(path)
        # A file that changed while it was read is not remembered under either state.
        if _state(os.stat(path)) == state:  # noqa: PTH116  hot path
            _known[state] = sha256
    return sha256


def remember(fd: int, sha256: str) -> None:
    """Note the digest of an open file, whose bytes the caller has hashed in this process."""
    _known[_state(os.fstat(fd))] = sha256


def moved(before: os.stat_result, target: str) -> None:
    """Keep what is known of a file that this process has just moved to ``target``.

    Links and renames change the ctime of a file, which belongs to its state.

    Args:
        before: the file's status before it was moved.
        target: its new path.
    """
    sha256 = _known.pop(_state(before), None)
    after = os.stat(target)  # noqa: PTH116  hot path
    if sha256 is not None and _contents(after) == _contents(before):
        _known[_state(after)] = sha256


def forget() -> None:
    """Forget all digests, as if the process had just started."""
    _known.clear()


def too_large(url: str, key: str, size: int, most: float) -> DamagedDocument:
    """Error for an object that has more bytes than any of its kind."""
    fault = f"it has {size:,} bytes, and nothing of its kind has more than {most:,.0f}"
    return damaged(f"{key} in the datastore {url}", fault, "Find out who wrote it, and delete it.")


def corrupt(
    url: str,
    key: str,
    expected: str,
    got: str,
    advice: str = "Run again the task that wrote it: it replaces the damaged bytes.",
) -> CorruptData:
    """Error for bytes that do not match their SHA-256.

    Args:
        url: where the bytes are: a directory, or the URL of a datastore.
        key: their key there.
        expected: the digest that they should have, in hex.
        got: the digest that they have, or what is there instead.
        advice: a sentence that says what to do.
    """
    return CorruptData(f"{key} in {url} is corrupt: expected sha256 {expected}, got {got}.", advice)


def not_as_prepared(name: str, expected: str, got: str) -> NotAsPrepared:
    """Error for something that a run's record, or its digest, names, and that is stored with other bytes.

    Args:
        name: its key, and where it is stored.
        expected: the SHA-256 that it had when the run was prepared, in hex.
        got: the SHA-256 that it has, in hex.
    """
    return NotAsPrepared(
        f"{name} is not what this run was prepared with: its sha256 is {got}, expected {expected}.",
        "Nothing was run. Find out who wrote it (docs/security.md), put it back or delete it, and start the "
        "run again; in Airflow, clear its prepare task.",
    )
