"""Lists the cached environments and their sizes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from airflow_conda_flow.datastore import layout
from airflow_conda_flow.datastore.local_storage import LocalStorage
from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.environments.environments import Environments
from airflow_conda_flow.environments.lock import Lock


@dataclass(frozen=True)
class CachedEnvironment:
    """An environment that was resolved.

    Attributes:
        lock: its packages.
        prefix: its directory on this machine, None if it is not installed here.
        installed_bytes: size of the prefix, including files that it shares with other prefixes.
    """

    lock: Lock
    prefix: Path | None
    installed_bytes: int

    @property
    def archive_bytes(self) -> int:
        """Total size of its packages' archives."""
        return sum(each.size for each in self.lock.packages)


def cached_environments(
    environments: Environments, cache_dir: Path, storage: Storage | None
) -> list[CachedEnvironment]:
    """Environments in the cache directory and in an S3 datastore, sorted by platform and spec id."""
    found: dict[tuple[str, str], Lock] = {}
    for where in (LocalStorage(cache_dir, "cache_dir"), storage):
        if where is not None:
            for key in _lock_keys(where):
                platform, spec_id = layout.lock_of(key)
                if (platform, spec_id) not in found:
                    name = str(where.local_path(key) or f"{key} in the datastore {where.url}")
                    lock = Lock.from_bytes(where.read_bytes(key), name, spec_id, platform)
                    found[platform, spec_id] = lock
    return [_described(environments, found[key]) for key in sorted(found)]


def _lock_keys(storage: Storage) -> Iterator[str]:
    return (key for key in storage.list_keys(layout.locks()) if key.endswith(".lock"))


def _described(environments: Environments, lock: Lock) -> CachedEnvironment:
    prefix = environments.prefix_of(lock)
    if not prefix.is_dir():
        return CachedEnvironment(lock, None, 0)
    return CachedEnvironment(lock, prefix, _size(prefix))


def _size(folder: Path) -> int:
    """Total size of all files below a folder; a file with several hard links counts once."""
    sizes = {}
    for root, _, names in os.walk(folder):
        for name in names:
            status = os.lstat(os.path.join(root, name))  # noqa: PTH118 - thousands of files
            sizes[status.st_ino] = status.st_size
    return sum(sizes.values())
