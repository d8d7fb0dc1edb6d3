"""Artifacts of a datastore that may read those of another, and never writes there."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from airflow_conda_flow.errors import NotInDatastore

from .artifacts import ArtifactStore
from .storage import Storage


class BorrowingArtifacts(ArtifactStore):
    """The artifacts of one storage, and those of a lender that it lacks.

    Args:
        storage: where artifacts are put.
        cache_dir: as of ``ArtifactStore``.
        lender: whose artifacts are read too.
    """

    def __init__(self, storage: Storage, cache_dir: Path, lender: ArtifactStore) -> None:
        super().__init__(storage, cache_dir)
        self._lender = lender

    def fetch(self, sha256: str, size: int) -> Path:
        """A read-only file with the artifact's bytes, its own or the lender's, verified."""
        try:
            return super().fetch(sha256, size)
        except NotInDatastore:
            return self._lender.fetch(sha256, size)

    def keep(self, refs: Iterable[Mapping[str, Any]]) -> None:
        """Put copies of what is the lender's beside its own, so that the lender may go."""
        scratch = self.scratch_dir()
        try:
            for ref in refs:
                sha256, size = ref["sha256"], ref["size"]
                if not self.has(sha256, size):
                    copy = Path(shutil.copy(self._lender.fetch(sha256, size), scratch / sha256))
                    self.publish(copy, sha256)
        finally:
            shutil.rmtree(scratch)
