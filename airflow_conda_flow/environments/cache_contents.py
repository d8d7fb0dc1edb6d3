"""Contents of the cache directory: their last uses, and who uses them now.

Beside a folder are its companions: the seal of an environment, the files of its mutexes, and py-rattler's
lock file of an extracted package. They go with it. Those of a folder that is gone are remnants.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from airflow_conda_flow.environments.cache_places import extracted
from airflow_conda_flow.environments.disk_usage import DiskUsage
from airflow_conda_flow.environments.file_mutex import last_use, mutex_of, use_of, users_of
from airflow_conda_flow.environments.seal import seal_path

PREFIXES, EXTRACTED, PACKAGES = "environments", "extracted packages", "packages"
LOCKS, COPIES, RUNS = "locks", "copies of locks", "digests of runs"
ARTIFACTS, CODE, RUNTIME = "artifacts", "code packages", "runtime"
INDEXES, REMNANTS, SCRATCH = "channel indexes", "remnants", "scratch"
_FOLDERS = {PREFIXES: "prefixes", CODE: "code", RUNTIME: "runtime"}
_COMPANION = re.compile(r"\.(?P<folder>.+)\.(seal|use|mutex)")
_RATTLERS_LOCK = ".lock"
_SCRATCH = (".scratch", "packing", "verifying", ".trash")


@dataclass(frozen=True)
class CacheItem:
    """Something in the cache that is removed as a whole.

    Attributes:
        kind: one of the names above.
        path: file or folder; of remnants the folder that was there.
        unused: seconds since its last use.
        users: ids of the processes that use it now, 0 for one of another container; None if nobody can tell.
        companions: files beside it that go with it, as far as they are there.
    """

    kind: str
    path: Path
    unused: float
    users: list[int] | None
    companions: tuple[Path, ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        """All that goes with it, and it."""
        return (self.path, *self.companions)


@dataclass
class KindUsage:
    """Items of one kind: their number, and their bytes on the disk."""

    count: int = 0
    size: int = 0


def cache_items(cache_dir: Path) -> Iterator[CacheItem]:
    """Everything in a cache directory, sorted by kind and path; scratch is left out."""
    for kind, folder in _FOLDERS.items():
        paths = [path for path in _entries(cache_dir / folder) if path.is_dir()]
        yield from (_folder_item(kind, path) for path in paths)
        yield from (_folder_item(REMNANTS, path) for path in _gone(cache_dir / folder))
    yield from _extracted_items(extracted(cache_dir))
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
    # Unfinished files of py-rattler, which it leaves when its process is killed, begin with a dot.
    for path in files_below(cache_dir / "repodata", None, "", hidden=True):
        yield CacheItem(INDEXES, path, _age(path), [])


def companions_of(folder: Path) -> tuple[Path, ...]:
    """Companions of an environment, of extracted code or of the runtime, as far as they are there.

    In the order in which they go: another prune that finds the first mutex (``removable``) does not get it.
    """
    known = (seal_path(folder), mutex_of(folder), use_of(folder))
    return tuple(path for path in known if os.path.lexists(path))


def _folder_item(kind: str, path: Path) -> CacheItem:
    return CacheItem(kind, path, time.time() - last_use(path), users_of(path), companions_of(path))


def _gone(folder: Path) -> list[Path]:
    """Paths of folders that are gone, and have companions there."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        found = (_COMPANION.fullmatch(name) for name in os.listdir(folder))  # noqa: PTH208 - names alone
        paths = {folder / each["folder"] for each in found if each}
        return sorted(path for path in paths if not os.path.lexists(path))
    return []


def _extracted_items(folder: Path) -> Iterator[CacheItem]:
    entries = set(_entries(folder))
    locks = {path: path.with_name(path.name + _RATTLERS_LOCK) for path in entries}
    companions = entries.intersection(locks.values())
    for path in sorted(entries - companions):
        own = (locks[path],) if locks[path] in companions else ()
        yield CacheItem(EXTRACTED, path, _age(path), [], own)


def files_below(folder: Path, depth: int | None, ending: str, *, hidden: bool = False) -> list[Path]:
    """Files below a folder, sorted; those whose names begin with a dot, or with ``hidden`` no others.

    Unlike ``Path.glob`` it does not fail if another process removes a folder meanwhile.

    Args:
        folder: need not exist.
        depth: levels at which the files are, 1 for those directly in the folder; None for any.
        ending: of their names.
        hidden: which of both.
    """
    found = []
    for root, folders, names in os.walk(folder):
        level = len(Path(root).relative_to(folder).parts) + 1
        if depth is not None and level >= depth:
            folders.clear()
        if depth is None or level == depth:
            found += [
                Path(root, name) for name in names if name.endswith(ending) and name.startswith(".") == hidden
            ]
    return sorted(path for path in found if path.is_file())


def scratch_folders(cache_dir: Path) -> Iterator[Path]:
    """Folders in which processes that died may have left something.

    All but the insides of what is itself a folder, such as an environment: what is made for it is beside it.
    """
    whole = {cache_dir / name for name in (*_FOLDERS.values(), *_SCRATCH, extracted(cache_dir).name)}
    for root, folders, _ in os.walk(cache_dir):
        if Path(root) in whole:
            folders.clear()
        yield Path(root)


def kind_usage(cache_dir: Path) -> dict[str, KindUsage]:
    """Count and bytes of each kind; files that an environment shares with extracted packages count there."""
    disk = DiskUsage()
    found: dict[str, KindUsage] = {}
    items = sorted(cache_items(cache_dir), key=lambda each: each.kind != EXTRACTED)
    for item in items:
        of_kind = found.setdefault(item.kind, KindUsage())
        of_kind.count += 1
        of_kind.size += disk.add(*item.paths)
    found[SCRATCH] = KindUsage(0, disk.add(*(cache_dir / name for name in _SCRATCH)))
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
