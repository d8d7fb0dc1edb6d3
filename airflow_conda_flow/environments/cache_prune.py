"""Removes from the cache directory what was not used for long, beside whatever uses the cache meanwhile.

- An environment, extracted code and the runtime are shared by the attempts that run in them
  (``file_mutex.py``); one that is in use stays.
- Packages and what was extracted from them go while nobody makes an environment (``makers_mutex``).
- Everything goes by a rename first: who looks sees the whole of it or nothing. The files beside a folder go
  with it, those of its mutexes while both are held.
- With a datastore in a directory, locks and packages are in the cache alone. What its runs need stays,
  however long ago it was used.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from airflow_conda_flow.datastore import layout
from airflow_conda_flow.datastore.atomic_file import link_once
from airflow_conda_flow.datastore.keeping import LEAST_GRACE
from airflow_conda_flow.datastore.left_behind import OTHERS_AFTER, clear, new_mark
from airflow_conda_flow.datastore.local_storage import LocalStorage
from airflow_conda_flow.datastore.pruning.digest_set import DigestSet
from airflow_conda_flow.datastore.pruning.references import digests_in, mark_runs
from airflow_conda_flow.datastore.pruning.report import Report, Silence
from airflow_conda_flow.datastore.removal import discard
from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.environments.cache_contents import (
    ARTIFACTS,
    CODE,
    COPIES,
    EXTRACTED,
    INDEXES,
    LOCKS,
    PACKAGES,
    PREFIXES,
    REMNANTS,
    RUNS,
    RUNTIME,
    CacheItem,
    cache_items,
    companions_of,
    files_below,
    scratch_folders,
)
from airflow_conda_flow.environments.cache_places import makers_mutex
from airflow_conda_flow.environments.disk_usage import freed_by_removing
from airflow_conda_flow.environments.file_mutex import held_now, last_use, removable
from airflow_conda_flow.environments.temporary_folders import discard_unfinished
from airflow_conda_flow.errors import DamagedDocument, DatastoreError, SettingError
from airflow_conda_flow.records.lock_document import read_lock_document

UNUSED_FOR = 30 * 24 * 3600.0
"""Default time in seconds without a use after which something goes."""
_FOLDERS = (PREFIXES, CODE, RUNTIME, REMNANTS)
_OF_PACKAGES = (PACKAGES, EXTRACTED, INDEXES)
_PATIENCE = 20.0  # seconds for those who make something of packages to end


@dataclass
class CachePruned:
    """Result of a prune of the cache: all that went, or would go.

    Attributes:
        items: what went.
        freed: bytes on the disk.
        in_use: items that are old and stay because somebody uses them.
        scratch: number of things that dead processes had left.
        faults: what cannot be read, or was in use for too long; what depends on it stays.
    """

    items: list[CacheItem] = field(default_factory=list)
    freed: int = 0
    in_use: list[CacheItem] = field(default_factory=list)
    scratch: int = 0
    faults: list[str] = field(default_factory=list)


def prune_cache(
    cache_dir: Path,
    datastore: Storage,
    *,
    removes: bool,
    unused_for: float = UNUSED_FOR,
    kept_digests: Collection[str] = (),
    report: Report | None = None,
) -> CachePruned:
    """Remove what was not used for long; without ``removes`` say what would go.

    Args:
        cache_dir: the cache directory.
        datastore: the datastore of the settings; if it is a directory, what its runs need stays.
        removes: whether anything is removed.
        unused_for: seconds without a use.
        kept_digests: SHA-256 of packages that stay, such as those of lock files beside flows.
        report: told about the progress.

    Raises:
        SettingError: the time is too short for other processes to rely on.
    """
    if unused_for < LEAST_GRACE:
        raise SettingError(
            f"--older-than is {unused_for / 3600:g} h; for the cache it must be at least "
            f"{LEAST_GRACE / 3600:g} h, on which running steps rely."
        )
    return _CachePrune(cache_dir, datastore, removes, unused_for, kept_digests, report or Silence()).run()


class _CachePrune:
    def __init__(
        self,
        cache_dir: Path,
        datastore: Storage,
        removes: bool,
        unused_for: float,
        kept_digests: Collection[str],
        report: Report,
    ) -> None:
        self._cache_dir = cache_dir
        self._datastore = datastore
        self._removes = removes
        self._unused_for = unused_for
        self._kept = DigestSet(kept_digests)
        self._report = report
        self._trash = cache_dir / ".trash"
        self._trashed: list[Path] = []
        self._pruned = CachePruned()

    def run(self) -> CachePruned:
        pruned = self._pruned
        if self._removes:
            others_after = max(OTHERS_AFTER, self._unused_for)
            self._report.phase("removing what processes that died have left")  # environments, maybe
            for each in scratch_folders(self._cache_dir):
                cleared = clear(each, others_after)
                pruned.scratch += cleared
                self._report.step(cleared)
            discard_unfinished(self._cache_dir)
        self._report.phase("looking at the cache")
        old = [
            each
            for each in cache_items(self._cache_dir)
            if each.unused > self._least_age(each) and each.kind != COPIES
        ]
        are_folders = {each.path: each.path.is_dir() or each.kind == REMNANTS for each in old}
        folders = [each for each in old if each.kind in _FOLDERS and are_folders[each.path]]
        files = [each for each in old if each.kind in {ARTIFACTS, CODE, RUNS} and not are_folders[each.path]]
        gone = [each for each in folders if self._takes(each)]
        gone += self._locks([each for each in old if each.kind == LOCKS])
        of_packages = [each for each in old if each.kind in _OF_PACKAGES and self._may_go(each)]
        gone += self._while_nobody_makes(of_packages)
        gone += [each for each in files if self._takes_file(each)]
        pruned.items = gone
        self._report.phase("removing" if self._removes else "counting what would go")
        where = self._trashed if self._removes else [path for each in gone for path in each.paths]
        pruned.freed = freed_by_removing(where)
        if self._removes:
            for path in where:
                discard(path)
                self._report.step()
        return pruned

    def _least_age(self, item: CacheItem) -> float:
        # Nothing comes back to remnants: only somebody who has just locked one of their files needs them.
        return LEAST_GRACE if item.kind == REMNANTS else self._unused_for

    def _takes(self, item: CacheItem) -> bool:
        """Take a folder away with its companions, unless somebody uses or makes it."""
        if not self._removes:
            is_free = item.users == []
        elif not any(os.path.lexists(path) for path in item.paths):
            return False  # another prune was first; locking would make files
        else:
            with removable(item.path) as is_free:
                if is_free and not self._moves(item):
                    return False
        if not is_free and item.kind != REMNANTS:
            self._pruned.in_use.append(item)
        return is_free

    def _moves(self, item: CacheItem) -> bool:
        """Move a folder away that is locked, unless it was used since the cache was looked at."""
        if time.time() - last_use(item.path) <= self._least_age(item):
            return False
        is_there = self._move(item.path)
        # If another prune was first, these are files that were made to lock it.
        for path in companions_of(item.path):
            self._move(path)
        return is_there or item.kind == REMNANTS

    def _takes_file(self, item: CacheItem) -> bool:
        """Take a file or an extracted package away, unless it was used meanwhile."""
        if not self._removes:
            return True
        if not self._move(item.path):
            return False
        moved = self._trashed.pop()
        if time.time() - moved.stat().st_mtime > self._unused_for:
            self._trashed.append(moved)
            for path in item.companions:
                self._move(path)
            return True
        if link_once(moved, str(item.path)) is None:
            moved.rename(item.path)
        moved.unlink(missing_ok=True)
        return False

    def _move(self, path: Path) -> bool:
        """Move something to the trash; False if it is gone."""
        self._trash.mkdir(exist_ok=True)  # and never removed: another prune may be using it
        target = self._trash / new_mark()
        try:
            path.rename(target)
        except FileNotFoundError:  # another prune was first
            return False
        self._trashed.append(target)
        return True

    def _locks(self, old: list[CacheItem]) -> list[CacheItem]:
        """Take away old locks that no run needs, and keep the packages of the others."""
        marks = DigestSet()
        if self._datastore.kind == "local":
            marks, self._pruned.faults = mark_runs(self._datastore, self._report)
        gone = []
        if not self._pruned.faults:
            unneeded = [
                each for each in old if not any(d in marks for d in digests_in(each.path.name.encode()))
            ]
            gone = [each for each in unneeded if self._takes_file(each)]
        paths = {each.path for each in gone}
        for path in files_below(self._cache_dir / "environments", 2, ".lock"):
            if path not in paths:
                self._keep_packages_of(path)
        return gone

    def _keep_packages_of(self, path: Path) -> None:
        key = str(path.relative_to(self._cache_dir))
        try:
            data = path.read_bytes()
            platform, spec_id = layout.lock_of(key)
            read_lock_document(data, str(path), spec_id, platform)
        except FileNotFoundError:
            return
        except DatastoreError as error:
            self._pruned.faults.append(error.fault if isinstance(error, DamagedDocument) else str(error))
        else:
            self._kept.update(digests_in(data))

    def _may_go(self, item: CacheItem) -> bool:
        """True unless it is a package that something needs, or may need."""
        if item.kind != PACKAGES:
            return True
        return not self._pruned.faults and not any(
            each in self._kept for each in digests_in(item.path.parent.name.encode())
        )

    def _while_nobody_makes(self, items: list[CacheItem]) -> list[CacheItem]:
        """Take away packages and what was made of them, while nobody makes an environment of them."""
        if not self._removes or not items:
            return items
        deadline = time.monotonic() + _PATIENCE
        while True:
            with held_now(makers_mutex(self._cache_dir)) as is_free:
                if is_free:
                    gone = [each for each in items if self._takes_file(each)]
                    LocalStorage(self._cache_dir, "cache_dir").remove_empty_folders("packages")
                    return gone
            if time.monotonic() > deadline:
                self._pruned.faults.append(
                    f"Environments are being made in {self._cache_dir}, or files cannot be locked there. "
                    "Their packages stay; prune again later."
                )
                return []
            time.sleep(0.2)
