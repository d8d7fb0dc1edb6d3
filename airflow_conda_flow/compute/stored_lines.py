"""What an attempt elsewhere printed, where its lines could not be passed on as they came."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_conda_flow.datastore.logs import STREAMS, read_log
from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.records.names import AttemptName


def stored_lines(storage: Storage, name: AttemptName) -> Iterator[tuple[str, str]]:
    """As (stream, line), from the logs that the attempt stored at its end; none if it never got there."""
    for stream in STREAMS:
        for line in read_log(storage, name, stream).decode("utf-8", "replace").splitlines():
            yield stream, line
