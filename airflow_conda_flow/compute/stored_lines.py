"""What an attempt elsewhere printed, where its lines could not be passed on as they came."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_conda_flow.datastore.logs import STREAMS, read_log
from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.flow.index_path import task_id
from airflow_conda_flow.runner.attempt import TaskRequest


def stored_lines(storage: Storage, request: TaskRequest) -> Iterator[tuple[str, str]]:
    """As (stream, line), from the logs that the attempt stored at its end; none if it never got there."""
    task = (request.flow, request.run_id, request.step, task_id(request.indices), request.attempt)
    for stream in STREAMS:
        for line in read_log(storage, *task, stream).decode("utf-8", "replace").splitlines():
            yield stream, line
