"""Contents of the cache directory: their last uses, and who uses them now."""

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
LOCKS, COPIES, RUNS = "locks", "copies of locks", "digests of runs"
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
    for kind, folder, depth, ending in (
        (PACKAGES, "packages", 2, ""),
        (LOCKS, "environments", 2, ""),
        (COPIES, "locks", None, ""),
        (RUNS, "runs", None, ""),
        (ARTIFACTS, "artifacts", 2, ""),
        (CODE, "code", 1, ".zip"),
        (INDEXES, "repodata", None, ""),
    ):
        for path in files_below(cache_dir / folder, depth, ending):
            yield CacheItem(kind, path, _age(path), [])


def files_below(folder: Path, depth: int | None, ending: str) -> list[Path]:
    """Files below a folder, sorted; those that begin with a dot are left out.

    Unlike ``Path.glob`` it does not fail if another process removes a folder meanwhile.

    Args:
        folder: need not exist.
        depth: levels at which the files are, 1 for those directly in the folder; None for any.
        ending: of their names.
    """
    found = []
    for root, folders, names in os.walk(folder):
        level = len(Path(root).relative_to(folder).parts) + 1
        if depth is not None and level >= depth:
            folders.clear()
        if depth is None or level == depth:
            found += [
                Path(root, name) for name in names if name.endswith(ending) and not name.startswith(".")
            ]
    return sorted(path for path in found if path.is_file())


def scratch_folders(cache_dir: Path) -> list[Path]:
    """Folders in which processes that died may have left something."""
    names = (".scratch", "packing", "packages", "code", "runtime", "prefixes", ".trash")
    deeper = [path for name in ("environments", "artifacts") for path in _entries(cache_dir / name)]
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
