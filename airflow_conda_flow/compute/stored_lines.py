"""Output of an attempt on another machine, read from the datastore after its end."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_conda_flow.datastore.logs import STREAMS, read_log
from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.records.names import AttemptName


def stored_lines(storage: Storage, name: AttemptName) -> Iterator[tuple[str, str]]:
    """Pairs (stream, line) of the logs that the attempt stored; none if it ended before it stored them."""
    for stream in STREAMS:
        for line in read_log(storage, name, stream).decode("utf-8", "replace").splitlines():
            yield stream, line
