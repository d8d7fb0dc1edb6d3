"""``AttemptRecord``: how one attempt of a task is recorded, by its own runner or from outside.

Every task manifest of an attempt is made here, so that a task has the same facts whichever way it ended:
its runner saw the end, or a pod, a job or a worker was lost and somebody else has to say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from airflow_conda_flow.datastore.manifests import read_attempt, read_run_manifest, write_task_manifest
from airflow_conda_flow.errors import NotInDatastore
from airflow_conda_flow.records.task_record import DONE, FAILED, RUNNING, TaskRecord, make_task_record
from airflow_conda_flow.runner.attempt_cards import stored_cards
from airflow_conda_flow.runner.record_reader import RecordReader
from airflow_conda_flow.runner.task_inputs import TaskInputs, gather_inputs

if TYPE_CHECKING:
    from airflow_conda_flow.datastore.storage import Storage
    from airflow_conda_flow.records.run_record import RunRecord
    from airflow_conda_flow.records.shapes import ArtifactRef, ExceptionRecord, Transition
    from airflow_conda_flow.runner.task_request import TaskRequest


class AttemptRecord:
    """Makes the record of an attempt from what is known of it.

    Args:
        request: which attempt.
        run: the run's record; None where the datastore has none.

    Attributes:
        inputs: what the task begins with, once that is known. Until then its record lacks the name of
            its split.
    """

    def __init__(self, request: TaskRequest, run: RunRecord | None) -> None:
        self.inputs: TaskInputs | None = None
        self._name = request.name
        self._run = run
        self._started = now()

    @classmethod
    def from_outside(cls, request: TaskRequest, run: RunRecord, storage: Storage) -> AttemptRecord:
        """The record of an attempt whose runner is gone.

        Raises:
            LookupError: a task that it reads from has not finished, so it cannot have started.
        """
        made = cls(request, run)
        reader = RecordReader(storage, request.flow, request.run_id)
        made.inputs = gather_inputs(run, request.step, request.indices, reader)
        return made

    def running(self) -> TaskRecord:
        """The record of an attempt that has not ended; it is shown on cards, and never stored."""
        return self._record(RUNNING, finished=None)

    def done(
        self, artifacts: dict[str, ArtifactRef], transition: Transition | None, python: str | None
    ) -> TaskRecord:
        """The record of an attempt whose step returned."""
        return self._record(DONE, artifacts=artifacts, transition=transition, python=python)

    def failed(self, exception: ExceptionRecord, python: str | None = None) -> TaskRecord:
        """The record of an attempt that failed."""
        return self._record(FAILED, exception=exception, python=python)

    def caught(
        self,
        exception: ExceptionRecord,
        added: Mapping[str, ArtifactRef],
        left: Mapping[str, ArtifactRef] | None = None,
        python: str | None = None,
    ) -> TaskRecord:
        """The record of an attempt whose failure is caught: its task is done.

        Args:
            exception: why it failed.
            added: artifacts that ``@catch`` adds.
            left: what the step left to those that follow; what it began with if None.
            python: the version that it ran on.

        Raises:
            LookupError: it is not known what the task began with.
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
        """Commit one of these records, with the cards that the attempt stored while it ran."""
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
            environment=None if self._run is None else self._run.environment_of(self._name.task.step),
            python=python,
            cards=[],
        )


def commit_failure(storage: Storage, request: TaskRequest, error: BaseException) -> TaskRecord:
    """Commit, from outside, an attempt that could not be run; one that left a manifest keeps it.

    Returns:
        the record that the attempt has now.

    Raises:
        DatastoreError: the manifests cannot be read or written.
    """
    found = read_attempt(storage, request.name)
    if found is not None:
        return found
    run = request.run
    try:
        run = run or read_run_manifest(storage, request.flow, request.run_id)
        attempt = AttemptRecord.from_outside(request, run, storage)
    except (NotInDatastore, LookupError):  # the failure is all that is known
        attempt = AttemptRecord(request, run)
    return attempt.commit_from_outside(storage, attempt.failed(as_exception(error)))


def as_exception(error: BaseException) -> ExceptionRecord:
    """Record of a failure that is not the step's own: its message, and no traceback of ours."""
    return {
        "type": type(error).__name__,
        "full_type": f"{type(error).__module__}.{type(error).__qualname__}",
        "message": str(error),
        "traceback": f"{error}\n",
    }


def now() -> str:
    """The time as manifests have it."""
    return datetime.now(timezone.utc).isoformat(timespec="microseconds")


def _transition(run: RunRecord, step: str) -> Transition | None:
    """The only transition that a step with ``@catch`` can have: it opens no foreach and no switch."""
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
