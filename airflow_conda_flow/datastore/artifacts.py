"""Artifacts: serialized values under their SHA-256, verified whenever they are read.

On a local datastore, publishing moves a file and fetching returns the stored file itself. On S3 both go
through the cache directory, so that a machine never downloads an artifact that it published itself.
"""

from __future__ import annotations

import contextlib
import errno
import threading
from typing import TYPE_CHECKING

from airflow_conda_flow.errors import CorruptData, DatastoreUnavailable, NotInDatastore

from . import layout
from .digest import corrupt, known_sha256
from .keeping import keeper, note_use
from .left_behind import new_mark
from .local_storage import SCRATCH, LocalStorage
from .notice import warn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from .storage import Storage


class ArtifactStore:
    """The artifacts of a datastore. Thread-safe."""

    def __init__(self, storage: Storage, cache_dir: Path) -> None:
        self._storage = storage
        # The download cache has the layout of a local datastore: a directory with the same keys.
        self._files = storage if isinstance(storage, LocalStorage) else LocalStorage(cache_dir, "cache_dir")
        self._is_local = self._files is storage
        self._fetching: dict[str, threading.Lock] = {}
        self._mutex = threading.Lock()

    def scratch_dir(self) -> Path:
        """Create an empty directory on the file system to which ``publish`` moves files.

        The caller removes it.
        """
        path = self._files.scratch / new_mark()
        try:
            path.mkdir(parents=True)
        except OSError as error:
            raise self._files.unavailable("write", SCRATCH, error) from error
        return path

    def publish(self, path: Path, sha256: str) -> None:
        """Move a file into the datastore; its bytes are hashed before.

        Bytes that are stored already are hashed too. If they are right they are left alone, inode and mtime
        included, and kept from a prune (``keeping.py``); if not, they are replaced.

        Raises:
            CorruptData: the file does not have that digest.
            DatastoreUnavailable: the datastore cannot be read or written.
        """
        key = layout.artifact(sha256)
        if self._is_local and self._is_kept(key, sha256):
            path.unlink()  # and never read: one hash is enough
            return
        got = known_sha256(path)
        if got != sha256:
            raise CorruptData(
                f"The file {path} that was to be published as {key} has the sha256 {got}: "
                "it was changed, or not written to its end."
            )
        if not self._is_local and not self._is_kept(key, sha256):
            self._storage.upload(path, key)
        # Uploaded before it is moved: the cache must not hold an artifact that the datastore lacks.
        self._files.move_in(path, key, sha256)
        if not self._is_local:
            note_use(self._files, key)

    def _is_kept(self, key: str, sha256: str) -> bool:
        """True if the datastore holds the bytes, and will."""
        file = self._files.local_path(key)
        return self._storage.holds(key, sha256) and keeper(self._storage).keep(
            key, lambda: self._storage.upload(file, key)
        )

    def has(self, sha256: str) -> bool:
        """True if the datastore holds the artifact; its bytes are read, as with ``Storage.holds``."""
        return self._storage.holds(layout.artifact(sha256), sha256)

    def fetch(self, sha256: str, size: int, say: Callable[[str], None] = warn) -> Path:
        """Path of a read-only file with the artifact's bytes, verified.

        Args:
            sha256: the artifact's digest, in hex.
            size: number of its bytes.
            say: called with a line if the file in the download cache is damaged and is fetched again.

        Raises:
            NotInDatastore: the datastore has no such artifact.
            CorruptData: its bytes do not match.
        """
        key = layout.artifact(sha256)
        path = self._files.local_path(key)
        if self._is_local:
            if (wrong := _fault(path, sha256, size)) is not None:
                raise (
                    corrupt(self._storage.url, key, expected=sha256, got=wrong)
                    if wrong
                    else self._missing(key)
                )
            return path
        with self._alone(sha256):
            if (wrong := _fault(path, sha256, size)) is not None:
                if wrong:
                    say(f"{path} is damaged ({wrong}); fetching it again from {self._storage.url}.")
                try:
                    self._files.copy_in(self._storage, key, sha256)
                except NotInDatastore as error:
                    raise self._missing(key) from error
            elif not note_use(self._files, key):  # the cache was pruned just now
                self._files.copy_in(self._storage, key, sha256)
        return path

    def _missing(self, key: str) -> NotInDatastore:
        return NotInDatastore(
            f"There is no {key} in the datastore {self._storage.url}. It was removed after the "
            "task that wrote it: run that task again."
        )

    @contextlib.contextmanager
    def _alone(self, sha256: str) -> Iterator[None]:
        """Let one thread at a time fetch an artifact, so that the others find the file that it downloaded."""
        with self._mutex:
            mutex = self._fetching.setdefault(sha256, threading.Lock())
        with mutex:
            yield


def _fault(path: Path, sha256: str, size: int) -> str | None:
    """Fault of a file: empty if it is missing, None if it has that digest.

    Raises:
        DatastoreUnavailable: this user may not read it.
    """
    try:
        stored_size = path.stat().st_size
        got = known_sha256(path) if stored_size == size else f"{stored_size} bytes, not {size}"
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        if path.is_dir():
            return "a directory"
        if error.errno != errno.EIO:
            raise DatastoreUnavailable(
                f"{path} cannot be read: {error.strerror}. Make it readable for this user."
            ) from error
        return "bytes that the disk cannot read"
    return None if got == sha256 else got
