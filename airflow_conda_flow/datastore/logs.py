"""What an attempt's process wrote, stored when the attempt ends.

Each line is stored with the time at which it came before it, in UTC: ``2026-11-24T19:05:33.488689Z``
and a space.
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
    """What stands before a line that comes now."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ ").encode("ascii")


def write_log(storage: Storage, name: AttemptName, stream: str, data: bytes) -> None:
    """Store what the attempt wrote to ``stream``: ``"stdout"`` or ``"stderr"``."""
    storage.write_bytes(layout.task_log(name, stream), data)


def read_log(storage: Storage, name: AttemptName, stream: str) -> bytes:
    """Everything that the attempt wrote to ``stream``; empty if it wrote nothing or has not ended."""
    return _STAMP.sub(b"", read_stamped_log(storage, name, stream))


def read_stamped_log(storage: Storage, name: AttemptName, stream: str) -> bytes:
    """The same, each line with its time before it."""
    try:
        return storage.read_bytes(layout.task_log(name, stream))
    except NotInDatastore:
        return b""
