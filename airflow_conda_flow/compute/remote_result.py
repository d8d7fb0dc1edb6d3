"""How an attempt elsewhere ended: its manifest, and what befell its pod where that explains more."""

from __future__ import annotations

from airflow_conda_flow.datastore.manifests import read_attempt
from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.errors import TaskFailed
from airflow_conda_flow.runner.attempt_record import as_exception, commit_failure
from airflow_conda_flow.runner.task_request import TaskRequest, TaskResult

_CANCELLED = "The task was ended before it finished."


def is_done(storage: Storage, request: TaskRequest) -> bool:
    """Whether the attempt is committed as done."""
    record = read_attempt(storage, request.name)
    return record is not None and record.is_done


def remote_result(
    storage: Storage, request: TaskRequest, fate: str | None, otherwise: str, *, cancelled: bool = False
) -> TaskResult:
    """The result of an attempt whose pod is over; one that left no manifest is committed as failed.

    Args:
        storage: where the run is kept.
        request: which attempt.
        fate: what befell the pod beside the step's own end, in one line.
        otherwise: what to say where there is neither fate nor manifest.
        cancelled: whether the attempt was told to end; that is its fate then.

    Raises:
        DatastoreError: the manifest cannot be read or written.
    """
    if cancelled:
        fate = _CANCELLED
    record = read_attempt(storage, request.name)
    if record is None:
        fate = fate or otherwise
        record = commit_failure(storage, request, TaskFailed(fate))
    if record.is_done:
        return TaskResult(ok=True, record=record)
    if fate is not None:
        return TaskResult(False, record, as_exception(TaskFailed(fate)), cancelled)
    # The runner printed it, as the last of its lines.
    return TaskResult(ok=False, record=record, exception=record.exception, reported=True)
