"""The manifest of an attempt that never got as far as its step."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow_conda_flow.datastore.manifests import read_attempt, write_task_manifest
from airflow_conda_flow.flow.index_path import task_id

if TYPE_CHECKING:
    from airflow_conda_flow.datastore.storage import Storage
    from airflow_conda_flow.runner.attempt import TaskRequest


def as_exception(error: BaseException) -> dict[str, Any]:
    """What a manifest says of a failure that is not the step's own: the message, and no traceback of ours."""
    return {
        "type": type(error).__name__,
        "full_type": f"{type(error).__module__}.{type(error).__qualname__}",
        "message": str(error),
        "traceback": f"{error}\n",
    }


def commit_failure(storage: Storage, request: TaskRequest, error: BaseException) -> None:
    """Commit an attempt that could not be run; one that left a manifest keeps it.

    Raises:
        DatastoreError: the manifests cannot be read or written.
    """
    coordinates = (request.flow, request.run_id, request.step, task_id(request.indices))
    if read_attempt(storage, *coordinates, request.attempt) is not None:
        return
    now = datetime.now(timezone.utc).isoformat(timespec="microseconds")
    manifest = {
        "version": 1,
        **dict(zip(("flow", "run_id", "step", "task_id"), coordinates, strict=True)),
        "attempt": request.attempt,
        "split_name": None,
        "status": "failed",
        "started": now,
        "finished": now,
        "artifacts": {},
        "transition": None,
        "exception": as_exception(error),
        "environment": None,
        "python": None,
    }
    write_task_manifest(storage, manifest)
