"""What an attempt's process wrote, stored when the attempt ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_conda_flow.errors import NotInDatastore

from . import layout

if TYPE_CHECKING:
    from .storage import Storage

STREAMS = ("stdout", "stderr")


def write_log(
    storage: Storage,
    flow: str,
    run_id: str,
    step: str,
    task_id: str,
    attempt: int,
    stream: str,
    data: bytes,
) -> None:
    """Stores what the attempt wrote to ``stream``: ``"stdout"`` or ``"stderr"``."""
    storage.write_bytes(layout.task_log(flow, run_id, step, task_id, attempt, stream), data)


def read_log(
    storage: Storage, flow: str, run_id: str, step: str, task_id: str, attempt: int, stream: str
) -> bytes:
    """What the attempt wrote to ``stream``; empty if it wrote nothing or has not ended."""
    try:
        return storage.read_bytes(layout.task_log(flow, run_id, step, task_id, attempt, stream))
    except NotInDatastore:
        return b""
