"""``AttemptRecord``: makes the record of an attempt, in its own runner or from outside.

Every task manifest of an attempt is made here, so that it has the same facts whichever way the attempt
ended: its runner saw the end, or its pod, job or worker was lost and another process records that.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from types import MappingProxyType
from typing import TYPE_CHECKING

from airflow_conda_flow.datastore.manifests import read_attempt, read_run_manifest, write_task_manifest
from airflow_conda_flow.errors import CorruptData
from airflow_conda_flow.records.task_record import DONE, FAILED, RUNNING, TaskRecord, make_task_record
from airflow_conda_flow.runner.attempt_cards import stored_cards
from airflow_conda_flow.runner.record_reader import RecordReader
from airflow_conda_flow.runner.task_inputs import TaskInputs, checked_inputs

if TYPE_CHECKING:
    from airflow_conda_flow.datastore.storage import Storage
    from airflow_conda_flow.records.run_record import RunRecord
    from airflow_conda_flow.records.shapes import ArtifactRef, ExceptionRecord, Transition
    from airflow_conda_flow.runner.task_request import TaskRequest


class AttemptRecord:
    """Maker of an attempt's record. Its creation is the attempt's start time.

    Args:
        request: the attempt.
        run: the run's record; None if the datastore has none.
        seconds: duration of each phase, by its name; read when a record is made.

    Attributes:
        inputs: the task's inputs; None until they are known. Without them the record has no split name.
    """

    def __init__(
        self,
        request: TaskRequest,
        run: RunRecord | None,
        seconds: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        self.inputs: TaskInputs | None = None
        self._name = request.name
        self._run = run
        self._seconds = seconds
        self._started = now()

    @classmethod
    def from_outside(cls, request: TaskRequest, run: RunRecord, storage: Storage) -> AttemptRecord:
        """Maker of the record of an attempt whose runner is gone.

        The record's start time is the time of this call, because the attempt's own is not known.

        Raises:
            LookupError: a task that it reads from has not finished, so the attempt cannot have started.
            NotAsPrepared: a record of such a task is not the one that the task has written.
        """
        made = cls(request, run)
        reader = RecordReader(storage, request.flow, request.run_id)
        made.inputs = checked_inputs(request, run, reader)
        return made

    def running(self) -> TaskRecord:
        """Record of an attempt that has not ended: shown on cards, never stored."""
        return self._record(RUNNING, finished=None)

    def done(
        self, artifacts: dict[str, ArtifactRef], transition: Transition | None, python: str | None
    ) -> TaskRecord:
        """Record of an attempt whose step returned."""
        return self._record(DONE, artifacts=artifacts, transition=transition, python=python)

    def failed(self, exception: ExceptionRecord, python: str | None = None) -> TaskRecord:
        """Record of an attempt that failed."""
        return self._record(FAILED, exception=exception, python=python)

    def caught(
        self,
        exception: ExceptionRecord,
        added: Mapping[str, ArtifactRef],
        left: Mapping[str, ArtifactRef] | None = None,
        python: str | None = None,
    ) -> TaskRecord:
        """Record of an attempt whose failure is caught: its task counts as done.

        Args:
            exception: the failure.
            added: artifacts that ``@catch`` adds.
            left: the artifacts that the failed step passes on; its inputs if None.
            python: version of Python that the step ran on.

        Raises:
            LookupError: the task's inputs or the run are not known.
        """
        if self.inputs is None or self._run is None:
            raise LookupError(f"It is not known what {self._name.task.pathspec} began with.")
        artifacts = {**(self.inputs.namespace if left is None else left), **added}
        return self._record(
            DONE,
            artifacts=artifacts,
            transition=_transition(self._run, self._name.task.step),
            exception=exception,
            python=python,
        )

    def commit_from_outside(self, storage: Storage, record: TaskRecord) -> TaskRecord:
        """Commit a record, with the cards that the attempt stored while it ran, and return it."""
        if self._run is not None:
            cards = self._run.decorators_of(record.step).get("card", [])
            record = record.with_cards(stored_cards(storage, record, cards))
        write_task_manifest(storage, record)
        return record

    def _record(
        self,
        status: str,
        *,
        finished: str | None = "now",
        artifacts: dict[str, ArtifactRef] | None = None,
        transition: Transition | None = None,
        exception: ExceptionRecord | None = None,
        python: str | None = None,
    ) -> TaskRecord:
        return make_task_record(
            self._name,
            status=status,
            started=self._started,
            finished=now() if finished else None,
            split_name=None if self.inputs is None else self.inputs.split_name,
            artifacts=artifacts or {},
            transition=transition,
            exception=exception,
            run_record=None if self._run is None else self._run.ref,
            environment=None if self._run is None else self._run.environment_of(self._name.task.step),
            python=python,
            seconds=dict(self._seconds),
            cards=[],
        )


def commit_failure(
    storage: Storage, request: TaskRequest, error: BaseException, *, replaces: bool = False
) -> TaskRecord:
    """Commit, from outside, the failure of an attempt; an attempt that has a manifest keeps it.

    Args:
        storage: the datastore's.
        request: the attempt.
        error: why it failed.
        replaces: True to overwrite the manifest, which is not the attempt's own.

    Returns:
        the record that is stored now.

    Raises:
        DatastoreError: the manifests cannot be read or written.
    """
    found = read_attempt(storage, request.name)
    if found is not None and not replaces:
        return found
    run = request.run
    try:
        run = run or read_run_manifest(storage, request.flow, request.run_id, request.run_sha256)
        attempt = AttemptRecord.from_outside(request, run, storage)
    except (CorruptData, LookupError):  # nothing but the failure is known; it is recorded all the same
        attempt = AttemptRecord(request, run)
    return attempt.commit_from_outside(storage, attempt.failed(as_exception(error)))


def as_exception(error: BaseException) -> ExceptionRecord:
    """Exception record of a failure outside the step's code: its message, without the runner's traceback."""
    return {
        "type": type(error).__name__,
        "full_type": f"{type(error).__module__}.{type(error).__qualname__}",
        "message": str(error),
        "traceback": f"{error}\n",
    }


def now() -> str:
    """Current time as manifests state it: ISO 8601, UTC, microseconds."""
    return datetime.now(timezone.utc).isoformat(timespec="microseconds")


def _transition(run: RunRecord, step: str) -> Transition | None:
    """Transition of a failed step with ``@catch``, which is known without the step's ``self.next``.

    ``@catch`` refuses steps that open a foreach or a switch.
    """
    following = run.graph.steps[step].out_steps
    if not following:
        return None
    return {
        "next": list(following),
        "foreach": None,
        "num_splits": None,
        "split_names": None,
        "condition": None,
        "chosen": None,
    }
