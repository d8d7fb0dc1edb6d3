"""``CacheDir``: the cache directory of this machine, and the copies in it of what the datastore has."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from pathlib import Path

from airflow_conda_flow.datastore.keeping import REFRESH_AFTER
from airflow_conda_flow.datastore.local_storage import LocalStorage
from airflow_conda_flow.datastore.remembered import remembered_key
from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.errors import SettingError

_KEPT_FOR = REFRESH_AFTER / 2  # seconds


class CacheDir:
    """The cache directory.

    Args:
        path: the directory, which need not exist.
        storage: the S3 datastore that copies are of; None for a local one.

    Attributes:
        path: as given.
        local: what is in the directory, by key.
    """

    def __init__(self, path: Path, storage: Storage | None) -> None:
        self.path = path
        self.local = LocalStorage(path, "cache_dir")
        self._storage = storage

    def check(self) -> None:
        """Make the directory.

        Raises:
            SettingError: it cannot be made, or this user may not write to it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if not os.access(self.path, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            raise SettingError(
                f"The cache directory {self.path} cannot be written: {error.strerror}. Set "
                "--cache-dir, or CONDA_FLOW_CACHE_DIR, to a directory that this user may write to."
            ) from error

    def copy_of(self, key: str) -> str:
        """Key of the cached copy of a lock, or of a ``.packed`` document, of the S3 datastore."""
        assert self._storage is not None  # noqa: S101 - callers have one
        return remembered_key(self._storage, key)

    def is_copy_young(self, key: str) -> bool:
        """Whether the datastore's object was kept there not long ago, by the time of its copy."""
        with contextlib.suppress(OSError):
            return time.time() - self.local.local_path(self.copy_of(key)).stat().st_mtime < _KEPT_FOR
        return False

    def note_kept(self, key: str) -> None:
        """Note that the datastore's object was kept there now."""
        with contextlib.suppress(OSError):
            os.utime(self.local.local_path(self.copy_of(key)))

    def note_not_kept(self, key: str) -> None:
        """Note that nobody has kept the datastore's object, as far as this machine knows."""
        os.utime(self.local.local_path(self.copy_of(key)), (0, 0))
