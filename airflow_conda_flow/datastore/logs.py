"""Logs of attempts, stored when the attempt ends.

Each line starts with the time at which it arrived, in UTC, and a space: ``2026-11-24T19:05:33.488689Z``.
"""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from airflow_conda_flow.errors import NotInDatastore

from . import layout

if TYPE_CHECKING:
    from airflow_conda_flow.records.names import AttemptName

    from .storage import Storage

STREAMS = ("stdout", "stderr")
_STAMP = re.compile(rb"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z ", re.MULTILINE)


def stamp() -> bytes:
    """Time stamp for a line that arrives now, with the space after it."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ ").encode("ascii")


def write_log(storage: Storage, name: AttemptName, stream: str, data: bytes) -> None:
    """Store the log of ``stream``, ``"stdout"`` or ``"stderr"``; its lines have their time stamps already."""
    storage.write_bytes(layout.task_log(name, stream), data)


def read_log(storage: Storage, name: AttemptName, stream: str) -> bytes:
    """Log of ``stream`` without time stamps; empty if the attempt wrote nothing or has not ended."""
    return _STAMP.sub(b"", read_stamped_log(storage, name, stream))


def read_stamped_log(storage: Storage, name: AttemptName, stream: str) -> bytes:
    """Log of ``stream`` with time stamps; empty if the attempt wrote nothing or has not ended."""
    try:
        return storage.read_bytes(layout.task_log(name, stream))
    except NotInDatastore:
        return b""
