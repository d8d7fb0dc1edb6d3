"""Folders beside the prefix that they are to become, or were."""

from __future__ import annotations

import os
import time
from pathlib import Path

from airflow_conda_flow.datastore.left_behind import new_mark
from airflow_conda_flow.environments.packages import discard
from airflow_conda_flow.environments.stopping import LAST_WRITES_SECONDS, LOOK_EVERY


def temporary(prefix: Path) -> Path:
    """Path of a folder in the prefix's directory that no other process or thread uses."""
    return prefix.with_name(f".{prefix.name}.{new_mark()}")


def put_aside(prefix: Path) -> None:
    """Remove whatever is at the path of a prefix, at once for others and then in peace."""
    if os.path.lexists(prefix):
        old = temporary(prefix)
        prefix.rename(old)
        discard(old)


def discard_all(folder: Path) -> None:
    """Remove a folder that threads of py-rattler may still write a package to, for a second at most."""
    end = time.monotonic() + LAST_WRITES_SECONDS
    while folder.exists() and time.monotonic() < end:
        discard(folder)
        time.sleep(LOOK_EVERY)
