"""A mutex between the processes of one machine: a locked file, which the kernel frees if its holder dies."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def held(path: Path) -> Iterator[bool]:
    """Hold the mutex of a file while the block runs; gives True, or False if files cannot be locked.

    Waits until the mutex is free. On a file system without locks nobody waits: the block then runs in several
    processes at once.
    """
    # The file is never removed: another process may have opened it already and would lock a file that later
    # ones do not see.
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:
            yield False
        else:
            yield True
