"""Names of temporary files and folders that say who made them, and the removal of those whose maker is dead.

A directory may be shared between machines and containers, which do not know each other's processes. Of others
than this machine or container only a prune removes something, when nothing has been written to it for long:
containers come and go, and none that comes later knows the processes of one that was killed.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import math
import os
import re
import secrets
import socket
import time
from pathlib import Path

from .removal import discard

# Machine and container, process, its start in ticks since the boot, the boot, and a random number.
_MARK = re.compile(r"(?P<machine>[0-9a-f]{8})-(?P<pid>\d+)-(?P<start>\d+)-(?P<boot>[0-9a-f]{8})-[0-9a-f]{8}")


def new_mark() -> str:
    """Text for the name of a temporary file or folder; no two are the same."""
    pid = os.getpid()
    return f"{_own(pid)}-{secrets.token_hex(4)}"


OTHERS_AFTER = 30 * 24 * 3600.0
"""Seconds for prunes: a step that runs for weeks may write nothing in days."""


def clear(folder: Path | str, others_after: float = math.inf) -> int:
    """Remove what dead processes have left directly in the folder; returns the number of entries.

    Errors are ignored: what cannot be removed does no harm but take room.

    Args:
        folder: need not exist.
        others_after: seconds without a change after which something of another machine or container goes.
    """
    cleared = 0
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = _MARK.search(entry.name)
            if found is None or not (_is_dead(found) or _is_forgotten(found, entry.path, others_after)):
                continue
            discard(entry.path)
            cleared += 1
    return cleared


@functools.cache
def clear_once(folder: Path) -> None:
    """``clear``, once in this process for each folder."""
    clear(folder)


@functools.cache
def _own(pid: int) -> str:
    # By process: a fork has the parent's cache, and another number.
    return f"{_machine()}-{pid}-{_start_of(pid) or 0}-{_boot()}"


def _is_dead(found: re.Match[str]) -> bool:
    if found["machine"] != _machine():
        return False
    if found["boot"] != _boot():
        return True
    return _start_of(int(found["pid"])) != int(found["start"])


def _is_forgotten(found: re.Match[str], path: str, others_after: float) -> bool:
    if found["machine"] == _machine() or others_after == math.inf:
        return False
    below = (Path(root, name) for root, folders, names in os.walk(path) for name in (*folders, *names))
    newest = 0.0
    for each in (Path(path), *below):
        with contextlib.suppress(FileNotFoundError):
            newest = max(newest, each.lstat().st_mtime)
    return time.time() - newest > others_after


@functools.cache
def _machine() -> str:
    """Digest of the host's name and of the namespace that process ids count in."""
    try:
        namespace = os.readlink("/proc/self/ns/pid")  # noqa: PTH115
    except OSError:
        namespace = ""
    return hashlib.sha256(f"{socket.gethostname()}\0{namespace}".encode()).hexdigest()[:8]


@functools.cache
def _boot() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    except OSError:  # not Linux: a process that has another's number after a boot keeps what that left
        boot = ""
    return hashlib.sha256(boot.encode()).hexdigest()[:8]


def _start_of(pid: int) -> int | None:
    """Start of a running process, in ticks since the boot; None if there is none, 0 if nobody says."""
    try:
        # After the name of the program, which is in brackets and may hold any character.
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        fields = text.rpartition(")")[2].split()
        return None if fields[0] in {"Z", "X"} else int(fields[19])
    except (OSError, IndexError, ValueError):
        pass
    if os.path.isdir("/proc/self"):  # noqa: PTH112
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OSError:
        return 0
    return 0
