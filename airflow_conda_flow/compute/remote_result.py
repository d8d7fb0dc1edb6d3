"""How an attempt elsewhere ended: its manifest, and what befell its pod where that explains more."""

from __future__ import annotations

from typing import Any

from airflow_conda_flow.datastore.manifests import DONE, read_attempt
from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.errors import TaskFailed
from airflow_conda_flow.flow.index_path import task_id
from airflow_conda_flow.runner.attempt import TaskRequest, TaskResult
from airflow_conda_flow.runner.failed_attempt import as_exception, commit_failure

_CANCELLED = "The task was ended before it finished."


def is_done(storage: Storage, request: TaskRequest) -> bool:
    """Whether the attempt is committed as done."""
    manifest = _read(storage, request)
    return manifest is not None and manifest["status"] == DONE


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
    manifest = _read(storage, request)
    if manifest is None:
        fate = fate or otherwise
        commit_failure(storage, request, TaskFailed(fate))
        manifest = _read(storage, request) or {}
    if manifest.get("status") == DONE:
        return TaskResult(ok=True, manifest=manifest)
    if fate is not None:
        return TaskResult(False, manifest, as_exception(TaskFailed(fate)), cancelled)
    # The runner printed it, as the last of its lines.
    return TaskResult(ok=False, manifest=manifest, exception=manifest["exception"], reported=True)


def _read(storage: Storage, request: TaskRequest) -> dict[str, Any] | None:
    coordinates = (request.flow, request.run_id, request.step, task_id(request.indices), request.attempt)
    return read_attempt(storage, *coordinates)
