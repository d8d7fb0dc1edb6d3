"""Folders beside the prefix or the extracted package that they are to become, or were."""

from __future__ import annotations

import contextlib
import functools
import os
import time
from pathlib import Path

from airflow_conda_flow.datastore.left_behind import clear, new_mark
from airflow_conda_flow.datastore.removal import discard
from airflow_conda_flow.environments.cache_places import extracted, makers_mutex
from airflow_conda_flow.environments.file_mutex import held_now
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


def discard_unfinished(cache_dir: Path) -> None:
    """Remove packages that were extracted in part, unless somebody makes an environment now.

    py-rattler leaves them when its process ends, and nothing in their names says whose they are. Its threads
    may still write to them, for a second at most. Errors are ignored.
    """
    end = time.monotonic() + LAST_WRITES_SECONDS
    with contextlib.suppress(OSError), held_now(makers_mutex(cache_dir)) as is_free:
        while is_free and (folders := _unfinished(extracted(cache_dir))) and time.monotonic() < end:
            for each in folders:
                discard(each)
            time.sleep(LOOK_EVERY)


@functools.cache
def discard_left_once(cache_dir: Path) -> None:
    """Remove environments that killed processes were making, once in this process."""
    for name in ("prefixes", "packing", "verifying"):
        clear(cache_dir / name)
    discard_unfinished(cache_dir)


def _unfinished(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [Path(entry) for entry in entries if entry.name.startswith(".") and entry.is_dir()]
    except FileNotFoundError:
        return []
