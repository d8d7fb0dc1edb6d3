"""Removal of folders, also of those with thousands of files."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# Folders at a time. A file system writes the removals that wait for it together: on a busy disk 8,700 files
# took 1.4 s with eight threads, and 4 to 13 s with one.
_AT_ONCE = 8
# Most files of an environment are in lib/python3.11/site-packages/<package>.
_DEPTH = 4


def discard(path: Path | str) -> None:
    """Remove a folder, or whatever else is at the path; errors are ignored.

    Links are removed, and what they point to stays. Ctrl-C is raised once all is removed: the rest
    would stay until a later process finds it.
    """
    try:
        _discard(Path(path))
    except KeyboardInterrupt:
        _discard(Path(path))
        raise


def _discard(path: Path) -> None:
    if not path.is_dir() or path.is_symlink():
        with contextlib.suppress(OSError):
            path.unlink()
        return
    # RuntimeError: this machine has no more threads, or Python is ending. One after the other works then.
    with contextlib.suppress(RuntimeError), ThreadPoolExecutor(_AT_ONCE, "removal") as pool:
        for folder in _folders_below(path, _DEPTH):
            pool.submit(shutil.rmtree, folder, ignore_errors=True)
    shutil.rmtree(path, ignore_errors=True)


def _folders_below(folder: Path | str, depth: int) -> Iterator[str]:
    """Folders at most so many levels below, the deepest first; those that can be read."""
    try:
        with os.scandir(folder) as entries:
            folders = [each.path for each in entries if each.is_dir(follow_symlinks=False)]
    except OSError:
        return
    for each in folders:
        if depth > 1:
            yield from _folders_below(each, depth - 1)
        yield each
