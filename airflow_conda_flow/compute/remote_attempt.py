"""How an attempt that ran elsewhere ended, as the datastore knows it."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_conda_flow.datastore.logs import STREAMS, read_log
from airflow_conda_flow.datastore.manifests import DONE, read_attempt
from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.errors import TaskFailed
from airflow_conda_flow.flow.index_path import task_id
from airflow_conda_flow.runner.attempt import TaskRequest, TaskResult
from airflow_conda_flow.runner.failed_attempt import commit_failure


def attempt_result(
    storage: Storage, request: TaskRequest, lost: str, *, cancelled: bool = False
) -> TaskResult:
    """The result that an attempt committed; one that committed nothing is committed as lost.

    Args:
        storage: where the run is kept.
        request: the attempt.
        lost: why it left nothing, should that be so.
        cancelled: whether it was told to end.
    """
    coordinates = (request.flow, request.run_id, request.step, task_id(request.indices), request.attempt)
    manifest = read_attempt(storage, *coordinates)
    if manifest is None:
        commit_failure(storage, request, TaskFailed(lost))
        manifest = read_attempt(storage, *coordinates) or {}
    ok = manifest.get("status") == DONE
    return TaskResult(ok, manifest, None if ok else manifest.get("exception"), cancelled and not ok)


def stored_lines(storage: Storage, request: TaskRequest) -> Iterator[tuple[str, str]]:
    """What an attempt printed, as (stream, line), from the logs that it stored at its end."""
    for stream in STREAMS:
        data = read_log(
            storage,
            request.flow,
            request.run_id,
            request.step,
            task_id(request.indices),
            request.attempt,
            stream,
        )
        for line in data.decode("utf-8", "replace").splitlines():
            yield stream, line
