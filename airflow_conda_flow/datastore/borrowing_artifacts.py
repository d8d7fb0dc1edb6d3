"""Artifact store that also reads the artifacts of another one, and never writes there."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from airflow_conda_flow.errors import CorruptData, NotInDatastore

from .artifacts import ArtifactStore
from .notice import warn
from .storage import Storage


class BorrowingArtifacts(ArtifactStore):
    """Artifacts of one storage, and those of a lender that the storage lacks.

    Args:
        storage: where artifacts are stored.
        cache_dir: as for ``ArtifactStore``.
        lender: the artifact store that is read as well.
    """

    def __init__(self, storage: Storage, cache_dir: Path, lender: ArtifactStore) -> None:
        super().__init__(storage, cache_dir)
        self._lender = lender

    def fetch(self, sha256: str, size: int, say: Callable[[str], None] = warn) -> Path:
        """Path of a read-only file with the artifact's bytes, from this store or the lender, verified."""
        try:
            return super().fetch(sha256, size, say)
        except NotInDatastore:
            return self._lender.fetch(sha256, size, say)
        except CorruptData as damage:
            try:
                return self._lender.fetch(sha256, size, say)
            except NotInDatastore:
                raise damage from None

    def keep(self, refs: Iterable[Mapping[str, Any]]) -> None:
        """Copy borrowed artifacts into this store, so that the lender can be deleted.

        Args:
            refs: ``ArtifactRef``s of the artifacts to keep.
        """
        scratch = self.scratch_dir()
        try:
            for ref in refs:
                sha256, size = ref["sha256"], ref["size"]
                if not self.has(sha256):
                    copy = Path(shutil.copy(self._lender.fetch(sha256, size), scratch / sha256))
                    self.publish(copy, sha256)
        finally:
            shutil.rmtree(scratch)
