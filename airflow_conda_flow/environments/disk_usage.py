"""Bytes on a disk, where files of many folders may be the same one by hard links."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

_BLOCK = 512  # bytes of a block in ``st_blocks``, whatever those of the file system are


class DiskUsage:
    """Counts files, each inode once, over all calls of ``add``."""

    def __init__(self) -> None:
        self._seen: set[tuple[int, int]] = set()

    def add(self, *paths: Path) -> int:
        """Bytes of the files and folders that were not counted before."""
        size = 0
        for state in _states(paths):
            if state.st_nlink > 1:
                inode = (state.st_dev, state.st_ino)
                if inode in self._seen:
                    continue
                self._seen.add(inode)
            size += state.st_blocks * _BLOCK
        return size


def freed_by_removing(paths: Iterable[Path]) -> int:
    """Bytes that are free once all these are removed: a file counts if no link to it remains elsewhere."""
    size = 0
    left: dict[tuple[int, int], int] = {}
    for state in _states(paths):
        if state.st_nlink > 1:
            inode = (state.st_dev, state.st_ino)
            left[inode] = left.get(inode, state.st_nlink) - 1
            if left[inode]:
                continue
        size += state.st_blocks * _BLOCK
    return size


def _states(paths: Iterable[Path]) -> Iterator[os.stat_result]:
    """Status of every file below these paths; a folder has no links but its own."""
    for path in paths:
        try:
            state = path.lstat()
        except FileNotFoundError:
            continue
        if not path.is_dir() or path.is_symlink():
            yield state
            continue
        waiting = [str(path)]
        while waiting:
            try:
                with os.scandir(waiting.pop()) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append(entry.path)
                        else:
                            yield entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue  # removed since it was listed
