"""The records of a run's finished tasks, each read once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from airflow_conda_flow.datastore.manifests import read_task_manifest, read_task_manifests
from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.records.names import TaskName
from airflow_conda_flow.records.run_record import RunRecord
from airflow_conda_flow.records.task_record import TaskRecord

TaskKey = tuple[str, tuple[int, ...]]
"""A step and an index path."""


class RecordReader:
    """Reader of one run's task records: call it with a step and an index path.

    A record is kept once it was read; a task without one is looked up again by the next call.

    Attributes:
        flow: the flow's name.
        run_id: id of the run that the tasks belong to.
    """

    def __init__(self, storage: Storage, flow: str, run_id: str) -> None:
        self._storage = storage
        self.flow = flow
        self.run_id = run_id
        self._known: dict[TaskKey, TaskRecord] = {}

    @property
    def read(self) -> list[TaskRecord]:
        """The records that were read, in no order."""
        return list(self._known.values())

    def name_of(self, step: str, indices: tuple[int, ...]) -> TaskName:
        """Name of a task of the run."""
        return TaskName.at(self.flow, self.run_id, step, indices)

    def __call__(self, step: str, indices: tuple[int, ...]) -> TaskRecord | None:
        """Record of a finished task, or None."""
        key = (step, indices)
        if key not in self._known:
            record = read_task_manifest(self._storage, self.name_of(step, indices))
            if record is None:
                return None
            self._known[key] = record
        return self._known[key]

    def read_all(self, keys: Iterable[TaskKey]) -> None:
        """Read the records that are not known yet; in parallel from S3."""
        missing = [key for key in dict.fromkeys(keys) if key not in self._known]
        records = read_task_manifests(self._storage, [self.name_of(*key) for key in missing])
        self._known.update((key, found) for key, found in zip(missing, records, strict=True) if found)


class HeldRecords(RecordReader):
    """Reader of the records that this process holds, because it has seen their tasks end."""

    def __init__(self, storage: Storage, run: RunRecord, held: Mapping[TaskKey, TaskRecord]) -> None:
        super().__init__(storage, run.flow, run.run_id)
        self._held = held

    def __call__(self, step: str, indices: tuple[int, ...]) -> TaskRecord | None:
        """Record of a finished task, or None."""
        key = (step, indices)
        if key in self._held:
            self._known[key] = self._held[key]
        return self._known.get(key)

    def read_all(self, keys: Iterable[TaskKey]) -> None:
        """Take the records that are held."""
        for key in keys:
            self(*key)
