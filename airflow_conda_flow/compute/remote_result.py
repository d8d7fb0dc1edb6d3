"""Result of an attempt on another machine, from its manifest and from the fate of its pod or job."""

from __future__ import annotations

from airflow_conda_flow.datastore.manifests import read_attempt
from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.errors import TaskFailed
from airflow_conda_flow.runner.attempt_record import as_exception, commit_failure
from airflow_conda_flow.runner.task_request import TaskRequest, TaskResult

_CANCELLED = "The task was ended before it finished."


def is_done(storage: Storage, request: TaskRequest) -> bool:
    """True if the attempt is committed as done."""
    record = read_attempt(storage, request.name)
    return record is not None and record.is_done


def remote_result(
    storage: Storage, request: TaskRequest, fate: str | None, otherwise: str, *, cancelled: bool = False
) -> TaskResult:
    """Result of an attempt whose pod or job has ended; an attempt without a manifest is committed as failed.

    Args:
        storage: the datastore's storage.
        request: the attempt.
        fate: outside cause of the end of the pod or job, in one line; None if the step ended by itself.
        otherwise: message for an attempt with neither fate nor manifest.
        cancelled: True if the attempt was ended on request; this takes the place of ``fate``.

    Raises:
        DatastoreError: the manifest cannot be read or written.
    """
    if cancelled:
        fate = _CANCELLED
    record = read_attempt(storage, request.name)
    if record is None:
        fate = fate or otherwise
        record = commit_failure(storage, request, TaskFailed(fate))
    # The manifest is the commit: if it says "done", the attempt is done, whatever happened to its pod
    # afterwards.
    if record.is_done:
        return TaskResult(ok=True, record=record)
    if fate is not None:
        return TaskResult(False, record, as_exception(TaskFailed(fate)), cancelled)
    # The runner saw the failure itself, and printed the traceback as the last of its lines.
    return TaskResult(ok=False, record=record, exception=record.exception, reported=True)
