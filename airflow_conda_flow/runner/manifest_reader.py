"""The manifests of a run's finished tasks, each read once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from airflow_conda_flow.datastore.manifests import read_task_manifest, read_task_manifests
from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.flow.index_path import task_id

Manifest = dict[str, Any]
TaskKey = tuple[str, tuple[int, ...]]


class ManifestReader:
    """Called with a step and an index path, gives the manifest of that task, or None.

    Attributes:
        run_id: the run that the tasks are of.
    """

    def __init__(self, storage: Storage, flow: str, run_id: str) -> None:
        self._storage = storage
        self._flow = flow
        self.run_id = run_id
        self._known: dict[TaskKey, Manifest] = {}

    def __call__(self, step: str, indices: tuple[int, ...]) -> Manifest | None:
        """The manifest of a finished task, or None."""
        key = (step, indices)
        if key not in self._known:
            manifest = read_task_manifest(self._storage, self._flow, self.run_id, step, task_id(indices))
            if manifest is None:
                return None
            self._known[key] = manifest
        return self._known[key]

    def read_all(self, keys: Iterable[TaskKey]) -> None:
        """Read those that are not known yet, side by side where that is faster."""
        missing = [key for key in keys if key not in self._known]
        manifests = read_task_manifests(
            self._storage,
            self._flow,
            self.run_id,
            [(step, task_id(indices)) for step, indices in missing],
        )
        self._known.update((key, found) for key, found in zip(missing, manifests, strict=True) if found)
