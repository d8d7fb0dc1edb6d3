"""A mutex that processes of one machine share, in a file; the kernel frees it when its holder dies."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def held(path: Path) -> Iterator[bool]:
    """True while no other process holds the mutex of that file; False where files cannot be locked.

    Waits for whoever holds it. On a file system without locks everybody goes on at once.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:
            yield False
        else:
            yield True
