"""Artifacts: serialized values under their SHA-256, verified whenever they are read.

On a local datastore, publishing moves a file and fetching returns the stored file itself. On S3 both go
through the cache directory, so that a machine never downloads an artifact that it published itself.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from typing import TYPE_CHECKING

from airflow_conda_flow.errors import CorruptData, NotInDatastore

from . import layout
from .digest import corrupt, known_sha256, remember
from .local_storage import LocalStorage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .storage import Storage


class ArtifactStore:
    """The artifacts of a datastore. Thread-safe."""

    def __init__(self, storage: Storage, cache_dir: Path) -> None:
        self._storage = storage
        # The download cache has the layout of a local datastore: a directory with the same keys.
        self._files = storage if isinstance(storage, LocalStorage) else LocalStorage(cache_dir)
        self._is_local = self._files is storage
        self._fetching: dict[str, threading.Lock] = {}
        self._mutex = threading.Lock()

    def scratch_dir(self) -> Path:
        """Create an empty directory on the file system to which ``publish`` moves files.

        The caller removes it.
        """
        path = self._files.root / ".scratch" / f"{os.getpid()}-{secrets.token_hex(6)}"
        path.mkdir(parents=True)
        return path

    def publish(self, path: Path, sha256: str) -> None:
        """Move a file into the datastore.

        An artifact that is stored with the right size is left alone, inode and mtime included.

        Raises:
            CorruptData: the file does not have that digest.
            DatastoreUnavailable: the datastore cannot be written.
        """
        key = layout.artifact(sha256)
        got = known_sha256(path)
        if got != sha256:
            raise CorruptData(
                f"The file {path} that was to be published as {key} has the sha256 {got}: "
                "it was changed, or not written to its end."
            )
        if not self._is_local and self._storage.size(key) != path.stat().st_size:
            self._storage.upload(path, key)
        # Uploaded before it is moved: the cache must not hold an artifact that the datastore lacks.
        self._files.move_in(path, key)
        remember(self._files.local_path(key), sha256)

    def has(self, sha256: str, size: int) -> bool:
        """True if the datastore holds an artifact of that size; its bytes are not read."""
        return self._storage.size(layout.artifact(sha256)) == size

    def fetch(self, sha256: str, size: int) -> Path:
        """Path of a read-only file with the artifact's bytes, verified.

        Raises:
            NotInDatastore: the datastore has no such artifact.
            CorruptData: its bytes do not match.
        """
        key = layout.artifact(sha256)
        path = self._files.local_path(key)
        if self._is_local:
            self._verify(path, key, sha256, size)
            return path
        with self._alone(sha256):
            try:
                self._verify(path, key, sha256, size)
            except (NotInDatastore, CorruptData):
                self._storage.download(key, path, sha256)
                path.chmod(0o444)
                remember(path, sha256)
        return path

    def _verify(self, path: Path, key: str, sha256: str, size: int) -> None:
        try:
            stored_size = path.stat().st_size
            got = known_sha256(path) if stored_size == size else f"{stored_size} bytes, not {size}"
        except FileNotFoundError as error:
            raise NotInDatastore(
                f"There is no {key} in the datastore {self._storage.url}. It was removed after the "
                "task that wrote it: run that task again."
            ) from error
        if got != sha256:
            raise corrupt(self._files.url, key, expected=sha256, got=got)

    @contextlib.contextmanager
    def _alone(self, sha256: str) -> Iterator[None]:
        """Let one thread at a time fetch an artifact, so that the others find the file that it downloaded."""
        with self._mutex:
            mutex = self._fetching.setdefault(sha256, threading.Lock())
        with mutex:
            yield
