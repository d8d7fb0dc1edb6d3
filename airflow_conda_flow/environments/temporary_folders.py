"""Folders beside the prefix or the extracted package that they are to become, or were."""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Callable
from pathlib import Path

from airflow_conda_flow.datastore.left_behind import clear, new_mark
from airflow_conda_flow.datastore.removal import discard
from airflow_conda_flow.environments.cache_places import extracted, makers_mutex
from airflow_conda_flow.environments.file_mutex import held_now
from airflow_conda_flow.environments.stopping import LAST_WRITES_SECONDS, LOOK_EVERY

_LAST_FILE_SECONDS = 3.0
"""Seconds for the file that a thread is writing when its folder goes: it may be large, and the disk slow."""
_DESCRIPTORS = Path("/proc/self/fd")


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
    """Remove a folder that threads of py-rattler may still link a package into, for a second at most."""
    end = time.monotonic() + LAST_WRITES_SECONDS
    while folder.exists() and time.monotonic() < end:
        discard(folder)
        time.sleep(LOOK_EVERY)


def discard_unfinished(cache_dir: Path) -> None:
    """Remove packages that were extracted in part, unless somebody makes an environment now.

    py-rattler leaves them when its process ends, and nothing in their names says whose they are. Errors are
    ignored.
    """
    with contextlib.suppress(OSError), held_now(makers_mutex(cache_dir)) as is_free:
        if is_free:
            discard_extracted(cache_dir, lambda: _unfinished(extracted(cache_dir)))


def discard_extracted(cache_dir: Path, find: Callable[[], list[Path]]) -> None:
    """Remove folders that threads of py-rattler may still extract packages into.

    Nobody can end these threads, and they make a missing folder again for the next file. A file in its place
    ends them: it stays until this process has no archive of a package open. Errors are ignored.

    Args:
        cache_dir: the archives are below it.
        find: the folders that are there now.
    """
    end = time.monotonic() + _LAST_FILE_SECONDS
    in_place: list[Path] = []
    while True:
        # Read before the look: whoever makes a folder after it has an archive open now, or in the next round.
        is_read = _reads_packages(cache_dir)
        folders = find()
        for each in folders:
            with contextlib.suppress(OSError):  # py-rattler may remove or make it at this moment
                in_place.append(each)
                aside = each.with_name(f".{new_mark()}")
                each.rename(aside)
                each.touch(exist_ok=False)
                discard(aside)
        if not (is_read or folders) or time.monotonic() > end:
            break
        time.sleep(LOOK_EVERY)
    for each in in_place:
        discard(each)


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


def _reads_packages(cache_dir: Path) -> bool:
    """True if this process has an archive of a package open; False where nobody can tell."""
    packages = f"{os.path.realpath(cache_dir)}/packages/"
    try:
        descriptors = list(_DESCRIPTORS.iterdir())
    except OSError:
        return False
    for each in descriptors:
        with contextlib.suppress(OSError):  # closed meanwhile
            if str(each.readlink()).startswith(packages):
                return True
    return False
