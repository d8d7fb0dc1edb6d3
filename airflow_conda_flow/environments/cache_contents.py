"""What the cache directory holds, when it was last used, and who uses it now."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from airflow_conda_flow.environments.cache_places import extracted
from airflow_conda_flow.environments.disk_usage import DiskUsage
from airflow_conda_flow.environments.file_mutex import last_use, users_of

PREFIXES, EXTRACTED, PACKAGES = "environments", "extracted packages", "packages"
LOCKS, COPIES = "locks", "copies of locks"
ARTIFACTS, CODE, RUNTIME = "artifacts", "code packages", "runtime"
INDEXES, SCRATCH = "channel indexes", "scratch"


@dataclass(frozen=True)
class CacheItem:
    """Something in the cache that is removed as a whole.

    Attributes:
        kind: one of the names above.
        path: file or folder.
        unused: seconds since its last use.
        users: ids of the processes that use it now, 0 for one of another container; None if nobody can tell.
    """

    kind: str
    path: Path
    unused: float
    users: list[int] | None


@dataclass
class KindUsage:
    """Items of one kind: their number, and their bytes on the disk."""

    count: int = 0
    size: int = 0


def cache_items(cache_dir: Path) -> Iterator[CacheItem]:
    """Everything in a cache directory, sorted by kind and path; scratch is left out."""
    for kind, folder in ((PREFIXES, "prefixes"), (CODE, "code"), (RUNTIME, "runtime")):
        for path in _entries(cache_dir / folder):
            if path.is_dir():
                yield CacheItem(kind, path, time.time() - last_use(path), users_of(path))
    for path in _entries(extracted(cache_dir)):
        yield CacheItem(EXTRACTED, path, _age(path), [])
    for kind, folder, pattern in (
        (PACKAGES, "packages", "*/*"),
        (LOCKS, "environments", "*/*"),
        (COPIES, "locks", "**/*"),
        (ARTIFACTS, "artifacts", "*/*"),
        (CODE, "code", "*.zip"),
        (INDEXES, "repodata", "**/*"),
    ):
        for path in sorted((cache_dir / folder).glob(pattern)):
            if not path.name.startswith(".") and path.is_file():
                yield CacheItem(kind, path, _age(path), [])


def scratch_folders(cache_dir: Path) -> list[Path]:
    """Folders in which processes that died may have left something."""
    names = (".scratch", "packing", "packages", "code", "runtime", "prefixes", ".trash")
    deeper = [path for name in ("environments", "artifacts") for path in sorted((cache_dir / name).glob("*"))]
    return [*(cache_dir / name for name in names), *deeper]


def kind_usage(cache_dir: Path) -> dict[str, KindUsage]:
    """Count and bytes of each kind; files that an environment shares with extracted packages count there."""
    disk = DiskUsage()
    found: dict[str, KindUsage] = {}
    items = sorted(cache_items(cache_dir), key=lambda each: each.kind != EXTRACTED)
    for item in items:
        of_kind = found.setdefault(item.kind, KindUsage())
        of_kind.count += 1
        of_kind.size += disk.add(item.path)
    found[SCRATCH] = KindUsage(
        0, disk.add(cache_dir / ".scratch", cache_dir / "packing", cache_dir / ".trash")
    )
    return found


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(Path(entry) for entry in os.scandir(folder) if not entry.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _age(path: Path) -> float:
    try:
        return time.time() - path.lstat().st_mtime
    except FileNotFoundError:
        return 0.0
